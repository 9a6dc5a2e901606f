// Streams of a real model through the client: one that ends, and one that would go on for ever and is cut by a budget. `run` starts
// server.mjs and gives its port:  outlay_real_model PORT
#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <string>

#include "outlay/http.hpp"
#include "outlay/outlay.hpp"

namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using namespace outlay::literals;

int failures = 0;

void check(bool holds, const std::string& what) {
  std::cout << (holds ? "ok      " : "FAILED  ") << what << '\n';
  failures += holds ? 0 : 1;
}

struct Answer {
  std::string text{};
  std::int64_t tokens = 0;  // as the library counts them
  std::int64_t largest = 0;
  bool refused = false;
  bool truncated = false;
};

asio::awaitable<void> read(const outlay::http::Client& client, const json::object& request, Answer& answer) {
  try {
    outlay::http::ReplyStream stream = co_await client.stream(request);
    for (;;) {
      const std::optional<outlay::http::Delta> delta = co_await stream.next();
      if (!delta) break;
      if (delta->text.empty()) continue;
      answer.text += delta->text;
      answer.largest = std::max(answer.largest, outlay::built_in_tokenizer().typical(delta->text));
    }
    answer.truncated = stream.truncated();
  } catch (const outlay::BudgetExceeded& refusal) {
    std::cout << "        " << refusal.what() << '\n';
    answer.refused = true;
  }
  answer.tokens = outlay::built_in_tokenizer().typical(answer.text);
}

Answer ask(asio::io_context& io, const outlay::http::Client& client, const char* model,
           std::optional<std::int64_t> ceiling = {}) {
  json::object request{{"model", model}, {"messages", json::array{{{"role", "user"}, {"content", "Go on."}}}}};
  if (ceiling) request["max_completion_tokens"] = *ceiling;
  Answer answer;
  io.restart();
  std::future<void> done = outlay::co_spawn(io, read(client, request, answer), asio::use_future);
  io.run();
  done.get();
  return answer;
}

json::object stats(std::uint16_t port) {
  namespace http = boost::beast::http;
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  socket.connect({asio::ip::address_v4::loopback(), port});
  http::request<http::empty_body> request(http::verb::get, "/stats", 11);
  request.set(http::field::host, "127.0.0.1");
  http::write(socket, request);
  boost::beast::flat_buffer buffer;
  http::response<http::string_body> reply;
  http::read(socket, buffer, reply);
  return json::parse(reply.body()).as_object();
}

/// Waits until the server has heard of so many hang-ups. It has its own work to end first.
bool hung_up(std::uint16_t port, std::int64_t count) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < deadline)
    if (stats(port).at("hung_up") == count) return true;
  return false;
}

}  // namespace

int main(int argc, char** argv) try {
  const auto port = static_cast<std::uint16_t>(argc == 2 ? std::atoi(argv[1]) : 0);
  outlay::http::ClientOptions options;
  options.api = outlay::Api::openai_compatible;
  options.base_url = "http://127.0.0.1:" + std::to_string(port) + "/v1";
  asio::io_context io;
  const outlay::http::Client client(io, options);
  const outlay::Ledger ledger;
  const outlay::LedgerScope scope(ledger);

  {
    outlay::Budget budget({.name = "sentence", .output_tokens = 1'000});
    const Answer answer = ask(io, client, "finite");
    check(answer.text == "A stream that nobody has limited goes on until its reader says stop .",
          "the model says its sentence: " + answer.text);
    const outlay::Record record = ledger.records().back();
    check(record.status == outlay::RecordStatus::settled, "it is settled by what the model reported");
    // Each word is a token, and the end another. The model knows no word of "Go on.", so it reads bytes: 5, and 3 for each mark of a
    // word's beginning, after the token that begins a text.
    check(record.usage.output == 15 && budget.spent().output_tokens == 15, "15 tokens of output");
    check(record.usage.input == 12, "12 tokens of input");
  }

  const auto cut = [&](outlay::BudgetOptions with, const char* how) {
    const std::int64_t cap = 700;
    with.name = how;
    with.output_tokens = cap;
    outlay::Budget budget(with);
    const std::int64_t generated = stats(port).at("generated").to_number<std::int64_t>();
    const std::int64_t before = stats(port).at("hung_up").to_number<std::int64_t>();
    const Answer answer = ask(io, client, "endless");
    check(hung_up(port, before + 1), std::string(how) + ": the server sees us hang up");
    const std::int64_t after = stats(port).at("generated").to_number<std::int64_t>() - generated;
    std::cout << "        handed on " << answer.tokens << " tokens; booked " << budget.spent().output_tokens
              << " under a cap of " << cap << "; the model had generated " << after << '\n';
    check(answer.tokens > 0 && answer.tokens <= cap + answer.largest,
          std::string(how) + ": at most the cap and one chunk are handed on");
    check(budget.spent().output_tokens <= cap && budget.reserved() == outlay::Amounts{},
          std::string(how) + ": no more than the cap is booked, and nothing stays reserved");
    check(ledger.records().back().status == outlay::RecordStatus::estimated,
          std::string(how) + ": the record says that it was counted");
    return answer;
  };
  const Answer quiet = cut({.on_exceed = outlay::Truncate{}}, "truncate");
  check(quiet.truncated && !quiet.refused, "truncate: quietly");
  const Answer loud = cut({.on_exceed = outlay::Block{}}, "block");
  check(loud.refused, "block: with BudgetExceeded");

  {
    outlay::Budget budget({.name = "ceiling", .output_tokens = 100});
    static_cast<void>(ask(io, client, "endless", 40));
    check(budget.spent().output_tokens == 40, "a ceiling in the request is the provider's to keep: 40 tokens");
  }
  const outlay::Audit audit = ledger.audit();
  check(audit.verdict == outlay::Audit::Verdict::agrees, "the books agree");
  return failures == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << "real_model: " << error.what() << '\n';
  return 1;
}
