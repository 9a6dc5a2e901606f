#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <utility>

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
