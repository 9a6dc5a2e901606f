#include "ollama.hpp"

namespace outlay::detail {

class OllamaGenerate final : public OllamaShape {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule own[] = {{"response", Field::text}, {"thinking", Field::reasoning_text}};
    static const Paths& paths = *new Paths{ollama_rules(), own};
    return paths;
  }
};

template const Format& the_format<OllamaGenerate>();

}  // namespace outlay::detail
