#pragma once

#include <array>
#include <boost/json/fwd.hpp>
#include <cstdint>
#include <span>
#include <string_view>

#include "outlay/detail/export.hpp"
#include "outlay/json/api.hpp"
#include "outlay/json/guard.hpp"

namespace outlay::detail {

class Format;

/// Where a request goes, for ApiRow::detects.
struct Target {
  std::string_view host;            // lower case, without port; empty if unknown
  std::string_view path;            // without query
  const boost::json::object* body;  // null if it is not an object

  [[nodiscard]] bool host_is(std::string_view domain) const noexcept;  // the domain or one below it
  [[nodiscard]] bool path_starts(std::string_view head) const noexcept { return path.starts_with(head); }
  [[nodiscard]] bool path_has(std::string_view part) const noexcept { return path.find(part) != path.npos; }
  [[nodiscard]] bool path_ends(std::string_view tail) const noexcept { return path.ends_with(tail); }
  [[nodiscard]] bool body_has(std::string_view member) const noexcept;
};

/// How a service is given its key.
enum class KeyField : std::uint8_t { bearer, x_api_key, x_goog_api_key, api_key };

/// Who serves an API: the usual address, and the variables that the vendor's own SDK reads.
struct Service {
  const char* address;  // null: there is no usual one
  std::array<const char*, 2> address_variables;
  std::array<const char*, 2> key_variables;
  KeyField key;
  const char* provider = "";  // as price tables name it; empty: anyone
};

/// How a request asks for a stream.
enum class Streaming : std::uint8_t {
  none,     // the API has no streams
  body,     // by `"stream": true`
  unasked,  // by the body too; it streams where the body does not say
  path,     // by ApiRow::stream_path
};

/// How a stream is cut into events.
enum class Framing : std::uint8_t { sse, lines, event_stream };

/// What a status other than 2xx means for the call.
struct StatusVerdict {
  int status;
  ReplyVerdict verdict;
};

/// The statuses with which a request is refused as it stands, before a model sees it. OpenAI, Anthropic and Google document them as errors
/// of the request, of its key, of its rate or of the load on the server.
inline constexpr StatusVerdict refusals[] = {
    {400, ReplyVerdict::released}, {401, ReplyVerdict::released},
    {402, ReplyVerdict::released},  // OpenRouter: insufficient credits
    {403, ReplyVerdict::released}, {404, ReplyVerdict::released},
    {405, ReplyVerdict::released}, {413, ReplyVerdict::released},
    {415, ReplyVerdict::released}, {422, ReplyVerdict::released},
    {429, ReplyVerdict::released}, {503, ReplyVerdict::released},
    {529, ReplyVerdict::released},  // Anthropic: overloaded
};

/// One API: everything but how its requests and replies are written, which its Format knows.
struct ApiRow {
  Api api;
  std::string_view name;
  const Format& (*format)();
  /// A request to this target is for this API, unless a row above says so too.
  bool (*detects)(const Target& to);
  const Service& service;
  const char* path;                   // below the service's address; {model} and {version} are replaced
  const char* stream_path = nullptr;  // null: the same
  const char* batch_path = nullptr;   // of a request with a list of `requests`; null: the same
  bool model_in_path = false;         // the body does not name the model
  Streaming streaming = Streaming::body;
  Framing framing = Framing::sse;
  /// A status that is not listed leaves the call indeterminate: 408, 499, 500, 502, 504, 520 to 524 say nothing of whether the model ran.
  std::span<const StatusVerdict> statuses = refusals;
};

/// Every API, in the order of Api::index().
[[nodiscard]] OUTLAY_EXPORT std::span<const ApiRow> api_rows() noexcept;
[[nodiscard]] OUTLAY_EXPORT const ApiRow& row_of(Api api) noexcept;

}  // namespace outlay::detail
