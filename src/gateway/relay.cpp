#include "gateway/relay.hpp"

#include <algorithm>
#include <array>
#include <boost/beast/http/message.hpp>
#include <boost/json.hpp>
#include <charconv>

#include "gateway/head.hpp"
#include "outlay/error.hpp"

namespace outlay::gateway::detail {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;
namespace json = boost::json;

namespace {

/// Fields that concern one connection alone (RFC 9110, 7.6.1), and those that each side of the gateway writes for itself.
bool hop_by_hop(std::string_view name) {
  constexpr std::array<std::string_view, 10> names{
      "connection", "keep-alive", "proxy-authenticate", "proxy-connection", "proxy-authorization",
      "te",         "trailer",    "transfer-encoding",  "upgrade",          "content-length"};
  for (const std::string_view one : names)
    if (same_word(name, one)) return true;
  return false;
}

/// The message's own Connection field names fields: these two, the usual ones, are none.
bool names_fields(const beast_http::fields& head) {
  const auto range = head.equal_range(beast_http::field::connection);
  return std::any_of(range.first, range.second, [](const auto& field) {
    return !same_word(view(field.value()), "keep-alive") && !same_word(view(field.value()), "close");
  });
}

/// The field is named by the message's own Connection field.
bool named_by_connection(const beast_http::fields& head, std::string_view name) {
  const auto range = head.equal_range(beast_http::field::connection);
  for (auto field = range.first; field != range.second; ++field) {
    std::string_view list = view(field->value());
    while (!list.empty()) {
      std::string_view word = list.substr(0, list.find(','));
      list.remove_prefix(std::min(list.size(), word.size() + 1));
      while (!word.empty() && (word.front() == ' ' || word.front() == '\t')) word.remove_prefix(1);
      while (!word.empty() && (word.back() == ' ' || word.back() == '\t')) word.remove_suffix(1);
      if (same_word(word, name)) return true;
    }
  }
  return false;
}

/// Ours alone: read here, and of no use to a provider.
bool for_the_gateway(std::string_view name) { return name.size() > 9 && same_word(name.substr(0, 9), "x-outlay-"); }

}  // namespace

json::value parse_body(std::string_view body) noexcept {
  try {
    json::parse_options options;
    options.max_depth = 128;
    boost::system::error_code failed;
    json::value value = json::parse({body.data(), body.size()}, failed, {}, options);
    return failed ? json::value() : value;
  } catch (...) {
    return {};
  }
}

Relay::Relay(Server& server, Client& client, const Request& request, bool admin)
    : server_(server),
      settings_(server.settings()),
      client_(client),
      request_(request),
      admin_(admin),
      keep_alive_(request.keep_alive) {
  seen_.method = request.method;
}

// Not a coroutine: it chooses the one that answers.
asio::awaitable<void> Relay::run() {
  const std::string& secret = settings_->options.secret;
  std::string_view target = request_.target;
  if (!secret.empty()) {
    const bool known = target.size() > secret.size() + 1 && target.substr(1, secret.size()) == secret &&
                       target[secret.size() + 1] == '/';
    if (!known) {
      // Not even the path: it may hold a secret that was mistyped.
      return answer(error_answer(std::nullopt, 404, "not_found",
                                 "Nothing is here. Use the base URL that the gateway was started with."),
                    "failed");
    }
    target.remove_prefix(secret.size() + 1);
  }
  if (target.starts_with("/outlay/")) {
    const std::size_t question = std::min(target.find('?'), target.size());
    seen_.path = target.substr(0, question);
    return status(seen_.path, target.substr(question));
  }
  if (admin_) {
    return answer(error_answer(std::nullopt, 404, "not_found",
                               "This port is for /outlay/ alone. Send requests to the other one."),
                  "failed");
  }
  std::string why;
  std::optional<Route> route = find_route(settings_->upstreams, request_.method, target, why);
  if (!route) {
    return answer(error_answer(std::nullopt, 404, "not_found", why), "failed");
  }
  route_ = std::move(*route);
  seen_.path = route_.path;
  seen_.upstream = route_.upstream->options.name;
  if (!settings_->keys.empty()) {
    key_ = settings_->keys.find(presented_key(request_, route_.query));
    if (!key_) {
      return answer(error_answer(api_of(route_, request_.method, {}), 401, "invalid_api_key",
                                 "The key is not one of this gateway's. Ask its operator for one."),
                    "refused");
    }
    seen_.key = key_->name;
    route_.query = without_key(route_.query);
  }
  // Others may be ignored (RFC 9110, 7.8): some clients offer HTTP/2 that way.
  if (same_word(request_.field("upgrade"), "websocket")) {
    return answer(error_answer(std::nullopt, 400, "not_supported",
                               "Upgraded connections (WebSocket) are not supported: no cap could hold for them."),
                  "failed");
  }
  if (route_.free || listed(settings_->options.pass, request_.method, route_.path)) {
    return pass();
  }
  // Few paths leave it to the body; what is metered is read once, by the guard.
  json::value body;
  std::optional<Api> api = api_of(route_, request_.method, body);
  if (!api || *api == Api::azure_chat) body = parse_body(request_.body);
  if (!api) api = api_of(route_, request_.method, body);
  if (!api) {
    return answer(error_answer(std::nullopt, 403, "not_metered",
                               request_.method + " " + route_.path +
                                   " is not metered, so no cap can hold for it. To let it pass uncounted, add \"" +
                                   request_.method + " " + route_.path + "\" to \"pass\" in the configuration."),
                  "refused");
  }
  seen_.api = api;
  if (!request_.field("content-encoding").empty()) {
    return answer(error_answer(api, 415, "invalid_request",
                               "A compressed request cannot be metered. Send it without Content-Encoding."),
                  "failed");
  }
  // Azure's deployments may be named after nothing: where the body names a model, that one is priced.
  const json::object* object = body.if_object();
  const bool named = !api->model_in_path() && object && object->contains("model");
  return metered(*api, named ? std::string() : model_in_path(*api, route_.to));
}

asio::awaitable<void> Relay::answer(Answer what, const char* outcome) {
  seen_.status = what.status;
  seen_.outcome = outcome;
  std::string text = wire_text(what, keep_alive_);
  if (request_.method == "HEAD") text.resize(text.size() - what.body.size());
  co_await client_.write(text);
}

std::string Relay::request_text(std::string_view target, std::string_view body) const {
  std::string text;
  text.reserve(512 + body.size());
  const auto add = [&text](std::string_view name, std::string_view value) {
    text.append(name).append(": ").append(value).append("\r\n");
  };
  text.append(request_.method).append(" ").append(target).append(" HTTP/1.1\r\n");
  add("Host", route_.upstream->url.authority());
  const bool connection_names = names_fields(request_.fields);
  for (const auto& field : request_.fields) {
    const std::string_view name = view(field.name_string());
    if (hop_by_hop(name) || for_the_gateway(name) || (key_ && carries_key(name)) || same_word(name, "host") ||
        same_word(name, "expect") || same_word(name, "accept-encoding") ||
        (connection_names && named_by_connection(request_.fields, name)))
      continue;
    add(name, view(field.value()));
  }
  if (key_ && !route_.upstream->options.api_key.empty()) {
    const KeyHeader own = key_header(*route_.upstream);
    add(own.name, own.value);
  }
  // What is compressed could not be metered as it arrives.
  add("Accept-Encoding", "identity");
  if (!body.empty() || request_.method == "POST" || request_.method == "PUT" || request_.method == "PATCH")
    add("Content-Length", std::to_string(body.size()));
  return text.append("\r\n").append(body);
}

asio::awaitable<http::detail::Fault> Relay::send(std::unique_ptr<Exchange>& exchange, std::string_view target,
                                                 std::string_view body, std::size_t most_bytes, Call* call) {
  const GatewayLimits& limits = settings_->options.limits;
  const http::Timeouts timeouts{
      .connect = limits.connect, .first_byte = limits.first_byte, .idle = limits.upstream_idle, .total = limits.total};
  const http::SizeLimits sizes{
      .request_bytes = limits.body_bytes, .reply_bytes = most_bytes, .header_bytes = std::size_t{64} << 10};
  const http::detail::Deadline last = http::detail::within(limits.total, "in all");
  const std::string text = request_text(target, body);
  UpstreamState& upstream = *route_.upstream;
  added_ = std::chrono::steady_clock::now() - began_;
  for (bool kept = true; kept;) {
    std::unique_ptr<Connection> connection = upstream.pools[client_.strand()].take();
    kept = connection != nullptr;
    if (!connection) {
      connection = std::make_unique<Connection>(server_.strands[client_.strand()], Connection::Callers::on_strand);
      const http::detail::Deadline deadline = http::detail::earlier(last, http::detail::within(limits.connect));
      Fault fault = co_await connection->connect(upstream.url, upstream.tls.get(), deadline);
      if (fault) co_return fault;
    }
    exchange = std::make_unique<Exchange>(std::move(connection), timeouts, sizes, last);
    if (request_.method == "HEAD") exchange->expect_no_body();
    if (call) call->sent();
    Fault fault;
    if (!exchange->send_now(text, fault)) fault = co_await exchange->send(text);
    // A kept connection that was closed meanwhile has taken nothing of the request.
    if (fault && kept && exchange->sent_bytes() == 0) continue;
    if (fault && !(exchange->sent_bytes() > 0 && exchange->open())) co_return fault;
    if (fault) {
      // One that refuses a request unread answers and closes while it is being sent: the answer says more.
      exchange->hurry(std::chrono::seconds(1));
      const Fault unread = co_await exchange->read_head();
      if (unread || exchange->head().status < 400) co_return fault;
      co_return Fault{};
    }
    co_return co_await exchange->read_head();
  }
  co_return Fault{errc::network, false, "no connection"};
}

std::string Relay::reply_head(const Exchange& exchange, std::optional<std::size_t> length,
                              std::string_view more_fields) {
  const beast_http::response_header<>& head = exchange.whole_head();
  std::string text = status_line(static_cast<int>(head.result_int()), view(head.reason()));
  text.reserve(512);
  const bool connection_names = names_fields(head);
  for (const auto& field : head) {
    const std::string_view name = view(field.name_string());
    if (hop_by_hop(name) || (connection_names && named_by_connection(head, name))) continue;
    // Of another gateway behind this one: a reply says each once.
    if (!more_fields.empty() &&
        (same_word(name, "x-outlay-call") || same_word(name, "x-outlay-cost") || same_word(name, "x-outlay-remaining")))
      continue;
    text.append(name).append(": ").append(view(field.value())).append("\r\n");
  }
  text += more_fields;
  const unsigned status = head.result_int();
  const bool no_body = status == 204 || status == 304;
  const bool head_only = no_body || request_.method == "HEAD";
  chunked_ = !length && !request_.http10 && !head_only;
  if (length && !no_body) text.append("Content-Length: ").append(std::to_string(*length)).append("\r\n");
  if (chunked_) text += "Transfer-Encoding: chunked\r\n";
  // Without chunks the end of the connection is the end of the body.
  if (!length && request_.http10 && !head_only) keep_alive_ = false;
  if (!keep_alive_) text += "Connection: close\r\n";
  return text += "\r\n";
}

asio::awaitable<void> Relay::write_piece(std::string_view piece) {
  if (piece.empty()) co_return;
  if (!chunked_) {
    co_await client_.write(piece);
    co_return;
  }
  std::array<char, 20> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), piece.size(), 16);
  std::string chunk;
  chunk.reserve(piece.size() + 24);
  chunk.append(digits.data(), end).append("\r\n").append(piece).append("\r\n");
  co_await client_.write(chunk);
}

