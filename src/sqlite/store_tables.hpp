#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/vector.hpp"
#include "outlay/store.hpp"
#include "sqlite/database.hpp"
#include "sqlite/store_slot.hpp"

namespace outlay::detail {

/// The tables of a store, and the slots of them that a command works on. Every member runs inside a transaction of the caller's.
class StoreTables {
 public:
  /// A counter of the command: rows_[first .. last) are the slots that count, `own` the one that is charged, rows_[last .. end) the other
  /// slots of its name in which calls are in flight.
  struct View {
    std::size_t first = 0, last = 0, end = 0, own = 0;
  };
  /// The rows of an id in store_ids: one for each slot in which its lease has run out, or one for slot 0 once its call has ended.
  struct Past {
    bool ended = false;
    std::vector<StoreReply::Crossed> crossed{};  // by its end
    std::vector<std::pair<std::int64_t, Vector>> charged{};
    [[nodiscard]] bool known() const noexcept { return ended || !charged.empty(); }
  };

  /// The database has the tables.
  explicit StoreTables(Database& database);

  [[nodiscard]] const std::string& epoch() const noexcept { return epoch_; }
  /// The largest version of a slot that was seen.
  [[nodiscard]] std::int64_t version() const noexcept { return version_; }

  /// Removes slots and ids that are no longer needed, a bounded number at a time, about every ten minutes.
  void purge_if_due(std::int64_t now);

  /// Loads the slots of a command's counters, and ends the leases in them that have run out.
  void load(const std::vector<StoreCounter>& counters, std::int64_t now);
  /// One for each of the counters.
  [[nodiscard]] const std::vector<View>& views() const noexcept { return views_; }
  [[nodiscard]] SlotSums sums_of(const View& view) const noexcept;
  /// The places of a counter's slots.
  [[nodiscard]] std::span<const std::size_t> slots_of(const View& view) const noexcept {
    return std::span(rows_).subspan(view.first, view.last - view.first);
  }
  /// The places of the slots that the command's counters charge, each once.
  [[nodiscard]] const std::vector<std::size_t>& charged() const noexcept { return charged_; }
  [[nodiscard]] StoreSlot& slot(std::size_t place) noexcept { return slots_[place]; }

  // Caps that are set.
  [[nodiscard]] Limits cap_of(const StoreCounter& counter, std::int64_t now) { return kept_cap(counter, now).limits; }
  /// \return False: another cap is kept than the command expects.
  [[nodiscard]] bool set_cap(const StoreCommand& command, std::int64_t now);
  [[nodiscard]] std::vector<StoreCap> caps(std::int64_t now);

  /// Some of those of which there is any slot: the next after one, by name, then window. None: there are no more.
  [[nodiscard]] std::vector<StoreReply::Name> counters(std::string_view prefix, const StoreReply::Name& after);
  /// The leases that have been ended since this was last asked.
  [[nodiscard]] std::vector<StoreReply::Expired> take_expired() noexcept { return std::exchange(expired_, {}); }

  /// Whether there is any slot of its name and window.
  [[nodiscard]] bool has_slots(const StoreCounter& counter);
  /// Loads one more slot; false if no slot has this id.
  bool load_slot(std::int64_t id, std::size_t& place);
  /// Loads every slot that holds one of these calls.
  [[nodiscard]] std::vector<std::size_t> load_holders(std::span<const std::string> keys);
  /// Writes the loaded slots that have changed.
  void write_slots();

  Past find_past(const std::string& key);
  /// What was remembered of an id before is replaced.
  ///
  /// \param at_least For how long, where that is longer than an hour.
  void remember_ended(const std::string& key, const Past& past, std::int64_t now,
                      std::span<const StoreReply::Crossed> crossed, std::chrono::milliseconds at_least);

 private:
  /// Its limits and its end; without limits: none is kept.
  [[nodiscard]] StoreCap kept_cap(const StoreCounter& counter, std::int64_t now);
  StoreSlot read_slot(const Statement& row) const;
  std::string_view packed(const StoreSlot& slot);
  std::size_t place_of(StoreSlot slot);
  View view_of(const StoreCounter& counter);
  void insert_slot(StoreSlot& slot);
  void insert_id(const std::string& key, std::int64_t slot, std::int64_t until, std::string_view charged);
  void expire(StoreSlot& slot, std::int64_t now);
  void purge(std::int64_t now);

  Database& database_;
  Statement get_cap_, set_cap_, remove_cap_, all_caps_;
  Statement get_slot_, find_slots_, any_slot_, next_name_, name_of_, in_flight_, all_slots_, update_slot_, insert_slot_,
      find_id_, insert_id_, delete_id_, purge_ids_, old_slots_, delete_slot_, raise_version_;
  const std::string epoch_;
  std::int64_t version_ = 0;
  std::int64_t purge_at_ = INT64_MIN;  // by the commands' clock

  // Of the command; kept for their memory.
  std::vector<StoreSlot> slots_;
  std::vector<std::size_t> rows_;
  std::vector<View> views_;
  std::vector<std::size_t> charged_;
  std::vector<StoreReply::Expired> expired_;
  std::string packed_;
};

}  // namespace outlay::detail
