#include "openai_shape.hpp"

namespace outlay::detail {

// openai@7.57.0 resources/chat/completions/completions.d.ts.
class OpenAiChat final : public OpenAiShape {
 public:
  [[nodiscard]] std::string_view ceiling_member() const override { return "max_completion_tokens"; }
  // Recent models answer 400 integer_below_min_value below it.
  [[nodiscard]] std::int64_t min_output() const override { return 16; }
  void ask_for_usage(boost::json::object& request) const override { ask_openai_for_usage(request); }
};

template const Format& the_format<OpenAiChat>();

}  // namespace outlay::detail
