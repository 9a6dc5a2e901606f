#include "ollama.hpp"

namespace outlay::detail {

namespace {

class OllamaGenerate final : public OllamaShape {
 public:
  [[nodiscard]] const Paths& paths() const override {
    static constexpr PathRule own[] = {{"response", Field::text}, {"thinking", Field::reasoning_text}};
    static const Paths paths{ollama_rules(), own};
    return paths;
  }
  [[nodiscard]] bool detects(const Target& target) const override { return target.path_ends("/api/generate"); }
};

}  // namespace

const Format& ollama_generate_format() {
  static const OllamaGenerate format;
  return format;
}

}  // namespace outlay::detail
