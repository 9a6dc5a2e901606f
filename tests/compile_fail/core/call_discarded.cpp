// refused: -Werror=unused-result|-Wunused-value|nodiscard
// A call that nobody holds is released at once.
#include <outlay/outlay.hpp>

void f() {
#ifdef MUST_FAIL
  outlay::try_call({.model = "gpt-4o"});
#else
  auto call = outlay::try_call({.model = "gpt-4o"});
#endif
}
