#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "outlay/clock.hpp"
#include "outlay/error.hpp"
#include "outlay/json/api.hpp"

namespace outlay::gateway::detail {

/// What the gateway answers by itself.
struct Answer {
  int status = 200;
  std::string body{};
  std::vector<std::pair<std::string, std::string>> fields{};
  bool close = false;
};

/// An error in the shape that the API's own SDKs read; the gateway's own where there is no API.
///
/// \param code A word for programs: `budget_exceeded`.
[[nodiscard]] std::string error_body(std::optional<Api> api, int status, std::string_view code,
                                     std::string_view message);
[[nodiscard]] Answer error_answer(std::optional<Api> api, int status, std::string_view code, std::string_view message);
/// The status of what failed for another reason than a cap.
[[nodiscard]] int status_of(errc reason) noexcept;
/// A refusal by a budget.
///
/// \param status 429 or 402; Cohere's is 402 in any case.
[[nodiscard]] Answer refusal(Api api, const Failure& failure, int status);

/// The head and body as they go over the wire, with Content-Length.
[[nodiscard]] std::string wire_text(const Answer& answer, bool keep_alive);
/// `HTTP/1.1 429 Too Many Requests`, with its line end.
[[nodiscard]] std::string status_line(int status, std::string_view reason = {});

}  // namespace outlay::gateway::detail
