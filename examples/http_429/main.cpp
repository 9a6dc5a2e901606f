// A web service in front of a model, whose users and projects have caps per day: a request that does not fit is answered 429 with
// Retry-After, before anything is spent, and 503 while the caps cannot be asked.
//
// The caps are rules: they come with the tags that the middleware takes from the request's headers. They are kept in a file, so that any
// number of these services on one machine share them, or in Redis for services on many machines.
//
// usage: http_429 [caps.db]
//   Without a file the caps live in this process. OUTLAY_REDIS_URL=redis://... puts them into Redis instead.
//   OUTLAY_DAILY_USER_USD, OUTLAY_DAILY_PROJECT_USD, OUTLAY_DAILY_GLOBAL_USD set the caps; without them a user has $0.002 a day.
// It starts a model server of its own, asks itself a few questions for two users, prints what it answered, and ends.
// exit code: 0 if somebody was answered, 2 if it was closed to everybody because the store was out of reach.

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <exception>
#include <iostream>
#include <outlay/http.hpp>
#include <outlay/outlay.hpp>
#include <outlay/redis.hpp>
#include <outlay/sqlite.hpp>
#include <string>

#include "local_llm/launch.hpp"

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace json = boost::json;
using namespace outlay::literals;
using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;
using asio::ip::tcp;

Response answer(const Request& request, http::status status, const json::object& body) {
  Response response(status, request.version());
  response.set(http::field::content_type, "application/json");
  response.body() = json::serialize(body);
  response.keep_alive(request.keep_alive());
  response.prepare_payload();
  return response;
}

std::string header(const Request& request, const char* name) { return std::string(request[name]); }

/// The service itself: it knows nothing of caps.
asio::awaitable<Response> ask_the_model(const outlay::http::Client& model, const Request& request) {
  const json::object question{
      {"model", "gpt-4o"},
      {"max_completion_tokens", 60},
      {"messages", {{{"role", "user"}, {"content", request.body()}}}},
  };
  const json::value reply = co_await model.post(question);
  const json::object body{{"answer", reply.at("choices").at(0).at("message").at("content")}};
  co_return answer(request, http::status::ok, body);
}

/// The middleware: opens the caps by the request's tags, and turns refusals into what HTTP has for them.
asio::awaitable<Response> within_caps(const outlay::http::Client& model, const Request& request) {
  const std::string user = header(request, "X-User");
  const std::string project = header(request, "X-Project");
  if (user.empty()) {
    const json::object body{{"error", "no_user"}, {"message", "Say who asks: X-User"}};
    co_return answer(request, http::status::unauthorized, body);
  }
  try {
    outlay::Track who({{"user_id", user}, {"project", project}});
    co_return co_await ask_the_model(model, request);
  } catch (const outlay::BudgetExceeded& refusal) {
    json::object body{{"error", outlay::to_string(refusal.reason())},
                      {"budget", refusal.budget()},
                      {"limit", refusal.limit()},
                      {"spent", refusal.spent()}};
    Response response = answer(request, http::status::too_many_requests, body);
    // In seconds, so that it does not matter whether the clocks of both sides agree.
    if (const auto wait = refusal.retry_after()) {
      // Where the cap is not spent, calls that run now hold the room: their end helps, long before the day's.
      response.set(http::field::retry_after,
                   refusal.held_by_running() ? "1" : std::to_string(std::max<std::int64_t>(1, wait->count())));
      body["retry_at"] = outlay::to_iso8601(*refusal.retry_at());
      response.body() = json::serialize(body);
      response.prepare_payload();
    }
    co_return response;
  } catch (const outlay::StoreUnavailable&) {
    const json::object body{{"error", "caps_unavailable"}, {"message", "Nothing was spent; try again soon."}};
    Response response = answer(request, http::status::service_unavailable, body);
    response.set(http::field::retry_after, "1");
    co_return response;
  }
}

asio::awaitable<void> serve(tcp::socket socket, const outlay::http::Client& model) {
  beast::tcp_stream stream(std::move(socket));
  beast::flat_buffer buffer;
  try {
    for (bool open = true; open;) {
      stream.expires_after(std::chrono::seconds(30));
      http::request_parser<http::string_body> parser;
      parser.body_limit(64 * 1024);
      co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
      const Request request = parser.release();
      const Response response = co_await within_caps(model, request);
      open = response.keep_alive();
      co_await http::async_write(stream, response, asio::use_awaitable);
    }
  } catch (const boost::system::system_error&) {  // the client is gone
  }
}

asio::awaitable<void> accept(tcp::acceptor& acceptor, const outlay::http::Client& model) {
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    // Each connection starts without scopes: it belongs to no user yet.
    outlay::co_spawn_root(acceptor.get_executor(), serve(std::move(socket), model), asio::detached);
  }
}

std::shared_ptr<outlay::Store> store_of(int argc, char** argv) {
  if (auto redis = outlay::redis_store_from_environment(outlay::OnUnreachable::deny())) return redis;
  if (argc > 1) return outlay::sqlite_store({.path = argv[1]});
  return nullptr;
}

/// Asks one question as a client would, and prints the answer's first line.
http::status ask(std::uint16_t port, const std::string& user) {
  asio::io_context io;
  beast::tcp_stream stream(io);
  stream.connect({asio::ip::address_v4::loopback(), port});
  Request request(http::verb::post, "/ask", 11);
  request.set(http::field::host, "localhost");
  request.set("X-User", user);
  request.set("X-Project", "launch");
  request.body() = "How do I reset my password?";
  request.prepare_payload();
  http::write(stream, request);
  beast::flat_buffer buffer;
  Response response;
  http::read(stream, buffer, response);
  std::cout << user << ": " << response.result_int();
  if (response.count(http::field::retry_after) != 0)
    std::cout << ", Retry-After: " << response[http::field::retry_after];
  std::cout << "  " << response.body().substr(0, 100) << '\n';
  return response.result();
}

}  // namespace

int main(int argc, char** argv) try {
  const std::shared_ptr<outlay::Store> store = store_of(argc, argv);
  outlay::Ledger ledger = outlay::Ledger::default_ledger();
  if (ledger.add_rules_from_environment(store) == 0)
    ledger.add_rule({.match = {"user_id", "*"}, .usd = 0.002_usd, .notify_at = {0.8}, .store = store});

  LocalLlm provider({"--ms-per-token", "1"});
  asio::thread_pool pool(2);
  outlay::http::ClientOptions options;
  options.base_url = provider.url();
  options.api_key = "none-needed";
  const outlay::http::Client model(pool, options);
  tcp::acceptor acceptor(pool, {asio::ip::address_v4::loopback(), 0});
  outlay::co_spawn_root(pool, accept(acceptor, model), asio::detached);

  int answered = 0, unavailable = 0;
  const auto count = [&](http::status status) {
    answered += status == http::status::ok;
    unavailable += status == http::status::service_unavailable;
    return status;
  };
  for (int i = 0; i < 10; ++i)
    if (count(ask(acceptor.local_endpoint().port(), "alice")) != http::status::ok) break;
  count(ask(acceptor.local_endpoint().port(), "bob"));

  pool.stop();
  pool.join();
  for (const outlay::ReportRow& row : ledger.report({"user_id"})) {
    const std::string* user = row.tags.find("user_id");
    std::cout << (user ? *user : "(no user)") << " spent " << outlay::to_string(row.usd) << " in " << row.calls
              << " calls; " << row.blocked_calls << " refused\n";
  }
  return answered == 0 && unavailable > 0 ? 2 : 0;
} catch (const std::exception& problem) {
  std::cerr << "http_429: " << problem.what() << '\n';
  return 1;
}
