#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace outlay::detail {

/// One hash of two words. Like all hashes here it is for tables in memory: it may change with any version, so it is neither stored nor sent.
inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const auto product = static_cast<Wide>(a ^ 0x9e3779b97f4a7c15ULL) * (b ^ 0xe7037ed1a0b428dbULL);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

template <class Word>
Word load_word(const char* at) noexcept {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// The bytes of a text of at most eight, in a word that no other text of its length has. Reads of fixed sizes that may overlap: a copy of
/// a size known only at run time is a call.
[[gnu::always_inline]] inline std::uint64_t short_word(const char* at, std::size_t size) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint64_t>(static_cast<unsigned char>(at[i])); };
  if (size >= 4)
    return load_word<std::uint32_t>(at) | static_cast<std::uint64_t>(load_word<std::uint32_t>(at + size - 4)) << 32U;
  if (size == 0) return 0;
  return byte(0) | byte(size / 2) << 8U | byte(size - 1) << 16U;
}

/// A hash of a short text; not meant to stand up to chosen texts, so every hit is compared.
inline std::uint64_t hash_text(std::string_view text, std::uint64_t seed = 0) noexcept {
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint64_t hash = seed ^ (left * 0x9e3779b97f4a7c15ULL);
  while (left > 8) {
    hash = mix(hash, load_word<std::uint64_t>(at));
    at += 8, left -= 8;
  }
  return mix(hash, short_word(at, left) ^ 0x2545f4914f6cdd1dULL);
}

/// Whether two short texts are the same, without a call for a few bytes.
[[gnu::always_inline]] inline bool same_text(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  const char *x = a.data(), *y = b.data();
  std::size_t left = a.size();
  for (; left > 8; x += 8, y += 8, left -= 8)
    if (load_word<std::uint64_t>(x) != load_word<std::uint64_t>(y)) return false;
  return short_word(x, left) == short_word(y, left);
}

}  // namespace outlay::detail
