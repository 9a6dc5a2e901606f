#include "prepare.hpp"

#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include "json/surrogates.hpp"
#include "outlay/asio/async_call.hpp"
#include "outlay/error.hpp"

namespace outlay::http::detail {

namespace asio = boost::asio;
namespace json = boost::json;

asio::awaitable<Admitted> admit(const ClientState& state, const OwnedRequest& request) {
  const Api api = state.endpoint.api;
  const std::string address = "https://" + state.endpoint.url.authority();
  const GuardOptions options{
      .model = request.model, .tags = request.tags, .traceparent = request.traceparent, .provider = address};
  GuardedRequest guarded(api, request.body, options);
  const CallRequest call_request = guarded.call_request();
  Call admitted = co_await async_call(call_request, asio::use_awaitable);
  GuardedCall call(std::move(guarded), std::move(admitted));
  const std::string target = request_target(state.endpoint, call.model(), request.body, request.stream);
  std::string message =
      make_message(state.endpoint, target, json::serialize(call.body()), request.stream, request.traceparent);
  co_return Admitted{std::move(call), std::move(message)};
}

json::value settle_reply(const ClientState& state, GuardedCall& call, std::string_view body) {
  json::parse_options options;
  options.max_depth = 64;
  // As GuardedCall::reply of a text: a broken character must not cost a reply that is paid for.
  options.allow_invalid_utf8 = true;
  if (body.starts_with("\xEF\xBB\xBF")) body.remove_prefix(3);
  boost::system::error_code failed;
  json::value reply = json::parse(body, failed, {}, options);
  if (failed)
    if (const auto mended = outlay::detail::without_lone_surrogates(body))
      reply = json::parse(*mended, failed, {}, options);
  if (failed) {
    const Settled settled = call.failed("the reply is not JSON");
    throw Error(errc::bad_reply, "http client: " + std::string(state.endpoint.api.name()) + " at " +
                                     state.endpoint.url.authority() + ": the reply is not JSON (" + failed.message() +
                                     "); " + to_string(settled.usd) + " was charged, since it may have been billed");
  }
  call.reply(reply);
  return reply;
}

}  // namespace outlay::http::detail
