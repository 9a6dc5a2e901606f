#include "sqlite/store_slot.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <cstddef>

namespace outlay::detail {

namespace {

constexpr std::size_t id_bytes = 16;
constexpr std::int64_t detached_flag = 2;  // beside OnExpiry

[[noreturn]] void fail_as_damaged(const Database& database) {
  throw SqliteError(errc::bad_file, SQLITE_CORRUPT,
                    "\"" + database.name() + "\" is damaged: a row of a store cannot be read. Move it away");
}

// Whole numbers, seven bits a byte, the least significant first; the sign is the lowest bit.
void put(std::string& bytes, std::int64_t number) {
  auto bits = static_cast<std::uint64_t>(number) << 1U ^ static_cast<std::uint64_t>(number >> 63U);
  for (; bits > 0x7FU; bits >>= 7U) bytes += static_cast<char>(bits | 0x80U);
  bytes += static_cast<char>(bits);
}
std::int64_t take(std::string_view& bytes, const Database& database) {
  std::uint64_t bits = 0;
  for (unsigned i = 0;; ++i) {
    if (i == bytes.size() || i == 10) fail_as_damaged(database);
    const auto byte = static_cast<unsigned char>(bytes[i]);
    bits |= static_cast<std::uint64_t>(byte & 0x7FU) << (7 * i);
    if (byte > 0x7FU) continue;
    bytes.remove_prefix(i + 1);
    return static_cast<std::int64_t>(bits >> 1U ^ (~(bits & 1U) + 1));
  }
}
Vector take_vector(std::string_view& bytes, const Database& database) {
  Vector amount{};
  for (std::int64_t& number : amount) number = take(bytes, database);
  return amount;
}

}  // namespace

HeldCall* StoreSlot::find(const std::string& key) noexcept {
  const auto at = std::find_if(held.begin(), held.end(), [&](const HeldCall& h) { return h.id == key; });
  return at == held.end() ? nullptr : &*at;
}

namespace {

std::string word_of(const Announced& one) { return std::to_string(one.dimension) + ':' + std::to_string(one.amount); }

}  // namespace

void StoreSlot::tell(const Announced& one) {
  if (!told.empty()) told += ' ';
  told += word_of(one);
  changed = true;
}

bool StoreSlot::has_told(const Announced& one) const {
  const std::string word = word_of(one);
  std::string_view list = told;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(' '), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

bool StoreSlot::fits(const Vector& more_spent, const Vector& more_reserved) const noexcept {
  for (std::size_t d = 0; d < dimension_count; ++d) {
    std::int64_t s = 0, r = 0, both = 0;
    if (__builtin_add_overflow(spent[d], more_spent[d], &s) ||
        __builtin_add_overflow(reserved[d], more_reserved[d], &r) || __builtin_add_overflow(s, r, &both))
      return false;
  }
  return true;
}

void StoreSlot::add(const Vector& more_spent, const Vector& more_reserved) noexcept {
  for (std::size_t d = 0; d < dimension_count; ++d) spent[d] += more_spent[d], reserved[d] += more_reserved[d];
  changed = true;
}

void pack(std::string& bytes, const Vector& amount) {
  for (const std::int64_t number : amount) put(bytes, number);
}

void pack(std::string& bytes, std::span<const StoreReply::Crossed> crossed) {
  for (const StoreReply::Crossed& one : crossed) {
    put(bytes, static_cast<std::int64_t>(one.counter));
    put(bytes, static_cast<std::int64_t>(one.threshold));
  }
}
std::vector<StoreReply::Crossed> unpack_crossed(std::string_view bytes, const Database& database) {
  std::vector<StoreReply::Crossed> crossed;
  while (!bytes.empty()) {
    const auto counter = static_cast<std::size_t>(take(bytes, database));
    crossed.push_back({counter, static_cast<std::size_t>(take(bytes, database)), 0});
  }
  return crossed;
}

void pack(std::string& bytes, const StoreSlot& slot) {
  put(bytes, slot.version);
  pack(bytes, slot.spent);
  pack(bytes, slot.reserved);
  put(bytes, static_cast<std::int64_t>(slot.held.size()));
  for (const HeldCall& held : slot.held) {
    put(bytes, held.until);
    put(bytes, static_cast<std::int64_t>(held.on_expiry) + (held.detached ? detached_flag : 0));
    pack(bytes, held.amount);
    bytes += held.id;
  }
  bytes += slot.told;
}

Vector unpack_amount(std::string_view bytes, const Database& database) { return take_vector(bytes, database); }

StoreSlot unpack_slot(std::int64_t id, std::string_view bytes, const Database& database) {
  StoreSlot slot;
  slot.id = id;
  slot.version = take(bytes, database);
  slot.spent = take_vector(bytes, database);
  slot.reserved = take_vector(bytes, database);
  for (std::int64_t n = take(bytes, database); n > 0; --n) {
    HeldCall& held = slot.held.emplace_back();
    held.until = take(bytes, database);
    const std::int64_t flags = take(bytes, database);
    held.detached = (flags & detached_flag) != 0;
    held.on_expiry = static_cast<OnExpiry>(flags & ~detached_flag);
    held.amount = take_vector(bytes, database);
    if (bytes.size() < id_bytes) fail_as_damaged(database);
    held.id = bytes.substr(0, id_bytes);
    bytes.remove_prefix(id_bytes);
  }
  slot.told = bytes;
  return slot;
}

}  // namespace outlay::detail
