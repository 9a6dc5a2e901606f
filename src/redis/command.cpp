#include "redis/command.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "core/base/percent.hpp"
#include "core/base/vector.hpp"
#include "redis/connection.hpp"

namespace outlay::detail {

namespace {

using Op = StoreCommand::Op;

constexpr std::size_t most_text = 4'096;
constexpr std::size_t most_counters = 64, most_ids = 10'000, most_thresholds = 64;
constexpr std::size_t epoch_size = 32, id_size = 32, vector_size = 6;
constexpr double never = 9'007'199'254'740'991.0;  // microseconds; the script's NEVER
constexpr std::chrono::milliseconds longest_lease = std::chrono::hours(24),
                                    longest_detached_lease = std::chrono::hours(60 * 24),
                                    longest_memory_of_correction = longest_detached_lease;
constexpr unsigned detached_flag = 2;     // beside OnExpiry
constexpr unsigned overflow_outcome = 4;  // beyond StoreReply::Outcome
constexpr unsigned changed_flag = 16, crossed_flag = 32;

// The script's numbers for what the header enumerates.
static_assert(static_cast<int>(Op::reserve) == 0 && static_cast<int>(Op::extend) == 1 &&
              static_cast<int>(Op::settle) == 2 && static_cast<int>(Op::release) == 3 &&
              static_cast<int>(Op::renew) == 4 && static_cast<int>(Op::adjust) == 5 &&
              static_cast<int>(Op::snapshot) == 6 && static_cast<int>(Op::set_cap) == 7 &&
              static_cast<int>(Op::list_caps) == 8 && static_cast<int>(Op::list_counters) == 9);
static_assert(static_cast<int>(OnExpiry::charge) == 0);
static_assert(static_cast<int>(Room::fits) == 0 && static_cast<int>(Room::below) == 1 &&
              static_cast<int>(Room::any) == 2);
static_assert(static_cast<int>(StoreReply::Outcome::ended) == 3);

void put_byte(std::string& to, std::size_t value) { to += static_cast<char>(value); }
void put_short(std::string& to, std::size_t value) { put_byte(to, value & 0xFFU), put_byte(to, value >> 8U); }
void put(std::string& to, std::uint64_t value) {
  std::array<char, 8> bytes;
  for (char& byte : bytes) byte = static_cast<char>(value & 0xFFU), value >>= 8U;
  to.append(bytes.data(), bytes.size());
}
void put(std::string& to, std::int64_t value) { put(to, static_cast<std::uint64_t>(value)); }
void put(std::string& to, double value) { put(to, std::bit_cast<std::uint64_t>(value)); }

std::uint64_t get(std::string_view bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) value = (value << 8U) | static_cast<unsigned char>(bytes[at + i]);
  return value;
}
std::size_t get_short(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]) | static_cast<std::size_t>(static_cast<unsigned char>(bytes[at + 1]))
                                                     << 8U;
}
std::int64_t get_integer(std::string_view bytes, std::size_t at) { return static_cast<std::int64_t>(get(bytes, at)); }
double get_double(std::string_view bytes, std::size_t at) { return std::bit_cast<double>(get(bytes, at)); }

/// Whole microseconds, rounded down; the ends of time are `never`.
std::int64_t micros(Time time) {
  const auto whole = std::chrono::floor<std::chrono::microseconds>(time).time_since_epoch().count();
  return std::clamp(whole, -static_cast<std::int64_t>(never), static_cast<std::int64_t>(never));
}

void put(std::string& to, const Amounts& amount, bool concurrent) {
  for (const std::int64_t number : {amount.usd.nanos(), amount.tokens, amount.input_tokens, amount.output_tokens,
                                    amount.calls, concurrent ? amount.concurrent : 0})
    put(to, number);
}

Amounts get_amounts(std::string_view bytes, std::size_t at) {
  std::array<std::int64_t, vector_size> n;
  for (std::size_t i = 0; i < n.size(); ++i) n[i] = get_integer(bytes, at + 8 * i);
  return {Usd::from_nanos(n[0]), n[1], n[2], n[3], n[4], n[5]};
}

bool negative(const Amounts& amount) {
  return amount.usd < Usd{} ||
         std::min({amount.tokens, amount.input_tokens, amount.output_tokens, amount.calls, amount.concurrent}) < 0;
}

