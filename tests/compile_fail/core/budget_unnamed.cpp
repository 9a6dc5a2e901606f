// refused: -Werror=unused-result|-Wunused-value|nodiscard
// A budget without a name closes before the next line, and caps nothing. (Clang does not look into
// `Budget({...})`.)
#include <outlay/budget.hpp>

void f() {
#ifdef MUST_FAIL
  outlay::Budget{{.calls = 1}};
#else
  outlay::Budget budget{{.calls = 1}};
#endif
}
