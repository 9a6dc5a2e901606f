#include "api.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "outlay/error.hpp"
#include "reader.hpp"

namespace json = boost::json;

namespace outlay {

namespace {

struct Row {
  std::string_view name;
  Api api;
  const detail::Format& (*format)();
};

// One row an API, in the order of Api's indices. Detection asks them in this order too: the last one takes what speaks Chat Completions
// at a host that no other knows.
constexpr std::array<Row, 17> rows{{
    {"openai_chat", Api::openai_chat, detail::openai_chat_format},
    {"openai_responses", Api::openai_responses, detail::openai_responses_format},
    {"openai_embeddings", Api::openai_embeddings, detail::openai_embeddings_format},
    {"anthropic_messages", Api::anthropic_messages, detail::anthropic_messages_format},
    {"gemini", Api::gemini, detail::gemini_format},
    {"gemini_embeddings", Api::gemini_embeddings, detail::gemini_embeddings_format},
    {"bedrock_converse", Api::bedrock_converse, detail::bedrock_converse_format},
    {"ollama_chat", Api::ollama_chat, detail::ollama_chat_format},
    {"ollama_generate", Api::ollama_generate, detail::ollama_generate_format},
    {"mistral_chat", Api::mistral_chat, detail::mistral_chat_format},
    {"deepseek_chat", Api::deepseek_chat, detail::deepseek_chat_format},
    {"xai_chat", Api::xai_chat, detail::xai_chat_format},
    {"cohere_chat", Api::cohere_chat, detail::cohere_chat_format},
    {"cohere_embed", Api::cohere_embed, detail::cohere_embed_format},
    {"openrouter_chat", Api::openrouter_chat, detail::openrouter_chat_format},
    {"azure_chat", Api::azure_chat, detail::azure_chat_format},
    {"openai_compatible", Api::openai_compatible, detail::openai_compatible_format},
}};

template <std::size_t... I>
constexpr std::array<Api, sizeof...(I)> apis_of(std::index_sequence<I...>) {
  return {rows[I].api...};
}
constexpr std::array<Api, rows.size()> all_apis = apis_of(std::make_index_sequence<rows.size()>{});

constexpr bool rows_in_order() {
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].api.index() != i) return false;
  return true;
}
static_assert(rows_in_order());

}  // namespace

std::span<const Api> Api::all() noexcept { return all_apis; }

std::optional<Api> Api::from_name(std::string_view name) noexcept {
  for (const Row& row : rows)
    if (row.name == name) return row.api;
  return std::nullopt;
}

std::string_view Api::name() const noexcept { return rows[index_].name; }

bool Api::model_in_path() const noexcept { return detail::format(*this).model_in_path(); }

std::optional<Api> Api::detect(std::string_view target, const json::value& body) noexcept {
  std::array<char, 256> host{};
  detail::Target at{{}, target, body.is_object() ? &body.get_object() : nullptr};
  if (const std::size_t scheme = target.find("://"); scheme != std::string_view::npos) {
    std::string_view authority = target.substr(scheme + 3);
    const std::size_t slash = authority.find_first_of("/?#");
    at.path = slash == std::string_view::npos ? std::string_view("/") : authority.substr(slash);
    authority = authority.substr(0, slash);
    if (const std::size_t user = authority.rfind('@'); user != std::string_view::npos)
      authority.remove_prefix(user + 1);
    authority = authority.substr(0, authority.find(':'));
    if (authority.size() <= host.size()) {
      std::transform(authority.begin(), authority.end(), host.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
      at.host = {host.data(), authority.size()};
    }
  }
  at.path = at.path.substr(0, at.path.find_first_of("?#"));
  while (at.path.size() > 1 && at.path.ends_with('/')) at.path.remove_suffix(1);
  for (const Row& row : rows)
    if (row.format().detects(at)) return row.api;
  return std::nullopt;
}

Usage read_usage(Api api, const json::value& reply) {
  const detail::Format& format = detail::format(api);
  detail::Reader reader(format);
  reader.walk(reply);
  const std::string name(api.name());
  if (reader.facts.invalid != detail::Field::none)
    throw Error(errc::invalid_usage, name + ": the reply's " + std::string(detail::to_string(reader.facts.invalid)) +
                                         " are negative, fractional, no number or above " +
                                         std::to_string(Usage::max_count) +
                                         "; count the reply's text, or end the call as indeterminate");
  bool doubt = false;
  Usage usage = format.usage(reader.facts, doubt);
  if (usage == Usage{} && !reader.facts.reported() && reader.facts.present == 0)
    throw Error(errc::bad_reply, name + ": the reply reports no usage; was it made with another API?");
  return usage;
}

namespace detail {

bool Target::host_is(std::string_view domain) const noexcept {
  if (!host.ends_with(domain)) return false;
  return host.size() == domain.size() || host[host.size() - domain.size() - 1] == '.';
}

const Format& format(Api api) noexcept { return rows[api.index()].format(); }

void Format::write_model(json::object& request, std::string_view model) const { request["model"] = model; }

Verdict common_verdict(int status) noexcept {
  if (status >= 200 && status < 300) return Verdict::paid;
  switch (status) {
    // The request was refused as it stands, before a model saw it: OpenAI, Anthropic and Google document these as errors of the request,
    // of its key, of its rate or of the server's load.
    case 400:
    case 401:
    case 402:  // OpenRouter: insufficient credits
    case 403:
    case 404:
    case 405:
    case 413:
    case 415:
    case 422:
    case 429:
    case 503:
    case 529:  // Anthropic: overloaded
      return Verdict::released;
    default:
      return Verdict::indeterminate;  // 408, 499, 500, 502, 504, 520 to 524: the model may have run
  }
}

Verdict Format::verdict(int status, const json::value& body) const {
  static_cast<void>(body);
  return common_verdict(status);
}

}  // namespace detail
}  // namespace outlay
