#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/shared/slot_rules.hpp"
#include "outlay/store.hpp"

namespace outlay::detail {

/// Counters in this process's memory.
class MemoryBackend final : public StoreBackend {
 public:
  MemoryBackend();

  std::vector<Result<StoreReply>> execute(std::span<const StoreCommand> commands, std::chrono::milliseconds) override;
  [[nodiscard]] Distance distance() const noexcept override { return Distance::memory; }
  [[nodiscard]] std::string description() const override { return "this process's memory"; }

  /// Forgets what was spent and announced. What running calls hold stays held.
  void reset() noexcept;
  /// How many are kept.
  [[nodiscard]] std::size_t slots() const noexcept;

 private:
  enum class Stage : std::uint8_t { held, charged, ended };
  struct Slot {
    SlotSums sums{};
    std::vector<Announced> told{};
    std::size_t holds = 0;  // ids that refer to it
  };
  using Slots = std::map<Time, Slot>;  // by begin
  struct Counter {
    Slots slots{};
    std::int64_t in_flight = 0;
  };
  using Counters = std::map<std::pair<std::string, std::string>, Counter>;  // by name and window
  struct Place {
    Counters::iterator counter;
    Slots::iterator slot;
  };
  struct Hold {
    Stage stage{};
    std::vector<Place> places{};
    Vector amount{};
    Time deadline = Time::max();  // of the lease, or of the memory that it has ended
    OnExpiry on_expiry{};
    bool detached = false;
    std::vector<StoreReply::Crossed> crossed{};  // by its end, which may be asked again
  };

  StoreReply execute(const StoreCommand& command);
  StoreReply::Outcome apply(const StoreCommand& command, StoreReply& reply);
  StoreReply::Outcome reserve(const StoreCommand& command, StoreReply& reply);
  StoreReply::Outcome extend(const StoreCommand& command, StoreReply& reply);
  bool has_room(const StoreCommand& command, const Vector& amount, StoreReply& reply) const;
  bool can_end(const StoreCommand& command);
  void announce(const StoreCommand& command, StoreReply& reply);

  Place place_of(const StoreCounter& counter);
  void hold_in(const Place& place, const Vector& amount) noexcept;
  void unhold_in(const Place& place, const Vector& amount) noexcept;
  [[nodiscard]] SlotSums sums_of(const StoreCounter& counter, std::vector<CountedSlot>* slots = nullptr) const;

  void set_deadline(const std::string& id, Hold& hold, Time now, std::chrono::milliseconds lease);
  void end(const StoreCommand& command);
  void drop(Hold& hold) noexcept;
  void expire(Time now);
  void forget_old(Time now);

  [[nodiscard]] Limits cap_of(const StoreCounter& counter, Time now) const;
  StoreReply::Outcome set_cap(const StoreCommand& command);

  std::map<std::pair<std::string, std::string>, StoreCap> caps_;  // that are set, by name and window
  const std::string epoch_;
  std::int64_t version_ = 0;
  Counters counters_;
  std::unordered_map<std::string, Hold> holds_;
  std::set<std::pair<Time, std::string>> deadlines_;
  std::vector<StoreReply::Expired> expired_;  // since the last reply
  std::multimap<Time, Place> to_forget_;      // by the time until which a slot is kept
};

}  // namespace outlay::detail
