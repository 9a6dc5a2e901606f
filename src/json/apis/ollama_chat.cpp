#include "ollama.hpp"

namespace outlay::detail {

class OllamaChat final : public OllamaShape {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule own[] = {
        {"message", Field::choices},
        {"message.content", Field::text},
        {"message.thinking", Field::reasoning_text},
        {"message.tool_calls.*", Field::tool},
        {"message.tool_calls.*.function.name", Field::tool_name},
        {"message.tool_calls.*.function.arguments", Field::tool_arguments},
    };
    static const Paths& paths = *new Paths{ollama_rules(), own};
    return paths;
  }
};

template const Format& the_format<OllamaChat>();

}  // namespace outlay::detail
