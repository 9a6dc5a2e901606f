#include "sqlite/store_backend.hpp"

#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "core/base/json_text.hpp"
#include "core/base/vector.hpp"
#include "outlay/error.hpp"
#include "sqlite/database.hpp"
#include "sqlite/schema.hpp"

namespace outlay::detail {

namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;
using Op = StoreCommand::Op;
using Outcome = StoreReply::Outcome;

constexpr std::size_t id_bytes = 16;
constexpr std::size_t max_counters = 64;
constexpr std::size_t max_name = 256;
/// How long the id of a call that ended is remembered, and of one whose lease ran out: it may yet report.
constexpr auto remember_ended = 1h;
constexpr auto remember_expired = 24h;
/// A slot outlives what counts it by so much, and so by more than any correction that could come.
constexpr auto remember_slot = 48h;
constexpr auto purge_every = 10min;
constexpr std::int64_t purge_at_once = 1'000;

std::int64_t nanos(Time time) noexcept { return time.time_since_epoch().count(); }

std::int64_t later(std::int64_t time, std::chrono::nanoseconds by) noexcept { return saturating_add(time, by.count()); }

Vector spendable(Vector amount) noexcept {
  amount[index(Dimension::concurrent)] = 0;  // a call in flight is never spent
  return amount;
}
Vector negative(Vector amount) noexcept {  // of what was held or charged, which is never INT64_MIN
  for (std::int64_t& a : amount) a = -a;
  return amount;
}

/// What is wrong with a command; empty if nothing is.
std::string problem_of(const StoreCommand& command) {
  const auto is_id = [](const std::string& id) {
    return id.size() == 32 && id.find_first_not_of("0123456789abcdefABCDEF") == id.npos;
  };
  const bool has_id = command.op != Op::snapshot && command.op != Op::renew;
  if (has_id && !is_id(command.id)) return "the id is not 32 hexadecimal digits";
  for (const std::string& id : command.ids)
    if (!is_id(id)) return "one of the ids is not 32 hexadecimal digits";
  if (command.counters.size() > max_counters)
    return std::to_string(command.counters.size()) + " counters in one command: at most 64 are allowed";
  for (const StoreCounter& counter : command.counters)
    if (counter.name.empty() || counter.name.size() > max_name || counter.window.size() > max_name)
      return "a counter's name has " + std::to_string(counter.name.size()) + " bytes and its window " +
             std::to_string(counter.window.size()) + ": write 1 to 256, and at most 256";
  if (command.lease < 0ms) return "the lease is negative";
  if (command.op == Op::reserve || command.op == Op::extend || command.op == Op::settle)
    for (const std::int64_t a : to_vector(command.amount))
      if (a < 0) return "a negative amount: only adjust gives back";
  return {};
}

/// The 16 bytes of an id.
std::string bytes_of(const std::string& id) {
  std::string bytes(id.size() / 2, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    unsigned char byte = 0;
    std::from_chars(id.data() + 2 * i, id.data() + 2 * i + 2, byte, 16);
    bytes[i] = static_cast<char>(byte);
  }
  return bytes;
}

/// Whether a list of words has this one.
bool has_word(std::string_view list, std::string_view word) noexcept {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(' '), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

/// The shortest text that means exactly this number.
std::string exact(double fraction) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, fraction).ptr};
}

/// Leaves a statement reset, however its rows were read.
class Reading {
 public:
  explicit Reading(Statement& statement) noexcept : statement_(statement) {}
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  ~Reading() { statement_.reset(); }

 private:
  Statement& statement_;
};

}  // namespace

