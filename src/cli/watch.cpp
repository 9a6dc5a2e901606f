#include "cli/watch.hpp"

#include <utility>

namespace outlay::cli {

void Watch::set(const std::vector<std::filesystem::path>& files) {
  std::vector<std::filesystem::path> named;
  for (const std::filesystem::path& file : files)
    if (!file.empty()) named.push_back(file);
  if (named == files_) return;
  files_ = std::move(named);
  take();
}

bool Watch::changed() {
  const std::vector<Stamp> now = look();
  const bool still = now == std::exchange(seen_, now);
  return still && now != std::exchange(told_, still ? now : told_);
}

std::vector<Watch::Stamp> Watch::look() const {
  std::vector<Stamp> stamps;
  for (const std::filesystem::path& file : files_) {
    struct stat found{};
    Stamp stamp;
    if (::stat(file.c_str(), &found) == 0)
      stamp = {found.st_mtim.tv_sec, found.st_mtim.tv_nsec, found.st_size, found.st_ino};
    stamps.push_back(stamp);
  }
  return stamps;
}

}  // namespace outlay::cli
