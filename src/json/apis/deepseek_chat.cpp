#include "openai_shape.hpp"

namespace outlay::detail {

namespace {

// The shape of OpenAI's; prompt_cache_hit_tokens repeats cached_tokens (@ai-sdk/deepseek).
class DeepSeekChat final : public OpenAiShape {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule own[] = {{"usage.prompt_cache_hit_tokens", Field::cached}};
    static const Paths paths{openai_chat_rules(), own};
    return paths;
  }
  void ask_for_usage(boost::json::object& request) const override { ask_openai_for_usage(request); }
  [[nodiscard]] bool detects(const Target& target) const override {
    return target.host_is("api.deepseek.com") && target.path_ends("/chat/completions");
  }
};

}  // namespace

const Format& deepseek_chat_format() {
  static const DeepSeekChat format;
  return format;
}

}  // namespace outlay::detail
