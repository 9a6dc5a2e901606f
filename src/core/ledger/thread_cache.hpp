#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace outlay::detail {

struct Attribution;
struct Reservation;
struct PriceBook;
struct PricedModel;
struct ModelName;

inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const auto product = static_cast<Wide>(a ^ 0x9e3779b97f4a7c15ULL) * (b ^ 0xe7037ed1a0b428dbULL);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

template <class Word>
Word load(const char* at) noexcept {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// The bytes of a text of at most eight, in a word that no other text of its length has. Reads of fixed sizes that may overlap: a copy of
/// a size known only at run time is a call.
inline std::uint64_t short_word(const char* at, std::size_t size) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint64_t>(static_cast<unsigned char>(at[i])); };
  if (size >= 4) return load<std::uint32_t>(at) | static_cast<std::uint64_t>(load<std::uint32_t>(at + size - 4)) << 32U;
  if (size == 0) return 0;
  return byte(0) | byte(size / 2) << 8U | byte(size - 1) << 16U;
}

/// A hash for short strings in tables of our own; not stable across versions and not for untrusted use beyond them: every hit is compared.
inline std::uint64_t hash_text(std::string_view text, std::uint64_t seed = 0) noexcept {
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint64_t hash = seed ^ (left * 0x9e3779b97f4a7c15ULL);
  while (left > 8) {
    hash = mix(hash, load<std::uint64_t>(at));
    at += 8, left -= 8;
  }
  return mix(hash, short_word(at, left) ^ 0x2545f4914f6cdd1dULL);
}

/// Whether two short texts are the same, without a call for a few bytes.
inline bool same_text(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  const char *x = a.data(), *y = b.data();
  std::size_t left = a.size();
  for (; left > 8; x += 8, y += 8, left -= 8)
    if (load<std::uint64_t>(x) != load<std::uint64_t>(y)) return false;
  return short_word(x, left) == short_word(y, left);
}

/// A model's name as a ledger knows it, and its price in the ledger's present table.
struct ModelSlot {
  std::uint64_t books_uid = 0;
  std::uint64_t prices_uid = 0;
  const ModelName* name = nullptr;      // in the books' dictionary
  const PricedModel* priced = nullptr;  // in a price book that this cache holds; null: unknown
  const ModelName* provider = nullptr;  // of the price; null: not known
};

/// What a thread keeps so that the path of a call takes no shared lock but the budgets' own and its shard's.
///
/// Entries name their books and tables by uids that are never reused, so a stale one is never followed.
struct ThreadCache {
  ThreadCache() noexcept;
  ThreadCache(const ThreadCache&) = delete;
  ThreadCache& operator=(const ThreadCache&) = delete;
  ~ThreadCache();

  static constexpr std::size_t attribution_slots = 128;
  std::array<const Attribution*, attribution_slots> attributions{};  // each pinned

  static constexpr std::size_t model_slots = 64;
  std::array<ModelSlot, model_slots> models{};
  std::array<std::shared_ptr<const PriceBook>, 4> price_books{};
  unsigned next_price_book = 0;
  ModelSlot unkept;  // a look-up that is not to be remembered
  std::shared_ptr<const PriceBook> unkept_book;

  static constexpr std::size_t spare_reservations = 64;
  Reservation* free_reservations = nullptr;
  std::size_t free_count = 0;
  bool ended = false;  // destroyed: nothing may be kept any more

  std::uint64_t next_call_id = 0;
  std::uint64_t end_call_id = 0;
  const std::uint32_t shard;  // which of a ledger's shards this thread writes to
};

ThreadCache& thread_cache() noexcept;
std::uint64_t next_call_id(ThreadCache& cache) noexcept;
/// Unique in the process, never 0, never reused.
std::uint64_t next_uid() noexcept;

}  // namespace outlay::detail
