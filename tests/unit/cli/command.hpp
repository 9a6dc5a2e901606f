#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace command {

/// A directory of the test's own.
class Directory {
 public:
  Directory() {
    std::string pattern = std::filesystem::temp_directory_path() / "outlay_run_XXXXXX";
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).native(); }

 private:
  std::filesystem::path path_{};
};

struct Result {
  int status = -1;
  std::string out{};
  std::string err{};
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

/// Runs `<variables> outlay <arguments>` in a shell.
inline Result run_outlay(const std::string& arguments, const std::string& variables = {}) {
  const Directory directory;
  const std::string err = directory.file("err");
  Result result;
  std::FILE* pipe =
      ::popen(("exec env " + variables + " '" OUTLAY_COMMAND "' 2>'" + err + "' " + arguments).c_str(), "r");
  if (!pipe) throw std::runtime_error("popen failed");
  std::array<char, 4096> block{};
  for (std::size_t n = 0; (n = std::fread(block.data(), 1, block.size(), pipe)) != 0;)
    result.out.append(block.data(), n);
  const int status = ::pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.err = read_file(err);
  return result;
}

/// The end of a pipe that is read no longer: writing there is SIGPIPE, or EPIPE where that is ignored.
inline int pipe_without_reader() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw std::runtime_error("pipe failed");
  ::close(ends[0]);
  return ends[1];
}

}  // namespace command
