#include "gateway/answer.hpp"

#include <algorithm>
#include <boost/beast/http/status.hpp>
#include <chrono>

#include "core/base/json_writer.hpp"

namespace outlay::gateway::detail {

using outlay::detail::JsonWriter;

namespace {

/// Google's canonical code for a status.
const char* google_status(int status) noexcept {
  switch (status) {
    case 400:
    case 402:
      return "FAILED_PRECONDITION";
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "PERMISSION_DENIED";
    case 404:
      return "NOT_FOUND";
    case 429:
      return "RESOURCE_EXHAUSTED";
    case 504:
      return "DEADLINE_EXCEEDED";
    default:
      return "UNAVAILABLE";
  }
}

/// Anthropic's type for a status: its SDKs know these words only.
const char* anthropic_type(int status) noexcept {
  switch (status) {
    case 400:
    case 413:
      return "invalid_request_error";
    case 401:
      return "authentication_error";
    case 402:
      return "billing_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    case 504:
      return "timeout_error";
    default:
      return "api_error";
  }
}

}  // namespace

int status_of(errc reason) noexcept {
  switch (reason) {
    case errc::store_unavailable:
      return 503;
    case errc::invalid_argument:
    case errc::config:
    case errc::unbounded_refused:
    case errc::price_unknown:
    case errc::tag_required:
      return 400;
    default:
      return 500;
  }
}

std::string error_body(std::optional<Api> api, int status, std::string_view code, std::string_view message) {
  std::string out;
  JsonWriter json(out);
  if (api == Api::anthropic_messages) {
    json.begin_object().key("type").text("error").key("error").begin_object();
    json.key("type").text(anthropic_type(status)).key("message").text(message).end_object().end_object();
  } else if (api == Api::gemini || api == Api::gemini_embeddings) {
    json.begin_object().key("error").begin_object().key("code").number(std::int64_t{status});
    json.key("message").text(message).key("status").text(google_status(status)).end_object().end_object();
  } else if (api == Api::ollama_chat || api == Api::ollama_generate) {
    json.begin_object().key("error").text(message).end_object();
  } else if (api == Api::cohere_chat || api == Api::cohere_embed || api == Api::bedrock_converse) {
    json.begin_object().key("message").text(message).end_object();
  } else if (api == Api::mistral_chat) {
    json.begin_object().key("object").text("error").key("message").text(message);
    json.key("type").text(code).key("param").raw("null").key("code").text(code).end_object();
  } else {
    json.begin_object().key("error").begin_object().key("message").text(message);
    json.key("type").text(code).key("param").raw("null").key("code").text(code).end_object().end_object();
  }
  return out;
}

Answer error_answer(std::optional<Api> api, int status, std::string_view code, std::string_view message) {
  Answer answer{.status = status, .body = error_body(api, status, code, message)};
  answer.fields.emplace_back("Content-Type", "application/json");
  if (api == Api::bedrock_converse)
    answer.fields.emplace_back("x-amzn-ErrorType", status == 429 ? "ThrottlingException" : "ValidationException");
  return answer;
}

Answer refusal(Api api, const Failure& failure, int status) {
  // Cohere's SDKs know no x-should-retry and try again after any 429. A reached billing limit is 402 there
  // (docs.cohere.com/reference/errors).
  if (api == Api::cohere_chat || api == Api::cohere_embed) status = 402;
  Answer answer = error_answer(api, status, to_string(failure.reason()), failure.message());
  // The official SDKs try again after 429 unless the server says that it would not help.
  answer.fields.emplace_back("x-should-retry", "false");
  const auto add = [&](const char* name, std::string value) {
    // Names of budgets may come from users, by the tags of rules.
    const bool clean = !value.empty() && value.size() <= 512 && std::all_of(value.begin(), value.end(), [](char c) {
      return static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7F;
    });
    if (clean) answer.fields.emplace_back(name, std::move(value));
  };
  add("x-outlay-budget", failure.budget());
  add("x-outlay-limit", failure.limit());
  add("x-outlay-spent", failure.spent());
  if (const auto wait = failure.retry_after()) {
    add("x-outlay-reset", to_iso8601(*failure.retry_at()));
    add("Retry-After", failure.held_by_running() ? "1" : std::to_string(std::max<std::int64_t>(1, wait->count())));
  }
  return answer;
}

std::string status_line(int status, std::string_view reason) {
  if (reason.empty()) {
    const auto known =
        boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(static_cast<unsigned>(status)));
    reason = {known.data(), known.size()};
  }
  std::string line = "HTTP/1.1 ";
  return line.append(std::to_string(status)).append(" ").append(reason).append("\r\n");
}

std::string wire_text(const Answer& answer, bool keep_alive) {
  std::string text = status_line(answer.status);
  for (const auto& [name, value] : answer.fields) text.append(name).append(": ").append(value).append("\r\n");
  text.append("Content-Length: ").append(std::to_string(answer.body.size())).append("\r\n");
  if (!keep_alive) text += "Connection: close\r\n";
  return text.append("\r\n").append(answer.body);
}

}  // namespace outlay::gateway::detail
