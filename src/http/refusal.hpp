#pragma once

#include <boost/json/fwd.hpp>
#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "outlay/detail/export.hpp"

namespace outlay::http::detail {

/// What can be said about an error without its message, which may quote the prompt or the key.
struct ErrorFacts {
  std::string code{};  ///< The provider's code, type or status; a plain word or empty, as are the next two.
  std::string parameter{};
  std::string request_id{};
};

/// Another attempt may fare better.
[[nodiscard]] bool worth_retrying(int status, std::string_view code, bool may_bill_twice) noexcept;

/// Reads an error's body, of any API. Never throws: a body that was not JSON (null) has no facts.
[[nodiscard]] ErrorFacts read_error(const boost::json::value& body) noexcept;

/// A body as JSON; null if it is not.
[[nodiscard]] boost::json::value parse_error_body(std::string_view body) noexcept;

/// Letters, digits, `_`, `-`, `.` and `[]`, at most 64; anything else becomes empty.
[[nodiscard]] std::string plain_word(std::string_view text);

/// `Retry-After` as seconds or as a date, or OpenAI's and Azure's `retry-after-ms`. Empty for what is neither, 0 for a date gone by.
[[nodiscard]] OUTLAY_EXPORT std::optional<std::chrono::milliseconds> read_retry_after(std::string_view value,
                                                                                      std::string_view milliseconds,
                                                                                      std::time_t now) noexcept;

}  // namespace outlay::http::detail
