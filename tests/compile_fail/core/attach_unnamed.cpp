// refused: -Werror=unused-result|-Wunused-value|nodiscard
// An attachment without a name ends before the next line.
#include <outlay/context.hpp>

void f() {
#ifdef MUST_FAIL
  outlay::Attach{outlay::Context::current()};
#else
  outlay::Attach attach{outlay::Context::current()};
#endif
}
