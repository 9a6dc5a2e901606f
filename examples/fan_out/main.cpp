// Fifty streams at once under one cap, none of them with a ceiling of its own, against a model that never stops.
//
// Each stream reserves room before it hands a piece on. When the cap is used up every stream ends quietly with what it has, and hangs up,
// so that the provider stops generating. All together they have emitted at most the cap and one piece each.
//
// usage: fan_out [streams] [cap in tokens]
// exit code: 0 if that held and the server saw every stream hang up, 1 if not.

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <outlay/http.hpp>
#include <outlay/outlay.hpp>
#include <string>
#include <vector>

#include "local_llm/launch.hpp"

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;

/// What one stream handed on, as the library counts it.
struct Emitted {
  std::int64_t tokens = 0;
  std::int64_t pieces = 0;
  std::int64_t largest_piece = 0;
  bool truncated = false;
};

asio::awaitable<void> read_stream(const outlay::http::Client& client, Emitted& emitted) {
  const json::object request{
      {"model", "gpt-4o"},
      {"messages", {{{"role", "user"}, {"content", "Tell me everything."}}}},
  };
  outlay::http::ReplyStream stream = co_await client.stream(request);
  std::string text;
  for (;;) {
    const std::optional<outlay::http::Delta> delta = co_await stream.next();
    if (!delta) break;
    if (delta->text.empty()) continue;
    text += delta->text;
    emitted.pieces += 1;
    emitted.largest_piece = std::max(emitted.largest_piece, outlay::built_in_tokenizer().upper(delta->text));
  }
  emitted.tokens = outlay::built_in_tokenizer().upper(text);  // of the whole: tokens reach over the ends of pieces
  emitted.truncated = stream.truncated();
}

asio::awaitable<void> fan_out(const outlay::http::Client& client, std::vector<Emitted>& all) {
  std::vector<asio::awaitable<void>> streams;
  streams.reserve(all.size());
  for (Emitted& emitted : all) streams.push_back(read_stream(client, emitted));
  co_await outlay::wait_all(std::move(streams));
}

/// How many streams the server has seen hang up.
std::int64_t hung_up(const std::string& url) {
  const std::size_t host = url.find("//") + 2;
  const std::size_t colon = url.find(':', host);
  const std::string port = url.substr(colon + 1, url.find('/', colon) - colon - 1);
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  socket.connect({asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(std::stoi(port))});
  http::request<http::empty_body> request(http::verb::get, "/stats", 11);
  request.set(http::field::host, "127.0.0.1");
  http::write(socket, request);
  boost::beast::flat_buffer buffer;
  http::response<http::string_body> reply;
  http::read(socket, buffer, reply);
  return json::parse(reply.body()).at("closed_by_client").to_number<std::int64_t>();
}

}  // namespace

int main(int argc, char** argv) try {
  const std::size_t count = argc > 1 ? static_cast<std::size_t>(std::clamp(std::atoi(argv[1]), 1, 500)) : 50;
  const std::int64_t cap = argc > 2 ? std::max(std::atoll(argv[2]), 1LL) : 20'000;
  LocalLlm server({"--misbehave", "tokens=endless", "--ms-per-token", "1"});
  outlay::http::ClientOptions options;
  options.base_url = server.url();
  options.api_key = "none-needed";

  asio::thread_pool pool(2);
  const outlay::http::Client client(pool, options);
  std::vector<Emitted> all(count);
  std::exception_ptr failure;
  outlay::BudgetState state;
  {
    outlay::Budget budget({.name = "fan_out", .output_tokens = cap, .on_exceed = outlay::Truncate{}});
    outlay::co_spawn(pool, fan_out(client, all), [&](std::exception_ptr error) { failure = error; });
    pool.join();
    state = budget.state();
  }
  // Streams that did not even fit with their first reserve are refused; that is an answer as well.
  if (failure) {
    try {
      std::rethrow_exception(failure);
    } catch (const outlay::BudgetExceeded& refusal) {
      std::cout << "refused at the door: " << refusal.what() << '\n';
    }
  }

  std::int64_t tokens = 0, pieces = 0, largest = 0, truncated = 0;
  for (const Emitted& emitted : all) {
    tokens += emitted.tokens;
    pieces += emitted.pieces;
    largest = std::max(largest, emitted.largest_piece);
    truncated += emitted.truncated;
  }
  const std::int64_t allowed = cap + static_cast<std::int64_t>(count) * largest;
  std::cout << count << " streams emitted " << tokens << " tokens in " << pieces << " pieces; the cap is " << cap
            << ", with one piece each " << allowed << '\n'
            << truncated << " were cut quietly; booked " << state.spent.output_tokens << ", reserved "
            << state.reserved.output_tokens << '\n';

  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  std::int64_t closed = hung_up(server.url());
  while (closed < truncated && std::chrono::steady_clock::now() < deadline) closed = hung_up(server.url());
  std::cout << "the server saw " << closed << " of them hang up\n";
  std::cout << "local_llm " << server.stop() << ".\n";
  const bool held = tokens <= allowed && state.reserved == outlay::Amounts{} && closed >= truncated && !failure &&
                    truncated == static_cast<std::int64_t>(count);
  std::cout << (held ? "The cap held.\n" : "The cap did not hold.\n");
  return held ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << "fan_out: " << error.what() << '\n';
  return 1;
}
