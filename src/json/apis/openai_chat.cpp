#include "openai_shape.hpp"

namespace outlay::detail {

namespace {

// openai@7.57.0 resources/chat/completions/completions.d.ts.
class OpenAiChat final : public OpenAiShape {
 public:
  [[nodiscard]] std::string_view ceiling_member() const override { return "max_completion_tokens"; }
  // Recent models answer 400 integer_below_min_value below it.
  [[nodiscard]] std::int64_t min_output() const override { return 16; }
  void ask_for_usage(boost::json::object& request) const override { ask_openai_for_usage(request); }
  [[nodiscard]] bool detects(const Target& target) const override {
    return target.host_is("api.openai.com") && target.path_ends("/chat/completions");
  }
};

}  // namespace

const Format& openai_chat_format() {
  static const OpenAiChat format;
  return format;
}

}  // namespace outlay::detail
