#include "sqlite/store_file.hpp"

#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/base/utf8.hpp"
#include "outlay/error.hpp"
#include "sqlite/schema.hpp"

namespace outlay::detail {

namespace {

using namespace std::chrono_literals;
using Op = StoreCommand::Op;

constexpr std::size_t max_counters = 64;
constexpr std::size_t max_name = 256;

Vector negative(Vector amount) noexcept {  // of what was held or charged, which is never INT64_MIN
  for (std::int64_t& a : amount) a = -a;
  return amount;
}

/// What is wrong with a command; empty if nothing is.
std::string problem_of(const StoreCommand& command) {
  const auto is_id = [](const std::string& id) {
    return id.size() == 32 && id.find_first_not_of("0123456789abcdefABCDEF") == id.npos;
  };
  const bool has_id = command.op != Op::snapshot && command.op != Op::renew && command.op != Op::set_cap &&
                      command.op != Op::list_caps && command.op != Op::list_counters;
  if (command.op == Op::set_cap && command.counters.size() != 1) return "set_cap is for one counter";
  if (has_id && !is_id(command.id)) return "the id is not 32 hexadecimal digits";
  for (const std::string& id : command.ids)
    if (!is_id(id)) return "one of the ids is not 32 hexadecimal digits";
  if (command.counters.size() > max_counters)
    return std::to_string(command.counters.size()) + " counters in one command: it must have at most 64";
  for (const StoreCounter& counter : command.counters)
    if (counter.name.empty() || counter.name.size() > max_name || counter.window.size() > max_name)
      return "a counter's name has " + std::to_string(counter.name.size()) + " bytes and its window " +
             std::to_string(counter.window.size()) + ": the name must have 1 to 256, the window at most 256";
  if (command.lease < 0ms) return "the lease is negative";
  if (command.op == Op::reserve || command.op == Op::extend || command.op == Op::settle)
    for (const std::int64_t a : to_vector(command.amount))
      if (a < 0) return "a negative amount: only adjust may have one";
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

/// A counter, as StoreReply::next has it: the window's id, which has no zero byte, and the name, which may have any.
StoreReply::Name name_in(std::string_view place) {
  const std::size_t end = place.find('\0');
  if (end == place.npos) return {};
  return {std::string(place.substr(end + 1)), std::string(place.substr(0, end))};
}

bool is_there(const std::filesystem::path& path) noexcept {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

/// Moves the end of a call's lease; false where the slot does not hold the call.
bool renew_in(StoreSlot& slot, const std::string& key, std::int64_t until) noexcept {
  HeldCall* held = slot.find(key);
  if (!held) return false;
  held->until = until;
  return slot.changed = true;
}

}  // namespace

StoreFile::StoreFile(const std::filesystem::path& path, Deadline deadline, bool create)
    : made_(create && !is_there(path)),
      database_(path, create ? Database::Mode::read_write : Database::Mode::present),
      tables_(prepared(path, deadline, create)),
      begin_(database_, "BEGIN IMMEDIATE"),
      commit_(database_, "COMMIT") {}

bool StoreFile::moved() const noexcept {
  int moved = 0;
  return sqlite3_file_control(database_.handle(), "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0;
}

void StoreFile::execute(std::span<const StoreCommand> commands, Deadline deadline,
                        std::vector<Result<StoreReply>>& replies, std::vector<StoreReply::Expired>& expired) {
  database_.set_deadline(deadline);
  begin_.run();
  try {
    for (const StoreCommand& command : commands) replies.push_back(apply(command));
    commit_.run();
    std::vector<StoreReply::Expired> found = tables_.take_expired();
    std::move(found.begin(), found.end(), std::back_inserter(expired));
  } catch (...) {
    if (database_.in_transaction()) sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
    (void)tables_.take_expired();  // they are to be found again
    throw;
  }
}

Database& StoreFile::prepared(const std::filesystem::path& path, Deadline deadline, bool create) {
  // Before anything is in the file, and before SQLite makes the files beside it, which get the same mode.
  if (made_) ::chmod(path.c_str(), S_IRUSR | S_IWUSR);
  database_.set_deadline(deadline);
  retry_while_busy(deadline, [&] { prepare_for_store(database_, create); });
  database_.exec("PRAGMA synchronous = NORMAL");
  database_.exec("PRAGMA wal_autocheckpoint = 4000");      // pages
  database_.exec("PRAGMA journal_size_limit = 67108864");  // a log that long readers made grow is cut again
  return database_;
}

Result<StoreReply> StoreFile::apply(const StoreCommand& asked) {
  if (std::string problem = problem_of(asked); !problem.empty())
    return Failure(errc::invalid_argument, "sqlite_store: " + problem);
  const std::int64_t now = nanos(asked.now);
  // The caps that are set stand in the place of the program's.
  std::vector<Limits> set;
  set.reserve(asked.counters.size());
  StoreCommand capped;
  for (const StoreCounter& counter : asked.counters) set.push_back(tables_.cap_of(counter, now));
  const bool any_set = std::any_of(set.begin(), set.end(), [](const Limits& limits) { return limits != Limits{}; });
  if (any_set) {
    capped = asked;
    for (std::size_t i = 0; i < set.size(); ++i) put_in_place(set[i], capped.counters[i].limits);
  }
  const StoreCommand& command = any_set ? capped : asked;
  tables_.purge_if_due(now);
  tables_.load(command.counters, now);
  StoreReply reply;
  bool fits = true;
  fits_at_.clear();
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
    case Op::set_cap:
      if (!tables_.set_cap(asked, now)) reply.outcome = StoreReply::Outcome::refused;
      set.front() = tables_.cap_of(command.counters.front(), now);
      break;
    case Op::list_caps:
      reply.caps = tables_.caps(now);
      break;
    case Op::list_counters:
      reply.counters = tables_.counters(command.prefix, name_in(command.after));
      if (!reply.counters.empty()) reply.next = reply.counters.back().window + '\0' + reply.counters.back().name;
      break;
  }
  if (!fits)
    return Failure(errc::overflow,
                   "sqlite_store: what was spent in counter \"" + well_formed(command.counters.front().name) +
                       "\" or another would pass 9.2 * 10^18, so nothing was changed: use another name or "
                       "window for it");
  reply.now = command.now;
  reply.epoch = tables_.epoch();
  reply.version = tables_.version();
  reply.states.reserve(tables_.views().size());
  for (std::size_t i = 0; i < tables_.views().size(); ++i) {
    const SlotSums sums = tables_.sums_of(tables_.views()[i]);
    reply.states.push_back(
        {to_amounts(sums.spent), to_amounts(sums.held), fits_at_.empty() ? std::nullopt : fits_at_[i]});
    reply.states.back().caps = set[i];
    if (command.op == Op::snapshot) reply.states.back().known = tables_.has_slots(command.counters[i]);
  }
  return reply;
}

StoreFile::Outcome StoreFile::hold(const StoreCommand& command, std::int64_t now) {
  const std::string key = bytes_of(command.id);
  const std::vector<std::size_t>& touched = tables_.charged();
  Vector more = to_vector(command.amount);
  // An id that was renewed too late may be held in some slots while its lease has run out in others: then it has ended.
  const HeldCall* held = nullptr;
  bool everywhere = !touched.empty();
  for (const std::size_t i : touched) {
    if (const HeldCall* here = tables_.slot(i).find(key))
      held = here;
    else
      everywhere = false;
  }
  if (!everywhere && (command.op == Op::extend || tables_.find_past(key).known())) return Outcome::ended;
  if (!held) {
    for (const StoreCounter& counter : command.counters)
      if (!is_present(counter, command.now)) return Outcome::turned;
  } else if (command.op == Op::reserve) {
    return Outcome::done;
  } else {
    for (std::size_t d = 0; d < dimension_count; ++d) more[d] = std::max<std::int64_t>(0, more[d] - held->amount[d]);
    if (more == Vector{}) return Outcome::done;
  }
  if (!has_room(command.counters, more)) return Outcome::refused;
  for (const std::size_t i : touched)
    if (!tables_.slot(i).fits({}, more)) return Outcome::refused;
  for (const std::size_t i : touched) {
    tables_.slot(i).add({}, more);
    if (HeldCall* here = tables_.slot(i).find(key))
      for (std::size_t d = 0; d < dimension_count; ++d) here->amount[d] += more[d];
    else
      tables_.slot(i).held.push_back({key, later(now, command.lease), command.on_expiry, command.detached, more});
  }
  tables_.write_slots();
  if (held) return Outcome::done;
  std::vector<std::int64_t>& places = held_in_[key];
  for (const std::size_t i : touched) places.push_back(tables_.slot(i).id);
  return Outcome::done;
}

/// Whether every counter has room. Where one has none, it is noted when it may have.
bool StoreFile::has_room(const std::vector<StoreCounter>& counters, const Vector& more) {
  const std::vector<StoreTables::View>& views = tables_.views();
  bool all = true;
  for (std::size_t i = 0; i < views.size(); ++i)
    all = all && detail::has_room(counters[i], tables_.sums_of(views[i]), more);
  for (std::size_t i = 0; !all && i < views.size(); ++i) {
    std::vector<CountedSlot> slots;
    for (const std::size_t place : tables_.slots_of(views[i])) {
      const StoreSlot& slot = tables_.slot(place);
      slots.push_back({slot.begins, {slot.spent, slot.reserved}});
    }
    fits_at_.push_back(fits_at(counters[i], slots, tables_.sums_of(views[i]), more));
  }
  return all;
}

/// Settles, releases or adjusts; false where a sum does not fit, and then nothing is changed.
bool StoreFile::end(const StoreCommand& command, std::int64_t now, StoreReply& reply) {
  const std::string key = bytes_of(command.id);
  const std::vector<std::size_t>& touched = tables_.charged();
  bool here = !touched.empty();
  for (const std::size_t i : touched) here = here && tables_.slot(i).find(key);
  const StoreTables::Past past = here ? StoreTables::Past{} : tables_.find_past(key);
  if (past.ended || (command.detached && !here && !past.known())) {
    reply.outcome = Outcome::ended;
    if (command.op == Op::settle) reply.crossed = known_of(command, past.crossed);
    return true;
  }
  const Vector amount = command.op == Op::release ? Vector{} : spendable(to_vector(command.amount));
  // What changes in each slot. Nothing is changed before all of it is known to fit.
  std::vector<std::pair<Vector, Vector>> changes;
  for (const std::size_t i : touched) {
    Vector spent = amount, reserved{};
    if (const HeldCall* held = tables_.slot(i).find(key)) {
      reserved = negative(held->amount);
    } else {
      for (const auto& [slot, charged] : past.charged)
        if (slot == tables_.slot(i).id)
          for (std::size_t d = 0; d < dimension_count; ++d) spent[d] -= charged[d];  // both are 0 or more
    }
    if (!tables_.slot(i).fits(spent, reserved)) return false;
    changes.emplace_back(spent, reserved);
  }
  for (std::size_t n = 0; n < touched.size(); ++n) {
    StoreSlot& slot = tables_.slot(touched[n]);
    if (changes[n] == std::pair<Vector, Vector>{} && !slot.find(key)) continue;
    slot.add(changes[n].first, changes[n].second);
    std::erase_if(slot.held, [&](const HeldCall& held) { return held.id == key; });
  }
  held_in_.erase(key);
  if (command.op != Op::release) tell(command.counters, reply.crossed);
  tables_.write_slots();
  const bool corrects = command.op == Op::adjust;
  tables_.remember_ended(key, past, now, reply.crossed, corrects ? command.lease : std::chrono::milliseconds());
  return true;
}

/// Announces the thresholds that are reached and were not announced in any slot that counts.
void StoreFile::tell(const std::vector<StoreCounter>& counters, std::vector<StoreReply::Crossed>& crossed) {
  for (std::size_t i = 0; i < tables_.views().size(); ++i) {
    const std::vector<StoreCounter::Threshold>& thresholds = counters[i].thresholds;
    if (thresholds.empty()) continue;
    const StoreTables::View& view = tables_.views()[i];
    const Vector spent = tables_.sums_of(view).spent;
    const auto told = [&](const Announced& one) {
      const auto places = tables_.slots_of(view);
      return std::any_of(places.begin(), places.end(),
                         [&](std::size_t place) { return tables_.slot(place).has_told(one); });
    };
    for (std::size_t t = 0; t < thresholds.size(); ++t)
      if (announce(to_vector(thresholds[t].at), spent, told,
                   [&](const Announced& one) { tables_.slot(view.own).tell(one); }))
        crossed.push_back({i, t, thresholds[t].fraction});
  }
}

void StoreFile::renew(const StoreCommand& command, std::int64_t until) {
  std::vector<std::string> elsewhere;  // of another connection, or of none
  for (const std::string& text : command.ids) {
    const std::string key = bytes_of(text);
    const auto places = held_in_.find(key);
    bool found = false;
    std::size_t place = 0;
    if (places != held_in_.end())
      for (const std::int64_t slot : places->second)
        if (tables_.load_slot(slot, place)) found |= renew_in(tables_.slot(place), key, until);
    if (!found) elsewhere.push_back(key);
  }
  if (!elsewhere.empty())
    for (const std::size_t place : tables_.load_holders(elsewhere))
      for (const std::string& key : elsewhere) renew_in(tables_.slot(place), key, until);
  tables_.write_slots();
}

}  // namespace outlay::detail
