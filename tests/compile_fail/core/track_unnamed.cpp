// refused: -Werror=unused-result|-Wunused-value|nodiscard
// A track without a name closes before the next line, and tags nothing.
#include <outlay/track.hpp>

void f() {
#ifdef MUST_FAIL
  outlay::Track{{{"feature", "chat"}, {"user_id", "alice"}}};
#else
  outlay::Track track({{"feature", "chat"}, {"user_id", "alice"}});
#endif
}
