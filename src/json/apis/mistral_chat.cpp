#include "openai_shape.hpp"

namespace outlay::detail {

// @mistralai/mistralai@2.7.0 esm/models/components. Usage comes unasked, and unknown members such as stream_options are refused.
class MistralChat final : public OpenAiShape {};

template const Format& the_format<MistralChat>();

}  // namespace outlay::detail
