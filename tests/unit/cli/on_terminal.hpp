#pragma once

#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace command {

/// What a command prints on a terminal of `columns`.
inline std::string on_terminal(const std::string& arguments, unsigned short columns,
                               const std::string& variables = {}) {
  winsize size{};
  size.ws_row = 24;
  size.ws_col = columns;
  int terminal = -1;
  const pid_t pid = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (pid < 0) throw std::runtime_error("forkpty failed");
  if (pid == 0) {
    ::setenv("TERM", "xterm", 1);
    const std::string line = "exec env " + variables + " '" OUTLAY_COMMAND "' " + arguments;
    ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    ::_exit(127);
  }
  std::string out;
  std::array<char, 4096> block{};
  for (ssize_t size_read = 0; (size_read = ::read(terminal, block.data(), block.size())) > 0;)
    out.append(block.data(), static_cast<std::size_t>(size_read));
  ::close(terminal);
  ::waitpid(pid, nullptr, 0);
  std::erase(out, '\r');
  return out;
}

}  // namespace command
