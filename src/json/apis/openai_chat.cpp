#include <algorithm>
#include <string_view>

#include "openai_shape.hpp"

namespace outlay::detail {

// openai@7.57.0 resources/chat/completions/completions.d.ts.
class OpenAiChat final : public OpenAiShape {
 public:
  [[nodiscard]] const char* ceiling_member() const override { return "max_completion_tokens"; }
  // Recent models answer 400 integer_below_min_value below it.
  [[nodiscard]] std::int64_t min_output() const override { return 16; }
  void read_request(const boost::json::object& request, RequestFacts& facts) const override {
    OpenAiShape::read_request(request, facts);
    if (!always_searches(facts.model)) return;
    facts.open_input = true;
    facts.web_searches = 1;
  }
  [[nodiscard]] Report report(const Facts& facts) const override {
    Report report = inclusive_report(facts);
    // No reply counts it.
    if (always_searches(facts.model.empty() ? facts.admitted_model : facts.model))
      report.usage.web_searches = std::max<std::int64_t>(report.usage.web_searches, 1);
    return report;
  }
  void ask_for_usage(boost::json::object& request) const override { ask_openai_for_usage(request); }

 private:
  // In Chat Completions the search models always retrieve from the web before they answer (platform.openai.com/docs, "Web search"), and
  // each call has the fee of one search (openai.com/api/pricing).
  static bool always_searches(std::string_view model) noexcept {
    return model.find("-search-preview") != model.npos || model.find("-search-api") != model.npos;
  }
};

template const Format& the_format<OpenAiChat>();

}  // namespace outlay::detail
