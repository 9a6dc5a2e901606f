#include "core/pricing/name_rules.hpp"

namespace outlay::detail {

namespace {

struct Prefix {
  std::string_view text;
  bool other_rates;  // regions and resellers that may charge otherwise: the rate is then assumed
};

// What a name may carry in front without meaning another model. Providers that host other people's models at
// rates of their own (groq, together_ai, fireworks_ai ...) are not among them: a name of theirs that the
// table does not list is unknown.
constexpr Prefix prefixes[] = {
    {"openai/", false},     {"azure/", false},
    {"azure_ai/", false},   {"anthropic/", false},
    {"gemini/", false},     {"google/", false},
    {"vertex_ai/", false},  {"xai/", false},
    {"x-ai/", false},       {"deepseek/", false},
    {"mistral/", false},    {"mistralai/", false},
    {"cohere/", false},     {"cohere_chat/", false},
    {"bedrock/", false},    {"bedrock_converse/", false},
    {"converse/", false},   {"invoke/", false},
    {"amazon/", false},     {"models/", false},
    {"publishers/", false}, {"text-completion-openai/", false},
    {"openrouter/", true},  {"litellm_proxy/", true},
    {"eu/", true},          {"us/", true},
    {"global/", false},     {"global-standard/", false},
    {"us.", true},          {"eu.", true},
    {"apac.", true},        {"jp.", true},
    {"au.", true},          {"ca.", true},
    {"us-gov.", true},      {"global.", false},
    {"anthropic.", false},
};

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

int number(std::string_view digits) noexcept {
  int value = 0;
  for (const char c : digits) {
    if (!is_digit(c)) return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

bool is_date(int year, int month, int day) noexcept {
  return year >= 2018 && year <= 2099 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/// `name` without Bedrock's version at its end: `-v1:0`, `-v1`. Empty if it ends in none.
std::string_view without_version(std::string_view name) noexcept {
  std::size_t at = name.size();
  const auto digits = [&] {
    const std::size_t end = at;
    while (at > 0 && is_digit(name[at - 1])) --at;
    return at != end;
  };
  if (!digits()) return {};
  if (at > 0 && name[at - 1] == ':') {
    --at;
    if (!digits()) return {};
  }
  if (at < 3 || name[at - 1] != 'v' || name[at - 2] != '-') return {};
  return name.substr(0, at - 2);
}

/// A cloud region as one segment of a path: `us-east-1/`, `europe-west4/`. Returns its length, 0 if there is
/// none.
std::size_t region_segment(std::string_view name) noexcept {
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos || slash < 6 || slash > 20) return 0;
  const auto region = name.substr(0, slash);
  if (!is_digit(region.back()) || region.find('-') == std::string_view::npos) return 0;
  for (const char c : region)
    if (!(c >= 'a' && c <= 'z') && !is_digit(c) && c != '-') return 0;
  for (const std::string_view area : {"us-", "eu-", "ap-", "ca-", "sa-", "me-", "af-", "il-", "mx-", "europe-", "asia-",
                                      "australia-", "northamerica-", "southamerica-"})
    if (region.starts_with(area)) return slash + 1;
  return 0;
}

/// Takes the prefix in front off `rest`; false if it has none.
bool strip_prefix(NameCandidate& rest) noexcept {
  for (const auto& prefix : prefixes) {
    if (rest.name.size() <= prefix.text.size() || !rest.name.starts_with(prefix.text)) continue;
    rest.name.remove_prefix(prefix.text.size());
    // Vertex writes publishers/google/models/gemini-2.5-pro.
    if (prefix.text == "publishers/")
      if (const auto slash = rest.name.find('/'); slash != std::string_view::npos && slash + 1 < rest.name.size())
        rest.name.remove_prefix(slash + 1);
    rest.assumed |= prefix.other_rates;
    return true;
  }
  if (const std::size_t region = region_segment(rest.name); region != 0 && region < rest.name.size()) {
    rest.name.remove_prefix(region);
    rest.assumed = true;
    return true;
  }
  return false;
}

}  // namespace

std::string_view without_date(std::string_view name) noexcept {
  const auto tail = [&](std::size_t n) { return name.substr(name.size() - n); };
  if (name.size() > 11) {
    const auto t = tail(11);
    if (t[0] == '-' && t[5] == '-' && t[8] == '-' &&
        is_date(number(t.substr(1, 4)), number(t.substr(6, 2)), number(t.substr(9, 2))))
      return name.substr(0, name.size() - 11);
  }
  if (name.size() > 9) {
    const auto t = tail(9);
    if ((t[0] == '-' || t[0] == '@') && is_date(number(t.substr(1, 4)), number(t.substr(5, 2)), number(t.substr(7, 2))))
      return name.substr(0, name.size() - 9);
  }
  if (name.size() > 8) {
    const auto t = tail(8);
    if (t[0] == '-' && t[3] == '-' && is_date(number(t.substr(4, 4)), number(t.substr(1, 2)), 1))
      return name.substr(0, name.size() - 8);
  }
  return {};
}

std::string_view fine_tuned_base(std::string_view name) noexcept {
  if (!name.starts_with("ft:")) return {};
  const std::size_t colon = name.find(':', 3);
  if (colon == std::string_view::npos || colon == 3) return {};
  return name.substr(0, colon);
}

NameCandidates::NameCandidates(std::string_view name) noexcept {
  add({name, false});
  // Prefixes come in a row (`bedrock/us-east-1/anthropic.`), so each is looked for behind the last.
  NameCandidate rest = list_[0];
  while (count_ < list_.size() && strip_prefix(rest)) add(rest);
  for (std::size_t i = 0, n = count_; i < n; ++i)
    if (const auto bare = without_version(list_[i].name); !bare.empty()) add({bare, list_[i].assumed});
}

}  // namespace outlay::detail
