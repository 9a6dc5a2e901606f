// refused: deleted (function|constructor)|call to implicitly-deleted copy constructor
// A reservation has one owner.
#include <outlay/outlay.hpp>
#include <utility>

void f(outlay::Call& call) {
#ifdef MUST_FAIL
  outlay::Call other(call);
#else
  outlay::Call other(std::move(call));
#endif
  (void)other.model();
}
