#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace outlay::detail {

/// Longer names match exactly or not at all.
inline constexpr std::size_t max_ruled_name = 512;

/// Tried in front of a bare name, for tables that list first parties under their own prefix.
inline constexpr std::string_view first_parties[] = {"openai/",   "anthropic/", "gemini/", "xai/",
                                                     "deepseek/", "mistral/",   "cohere/"};

/// `name` without a date at its end: `-2024-08-06`, `-20240806`, `@20240806`, `-08-2024`. Empty if it ends in
/// none.
std::string_view without_date(std::string_view name) noexcept;

/// `ft:gpt-4o:org:name:id` without what is the tuner's own: `ft:gpt-4o`. Empty for other names.
std::string_view fine_tuned_base(std::string_view name) noexcept;

struct NameCandidate {
  std::string_view name;
  bool assumed = false;
};

/// The name and what is left of it after each prefix, longest first.
class NameCandidates {
 public:
  explicit NameCandidates(std::string_view name) noexcept;
  [[nodiscard]] const NameCandidate* begin() const noexcept { return list_.data(); }
  [[nodiscard]] const NameCandidate* end() const noexcept { return list_.data() + count_; }

 private:
  void add(NameCandidate candidate) noexcept {
    if (count_ < list_.size()) list_[count_++] = candidate;
  }

  std::array<NameCandidate, 12> list_{};
  std::size_t count_ = 0;
};

}  // namespace outlay::detail
