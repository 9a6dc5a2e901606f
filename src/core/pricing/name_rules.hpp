#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "outlay/detail/export.hpp"

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

/// A model's id out of an ARN of Amazon Bedrock (`...:inference-profile/us.anthropic.claude-...`, `...:foundation-model/...`), or of one of
/// OpenRouter's variants (`:free`, `:nitro`). Empty for other names.
std::string_view within_arn(std::string_view name) noexcept;
std::string_view without_variant(std::string_view name) noexcept;

/// How the vendor writes what OpenRouter calls `claude-sonnet-4.5` or `claude-4.5-sonnet-20250929`: `claude-sonnet-4-5-20250929`. Empty for
/// other names.
std::string vendors_spelling(std::string_view name);

/// Who serves at an address, as price tables name it: `groq` for `https://api.groq.com/openai/v1`. What is no address is itself.
/// Empty for a host that is not known.
OUTLAY_EXPORT std::string_view provider_at(std::string_view address) noexcept;

/// A provider whose models are those of their vendors at the vendors' prices, so that a name that it does not list is looked for
/// elsewhere. Others host what they like at prices of their own.
bool sells_as_vendor(std::string_view provider) noexcept;

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

  std::array<NameCandidate, 24> list_{};
  std::size_t count_ = 0;
};

}  // namespace outlay::detail
