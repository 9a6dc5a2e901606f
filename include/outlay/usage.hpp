#pragma once

#include <compare>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include "outlay/detail/export.hpp"
#include "outlay/usd.hpp"

namespace outlay {

/// What one call used, in disjoint token buckets.
///
/// `input`, `cache_read`, `cache_write`, `cache_write_1h` and `output` never overlap. The members marked *of which* are parts of
/// another one and add nothing to a total.
///
/// \par Units
/// Tokens, unless the member says otherwise. Each is between 0 and Usage::max_count; a usage with another count is refused
/// (errc::invalid_usage).
struct OUTLAY_EXPORT Usage {
  std::int64_t input{};           ///< Input that was neither read from nor written to a cache.
  std::int64_t cache_read{};      ///< Input read from the provider's prompt cache.
  std::int64_t cache_write{};     ///< Input written to the cache with the default life (5 minutes; 30 on some models).
  std::int64_t cache_write_1h{};  ///< Input written to the cache with the longer life.
  std::int64_t output{};          ///< Everything generated, `reasoning` included.
  std::int64_t reasoning{};       ///< Of which of `output`: hidden or visible reasoning.
  std::int64_t input_audio{};     ///< Of which of `input`.
  std::int64_t input_image{};     ///< Of which of `input`.
  std::int64_t cache_read_audio{};  ///< Of which of `cache_read`.
  std::int64_t output_audio{};      ///< Of which of `output`.
  std::int64_t output_image{};      ///< Of which of `output`.
  std::int64_t web_searches{};      ///< Searches of the web. Not tokens, as all that follow; each billed by use.
  std::int64_t file_searches{};     ///< Searches of files or collections that the provider keeps.
  std::int64_t code_sessions{};     ///< Containers in which the provider ran code.
  std::int64_t other_tools{};  ///< Uses of other tools of the provider that it bills by use: maps, pictures, rankings.

  /// The largest count that is accepted: two thousand million of anything in one call is a fault, not a usage.
  static constexpr std::int64_t max_count = 2'000'000'000;

  /// The four input buckets.
  [[nodiscard]] constexpr std::int64_t input_total() const noexcept {
    return input + cache_read + cache_write + cache_write_1h;
  }
  /// The four input buckets plus output: what a `tokens` cap counts.
  [[nodiscard]] constexpr std::int64_t total() const noexcept { return input_total() + output; }

  /// The name of the first member that is negative or above max_count, or of an *of which* that exceeds its whole; null if none.
  [[nodiscard]] const char* first_invalid() const noexcept;

  /// Adds member by member; unchecked, so for sums of usages that are valid.
  constexpr Usage& operator+=(const Usage& other) noexcept {
    input += other.input, cache_read += other.cache_read, cache_write += other.cache_write;
    cache_write_1h += other.cache_write_1h, output += other.output, reasoning += other.reasoning;
    input_audio += other.input_audio, input_image += other.input_image, cache_read_audio += other.cache_read_audio;
    output_audio += other.output_audio, output_image += other.output_image, web_searches += other.web_searches;
    file_searches += other.file_searches, code_sessions += other.code_sessions, other_tools += other.other_tools;
    return *this;
  }
  /// Member by member.
  constexpr bool operator==(const Usage&) const noexcept = default;
};
/// Prints the members that are not zero: `input=388 cache_read=512 output=60 reasoning=16`; `nothing` where all are.
[[nodiscard]] OUTLAY_EXPORT std::string to_string(const Usage& usage);
/// Writes to_string(usage).
OUTLAY_EXPORT std::ostream& operator<<(std::ostream& out, const Usage& usage);

/// What another model than the one that answered took of a call: an advisor, one that declined before a fallback, one that made pictures.
struct UsagePart {
  /// The other model.
  std::string model{};
  /// What it took.
  Usage usage{};

