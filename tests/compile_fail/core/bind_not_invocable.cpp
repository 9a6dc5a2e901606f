// refused: no match for call|no matching function for call
// The wrapper is as callable as the function is, no more.
#include <outlay/context.hpp>

void f() {
  auto bound = outlay::Context::current().bind([](int value) { return value; });
#ifdef MUST_FAIL
  (void)bound("text");
#else
  (void)bound(1);
#endif
}
