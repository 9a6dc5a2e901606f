#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string_view>

namespace outlay::detail {

/// The reply that a line of a batch's results carries; null for what is no such line.
///
/// OpenAI, Azure and Mistral: `response.body` beside a `custom_id`; Anthropic: `result.message` beside one; Gemini: `response` beside a `key`
/// or `metadata`; Bedrock: `modelOutput` beside a `recordId` (developers.openai.com "Batch API", docs.mistral.ai "Batch", platform.claude.com
/// "Batch processing", ai.google.dev "Batch API", docs.aws.amazon.com/bedrock "Batch inference results").
[[nodiscard]] inline const boost::json::value* reply_in_line(const boost::json::value& line) noexcept {
  if (!line.is_object()) return nullptr;
  const boost::json::object& object = line.get_object();
  const auto within = [](const boost::json::object& outer, std::string_view key) {
    const boost::json::value* const found = outer.if_contains(key);
    return found != nullptr && found->is_object() ? found : nullptr;
  };
  if (object.contains("custom_id")) {
    if (const boost::json::value* const response = within(object, "response"))
      return within(response->get_object(), "body");
    if (const boost::json::value* const result = within(object, "result"))
      return within(result->get_object(), "message");
    return nullptr;
  }
  if (object.contains("key") || object.contains("metadata"))
    return object.contains("usage") ? nullptr : within(object, "response");
  return object.contains("recordId") ? within(object, "modelOutput") : nullptr;
}

/// The status of the reply in such a line, beside its body; 0 where it says none.
[[nodiscard]] inline int status_in_line(const boost::json::value& line) noexcept {
  const boost::json::value* const response = line.is_object() ? line.get_object().if_contains("response") : nullptr;
  const boost::json::value* const status =
      response != nullptr && response->is_object() ? response->get_object().if_contains("status_code") : nullptr;
  if (status == nullptr || !status->is_int64()) return 0;
  const std::int64_t code = status->get_int64();
  return code >= 100 && code < 600 ? static_cast<int>(code) : 0;
}

}  // namespace outlay::detail
