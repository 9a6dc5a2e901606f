// Plays providers to their official SDKs, with the guard between: every request is admitted, every answer is metered and settled.
//
//   replay_server DIRECTORY
//
// Prints "listening on 127.0.0.1:PORT" and serves until its standard input ends. A request for /FILE/HOST/PATH is answered with FILE of the
// directory as HOST would answer one for PATH; the extension says how: .json at once, .sse and .ndjson streamed in small pieces.
// GET /books is the number of records, the newest one, and what the budget around all of it has spent and holds reserved.
#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "outlay/budget.hpp"
#include "outlay/json.hpp"
#include "outlay/ledger.hpp"

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;
using boost::asio::ip::tcp;
using namespace outlay::literals;
using outlay::Api;

using Request = http::request<http::string_body>;

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

/// What a request's target says: /FILE/HOST/PATH.
struct Target {
  std::string file;
  std::string url;    ///< Where the request would go without this server between.
  std::string model;  ///< Of Gemini's paths and Azure's; empty where the body names it.

  explicit Target(std::string_view target) {
    const std::size_t second = target.find('/', 1);
    if (second == std::string_view::npos) throw std::runtime_error("the target is not /FILE/HOST/PATH");
    file = target.substr(1, second - 1);
    if (file.empty() || !std::all_of(file.begin(), file.end(), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
        }))
      throw std::runtime_error("FILE may have small letters, digits, _ and . only");
    url = "https://" + std::string(target.substr(second + 1));
    for (const std::string_view before : {"/models/", "/deployments/"})
      if (const std::size_t at = url.find(before); at != std::string::npos) {
        const std::size_t begin = at + before.size();
        model = url.substr(begin, url.find_first_of(":/?", begin) - begin);
      }
  }
  [[nodiscard]] bool streamed() const { return !file.ends_with(".json"); }
  [[nodiscard]] std::string_view content_type() const {
    if (file.ends_with(".sse")) return "text/event-stream";
    return file.ends_with(".ndjson") ? "application/x-ndjson" : "application/json";
  }
};

/// The stream as the request's sender gets it: without the event that only the guard has asked for.
class Forwarded final : public outlay::StreamConsumer {
 public:
  void on_delta(const outlay::StreamDelta&) override {}
  void on_event(const outlay::StreamEvent& event) override {
    if (!event.usage_only) bytes_ += event.bytes;
  }
  std::string take() { return std::exchange(bytes_, {}); }

 private:
  std::string bytes_;
};

class ReplayServer {
 public:
  ReplayServer(std::filesystem::path replies, const outlay::Ledger& ledger, const outlay::Budget& budget)
      : replies_(std::move(replies)), ledger_(ledger), budget_(budget) {}

  /// One request, one answer: SDKs keep connections open, and nothing here reads two at a time.
  void serve(tcp::socket& socket) const {
    boost::beast::flat_buffer buffer;
    http::request_parser<http::string_body> parser;
    parser.body_limit(std::uint64_t{1} << 20);
    http::read(socket, buffer, parser);
    const Request request = parser.release();
    try {
      if (request.method() == http::verb::get && request.target() == "/books")
        return write(socket, http::status::ok, json::serialize(books()));
      answer(socket, request);
    } catch (const boost::system::system_error&) {
      throw;  // the connection is gone
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: %s\n", std::string(view(request.target())).c_str(), error.what());
      write(socket, http::status::internal_server_error,
            json::serialize(json::object{{"error", json::object{{"message", error.what()}}}}));
    }
  }

 private:
  void answer(tcp::socket& socket, const Request& request) const {
    const Target target(view(request.target()));
    const json::value body = json::parse(request.body());
    const std::optional<Api> api = Api::detect(target.url, body);
    if (!api) throw std::runtime_error("no API has this path: " + target.url);
    std::ifstream file(replies_ / target.file, std::ios::binary);
    if (!file) throw std::runtime_error("there is no reply " + target.file);
    const std::string reply{std::istreambuf_iterator<char>(file), {}};

    outlay::GuardOptions options;
    options.model = target.model;
    outlay::GuardedCall call(*api, body.as_object(), options);
    // Gemini says in the path alone that it streams.
    const bool wants_stream = *api == Api::gemini ? target.url.find(":streamGenerateContent") != std::string::npos
                                                  : call.request().streamed();
    if (wants_stream != target.streamed())
      throw std::runtime_error(wants_stream ? "the request asks for a stream" : "the request asks for no stream");
    call.sent();
    if (!wants_stream) {
      call.reply(json::parse(reply));
      return write(socket, http::status::ok, reply);
    }
    // As at the provider: who does not ask for the usage does not get it.
    if (*api == Api::openai_chat || *api == Api::azure_chat || *api == Api::openai_compatible)
      if (!call.body().at("stream_options").at("include_usage").as_bool())
        throw std::runtime_error("the guard did not ask for the usage");
    stream(socket, target, call, reply);
  }

