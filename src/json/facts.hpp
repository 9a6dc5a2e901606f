#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/usage.hpp"
#include "outlay/usd.hpp"

namespace outlay::detail {

/// What a place in a reply means. Counts come first: they index Facts::counts.
enum class Field : std::uint8_t {
  // Counts, as the provider means them: inside or outside one another. The API's Format makes a Usage of them.
  input,
  output,
  total,
  cached,
  cache_write,     // everything written to a cache, or where only its lives are reported: nothing
  cache_write_5m,  // of which
  cache_write_1h,  // of which
  reasoning,
  reasoning_beside,  // where a host reports it beside its totals (Perplexity), if the numbers say so
  citations,         // Perplexity: read for the answer, and billed as input beside the prompt
  input_audio,
  input_image,
  cached_audio,
  output_audio,
  output_image,
  web_searches,
  file_searches,
  document_searches,  // xAI: billed as those, and counted beside them
  code_sessions,
  other_tools,
  tool_input,    // Gemini: input that tools fed back, outside `input`
  search_items,  // what is billed by use among the output's items, for replies that do not count it
  file_items,
  image_items,
  image_input,  // of a tool that makes images: of a model of its own
  image_input_image,
  image_cached,
  image_output,
  server_cached,  // what a server counted beside what it bills: llama.cpp's timings, Cohere's tokens
  server_input,
  server_output,
  metered_input,  // what Bedrock counted in place of the vendor, the cache beside the input
  metered_cached,
  metered_written,
  metered_output,
  counts_end,

  // Read into a member of Facts.
  model,
  service_tier,
  speed,  // "fast", "optimized": dearer, whatever the tier
  geo,    // where it was computed
  search_size,
  type,        // the name of an event
  finish,      // a finish reason
  status,      // how far a reply has come
  done,        // a true says: the end
  cost,        // USD as a decimal
  cost_ticks,  // USD in units of 10^-10
  heard,       // how long a prompt's sound is
  byok,        // a true: the provider behind a gateway has billed the caller itself
  upstream_cost,
  upstream_input_cost,  // its parts
  upstream_output_cost,
  error,  // a string or an object: the provider reports an error
  error_code,
  error_type,
  choice_index,
  tool_index,
  tool_id,
  tool_name,
  thought,      // a true makes the part that it is in reasoning
  query,        // of a search
  image_query,  // of a search of images: billed beside one of the web for the same words
  entry_query,  // of a search, if the entry is one
  container,    // that a tool ran in: each is billed once
  tool_model,   // of a tool that is a model
  tool_type,    // of a tool that the request offered, as the reply repeats it
  label,        // of an entry of a list: its modality, its life, its type
  entry_model,
  entry_count,  // the counts of such an entry
  entry_5m,
  entry_1h,
  entry_input,
  entry_cached,
  entry_output,
  action,   // of an output item
  ignored,  // known, and no matter: what it says is not billed, or is said elsewhere

  // Text.
  text,
  reasoning_text,
  reasoning_again,  // counts where the event has no other
  tool_arguments,   // a string, or any value, which is then written as JSON

  // Objects and arrays.
  choices,
  choice,
  delta,  // of a choice: what is new
  whole,  // of a choice: the answer; in a stream it repeats the deltas
  tool,
  part,
  usage,  // an object whose every member is to be read
  modalities_input,
  modalities_cached,
  modalities_output,
  cache_details,
  iterations,
  output_items,
  tool_counts,
  entry,  // of whichever list is open
  maps,   // the answer rests on a map: billed by use
  none,
};
inline constexpr std::size_t count_fields = static_cast<std::size_t>(Field::counts_end);

/// One pass of a model within a call, as a reply lists them.
struct Iteration {
  std::string type;
  std::string model;  // empty: the reply's own
  std::int64_t input = 0, cached = 0, written = 0, written_1h = 0, output = 0;
};

/// What has been read of a reply, a stream's events merged member by member.
///
/// The last report of a count wins, but a 0 never replaces one: some events repeat members that they know nothing of. Within one event the
/// largest wins, so that neither the order of members nor a second name for the same count matters.
struct Facts {
  struct Numbers {
    std::array<std::int64_t, count_fields> counts{};
    std::uint64_t present = 0;    // bit n: counts[n] was reported
    Field invalid = Field::none;  // the first count that is not valid
    std::optional<Usd> cost, cost_ticks, upstream_cost, upstream_input_cost, upstream_output_cost;
  };
  Numbers numbers;
  std::string model;
  std::string admitted_model;  // that the request went to, where it is known: for a reply that does not name its own
  std::string tier;            // as the provider names it
  std::string service_tier;    // as it is priced: of the tier, the speed and the place
  std::string speed;
  std::string geo;
  std::string type;
  std::string finish;           // of the first answer that has one
  std::string tool_model;       // of a tool that is a model
  bool preview_search = false;  // the searches were those of the earlier tool
  std::vector<Iteration> iterations;
  struct Generated {
    std::int32_t choice = 0;
    std::int64_t output = 0, reasoning = 0;
  };
  std::vector<Generated> generated;       // by each choice that has a usage of its own
  std::vector<std::uint64_t> queries;     // hashes of the different queries seen
  std::vector<std::uint64_t> containers;  // the same of containers
  std::string unread;                     // a member of the usage that no path names; empty: none
  std::uint64_t finished = 0;             // bit n: choice n has a finish reason
  std::uint64_t at_ceiling = 0;           // bit n: choice n ended because it had reached the request's ceiling
  bool done = false;                      // the API's own end
  bool free = false;                      // no model ran: there is nothing to bill for one
  bool pending = false;                   // a reply that has not been made yet
  bool broken_off = false;                // a reply that has ended before its end
  bool final_usage = false;               // the usage reported is the last one
  bool saw_delta = false;
  bool error = false;
  int error_status = 0;
  std::int32_t choices_seen = 0;

