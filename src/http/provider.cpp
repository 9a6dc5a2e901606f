#include "provider.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdlib>

#include "outlay/error.hpp"
#include "outlay/version.hpp"

namespace outlay::http::detail {

namespace {

/// How a key travels.
enum class Key { bearer, x_api_key, x_goog_api_key, api_key };

/// One API: its place, and the variables that its vendor's own SDK reads.
struct Row {
  Api api;
  const char* address;  // null: there is no usual one
  std::array<const char*, 2> address_variables;
  std::array<const char*, 2> key_variables;
  Key key;
  const char* path;         // {model} is replaced
  const char* stream_path;  // null: the same
};

constexpr std::array rows{
    Row{Api::openai_chat,
        "https://api.openai.com/v1",
        {"OPENAI_BASE_URL"},
        {"OPENAI_API_KEY"},
        Key::bearer,
        "/chat/completions",
        nullptr},
    Row{Api::openai_responses,
        "https://api.openai.com/v1",
        {"OPENAI_BASE_URL"},
        {"OPENAI_API_KEY"},
        Key::bearer,
        "/responses",
        nullptr},
    Row{Api::openai_embeddings,
        "https://api.openai.com/v1",
        {"OPENAI_BASE_URL"},
        {"OPENAI_API_KEY"},
        Key::bearer,
        "/embeddings",
        nullptr},
    Row{Api::anthropic_messages,
        "https://api.anthropic.com",
        {"ANTHROPIC_BASE_URL"},
        {"ANTHROPIC_API_KEY"},
        Key::x_api_key,
        "/v1/messages",
        nullptr},
    Row{Api::gemini,
        "https://generativelanguage.googleapis.com",
        {"GOOGLE_GEMINI_BASE_URL"},
        {"GEMINI_API_KEY", "GOOGLE_API_KEY"},
        Key::x_goog_api_key,
        "/v1beta/models/{model}:generateContent",
        "/v1beta/models/{model}:streamGenerateContent?alt=sse"},
    Row{Api::gemini_embeddings,
        "https://generativelanguage.googleapis.com",
        {"GOOGLE_GEMINI_BASE_URL"},
        {"GEMINI_API_KEY", "GOOGLE_API_KEY"},
        Key::x_goog_api_key,
        "/v1beta/models/{model}:embedContent",
        nullptr},
    Row{Api::bedrock_converse,
        nullptr,
        {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME"},
        {"AWS_BEARER_TOKEN_BEDROCK"},
        Key::bearer,
        "/model/{model}/converse",
        "/model/{model}/converse-stream"},
    Row{Api::ollama_chat,
        "http://127.0.0.1:11434",
        {"OLLAMA_HOST"},
        {"OLLAMA_API_KEY"},
        Key::bearer,
        "/api/chat",
        nullptr},
    Row{Api::ollama_generate,
        "http://127.0.0.1:11434",
        {"OLLAMA_HOST"},
        {"OLLAMA_API_KEY"},
        Key::bearer,
        "/api/generate",
        nullptr},
    Row{Api::mistral_chat,
        "https://api.mistral.ai",
        {"MISTRAL_BASE_URL"},
        {"MISTRAL_API_KEY"},
        Key::bearer,
        "/v1/chat/completions",
        nullptr},
    Row{Api::deepseek_chat,
        "https://api.deepseek.com",
        {"DEEPSEEK_BASE_URL"},
        {"DEEPSEEK_API_KEY"},
        Key::bearer,
        "/chat/completions",
        nullptr},
    Row{Api::xai_chat,
        "https://api.x.ai/v1",
        {"XAI_BASE_URL"},
        {"XAI_API_KEY"},
        Key::bearer,
        "/chat/completions",
        nullptr},
    Row{Api::cohere_chat,
        "https://api.cohere.com",
        {"CO_API_URL"},
        {"CO_API_KEY", "COHERE_API_KEY"},
        Key::bearer,
        "/v2/chat",
        nullptr},
    Row{Api::cohere_embed,
        "https://api.cohere.com",
        {"CO_API_URL"},
        {"CO_API_KEY", "COHERE_API_KEY"},
        Key::bearer,
        "/v2/embed",
        nullptr},
    Row{Api::openrouter_chat,
        "https://openrouter.ai/api/v1",
        {"OPENROUTER_BASE_URL"},
        {"OPENROUTER_API_KEY"},
        Key::bearer,
        "/chat/completions",
        nullptr},
    Row{Api::azure_chat,
        nullptr,
        {"AZURE_OPENAI_ENDPOINT"},
        {"AZURE_OPENAI_API_KEY"},
        Key::api_key,
        "/openai/deployments/{model}/chat/completions?api-version={version}",
        nullptr},
    Row{Api::openai_compatible,
        nullptr,
        {"OPENAI_BASE_URL"},
        {"OPENAI_API_KEY"},
        Key::bearer,
        "/chat/completions",
        nullptr},
};

constexpr std::string_view azure_version = "2024-10-21";

const Row& row_of(Api api) {
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.api == api; });
  if (row == rows.end()) throw ConfigError("http client: this API has no address here: " + std::string(api.name()));
  return *row;
}

std::string from_environment(const char* variable) {
  const char* value = variable ? std::getenv(variable) : nullptr;
  return value ? value : "";
}

template <std::size_t N>
std::string first_set(const std::array<const char*, N>& variables) {
  for (const char* variable : variables)
    if (std::string value = from_environment(variable); !value.empty()) return value;
  return {};
}

bool token(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return lower(x) == lower(y);
  });
}

