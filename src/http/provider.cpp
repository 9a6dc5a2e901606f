#include "provider.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdlib>

#include "core/base/percent.hpp"
#include "core/base/traceparent.hpp"
#include "exchange.hpp"
#include "json/apis/table.hpp"
#include "outlay/error.hpp"
#include "outlay/version.hpp"

namespace outlay::http::detail {

namespace beast_http = boost::beast::http;

namespace {

using outlay::detail::ApiRow;
using outlay::detail::Framing;
using outlay::detail::KeyField;
using outlay::detail::row_of;
using outlay::detail::Streaming;

constexpr std::string_view azure_version = "2024-10-21";

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

/// Adds a field to a head; one that is there already stays.
void add_field(beast_http::fields& head, const std::string& name, const std::string& value) {
  if (head.count(name) > 0) return;
  const bool clean = value.size() <= 16'384 && std::all_of(value.begin(), value.end(), [](char c) {
                       return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F;
                     });
  if (!clean)  // a line end here would let a value add fields of its own
    throw ConfigError("http client: the value of the header " + name +
                      " contains a control character or is longer than 16,384 bytes; a key read from a file "
                      "often ends in a line end");
  head.insert(name, value);
}

}  // namespace

bool can_stream(Api api) noexcept { return row_of(api).streaming != Streaming::none; }

bool stream_in_body(Api api) noexcept { return row_of(api).streaming != Streaming::path; }

bool streams_unasked(Api api) noexcept { return row_of(api).streaming == Streaming::unasked; }

outlay::detail::Url parse_base_url(std::string_view text) {
  constexpr std::string_view who = "http client: base_url";
  outlay::detail::Url url = outlay::detail::parse_http_url(text, who);
  if (url.query) outlay::detail::refuse_url({who, outlay::detail::http_url_form}, "has a query");
  while (url.path.ends_with('/')) url.path.pop_back();
  return url;
}

// Plain are RFC 3986's unreserved characters alone.
std::string encode_segment(std::string_view text) { return outlay::detail::percent_encoded(text, "-._~"); }

Endpoint make_endpoint(const ClientOptions& options) {
  const outlay::detail::Service& service = row_of(options.api).service;
  Endpoint endpoint;
  endpoint.api = options.api;

  std::string address = options.base_url;
  if (address.empty()) address = first_set(service.address_variables);
  if (address.empty() && options.api == Api::bedrock_converse) {
    std::string region = from_environment("AWS_REGION");
    if (region.empty()) region = from_environment("AWS_DEFAULT_REGION");
    if (!region.empty()) address = "https://bedrock-runtime." + region + ".amazonaws.com";
  }
  if (address.empty() && service.address) address = service.address;
  if (address.empty())
    throw ConfigError("http client: no address for " + std::string(options.api.name()) +
                      ". Set base_url or the variable " + service.address_variables[0] + '.');
  const bool ollama = options.api == Api::ollama_chat || options.api == Api::ollama_generate;
  if (ollama && address.find("://") == address.npos) {
    // OLLAMA_HOST names a host and perhaps a port, the address that its server listens on included.
    if (address.find(':') == address.npos) address += ":11434";
    if (address.starts_with("0.0.0.0:")) address.replace(0, 7, "127.0.0.1");
    address = "http://" + address;
  }
  endpoint.url = parse_base_url(address);
  endpoint.api_version = options.api_version;
  if (endpoint.api_version.empty()) endpoint.api_version = from_environment("OPENAI_API_VERSION");
  if (endpoint.api_version.empty()) endpoint.api_version = azure_version;

  std::string key = options.api_key;
  if (key.empty()) key = first_set(service.key_variables);
  if (!key.empty() && !endpoint.url.tls && !endpoint.url.loopback() && !options.allow_plaintext_key)
    throw ConfigError("http client: the key for " + endpoint.url.host +
                      " would travel unencrypted over http://; use https://, or set allow_plaintext_key");

  endpoint.head.method(beast_http::verb::post);
  endpoint.head.version(11);
  endpoint.head.set(beast_http::field::host, endpoint.url.authority());
  endpoint.head.set(beast_http::field::content_type, "application/json");
  for (const Header& header : options.headers) {
    if (!token(header.name))
      throw ConfigError("http client: a header's name must be letters, digits, - and _, at most 128");
    for (const char* ours : {"Host", "Content-Length", "Transfer-Encoding", "Connection", "Content-Type", "Expect",
                             "TE", "Trailer", "Upgrade", "Accept-Encoding"})
      if (same(header.name, ours))
        throw ConfigError("http client: the header " + header.name + " is set by the client itself. Remove it.");
    add_field(endpoint.head, header.name, header.value);
  }
  if (!key.empty()) {
    switch (service.key) {
      case KeyField::bearer:
        add_field(endpoint.head, "Authorization", "Bearer " + key);
        break;
      case KeyField::x_api_key:
        add_field(endpoint.head, "x-api-key", key);
        break;
      case KeyField::x_goog_api_key:
        add_field(endpoint.head, "x-goog-api-key", key);
        break;
      case KeyField::api_key:
        add_field(endpoint.head, "api-key", key);
        break;
    }
  }
  const bool openai =
      options.api == Api::openai_chat || options.api == Api::openai_responses || options.api == Api::openai_embeddings;
  std::string organisation = options.organisation;
  if (organisation.empty() && openai) organisation = from_environment("OPENAI_ORG_ID");
  if (!organisation.empty()) add_field(endpoint.head, "OpenAI-Organization", organisation);
  if (options.api == Api::anthropic_messages) add_field(endpoint.head, "anthropic-version", "2023-06-01");
  add_field(endpoint.head, "User-Agent", "outlay/" OUTLAY_VERSION_STRING);
  return endpoint;
}

std::string request_target(const Endpoint& endpoint, std::string_view model, const boost::json::object& request,
                           bool stream) {
  const ApiRow& row = row_of(endpoint.api);
  if (stream && !can_stream(endpoint.api))
    throw Error(errc::invalid_argument, std::string(endpoint.api.name()) + " has no stream. Use post.");
  std::string path = stream && row.stream_path ? row.stream_path : row.path;
  if (row.batch_path && request.contains("requests")) path = row.batch_path;
  if (const std::size_t at = path.find("{model}"); at != path.npos) {
    if (model.empty())
      throw Error(errc::invalid_argument,
                  std::string(endpoint.api.name()) + " has its model in the path. Name it in RequestOptions::model.");
    path.replace(at, 7, encode_segment(model));
  }
  if (const std::size_t at = path.find("{version}"); at != path.npos)
    path.replace(at, 9, encode_segment(endpoint.api_version));
  return endpoint.url.path + path;
}

std::string make_message(const Endpoint& endpoint, std::string_view target, std::string_view body, bool stream,
                         std::string_view traceparent) {
  auto head = endpoint.head;
  head.target({target.data(), target.size()});
  const char* wanted = "application/json";
  if (stream) {
    switch (row_of(endpoint.api).framing) {
      case Framing::sse:
        wanted = "text/event-stream";
        break;
      case Framing::lines:
        wanted = "application/x-ndjson";
        break;
      case Framing::event_stream:
        wanted = "application/vnd.amazon.eventstream";
        break;
    }
  }
  add_field(head, "Accept", wanted);
  if (outlay::detail::is_traceparent(traceparent))
    head.set("traceparent", boost::beast::string_view(traceparent.data(), traceparent.size()));
  return wire_text(std::move(head), body);
}

}  // namespace outlay::http::detail
