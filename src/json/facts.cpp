#include "facts.hpp"

#include <bit>
#include <charconv>

namespace outlay::detail {

namespace {

constexpr std::uint32_t bit(Field field) noexcept { return std::uint32_t{1} << static_cast<unsigned>(field); }

// `total` alone says nothing of how to price it, and searches come on top.
constexpr std::uint32_t billed = bit(Field::input) | bit(Field::output) | bit(Field::cached) | bit(Field::cache_write) |
                                 bit(Field::tool_input) | bit(Field::server_output);

}  // namespace

void Facts::set(Field field, std::int64_t value) noexcept {
  usage_now = true;
  if (value < 0 || value > Usage::max_count) {
    if (invalid == Field::none) invalid = field;
    return;
  }
  counts[static_cast<std::size_t>(field)] = value;
  present |= bit(field);
}

void Facts::clear(Field field) noexcept {
  counts[static_cast<std::size_t>(field)] = 0;
  present &= ~bit(field);
}

void Facts::begin_event() noexcept {
  usage_now = done_now = empty_choices = false;
  choices_now = 0;
  list = Field::none;
  type.clear();
}

bool Facts::all_finished() const noexcept { return finished != 0 && std::popcount(finished) >= choices_seen; }

bool Facts::reported() const noexcept { return (present & billed) != 0; }

std::string_view to_string(Field field) noexcept {
  switch (field) {
    case Field::input:
      return "input tokens";
    case Field::output:
      return "output tokens";
    case Field::total:
      return "total tokens";
    case Field::cached:
      return "cached input tokens";
    case Field::cache_write:
      return "cache write tokens";
    case Field::cache_write_1h:
      return "long cache write tokens";
    case Field::reasoning:
      return "reasoning tokens";
    case Field::input_audio:
      return "audio input tokens";
    case Field::input_image:
      return "image input tokens";
    case Field::cached_audio:
      return "cached audio tokens";
    case Field::output_audio:
      return "audio output tokens";
    case Field::output_image:
      return "image output tokens";
    case Field::web_searches:
      return "web searches";
    case Field::tool_input:
      return "tool-use input tokens";
    case Field::extra_input:
      return "compaction input tokens";
    case Field::extra_output:
      return "compaction output tokens";
    case Field::server_cached:
      return "timings.cache_n";
    case Field::server_input:
      return "timings.prompt_n";
    case Field::server_output:
      return "timings.predicted_n";
    case Field::cost:
    case Field::cost_ticks:
      return "cost";
    default:
      return "";
  }
}

std::optional<Usd> read_cost(std::string_view text, int scale) noexcept {
  // Digits as one integer and a power of ten; whatever lies beyond 19 digits can only decide a rounding.
  std::size_t i = 0;
  if (i < text.size() && text[i] == '+') ++i;
  std::int64_t digits = 0;
  int power = -scale;
  bool any = false, point = false, rest = false, full = false;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.') {
      if (point) return std::nullopt;
      point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    any = true;
    if (!full && digits <= (INT64_MAX - 9) / 10) {
      digits = digits * 10 + (c - '0');
      if (point) --power;
    } else {
      full = true;
      rest = rest || c != '0';
      if (!point) ++power;
    }
  }
  if (!any) return std::nullopt;
  if (i < text.size()) {
    if (text[i] != 'e' && text[i] != 'E') return std::nullopt;
    ++i;
    if (i < text.size() && text[i] == '+') ++i;
    int exponent = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + i, end, exponent);
    if (error != std::errc{} || stop != end || exponent < -1000 || exponent > 1000) return std::nullopt;
    power += exponent;
  }
  power += 9;  // to nano-dollars
  if (digits == 0) return Usd{};
  for (; power > 0; --power)
    if (__builtin_mul_overflow(digits, 10, &digits)) return std::nullopt;
  int last = 0;  // the digit just cut off; `rest` tells whether anything non-zero lies behind it
  for (; power < 0 && (digits != 0 || last != 0); ++power) {
    rest = rest || last != 0;
    last = static_cast<int>(digits % 10);
    digits /= 10;
  }
  if (power < 0) rest = rest || last != 0, last = 0;
  if (last > 5 || (last == 5 && (rest || digits % 2 != 0))) ++digits;
  return Usd::from_nanos(digits);
}

}  // namespace outlay::detail