/// An open file, and what a command works on.
class SqliteStoreBackend::File {
 public:
  File(const std::filesystem::path& path, Steady::time_point deadline)
      : made_(!exists(path)),
        database_(path, Database::Mode::read_write),
        begin_(prepared(path, deadline), "BEGIN IMMEDIATE"),
        commit_(database_, "COMMIT"),
        get_slot_(database_, "SELECT id, state FROM store_slots WHERE id = ?1"),
        find_slots_(database_,
                    "SELECT id, state, begins FROM store_slots "
                    "WHERE name = ?1 AND \"window\" = ?2 AND begins >= ?3 AND begins <= ?4"),
        all_slots_(database_, "SELECT id, state FROM store_slots"),
        update_slot_(database_, "UPDATE store_slots SET state = ?2 WHERE id = ?1"),
        insert_slot_(database_,
                     "INSERT INTO store_slots(state, begins, forget_at, name, \"window\") "
                     "VALUES(?1, ?2, ?3, ?4, ?5)"),
        find_id_(database_, "SELECT slot, charged FROM store_ids WHERE id = ?1"),
        insert_id_(database_, "INSERT OR REPLACE INTO store_ids VALUES(?1, ?2, ?3, ?4)"),
        delete_id_(database_, "DELETE FROM store_ids WHERE id = ?1"),
        purge_ids_(database_,
                   "DELETE FROM store_ids WHERE (id, slot) IN "
                   "(SELECT id, slot FROM store_ids WHERE until <= ?1 LIMIT ?2)"),
        old_slots_(database_, "SELECT id, state FROM store_slots WHERE forget_at <= ?1 ORDER BY forget_at LIMIT ?2"),
        delete_slot_(database_, "DELETE FROM store_slots WHERE id = ?1"),
        raise_version_(database_, "UPDATE store_info SET version = max(version, ?1)"),
        epoch_(database_.query_text("SELECT epoch FROM store_info")) {
    // Where all processes have got to.
    version_ = database_.query_int("SELECT version FROM store_info");
    const Reading reading(all_slots_);
    while (all_slots_.step()) version_ = std::max(version_, read_slot(all_slots_).version);
  }

