// refused: deleted (function|constructor)
// A budget's address is the scope's identity, so it is not moved.
#include <outlay/budget.hpp>
#include <utility>

void f(outlay::Budget& budget) {
#ifdef MUST_FAIL
  outlay::Budget moved(std::move(budget));
#else
  outlay::Budget& moved(budget);
#endif
  (void)moved.name();
}
