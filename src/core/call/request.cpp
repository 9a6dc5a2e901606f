#include "core/call/request.hpp"

#include "core/pricing/near_names.hpp"
#include "core/pricing/price_book.hpp"
#include "core/pricing/pricing.hpp"

namespace outlay::detail {

namespace {

[[gnu::cold]] std::string range(const char* member, const char* bounds, const std::string& value) {
  return std::string("CallRequest::") + member + " must be " + bounds + ", and is " + value + '.';
}

[[gnu::cold]] std::string size(const char* member, std::size_t most, std::size_t bytes) {
  return std::string("CallRequest::") + member + " has " + std::to_string(bytes) + " bytes, and at most " +
         std::to_string(most) + " are allowed. Shorten it.";
}

}  // namespace

[[gnu::hot]] std::string fault_of(const CallRequest& request) {
  constexpr const char* count = "between 0 and 2,000,000,000";
  if (request.model.empty()) return "CallRequest::model is empty. Name the model that the call goes to.";
  if (request.model.size() > 256) return size("model", 256, request.model.size());
  if (request.input_tokens && (*request.input_tokens < 0 || *request.input_tokens > Usage::max_count))
    return range("input_tokens", count, std::to_string(*request.input_tokens));
  if (request.max_output_tokens && (*request.max_output_tokens < 0 || *request.max_output_tokens > Usage::max_count))
    return range("max_output_tokens", count, std::to_string(*request.max_output_tokens));
  if (request.choices < 1 || request.choices > 1024)
    return range("choices", "between 1 and 1,024", std::to_string(request.choices));
  if (request.usd && (*request.usd < Usd{} || *request.usd > max_call_cost))
    return range("usd", "between $0.00 and $1,000,000,000", to_string(*request.usd));
  if (request.web_searches < 0 || request.web_searches > 1'000'000)
    return range("web_searches", "between 0 and 1,000,000", std::to_string(request.web_searches));
  if (request.provider.size() > 256) return size("provider", 256, request.provider.size());
  if (request.service_tier.size() > 64) return size("service_tier", 64, request.service_tier.size());
  if (request.lease && (*request.lease < std::chrono::seconds(1) || *request.lease > std::chrono::days(60)))
    return range("lease", "between 1 second and 60 days", std::to_string(request.lease->count()) + " s");
  if (request.ceiling_name == nullptr) return "CallRequest::ceiling_name is null. Leave it out, or name the member.";
  if (request.min_output_tokens < 1)
    return range("min_output_tokens", "at least 1", std::to_string(request.min_output_tokens));
  return {};
}

std::string refused_outright(const CallRequest& request, errc code, const PriceBook& prices) {
  const std::string model = '"' + printable_name(request.model) + '"';
  switch (code) {
    case errc::outside_budget:
      return "no budget encloses the call to " + model +
             ", and the ledger is strict. Open an outlay::Budget around it.";
    case errc::invalid_argument:
      return "the request to " + model +
             " states neither input_tokens nor input_text, and a budget around it counts its input. Set one of them; "
             "input_tokens = 0 for a request without input.";
    case errc::unbounded_refused:
      return "the request to " + model + " has no output ceiling, and a budget around it refuses such requests. Set " +
             request.ceiling_name + '.';
    case errc::price_unknown:
      return "no price is known for " + model +
             (request.web_searches > 0 ? " or for the searches that it may run" : "") +
             ", and a budget around the call caps money. " +
             did_you_mean(prices, request.model,
                          "register it with PriceTable::register_model or register_deployment, or set "
                          "BudgetOptions::unpriced to Unpriced::assume(...) or Unpriced::ignore().");
    default:
      return "the worst case of a call to " + model +
             " costs more than $9.2 billion. Check its token counts and its price.";
  }
}

}  // namespace outlay::detail
