#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

#include "outlay/detail/ambient.hpp"

namespace outlay {

namespace detail {

template <class A>
decltype(auto) awaiter_of(A&& awaitable) {
  if constexpr (requires { std::forward<A>(awaitable).operator co_await(); }) {
    return std::forward<A>(awaitable).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<A>(awaitable)); }) {
    return operator co_await(std::forward<A>(awaitable));
  } else {
    return std::forward<A>(awaitable);
  }
}

/// Stands for a suspended coroutine: resuming it resumes the coroutine in the context that it was suspended in.
class Trampoline {
 public:
  struct promise_type {
    NodeRef scope;
    std::coroutine_handle<> target;
    std::coroutine_handle<promise_type>* owner = nullptr;  // the awaiter's handle to us, in the target's frame

    promise_type() = default;
    promise_type(const promise_type&) = delete;
    promise_type& operator=(const promise_type&) = delete;
    ~promise_type() {
      // Destroyed instead of resumed: that was meant for the coroutine.
      if (owner && target) {
        *std::exchange(owner, nullptr) = nullptr;
        std::exchange(target, nullptr).destroy();
      }
    }

    Trampoline get_return_object() noexcept {
      return Trampoline(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const { throw; }  // to the code that resumes, as the coroutine itself would
  };
  using Handle = std::coroutine_handle<promise_type>;

  explicit Trampoline(Handle own) noexcept : handle(own) {}
  Handle handle;
};

struct TrampolineSelf {
  Trampoline::Handle self;
  bool await_ready() const noexcept { return false; }
  bool await_suspend(Trampoline::Handle handle) noexcept {
    self = handle;
    return false;
  }
  Trampoline::promise_type& await_resume() const noexcept { return self.promise(); }
};

inline Trampoline trampoline() {
  Trampoline::promise_type& self = co_await TrampolineSelf{};
  self.owner = nullptr;  // from here on the coroutine is being resumed
  const std::coroutine_handle<> target = std::exchange(self.target, nullptr);
  const Install run(std::move(self.scope));
  target.resume();
}

/// In the current context.
inline Trampoline::Handle make_trampoline(std::coroutine_handle<> target) {
  const Trampoline::Handle handle = trampoline().handle;
  handle.promise().target = target;
  handle.promise().scope = capture();
  return handle;
}

template <class Awaiter>
class Preserved {
 public:
  template <class A>
  explicit Preserved(A&& awaitable)  // NOLINT(bugprone-forwarding-reference-overload): nothing is copied or moved
      : awaiter_(awaiter_of(std::forward<A>(awaitable))) {}
  Preserved(const Preserved&) = delete;
  Preserved& operator=(const Preserved&) = delete;
  ~Preserved() {
    // The coroutine is destroyed while it is suspended here.
    if (trampoline_) abandon();
  }

  bool await_ready() { return awaiter_.await_ready(); }

  std::coroutine_handle<> await_suspend(std::coroutine_handle<> coroutine) {
    using Result = decltype(awaiter_.await_suspend(std::coroutine_handle<>()));
    constexpr bool transfers = !std::is_void_v<Result> && !std::same_as<Result, bool>;

    const Trampoline::Handle trampoline = make_trampoline(coroutine);
    trampoline.promise().owner = &trampoline_;
    trampoline_ = trampoline;
    Trampoline::Handle transfer = nullptr;
    try {
      if constexpr (transfers) transfer = make_trampoline(nullptr);
      // Whatever the inner one starts on this thread leaves with this. Once it has the trampoline, the coroutine may be resumed, and
      // this object be gone, at any moment.
      const Install run(capture());
      if constexpr (std::is_void_v<Result>) {
        awaiter_.await_suspend(std::coroutine_handle<>(trampoline));
        return std::noop_coroutine();
      } else if constexpr (std::same_as<Result, bool>) {
        if (awaiter_.await_suspend(std::coroutine_handle<>(trampoline))) return std::noop_coroutine();
      } else {
        const std::coroutine_handle<> next = awaiter_.await_suspend(std::coroutine_handle<>(trampoline));
        if (next != std::coroutine_handle<>(trampoline)) {
          transfer.promise().target = next;  // resumed in a run of its own
          return transfer;
        }
      }
    } catch (...) {
      if (transfer) transfer.destroy();
      abandon();
      throw;
    }
    if (transfer) transfer.destroy();
    abandon();
    return coroutine;
  }

  decltype(auto) await_resume() {
    trampoline_ = nullptr;  // it is running, and ends by itself
    return awaiter_.await_resume();
  }

 private:
  void abandon() noexcept {
    const Trampoline::Handle trampoline = std::exchange(trampoline_, nullptr);
    trampoline.promise().owner = nullptr;
    trampoline.destroy();
  }

  Awaiter awaiter_;
  Trampoline::Handle trampoline_ = nullptr;
};

}  // namespace detail

/// Keeps the scopes of a coroutine that is not Asio's over a suspension: `co_await outlay::preserve(awaitable)`.
///
/// The scopes leave the thread when the coroutine suspends and are current again when it resumes, on whatever thread. Every
/// suspension with scopes open needs it, and the coroutine's *first* resume belongs in a function made by Context::bind (or in a
/// preserved await), or what the coroutine opens before its first suspension stays on the starting thread.
///
/// \param awaitable Anything whose `await_suspend` takes a `std::coroutine_handle<>`. A temporary lives until the end of the
/// full expression.
/// \par Errors
/// What the awaitable throws.
template <class Awaitable>
[[nodiscard]] auto preserve(Awaitable&& awaitable) {
  using Awaiter = decltype(detail::awaiter_of(std::forward<Awaitable>(awaitable)));
  // An awaiter that is the argument itself is referred to, one that operator co_await makes is kept.
  return detail::Preserved<Awaiter>(std::forward<Awaitable>(awaitable));
}

}  // namespace outlay
