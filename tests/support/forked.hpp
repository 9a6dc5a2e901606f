#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <utility>

#include "support/catch.hpp"

// ThreadSanitizer ends a child of a process with threads that starts a thread, so there these cases say that they did not run.
#if defined(__SANITIZE_THREAD__)
#define OUTLAY_TEST_NO_FORK 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OUTLAY_TEST_NO_FORK 1
#endif
#endif
#ifdef OUTLAY_TEST_NO_FORK
#define NEEDS_FORK()                                                      \
  do {                                                                    \
    WARN("skipped: ThreadSanitizer allows no threads in a forked child"); \
    return;                                                               \
  } while (false)
#else
#define NEEDS_FORK() static_cast<void>(0)
#endif

namespace outlay_test {

/// A child of a fork, which runs `body` and then ends as a program does: by exit(), with what `body` returned.
class ForkedChild {
 public:
  template <class F>
  explicit ForkedChild(F&& body) {
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ != 0) return;
    ::alarm(60);  // ends a child that hangs
    int status = 99;
    try {
      status = std::forward<F>(body)();
    } catch (const std::exception& thrown) {
      std::fprintf(stderr, "child: %s\n", thrown.what());
    }
    std::exit(status);  // NOLINT(concurrency-mt-unsafe): there is one thread
  }
  ForkedChild(const ForkedChild&) = delete;
  ForkedChild& operator=(const ForkedChild&) = delete;
  ~ForkedChild() {
    if (pid_ > 0) static_cast<void>(wait());
  }
  /// \return Its status, or -n where signal n has ended it.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_ = 0;
};

}  // namespace outlay_test