  // Of the event that is being read.
  Numbers before;  // the numbers as they were, where `touched`
  std::uint64_t finished_before = 0;
  std::uint64_t at_ceiling_before = 0;
  bool done_before = false;
  bool final_usage_before = false;
  bool touched = false;                  // it carries numbers
  std::uint64_t set_now = 0;             // bit n: the count was set by this event
  bool usage_now = false;                // it carries counts
  std::array<std::int64_t, 3> beside{};  // what was generated so far, while the usage of a choice is read
  std::uint64_t beside_now = 0;          // those of it that this event has set
  bool done_now = false;                 // it says that it is the last
  bool empty_choices = false;            // it carries an empty `choices`
  std::int32_t choices_now = 0;

  // Of the list that is being read, and its entry.
  Field list = Field::none;
  std::array<std::int64_t, count_fields> sums{};
  std::uint64_t summed = 0;
  std::vector<Iteration> iterations_now;
  std::string label;
  std::string action;
  std::string called;  // the tool that was named last
  std::string entry_model;
  std::vector<std::uint64_t> entry_queries;  // hashes
  std::int64_t entry_count = 0;
  std::int64_t entry_5m = 0;
  std::int64_t entry_1h = 0;
  std::int64_t entry_input = 0;
  std::int64_t entry_cached = 0;
  std::int64_t entry_output = 0;

  [[nodiscard]] bool has(Field field) const noexcept {
    return (numbers.present >> static_cast<unsigned>(field) & 1U) != 0;
  }
  [[nodiscard]] std::int64_t get(Field field) const noexcept { return numbers.counts[static_cast<std::size_t>(field)]; }
  void set(Field field, std::int64_t value) noexcept;
  /// Adds to a count of the list that is open; end_list() sets what was added up.
  void add(Field field, std::int64_t value) noexcept;
  void begin_list(Field which) noexcept;
  void end_list();
  /// Takes the entry's queries for those of searches that were run.
  void search_by_entry();
  /// A usage within a choice begins: it is the choice's alone, of what it generated.
  void begin_choice_usage() noexcept;
  /// The choice ends whose usage this was: what was generated is what all of them report, or what the event says of it beside them if that
  /// is more.
  void end_choice_usage(std::int32_t choice);
  /// One more of a count, for what a stream shows one by one.
  void count_up(Field field) noexcept { set(field, get(field) + 1); }
  /// Whether a count from outside can be one; notes the first that cannot.
  bool believes(Field field, std::int64_t value) noexcept;
  void begin_event() noexcept;
  /// Takes back what the event said: it broke off, and what looks like a 5 may be the beginning of 57.
  void undo_event() noexcept;
  void add_cost(Field field, Usd usd);

  /// Composes `service_tier`: `flex`, `fast`, `us`, `fast+us`.
  void compose_tier();

  /// Every answer that has begun has a finish reason.
  [[nodiscard]] bool all_finished() const noexcept;
  /// Of the ceiling over all answers, what those took that ended at theirs.
  [[nodiscard]] std::int64_t reached(std::int64_t ceiling) const noexcept;
  /// Some of what is billed by the token was reported.
  [[nodiscard]] bool reported() const noexcept;
  /// The same, and not only zeros of it.
  [[nodiscard]] bool used() const noexcept;
  /// Something that is billed by use was reported or shown.
  [[nodiscard]] bool used_tools() const noexcept;
  /// The charge that the provider states, with that of the provider behind it where that one bills the caller itself.
  [[nodiscard]] std::optional<Usd> provider_cost() const noexcept;
  /// What the error is called: its number, its type or its code, in this order; whichever stands first in the reply.
  [[nodiscard]] std::string error_code() const;

  [[nodiscard]] Field invalid() const noexcept { return numbers.invalid; }

  std::string error_number, error_type, error_word;
  bool byok = false;
  bool heard = false;  // the prompt has sound

 private:
  void touch() noexcept;
};

[[nodiscard]] std::string_view to_string(Field field) noexcept;

/// A decimal number's text in units of 10^-`scale` USD, to nano-dollars, half to even. Empty for what is not a number, negative or too
/// large. Exponents are read; the locale is not.
[[nodiscard]] std::optional<Usd> read_cost(std::string_view text, int scale = 0) noexcept;

}  // namespace outlay::detail
