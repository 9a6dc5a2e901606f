#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include "gateway/events.hpp"
#include "gateway/head.hpp"
#include "gateway/relay.hpp"
#include "outlay/asio.hpp"
#include "outlay/budget.hpp"
#include "outlay/error.hpp"

namespace outlay::gateway::detail {

namespace asio = boost::asio;

namespace {

bool may_use(const GatewayKey& key, std::string_view model) {
  return key.models.empty() || std::any_of(key.models.begin(), key.models.end(), [&](std::string_view pattern) {
           return pattern.ends_with('*') ? model.starts_with(pattern.substr(0, pattern.size() - 1)) : model == pattern;
         });
}

/// Caps for one request, from its own fields.
std::optional<BudgetOptions> caps_of(const Request& request) {
  // One that is empty, of a variable that is not set, say, is not the wish to have no cap.
  const bool usd = request.fields.count("x-outlay-usd") > 0, tokens = request.fields.count("x-outlay-tokens") > 0;
  if (!usd && !tokens) return std::nullopt;
  BudgetOptions options{.name = "request"};
  if (usd) {
    try {
      options.usd = Usd::parse(request.field("x-outlay-usd"));
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): said below, with the field
    }
    if (!options.usd || *options.usd < Usd())
      throw ConfigError("x-outlay-usd must be an amount of US dollars, as 0.50.");
  }
  if (tokens) {
    const std::string_view text = request.field("x-outlay-tokens");
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    constexpr std::int64_t most = 1'000'000'000'000'000;
    if (error != std::errc() || end != text.data() + text.size() || number < 1 || number > most)
      throw ConfigError("x-outlay-tokens must be a whole number of tokens, 1 or more.");
    options.tokens = number;
  }
  return options;
}

/// RFC 9110, 10.1.4.
bool wants_trailers(const Request& request) {
  std::string_view list = request.field("te");
  while (!list.empty()) {
    std::string_view word = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), word.size() + 1));
    while (word.starts_with(' ') || word.starts_with('\t')) word.remove_prefix(1);
    while (word.ends_with(' ') || word.ends_with('\t')) word.remove_suffix(1);
    if (same_word(word, "trailers")) return !request.http10;
  }
  return false;
}

}  // namespace

asio::awaitable<void> Relay::metered(Api api, std::string model) {
  std::optional<Answer> refused;
  std::optional<GuardedCall> call;
  std::optional<Budget> own;
  bool streamed = false;
  try {
    if (std::optional<BudgetOptions> caps = caps_of(request_)) own.emplace(std::move(*caps));
    const Tags tags = this->tags();
    const Track track(tags);
    const GuardOptions options{
        .model = model, .traceparent = request_.field("traceparent"), .provider = route_.upstream->provider};
    GuardedRequest guarded(api, request_.body, options);
    streamed =
        guarded.streamed() || route_.to.ends_with(":streamGenerateContent") || route_.to.ends_with("/converse-stream");
    const CallRequest wanted = guarded.call_request();
    seen_.model = wanted.model;
    if (key_ && !may_use(*key_, wanted.model)) {
      refused = error_answer(api, 403, "model_not_allowed",
                             "The key \"" + key_->name + "\" is not for the model " + seen_.model + ".");
    } else {
      Call admitted = co_await async_call(wanted, asio::use_awaitable);
      call.emplace(std::move(guarded), std::move(admitted));
    }
  } catch (const BudgetExceeded& error) {
    ++server_.refused;
    refused = refusal(api, error.failure(), settings_->options.refusal_status);
  } catch (const Error& error) {
    ++server_.refused;
    // The library's advice is for a program that has it inside.
    const std::string message =
        error.reason() == errc::price_unknown && !seen_.model.empty()
            ? "no price is known for \"" + seen_.model +
                  "\", and a cap on money holds for the call. Ask for another model, or add it to "
                  "the gateway's price file (prices in its configuration, --prices of outlay run)."
            : std::string(error.what());
    refused = error_answer(api, status_of(error.reason()), to_string(error.reason()), message);
  }
  if (refused) {
    co_await answer(std::move(*refused), "refused");
    co_return;
  }
  ++server_.admitted;
  server_.counters.note(call->call());
  seen_.call_id = call->call().id();
  seen_.model = call->model();
  co_await serve(*call, streamed);
}

asio::awaitable<void> Relay::serve(GuardedCall& call, bool streamed) {
  // Byte for byte but for what a policy has changed.
  const std::string& text = call.body_text();
  const std::string target =
      route_.target(call.api(), call.api().model_in_path() ? std::string_view(call.model()) : std::string_view());
  const GatewayLimits& limits = settings_->options.limits;
  std::unique_ptr<Exchange> exchange;
  Fault fault =
      co_await send(exchange, target, text, streamed ? limits.stream_bytes : limits.reply_bytes, &call.call());
  if (fault) {
    if (!exchange || exchange->sent_bytes() == 0) {
      call.not_sent(fault.what);
      seen_.usd = Usd();
    } else {
      seen_.usd = call.failed(fault.what).usd;
    }
    co_await answer(fault_answer(fault, &call), "failed");
    co_return;
  }
  const int status = exchange->head().status;
  seen_.status = status;
  if (streamed && status >= 200 && status <= 299 && !exchange->head().encoded)
    co_await stream(call, *exchange);
  else
    co_await whole(call, *exchange);
}

