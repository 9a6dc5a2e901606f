#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <vector>

namespace outlay::cli {

/// Tells when files have changed, and have stopped changing: one that is being written is not read by half.
///
/// It looks at them by name when it is asked. Notices of the system would miss files that are replaced through a link, as a cluster does.
class Watch {
 public:
  /// What is there now of other files than before is known.
  ///
  /// \param files Empty names are left out.
  void set(const std::vector<std::filesystem::path>& files);
  /// What is there now is known.
  void take() { told_ = seen_ = look(); }
  /// \return Something is there that was not known, and was there when this was asked before; it is known now.
  [[nodiscard]] bool changed();

 private:
  struct Stamp {
    std::int64_t seconds = 0, nanoseconds = 0, size = -1;
    std::uint64_t file = 0;
    bool operator==(const Stamp&) const = default;
  };
  [[nodiscard]] std::vector<Stamp> look() const;

  std::vector<std::filesystem::path> files_{};
  std::vector<Stamp> seen_{}, told_{};
};

}  // namespace outlay::cli
