#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <utility>

#include "support/catch.hpp"
#include "support/sanitizer.hpp"

// ThreadSanitizer ends a child of a process with threads that starts a thread. AddressSanitizer's allocator (g++ 12) takes no care of fork():
// a size class that another thread has locked stays locked in the child, whose threads wait for it for ever. So under both these cases say
// that they did not run.
#ifdef OUTLAY_TEST_SANITIZER
#define NEEDS_FORK()                                                                  \
  do {                                                                                \
    WARN("skipped: under this sanitizer a child of a fork cannot work with threads"); \
    return;                                                                           \
  } while (false)
#else
#define NEEDS_FORK() static_cast<void>(0)
#endif

namespace outlay_test {

/// A child of a fork, which runs `body` and then ends as a program does: by exit(), with what `body` returned.
class ForkedChild {
 public:
  template <class Body>
  explicit ForkedChild(const Body& body) {
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ != 0) return;
    ::alarm(60);  // ends a child that hangs
    int status = 99;
    try {
      status = body();
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
  void kill() const { ::kill(pid_, SIGKILL); }
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