/// W3C's form: `00-<32 hex>-<16 hex>-<2 hex>`, in lower case.
bool well_formed_trace(std::string_view text) {
  if (text.size() != 55 || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }) &&
         std::count(text.begin(), text.end(), '-') == 3;
}

/// A field of the head; a field that is there already stays.
void add_field(std::string& head, std::vector<std::string>& names, const std::string& name, const std::string& value) {
  if (std::any_of(names.begin(), names.end(), [&](const std::string& other) { return same(other, name); })) return;
  const bool clean = value.size() <= 16'384 && std::all_of(value.begin(), value.end(), [](char c) {
                       return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F;
                     });
  if (!clean)  // a line end here would let a value add fields of its own
    throw ConfigError("http client: the value of the header " + name +
                      " contains a control character or is longer than 16,384 bytes; a key read from a file "
                      "often ends in a line end");
  names.push_back(name);
  head += name + ": " + value + "\r\n";
}

}  // namespace

bool can_stream(Api api) noexcept {
  return !(api == Api::openai_embeddings || api == Api::gemini_embeddings || api == Api::cohere_embed);
}

bool stream_in_body(Api api) noexcept { return !(api == Api::gemini || api == Api::bedrock_converse); }

bool streams_unasked(Api api) noexcept { return api == Api::ollama_chat || api == Api::ollama_generate; }

