#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <unordered_map>

#include "core/base/vector.hpp"
#include "outlay/store.hpp"

namespace outlay {

namespace detail {

namespace {

constexpr std::chrono::hours keep_ended{1};

struct Slot {
  Vector spent{}, held{};
  double fired = 0;  // the largest fraction that was announced
};
using Slots = std::map<Time, Slot>;  // by begin

bool add(Vector& to, const Vector& amount, int sign) noexcept {
  for (std::size_t d = 0; d < dimension_count; ++d)
    if (sign > 0 ? __builtin_add_overflow(to[d], amount[d], &to[d]) : __builtin_sub_overflow(to[d], amount[d], &to[d]))
      return false;
  return true;
}

Vector spendable(Vector amount) noexcept {
  amount[index(Dimension::concurrent)] = 0;  // a call in flight is never spent
  return amount;
}

class MemoryBackend final : public StoreBackend {
 public:
  MemoryBackend() : epoch_(std::to_string(std::random_device{}())) {}

  std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands, std::chrono::milliseconds) override {
    std::vector<Result<StoreReply>> results;
    results.reserve(commands.size());
    for (const StoreCommand& command : commands) {
      if (fits(command))
        results.push_back(execute(command));
      else
        results.emplace_back(Failure(
            errc::overflow, "memory_store: the amount spent would exceed 9.2 * 10^18, so nothing was changed."));
    }
    return results;
  }
  [[nodiscard]] Distance distance() const noexcept override { return Distance::memory; }
  [[nodiscard]] std::string description() const override { return "this process's memory"; }

 private:
  enum class Stage : std::uint8_t { held, charged, ended };
  using SlotKey = std::pair<std::pair<std::string, std::string>, Time>;
  struct Hold {
    Stage stage{};
    std::vector<SlotKey> slots;
    Vector amount{};
    Time deadline = Time::max();  // of the lease, or of the memory that it has ended
    OnExpiry on_expiry{};
  };

  StoreReply execute(const StoreCommand& command) {
    expire(command.now);
    StoreReply reply;
    reply.outcome = apply(command, reply);
    if (reply.outcome == StoreReply::Outcome::done && command.op != StoreCommand::Op::snapshot) ++version_;
    reply.now = command.now;
    reply.epoch = epoch_;
    reply.version = version_;
    reply.states.reserve(command.counters.size());
    for (const StoreCounter& counter : command.counters) {
      const Slot sum = sum_of(counter);
      reply.states.push_back({to_amounts(sum.spent), to_amounts(sum.held)});
    }
    return reply;
  }

  StoreReply::Outcome apply(const StoreCommand& command, StoreReply& reply) {
    using Op = StoreCommand::Op;
    using Outcome = StoreReply::Outcome;
    const bool spends = command.op == Op::settle || command.op == Op::adjust;
    const Vector amount = spends ? spendable(to_vector(command.amount)) : to_vector(command.amount);
    const auto found = holds_.find(command.id);
    Hold* const hold = found == holds_.end() ? nullptr : &found->second;
    switch (command.op) {
      case Op::snapshot:
        return Outcome::done;
      case Op::renew:
        for (const std::string& id : command.ids)
          if (const auto at = holds_.find(id); at != holds_.end() && at->second.stage == Stage::held)
            set_deadline(at->first, at->second, command.now, command.lease);
        return Outcome::done;
      case Op::reserve: {
        if (hold) return hold->stage == Stage::held ? Outcome::done : Outcome::ended;
        for (const StoreCounter& counter : command.counters)
          if (command.now < counter.begin || command.now >= counter.end) return Outcome::turned;
        if (!room_for(command.counters, amount)) return Outcome::refused;
        Hold made;
        made.amount = amount;
        made.on_expiry = command.on_expiry;
        for (const StoreCounter& counter : command.counters) {
          forget_old(counter);
          made.slots.push_back({{counter.name, counter.window}, counter.begin});
          add(slot(made.slots.back()).held, amount, 1);
        }
        auto& kept = holds_[command.id] = std::move(made);
        set_deadline(command.id, kept, command.now, command.lease);
        return Outcome::done;
      }
      case Op::extend: {
        if (!hold || hold->stage != Stage::held) return Outcome::ended;
        Vector more;
        bool any = false;
        for (std::size_t d = 0; d < dimension_count; ++d) {
          more[d] = std::max<std::int64_t>(0, amount[d] - hold->amount[d]);
          any |= more[d] > 0;
        }
        if (!any) return Outcome::done;
        if (!room_for(command.counters, more)) return Outcome::refused;
        add(hold->amount, more, 1);
        for (const SlotKey& key : hold->slots) add(slot(key).held, more, 1);
        return Outcome::done;
      }
      case Op::settle:
      case Op::release: {
        if (hold && hold->stage == Stage::ended) return Outcome::ended;
        const bool settles = command.op == Op::settle;
        std::vector<SlotKey> slots;
        if (hold) {
          slots = hold->slots;
        } else if (settles) {
          for (const StoreCounter& counter : command.counters)
            slots.push_back({{counter.name, counter.window}, counter.begin});
        }
        for (const SlotKey& key : slots) {
          Slot& at = slot(key);
          if (hold) add(hold->stage == Stage::held ? at.held : at.spent, hold->amount, -1);
          if (settles) add(at.spent, amount, 1);
        }
        end(command);
        if (settles) announce(command, reply);
        return Outcome::done;
      }
      case Op::adjust: {
        if (hold) return Outcome::ended;
        for (const StoreCounter& counter : command.counters)
          add(slot({{counter.name, counter.window}, counter.begin}).spent, amount, 1);
        end(command);
        announce(command, reply);
        return Outcome::done;
      }
    }
    return Outcome::ended;
  }

