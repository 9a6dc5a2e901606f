#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "outlay/usage.hpp"
#include "outlay/usd.hpp"

namespace outlay::detail {

/// What a place in a reply means. Counts come first: they index Facts::counts.
enum class Field : std::uint8_t {
  // Counts, as the provider means them: inside or outside one another. The API's row makes a Usage of them.
  input,
  output,
  total,
  cached,
  cache_write,
  cache_write_1h,
  reasoning,
  input_audio,
  input_image,
  cached_audio,
  output_audio,
  output_image,
  web_searches,
  tool_input,   // Gemini: input that tools fed back, outside `input`
  extra_input,  // Anthropic: compaction, outside the totals
  extra_cached,
  extra_write,
  extra_output,
  search_items,   // searches among the output's items, for replies that do not count them
  server_cached,  // llama.cpp's timings, for replies without usage
  server_input,
  server_output,
  counts_end,

  // Read into a member of Facts.
  model,
  service_tier,
  type,        // the name of an event
  finish,      // a finish reason
  status,      // how far a reply has come
  done,        // a true says: the end
  cost,        // USD as a decimal
  cost_ticks,  // USD in units of 10^-10
  error,       // a string or an object: the provider reports an error
  error_code,
  error_type,
  choice_index,
  tool_index,
  tool_id,
  tool_name,
  thought,      // a true makes the part that it is in reasoning
  label,        // of an entry of a list: its modality, its life, its type
  entry_count,  // the counts of such an entry
  entry_input,
  entry_cached,
  entry_output,
  action,  // of an output item

  // Text.
  text,
  reasoning_text,
  tool_arguments,  // a string, or any value, which is then written as JSON

  // Objects and arrays, for Hooks.
  choices,
  choice,
  tool,
  part,
  modalities_input,
  modalities_cached,
  modalities_output,
  cache_details,
  iterations,
  searches,
  output_items,
  entry,  // of whichever list is open
  none,
};
inline constexpr std::size_t count_fields = static_cast<std::size_t>(Field::counts_end);

/// What has been read of a reply, a stream's events merged member by member: the last one that is not null wins.
struct Facts {
  std::array<std::int64_t, count_fields> counts{};
  std::uint32_t present = 0;    // bit n: counts[n] was reported
  Field invalid = Field::none;  // the first count that is not valid
  std::string model;
  std::string service_tier;
  std::string type;
  std::optional<Usd> cost;
  std::uint64_t finished = 0;  // bit n: choice n has a finish reason
  bool done = false;           // the API's own end
  bool pending = false;        // a reply that has not been made yet
  bool final_usage = false;    // the usage reported is the last one
  bool error = false;
  std::string error_code;
  int error_status = 0;
  std::int32_t choices_seen = 0;

  // Of the event that is being read.
  bool usage_now = false;      // it carries counts
  bool done_now = false;       // it says that it is the last
  bool empty_choices = false;  // it carries an empty `choices`
  std::int32_t choices_now = 0;

  // Of the list entry that is being read.
  Field list = Field::none;
  std::string label;
  std::string action;
  std::int64_t entry_count = 0;
  std::int64_t entry_input = 0;
  std::int64_t entry_cached = 0;
  std::int64_t entry_output = 0;

  [[nodiscard]] bool has(Field field) const noexcept { return (present >> static_cast<unsigned>(field) & 1U) != 0; }
  [[nodiscard]] std::int64_t get(Field field) const noexcept { return counts[static_cast<std::size_t>(field)]; }
  void set(Field field, std::int64_t value) noexcept;
  void add(Field field, std::int64_t value) noexcept { set(field, has(field) ? get(field) + value : value); }
  /// Starts a count again, as each event's lists do.
  void clear(Field field) noexcept;
  void begin_event() noexcept;
  /// Every answer that has begun has a finish reason.
  [[nodiscard]] bool all_finished() const noexcept;
  /// Some of what is billed by the token was reported.
  [[nodiscard]] bool reported() const noexcept;
};

[[nodiscard]] std::string_view to_string(Field field) noexcept;

/// A decimal number's text in units of 10^-`scale` USD, to nano-dollars, half to even. Empty for what is not a number, negative or too
/// large. Exponents are read; the locale is not.
[[nodiscard]] std::optional<Usd> read_cost(std::string_view text, int scale = 0) noexcept;

}  // namespace outlay::detail
