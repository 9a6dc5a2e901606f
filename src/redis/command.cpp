#include "redis/command.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "redis/connection.hpp"

namespace outlay::detail {

namespace {

using Op = StoreCommand::Op;

constexpr std::size_t most_counters = 64, most_ids = 10'000, most_thresholds = 64;
constexpr std::size_t epoch_size = 32, id_size = 32, vector_size = 6;
constexpr double never = 9'007'199'254'740'991.0;  // microseconds; the script's NEVER
/// How long a slot is kept beyond the time in which it counts, a lease, and as long again as it lasts: as long as an ended id.
constexpr double keep = 3'600e6;

// The script's numbers for what the header enumerates.
static_assert(static_cast<int>(Op::reserve) == 0 && static_cast<int>(Op::extend) == 1 &&
              static_cast<int>(Op::settle) == 2 && static_cast<int>(Op::release) == 3 &&
              static_cast<int>(Op::renew) == 4 && static_cast<int>(Op::adjust) == 5 &&
              static_cast<int>(Op::snapshot) == 6);
static_assert(static_cast<int>(OnExpiry::charge) == 0);
static_assert(static_cast<int>(Room::fits) == 0 && static_cast<int>(Room::below) == 1 &&
              static_cast<int>(Room::any) == 2);
static_assert(static_cast<int>(StoreReply::Outcome::ended) == 3);

void put_byte(std::string& to, std::size_t value) { to += static_cast<char>(value); }
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
std::int64_t get_integer(std::string_view bytes, std::size_t at) {
  return static_cast<std::int64_t>(get(bytes, at));
}
double get_double(std::string_view bytes, std::size_t at) { return std::bit_cast<double>(get(bytes, at)); }

/// Whole microseconds, rounded down; the ends of time are `never`.
std::int64_t micros(Time time) {
  const auto whole = std::chrono::floor<std::chrono::microseconds>(time).time_since_epoch().count();
  return std::clamp(whole, -static_cast<std::int64_t>(never), static_cast<std::int64_t>(never));
}

void put(std::string& to, const Amounts& amount, bool concurrent) {
  for (const std::int64_t number : {amount.usd.nanos(), amount.tokens, amount.input_tokens,
                                    amount.output_tokens, amount.calls, concurrent ? amount.concurrent : 0})
    put(to, number);
}

Amounts get_amounts(std::string_view bytes, std::size_t at) {
  std::array<std::int64_t, vector_size> n;
  for (std::size_t i = 0; i < n.size(); ++i) n[i] = get_integer(bytes, at + 8 * i);
  return {Usd::from_nanos(n[0]), n[1], n[2], n[3], n[4], n[5]};
}

bool negative(const Amounts& amount) {
  return amount.usd < Usd{} || std::min({amount.tokens, amount.input_tokens, amount.output_tokens,
                                         amount.calls, amount.concurrent}) < 0;
}

/// How many dimensions have a limit, then each: where its pair begins in one of the script's vectors, and the limit.
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
    put_byte(to, 2 * i + 1);
    put(to, *all[i]);
  }
}

/// Appends with everything but letters, digits and a few signs as %XX: readable keys that cannot run into each other.
void escape(std::string& to, std::string_view text) {
  constexpr const char* digits = "0123456789ABCDEF";
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '@' || c == '/' || c == '+';
    if (plain) {
      to += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    to += '%';
    to += digits[byte >> 4U];
    to += digits[byte & 15U];
  }
}

bool is_id(std::string_view id) {
  return id.size() == id_size && std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

bool is_counter(const StoreCounter& counter) {
  const auto few = [](const StoreCounter::Threshold& threshold) { return threshold.fraction == threshold.fraction; };
  return !counter.name.empty() && counter.name.size() <= 256 && counter.window.size() <= 256 &&
         counter.begin < counter.end && counter.counted_from <= counter.begin &&
         counter.thresholds.size() <= most_thresholds &&
         std::all_of(counter.thresholds.begin(), counter.thresholds.end(), few);
}

bool is_command(const StoreCommand& command) {
  if (command.op == Op::snapshot || command.op == Op::renew ? !command.id.empty() : !is_id(command.id)) return false;
  if (command.op == Op::renew) {
    if (command.ids.empty() || !command.counters.empty()) return false;
  } else if (!command.ids.empty()) {
    return false;
  }
  if (command.op != Op::adjust && negative(command.amount)) return false;
  return command.counters.size() <= most_counters && command.ids.size() <= most_ids &&
         command.lease.count() >= 0 &&
         std::all_of(command.counters.begin(), command.counters.end(), is_counter) &&
         std::all_of(command.ids.begin(), command.ids.end(), is_id);
}

}  // namespace

RedisCodec::RedisCodec(std::string_view prefix) : base_("{" + std::string(prefix) + "}:") {
  meta_ = base_ + "meta";
  leases_ = base_ + "leases";
}