  static void stream(tcp::socket& socket, const Target& target, outlay::GuardedCall& call, std::string_view reply) {
    http::response<http::empty_body> head{http::status::ok, 11};
    head.set(http::field::content_type, target.content_type());
    head.keep_alive(false);
    head.chunked(true);
    http::response_serializer<http::empty_body> serializer(head);
    http::write_header(socket, serializer);

    outlay::Stream metered = call.stream();
    Forwarded forwarded;
    for (std::size_t n = 0; !reply.empty(); ++n) {
      // Odd sizes, so that pieces end within lines, within escapes, within a CR LF.
      const std::string_view piece = reply.substr(0, 1 + n * 7 % 61);
      reply.remove_prefix(piece.size());
      std::string for_sender(piece);
      if (call.request().drop_usage_event()) {
        metered.feed(piece, forwarded);
        for_sender = forwarded.take();
      } else {
        metered.feed(piece);
      }
      if (!for_sender.empty()) asio::write(socket, http::make_chunk(asio::buffer(for_sender)));
    }
    metered.finish();
    metered.check();
    asio::write(socket, http::make_chunk_last());
  }

  static void write(tcp::socket& socket, http::status status, std::string body) {
    http::response<http::string_body> response{status, 11};
    response.set(http::field::content_type, "application/json");
    response.keep_alive(false);
    response.body() = std::move(body);
    response.prepare_payload();
    http::write(socket, response);
  }

  [[nodiscard]] json::object books() const {
    const std::vector<outlay::Record> records = ledger_.records();
    json::object books{{"records", records.size()},
                       {"spent_nanos", budget_.spent().usd.nanos()},
                       {"reserved_nanos", budget_.reserved().usd.nanos()}};
    if (records.empty()) return books;
    const outlay::Record& newest = records.back();
    const outlay::Usage& usage = newest.usage;
    books["newest"] = json::object{{"status", outlay::to_string(newest.status)},
                                   {"model", newest.model},
                                   {"service_tier", newest.service_tier},
                                   {"usd", outlay::to_string(newest.usd)},
                                   {"usd_nanos", newest.usd.nanos()},
                                   {"usage", json::object{{"input", usage.input},
                                                          {"cache_read", usage.cache_read},
                                                          {"cache_write", usage.cache_write},
                                                          {"cache_write_1h", usage.cache_write_1h},
                                                          {"output", usage.output},
                                                          {"reasoning", usage.reasoning},
                                                          {"web_searches", usage.web_searches},
                                                          {"total", usage.total()}}}};
    return books;
  }

  std::filesystem::path replies_;
  outlay::Ledger ledger_;
  const outlay::Budget& budget_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: replay_server DIRECTORY\n", stderr);
    return 2;
  }
  try {
    outlay::PriceTable prices = outlay::PriceTable::bundled();
    prices.register_model("qwen3:4b", outlay::Price::free());
    outlay::LedgerOptions options;
    options.prices = prices;
    const outlay::Ledger ledger(options);
    const outlay::LedgerScope scope(ledger);
    const outlay::Budget budget({.name = "sdks", .usd = 100_usd});

    asio::io_context context;
    tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    std::printf("listening on 127.0.0.1:%u\n", unsigned{acceptor.local_endpoint().port()});
    std::fflush(stdout);
    // Whoever started this holds the other end of the pipe: if it dies, however, this ends too.
    std::thread([] {
      while (std::getchar() != EOF) {
      }
      std::_Exit(0);
    }).detach();

    const ReplayServer server(argv[1], ledger, budget);
    for (;;) {
      tcp::socket socket = acceptor.accept();
      try {
        server.serve(socket);
      } catch (const boost::system::system_error& error) {
        std::fprintf(stderr, "a connection broke: %s\n", error.what());
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "replay_server: %s\n", error.what());
    return 1;
  }
}