  /// Member by member.
  bool operator==(const UsagePart&) const = default;
};

/// What a cap can be put on.
enum class Dimension : std::uint8_t {
  usd,            ///< Money.
  tokens,         ///< Usage::total().
  input_tokens,   ///< Usage::input_total().
  output_tokens,  ///< Usage::output.
  calls,          ///< Calls that were admitted and not released.
  concurrent,     ///< Calls in flight: admitted and not yet ended.
};
/// The dimension's name: `"usd"`, `"input_tokens"`.
[[nodiscard]] OUTLAY_EXPORT const char* to_string(Dimension dimension) noexcept;

/// An amount in one dimension: money, or a count.
class OUTLAY_EXPORT Amount {
 public:
  /// No money.
  constexpr Amount() noexcept = default;
  /// Money.
  constexpr Amount(Usd usd) noexcept : value_(usd.nanos()) {}  // NOLINT: implicit by design
  /// \par Units
  /// Of `value`: nano-dollars for Dimension::usd, else a count.
  constexpr Amount(Dimension dimension, std::int64_t value) noexcept : value_(value), dimension_(dimension) {}

  /// Money, or what is counted.
  [[nodiscard]] constexpr Dimension dimension() const noexcept { return dimension_; }
  /// The money.
  ///
  /// \par Errors
  /// Error with errc::invalid_argument for a count.
  [[nodiscard]] constexpr Usd usd() const {
    if (dimension_ != Dimension::usd) throw_wrong_kind();
    return Usd::from_nanos(value_);
  }
  /// The count.
  ///
  /// \par Errors
  /// Error with errc::invalid_argument for money.
  [[nodiscard]] constexpr std::int64_t count() const {
    if (dimension_ == Dimension::usd) throw_wrong_kind();
    return value_;
  }

  /// The same amount in the same dimension.
  constexpr bool operator==(const Amount&) const noexcept = default;
  /// Amounts in different dimensions are neither less nor greater.
  [[nodiscard]] friend constexpr std::partial_ordering operator<=>(const Amount& a, const Amount& b) noexcept {
    if (a.dimension_ != b.dimension_) return std::partial_ordering::unordered;
    return a.value_ <=> b.value_;
  }

 private:
  [[noreturn]] void throw_wrong_kind() const;

  std::int64_t value_ = 0;
  Dimension dimension_ = Dimension::usd;
};

/// Prints `$0.01` for money, `1500` for a count.
[[nodiscard]] OUTLAY_EXPORT std::string to_string(Amount amount);
/// Writes to_string(amount).
OUTLAY_EXPORT std::ostream& operator<<(std::ostream& out, Amount amount);

/// An amount in every dimension.
struct Amounts {
  /// Money.
  Usd usd{};
  /// Usage::total().
  std::int64_t tokens{};
  /// Usage::input_total().
  std::int64_t input_tokens{};
  /// Usage::output.
  std::int64_t output_tokens{};
  /// Calls that were admitted and not released.
  std::int64_t calls{};
  std::int64_t concurrent{};  ///< In `reserved()`: calls in flight. Always 0 in `spent()`.

  /// Member by member.
  constexpr bool operator==(const Amounts&) const noexcept = default;
};
/// Prints the members that are not zero: `usd=$0.01 tokens=1500 calls=1`; `nothing` where all are.
[[nodiscard]] OUTLAY_EXPORT std::string to_string(const Amounts& amounts);
/// Writes to_string(amounts).
OUTLAY_EXPORT std::ostream& operator<<(std::ostream& out, const Amounts& amounts);

/// The caps of a budget; a dimension without a value is not capped.
struct Limits {
  /// On money.
  std::optional<Usd> usd{};
  /// On Usage::total().
  std::optional<std::int64_t> tokens{};
  /// On Usage::input_total().
  std::optional<std::int64_t> input_tokens{};
  /// On Usage::output.
  std::optional<std::int64_t> output_tokens{};
  /// On calls.
  std::optional<std::int64_t> calls{};
  /// On calls in flight.
  std::optional<std::int64_t> concurrent{};

  /// The same caps.
  bool operator==(const Limits&) const noexcept = default;
};
/// Prints the members that have a value: `usd=$0.01 calls=0`; `none` where none has.
[[nodiscard]] OUTLAY_EXPORT std::string to_string(const Limits& limits);
/// Writes to_string(limits).
OUTLAY_EXPORT std::ostream& operator<<(std::ostream& out, const Limits& limits);

}  // namespace outlay
