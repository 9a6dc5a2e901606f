#include "facts.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace outlay::detail {

namespace {

static_assert(count_fields <= 64, "Facts::present has a bit for each");

constexpr std::uint64_t bit(Field field) noexcept { return std::uint64_t{1} << static_cast<unsigned>(field); }

// What is billed by use alone comes on top of these.
constexpr std::uint64_t billed = bit(Field::input) | bit(Field::output) | bit(Field::total) | bit(Field::cached) |
                                 bit(Field::cache_write) | bit(Field::cache_write_5m) | bit(Field::cache_write_1h) |
                                 bit(Field::tool_input) | bit(Field::server_output) | bit(Field::server_input) |
                                 bit(Field::metered_input) | bit(Field::metered_output);

// What each of several choices may report of itself.
constexpr std::array generated_fields{Field::output, Field::reasoning, Field::total};
constexpr std::uint64_t generated_bits = bit(Field::output) | bit(Field::reasoning) | bit(Field::total);

}  // namespace

bool Facts::believes(Field field, std::int64_t value) noexcept {
  if (value >= 0 && value <= Usage::max_count) return true;
  touch();
  if (numbers.invalid == Field::none) numbers.invalid = field;
  return false;
}

void Facts::touch() noexcept {
  if (touched) return;
  touched = true;
  before = numbers;
}

void Facts::undo_event() noexcept {
  if (touched) numbers = before;
  finished = finished_before;
  at_ceiling = at_ceiling_before;
  done = done_before;
  final_usage = final_usage_before;
}

void Facts::set(Field field, std::int64_t value) noexcept {
  usage_now = true;
  if (!believes(field, value)) return;
  touch();
  std::int64_t& count = numbers.counts[static_cast<std::size_t>(field)];
  const bool again = (set_now & bit(field)) != 0;
  if (value > count || (value != 0 && !again)) count = value;
  numbers.present |= bit(field);
  set_now |= bit(field);
}

void Facts::add(Field field, std::int64_t value) noexcept {
  if (!believes(field, value)) return;
  std::int64_t& sum = sums[static_cast<std::size_t>(field)];
  if (believes(field, sum + value)) sum += value;
  summed |= bit(field);
}

void Facts::begin_list(Field which) noexcept {
  list = which;
  sums.fill(0);
  summed = 0;
  iterations_now.clear();
}

void Facts::end_list() {
  for (std::size_t i = 0; i < count_fields; ++i)
    if ((summed >> i & 1U) != 0) set(static_cast<Field>(i), sums[i]);
  if (list == Field::iterations && !iterations_now.empty()) iterations.swap(iterations_now);
  list = Field::none;
}

void Facts::begin_choice_usage() noexcept {
  touch();
  beside_now = set_now & generated_bits;
  set_now &= ~generated_bits;
  for (std::size_t i = 0; i < generated_fields.size(); ++i)
    beside[i] = std::exchange(numbers.counts[static_cast<std::size_t>(generated_fields[i])], 0);
}

void Facts::end_choice_usage(std::int32_t choice) {
  const std::int64_t own_output = get(Field::output), own_reasoning = get(Field::reasoning),
                     own_total = get(Field::total);
  set_now |= beside_now;
  for (std::size_t i = 0; i < generated_fields.size(); ++i)
    numbers.counts[static_cast<std::size_t>(generated_fields[i])] = beside[i];
  if (own_output == 0 && own_reasoning == 0 && own_total == 0) return;  // a 0 never replaces a count, here either
  const auto same = [&](const Generated& one) { return one.choice == choice; };
  auto at = std::find_if(generated.begin(), generated.end(), same);
  if (at == generated.end()) at = generated.insert(at, {choice, 0, 0});
  if (own_output != 0) at->output = own_output;
  if (own_reasoning != 0) at->reasoning = own_reasoning;
  std::int64_t output = 0, reasoning = 0;
  for (const Generated& one : generated) {
    if (believes(Field::output, output + one.output)) output += one.output;
    if (believes(Field::reasoning, reasoning + one.reasoning)) reasoning += one.reasoning;
  }
  const auto put = [&](Field field, std::int64_t value) {
    std::int64_t& count = numbers.counts[static_cast<std::size_t>(field)];
    count = (beside_now & bit(field)) != 0 ? std::max(count, value) : value;
  };
  if (output != 0) put(Field::output, output);
  if (output != 0 || reasoning != 0) put(Field::reasoning, reasoning);
  // The total is that of the prompt and this choice.
  if (own_total != 0) put(Field::total, own_total - at->output + output);
}

void Facts::search_by_entry() {
  constexpr std::size_t most = 1'024;  // as many as are told apart
  for (const std::uint64_t query : entry_queries)
    if (queries.size() < most && std::find(queries.begin(), queries.end(), query) == queries.end())
      queries.push_back(query);
  if (!entry_queries.empty()) set(Field::web_searches, static_cast<std::int64_t>(queries.size()));
}