/// How many dimensions have a limit, then each: its number, as Lua counts, and the limit.
void put(std::string& to, const Limits& limits) {
  const std::array<std::optional<std::int64_t>, vector_size> all{
      limits.usd ? std::optional(limits.usd->nanos()) : std::nullopt,
      limits.tokens,
      limits.input_tokens,
      limits.output_tokens,
      limits.calls,
      limits.concurrent};
  const auto set = std::count_if(all.begin(), all.end(), [](const auto& limit) { return limit.has_value(); });
  put_byte(to, static_cast<std::size_t>(set));
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i]) continue;
    put_byte(to, i + 1);
    put(to, *all[i]);
  }
}

/// The limits at a place of a script's answer, behind which the place is afterwards; false: there are none.
bool take_limits(std::string_view& bytes, Limits& limits) {
  if (bytes.empty()) return false;
  const std::size_t count = static_cast<unsigned char>(bytes[0]);
  if (count > vector_size || bytes.size() < 1 + 9 * count) return false;
  Vector vector = no_caps;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t number = static_cast<unsigned char>(bytes[1 + 9 * i]);
    if (number < 1 || number > vector_size) return false;
    vector[number - 1] = get_integer(bytes, 2 + 9 * i);
  }
  limits = to_limits(vector, vector);
  bytes.remove_prefix(1 + 9 * count);
  return true;
}

void put_text(std::string& to, std::string_view text) {
  put_short(to, text.size());
  to += text;
}
bool take_text(std::string_view& bytes, std::string& text) {
  if (bytes.size() < 2) return false;
  const std::size_t size = get_short(bytes, 0);
  if (bytes.size() < 2 + size) return false;
  text = bytes.substr(2, size);
  bytes.remove_prefix(2 + size);
  return true;
}

/// A cap that is set, as the script keeps it: until when, since when (which the script fills in), the limits, and the texts.
std::string packed_cap(const StoreCommand& command) {
  const StoreCap& cap = command.cap;
  std::string packed;
  put(packed, cap.until ? static_cast<double>(micros(*cap.until)) : never);
  put(packed, 0.0);
  put(packed, cap.limits);
  for (const std::string_view text :
       {std::string_view(command.counters.front().name), std::string_view(command.counters.front().window),
        std::string_view(cap.by), std::string_view(cap.reason)})
    put_text(packed, text);
  return packed;
}
/// What the script compares with a cap that is kept: until when and the limits; without limits these alone.
std::string packed_expectation(const StoreCommand& command) {
  std::string packed;
  if (!command.expected) return packed;
  const StoreCap& cap = *command.expected;
  if (cap.limits != Limits{}) put(packed, cap.until ? static_cast<double>(micros(*cap.until)) : never);
  put(packed, cap.limits);
  return packed;
}
bool read_cap(std::string_view bytes, StoreCap& cap) {
  if (bytes.size() < 16) return false;
  const double until = get_double(bytes, 0), since = get_double(bytes, 8);
  if (!(until >= 0 && until <= never && since >= 0 && since <= never)) return false;
  if (until < never) cap.until = Time(std::chrono::microseconds(static_cast<std::int64_t>(until)));
  cap.since = Time(std::chrono::microseconds(static_cast<std::int64_t>(since)));
  bytes.remove_prefix(16);
  return take_limits(bytes, cap.limits) && take_text(bytes, cap.name) && take_text(bytes, cap.window) &&
         take_text(bytes, cap.by) && take_text(bytes, cap.reason) && bytes.empty();
}

/// Readable keys that cannot run into each other.
std::string escaped(std::string_view text) { return percent_encoded(text, "-_.@/+"); }

bool is_id(std::string_view id) {
  return id.size() == id_size && std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

bool is_counter(const StoreCounter& counter) {
  return !counter.name.empty() && counter.name.size() <= 256 && counter.window.size() <= 256 &&
         counter.begin < counter.end && counter.counted_from <= counter.begin &&
         counter.thresholds.size() <= most_thresholds;
}

}  // namespace

std::string RedisKeys::counter(const StoreCounter& counter) const {
  std::string key;
  key.reserve(base_.size() + counter.window.size() + counter.name.size() + 16);
  key.append(base_).append("in:");
  key.append(escaped(counter.window)).append(":").append(escaped(counter.name));
  return key;
}

std::string RedisKeys::counters(std::string_view prefix) const { return base_ + "in:*:" + escaped(prefix) + '*'; }

std::optional<StoreReply::Name> RedisKeys::counter(std::string_view key) const {
  const std::string before = base_ + "in:";
  if (!key.starts_with(before)) return std::nullopt;
  key.remove_prefix(before.size());
  const std::size_t colon = key.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::optional<std::string> window = percent_decoded(key.substr(0, colon)),
                             name = percent_decoded(key.substr(colon + 1));
  if (!window || !name) return std::nullopt;
  return StoreReply::Name{*std::move(name), *std::move(window)};
}