asio::awaitable<void> Relay::write_end(std::string_view trailers) {
  if (!chunked_) co_return;
  std::string end = "0\r\n";
  end.append(trailers).append("\r\n");
  co_await client_.write(end);
}

void Relay::done_with(Exchange& exchange) {
  if (std::unique_ptr<Connection> connection = exchange.finish())
    route_.upstream->pools[client_.strand()].put(std::move(connection));
}

Answer Relay::fault_answer(const Fault& fault, const GuardedCall* call) const {
  const bool late = fault.code == errc::timed_out;
  Answer answer = error_answer(seen_.api, late ? 504 : 502, to_string(fault.code),
                               "Upstream \"" + route_.upstream->options.name + "\" (" +
                                   route_.upstream->url.authority() + ") failed: " + fault.what + ".");
  if (call) {
    answer.fields.emplace_back("x-outlay-call", std::to_string(seen_.call_id));
    if (seen_.usd) answer.fields.emplace_back("x-outlay-cost", to_string(*seen_.usd));
    if (const std::optional<Amount> left = least_left(call->call()))
      answer.fields.emplace_back("x-outlay-remaining", left_text(*left));
  }
  return answer;
}

asio::awaitable<void> Relay::pass() {
  std::unique_ptr<Exchange> exchange;
  Fault fault = co_await send(exchange, route_.target(std::nullopt, {}), request_.body,
                              settings_->options.limits.stream_bytes, nullptr);
  if (fault) {
    co_await answer(fault_answer(fault), "failed");
    co_return;
  }
  seen_.status = exchange->head().status;
  seen_.outcome = "passed";
  const std::string_view stated = view(exchange->whole_head()[beast_http::field::content_length]);
  std::optional<std::size_t> length;
  if (std::size_t number = 0;
      !stated.empty() && std::from_chars(stated.data(), stated.data() + stated.size(), number).ec == std::errc())
    length = number;
  co_await client_.write(reply_head(*exchange, length, {}));
  for (;;) {
    std::string_view piece;
    fault = co_await exchange->read_some(piece);
    if (fault || piece.empty()) break;
    co_await write_piece(piece);
  }
  if (fault) {
    // The client must see that the reply is not whole.
    seen_.outcome = "failed";
    keep_alive_ = false;
    client_.close();
    co_return;
  }
  co_await write_end();
  done_with(*exchange);
}

}  // namespace outlay::gateway::detail
