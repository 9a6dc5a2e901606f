#include "outlay/http/client.hpp"

#include <atomic>
#include <boost/asio.hpp>
#include <boost/json.hpp>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <vector>

#include "http_support.hpp"
#include "outlay/outlay.hpp"
#include "support/catch.hpp"

namespace asio = boost::asio;
namespace json = boost::json;
using namespace test;
using outlay::RecordStatus;

namespace {

asio::awaitable<std::string> stream_text(const outlay::http::Client& client, const json::object& request) {
  outlay::http::ReplyStream stream = co_await client.stream(request);
  std::string text;
  for (;;) {
    const std::optional<outlay::http::Delta> delta = co_await stream.next();
    if (!delta) break;
    if (delta->kind == outlay::StreamDelta::Kind::text) text += delta->text;
  }
  co_return text;
}

}  // namespace

TEST_CASE("client: a post is admitted, sent and settled by the reply's usage", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  asio::io_context io;
  //! [post_example]
  const outlay::http::Client client(io, client_options(server));
  outlay::Budget budget({.usd = 1_usd});
  const json::value reply = run(io, client.post(chat_request()));
  //! [post_example]
  CHECK(reply.at("choices").at(0).at("message").at("content") == "It rains.");
  CHECK(budget.spent().usd == chat_cost);
  CHECK(budget.reserved() == outlay::Amounts{});
  REQUIRE(books.records().size() == 1);
  CHECK(books.records()[0].status == RecordStatus::settled);
  CHECK(books.records()[0].model == "gpt-4o-2024-08-06");

  REQUIRE(server.requests().size() == 1);
  const std::string sent = server.requests()[0];
  CHECK(sent.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
  CHECK(sent.find("\r\nAuthorization: Bearer sk-test-key\r\n") != std::string::npos);
  CHECK(sent.find("\r\nAccept: application/json\r\n") != std::string::npos);
}

TEST_CASE("client: a stream hands on its pieces and settles by the usage it reports", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(chunked_reply(chat_stream_events())); });
  asio::io_context io;
  const outlay::http::Client client(io, client_options(server));
  outlay::Budget budget({.usd = 1_usd});
  CHECK(run(io, stream_text(client, chat_request())) == "It rains.");
  CHECK(budget.spent().usd == chat_cost);
  CHECK(budget.reserved() == outlay::Amounts{});
  REQUIRE(books.records().size() == 1);
  CHECK(books.records()[0].status == RecordStatus::settled);
  const std::string sent = server.requests().at(0);
  CHECK(sent.find("\"stream\":true") != std::string::npos);
  CHECK(sent.find("\"include_usage\":true") != std::string::npos);
}

TEST_CASE("client: a stream yields text, visible reasoning, tool calls and the usage as it is reported",
          "[http][client]") {
  using Kind = outlay::StreamDelta::Kind;
  const OwnBooks books;
  const auto event = [](const std::string& delta) {
    return data_event(R"({"model":"deepseek-reasoner","choices":[{"index":0,"delta":)" + delta + "}]}");
  };
  const FaultServer server([&](std::size_t, std::string_view) {
    return answer(chunked_reply(
        {event(R"({"reasoning_content":"Let me see."})"), event(R"({"content":"One moment."})"),
         event(
             R"({"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"weather","arguments":""}}]})"),
         event(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":\"Ulm\"}"}}]})"),
         data_event(R"({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})"),
         data_event(R"({"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":30}})"), data_event("[DONE]")}));
  });
  asio::io_context io;
  outlay::http::ClientOptions options = client_options(server);
  options.api = outlay::Api::deepseek_chat;
  const outlay::http::Client client(io, options);
  std::vector<outlay::http::Delta> deltas;
  outlay::Usage usage;
  const auto read = [&]() -> asio::awaitable<void> {
    const json::object request{{"model", "deepseek-reasoner"},
                               {"messages", {{{"role", "user"}, {"content", "Weather in Ulm?"}}}}};
    outlay::http::ReplyStream stream = co_await client.stream(request);
    for (;;) {
      std::optional<outlay::http::Delta> delta = co_await stream.next();
      if (!delta) break;
      deltas.push_back(std::move(*delta));
      if (deltas.back().kind == Kind::usage) usage = stream.usage();
    }
    CHECK(stream.complete());
  };
  run(io, read());
  REQUIRE(deltas.size() == 5);
  CHECK(deltas[0].kind == Kind::reasoning);
  CHECK(deltas[0].text == "Let me see.");
  CHECK(deltas[1].kind == Kind::text);
  CHECK(deltas[1].text == "One moment.");
  CHECK(deltas[2].kind == Kind::tool_arguments);
  CHECK(deltas[2].tool_id == "call_1");
  CHECK(deltas[2].tool_name == "weather");
  CHECK(deltas[3].text == R"({"city":"Ulm"})");
  CHECK(deltas[4].kind == Kind::usage);
  CHECK(usage.input == 20);
  CHECK(usage.output == 30);
  CHECK(books.records().at(0).usage.output == 30);
}