bool is_valid(const StoreCommand& command) {
  const bool of_caps = command.op == Op::set_cap || command.op == Op::list_caps || command.op == Op::list_counters;
  const bool without_id = of_caps || command.op == Op::snapshot || command.op == Op::renew;
  if (of_caps && command.counters.size() != (command.op == Op::set_cap ? 1U : 0U)) return false;
  if (command.cap.by.size() > most_text || command.cap.reason.size() > most_text) return false;
  if (without_id ? !command.id.empty() : !is_id(command.id)) return false;
  if (command.op == Op::renew ? !command.counters.empty() : !command.ids.empty()) return false;
  if (command.op != Op::adjust && negative(command.amount)) return false;
  return command.counters.size() <= most_counters && command.ids.size() <= most_ids && command.lease.count() >= 0 &&
         std::all_of(command.counters.begin(), command.counters.end(), is_counter) &&
         std::all_of(command.ids.begin(), command.ids.end(), is_id);
}

RedisBatch::RedisBatch(const RedisKeys& keys) : keys_(keys) {}

std::size_t RedisBatch::Numbered::number_of(std::string thing) {
  const auto [at, fresh] = numbers_.try_emplace(std::move(thing), in_order_.size() + 1);  // as Lua counts
  if (fresh) in_order_.push_back(&at->first);
  return at->second;
}

void RedisBatch::add(const StoreCommand& command, std::size_t number) {
  const bool reserves = command.op == Op::reserve;
  const bool corrects = command.op == Op::adjust;
  const std::chrono::milliseconds longest = corrects           ? longest_memory_of_correction
                                            : command.detached ? longest_detached_lease
                                                               : longest_lease;
  const auto lease = static_cast<double>(std::chrono::microseconds(std::min(command.lease, longest)).count());
  std::string& packed = packed_.emplace_back();
  put_byte(packed, static_cast<std::size_t>(command.op));
  put_byte(packed, static_cast<std::size_t>(command.on_expiry) + (command.detached ? detached_flag : 0U));
  put_byte(packed, command.counters.size());
  put_byte(packed, command.id.empty() ? 0 : 1);
  put(packed, lease);
  packed += command.id.empty() ? std::string(id_size, '0') : command.id;
  put(packed, command.amount, reserves || command.op == Op::extend);
  for (const StoreCounter& counter : command.counters) {
    const auto begin = static_cast<double>(micros(counter.begin));
    const auto from = static_cast<double>(micros(counter.counted_from));
    // Rounded up, so that the slot's last instant is inside.
    const double end =
        counter.end == Time::max() ? never : static_cast<double>(micros(counter.end - std::chrono::nanoseconds(1)) + 1);
    const double to = static_cast<double>(micros(counter.counted_to));
    // A call that holds the slot has renewed its lease at most one lease before.
    const double held_until = std::max(end, static_cast<double>(micros(counter.keep_until)));
    const double expires = std::min(never, held_until + (corrects ? 0 : lease));
    const std::string field = std::to_string(micros(counter.begin));
    std::string place;
    put_short(place, counter_keys_.number_of(keys_.counter(counter)) - 1);
    put_byte(place, field.size());
    place += field;
    for (const double time : {begin, end, from, to, expires}) put(place, time);
    put_byte(place, static_cast<std::size_t>(counter.room));
    put_byte(place, counter.thresholds.size());
    put(place, counter.limits);
    for (const StoreCounter::Threshold& threshold : counter.thresholds) {
      put(place, threshold.at);
    }
    put_short(packed, places_.number_of(std::move(place)));
  }
  for (const std::string& id : command.ids) packed += id;
  if (command.op == Op::set_cap) {
    const std::string expected = packed_expectation(command);
    put_byte(packed, expected.size());
    packed += expected + packed_cap(command);
  }
  commands_.push_back(&command);
  numbers_.push_back(number);
  counters_ += command.counters.size();
}

void RedisBatch::append(std::string& bytes, std::string_view sha, std::string_view epoch) const {
  const std::array<std::string, 8> own{keys_.meta(),   keys_.leases(), keys_.held(), keys_.ended(0),
                                       keys_.ended(1), keys_.ended(2), keys_.caps(), keys_.corrections()};
  const std::string key_count = std::to_string(own.size() + counter_keys_.in_order().size());
  std::string command_count;
  put_short(command_count, packed_.size());
  std::vector<std::string_view> words{"EVALSHA", sha, key_count};
  words.insert(words.end(), own.begin(), own.end());
  for (const std::string* key : counter_keys_.in_order()) words.push_back(*key);
  words.insert(words.end(), {epoch, command_count});
  words.insert(words.end(), packed_.begin(), packed_.end());
  for (const std::string* place : places_.in_order()) words.push_back(*place);
  append_command(bytes, words);
}

