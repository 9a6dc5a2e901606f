#include "openai_shape.hpp"

namespace outlay::detail {

// vLLM (protocol.py) and llama.cpp's server, as measured; other hosts that speak Chat Completions.
class OpenAiCompatible final : public OpenAiShape {
 public:
  [[nodiscard]] Usage usage(const Facts& facts, bool& doubt) const override {
    const bool llama_cpp = facts.has(Field::server_output);
    if (!facts.has(Field::input) && !facts.has(Field::output) && llama_cpp) {
      Usage usage;  // no usage was asked for; the server's timings say as much
      usage.input = facts.get(Field::server_input);
      usage.cache_read = facts.get(Field::server_cached);
      usage.output = facts.get(Field::server_output);
      return usage;
    }
    Usage usage = inclusive_usage(facts, doubt);
    if (llama_cpp && facts.choices_seen > 1) {
      usage.output *= facts.choices_seen;  // it reports one answer of several
      doubt = true;
    }
    return usage;
  }
  void ask_for_usage(boost::json::object& request) const override { ask_openai_for_usage(request); }
};

template const Format& the_format<OpenAiCompatible>();

}  // namespace outlay::detail
