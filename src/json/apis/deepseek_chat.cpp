#include "openai_shape.hpp"

namespace outlay::detail {

// The shape of OpenAI's; prompt_cache_hit_tokens repeats cached_tokens (@ai-sdk/deepseek).
class DeepSeekChat final : public OpenAiShape {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule own[] = {{"usage.prompt_cache_hit_tokens", Field::cached}};
    static const Paths paths{openai_chat_rules(), own};
    return paths;
  }
  void ask_for_usage(boost::json::object& request) const override { ask_openai_for_usage(request); }
};

template const Format& the_format<DeepSeekChat>();

}  // namespace outlay::detail