bool RedisBatch::read(std::string_view bytes, Answer& answer) const {
  constexpr std::size_t head = 1 + 8 + 8 + epoch_size, vector_bytes = 8 * vector_size,
                        state_bytes = 2 * vector_bytes + 8 + 8;
  if (bytes.size() < head) return false;
  const double now = get_double(bytes, 1), version = get_double(bytes, 9);
  if (!(now >= 0 && now <= never && version >= 0 && version <= never)) return false;
  const Time time(std::chrono::microseconds(static_cast<std::int64_t>(now)));
  const std::string_view epoch = bytes.substr(17, epoch_size);
  auto changes = static_cast<std::int64_t>(version);
  answer.leases_due = bytes[0] != 0;
  bytes.remove_prefix(head);
  for (const StoreCommand* command : commands_) {
    const std::size_t count = command->counters.size();
    if (bytes.empty()) return false;
    const auto flags = static_cast<unsigned char>(bytes[0]);
    const unsigned outcome = flags & 15U;
    if (outcome > overflow_outcome) return false;
    if ((flags & changed_flag) != 0) ++changes;
    StoreReply& reply = answer.replies.emplace_back();
    answer.overflows.push_back(outcome == overflow_outcome);
    if (outcome != overflow_outcome) reply.outcome = static_cast<StoreReply::Outcome>(outcome);
    reply.now = time;
    reply.epoch = epoch;
    reply.version = changes;
    reply.states.reserve(count);
    bytes.remove_prefix(1);
    for (std::size_t i = 0; i < count; ++i) {
      if (bytes.size() < state_bytes) return false;
      StoreReply::State& state =
          reply.states.emplace_back(StoreReply::State{get_amounts(bytes, 0), get_amounts(bytes, vector_bytes)});
      const double fits_at = get_double(bytes, 2 * vector_bytes), life = get_double(bytes, 2 * vector_bytes + 8);
      if (!(fits_at >= -never && fits_at <= never && life >= 0 && life <= never)) return false;
      if (fits_at != 0) state.fits_at = Time(std::chrono::microseconds(static_cast<std::int64_t>(fits_at)));
      state.life = static_cast<std::uint64_t>(life);
      bytes.remove_prefix(state_bytes);
      if (!take_limits(bytes, state.caps)) return false;
    }
    if (command->op == Op::list_caps) {
      if (bytes.size() < 2) return false;
      const std::size_t caps = get_short(bytes, 0);
      bytes.remove_prefix(2);
      for (std::size_t i = 0; i < caps; ++i) {
        std::string packed;
        if (!take_text(bytes, packed) || !read_cap(packed, reply.caps.emplace_back())) return false;
      }
      std::sort(reply.caps.begin(), reply.caps.end(), [](const StoreCap& a, const StoreCap& b) {
        return std::tie(a.name, a.window) < std::tie(b.name, b.window);
      });
    }
    if ((flags & crossed_flag) == 0) continue;
    if (bytes.size() < 2) return false;
    const std::size_t crossed = get_short(bytes, 0);
    bytes.remove_prefix(2);
    if (bytes.size() < 2 * crossed) return false;
    for (std::size_t i = 0; i < 2 * crossed; i += 2) {
      const std::size_t counter = static_cast<unsigned char>(bytes[i]);
      const std::size_t threshold = static_cast<unsigned char>(bytes[i + 1]);
      if (counter >= count || threshold >= command->counters[counter].thresholds.size()) {
        if (reply.outcome == StoreReply::Outcome::ended) continue;  // another process has ended it, with others
        return false;
      }
      reply.crossed.push_back({counter, threshold, command->counters[counter].thresholds[threshold].fraction});
    }
    bytes.remove_prefix(2 * crossed);
  }
  while (!bytes.empty()) {
    StoreReply::Expired expired;
    std::string key;
    if (!take_text(bytes, key) || bytes.size() < vector_bytes) return false;
    expired.charged = get_amounts(bytes, 0);
    bytes.remove_prefix(vector_bytes);
    std::optional<StoreReply::Name> counter = keys_.counter(key);
    if (!counter) return false;
    expired.counter = *std::move(counter);
    answer.expired.push_back(std::move(expired));
  }
  return true;
}

}  // namespace outlay::detail