TEST_CASE("client: requests one after the other use one connection", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t number, std::string_view) {
    return number % 2 == 0 ? answer(http_reply(200, chat_reply_body())) : answer(chunked_reply(chat_stream_events()));
  });
  asio::io_context io;
  const outlay::http::Client client(io, client_options(server));
  for (int i = 0; i < 3; ++i) {
    static_cast<void>(run(io, client.post(chat_request())));
    CHECK(run(io, stream_text(client, chat_request())) == "It rains.");
  }
  CHECK(server.connections() == 1);
  CHECK(client.idle_connections() == 1);
  CHECK(books.records().size() == 6);
}

TEST_CASE("client: a connection that the server has closed meanwhile is not used again", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) {
    return answer(http_reply(200, chat_reply_body()), Plan::Then::reset);  // though it promises to keep it
  });
  asio::io_context io;
  const outlay::http::Client client(io, client_options(server));
  for (int i = 0; i < 3; ++i) {
    static_cast<void>(run(io, client.post(chat_request())));
    REQUIRE(server.wait_for_open(0));
  }
  CHECK(server.connections() == 3);
  for (const outlay::Record& record : books.records()) CHECK(record.status == RecordStatus::settled);
}

TEST_CASE("client: what the policies changed is what is sent", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  asio::io_context io;
  const outlay::http::Client client(io, client_options(server));
  outlay::Budget budget({.usd = 0.001_usd, .on_exceed = outlay::Downgrade{{{"gpt-4o", "gpt-4o-mini"}}}});
  static_cast<void>(run(io, client.post(chat_request(400))));
  const std::string sent = server.requests().at(0);
  CHECK(sent.find("\"model\":\"gpt-4o-mini\"") != std::string::npos);
  CHECK(books.records().at(0).admitted_model == "gpt-4o-mini");
  CHECK(books.records().at(0).requested_model == "gpt-4o");
}

TEST_CASE("client: a request that does not fit is refused before anything is sent", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  asio::io_context io;
  const outlay::http::Client client(io, client_options(server));
  outlay::Budget budget({.name = "tiny", .usd = 0.0001_usd});
  try {
    static_cast<void>(run(io, client.post(chat_request(400))));
    FAIL("admitted");
  } catch (const outlay::BudgetExceeded& refusal) {
    CHECK(refusal.budget() == "tiny");
    CHECK(refusal.limit() == "$0.0001");
  }
  CHECK(server.connections() == 0);
  CHECK(books.records().empty());
  CHECK(budget.spent() == outlay::Amounts{});
}

TEST_CASE("client: tags and trace context of one request reach its record and the wire", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  asio::io_context io;
  const outlay::http::Client client(io, client_options(server));
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  static_cast<void>(run(io, client.post(chat_request(), {.tags = {{"feature", "weather"}}, .traceparent = trace})));
  static_cast<void>(run(io, client.post(chat_request(), {.traceparent = "00-bad\r\nX-Injected: 1"})));
  CHECK(books.records().at(0).tags.at("feature") == "weather");
  CHECK(server.requests().at(0).find("\r\ntraceparent: " + trace + "\r\n") != std::string::npos);
  CHECK(server.requests().at(1).find("Injected") == std::string::npos);
}

TEST_CASE("client: a reply under a Raise budget that crosses it is returned, and the next call is refused",
          "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  asio::io_context io;
  const outlay::http::Client client(io, client_options(server));
  outlay::Budget budget({.usd = 0.00005_usd, .on_exceed = outlay::Raise{}});
  CHECK(run(io, client.post(chat_request())).at("choices").at(0).at("message").at("content") == "It rains.");
  CHECK(budget.spent().usd == chat_cost);
  CHECK_THROWS_AS(run(io, client.post(chat_request())), outlay::BudgetExceeded);
}

