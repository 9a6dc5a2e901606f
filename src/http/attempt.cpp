#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <boost/system/system_error.hpp>
#include <ctime>
#include <exception>
#include <optional>

#include "core/call/call_events.hpp"
#include "outlay/context.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/http/error.hpp"
#include "outlay/log.hpp"
#include "outlay/record.hpp"
#include "prepare.hpp"
#include "refusal.hpp"
#include "state.hpp"

namespace outlay::http::detail {

namespace asio = boost::asio;

namespace {

constexpr std::size_t most_error_bytes = std::size_t{64} << 10;

/// `openai_chat at api.openai.com`: what a message is about. The path may hold a secret and stays out.
std::string about(const ClientState& state) {
  return "http client: " + std::string(state.endpoint.api.name()) + " at " + state.endpoint.url.authority();
}

/// How an attempt failed.
struct Failed {
  std::exception_ptr error{};
  bool again = false;  ///< Another attempt may fare better.
  std::optional<std::chrono::milliseconds> retry_after{};
};

std::string in_words(const Settled& settled) {
  return settled.usd == Usd{} ? "nothing was charged"
                              : to_string(settled.usd) + " was charged, since it may have been billed";
}

const char* next_step(int status) {
  switch (status) {
    case 401:
    case 403:
      return "check the key";
    case 402:
      return "check the account";
    case 404:
      return "check base_url and the model's name";
    case 413:
      return "send a smaller request";
    case 408:
    case 429:
    case 502:
    case 503:
    case 504:
    case 529:
      return "try again later";
    default:
      if (status >= 300 && status <= 399)
        return "redirects are not followed, the key would go along: set base_url to the final address";
      return status >= 500 ? "the provider is at fault"
                           : "check the request; ClientOptions::on_refusal_body sees what the provider says";
  }
}

/// Reads what the provider says in its refusal, as far as it comes, and books what it means.
asio::awaitable<Failed> refused(ClientState& state, GuardedCall& call, Exchange& exchange) {
  const int status = exchange.head().status;
  std::string body;
  if (!exchange.head().encoded) {
    exchange.hurry(std::chrono::seconds(5));
    Fault fault;
    std::string_view piece;
    do {
      fault = co_await exchange.read_some(piece);
      body += piece.substr(0, most_error_bytes - std::min(body.size(), most_error_bytes));
    } while (!fault && !piece.empty() && body.size() < most_error_bytes);
    if (std::unique_ptr<Connection> connection = exchange.finish()) state.pool.put(std::move(connection));
  }
  const boost::json::value json = parse_error_body(body);
  ErrorFacts facts = read_error(json);
  if (facts.request_id.empty()) facts.request_id = plain_word(exchange.head().request_id);

  const std::string reason = "HTTP " + std::to_string(status) + (facts.code.empty() ? "" : " " + facts.code);
  std::string booked;
  switch (judge_reply(state.endpoint.api, status, json, call.request().call_request().provider)) {
    case ReplyVerdict::released:
      call.call().release(reason);
      booked = "nothing was charged";
      break;
    case ReplyVerdict::indeterminate:
      booked = in_words(call.failed(reason));
      break;
    case ReplyVerdict::input_charged:
    case ReplyVerdict::paid:
      booked = in_words(call.reply(status, json));
      break;
  }
  if (state.options.on_refusal_body) state.options.on_refusal_body(status, body);

  Failed failed;
  failed.retry_after =
      read_retry_after(exchange.head().retry_after, exchange.head().retry_after_ms, std::time(nullptr));
  failed.again = worth_retrying(status, facts.code, state.options.retries.may_bill_twice);
  std::string message = about(state) + ": " + call.model() + " was answered " + reason;
  if (!facts.parameter.empty()) message += " (" + facts.parameter + ")";
  message += "; " + booked + "; " + next_step(status);
  if (failed.retry_after)
    message += ", not before " + std::to_string((failed.retry_after->count() + 999) / 1000) + " s have passed";
  if (!facts.request_id.empty()) message += "; request " + facts.request_id;
  failed.error = std::make_exception_ptr(
      ProviderError(message, status, facts.code, facts.parameter, facts.request_id, failed.retry_after));
  co_return failed;
}

std::exception_ptr error_of(const ClientState& state, const std::string& model, const Fault& fault,
                            std::string_view booked) {
  try {
    throw_fault(state, model, fault, booked);
  } catch (...) {
    return std::current_exception();
  }
}

/// One attempt: an exchange whose reply has begun with 2xx, or null and `failed`.
asio::awaitable<std::unique_ptr<Exchange>> attempt(ClientState& state, GuardedCall& call, const std::string& message,
                                                   Failed& failed) {
  const ClientOptions& options = state.options;
  const Deadline last = within(options.timeouts.total, "in all");
  std::unique_ptr<Connection> connection = state.pool.take();
  if (!connection) {
    connection = std::make_unique<Connection>(state.executor);
    const Deadline deadline = earlier(last, within(options.timeouts.connect));
    const Fault fault = co_await connection->connect(state.endpoint.url, state.tls.get(), deadline);
    if (fault) {
      call.not_sent(fault.what);
      co_await throw_if_cancelled();
      failed.again = fault.refused;
      failed.error = error_of(state, call.model(), fault, "nothing was sent");
      co_return nullptr;
    }
  }
  auto exchange = std::make_unique<Exchange>(std::move(connection), options.timeouts, options.limits, last);
  call.sent();
  Fault fault = co_await exchange->send(message);
  if (!fault) {
    fault = co_await exchange->read_head();
  } else if (exchange->sent_bytes() > 0 && exchange->open()) {
    // A provider that refuses a request unread (too large, no key) answers and closes while it is being sent: the answer says more.
    exchange->hurry(std::chrono::seconds(1));
    const Fault unread = co_await exchange->read_head();
    if (!unread && exchange->head().status >= 400) fault = {};
  }
  if (!fault && exchange->head().status >= 200 && exchange->head().status <= 299) {
    if (!exchange->head().encoded) co_return exchange;
    fault = {errc::bad_reply, false, "the reply is compressed, which was not asked for"};
  }
  if (fault) {
    if (exchange->sent_bytes() == 0) {
      call.not_sent(fault.what);  // the connection was gone before the first byte
      failed.error = error_of(state, call.model(), fault, "nothing was sent");
      failed.again = true;
    } else {
      const std::string booked = in_words(call.failed(fault.what));
      failed.error = error_of(state, call.model(), fault, booked);
      // The provider may have served the request; with leave it is sent again, unless a reply had begun.
      failed.again = fault.code == errc::network && !exchange->replied() && options.retries.may_bill_twice;
    }
    co_await throw_if_cancelled();
    co_return nullptr;
  }
  failed = co_await refused(state, call, *exchange);
  co_await throw_if_cancelled();
  co_return nullptr;
}

}  // namespace

void throw_fault(const ClientState& state, const std::string& model, const Fault& fault, std::string_view booked) {
  std::string message = about(state) + ": " + model + ": " + fault.what;
  if (!booked.empty()) message.append("; ").append(booked);
  if (fault.code == errc::timed_out) message += "; raise ClientOptions::timeouts to wait longer";
  throw Error(fault.code, message);
}

asio::awaitable<void> throw_if_cancelled() {
  const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none)
    throw boost::system::system_error(asio::error::operation_aborted);
}

