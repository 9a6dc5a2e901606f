#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace outlay::detail {

/// The largest price file that is read.
inline constexpr std::size_t max_price_file = 64u << 20;

/// A JSON document as a flat list of what its parser read, with the exact text of its numbers. A value is named by its index.
struct Tape {
  enum class Kind : std::uint8_t { object, array, key, string, number, boolean, null };

  struct Event {
    std::string_view text;   // of keys, strings, numbers and booleans
    std::uint32_t next = 0;  // the index behind this value
    Kind kind = Kind::null;
  };

  std::vector<Event> events;
  std::deque<std::string> copies;  // texts that the input does not hold in one piece: those with escapes
};

/// Records `text`, which must outlive the tape. The value at index 0 is an object.
///
/// \par Errors
/// ConfigError that names `file` and the place, as refuse_prices() makes it.
void read_tape(std::string_view text, std::string_view file, Tape& tape);

/// Throws the ConfigError of a price file.
[[noreturn]] void refuse_prices(std::string_view file, const std::string& what);

/// The members of an object, in order.
class Members {
 public:
  struct Member {
    std::string_view key;
    std::uint32_t value;
  };
  class Iterator {
   public:
    Iterator(const Tape& tape, std::uint32_t at) noexcept : tape_(&tape), at_(at) {}
    Member operator*() const noexcept { return {tape_->events[at_].text, at_ + 1}; }
    Iterator& operator++() noexcept {
      at_ = tape_->events[at_ + 1].next;
      return *this;
    }
    bool operator==(const Iterator& other) const noexcept { return at_ == other.at_; }

   private:
    const Tape* tape_;
    std::uint32_t at_;
  };
  Members(const Tape& tape, std::uint32_t object) noexcept : tape_(tape), object_(object) {}
  [[nodiscard]] Iterator begin() const noexcept { return {tape_, object_ + 1}; }
  [[nodiscard]] Iterator end() const noexcept { return {tape_, tape_.events[object_].next}; }

 private:
  const Tape& tape_;
  std::uint32_t object_;
};

}  // namespace outlay::detail
