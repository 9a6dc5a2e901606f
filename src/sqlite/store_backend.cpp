#include "sqlite/store_backend.hpp"

#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/json_text.hpp"
#include "outlay/error.hpp"
#include "sqlite/database.hpp"
#include "sqlite/schema.hpp"

namespace outlay::detail {

namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;
using Op = StoreCommand::Op;
using Outcome = StoreReply::Outcome;

constexpr std::size_t dimensions = 6;
constexpr std::size_t in_flight = 5;  // of them the one that is never spent
using Vector = std::array<std::int64_t, dimensions>;

constexpr std::size_t max_counters = 64;
constexpr std::size_t max_name = 256;
/// How long the id of a call that ended is remembered; of one that expired: its call may yet report.
constexpr auto remember_ended = 1h;
constexpr auto remember_expired = 24h;
/// A slot outlives what counts it by so much, and so by more than any correction that could come.
constexpr auto remember_slot = 48h;
constexpr auto purge_every = 1min;
constexpr std::int64_t purge_at_once = 1'000;

/// `store_ids.state`.
enum State : std::int64_t { held = 0, charged = 1, given_back = 2, ended = 3 };

std::int64_t nanos(Time time) noexcept { return time.time_since_epoch().count(); }

std::int64_t plus(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? INT64_MAX : INT64_MIN;
}
std::int64_t later(std::int64_t time, std::chrono::nanoseconds by) noexcept { return plus(time, by.count()); }

Vector to_vector(const Amounts& a) noexcept {
  return {a.usd.nanos(), a.tokens, a.input_tokens, a.output_tokens, a.calls, a.concurrent};
}
Amounts to_amounts(const Vector& v) noexcept { return {Usd::from_nanos(v[0]), v[1], v[2], v[3], v[4], v[5]}; }
std::array<std::optional<std::int64_t>, dimensions> to_vector(const Limits& l) noexcept {
  return {l.usd ? std::optional(l.usd->nanos()) : std::nullopt,
          l.tokens,
          l.input_tokens,
          l.output_tokens,
          l.calls,
          l.concurrent};
}

Vector spendable(Vector amount) noexcept {
  amount[in_flight] = 0;
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
        read_state_(database_, "SELECT version, look_at, purge_at FROM store_state WHERE id = 1"),
        write_state_(database_,
                     "UPDATE store_state SET version = ?1, look_at = ?2, purge_at = ?3 WHERE id = 1"),
        find_slots_(database_, std::string(select_slot) +
                                   "name = ?1 AND \"window\" = ?2 AND begins >= ?3 AND begins <= ?4"),
        get_slot_(database_, std::string(select_slot) + "id = ?1"),
        update_slot_(database_,
                     "UPDATE store_slots SET spent_usd = ?1, spent_tokens = ?2, spent_input_tokens = ?3, "
                     "spent_output_tokens = ?4, spent_calls = ?5, reserved_usd = ?6, reserved_tokens = ?7, "
                     "reserved_input_tokens = ?8, reserved_output_tokens = ?9, reserved_calls = ?10, "
                     "reserved_concurrent = ?11, told = ?12 WHERE id = ?13"),
        insert_slot_(database_,
                     "INSERT INTO store_slots(spent_usd, spent_tokens, spent_input_tokens, "
                     "spent_output_tokens, spent_calls, reserved_usd, reserved_tokens, "
                     "reserved_input_tokens, reserved_output_tokens, reserved_calls, reserved_concurrent, "
                     "told, name, \"window\", begins, forget_at) "
                     "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)"),
        find_id_(database_, std::string(select_id) + "id = ?1"),
        find_overdue_(database_, std::string(select_id) + "state = 0 AND until <= ?1"),
        insert_id_(database_, "INSERT INTO store_ids VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)"),
        update_id_(database_,
                   "UPDATE store_ids SET state = ?2, until = ?3, usd = ?4, tokens = ?5, input_tokens = ?6, "
                   "output_tokens = ?7, calls = ?8, concurrent = ?9, slots = ?10 WHERE id = ?1"),
        renew_id_(database_, "UPDATE store_ids SET until = ?2 WHERE id = ?1 AND state = 0"),
        next_expiry_(database_, "SELECT min(until) FROM store_ids WHERE state = 0"),
        purge_ids_(database_,
                   "DELETE FROM store_ids WHERE id IN "
                   "(SELECT id FROM store_ids WHERE state <> 0 AND until <= ?1 LIMIT ?2)"),
        purge_slots_(database_,
                     "DELETE FROM store_slots WHERE id IN (SELECT id FROM store_slots WHERE forget_at <= ?1 "
                     "AND max(reserved_usd, reserved_tokens, reserved_input_tokens, reserved_output_tokens, "
                     "reserved_calls, reserved_concurrent) = 0 LIMIT ?2)"),
        epoch_(database_.query_text("SELECT epoch FROM store_state")) {}

  /// The path names another file by now, or none.
  [[nodiscard]] bool moved() const noexcept {
    int moved = 0;
    return sqlite3_file_control(database_.handle(), "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
           moved != 0;
  }

  void execute(std::span<const StoreCommand> commands, Steady::time_point deadline,
               std::vector<Result<StoreReply>>& replies) {
    database_.set_deadline(deadline);
    begin_.run();
    try {
      read_state();
      for (const StoreCommand& command : commands) replies.push_back(apply(command));
      if (changed_) write_state();
      commit_.run();
    } catch (...) {
      if (database_.in_transaction()) sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
  }

 private:
  struct Slot {
    std::int64_t id = 0;                    // 0: not in the file yet
    const StoreCounter* counter = nullptr;  // of a slot that is not
    Vector spent{}, reserved{};
    std::string told{};  // the fractions whose thresholds have been told
    bool changed = false;
  };
  /// A counter of the command: rows_[first .. last) are its slots, `own` the one that is charged.
  struct View {
    std::size_t first = 0, last = 0, own = 0;
  };
  struct Id {
    std::int64_t state = held, until = 0, on_expiry = 0;
    Vector amount{};      // held, or charged at its expiry
    std::string slots{};  // numbers of the slots, separated by blanks
  };

  static constexpr const char* select_slot =
      "SELECT id, spent_usd, spent_tokens, spent_input_tokens, spent_output_tokens, spent_calls, "
      "reserved_usd, "
      "reserved_tokens, reserved_input_tokens, reserved_output_tokens, reserved_calls, reserved_concurrent, "
      "told, "
      "begins FROM store_slots WHERE ";
  static constexpr const char* select_id =
      "SELECT state, until, on_expiry, usd, tokens, input_tokens, output_tokens, calls, concurrent, slots, "
      "id "
      "FROM store_ids WHERE ";

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

  // --- the state of the whole ---

  void read_state() {
    const Reading reading(read_state_);
    if (!read_state_.step()) database_.fail(SQLITE_CORRUPT);
    version_ = read_state_.integer(0);
    look_at_ = read_state_.integer(1);
    purge_at_ = read_state_.integer(2);
    changed_ = false;
  }
  void write_state() {
    write_state_.bind(1, version_);
    write_state_.bind(2, look_at_);
    write_state_.bind(3, purge_at_);
    write_state_.run();
  }
  void count_change() noexcept { ++version_, changed_ = true; }
  void look_before(std::int64_t time) noexcept {
    if (time >= look_at_) return;
    look_at_ = time;
    changed_ = true;
  }

  // --- slots ---

  void read_slot(Statement& row, Slot& slot) const {
    slot.id = row.integer(0);
    for (std::size_t d = 0; d < in_flight; ++d) slot.spent[d] = row.integer(static_cast<int>(d) + 1);
    for (std::size_t d = 0; d < dimensions; ++d) slot.reserved[d] = row.integer(static_cast<int>(d) + 6);
    slot.told = row.text(12);
  }

  /// The place of a slot among slots_, where it goes once however many counters or commands name it.
  std::size_t place_of(Slot slot) {
    for (std::size_t i = 0; i < slots_.size(); ++i)
      if (slot.id != 0 ? slots_[i].id == slot.id
                       : slots_[i].id == 0 && slots_[i].counter->name == slot.counter->name &&
                             slots_[i].counter->window == slot.counter->window &&
                             slots_[i].counter->begin == slot.counter->begin)
        return i;
    slots_.push_back(std::move(slot));
    return slots_.size() - 1;
  }

  void load(const std::vector<StoreCounter>& counters) {
    slots_.clear();
    rows_.clear();
    views_.clear();
    for (const StoreCounter& counter : counters) {
      View view;
      view.first = rows_.size();
      bool own = false;
      {
        const Reading reading(find_slots_);
        find_slots_.bind_blob(1, counter.name);
        find_slots_.bind_blob(2, counter.window);
        find_slots_.bind(3, nanos(counter.counted_from));
        // A window that is one slot is that slot, even where a clock that was ahead has made later ones.
        find_slots_.bind(4, counter.counted_from == counter.begin ? nanos(counter.begin) : INT64_MAX);
        while (find_slots_.step()) {
          Slot slot;
          read_slot(find_slots_, slot);
          const bool is_own = find_slots_.integer(13) == nanos(counter.begin);
          rows_.push_back(place_of(std::move(slot)));
          if (is_own) view.own = rows_.back(), own = true;
        }
      }
      if (!own) {
        Slot slot;
        slot.counter = &counter;
        rows_.push_back(view.own = place_of(std::move(slot)));
      }
      view.last = rows_.size();
      views_.push_back(view);
    }
  }

  [[nodiscard]] StoreReply::State state_of(const View& view) const noexcept {
    Vector spent{}, reserved{};
    for (std::size_t row = view.first; row < view.last; ++row)
      for (std::size_t d = 0; d < dimensions; ++d) {
        spent[d] = plus(spent[d], slots_[rows_[row]].spent[d]);
        reserved[d] = plus(reserved[d], slots_[rows_[row]].reserved[d]);
      }
    return {to_amounts(spent), to_amounts(reserved)};
  }

  /// The slots that the command's counters charge, each once.
  void own_slots() {
    touched_.clear();
    for (const View& view : views_)
      if (std::find(touched_.begin(), touched_.end(), view.own) == touched_.end())
        touched_.push_back(view.own);
  }
  /// The slots that an id is held in. One that has been forgotten is left out.
  void slots_of(const Id& id) {
    touched_.clear();
    for (const char *at = id.slots.data(), *end = at + id.slots.size(); at < end; ++at) {
      std::int64_t number = 0;
      at = std::from_chars(at, end, number).ptr;
      Slot slot;
      slot.id = number;
      const auto known =
          std::find_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.id == number; });
      if (known != slots_.end()) {
        touched_.push_back(static_cast<std::size_t>(known - slots_.begin()));
        continue;
      }
      const Reading reading(get_slot_);
      get_slot_.bind(1, number);
      if (!get_slot_.step()) continue;
      read_slot(get_slot_, slot);
      touched_.push_back(place_of(std::move(slot)));
    }
  }

  /// Adds to the touched slots; false, and nothing is changed, where a sum would not fit.
  bool add(const Vector& spent, const Vector& reserved) {
    for (const std::size_t i : touched_) {
      const Slot& slot = slots_[i];
      for (std::size_t d = 0; d < dimensions; ++d) {
        // Their sum too, so that an expiry always fits.
        std::int64_t s = 0, r = 0, both = 0;
        if (__builtin_add_overflow(slot.spent[d], spent[d], &s) ||
            __builtin_add_overflow(slot.reserved[d], reserved[d], &r) || __builtin_add_overflow(s, r, &both))
          return false;
      }
    }
    for (const std::size_t i : touched_) {
      Slot& slot = slots_[i];
      for (std::size_t d = 0; d < dimensions; ++d) slot.spent[d] += spent[d], slot.reserved[d] += reserved[d];
      slot.changed = true;
    }
    return true;
  }

  void write_slots() {
    for (Slot& slot : slots_) {
      if (!std::exchange(slot.changed, false)) continue;
      Statement& row = slot.id != 0 ? update_slot_ : insert_slot_;
      for (std::size_t d = 0; d < in_flight; ++d) row.bind(static_cast<int>(d) + 1, slot.spent[d]);
      for (std::size_t d = 0; d < dimensions; ++d) row.bind(static_cast<int>(d) + 6, slot.reserved[d]);
      row.bind(12, std::string_view(slot.told));
      if (slot.id != 0) {
        row.bind(13, slot.id);
        row.run();
        continue;
      }
      const StoreCounter& counter = *slot.counter;
      row.bind_blob(13, counter.name);
      row.bind_blob(14, counter.window);
      row.bind(15, nanos(counter.begin));
      // A rolling window counts a slot for as long again as it looks back.
      const std::int64_t counts_for = plus(nanos(counter.begin), -nanos(counter.counted_from));
      row.bind(16, counter.end == Time::max() ? INT64_MAX
                                              : later(plus(nanos(counter.end), counts_for), remember_slot));
      row.run();
      slot.id = database_.last_insert_id();
    }
  }

  // --- ids ---

  static Id read_id(Statement& row) {
    Id id;
    id.state = row.integer(0);
    id.until = row.integer(1);
    id.on_expiry = row.integer(2);
    for (std::size_t d = 0; d < dimensions; ++d) id.amount[d] = row.integer(static_cast<int>(d) + 3);
    id.slots = row.text(9);
    return id;
  }
  std::optional<Id> find_id(const std::string& bytes) {
    const Reading reading(find_id_);
    find_id_.bind_blob(1, bytes);
    if (!find_id_.step()) return std::nullopt;
    return read_id(find_id_);
  }
  void insert_id(const std::string& bytes, const Id& id) {
    insert_id_.bind_blob(1, bytes);
    insert_id_.bind(2, id.state);
    insert_id_.bind(3, id.until);
    insert_id_.bind(4, id.on_expiry);
    for (std::size_t d = 0; d < dimensions; ++d) insert_id_.bind(static_cast<int>(d) + 5, id.amount[d]);
    insert_id_.bind(11, std::string_view(id.slots));
    insert_id_.run();
  }
  void update_id(const std::string& bytes, const Id& id) {
    update_id_.bind_blob(1, bytes);
    update_id_.bind(2, id.state);
    update_id_.bind(3, id.until);
    for (std::size_t d = 0; d < dimensions; ++d) update_id_.bind(static_cast<int>(d) + 4, id.amount[d]);
    update_id_.bind(10, std::string_view(id.slots));
    update_id_.run();
  }

  // --- time ---

  /// Leases that have run out, and what is long over. Seldom: look_at_ is at most the earliest end of a lease.
  void look_after(std::int64_t now) {
    std::vector<std::pair<std::string, Id>> overdue;
    {
      const Reading reading(find_overdue_);
      find_overdue_.bind(1, now);
      while (find_overdue_.step())
        overdue.emplace_back(std::string(find_overdue_.blob(10)), read_id(find_overdue_));
    }
    slots_.clear();
    for (auto& [bytes, id] : overdue) {
      slots_of(id);
      const bool charge = id.on_expiry == static_cast<std::int64_t>(OnExpiry::charge);
      add(charge ? spendable(id.amount) : Vector{}, negative(id.amount));  // fits, since the two together did
      id.state = charge ? charged : given_back;
      id.amount = charge ? spendable(id.amount) : Vector{};
      id.until = later(now, remember_expired);
      update_id(bytes, id);
    }
    write_slots();
    const Reading reading(next_expiry_);
    look_at_ = next_expiry_.step() && !next_expiry_.is_null(0) ? next_expiry_.integer(0) : INT64_MAX;
    changed_ = true;
    if (!overdue.empty()) count_change();
  }

  void purge(std::int64_t now) {
    purge_at_ = later(now, purge_every);
    changed_ = true;
    for (Statement* rows : {&purge_ids_, &purge_slots_}) {
      rows->bind(1, now);
      rows->bind(2, purge_at_once);
      rows->run();
      if (database_.changes() == purge_at_once) purge_at_ = now;
    }
  }

  // --- commands ---

  Result<StoreReply> apply(const StoreCommand& command) {
    if (std::string problem = problem_of(command); !problem.empty())
      return Failure(errc::invalid_argument, "sqlite_store: " + problem);
    const std::int64_t now = nanos(command.now);
    if (now >= look_at_) look_after(now);
    if (now >= purge_at_) purge(now);
    load(command.counters);
    StoreReply reply;
    reply.outcome = Outcome::done;
    bool overflow = false;
    switch (command.op) {
      case Op::reserve:
      case Op::extend:
        reply.outcome = hold(command, now);
        break;
      case Op::settle:
      case Op::release:
      case Op::adjust:
        overflow = !end(command, now, reply);
        break;
      case Op::renew:
        for (const std::string& id : command.ids) renew(bytes_of(id), later(now, command.lease));
        break;
      case Op::snapshot:
        break;
    }
    if (overflow)
      return Failure(errc::overflow, "sqlite_store: what was spent under \"" +
                                         well_formed(command.counters.front().name) +
                                         "\" would be beyond +-9.2 * 10^18: nothing was changed");
    reply.now = command.now;
    reply.epoch = epoch_;
    reply.version = version_;
    reply.states.reserve(views_.size());
    for (const View& view : views_) reply.states.push_back(state_of(view));
    return reply;
  }

  Outcome hold(const StoreCommand& command, std::int64_t now) {
    const std::string bytes = bytes_of(command.id);
    std::optional<Id> id = find_id(bytes);
    if (id && id->state != held) return Outcome::ended;
    if (id && command.op == Op::reserve) return Outcome::done;
    Vector more = to_vector(command.amount);
    if (id) {
      for (std::size_t d = 0; d < dimensions; ++d)
        more[d] = std::max<std::int64_t>(0, more[d] - id->amount[d]);
      if (more == Vector{}) return Outcome::done;
    } else {
      for (const StoreCounter& counter : command.counters)
        if (command.now < counter.begin || command.now >= counter.end) return Outcome::turned;
    }
    for (std::size_t i = 0; i < views_.size(); ++i)
      if (!fits(command.counters[i], views_[i], more)) return Outcome::refused;
    id ? slots_of(*id) : own_slots();
    if (!add({}, more)) return Outcome::refused;
    write_slots();
    if (id) {
      for (std::size_t d = 0; d < dimensions; ++d) id->amount[d] += more[d];
      update_id(bytes, *id);
    } else {
      Id made;
      made.until = later(now, command.lease);
      made.on_expiry = static_cast<std::int64_t>(command.on_expiry);
      made.amount = more;
      for (const std::size_t i : touched_) {
        if (!made.slots.empty()) made.slots += ' ';
        made.slots += std::to_string(slots_[i].id);
      }
      insert_id(bytes, made);
      look_before(made.until);
    }
    count_change();
    return Outcome::done;
  }

  [[nodiscard]] bool fits(const StoreCounter& counter, const View& view, const Vector& more) const noexcept {
    if (counter.room == Room::any) return true;
    const StoreReply::State state = state_of(view);
    const Vector spent = to_vector(state.spent), reserved = to_vector(state.reserved);
    const auto limits = to_vector(counter.limits);
    for (std::size_t d = 0; d < dimensions; ++d) {
      if (!limits[d] || more[d] == 0) continue;
      std::int64_t used = 0, with = 0;
      if (__builtin_add_overflow(spent[d], reserved[d], &used) ||
          __builtin_add_overflow(used, more[d], &with))
        return false;
      if (counter.room == Room::fits ? with > *limits[d] : used >= *limits[d]) return false;
    }
    return true;
  }

  /// Settles, releases or adjusts; false where a sum does not fit, and then nothing is changed.
  bool end(const StoreCommand& command, std::int64_t now, StoreReply& reply) {
    const std::string bytes = bytes_of(command.id);
    std::optional<Id> id = find_id(bytes);
    if (id && id->state == ended) {
      reply.outcome = Outcome::ended;
      return true;
    }
    Vector spent{}, reserved{};
    if (command.op != Op::release) spent = spendable(to_vector(command.amount));
    if (id && id->state == held) reserved = negative(id->amount);
    if (id && id->state == charged)
      for (std::size_t d = 0; d < dimensions; ++d) spent[d] -= id->amount[d];  // both are 0 or more
    id ? slots_of(*id) : own_slots();
    if (!add(spent, reserved)) return false;
    if (command.op != Op::release) tell(command.counters, reply.crossed);
    if (id || command.op != Op::release) write_slots();
    Id over;
    over.state = ended;
    over.until = later(now, remember_ended);
    id ? update_id(bytes, over) : insert_id(bytes, over);
    count_change();
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
        for (std::size_t d = 0; d < dimensions; ++d) reached = reached || (at[d] && spent[d] >= *at[d]);
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

  void renew(const std::string& bytes, std::int64_t until) {
    renew_id_.bind_blob(1, bytes);
    renew_id_.bind(2, until);
    renew_id_.run();
    if (database_.changes() == 0) return;
    count_change();
    look_before(until);
  }

  const bool made_;  // the file was not there
  Database database_;
  Statement begin_, commit_, read_state_, write_state_, find_slots_, get_slot_, update_slot_, insert_slot_,
      find_id_, find_overdue_, insert_id_, update_id_, renew_id_, next_expiry_, purge_ids_, purge_slots_;
  const std::string epoch_;

  // Of the transaction.
  std::int64_t version_ = 0;
  std::int64_t look_at_ = 0;  // no lease ends before
  std::int64_t purge_at_ = 0;
  bool changed_ = false;
  // Of the command; kept for their memory.
  std::vector<Slot> slots_;
  std::vector<std::size_t> rows_;
  std::vector<View> views_;
  std::vector<std::size_t> touched_;
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