asio::awaitable<Reply> begin(std::shared_ptr<ClientState> state, std::shared_ptr<const OwnedRequest> request) {
  const Retries& retries = state->options.retries;
  const std::string feature = Context::current().tag("feature").value_or("");
  for (int number = 1;; ++number) {
    Admitted admitted = co_await admit(*state, *request);
    if (const std::size_t size = admitted.message.size(); size > state->options.limits.request_bytes) {
      admitted.call.not_sent("over the request limit");
      throw Error(errc::invalid_argument, about(*state) + ": the request has " + std::to_string(size) +
                                              " bytes, and the limit is " +
                                              std::to_string(state->options.limits.request_bytes) +
                                              ". Nothing was sent. Shorten it, or raise SizeLimits::request_bytes.");
    }
    Failed failed;
    std::unique_ptr<Exchange> exchange = co_await attempt(*state, admitted.call, admitted.message, failed);
    if (exchange) {
      state->storms.succeeded(feature, admitted.call.model());
      co_return Reply{std::move(admitted.call), std::move(exchange)};
    }
    const int in_a_row = state->storms.failed(feature, admitted.call.model());
    if (retries.storm_after > 0 && in_a_row == retries.storm_after) {
      const std::string what = std::to_string(in_a_row) + " attempts in a row have failed";
      book_event(*outlay::detail::Access::reservation(admitted.call.call()), Action::retry_storm, in_a_row, what);
      outlay::detail::log(LogLevel::warning, about(*state) + ": retry storm: " + what + ", of " +
                                                 admitted.call.model() +
                                                 (feature.empty() ? "" : " for feature " + feature) +
                                                 ". Each is admitted and booked by itself.");
    }
    const bool too_late = failed.retry_after && *failed.retry_after > retries.max_retry_after;
    if (!failed.again || number >= retries.max_attempts || too_late) std::rethrow_exception(failed.error);

    std::chrono::milliseconds delay = state->jitter(number);
    if (failed.retry_after) delay += *failed.retry_after;  // never all at once when the time is up
    if (delay.count() > 0) {
      asio::steady_timer timer(state->executor, delay);
      boost::system::error_code error;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
      co_await throw_if_cancelled();
    }
  }
}

}  // namespace outlay::http::detail
