#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

namespace outlay_fuzz {

/// A promise that must hold for every input.
inline void check(bool holds) {
  if (!holds) std::abort();
}

/// An input read as a row of choices, so that mutations move along a format's members and not among its letters. At its end every choice
/// is the first one, and every text is empty.
class Choices {
 public:
  Choices(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const std::uint8_t first = rest_.front();
    rest_ = rest_.subspan(1);
    return first;
  }
  bool flag() { return byte() % 2 == 1; }
  /// 0 to `count` - 1.
  std::size_t below(std::size_t count) { return byte() % count; }
  template <class Row>
  auto one_of(const Row& row) {
    return row[below(std::size(row))];
  }
  std::int64_t number() {
    std::uint64_t value = 0;
    for (std::size_t bytes = below(9); bytes > 0; --bytes) value = value << 8U | byte();
    return static_cast<std::int64_t>(value);
  }
  /// At most `most` bytes, and at most 255.
  std::string text(std::size_t most) {
    const std::size_t wanted = std::min<std::size_t>({byte(), most, rest_.size()});
    std::string text(reinterpret_cast<const char*>(rest_.data()), wanted);
    rest_ = rest_.subspan(wanted);
    return text;
  }
  /// All that is left.
  std::string remainder() {
    std::string text(reinterpret_cast<const char*>(rest_.data()), rest_.size());
    rest_ = {};
    return text;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

}  // namespace outlay_fuzz
