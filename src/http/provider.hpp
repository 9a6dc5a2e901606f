#pragma once

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/http/options.hpp"
#include "url/url.hpp"

namespace outlay::http::detail {

/// Where and how one API is spoken to, with everything that options and environment say.
struct Endpoint {
  Api api = Api::openai_chat;
  outlay::detail::Url url{};  ///< Its path has no slash at its end: request paths are appended to it.
  std::string api_version{};
  /// What is the same in the head of every request. Holds the key.
  boost::beast::http::request<boost::beast::http::empty_body> head{};
};

/// \par Errors
/// ConfigError: no address, a key for an open `http://` address, a control character in a header.
[[nodiscard]] Endpoint make_endpoint(const ClientOptions& options);

/// \par Errors
/// ConfigError for anything but `http://host[:port][/path]` or `https://...`. Its message never repeats the text: a URL may hold a key.
[[nodiscard]] outlay::detail::Url parse_base_url(std::string_view text);

/// One segment of a path, which nothing in the text can leave.
[[nodiscard]] std::string encode_segment(std::string_view text);

/// The target of one request. `model` is used where the API has it in the path.
///
/// \par Errors
/// Error with errc::invalid_argument where the model is missing, or streaming is asked of an API that has none.
[[nodiscard]] std::string request_target(const Endpoint& endpoint, std::string_view model,
                                         const boost::json::object& request, bool stream);

/// A request as it goes over the wire. A malformed `traceparent` is left out.
[[nodiscard]] std::string make_message(const Endpoint& endpoint, std::string_view target, std::string_view body,
                                       bool stream, std::string_view traceparent);

/// The API has a stream at all: embeddings have none.
[[nodiscard]] bool can_stream(Api api) noexcept;
/// A stream is asked for by `"stream": true` in the body, not by the path.
[[nodiscard]] bool stream_in_body(Api api) noexcept;
/// It streams where the request does not say otherwise.
[[nodiscard]] bool streams_unasked(Api api) noexcept;

}  // namespace outlay::http::detail
