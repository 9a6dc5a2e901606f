// refused: deleted (function|constructor)
// A budget's address is the scope's identity, so it is not copied.
#include <outlay/budget.hpp>

void f(const outlay::Budget& budget) {
#ifdef MUST_FAIL
  outlay::Budget copy(budget);
#else
  const outlay::Budget& copy(budget);
#endif
  (void)copy.name();
}
