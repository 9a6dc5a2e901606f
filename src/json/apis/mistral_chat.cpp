#include "openai_shape.hpp"

namespace outlay::detail {

// @mistralai/mistralai@2.7.0 esm/models/components. Usage comes unasked, and unknown members such as stream_options are refused.
class MistralChat final : public OpenAiShape {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule own[] = {
        {"usage.num_cached_tokens", Field::cached},
        {"usage.prompt_token_details.cached_tokens", Field::cached},
        {"usage.service_tier", Field::service_tier},
    };
    static const Paths paths{openai_chat_rules(), own};
    return paths;
  }
};

template const Format& the_format<MistralChat>();

}  // namespace outlay::detail