std::string Relay::cost_fields(const GuardedCall& call) const {
  std::string fields;
  if (seen_.usd) fields.append("x-outlay-cost: ").append(to_string(*seen_.usd)).append("\r\n");
  if (const std::optional<Amount> left = least_left(call.call()))
    fields.append("x-outlay-remaining: ").append(left_text(*left)).append("\r\n");
  return fields;
}

asio::awaitable<void> Relay::whole(GuardedCall& call, Exchange& exchange) {
  std::string body;
  Fault fault;
  for (;;) {
    std::string_view piece;
    if (!exchange.read_now(piece, fault)) fault = co_await exchange.read_some(piece);
    if (fault || piece.empty()) break;
    body += piece;
  }
  if (fault) {
    seen_.usd = call.failed(fault.what).usd;
    co_await answer(fault_answer(fault, &call), "failed");
    co_return;
  }
  const auto arrived = std::chrono::steady_clock::now();
  const int status = exchange.head().status;
  if (exchange.head().encoded) {
    seen_.usd = call.failed("the reply is compressed, which was not asked for").usd;
  } else {
    const Usd reserved = call.call().reserved().usd;
    // What cannot be read is the client's all the same; the reservation was charged.
    if (const Result<Settled> settled = call.try_reply(status, body))
      seen_.usd = settled->usd;
    else if (settled.error().reason() == errc::bad_reply)
      seen_.usd = reserved;
  }
  done_with(exchange);
  seen_.outcome = "answered";
  const std::string fields = "x-outlay-call: " + std::to_string(seen_.call_id) + "\r\n" + cost_fields(call);
  const std::string head = reply_head(exchange, body.size(), fields);
  co_await client_.write(head, body);
  *added_ += std::chrono::steady_clock::now() - arrived;
}

asio::awaitable<void> Relay::stream(GuardedCall& call, Exchange& exchange) {
  const Counted running(server_.streams);
  seen_.outcome = "streamed";
  Stream metered = call.stream();
  Events events(call.api(), call.request().drop_usage_event());
  const bool trailers = wants_trailers(request_);
  std::string fields = "x-outlay-call: " + std::to_string(seen_.call_id) + "\r\n";
  if (trailers) fields += "Trailer: x-outlay-cost, x-outlay-remaining\r\n";
  const std::string head = reply_head(exchange, std::nullopt, fields);
  co_await client_.write(head);
  std::optional<Failure> failure;
  bool cut = false;
  Fault fault;
  for (;;) {
    std::string_view piece;
    fault = co_await exchange.read_some(piece);
    if (fault || piece.empty()) break;
    events.arrived(piece);
    try {
      metered.feed(piece, events);
    } catch (const BudgetExceeded& error) {
      failure = error.failure();
    } catch (const Error&) {
      // Not a stream of this API: it is passed on, and charged by what was seen.
    }
    cut = metered.cut();
    if (cut) break;
    co_await write_piece(events.ready(metered.open()));
  }
  if (cut) {
    exchange.close();
    ++server_.cut;
    seen_.outcome = failure ? "cut" : "truncated";
    if (const Result<Settled> booked = metered.try_finish()) seen_.usd = booked->usd;
    const std::string_view last = events.ready_before_cut();
    const std::string ending = failure ? events.error_ending(settings_->options.refusal_status,
                                                             to_string(failure->reason()), failure->message())
                                       : events.ending();
    std::string rest(last);
    rest += ending;
    co_await write_piece(rest);
    if (ending.empty()) fault = {errc::stream_broken, false, "cut"};
  } else {
    // Under a Raise budget that this reply has crossed, the next call is refused: this one has been paid.
    if (const Result<Settled> booked = metered.try_finish(events)) seen_.usd = booked->usd;
    if (metered.cut()) {
      ++server_.cut;
      seen_.outcome = "cut";
    }
    if (call.call().open()) seen_.usd = call.failed(fault ? fault.what : "the stream had no content").usd;
    co_await write_piece(events.ready(false));
  }
  if (fault) {
    // The client must see that the stream is not whole.
    if (!cut) seen_.outcome = "failed";
    keep_alive_ = false;
    client_.close();
    co_return;
  }
  const std::string ended = trailers ? cost_fields(call) : std::string();
  co_await write_end(ended);
  if (exchange.open()) done_with(exchange);
}

}  // namespace outlay::gateway::detail