TEST_CASE("client: a stream that a budget blocks, or raises, throws at the crossing and closes its connection",
          "[http][client]") {
  const OwnBooks books;
  const bool raise = GENERATE(true, false);
  const FaultServer server([](std::size_t, std::string_view) {
    Plan plan;
    plan.bytes = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    plan.endless = true;
    plan.repeat = delta_event("and so on and so on and so on and so on");
    return plan;
  });
  asio::io_context io;
  const outlay::http::Client client(io, client_options(server));
  outlay::BudgetOptions limits{.output_tokens = 500};
  if (raise) limits.on_exceed = outlay::Raise{};
  outlay::Budget budget(limits);
  CHECK_THROWS_AS(run(io, stream_text(client, chat_request_without_ceiling())), outlay::BudgetExceeded);
  CHECK(server.wait_for_open(0));
  CHECK(client.idle_connections() == 0);
  CHECK(budget.reserved() == outlay::Amounts{});
  CHECK(budget.spent().output_tokens > 0);
  CHECK(budget.spent().output_tokens <= 500);
}

TEST_CASE("client: a stream that Truncate cuts ends quietly and keeps what has arrived", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) {
    Plan plan;
    plan.bytes = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    plan.endless = true;
    plan.repeat = delta_event("more ");
    return plan;
  });
  asio::io_context io;
  const outlay::http::Client client(io, client_options(server));
  outlay::Budget budget({.output_tokens = 300, .on_exceed = outlay::Truncate{}});
  const std::string text = run(io, stream_text(client, chat_request_without_ceiling()));
  CHECK(text.starts_with("more more "));
  CHECK(server.wait_for_open(0));
  CHECK(budget.reserved() == outlay::Amounts{});
  CHECK(budget.spent().output_tokens > 100);
  CHECK(budget.spent().output_tokens <= 300);
}

TEST_CASE("client: a stream that is closed or destroyed early is charged for what it had shown", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) {
    Plan plan = answer(chunked_reply(chat_stream_events()), Plan::Then::stall);
    plan.stop_at = plan.bytes.find("data: {\"choices\":[{\"index\":0,\"delta\":{},");
    return plan;
  });
  asio::io_context io;
  const outlay::http::Client client(io, client_options(server));
  const bool close = GENERATE(true, false);
  outlay::Budget budget({.usd = 1_usd});
  run(io, [](const outlay::http::Client& c, bool say_close) -> asio::awaitable<void> {
    const json::object request = chat_request();
    outlay::http::ReplyStream stream = co_await c.stream(request);
    const std::optional<outlay::http::Delta> delta = co_await stream.next();
    CHECK(delta->text == "It");
    if (!say_close) co_return;
    stream.close();
    CHECK_FALSE(stream.open());
    const std::optional<outlay::http::Delta> after = co_await stream.next();
    CHECK_FALSE(after);
  }(client, close));
  CHECK(server.wait_for_open(0));
  CHECK(budget.reserved() == outlay::Amounts{});
  REQUIRE(books.records().size() == 1);
  CHECK(books.records()[0].usage.output > 0);
  CHECK(books.records()[0].usd > 0_usd);
  CHECK(books.records()[0].status != RecordStatus::settled);
}

TEST_CASE("client: without coroutines post waits for the reply", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  outlay::Budget budget({.usd = 1_usd});
  const json::value reply = outlay::http::post(chat_request(), client_options(server));
  CHECK(reply.at("model") == "gpt-4o-2024-08-06");
  CHECK(budget.spent().usd == chat_cost);
}

TEST_CASE("client: any completion token will do", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  asio::io_context io;
  const outlay::http::Client client(io, client_options(server));
  outlay::Budget budget({.usd = 1_usd});
  bool called = false;
  client.async_post(chat_request(), [&](std::exception_ptr error, json::value reply) {
    CHECK_FALSE(error);
    CHECK(reply.at("model") == "gpt-4o-2024-08-06");
    called = true;
  });
  std::future<json::value> later = client.async_post(chat_request(), asio::use_future);
  io.run();
  CHECK(called);
  CHECK(later.get().at("model") == "gpt-4o-2024-08-06");
  CHECK(budget.spent().usd == chat_cost * 2);
}

TEST_CASE("client: an open stream keeps no io_context running while it is not read", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) {
    Plan plan = answer(chunked_reply(chat_stream_events()), Plan::Then::stall);
    plan.stop_at = plan.bytes.find("data: ") + 200;
    return plan;
  });
  asio::io_context io;
  outlay::http::ClientOptions options = client_options(server);
  options.timeouts = {};  // none of which may pass in this test
  const outlay::http::Client client(io, options);
  outlay::Budget budget({.usd = 1_usd});
  std::optional<outlay::http::ReplyStream> stream;
  const json::object request = chat_request();
  const auto open = [&]() -> asio::awaitable<void> {
    stream.emplace(co_await client.stream(request));
    static_cast<void>(co_await stream->next());
  };
  run(io, open());
  CHECK(stream->open());
}

