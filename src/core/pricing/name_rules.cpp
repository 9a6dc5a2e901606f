#include "core/pricing/name_rules.hpp"

#include <algorithm>

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

std::string_view within_arn(std::string_view name) noexcept {
  if (!name.starts_with("arn:")) return {};
  for (const std::string_view kind : {":inference-profile/", ":foundation-model/"})
    if (const std::size_t at = name.find(kind); at != name.npos) return name.substr(at + kind.size());
  return {};
}

std::string_view without_variant(std::string_view name) noexcept {
  // openrouter.ai/docs, "Model variants".
  for (const std::string_view suffix :
       {":free", ":nitro", ":floor", ":online", ":thinking", ":extended", ":beta", ":exacto"})
    if (name.size() > suffix.size() && name.ends_with(suffix)) return name.substr(0, name.size() - suffix.size());
  return {};
}

std::string vendors_spelling(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  std::string_view rest = name.substr(slash == name.npos ? 0 : slash + 1);
  constexpr std::string_view head = "claude-";
  if (!rest.starts_with(head)) return {};
  std::string spelt(rest);
  for (std::size_t i = 1; i + 1 < spelt.size(); ++i)
    if (spelt[i] == '.' && is_digit(spelt[i - 1]) && is_digit(spelt[i + 1])) spelt[i] = '-';
  // The number stands in front of the family's name there from the fourth generation on, too.
  std::size_t at = head.size();
  while (at < spelt.size() && (is_digit(spelt[at]) || spelt[at] == '-')) ++at;
  if (at > head.size() && spelt[head.size()] >= '4') {
    const std::string number = spelt.substr(head.size(), at - head.size() - 1);
    const std::size_t end = std::min(spelt.find('-', at), spelt.size());
    spelt = std::string(head) + spelt.substr(at, end - at) + '-' + number + spelt.substr(end);
  }
  return spelt == rest ? std::string() : spelt;
}

namespace {

struct Host {
  std::string_view domain;
  std::string_view provider;
};

constexpr Host hosts[] = {
    {"api.openai.com", "openai"},
    {"openai.azure.com", "azure"},
    {"services.ai.azure.com", "azure_ai"},
    {"models.ai.azure.com", "azure_ai"},
    {"cognitiveservices.azure.com", "azure"},
    {"api.anthropic.com", "anthropic"},
    {"generativelanguage.googleapis.com", "gemini"},
    {"aiplatform.googleapis.com", "vertex_ai"},
    {"amazonaws.com", "bedrock"},
    {"api.mistral.ai", "mistral"},
    {"api.deepseek.com", "deepseek"},
    {"api.x.ai", "xai"},
    {"api.cohere.com", "cohere"},
    {"api.cohere.ai", "cohere"},
    {"openrouter.ai", "openrouter"},
    {"api.groq.com", "groq"},
    {"api.perplexity.ai", "perplexity"},
    {"api.moonshot.ai", "moonshot"},
    {"api.moonshot.cn", "moonshot"},
    {"api.together.xyz", "together_ai"},
    {"api.together.ai", "together_ai"},
    {"api.fireworks.ai", "fireworks_ai"},
    {"api.cerebras.ai", "cerebras"},
    {"api.sambanova.ai", "sambanova"},
    {"api.deepinfra.com", "deepinfra"},
    {"api.novita.ai", "novita"},
    {"api.hyperbolic.xyz", "hyperbolic"},
    {"dashscope.aliyuncs.com", "dashscope"},
    {"dashscope-intl.aliyuncs.com", "dashscope"},
    {"ark.cn-beijing.volces.com", "volcengine"},
    {"api.minimax.io", "minimax"},
    {"api.z.ai", "zai"},
    {"api.voyageai.com", "voyage"},
    {"api.jina.ai", "jina_ai"},
    {"ai-gateway.vercel.sh", "vercel_ai_gateway"},
    {"inference.baseten.co", "baseten"},
    {"api.nscale.com", "nscale"},
    {"api.lambda.ai", "lambda_ai"},
    {"integrate.api.nvidia.com", "nvidia_nim"},
    {"router.huggingface.co", "huggingface"},
};

}  // namespace

[[gnu::hot]] std::string_view provider_at(std::string_view address) noexcept {
  if (address.empty()) return {};
  std::string_view host = address;
  if (const std::size_t scheme = host.find("://"); scheme != host.npos)
    host.remove_prefix(scheme + 3);
  else if (host.find_first_of(".:/") == host.npos)
    return host;  // a provider's name
  host = host.substr(0, host.find_first_of("/?#"));
  if (const std::size_t user = host.rfind('@'); user != host.npos) host.remove_prefix(user + 1);
  host = host.substr(0, host.find(':'));
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b; };
  for (const Host& one : hosts) {
    if (host.size() < one.domain.size()) continue;
    const std::string_view tail = host.substr(host.size() - one.domain.size());
    if (!std::equal(tail.begin(), tail.end(), one.domain.begin(), same)) continue;
    // Vertex AI's hosts carry the region in front of the name: `europe-west4-aiplatform.googleapis.com`.
    const char before = host.size() == tail.size() ? '.' : host[host.size() - tail.size() - 1];
    if (before == '.' || (before == '-' && one.provider == "vertex_ai")) return one.provider;
  }
  return {};
}

bool sells_as_vendor(std::string_view provider) noexcept {
  for (const Prefix& prefix : prefixes)
    if (prefix.text.size() == provider.size() + 1 && prefix.text.starts_with(provider) && prefix.text.back() == '/')
      return true;
  return false;
}

NameCandidates::NameCandidates(std::string_view name) noexcept {
  add({name, false});
  if (const auto id = within_arn(name); !id.empty()) add({id, false});
  // What is behind a provider's prefix may be an ARN, and any of them a variant.
  // Prefixes come in a row (`bedrock/us-east-1/anthropic.`), so each is looked for behind the last.
  NameCandidate rest = list_[count_ - 1];
  while (count_ < list_.size() && strip_prefix(rest)) {
    add(rest);
    if (const auto id = within_arn(rest.name); !id.empty()) add(rest = {id, rest.assumed});
  }
  for (std::size_t i = 0, n = count_; i < n; ++i)
    if (const auto plain = without_variant(list_[i].name); !plain.empty()) add({plain, true});
  for (std::size_t i = 0, n = count_; i < n; ++i)
    if (const auto bare = without_version(list_[i].name); !bare.empty()) add({bare, list_[i].assumed});
}

}  // namespace outlay::detail
