#include "openai_shape.hpp"

namespace outlay::detail {

// The shape of OpenAI's; prompt_cache_hit_tokens repeats cached_tokens (@ai-sdk/deepseek).
class DeepSeekChat final : public OpenAiShape {
 public:
  void ask_for_usage(boost::json::object& request) const override { ask_openai_for_usage(request); }
};

template const Format& the_format<DeepSeekChat>();

}  // namespace outlay::detail