TEST_CASE("client: code that blocks after its reply does not hold up the next request on the connection",
          "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  const outlay::http::ClientOptions options = client_options(server);
  std::promise<bool> second_done;
  std::future<bool> second = second_done.get_future();
  bool held_up = true;
  {
    asio::thread_pool pool(2);
    const outlay::http::Client client(pool, options);
    const json::object request = chat_request();
    outlay::co_spawn(
        pool,
        [&]() -> asio::awaitable<void> {
          static_cast<void>(co_await client.post(request));
          outlay::co_spawn(pool, client.post(request),
                           [&](std::exception_ptr error, const json::value&) { second_done.set_value(!error); });
          held_up = second.wait_for(std::chrono::seconds(30)) != std::future_status::ready;
        },
        asio::detached);
    pool.join();
  }
  CHECK_FALSE(held_up);
  CHECK(second.get());
  CHECK(server.connections() == 1);
}

TEST_CASE("client: on a pool of threads each request resumes its coroutine in the scopes it has open",
          "[http][client][context]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t number, std::string_view) {
    return number % 2 == 0 ? answer(http_reply(200, chat_reply_body()))
                           : answer(http_reply(503, "overloaded"));  // then there is another attempt
  });
  std::atomic<int> wrong = 0;
  std::atomic<int> failures = 0;
  {
    asio::thread_pool pool(4);
    outlay::http::ClientOptions options = client_options(server);
    options.retries.max_attempts = 100;
    const outlay::http::Client client(pool, options);
    const auto work = [&](int number) -> asio::awaitable<void> {
      const std::string name = "worker " + std::to_string(number);
      const json::object request = chat_request();
      for (int n = 0; n < 5; ++n) {
        const std::string own = name + "/" + std::to_string(n);
        const outlay::Track track({{"who", own}});
        const outlay::Budget budget({.usd = 1_usd});
        static_cast<void>(co_await client.post(request));
        wrong += outlay::Context::current().tag("who") != own || budget.spent().usd != chat_cost;
      }
    };
    for (int i = 0; i < 20; ++i)
      outlay::co_spawn(pool, work(i), [&](std::exception_ptr error) { failures += error != nullptr; });
    pool.join();
  }
  CHECK(wrong == 0);
  CHECK(failures == 0);
  for (const outlay::Record& record : books.records()) CHECK(record.tags.at("who").starts_with("worker "));
}

TEST_CASE("client: a request on a pool of threads that is cancelled while its reply arrives is settled once",
          "[http][client]") {
  const OwnBooks books;
  outlay::Budget budget({.usd = 10_usd});
  constexpr int requests = 200;
  std::atomic<int> ended = 0;
  {
    asio::thread_pool pool(4);
    std::mutex mutex;
    std::vector<std::function<void()>> cancel;
    const FaultServer server([&](std::size_t, std::string_view) {
      const std::lock_guard lock(mutex);
      for (const auto& each : cancel) each();
      cancel.clear();
      return answer(http_reply(200, chat_reply_body()));
    });
    const outlay::http::Client client(pool, client_options(server));
    const json::object request = chat_request();
    std::vector<asio::cancellation_signal> signals(requests);
    for (asio::cancellation_signal& signal : signals) {
      const auto strand = asio::make_strand(pool);
      outlay::co_spawn(
          strand, client.post(request),
          asio::bind_cancellation_slot(signal.slot(), [&ended](std::exception_ptr, const json::value&) { ++ended; }));
      const std::lock_guard lock(mutex);
      cancel.emplace_back(
          [&signal, strand] { asio::post(strand, [&signal] { signal.emit(asio::cancellation_type::terminal); }); });
    }
    pool.join();
  }
  CHECK(ended == requests);
  CHECK(budget.reserved() == outlay::Amounts{});
  CHECK(books.ledger.audit().verdict == outlay::Audit::Verdict::agrees);
}

TEST_CASE("client: requests from a pool of threads need no strand", "[http][client]") {
  const OwnBooks books;
  const FaultServer server([](std::size_t, std::string_view) { return answer(http_reply(200, chat_reply_body())); });
  outlay::Budget budget({.usd = 1_usd});
  std::atomic<int> failures = 0;
  {
    asio::thread_pool pool(4);
    const outlay::http::Client client(pool, client_options(server));
    for (int i = 0; i < 40; ++i)
      outlay::co_spawn(
          pool,
          [&client]() -> asio::awaitable<void> {
            const json::object request = chat_request();
            for (int n = 0; n < 5; ++n) static_cast<void>(co_await client.post(request));
          },
          [&failures](std::exception_ptr error) { failures += error != nullptr; });
    pool.join();
  }
  CHECK(failures == 0);
  CHECK(books.records().size() == 200);
  CHECK(budget.spent().usd == chat_cost * 200);
  CHECK(budget.reserved() == outlay::Amounts{});
}