std::string RedisCodec::counter_key(const StoreCounter& counter) const {
  std::string key = base_ + "in:";
  key.reserve(key.size() + counter.window.size() + counter.name.size() + 8);
  escape(key, counter.window);
  key += ':';
  escape(key, counter.name);
  return key;
}

bool RedisCodec::append(std::string& bytes, const StoreCommand& command, std::string_view sha,
                        std::string_view epoch) const {
  if (!is_command(command)) return false;
  const bool has_id = command.op != Op::renew && command.op != Op::snapshot;
  const bool reserves = command.op == Op::reserve;
  const std::size_t count = command.counters.size();
  const auto lease = static_cast<double>(
      std::min(std::chrono::duration_cast<std::chrono::microseconds>(command.lease), std::chrono::microseconds(86'400'000'000)).count());

  std::vector<std::string> keys, counters;
  keys.reserve(count), counters.reserve(count);
  std::string record_end;
  double lives = 0;
  for (const StoreCounter& counter : command.counters) {
    const auto begin = static_cast<double>(micros(counter.begin));
    const auto from = static_cast<double>(micros(counter.counted_from));
    // Rounded up, so that the slot's last instant is inside.
    const auto end = counter.end == Time::max() ? never
                                                : static_cast<double>(micros(counter.end - std::chrono::nanoseconds(1)) + 1);
    const double expires = std::min(never, end + (begin - from) + (end - begin) + lease + keep);
    lives = std::max(lives, expires);
    const std::string field = std::to_string(micros(counter.begin));

    keys.push_back(counter_key(counter));
    std::string& packed = counters.emplace_back();
    put_byte(packed, field.size());
    packed += field;
    for (const double time : {begin, end, from, expires}) put(packed, time);
    put_byte(packed, static_cast<std::size_t>(counter.room));
    put_byte(packed, counter.thresholds.size());
    put(packed, counter.limits);
    for (const StoreCounter::Threshold& threshold : counter.thresholds) {
      put(packed, threshold.fraction);
      put(packed, threshold.at);
    }
    if (!reserves) continue;
    put_byte(record_end, keys.back().size() & 0xFFU);
    put_byte(record_end, keys.back().size() >> 8U);
    record_end += keys.back();
    put_byte(record_end, field.size());
    record_end += field;
  }

  std::string head;
  put_byte(head, static_cast<std::size_t>(command.op));
  put_byte(head, static_cast<std::size_t>(command.on_expiry));
  put(head, lease);
  put(head, lives);
  put(head, command.amount, reserves || command.op == Op::extend);

  const std::string id = has_id ? base_ + "id:" + command.id : std::string();
  std::vector<std::string_view> words{"EVALSHA", sha};
  words.reserve(8 + 2 * count + command.ids.size());
  const std::string key_count = std::to_string(2 + (has_id ? 1 : 0) + count);
  words.insert(words.end(), {key_count, meta_, leases_});
  if (has_id) words.push_back(id);
  words.insert(words.end(), keys.begin(), keys.end());
  words.insert(words.end(), {head, epoch, record_end});
  words.insert(words.end(), counters.begin(), counters.end());
  words.insert(words.end(), command.ids.begin(), command.ids.end());
  append_command(bytes, words);
  return true;
}

bool RedisCodec::read(std::string_view bytes, const StoreCommand& command, Reply& reply) {
  constexpr std::size_t head = 2 + 8 + 8 + epoch_size, state_size = 2 * 8 * vector_size;
  const std::size_t count = command.counters.size();
  if (bytes.size() < head + count * state_size) return false;
  const std::string_view crossed = bytes.substr(head + count * state_size);
  const auto outcome = static_cast<unsigned char>(bytes[0]);
  const double now = get_double(bytes, 2), version = get_double(bytes, 10);
  if (outcome > 3 || crossed.size() % 2 != 0) return false;
  if (!(now >= 0 && now <= never && version >= 0 && version <= never)) return false;

  reply.leases_due = bytes[1] != 0;
  StoreReply& to = reply.reply;
  to.outcome = static_cast<StoreReply::Outcome>(outcome);
  to.now = Time(std::chrono::microseconds(static_cast<std::int64_t>(now)));
  to.version = static_cast<std::int64_t>(version);
  to.epoch = bytes.substr(18, epoch_size);
  to.states.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = head + i * state_size;
    to.states.push_back({get_amounts(bytes, at), get_amounts(bytes, at + state_size / 2)});
  }
  for (std::size_t i = 0; i < crossed.size(); i += 2) {
    const std::size_t counter = static_cast<unsigned char>(crossed[i]);
    const std::size_t threshold = static_cast<unsigned char>(crossed[i + 1]);
    if (counter >= count || threshold >= command.counters[counter].thresholds.size()) return false;
    to.crossed.push_back({counter, command.counters[counter].thresholds[threshold].fraction});
  }
  return true;
}

}  // namespace outlay::detail
