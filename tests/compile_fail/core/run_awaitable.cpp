// refused: callable returns an awaitable
// An awaitable would run after run's budget has closed.
#include <coroutine>
#include <outlay/outlay.hpp>

struct Awaitable {
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  int await_resume() const noexcept { return 1; }
};

void f() {
#ifdef MUST_FAIL
  (void)outlay::run({.calls = 1}, [] { return Awaitable{}; });
#else
  (void)outlay::run({.calls = 1}, [] { return 1; });
#endif
}
