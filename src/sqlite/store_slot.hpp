#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/vector.hpp"
#include "core/shared/slot_rules.hpp"
#include "outlay/store.hpp"
#include "sqlite/database.hpp"

namespace outlay::detail {

inline std::int64_t later(std::int64_t time, std::chrono::nanoseconds by) noexcept {
  return saturating_add(time, by.count());
}

/// A call in flight.
struct HeldCall {
  std::string id{};  // 16 bytes
  std::int64_t until = 0;
  OnExpiry on_expiry{};
  bool detached = false;
  Vector amount{};
};

/// One row of store_slots.
struct StoreSlot {
  std::int64_t id = 0;                    // 0: not in the file yet
  const StoreCounter* counter = nullptr;  // of a slot that is not
  Time begins{};
  std::int64_t version = 0;  // of its last change
  Vector spent{}, reserved{};
  std::vector<HeldCall> held{};
  std::string told{};  // the amounts that were announced, `dimension:amount`, separated by blanks
  bool changed = false;

  HeldCall* find(const std::string& key) noexcept;
  [[nodiscard]] bool has_told(const Announced& one) const;
  void tell(const Announced& one);
  /// Whether the sums fit, and the sum of both too, so that an expiry always fits.
  [[nodiscard]] bool fits(const Vector& more_spent, const Vector& more_reserved) const noexcept;
  void add(const Vector& more_spent, const Vector& more_reserved) noexcept;
};

// The blobs of the tables. Reading one that is damaged throws SqliteError with errc::bad_file, which names the database.
void pack(std::string& bytes, const Vector& amount);
void pack(std::string& bytes, const StoreSlot& slot);
void pack(std::string& bytes, std::span<const StoreReply::Crossed> crossed);
Vector unpack_amount(std::string_view bytes, const Database& database);
std::vector<StoreReply::Crossed> unpack_crossed(std::string_view bytes, const Database& database);
StoreSlot unpack_slot(std::int64_t id, std::string_view bytes, const Database& database);

}  // namespace outlay::detail
