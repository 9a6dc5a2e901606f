#include "outlay/json/guard.hpp"

#include <algorithm>

#include "api.hpp"
#include "apis/table.hpp"
#include "core/call/billing.hpp"
#include "core/pricing/name_rules.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/error.hpp"
#include "outlay/ledger.hpp"
#include "outlay/tokens.hpp"
#include "reader.hpp"

namespace json = boost::json;

namespace outlay {

struct GuardedRequest::Impl {
  Api api;
  const json::object* request;
  const detail::Format& format;
  detail::RequestFacts facts;
  std::string traceparent;
  Tags tags;
  bool ask_for_usage;
  std::string provider;
};

GuardedRequest::GuardedRequest(Api api, const json::object& request, const GuardOptions& options)
    : impl_(std::make_unique<Impl>(Impl{
          api, &request, detail::format(api), {}, std::string(options.traceparent), Tags(options.tags), false, {}})) {
  detail::RequestFacts& facts = impl_->facts;
  facts.input.count_for(options.model);
  impl_->format.read_request(request, facts);
  if (!options.model.empty()) facts.model = options.model;
  if (!options.service_tier.empty()) facts.service_tier = options.service_tier;
  if (facts.model.empty())
    throw Error(errc::invalid_argument, std::string(api.name()) + ": the request does not name a model. " +
                                            (api.model_in_path() ? "The URL names it: pass it as GuardOptions::model."
                                                                 : "Set \"model\" or GuardOptions::model."));
  // An address that is not known, as a proxy's, says nothing: what speaks an API is served as its provider does.
  impl_->provider = detail::provider_at(options.provider);
  if (impl_->provider.empty()) impl_->provider = detail::row_of(api).service.provider;
  impl_->ask_for_usage = options.ask_for_usage && facts.stream && !facts.asks_for_usage;
}
GuardedRequest::GuardedRequest(GuardedRequest&&) noexcept = default;
GuardedRequest& GuardedRequest::operator=(GuardedRequest&&) noexcept = default;
GuardedRequest::~GuardedRequest() = default;

CallRequest GuardedRequest::call_request() const noexcept {
  const detail::RequestFacts& facts = impl_->facts;
  return {.model = facts.model,
          .input_tokens = facts.input.upper(),
          .max_output_tokens = facts.ceiling,
          .choices = facts.choices,
          .service_tier = facts.service_tier,
          .tags = impl_->tags,
          .traceparent = impl_->traceparent,
          .min_output_tokens = facts.min_output,
          .fixed_ceiling = facts.fixed_ceiling,
          .long_cache = facts.long_cache,
          .web_searches = facts.web_searches,
          .provider = impl_->provider};
}

json::object GuardedRequest::body(const Call& call) const {
  const detail::RequestFacts& facts = impl_->facts;
  json::object body = *impl_->request;
  if (call.model() != facts.model) impl_->format.write_model(body, call.model());
  const auto ceiling = call.max_output_tokens();
  if (ceiling && ceiling != facts.ceiling && !facts.fixed_ceiling) impl_->format.write_ceiling(body, *ceiling);
  if (impl_->ask_for_usage) impl_->format.ask_for_usage(body);
  return body;
}

Api GuardedRequest::api() const noexcept { return impl_->api; }
bool GuardedRequest::streamed() const noexcept { return impl_->facts.stream; }
bool GuardedRequest::input_bounded() const noexcept { return !impl_->facts.open_input; }
bool GuardedRequest::drop_usage_event() const noexcept { return impl_->ask_for_usage; }

GuardedCall::GuardedCall(Api api, const json::object& request, const GuardOptions& options)
    : request_(api, request, options), call_(request_.call_request()), body_(request_.body(call_)) {}

GuardedCall::GuardedCall(GuardedRequest request, Call call)
    : request_(std::move(request)), call_(std::move(call)), body_(request_.body(call_)) {}

namespace {

// The request's ceiling over all its choices; empty without one.
std::optional<std::int64_t> most_output(const CallRequest& request) noexcept {
  if (!request.max_output_tokens) return std::nullopt;
  const std::int64_t each = std::clamp<std::int64_t>(*request.max_output_tokens, 0, Usage::max_count);
  return each * std::clamp<std::int64_t>(request.choices, 1, 1'024);
}

// The tokens of what a reply shows, for replies that report no usage: at most what the request allows.
Usage count_visible(const detail::Reader& reader, const CallRequest& request) {
  std::int64_t output = 0, reasoning = 0;
  for (const detail::Piece& piece : reader.pieces) {
    std::int64_t tokens = 0;
    for (const detail::Piece::Range range : {piece.text, piece.tool_name})
      if (range.size != 0) tokens += std::max<std::int64_t>(1, built_in_tokenizer().upper(reader.text(range)));
    output += tokens;
    if (piece.kind == StreamDelta::Kind::reasoning) reasoning += tokens;
  }
  if (const auto most = most_output(request)) output = std::min(output, *most);
  return {.output = output, .reasoning = std::min(reasoning, output)};
}

bool recognised(const detail::Reader& reader) noexcept {
  const detail::Facts& facts = reader.facts;
  return facts.reported() || facts.choices_now != 0 || facts.empty_choices || !reader.pieces.empty() ||
         facts.finished != 0 || facts.done;
}

std::string status_text(int status) { return "HTTP " + std::to_string(status); }

}  // namespace

Settled GuardedCall::reply(const json::value& reply) {
  const detail::Format& format = detail::format(api());
  const std::string name(api().name());
  detail::Reader reader(format);
  try {
    reader.walk(reply);
  } catch (...) {
    call_.indeterminate("the reply cannot be read");
    throw;
  }
  const detail::Facts& facts = reader.facts;
  if (facts.error) {
    // A body may be an error although its transport gave no status. Some carry the status inside.
    if (facts.error_status >= 300) return this->reply(facts.error_status, reply);
    return call_.indeterminate("the provider reported an error");
  }
  if (facts.pending) return call_.indeterminate("the answer is still being made: its usage is not known");
  if (facts.invalid() != detail::Field::none)
    return call_.indeterminate("the reported " + std::string(detail::to_string(facts.invalid())) +
                               " are not a valid count");
  if (!recognised(reader)) {
    call_.indeterminate("the reply is not in the " + name + " format");
    throw Error(errc::bad_reply, name +
                                     ": the reply is not in this format: it has neither a usage nor an answer. The "
                                     "reservation was charged. Check that the request went to this API.");
  }

  Settlement settlement;
  const CallRequest asked = request_.call_request();
  const std::int64_t estimate = asked.input_tokens.value_or(0);
  detail::Report report;
  if (facts.reported()) report = format.report(facts);
  if (const char* const member = report.usage.first_invalid())
    return call_.indeterminate("the reported counts add up to too large a number of " + std::string(member));
  settlement.usage = report.usage;
  settlement.parts = report.parts;
  bool doubt = report.doubt || !facts.reported();
  if (settlement.usage.output == 0 && !reader.pieces.empty()) {
    const Usage counted = count_visible(reader, asked);
    settlement.usage.output = counted.output;
    settlement.usage.reasoning = counted.reasoning;
    doubt = true;
  }
  if (settlement.usage.input_total() == 0) {
    settlement.usage.input = estimate;
    doubt = true;
  }
  settlement.served_model = facts.model;
  settlement.service_tier = facts.service_tier;
  settlement.provider_cost = facts.provider_cost();
  settlement.estimated = doubt;
  if (!facts.unread.empty()) detail::note_unread_usage(*detail::Access::reservation(call_), api().name(), facts.unread);
  Result<Settled> settled = call_.try_settle(settlement);
  return settled ? *settled : Settled{};
}

Settled GuardedCall::reply(int status, const json::value& body) {
  switch (judge_reply(api(), status, body)) {
    case ReplyVerdict::paid:
      if (!body.is_object() && !body.is_array()) {
        call_.indeterminate(status_text(status) + " without a JSON reply");
        throw Error(errc::bad_reply, std::string(api().name()) + ": " + status_text(status) +
                                         " came without a JSON reply. The reservation was charged.");
      }
      return reply(body);
    case ReplyVerdict::released:
      call_.release(status_text(status));
      return {};
    case ReplyVerdict::input_charged: {
      Settlement settlement;
      settlement.usage.input = request_.call_request().input_tokens.value_or(0);
      settlement.estimated = true;
      Result<Settled> settled = call_.try_settle(settlement);
      return settled ? *settled : Settled{};
    }
    case ReplyVerdict::indeterminate:
      break;
  }
  return call_.indeterminate(status_text(status));
}

ReplyVerdict judge_reply(Api api, int status, const json::value& body) {
  if (status >= 200 && status < 300) return ReplyVerdict::paid;
  const detail::ApiRow& row = detail::row_of(api);
  if (const auto verdict = row.format().judge(status, body)) return *verdict;
  for (const detail::StatusVerdict& one : row.statuses)
    if (one.status == status) return one.verdict;
  return ReplyVerdict::indeterminate;
}

namespace detail {

void refuse_stream(const GuardedRequest& request, const json::object& body) {
  // Ollama streams unless it is told not to; a transport may join its lines into one reply.
  if (!request.streamed() || !body.contains("stream")) return;
  throw Error(errc::invalid_argument,
              std::string(request.api().name()) +
                  ": the request asks for a stream, which guard() cannot settle. Set \"stream\" to false, or feed "
                  "GuardedCall::stream().");
}

}  // namespace detail

Estimate estimate(Api api, const json::object& request, const GuardOptions& options) {
  constexpr std::int64_t reserve = 256;  // as a budget's output_reserve without a value
  const GuardedRequest guarded(api, request, options);
  const CallRequest call = guarded.call_request();
  detail::RequestFacts facts;
  facts.input.count_for(options.model);
  detail::format(api).read_request(request, facts);
  Estimate estimate;
  estimate.model = call.model;
  estimate.bounded = call.max_output_tokens.has_value();
  estimate.input_bounded = guarded.input_bounded();
  estimate.input_upper = facts.input.upper();
  const std::int64_t ceiling = std::min(call.max_output_tokens.value_or(reserve), Usage::max_count);
  const std::int64_t output =
      std::min(Usage::max_count / std::max<std::int64_t>(1, call.choices), ceiling) * call.choices;
  estimate.usage = {.input = facts.input.typical(), .output = output};
  const PriceTable prices = Ledger::current().prices();
  const CostOptions tier{.service_tier = call.service_tier, .provider = call.provider};
  const std::int64_t searches = call.web_searches;
  const Cost plain =
      prices.cost(call.model, {.input = estimate.input_upper, .output = output, .web_searches = searches}, tier);
  estimate.usd = plain.usd;
  if (facts.cache_write)
    estimate.usd = std::max(
        estimate.usd,
        prices.cost(call.model, {.cache_write = estimate.input_upper, .output = output, .web_searches = searches}, tier)
            .usd);
  if (facts.long_cache)
    estimate.usd =
        std::max(estimate.usd,
                 prices
                     .cost(call.model,
                           {.cache_write_1h = estimate.input_upper, .output = output, .web_searches = searches}, tier)
                     .usd);
  estimate.priced_as = plain.model;
  estimate.rule = plain.rule;
  return estimate;
}

}  // namespace outlay
