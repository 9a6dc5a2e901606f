#include "cli/child.hpp"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX has more in it than <csignal>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <iterator>

extern char** environ;  // NOLINT: POSIX

namespace outlay::cli {

namespace {

constexpr int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

std::atomic<pid_t> running{0};
std::atomic<unsigned> waiting{0};  // a bit for each of passed_on
static_assert(std::atomic<pid_t>::is_always_lock_free && std::atomic<unsigned>::is_always_lock_free,
              "used by a signal handler");

/// What has come before the command's number was known waits for it.
void deliver() noexcept {
  const pid_t pid = running;
  if (pid <= 0) return;
  const unsigned bits = waiting.exchange(0);
  for (unsigned i = 0; i < std::size(passed_on); ++i)
    if (bits & (1U << i)) ::kill(pid, passed_on[i]);
}

void pass_on(int signal, siginfo_t* info, void*) {
  const int error = errno;
  // What the terminal sends reaches the whole group: the command must not get it twice.
  const bool from_a_process = info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL;
  for (unsigned i = 0; i < std::size(passed_on); ++i)
    if (from_a_process && passed_on[i] == signal) waiting |= 1U << i;
  deliver();
  errno = error;
}

}  // namespace

Environment own_environment() {
  Environment all;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string text(*entry);
    const std::size_t equals = text.find('=');
    if (equals != text.npos) all.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return all;
}

int Child::start(const std::vector<std::string>& command, const Environment& environment) {
  std::vector<std::string> texts;
  texts.reserve(environment.size());
  for (const auto& [name, value] : environment) texts.push_back(name + "=" + value);
  std::vector<char*> variables, arguments;
  for (std::string& text : texts) variables.push_back(text.data());
  variables.push_back(nullptr);
  std::vector<std::string> words = command;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  posix_spawnattr_t attributes;
  if (const int error = ::posix_spawnattr_init(&attributes)) return error;
  // The command begins with the signals as this process has got them; what was ignored stays so, as nohup means it.
  sigset_t own;
  ::sigemptyset(&own);
  for (const int signal : passed_on) {
    struct sigaction action{};
    action.sa_sigaction = pass_on;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    struct sigaction before{};
    ::sigaction(signal, nullptr, &before);
    if (before.sa_handler == SIG_IGN) continue;
    ::sigaction(signal, &action, nullptr);
    ::sigaddset(&own, signal);
  }
  ::sigaddset(&own, SIGCHLD);
  ::sigaddset(&own, SIGPIPE);
  ::posix_spawnattr_setsigdefault(&attributes, &own);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  const int error = ::posix_spawnp(&pid_, arguments.front(), nullptr, &attributes, arguments.data(), variables.data());
  ::posix_spawnattr_destroy(&attributes);
  if (error) pid_ = 0;
  running = pid_;
  deliver();
  return error;
}

bool Child::ended() {
  if (pid_ == 0) return true;
  const pid_t done = ::waitpid(pid_, &status_, WNOHANG);
  if (done == 0 || (done < 0 && errno == EINTR)) return false;
  running = 0;
  pid_ = 0;
  return true;
}

int Child::exit_code() const noexcept { return WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_); }

}  // namespace outlay::cli