void Facts::begin_event() noexcept {
  usage_now = done_now = empty_choices = touched = false;
  finished_before = finished;
  at_ceiling_before = at_ceiling;
  done_before = done;
  final_usage_before = final_usage;
  set_now = 0;
  choices_now = 0;
  list = Field::none;
  type.clear();
  label.clear();
  action.clear();
  called.clear();
  entry_queries.clear();
}

void Facts::compose_tier() {
  // The fast mode of Anthropic and the optimized latency of Bedrock are prices of their own, whatever the tier; so is a place, on top.
  const bool quick = speed == "fast" || speed == "optimized";
  const bool placed = !geo.empty() && geo != "global" && geo != "not_available";
  if (!quick && !placed) {
    if (service_tier != tier) service_tier = tier;
    return;
  }
  std::string composed = quick ? speed : tier;
  if (placed && (composed == "standard" || composed == "default")) composed.clear();
  if (placed) composed.append(composed.empty() ? "" : "+").append(geo);
  if (service_tier != composed) service_tier = std::move(composed);
}

void Facts::add_cost(Field field, Usd usd) {
  touch();
  std::optional<Usd>& place = field == Field::cost_ticks             ? numbers.cost_ticks
                              : field == Field::upstream_cost        ? numbers.upstream_cost
                              : field == Field::upstream_input_cost  ? numbers.upstream_input_cost
                              : field == Field::upstream_output_cost ? numbers.upstream_output_cost
                                                                     : numbers.cost;
  if (!place || usd != Usd{}) place = usd;
}

std::optional<Usd> Facts::provider_cost() const noexcept {
  const auto& [counts, present, invalid, cost, ticks, upstream, upstream_input, upstream_output] = numbers;
  if (ticks) return ticks;
  if (!byok) return cost;
  // The gateway's own fee is a part of the price, and often zero; alone it is not the price of the call.
  const std::optional<Usd> parts[] = {cost.value_or(Usd{}), upstream ? upstream : upstream_input,
                                      upstream ? Usd{} : upstream_output};
  std::int64_t sum = 0;
  for (const std::optional<Usd>& part : parts)
    if (!part || __builtin_add_overflow(sum, part->nanos(), &sum)) return std::nullopt;
  return Usd::from_nanos(sum);
}

std::string Facts::error_code() const {
  return !error_number.empty() ? error_number : !error_type.empty() ? error_type : error_word;
}

bool Facts::all_finished() const noexcept { return finished != 0 && std::popcount(finished) >= choices_seen; }

std::int64_t Facts::reached(std::int64_t ceiling) const noexcept {
  const std::int64_t ended = std::popcount(at_ceiling);
  if (ended == 0 || ceiling <= 0) return 0;
  const std::int64_t answers = std::max<std::int64_t>(ended, choices_seen);
  return ceiling / answers * ended + ceiling % answers * ended / answers;
}

bool Facts::reported() const noexcept { return (numbers.present & billed) != 0; }

bool Facts::used() const noexcept {
  for (std::size_t i = 0; i < count_fields; ++i)
    if ((numbers.present & billed & std::uint64_t{1} << i) != 0 && numbers.counts[i] != 0) return true;
  return false;
}

bool Facts::used_tools() const noexcept {
  for (const Field field : {Field::web_searches, Field::file_searches, Field::document_searches, Field::code_sessions,
                            Field::other_tools, Field::search_items, Field::file_items, Field::image_items})
    if (get(field) != 0) return true;
  return !containers.empty();
}

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
    case Field::cache_write_5m:
      return "short cache write tokens";
    case Field::reasoning_beside:
      return "reasoning tokens";
    case Field::citations:
      return "citation tokens";
    case Field::file_searches:
    case Field::document_searches:
    case Field::file_items:
      return "file searches";
    case Field::search_items:
      return "web searches";
    case Field::code_sessions:
      return "code sessions";
    case Field::other_tools:
      return "tool uses";
    case Field::image_items:
    case Field::image_input:
    case Field::image_input_image:
    case Field::image_cached:
    case Field::image_output:
      return "image tool tokens";
    case Field::entry_count:
    case Field::entry_5m:
    case Field::entry_1h:
    case Field::entry_input:
    case Field::entry_cached:
    case Field::entry_output:
      return "iteration tokens";
    case Field::server_cached:
      return "timings.cache_n";
    case Field::server_input:
      return "timings.prompt_n";
    case Field::server_output:
      return "timings.predicted_n";
    case Field::metered_input:
    case Field::metered_cached:
    case Field::metered_written:
    case Field::metered_output:
      return "invocation metrics";
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