  /// Whether what the command adds to what was spent is a number that exists; what is reserved counts too, as it may be charged.
  bool fits(const StoreCommand& command) {
    using Op = StoreCommand::Op;
    if (command.op != Op::settle && command.op != Op::adjust) return true;
    expire(command.now);
    const auto found = holds_.find(command.id);
    if (found != holds_.end() && found->second.stage == Stage::ended) return true;
    for (const StoreCounter& counter : command.counters) {
      Slot sum = sum_of(counter);
      if (found != holds_.end())
        add(found->second.stage == Stage::held ? sum.held : sum.spent, found->second.amount, -1);
      if (!add(sum.spent, spendable(to_vector(command.amount)), 1) || !add(sum.spent, sum.held, 1)) return false;
    }
    return true;
  }

  Slot& slot(const SlotKey& key) { return counters_[key.first][key.second]; }

  Slot sum_of(const StoreCounter& counter) const {
    Slot sum;
    const auto found = counters_.find({counter.name, counter.window});
    if (found == counters_.end()) return sum;
    for (auto at = found->second.lower_bound(counter.counted_from); at != found->second.end(); ++at) {
      // A window that is one slot is that slot, even where a clock that was ahead has made later ones.
      if (counter.counted_from == counter.begin && at->first > counter.begin) break;
      add(sum.spent, at->second.spent, 1);
      add(sum.held, at->second.held, 1);
      sum.fired = std::max(sum.fired, at->second.fired);
    }
    return sum;
  }

  bool room_for(const std::vector<StoreCounter>& counters, const Vector& amount) const {
    for (const StoreCounter& counter : counters) {
      const Slot sum = sum_of(counter);
      const Vector limit = to_vector(counter.limits);
      Vector used = sum.spent;
      if (!add(used, sum.held, 1)) return false;
      for (std::size_t d = 0; d < dimension_count; ++d) {
        std::int64_t after = 0;
        if (__builtin_add_overflow(used[d], amount[d], &after)) return false;
        if (amount[d] == 0 || limit[d] == no_cap || counter.room == Room::any) continue;
        if (counter.room == Room::fits ? after > limit[d] : used[d] >= limit[d]) return false;
      }
    }
    return true;
  }

  void announce(const StoreCommand& command, StoreReply& reply) {
    for (std::size_t i = 0; i < command.counters.size(); ++i) {
      const StoreCounter& counter = command.counters[i];
      if (counter.thresholds.empty()) continue;
      const Slot sum = sum_of(counter);
      for (const StoreCounter::Threshold& threshold : counter.thresholds) {
        const Vector at = to_vector(threshold.at);
        bool reached = false;
        for (std::size_t d = 0; d < dimension_count; ++d) reached |= at[d] != no_cap && sum.spent[d] >= at[d];
        if (!reached || threshold.fraction <= sum.fired) continue;
        slot({{counter.name, counter.window}, counter.begin}).fired = threshold.fraction;
        reply.crossed.push_back({i, threshold.fraction});
      }
    }
  }

  void set_deadline(const std::string& id, Hold& hold, Time now, std::chrono::milliseconds lease) {
    if (hold.deadline != Time::max()) deadlines_.erase({hold.deadline, id});
    hold.deadline =
        lease >= std::chrono::floor<std::chrono::milliseconds>(Time::max() - now) ? Time::max() : now + lease;
    if (hold.deadline != Time::max()) deadlines_.insert({hold.deadline, id});
  }

  /// An id without a lease is of this process, which asks nothing twice, so it need not be remembered.
  void end(const StoreCommand& command) {
    Hold& ended = holds_[command.id];
    ended.stage = Stage::ended;
    ended.slots.clear();
    const bool remember = command.lease != std::chrono::milliseconds::max();
    set_deadline(command.id, ended, command.now,
                 remember ? std::chrono::milliseconds(keep_ended) : std::chrono::milliseconds::max());
    if (!remember) holds_.erase(command.id);
  }

  void expire(Time now) {
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
      const std::string id = deadlines_.begin()->second;
      deadlines_.erase(deadlines_.begin());
      Hold& hold = holds_[id];
      hold.deadline = Time::max();
      if (hold.stage != Stage::held) {
        holds_.erase(id);
        continue;
      }
      const bool charge = hold.on_expiry == OnExpiry::charge;
      const Vector charged = charge ? spendable(hold.amount) : Vector{};
      for (const SlotKey& key : hold.slots) {
        add(slot(key).held, hold.amount, -1);
        add(slot(key).spent, charged, 1);
      }
      hold.amount = charged;
      hold.stage = Stage::charged;
      set_deadline(id, hold, now, std::chrono::milliseconds(keep_ended));
      ++version_;
    }
  }

  /// What no longer counts: a call of such a window that settles later makes its slot again.
  void forget_old(const StoreCounter& counter) {
    Slots& slots = counters_[{counter.name, counter.window}];
    while (!slots.empty() && slots.begin()->first < counter.counted_from && slots.begin()->second.held == Vector{})
      slots.erase(slots.begin());
  }

  const std::string epoch_;
  std::int64_t version_ = 0;
  std::map<std::pair<std::string, std::string>, Slots> counters_;
  std::unordered_map<std::string, Hold> holds_;
  std::set<std::pair<Time, std::string>> deadlines_;
};

}  // namespace

}  // namespace detail

std::unique_ptr<StoreBackend> memory_backend() { return std::make_unique<detail::MemoryBackend>(); }

std::shared_ptr<Store> memory_store(const StoreOptions& options) {
  return std::make_shared<Store>(memory_backend(), options);
}

}  // namespace outlay
