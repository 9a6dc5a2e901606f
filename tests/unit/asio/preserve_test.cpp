#include <coroutine>
#include <exception>
#include <optional>

#include "coroutine_support.hpp"

namespace {

/// A coroutine type that knows nothing of Asio or outlay: lazy, resumes its awaiter by symmetric transfer.
template <class T>
class Task {
 public:
  struct promise_type {
    std::optional<T> result;
    std::exception_ptr error;
    std::coroutine_handle<> next = std::noop_coroutine();

    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Resume {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
          return self.promise().next;
        }
        void await_resume() noexcept {}
      };
      return Resume{};
    }
    void return_value(T value) { result.emplace(std::move(value)); }
    void unhandled_exception() { error = std::current_exception(); }
  };

  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> next) noexcept {
    handle_.promise().next = next;
    return handle_;
  }
  T await_resume() {
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    return std::move(*handle_.promise().result);
  }
  void start() { handle_.resume(); }
  [[nodiscard]] bool done() const { return handle_.done(); }

 private:
  std::coroutine_handle<promise_type> handle_;
};

/// Goes on in a pool.
struct Schedule {
  asio::thread_pool& pool;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) const {
    asio::post(pool, [coroutine] { coroutine.resume(); });
  }
  void await_resume() const noexcept {}
};

/// Declines to suspend.
struct Decline {
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
  int await_resume() const noexcept { return 3; }
};

struct Fail {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<>) const { throw std::runtime_error("cannot suspend"); }
  void await_resume() const noexcept {}
};

/// Keeps the handle for the test.
struct Park {
  std::coroutine_handle<>& parked;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) const noexcept { parked = coroutine; }
  void await_resume() const noexcept {}
};

}  // namespace

TEST_CASE("preserve: a foreign coroutine keeps its scopes over suspensions on a pool, and so do its children",
          "[asio][preserve]") {
  Checks checks;
  asio::thread_pool pool(4);
  const auto child = [&](std::string name) -> Task<int> {
    checks.is(who(), name);
    Track track({{"who", name + " child"}});
    for (int i = 0; i < 3; ++i) {
      co_await outlay::preserve(Schedule{pool});
      checks.is(who(), name + " child");
    }
    co_return 4;
  };
  const auto root = [&](std::string name) -> Task<int> {
    Track track({{"who", name}});
    int sum = 0;
    for (int i = 0; i < 5; ++i) {
      co_await outlay::preserve(Schedule{pool});
      checks.is(who(), name);
      sum += co_await outlay::preserve(child(name));
      checks.is(who(), name);
      Track inner({{"who", name + " inner"}});
      co_await outlay::preserve(Schedule{pool});
      checks.is(who(), name + " inner");
    }
    co_return sum;
  };
  std::vector<Task<int>> tasks;
  for (int i = 0; i < 100; ++i) tasks.push_back(root(std::to_string(i)));
  for (Task<int>& task : tasks)
    asio::post(pool, Context().bind([&task] { task.start(); }));  // the first resume: inside a bound function
  pool.join();
  for (Task<int>& task : tasks) {
    REQUIRE(task.done());
    CHECK(task.await_resume() == 20);
  }
  checks.report(100 * 5 * 7);
}

TEST_CASE("preserve: nothing stays on the thread that started or resumed it", "[asio][preserve]") {
  std::coroutine_handle<> parked;
  const auto coroutine = [&]() -> Task<int> {
    Track track({{"who", "coroutine"}});
    co_await outlay::preserve(Park{parked});
    CHECK(who() == "coroutine");
    Track inner({{"who", "inner"}});
    co_await outlay::preserve(Park{parked});
    CHECK(who() == "inner");
    co_return 0;
  };
  Task<int> task = coroutine();
  Track main({{"who", "main"}});
  Context().bind([&] { task.start(); })();
  CHECK(who() == "main");
  parked.resume();
  CHECK(who() == "main");
  parked.resume();
  CHECK(who() == "main");
  CHECK(task.done());
}

TEST_CASE("preserve: an awaitable that does not suspend, or fails to, leaves everything as it was",
          "[asio][preserve]") {
  const auto coroutine = [&]() -> Task<int> {
    Track track({{"who", "coroutine"}});
    const int declined = co_await outlay::preserve(Decline{});
    CHECK(declined == 3);
    CHECK(who() == "coroutine");
    bool caught = false;
    try {
      co_await outlay::preserve(Fail{});
    } catch (const std::runtime_error&) {
      caught = true;
    }
    CHECK(caught);
    CHECK(who() == "coroutine");
    co_await outlay::preserve(std::suspend_never{});
    co_return 1;
  };
  Task<int> task = coroutine();
  Context().bind([&] { task.start(); })();
  REQUIRE(task.done());
  CHECK(task.await_resume() == 1);
  CHECK(Context::current().empty());
}

TEST_CASE("preserve: a suspended coroutine may be destroyed from either side", "[asio][preserve]") {
  std::coroutine_handle<> parked;
  const auto coroutine = [&]() -> Task<int> {
    Track track({{"who", "coroutine"}});
    co_await outlay::preserve(Park{parked});
    co_return 0;
  };
  {
    Task<int> task = coroutine();
    Context().bind([&] { task.start(); })();
  }  // by its owner
  std::coroutine_handle<> second;
  {
    // By whoever holds the handle that the awaitable was given: that one is the coroutine, as far as it knows.
    struct Owned {
      struct promise_type {
        Owned get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept {}
      };
    };
    bool destroyed = false;
    struct Flag {
      bool& flag;
      ~Flag() { flag = true; }
    };
    const auto detached = [&]() -> Owned {
      const Flag flag{destroyed};
      Track track({{"who", "detached"}});
      co_await outlay::preserve(Park{second});
    };
    Context().bind([&] { detached(); })();
    second.destroy();
    CHECK(destroyed);
  }
  CHECK(Context::current().empty());
}

TEST_CASE("preserve: an exception of the awaited task comes through with the context whole", "[asio][preserve]") {
  asio::thread_pool pool(2);
  Checks checks;
  const auto child = [&]() -> Task<int> {
    Track track({{"who", "child"}});
    co_await outlay::preserve(Schedule{pool});
    throw std::runtime_error("child");
  };
  const auto root = [&]() -> Task<int> {
    Track track({{"who", "root"}});
    try {
      co_await outlay::preserve(child());
    } catch (const std::runtime_error&) {
      checks.is(who(), "root");
    }
    co_return 0;
  };
  Task<int> task = root();
  Context().bind([&] { task.start(); })();
  pool.join();
  checks.report(1);
}
