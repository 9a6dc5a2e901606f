// Runs a command beside a local_llm of its own, which it finds in OPENAI_BASE_URL in the place of a provider.
//
// usage: with_local_llm COMMAND [ARGUMENT...]
// exit code: the command's; 127 if it cannot be started.
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "local_llm/launch.hpp"

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::cerr << "usage: with_local_llm COMMAND [ARGUMENT...]\n";
    return 2;
  }
  const LocalLlm model({"--ms-per-token", "0"});
  ::setenv("OPENAI_BASE_URL", model.url().c_str(), 1);
  ::setenv("OPENAI_API_KEY", "none-needed", 1);
  pid_t process = 0;
  if (::posix_spawnp(&process, argv[1], nullptr, nullptr, argv + 1, environ) != 0) {
    std::cerr << "with_local_llm: cannot start " << argv[1] << '\n';
    return 127;
  }
  int status = 0;
  while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
} catch (const std::exception& problem) {
  std::cerr << "with_local_llm: " << problem.what() << '\n';
  return 1;
}
