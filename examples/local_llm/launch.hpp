#pragma once

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

extern "C" char** environ;  // NOLINT: POSIX leaves its declaration to the program

/// A local_llm process of one's own: started on a free port, ended with this object, or with this process however that ends.
class LocalLlm {
 public:
  /// \param options Its command line, without --port. Output of each request is turned off.
  explicit LocalLlm(std::vector<std::string> options = {}, const std::string& program = beside("local_llm")) {
    options.insert(options.begin(), {program, "--port", "0", "--quiet", "--exit-with-stdin"});
    std::vector<char*> words;
    words.reserve(options.size() + 1);
    for (std::string& option : options) words.push_back(option.data());
    words.push_back(nullptr);

    int in[2];
    int out[2];
    if (::pipe2(in, O_CLOEXEC) != 0) fail("pipe");
    if (::pipe2(out, O_CLOEXEC) != 0) fail("pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    const int error = ::posix_spawn(&process_, program.c_str(), &actions, nullptr, words.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    to_it_ = in[1];
    from_it_ = out[0];
    if (error != 0) {
      process_ = -1;
      close_pipes();
      throw std::runtime_error("cannot start " + program + ": " + std::generic_category().message(error) +
                               "; build the target local_llm first");
    }
    const std::string first = read_line();
    const std::string expected = "listening on ";
    if (!first.starts_with(expected)) {
      stop();
      throw std::runtime_error(program + " did not start");
    }
    address_ = first.substr(expected.size());
  }
  LocalLlm(const LocalLlm&) = delete;
  LocalLlm& operator=(const LocalLlm&) = delete;
  ~LocalLlm() { stop(); }

  /// `http://127.0.0.1:PORT/v1`.
  [[nodiscard]] std::string url() const { return "http://" + address_ + "/v1"; }

  /// Ends it and returns its last line, which counts what it did. Empty the second time.
  std::string stop() {
    if (process_ < 0) return {};
    ::kill(process_, SIGTERM);
    std::string last;
    for (std::string line = read_line(); !line.empty(); line = read_line()) last = std::move(line);
    int status = 0;
    while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
    }
    process_ = -1;
    close_pipes();
    return last;
  }

  /// A program in the directory of this one.
  static std::string beside(const std::string& name) {
    char self[PATH_MAX];
    const ssize_t size = ::readlink("/proc/self/exe", self, sizeof self);
    if (size <= 0) return "./" + name;
    const std::string path(self, static_cast<std::size_t>(size));
    return path.substr(0, path.rfind('/') + 1) + name;
  }

 private:
  [[noreturn]] static void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }
  void close_pipes() {
    ::close(to_it_);
    ::close(from_it_);
  }
  std::string read_line() {
    std::string line;
    char c{};
    while (line.size() < 4'096) {
      const ssize_t got = ::read(from_it_, &c, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0 || c == '\n') break;
      line += c;
    }
    return line;
  }

  pid_t process_ = -1;
  int to_it_ = -1;
  int from_it_ = -1;
  std::string address_{};
};
