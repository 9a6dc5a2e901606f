#include "outlay/json/guard.hpp"

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "api.hpp"
#include "apis/table.hpp"
#include "core/pricing/name_rules.hpp"
#include "outlay/error.hpp"
#include "outlay/ledger.hpp"
#include "reply.hpp"
#include "text.hpp"

namespace json = boost::json;

namespace outlay {

struct GuardedRequest::Impl {
  Impl(Api a, const json::object& object, const GuardOptions& options);
  Impl(Api a, std::string_view body, const GuardOptions& options);
  void read(const GuardOptions& options);
  /// What body() writes anew for the call.
  struct Changes {
    bool model = false, ceiling = false, usage = false;
    [[nodiscard]] bool any() const noexcept { return model || ceiling || usage; }
  };
  [[nodiscard]] Changes changes(const Call& call) const;
  [[nodiscard]] std::string text_of(const Call& call, const json::object& body) const;

  Api api;
  json::object parsed;          // from text
  const json::object* request;  // that, or the caller's
  std::string_view text;
  const detail::Format& format;
  detail::RequestFacts facts;
  std::string traceparent;
  Tags tags;
  bool ask_for_usage = false;
  std::string provider;
};

GuardedRequest::Impl::Impl(Api a, const json::object& object, const GuardOptions& options)
    : api(a), request(&object), format(detail::format(a)), traceparent(options.traceparent), tags(options.tags) {
  read(options);
}

GuardedRequest::Impl::Impl(Api a, std::string_view body, const GuardOptions& options)
    : api(a),
      parsed(detail::parse_request(a, body)),
      request(&parsed),
      text(body),
      format(detail::format(a)),
      traceparent(options.traceparent),
      tags(options.tags) {
  read(options);
}

namespace {

// OpenAI's hosts for requests that stay in one place (platform.openai.com/docs, "Data controls").
std::string_view place_at(std::string_view address) noexcept {
  if (const std::size_t scheme = address.find("://"); scheme != address.npos) address.remove_prefix(scheme + 3);
  for (const std::string_view place : {"eu", "us"})
    if (address.starts_with(place) && address.substr(place.size()).starts_with(".api.openai.com")) return place;
  return {};
}

}  // namespace

void GuardedRequest::Impl::read(const GuardOptions& options) {
  facts.input.count_for(options.model);
  format.read_request(*request, facts);
  facts.open_input |= facts.input.open() || detail::refers_elsewhere(*request);
  if (!options.model.empty()) facts.model = options.model;
  if (!options.service_tier.empty()) facts.service_tier = options.service_tier;
  if (facts.model.empty())
    throw Error(errc::invalid_argument, std::string(api.name()) + ": the request does not name a model. " +
                                            (api.model_in_path() ? "The URL names it: pass it as GuardOptions::model."
                                                                 : "Set \"model\" or GuardOptions::model."));
  detail::add_place(place_at(options.provider), facts);
  // An address that is not known, as a proxy's, says nothing: what speaks an API is served as its provider does.
  provider = detail::provider_at(options.provider);
  if (provider.empty()) provider = detail::row_of(api).service.provider;
  ask_for_usage = options.ask_for_usage && facts.stream && !facts.asks_for_usage;
}

GuardedRequest::Impl::Changes GuardedRequest::Impl::changes(const Call& call) const {
  const auto ceiling = call.max_output_tokens();
  return {.model = call.model() != facts.model,
          .ceiling = ceiling && ceiling != facts.ceiling && !facts.fixed_ceiling,
          .usage = ask_for_usage};
}

std::string GuardedRequest::Impl::text_of(const Call& call, const json::object& body) const {
  if (text.empty()) return json::serialize(body);
  return changes(call).any() ? detail::rewrite(text, *request, body) : std::string(text);
}

GuardedRequest::GuardedRequest(Api api, const json::object& request, const GuardOptions& options)
    : impl_(std::make_unique<Impl>(api, request, options)) {}
GuardedRequest::GuardedRequest(Api api, std::string_view body, const GuardOptions& options)
    : impl_(std::make_unique<Impl>(api, body, options)) {}
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
          .provider = impl_->provider,
          .ceiling_name = facts.ceiling_name};
}

json::object GuardedRequest::body(const Call& call) const {
  const Impl::Changes changes = impl_->changes(call);
  json::object body = *impl_->request;
  if (changes.model) impl_->format.write_model(body, call.model());
  if (changes.ceiling) impl_->format.write_ceiling(body, *call.max_output_tokens());
  if (changes.usage) impl_->format.ask_for_usage(body);
  return body;
}

std::string GuardedRequest::body_text(const Call& call) const { return impl_->text_of(call, body(call)); }

Api GuardedRequest::api() const noexcept { return impl_->api; }
bool GuardedRequest::streamed() const noexcept { return impl_->facts.stream; }
bool GuardedRequest::input_bounded() const noexcept { return !impl_->facts.open_input; }
bool GuardedRequest::drop_usage_event() const noexcept { return impl_->ask_for_usage; }

GuardedCall::GuardedCall(Api api, const json::object& request, const GuardOptions& options)
    : request_(api, request, options), call_(request_.call_request()), body_(request_.body(call_)) {}

GuardedCall::GuardedCall(Api api, std::string_view body, const GuardOptions& options)
    : request_(api, body, options),
      call_(request_.call_request()),
      body_(request_.body(call_)),
      text_(request_.impl_->text_of(call_, body_)) {}

GuardedCall::GuardedCall(GuardedRequest request, Call call)
    : request_(std::move(request)), call_(std::move(call)), body_(request_.body(call_)) {
  if (!request_.impl_->text.empty()) text_ = request_.impl_->text_of(call_, body_);
}

const std::string& GuardedCall::body_text() const {
  if (text_.empty())
    throw Error(errc::invalid_argument, std::string(api().name()) +
                                            ": the request was given as a JSON object, and has no text. Serialise "
                                            "body().");
  return text_;
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

void end_thrown(GuardedCall& call, const GuardOptions& options) noexcept {
  try {
    throw;
  } catch (const NotBilled& known) {
    call.call().release(known.status() == 0 ? "the transport sent nothing" : status_text(known.status()));
    return;
  } catch (const std::exception& thrown) {
    try {
      const std::optional<int> status = options.judge != nullptr ? options.judge(thrown) : std::nullopt;
      if (status == 0) return call.not_sent("the transport sent nothing");
      if (status && judge_reply(call.api(), *status, {}) != ReplyVerdict::paid) {
        call.reply(*status, json::value());
        return;
      }
    } catch (...) {  // NOLINT(bugprone-empty-catch): not known, as without a judge
    }
  } catch (...) {  // NOLINT(bugprone-empty-catch): not an exception that a judge can see
  }
  call.failed("the transport threw");
}

}  // namespace detail

namespace {

std::string not_billed(int status) {
  return status == 0 ? "the request was not sent, and nothing is billed"
                     : "the request was refused with " + detail::status_text(status) + ", and nothing is billed";
}

}  // namespace

NotBilled::NotBilled(int status)
    : Error(status == 0 ? errc::network : errc::provider_error, not_billed(status)), status_(status) {}

Estimate estimate(Api api, std::string_view body, const GuardOptions& options) {
  return estimate(api, detail::parse_request(api, body), options);
}

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
