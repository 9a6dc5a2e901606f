#include "openai_shape.hpp"

namespace outlay::detail {

// vLLM (protocol.py) and llama.cpp's server, as measured; other hosts that speak Chat Completions.
class OpenAiCompatible final : public OpenAiShape {
 public:
  [[nodiscard]] Report report(const Facts& facts) const override {
    const bool llama_cpp = facts.has(Field::server_output);
    if (!facts.has(Field::input) && !facts.has(Field::output) && llama_cpp) {
      Report report;  // no usage was asked for; the server's timings say as much
      report.usage.input = facts.get(Field::server_input);
      report.usage.cache_read = facts.get(Field::server_cached);
      report.usage.output = facts.get(Field::server_output);
      return report;
    }
    Report report = inclusive_report(facts);
    if (llama_cpp && facts.choices_seen > 1) {
      report.usage.output *= facts.choices_seen;  // it reports one answer of several
      report.doubt = true;
    }
    return report;
  }
  void ask_for_usage(boost::json::object& request) const override { ask_openai_for_usage(request); }
};

template const Format& the_format<OpenAiCompatible>();

}  // namespace outlay::detail
