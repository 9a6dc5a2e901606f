#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace outlay::cli {

using Environment = std::map<std::string, std::string>;

/// This process's own.
[[nodiscard]] Environment own_environment();

/// A command that runs beside this process, in its process group, with its files. At most one at a time.
///
/// Signals that other processes send to this one go on to the command. Those that the terminal sends reach it by themselves.
class Child {
 public:
  /// \return What posix_spawnp() says: 0 where the command runs.
  int start(const std::vector<std::string>& command, const Environment& environment);
  /// Never waits.
  ///
  /// \return Whether it has ended.
  bool ended();
  /// As a shell says it: its exit code, or 128 and the signal that ended it.
  [[nodiscard]] int exit_code() const noexcept;

 private:
  pid_t pid_ = 0;
  int status_ = 0;
};

}  // namespace outlay::cli
