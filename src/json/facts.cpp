#include "facts.hpp"

#include <bit>

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
  if (text.starts_with('-')) return std::nullopt;
  const Decimal nanos = read_decimal(text, 9 - scale, {.sign = true, .exponent = true});
  if (nanos.error != DecimalError::none) return std::nullopt;
  return Usd::from_nanos(nanos.value);
}

}  // namespace outlay::detail
