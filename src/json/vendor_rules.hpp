#pragma once

#include <cstdint>
#include <string_view>

namespace outlay::detail {

struct Facts;

/// How a vendor's models count what the built-in tokenizer does not know: bounds, by the model's name.
struct VendorRules {
  std::int64_t text_64ths;     // of the built-in tokenizer's bound, which is made for OpenAI's vocabularies
  bool tools_as_json;          // tool definitions and schemas stand in the prompt as JSON, not in a shorter form
  std::int64_t tools_prompt;   // what explains the use of tools to the model
  std::int64_t tool_built_in;  // a tool that the vendor has defined
  std::int64_t image_low;      // tokens of an image at low detail
  std::int64_t image;          // at any other
  std::int64_t own_prompt;     // tokens that a model's template writes in front of what it is given
  std::int64_t tool_call;      // output tokens that frame a call of a tool, beside its name and its arguments
};

/// The rules of a model, whatever prefix its name has; for a name that is not known, those that bound most models.
[[nodiscard]] const VendorRules& vendor_rules(std::string_view model) noexcept;

/// Output tokens that frame a call of a tool, by the model that answered or was asked.
[[nodiscard]] std::int64_t tool_call_frame(const Facts& facts) noexcept;

}  // namespace outlay::detail