Endpoint make_endpoint(const ClientOptions& options) {
  const Row& row = row_of(options.api);
  Endpoint endpoint;
  endpoint.api = options.api;

  std::string address = options.base_url;
  if (address.empty()) address = first_set(row.address_variables);
  if (address.empty() && options.api == Api::bedrock_converse) {
    std::string region = from_environment("AWS_REGION");
    if (region.empty()) region = from_environment("AWS_DEFAULT_REGION");
    if (!region.empty()) address = "https://bedrock-runtime." + region + ".amazonaws.com";
  }
  if (address.empty() && row.address) address = row.address;
  if (address.empty())
    throw ConfigError("http client: no address for " + std::string(options.api.name()) +
                      ": set base_url or the variable " + row.address_variables[0]);
  const bool ollama = options.api == Api::ollama_chat || options.api == Api::ollama_generate;
  if (ollama && address.find("://") == address.npos) {
    // OLLAMA_HOST names a host and perhaps a port, the address that its server listens on included.
    if (address.find(':') == address.npos) address += ":11434";
    if (address.starts_with("0.0.0.0:")) address.replace(0, 7, "127.0.0.1");
    address = "http://" + address;
  }
  endpoint.url = parse_url(address);
  endpoint.api_version = options.api_version;
  if (endpoint.api_version.empty()) endpoint.api_version = from_environment("OPENAI_API_VERSION");
  if (endpoint.api_version.empty()) endpoint.api_version = azure_version;

  std::string key = options.api_key;
  if (key.empty()) key = first_set(row.key_variables);
  if (!key.empty() && !endpoint.url.tls && !endpoint.url.loopback() && !options.allow_plaintext_key)
    throw ConfigError("http client: the key for " + endpoint.url.host +
                      " would travel unencrypted over http://; use https://, or set allow_plaintext_key");

  std::vector<std::string> names;
  for (const Header& header : options.headers) {
    if (!token(header.name))
      throw ConfigError("http client: a header's name must be letters, digits, - and _, at most 128");
    for (const char* ours : {"Host", "Content-Length", "Transfer-Encoding", "Connection", "Content-Type", "Expect",
                             "TE", "Trailer", "Upgrade", "Accept-Encoding"})
      if (same(header.name, ours)) throw ConfigError("http client: the header " + header.name + " is the client's own");
    add_field(endpoint.fixed_head, names, header.name, header.value);
  }
  if (!key.empty()) {
    switch (row.key) {
      case Key::bearer:
        add_field(endpoint.fixed_head, names, "Authorization", "Bearer " + key);
        break;
      case Key::x_api_key:
        add_field(endpoint.fixed_head, names, "x-api-key", key);
        break;
      case Key::x_goog_api_key:
        add_field(endpoint.fixed_head, names, "x-goog-api-key", key);
        break;
      case Key::api_key:
        add_field(endpoint.fixed_head, names, "api-key", key);
        break;
    }
  }
  const bool openai =
      options.api == Api::openai_chat || options.api == Api::openai_responses || options.api == Api::openai_embeddings;
  std::string organisation = options.organisation;
  if (organisation.empty() && openai) organisation = from_environment("OPENAI_ORG_ID");
  if (!organisation.empty()) add_field(endpoint.fixed_head, names, "OpenAI-Organization", organisation);
  if (options.api == Api::anthropic_messages) add_field(endpoint.fixed_head, names, "anthropic-version", "2023-06-01");
  add_field(endpoint.fixed_head, names, "User-Agent", "outlay/" OUTLAY_VERSION_STRING);
  return endpoint;
}

std::string request_target(const Endpoint& endpoint, std::string_view model, const boost::json::object& request,
                           bool stream) {
  const Row& row = row_of(endpoint.api);
  if (stream && !can_stream(endpoint.api))
    throw Error(errc::invalid_argument, std::string(endpoint.api.name()) + " has no stream: use post");
  std::string path = stream && row.stream_path ? row.stream_path : row.path;
  if (endpoint.api == Api::gemini_embeddings && request.contains("requests"))
    path = "/v1beta/models/{model}:batchEmbedContents";
  if (const std::size_t at = path.find("{model}"); at != path.npos) {
    if (model.empty())
      throw Error(errc::invalid_argument,
                  std::string(endpoint.api.name()) + " has its model in the path: name it in the request's options");
    path.replace(at, 7, encode_segment(model));
  }
  if (const std::size_t at = path.find("{version}"); at != path.npos)
    path.replace(at, 9, encode_segment(endpoint.api_version));
  return endpoint.url.path + path;
}

std::string request_head(const Endpoint& endpoint, std::string_view target, std::size_t body_bytes, bool stream,
                         std::string_view traceparent) {
  std::string head;
  head.reserve(256 + target.size() + endpoint.fixed_head.size());
  head.append("POST ").append(target).append(" HTTP/1.1\r\nHost: ").append(endpoint.url.authority());
  head.append("\r\nContent-Type: application/json\r\nAccept: ");
  const bool lines = endpoint.api == Api::ollama_chat || endpoint.api == Api::ollama_generate;
  if (!stream) {
    head.append("application/json");
  } else if (endpoint.api == Api::bedrock_converse) {
    head.append("application/vnd.amazon.eventstream");
  } else {
    head.append(lines ? "application/x-ndjson" : "text/event-stream");
  }
  if (well_formed_trace(traceparent)) head.append("\r\ntraceparent: ").append(traceparent);
  head.append("\r\nContent-Length: ").append(std::to_string(body_bytes)).append("\r\n");
  head.append(endpoint.fixed_head).append("\r\n");
  return head;
}

}  // namespace outlay::http::detail
