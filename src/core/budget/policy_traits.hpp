#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <variant>

#include "outlay/policy.hpp"

namespace outlay::detail {

/// What holds of a kind of policy, whatever it is asked about.
struct PolicyTraits {
  const char* name;
  bool looks_outward;   // asked, too, when a budget further out is in the way
  bool always_decides;  // never passes the decision to the next policy
  bool lets_through;    // lets calls through on purpose, without asking
};

/// Rows in the order of Policy's alternatives.
inline constexpr std::array<PolicyTraits, std::variant_size_v<Policy>> policy_traits{{
    //            looks outward, always decides, lets through
    {"Block", false, true, false},
    {"Downgrade", false, false, false},
    {"Clamp", true, false, false},
    {"Truncate", false, true, false},
    {"Raise", false, true, true},
    {"Callback", false, false, false},
    {"Warn", false, true, true},
    {"Wait", false, false, false},
}};

[[nodiscard]] inline const PolicyTraits& traits_of(const Policy& policy) noexcept {
  return policy_traits[policy.index()];
}

template <class P>
[[nodiscard]] bool has(std::span<const Policy> policies) noexcept {
  return !policies.empty() && std::any_of(policies.begin(), policies.end(),
                                          [](const Policy& policy) { return std::holds_alternative<P>(policy); });
}

}  // namespace outlay::detail