  /// The path names another file by now, or none.
  [[nodiscard]] bool moved() const noexcept {
    int moved = 0;
    return sqlite3_file_control(database_.handle(), "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0;
  }

  void execute(std::span<const StoreCommand> commands, Steady::time_point deadline,
               std::vector<Result<StoreReply>>& replies) {
    database_.set_deadline(deadline);
    begin_.run();
    try {
      for (const StoreCommand& command : commands) replies.push_back(apply(command));
      commit_.run();
    } catch (...) {
      if (database_.in_transaction()) sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
  }

 private:
  /// A call in flight.
  struct Held {
    std::string id{};  // 16 bytes
    std::int64_t until = 0;
    OnExpiry on_expiry{};
    Vector amount{};
  };
  /// One row of store_slots.
  struct Slot {
    std::int64_t id = 0;                    // 0: not in the file yet
    const StoreCounter* counter = nullptr;  // of a slot that is not
    std::int64_t version = 0;               // of its last change
    Vector spent{}, reserved{};
    std::vector<Held> held{};
    std::string told{};  // the fractions whose thresholds have been told, separated by blanks
    bool changed = false;

    Held* find(const std::string& key) noexcept {
      const auto at = std::find_if(held.begin(), held.end(), [&](const Held& h) { return h.id == key; });
      return at == held.end() ? nullptr : &*at;
    }
  };
  /// A counter of the command: rows_[first .. last) are its slots, `own` the one that is charged.
  struct View {
    std::size_t first = 0, last = 0, own = 0;
  };
  /// The rows of an id in store_ids: one for each slot in which its lease has run out, or one for slot 0 once its call has ended.
  struct Past {
    bool ended = false;
    std::vector<std::pair<std::int64_t, Vector>> charged{};
    [[nodiscard]] bool known() const noexcept { return ended || !charged.empty(); }
  };

  static bool exists(const std::filesystem::path& path) noexcept {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
  }

  Database& prepared(const std::filesystem::path& path, Steady::time_point deadline) {
    // Before anything is in it, and before SQLite makes the files beside it, which take its mode over.
    if (made_) ::chmod(path.c_str(), S_IRUSR | S_IWUSR);
    database_.set_deadline(deadline);
    retry_while_busy(deadline, [&] { prepare_for_store(database_); });
    database_.exec("PRAGMA synchronous = NORMAL");
    database_.exec("PRAGMA wal_autocheckpoint = 4000");      // pages
    database_.exec("PRAGMA journal_size_limit = 67108864");  // a log that long readers made grow is cut again
    return database_;
  }

  // --- rows ---

  [[noreturn]] void fail_as_damaged() const {
    throw SqliteError(errc::bad_file, SQLITE_CORRUPT,
                      "\"" + database_.name() + "\" is damaged: a row of a store cannot be read. Move it away");
  }

  // Whole numbers, seven bits a byte, the least significant first; the sign is the lowest bit.
  static void put(std::string& bytes, std::int64_t number) {
    auto bits = static_cast<std::uint64_t>(number) << 1U ^ static_cast<std::uint64_t>(number >> 63U);
    for (; bits > 0x7FU; bits >>= 7U) bytes += static_cast<char>(bits | 0x80U);
    bytes += static_cast<char>(bits);
  }
  std::int64_t take(std::string_view& bytes) const {
    std::uint64_t bits = 0;
    for (unsigned i = 0;; ++i) {
      if (i == bytes.size() || i == 10) fail_as_damaged();
      const auto byte = static_cast<unsigned char>(bytes[i]);
      bits |= static_cast<std::uint64_t>(byte & 0x7FU) << (7 * i);
      if (byte > 0x7FU) continue;
      bytes.remove_prefix(i + 1);
      return static_cast<std::int64_t>(bits >> 1U ^ (~(bits & 1U) + 1));
    }
  }
  static void put(std::string& bytes, const Vector& amount) {
    for (const std::int64_t number : amount) put(bytes, number);
  }
  Vector take_vector(std::string_view& bytes) const {
    Vector amount{};
    for (std::int64_t& number : amount) number = take(bytes);
    return amount;
  }

  Slot read_slot(const Statement& row) const {
    Slot slot;
    slot.id = row.integer(0);
    std::string_view bytes = row.blob(1);
    slot.version = take(bytes);
    slot.spent = take_vector(bytes);
    slot.reserved = take_vector(bytes);
    for (std::int64_t n = take(bytes); n > 0; --n) {
      Held& held = slot.held.emplace_back();
      held.until = take(bytes);
      held.on_expiry = static_cast<OnExpiry>(take(bytes));
      held.amount = take_vector(bytes);
      if (bytes.size() < id_bytes) fail_as_damaged();
      held.id = bytes.substr(0, id_bytes);
      bytes.remove_prefix(id_bytes);
    }
    slot.told = bytes;
    return slot;
  }
  std::string_view pack(const Slot& slot) {
    packed_.clear();
    put(packed_, slot.version);
    put(packed_, slot.spent);
    put(packed_, slot.reserved);
    put(packed_, static_cast<std::int64_t>(slot.held.size()));
    for (const Held& held : slot.held) {
      put(packed_, held.until);
      put(packed_, static_cast<std::int64_t>(held.on_expiry));
      put(packed_, held.amount);
      packed_ += held.id;
    }
    return packed_ += slot.told;
  }

  Past find_past(const std::string& key) {
    Past past;
    const Reading reading(find_id_);
    find_id_.bind_blob(1, key);
    while (find_id_.step()) {
      const std::int64_t slot = find_id_.integer(0);
      std::string_view bytes = find_id_.blob(1);
      if (slot == 0)
        past.ended = true;
      else
        past.charged.emplace_back(slot, take_vector(bytes));
    }
    return past;
  }
  void insert_id(const std::string& key, std::int64_t slot, std::int64_t until, std::string_view charged) {
    insert_id_.bind_blob(1, key);
    insert_id_.bind(2, slot);
    insert_id_.bind(3, until);
    insert_id_.bind_blob(4, charged);
    insert_id_.run();
  }

  // --- slots ---

  /// The place of a slot among slots_, where it goes once, however many counters or ids name it.
  std::size_t place_of(Slot slot) {
    for (std::size_t i = 0; i < slots_.size(); ++i)
      if (slot.id != 0 ? slots_[i].id == slot.id
                       : slots_[i].id == 0 && slots_[i].counter->name == slot.counter->name &&
                             slots_[i].counter->window == slot.counter->window &&
                             slots_[i].counter->begin == slot.counter->begin)
        return i;
    version_ = std::max(version_, slot.version);
    slots_.push_back(std::move(slot));
    return slots_.size() - 1;
  }

  bool load_slot(std::int64_t id, std::size_t& place) {
    for (place = 0; place < slots_.size(); ++place)
      if (slots_[place].id == id) return true;
    const Reading reading(get_slot_);
    get_slot_.bind(1, id);
    if (!get_slot_.step()) return false;
    place = place_of(read_slot(get_slot_));
    return true;
  }

  void load(const std::vector<StoreCounter>& counters, std::int64_t now) {
    slots_.clear();
    rows_.clear();
    views_.clear();
    for (const StoreCounter& counter : counters) views_.push_back(view_of(counter));
    for (Slot& slot : slots_) expire(slot, now);
    write_slots();
  }

  View view_of(const StoreCounter& counter) {
    View view;
    view.first = rows_.size();
    // A window that is one slot is that slot, even where a clock that was ahead has made later ones.
    const bool one_slot = counter.counted_from == counter.begin;
    bool there = false;
    {
      const Reading reading(find_slots_);
      find_slots_.bind_blob(1, counter.name);
      find_slots_.bind_blob(2, counter.window);
      find_slots_.bind(3, nanos(counter.counted_from));
      find_slots_.bind(4, one_slot ? nanos(counter.begin) : INT64_MAX);
      while (find_slots_.step()) {
        rows_.push_back(place_of(read_slot(find_slots_)));
        if (find_slots_.integer(2) == nanos(counter.begin)) view.own = rows_.back(), there = true;
      }
    }
    if (!there) {
      Slot slot;
      slot.counter = &counter;
      rows_.push_back(view.own = place_of(std::move(slot)));
    }
    view.last = rows_.size();
    return view;
  }

  [[nodiscard]] StoreReply::State state_of(const View& view) const noexcept {
    Vector spent{}, reserved{};
    for (std::size_t row = view.first; row < view.last; ++row)
      for (std::size_t d = 0; d < dimension_count; ++d) {
        spent[d] = saturating_add(spent[d], slots_[rows_[row]].spent[d]);
        reserved[d] = saturating_add(reserved[d], slots_[rows_[row]].reserved[d]);
      }
    return {to_amounts(spent), to_amounts(reserved)};
  }

  /// The slots that the command's counters charge, each once.
  void touch_own() {
    touched_.clear();
    for (const View& view : views_)
      if (std::find(touched_.begin(), touched_.end(), view.own) == touched_.end()) touched_.push_back(view.own);
  }
  /// Whether the sums fit, and the sum of both too, so that an expiry always fits.
  static bool fits(const Slot& slot, const Vector& spent, const Vector& reserved) noexcept {
    for (std::size_t d = 0; d < dimension_count; ++d) {
      std::int64_t s = 0, r = 0, both = 0;
      if (__builtin_add_overflow(slot.spent[d], spent[d], &s) ||
          __builtin_add_overflow(slot.reserved[d], reserved[d], &r) || __builtin_add_overflow(s, r, &both))
        return false;
    }
    return true;
  }
  static void add(Slot& slot, const Vector& spent, const Vector& reserved) noexcept {
    for (std::size_t d = 0; d < dimension_count; ++d) slot.spent[d] += spent[d], slot.reserved[d] += reserved[d];
    slot.changed = true;
  }

  void write_slots() {
    const std::int64_t next = version_ + 1;
    for (Slot& slot : slots_) {
      if (!std::exchange(slot.changed, false)) continue;
      slot.version = version_ = next;
      if (slot.id == 0) {
        insert_slot(slot);
        continue;
      }
      update_slot_.bind(1, slot.id);
      update_slot_.bind_blob(2, pack(slot));
      update_slot_.run();
    }
  }
  void insert_slot(Slot& slot) {
    const StoreCounter& counter = *slot.counter;
    insert_slot_.bind_blob(1, pack(slot));
    insert_slot_.bind(2, nanos(counter.begin));
    // A rolling window counts a slot for as long again as it looks back.
    const std::int64_t looks_back = saturating_add(nanos(counter.begin), -nanos(counter.counted_from));
    insert_slot_.bind(3, counter.end == Time::max()
                             ? INT64_MAX
                             : later(saturating_add(nanos(counter.end), looks_back), remember_slot));
    insert_slot_.bind_blob(4, counter.name);
    insert_slot_.bind_blob(5, counter.window);
    insert_slot_.run();
    slot.id = database_.last_insert_id();
  }

  // --- time ---

  /// Ends the leases that have run out; the ids are remembered, since their calls may yet report.
  void expire(Slot& slot, std::int64_t now) {
    const auto over =
        std::partition(slot.held.begin(), slot.held.end(), [&](const Held& held) { return held.until > now; });
    if (over == slot.held.end()) return;
    for (auto held = over; held != slot.held.end(); ++held) {
      const bool charge = held->on_expiry == OnExpiry::charge;
      const Vector charged = charge ? spendable(held->amount) : Vector{};
      for (std::size_t d = 0; d < dimension_count; ++d)
        slot.reserved[d] -= held->amount[d], slot.spent[d] += charged[d];  // fits: the two together did
      packed_.clear();
      put(packed_, charged);
      insert_id(held->id, slot.id, later(now, remember_expired), packed_);
    }
    slot.held.erase(over, slot.held.end());
    slot.changed = true;
  }

  /// Removes what is long over, a bounded number at a time.
  void purge(std::int64_t now) {
    purge_at_ = later(now, purge_every);
    purge_ids_.bind(1, now);
    purge_ids_.bind(2, purge_at_once);
    purge_ids_.run();
    if (database_.changes() == purge_at_once) purge_at_ = now;
    slots_.clear();
    {
      const Reading reading(old_slots_);
      old_slots_.bind(1, now);
      old_slots_.bind(2, purge_at_once);
      while (old_slots_.step()) slots_.push_back(read_slot(old_slots_));
    }
    std::vector<std::int64_t> over;
    std::int64_t version = 0;
    for (Slot& slot : slots_) {
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
    // The version never falls, whoever opens the file next.
    raise_version_.bind(1, version);
    raise_version_.run();
  }

  // --- commands ---

  Result<StoreReply> apply(const StoreCommand& command) {
    if (std::string problem = problem_of(command); !problem.empty())
      return Failure(errc::invalid_argument, "sqlite_store: " + problem);
    const std::int64_t now = nanos(command.now);
    if (now >= purge_at_) purge(now);
    load(command.counters, now);
    StoreReply reply;
    bool fits = true;
    switch (command.op) {
      case Op::reserve:
      case Op::extend:
        reply.outcome = hold(command, now);
        break;
      case Op::settle:
      case Op::release:
      case Op::adjust:
        fits = end(command, now, reply);
        break;
      case Op::renew:
        renew(command, later(now, command.lease));
        break;
      case Op::snapshot:
        break;
    }
    if (!fits)
      return Failure(errc::overflow, "sqlite_store: what was spent in counter \"" +
                                         well_formed(command.counters.front().name) +
                                         "\" or another would pass 9.2 * 10^18: nothing was changed");
    reply.now = command.now;
    reply.epoch = epoch_;
    reply.version = version_;
    reply.states.reserve(views_.size());
    for (const View& view : views_) reply.states.push_back(state_of(view));
    return reply;
  }

  Outcome hold(const StoreCommand& command, std::int64_t now) {
    const std::string key = bytes_of(command.id);
    touch_own();
    Vector more = to_vector(command.amount);
    // Renewed too late, an id may be held in some slots and have run out in others: then it has ended.
    const Held* held = nullptr;
    bool everywhere = !touched_.empty();
    for (const std::size_t i : touched_) {
      if (const Held* here = slots_[i].find(key))
        held = here;
      else
        everywhere = false;
    }
    if (!everywhere && (command.op == Op::extend || find_past(key).known())) return Outcome::ended;
    if (!held) {
      for (const StoreCounter& counter : command.counters)
        if (command.now < counter.begin || command.now >= counter.end) return Outcome::turned;
    } else if (command.op == Op::reserve) {
      return Outcome::done;
    } else {
      for (std::size_t d = 0; d < dimension_count; ++d) more[d] = std::max<std::int64_t>(0, more[d] - held->amount[d]);
      if (more == Vector{}) return Outcome::done;
    }
    if (!fit(command.counters, more)) return Outcome::refused;
    for (const std::size_t i : touched_)
      if (!fits(slots_[i], {}, more)) return Outcome::refused;
    for (const std::size_t i : touched_) {
      add(slots_[i], {}, more);
      if (Held* here = slots_[i].find(key))
        for (std::size_t d = 0; d < dimension_count; ++d) here->amount[d] += more[d];
      else
        slots_[i].held.push_back({key, later(now, command.lease), command.on_expiry, more});
    }
    write_slots();
    if (held) return Outcome::done;
    std::vector<std::int64_t>& places = held_in_[key];
    for (const std::size_t i : touched_) places.push_back(slots_[i].id);
    return Outcome::done;
  }

  /// Whether every counter has room, and no sum overflows.
  [[nodiscard]] bool fit(const std::vector<StoreCounter>& counters, const Vector& more) const noexcept {
    for (std::size_t i = 0; i < views_.size(); ++i) {
      const StoreReply::State state = state_of(views_[i]);
      const Vector spent = to_vector(state.spent), reserved = to_vector(state.reserved);
      const auto limits = to_vector(counters[i].limits);
      for (std::size_t d = 0; d < dimension_count; ++d) {
        std::int64_t used = 0, with = 0;
        if (more[d] == 0) continue;
        if (__builtin_add_overflow(spent[d], reserved[d], &used) || __builtin_add_overflow(used, more[d], &with))
          return false;
        if (limits[d] == no_cap || counters[i].room == Room::any) continue;
        if (counters[i].room == Room::fits ? with > limits[d] : used >= limits[d]) return false;
      }
    }
    return true;
  }

  /// Settles, releases or adjusts; false where a sum does not fit, and then nothing is changed.
  bool end(const StoreCommand& command, std::int64_t now, StoreReply& reply) {
    const std::string key = bytes_of(command.id);
    touch_own();
    bool here = !touched_.empty();
    for (const std::size_t i : touched_) here = here && slots_[i].find(key);
    const Past past = here ? Past{} : find_past(key);
    if (past.ended) {
      reply.outcome = Outcome::ended;
      return true;
    }
    const Vector amount = command.op == Op::release ? Vector{} : spendable(to_vector(command.amount));
    // What changes in each slot; all of it fits before any is done.
    std::vector<std::pair<Vector, Vector>> changes;
    for (const std::size_t i : touched_) {
      Vector spent = amount, reserved{};
      if (const Held* held = slots_[i].find(key)) {
        reserved = negative(held->amount);
      } else {
        for (const auto& [slot, charged] : past.charged)
          if (slot == slots_[i].id)
            for (std::size_t d = 0; d < dimension_count; ++d) spent[d] -= charged[d];  // both are 0 or more
      }
      if (!fits(slots_[i], spent, reserved)) return false;
      changes.emplace_back(spent, reserved);
    }
    for (std::size_t n = 0; n < touched_.size(); ++n) {
      Slot& slot = slots_[touched_[n]];
      if (changes[n] == std::pair<Vector, Vector>{} && !slot.find(key)) continue;
      add(slot, changes[n].first, changes[n].second);
      std::erase_if(slot.held, [&](const Held& held) { return held.id == key; });
    }
    held_in_.erase(key);
    if (command.op != Op::release) tell(command.counters, reply.crossed);
    write_slots();
    if (past.known()) {
      delete_id_.bind_blob(1, key);
      delete_id_.run();
    }
    insert_id(key, 0, later(now, remember_ended), {});
    return true;
  }

  /// The thresholds that are reached and have not been told in any slot that counts.
  void tell(const std::vector<StoreCounter>& counters, std::vector<StoreReply::Crossed>& crossed) {
    for (std::size_t i = 0; i < views_.size(); ++i) {
      if (counters[i].thresholds.empty()) continue;
      const View& view = views_[i];
      const Vector spent = to_vector(state_of(view).spent);
      for (const StoreCounter::Threshold& threshold : counters[i].thresholds) {
        const auto at = to_vector(threshold.at);
        bool reached = false;
        for (std::size_t d = 0; d < dimension_count; ++d) reached = reached || (at[d] != no_cap && spent[d] >= at[d]);
        if (!reached) continue;
        const std::string word = exact(threshold.fraction);
        bool told = false;
        for (std::size_t row = view.first; row < view.last; ++row)
          told = told || has_word(slots_[rows_[row]].told, word);
        if (told) continue;
        Slot& own = slots_[view.own];
        if (!own.told.empty()) own.told += ' ';
        own.told += word;
        own.changed = true;
        crossed.push_back({i, threshold.fraction});
      }
    }
  }

  void renew(const StoreCommand& command, std::int64_t until) {
    std::vector<std::string> elsewhere;  // of another connection, or of none
    for (const std::string& text : command.ids) {
      const std::string key = bytes_of(text);
      const auto places = held_in_.find(key);
      bool found = false;
      std::size_t place = 0;
      if (places != held_in_.end())
        for (const std::int64_t slot : places->second)
          if (load_slot(slot, place)) found |= renew(slots_[place], key, until);
      if (!found) elsewhere.push_back(key);
    }
    if (!elsewhere.empty()) {
      const Reading reading(all_slots_);
      while (all_slots_.step()) {
        Slot slot = read_slot(all_slots_);
        bool any = false;
        for (const std::string& key : elsewhere) any |= slot.find(key) != nullptr;
        if (!any) continue;
        Slot& loaded = slots_[place_of(std::move(slot))];
        for (const std::string& key : elsewhere) renew(loaded, key, until);
      }
    }
    write_slots();
  }
  static bool renew(Slot& slot, const std::string& key, std::int64_t until) noexcept {
    Held* held = slot.find(key);
    if (!held) return false;
    held->until = until;
    return slot.changed = true;
  }

  const bool made_;  // the file was not there
  Database database_;
  Statement begin_, commit_, get_slot_, find_slots_, all_slots_, update_slot_, insert_slot_, find_id_, insert_id_,
      delete_id_, purge_ids_, old_slots_, delete_slot_, raise_version_;
  const std::string epoch_;
  std::int64_t version_ = 0;           // the largest that was seen
  std::int64_t purge_at_ = INT64_MIN;  // by the commands' clock
  // The slots of what was reserved here, to find it by its id alone.
  std::unordered_map<std::string, std::vector<std::int64_t>> held_in_;

  // Of the command; kept for their memory.
  std::vector<Slot> slots_;
  std::vector<std::size_t> rows_;
  std::vector<View> views_;
  std::vector<std::size_t> touched_;
  std::string packed_;
};

SqliteStoreBackend::SqliteStoreBackend(std::filesystem::path path, std::chrono::milliseconds timeout)
    : path_(std::move(path)), file_(std::make_unique<File>(path_, Steady::now() + timeout)) {}

SqliteStoreBackend::~SqliteStoreBackend() = default;

std::string SqliteStoreBackend::description() const {
  return "the SQLite file \"" + well_formed(path_.native()) + "\"";
}

std::vector<Result<StoreReply>> SqliteStoreBackend::execute(std::span<const StoreCommand> commands,
                                                            std::chrono::milliseconds timeout) {
  std::vector<Result<StoreReply>> replies;
  if (commands.empty()) return replies;
  const auto deadline = Steady::now() + timeout;
  std::string problem;
  try {
    replies.reserve(commands.size());
    if (file_ && file_->moved()) file_.reset();
    if (!file_) file_ = std::make_unique<File>(path_, deadline);
    file_->execute(commands, deadline, replies);
    return replies;
  } catch (const SqliteError& error) {
    if (!error.busy()) file_.reset();
    problem = error.what();
  } catch (const std::exception& error) {
    file_.reset();
    problem = error.what();
  }
  // All of them were one transaction: none has happened.
  replies.assign(commands.size(), Failure(errc::store_unavailable, "sqlite_store: " + problem));
  return replies;
}

}  // namespace outlay::detail
