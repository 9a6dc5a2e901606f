#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "outlay/json/api.hpp"

namespace outlay::detail {

/// A request as parsed.
///
/// \par Errors
/// Error with errc::invalid_argument for text that is not one JSON object, nested deeper than 128 or longer than 128 MiB.
[[nodiscard]] boost::json::object parse_request(Api api, std::string_view text);

/// `text` with the members changed in which `after` differs from `before`, and every other byte as it was.
///
/// A member that `text` names more than once is changed at each place, since providers differ in which of them counts. A new member comes
/// last in its object.
/// \param before What `text` says, as parse_request() returned it.
[[nodiscard]] std::string rewrite(std::string_view text, const boost::json::object& before,
                                  const boost::json::object& after);

/// The body of an answer that is no 2xx, as far as it is needed to judge the answer: null where it is not JSON.
[[nodiscard]] boost::json::value parse_refusal(std::string_view text) noexcept;
/// Of a refusal, so much is looked at.
inline constexpr std::size_t most_refusal_bytes = std::size_t{64} << 10;

}  // namespace outlay::detail
