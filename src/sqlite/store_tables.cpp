#include "sqlite/store_tables.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace outlay::detail {

namespace {

using namespace std::chrono_literals;

/// How long the id of a call that ended is remembered, and of one whose lease ran out: that call may still settle.
constexpr auto remember_ended_for = 1h;
constexpr auto remember_expired = 48h, remember_detached = 7 * 24h;
constexpr auto longest_memory = 60 * 24h;  // of the id of a correction
constexpr auto purge_every = 10min;
constexpr std::size_t longest_name = 256, list_at_once = 4'096;
constexpr std::int64_t purge_at_once = 1'000;

/// Resets a statement at the end of a block, also where reading its rows throws.
class ResetAtEnd {
 public:
  explicit ResetAtEnd(Statement& statement) noexcept : statement_(statement) {}
  ResetAtEnd(const ResetAtEnd&) = delete;
  ResetAtEnd& operator=(const ResetAtEnd&) = delete;
  ~ResetAtEnd() { statement_.reset(); }

 private:
  Statement& statement_;
};

}  // namespace

StoreTables::StoreTables(Database& database)
    : database_(database),
      get_cap_(database_, "SELECT limits, until FROM store_caps WHERE name = ?1 AND \"window\" = ?2"),
      set_cap_(database_, "INSERT OR REPLACE INTO store_caps VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
      remove_cap_(database_, "DELETE FROM store_caps WHERE name = ?1 AND \"window\" = ?2"),
      all_caps_(database_,
                "SELECT name, \"window\", limits, by, reason, since, until FROM store_caps ORDER BY name, \"window\""),
      get_slot_(database_, "SELECT id, state, begins FROM store_slots WHERE id = ?1"),
      find_slots_(database_,
                  "SELECT id, state, begins FROM store_slots "
                  "WHERE name = ?1 AND \"window\" = ?2 AND begins >= ?3 AND begins <= ?4"),
      any_slot_(database_, "SELECT 1 FROM store_slots WHERE name = ?1 AND \"window\" = ?2 LIMIT 1"),
      next_name_(database_,
                 "SELECT name, \"window\" FROM store_slots WHERE (name, \"window\") > (?1, ?2) AND name < ?3 "
                 "ORDER BY name, \"window\" LIMIT 1"),
      name_of_(database_, "SELECT name, \"window\" FROM store_slots WHERE id = ?1"),
      in_flight_(database_,
                 "SELECT id, state, begins FROM store_slots "
                 "WHERE name = ?1 AND \"window\" = ?2 AND holds AND (begins < ?3 OR begins > ?4)"),
      all_slots_(database_, "SELECT id, state, begins FROM store_slots"),
      update_slot_(database_, "UPDATE store_slots SET state = ?2, holds = ?3 WHERE id = ?1"),
      insert_slot_(database_,
                   "INSERT INTO store_slots(state, begins, forget_at, name, \"window\", holds) "
                   "VALUES(?1, ?2, ?3, ?4, ?5, ?6)"),
      find_id_(database_, "SELECT slot, charged FROM store_ids WHERE id = ?1"),
      insert_id_(database_, "INSERT OR REPLACE INTO store_ids VALUES(?1, ?2, ?3, ?4)"),
      delete_id_(database_, "DELETE FROM store_ids WHERE id = ?1"),
      purge_ids_(database_,
                 "DELETE FROM store_ids WHERE (id, slot) IN "
                 "(SELECT id, slot FROM store_ids WHERE until <= ?1 LIMIT ?2)"),
      old_slots_(database_,
                 "SELECT id, state, begins FROM store_slots WHERE forget_at <= ?1 ORDER BY forget_at LIMIT ?2"),
      delete_slot_(database_, "DELETE FROM store_slots WHERE id = ?1"),
      raise_version_(database_, "UPDATE store_info SET version = max(version, ?1)"),
      epoch_(database_.query_text("SELECT epoch FROM store_info")) {
  // The largest version that any process has written.
  version_ = database_.query_int("SELECT version FROM store_info");
  const ResetAtEnd reset(all_slots_);
  while (all_slots_.step()) version_ = std::max(version_, read_slot(all_slots_).version);
}

// --- rows ---

StoreSlot StoreTables::read_slot(const Statement& row) const {
  StoreSlot slot = unpack_slot(row.integer(0), row.blob(1), database_);
  slot.begins = Time(std::chrono::nanoseconds(row.integer(2)));
  return slot;
}

std::string_view StoreTables::packed(const StoreSlot& slot) {
  packed_.clear();
  pack(packed_, slot);
  return packed_;
}

StoreTables::Past StoreTables::find_past(const std::string& key) {
  Past past;
  const ResetAtEnd reset(find_id_);
  find_id_.bind_blob(1, key);
  while (find_id_.step()) {
    const std::int64_t slot = find_id_.integer(0);
    if (slot == 0)
      past.ended = true, past.crossed = unpack_crossed(find_id_.blob(1), database_);
    else
      past.charged.emplace_back(slot, unpack_amount(find_id_.blob(1), database_));
  }
  return past;
}

void StoreTables::insert_id(const std::string& key, std::int64_t slot, std::int64_t until, std::string_view charged) {
  insert_id_.bind_blob(1, key);
  insert_id_.bind(2, slot);
  insert_id_.bind(3, until);
  insert_id_.bind_blob(4, charged);
  insert_id_.run();
}

void StoreTables::remember_ended(const std::string& key, const Past& past, std::int64_t now,
                                 std::span<const StoreReply::Crossed> crossed, std::chrono::milliseconds at_least) {
  if (past.known()) {
    delete_id_.bind_blob(1, key);
    delete_id_.run();
  }
  packed_.clear();
  pack(packed_, crossed);
  const auto time = std::clamp<std::chrono::milliseconds>(at_least, remember_ended_for, longest_memory);
  insert_id(key, 0, later(now, time), packed_);
}

// --- slots ---

/// The place of a slot among slots_. It is put there once, even where several counters or ids name it.
std::size_t StoreTables::place_of(StoreSlot slot) {
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (slot.id != 0
            ? slots_[i].id == slot.id
            : slots_[i].id == 0 && slots_[i].counter->name == slot.counter->name &&
                  slots_[i].counter->window == slot.counter->window && slots_[i].counter->begin == slot.counter->begin)
      return i;
  version_ = std::max(version_, slot.version);
  slots_.push_back(std::move(slot));
  return slots_.size() - 1;
}

namespace {

/// Six integers of 64 bits, as bytes of this machine's order: a file is read where it was written.
std::string bytes_of(const Limits& limits) {
  const Vector vector = to_vector(limits);
  return {reinterpret_cast<const char*>(vector.data()), sizeof vector};
}

Limits limits_from(std::string_view bytes) {
  Vector vector = no_caps;
  if (bytes.size() == sizeof vector) std::memcpy(vector.data(), bytes.data(), sizeof vector);
  return to_limits(vector, vector);
}

std::optional<Time> until_from(std::int64_t at) {
  return at == INT64_MAX ? std::nullopt : std::optional(Time(std::chrono::nanoseconds(at)));
}

}  // namespace

StoreCap StoreTables::kept_cap(const StoreCounter& counter, std::int64_t now) {
  const ResetAtEnd reset(get_cap_);
  get_cap_.bind_blob(1, counter.name);
  get_cap_.bind_blob(2, counter.window);
  StoreCap cap;
  if (!get_cap_.step() || get_cap_.integer(1) <= now) return cap;
  cap.limits = limits_from(get_cap_.blob(0));
  cap.until = until_from(get_cap_.integer(1));
  return cap;
}

bool StoreTables::set_cap(const StoreCommand& command, std::int64_t now) {
  const StoreCounter& counter = command.counters.front();
  const StoreCap& cap = command.cap;
  const StoreCap kept = kept_cap(counter, now);
  if (!may_replace(command, kept.limits, kept.until)) return false;
  Statement& statement = cap.limits == Limits{} ? remove_cap_ : set_cap_;
  const std::string limits = bytes_of(cap.limits);
  statement.bind_blob(1, counter.name);
  statement.bind_blob(2, counter.window);
  if (&statement == &set_cap_) {
    statement.bind_blob(3, limits);
    statement.bind_blob(4, cap.by);
    statement.bind_blob(5, cap.reason);
    statement.bind(6, now);
    statement.bind(7, cap.until ? nanos(*cap.until) : INT64_MAX);
  }
  statement.run();
  return true;
}

std::vector<StoreCap> StoreTables::caps(std::int64_t now) {
  std::vector<StoreCap> all;
  const ResetAtEnd reset(all_caps_);
  while (all_caps_.step()) {
    const std::int64_t until = all_caps_.integer(6);
    if (until <= now) continue;
    StoreCap& cap = all.emplace_back();
    cap.name = all_caps_.blob(0);
    cap.window = all_caps_.blob(1);
    cap.limits = limits_from(all_caps_.blob(2));
    cap.by = all_caps_.blob(3);
    cap.reason = all_caps_.blob(4);
    cap.since = Time(std::chrono::nanoseconds(all_caps_.integer(5)));
    cap.until = until_from(until);
  }
  return all;
}

bool StoreTables::has_slots(const StoreCounter& counter) {
  const ResetAtEnd reset(any_slot_);
  any_slot_.bind_blob(1, counter.name);
  any_slot_.bind_blob(2, counter.window);
  return any_slot_.step();
}

std::vector<StoreReply::Name> StoreTables::counters(std::string_view prefix, const StoreReply::Name& after) {
  std::vector<StoreReply::Name> some;
  // The names that begin with it lie between it and what no such name reaches, and the id of a window is never empty.
  const std::string beyond = std::string(prefix) + std::string(longest_name, '\xFF');
  StoreReply::Name last{std::max(after.name, std::string(prefix)), after.window};
  // From one name to the next: the time is by counters, however many slots each has.
  while (some.size() < list_at_once) {
    const ResetAtEnd reset(next_name_);
    next_name_.bind_blob(1, last.name);
    next_name_.bind_blob(2, last.window);
    next_name_.bind_blob(3, beyond);
    if (!next_name_.step()) break;
    some.push_back({std::string(next_name_.blob(0)), std::string(next_name_.blob(1))});
    last = some.back();
  }
  return some;
}

bool StoreTables::load_slot(std::int64_t id, std::size_t& place) {
  for (place = 0; place < slots_.size(); ++place)
    if (slots_[place].id == id) return true;
  const ResetAtEnd reset(get_slot_);
  get_slot_.bind(1, id);
  if (!get_slot_.step()) return false;
  place = place_of(read_slot(get_slot_));
  return true;
}

std::vector<std::size_t> StoreTables::load_holders(std::span<const std::string> keys) {
  std::vector<std::size_t> places;
  const ResetAtEnd reset(all_slots_);
  while (all_slots_.step()) {
    StoreSlot slot = read_slot(all_slots_);
    bool any = false;
    for (const std::string& key : keys) any |= slot.find(key) != nullptr;
    if (any) places.push_back(place_of(std::move(slot)));
  }
  return places;
}

void StoreTables::load(const std::vector<StoreCounter>& counters, std::int64_t now) {
  slots_.clear();
  rows_.clear();
  views_.clear();
  charged_.clear();
  for (const StoreCounter& counter : counters) views_.push_back(view_of(counter));
  for (const View& view : views_)
    if (std::find(charged_.begin(), charged_.end(), view.own) == charged_.end()) charged_.push_back(view.own);
  for (StoreSlot& slot : slots_) expire(slot, now);
  write_slots();
}

StoreTables::View StoreTables::view_of(const StoreCounter& counter) {
  View view;
  view.first = rows_.size();
  bool there = false;
  {
    const ResetAtEnd reset(find_slots_);
    find_slots_.bind_blob(1, counter.name);
    find_slots_.bind_blob(2, counter.window);
    find_slots_.bind(3, nanos(counter.counted_from));
    find_slots_.bind(4, nanos(counter.counted_to));
    while (find_slots_.step()) {
      rows_.push_back(place_of(read_slot(find_slots_)));
      if (slots_[rows_.back()].begins == counter.begin) view.own = rows_.back(), there = true;
    }
  }
  if (!there) {
    StoreSlot slot;
    slot.counter = &counter;
    slot.begins = counter.begin;
    rows_.push_back(view.own = place_of(std::move(slot)));
  }
  view.last = rows_.size();
  const ResetAtEnd reset(in_flight_);
  in_flight_.bind_blob(1, counter.name);
  in_flight_.bind_blob(2, counter.window);
  in_flight_.bind(3, nanos(counter.counted_from));
  in_flight_.bind(4, nanos(counter.counted_to));
  while (in_flight_.step()) rows_.push_back(place_of(read_slot(in_flight_)));
  view.end = rows_.size();
  return view;
}

SlotSums StoreTables::sums_of(const View& view) const noexcept {
  constexpr std::size_t in_flight = index(Dimension::concurrent);
  SlotSums sum;
  for (std::size_t row = view.first; row < view.last; ++row)
    sum += {slots_[rows_[row]].spent, slots_[rows_[row]].reserved};
  for (std::size_t row = view.last; row < view.end; ++row)
    sum.held[in_flight] = saturating_add(sum.held[in_flight], slots_[rows_[row]].reserved[in_flight]);
  return sum;
}

void StoreTables::write_slots() {
  const std::int64_t next = version_ + 1;
  for (StoreSlot& slot : slots_) {
    if (!std::exchange(slot.changed, false)) continue;
    slot.version = version_ = next;
    if (slot.id == 0) {
      insert_slot(slot);
      continue;
    }
    update_slot_.bind(1, slot.id);
    update_slot_.bind_blob(2, packed(slot));
    update_slot_.bind(3, std::int64_t{!slot.held.empty()});
    update_slot_.run();
  }
}

void StoreTables::insert_slot(StoreSlot& slot) {
  const StoreCounter& counter = *slot.counter;
  insert_slot_.bind_blob(1, packed(slot));
  insert_slot_.bind(2, nanos(counter.begin));
  insert_slot_.bind(3, nanos(counter.keep_until));
  insert_slot_.bind_blob(4, counter.name);
  insert_slot_.bind_blob(5, counter.window);
  insert_slot_.bind(6, std::int64_t{!slot.held.empty()});
  insert_slot_.run();
  slot.id = database_.last_insert_id();
}

// --- time ---

/// Ends the leases that have run out. Their ids are remembered, since the calls may still settle.
void StoreTables::expire(StoreSlot& slot, std::int64_t now) {
  const auto over =
      std::partition(slot.held.begin(), slot.held.end(), [&](const HeldCall& held) { return held.until > now; });
  if (over == slot.held.end()) return;
  StoreReply::Name name;
  {
    const ResetAtEnd reset(name_of_);
    name_of_.bind(1, slot.id);
    if (name_of_.step()) name = {std::string(name_of_.blob(0)), std::string(name_of_.blob(1))};
  }
  for (auto held = over; held != slot.held.end(); ++held) {
    const bool charge = held->on_expiry == OnExpiry::charge;
    const Vector charged = charge ? spendable(held->amount) : Vector{};
    for (std::size_t d = 0; d < dimension_count; ++d)
      slot.reserved[d] -= held->amount[d], slot.spent[d] += charged[d];  // fits, since their sum did
    expired_.push_back({name, to_amounts(charged)});
    packed_.clear();
    pack(packed_, charged);
    insert_id(held->id, slot.id, later(now, held->detached ? remember_detached : remember_expired), packed_);
  }
  slot.held.erase(over, slot.held.end());
  slot.changed = true;
}

void StoreTables::purge_if_due(std::int64_t now) {
  if (now >= purge_at_) purge(now);
}

void StoreTables::purge(std::int64_t now) {
  purge_at_ = later(now, purge_every);
  purge_ids_.bind(1, now);
  purge_ids_.bind(2, purge_at_once);
  purge_ids_.run();
  if (database_.changes() == purge_at_once) purge_at_ = now;
  slots_.clear();
  {
    const ResetAtEnd reset(old_slots_);
    old_slots_.bind(1, now);
    old_slots_.bind(2, purge_at_once);
    while (old_slots_.step()) slots_.push_back(read_slot(old_slots_));
  }
  std::vector<std::int64_t> over;
  std::int64_t version = 0;
  for (StoreSlot& slot : slots_) {
    expire(slot, now);
    if (!slot.held.empty()) continue;
    slot.changed = false;
    over.push_back(slot.id);
    version = std::max(version, slot.version);
  }
  write_slots();
  if (over.empty()) return;
  if (over.size() == purge_at_once) purge_at_ = now;
  for (const std::int64_t slot : over) {
    delete_slot_.bind(1, slot);
    delete_slot_.run();
  }
  // The version never falls, also for a process that opens the file later.
  raise_version_.bind(1, version);
  raise_version_.run();
}

}  // namespace outlay::detail
