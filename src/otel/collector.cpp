#include "otel/collector.hpp"

#include <zlib.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <ctime>
#include <exception>
#include <limits>
#include <new>
#include <utility>

#include "http/exchange.hpp"
#include "http/refusal.hpp"
#include "outlay/version.hpp"

namespace outlay::detail {

namespace asio = boost::asio;
namespace json = boost::json;
using http::detail::Connection;
using http::detail::Deadline;
using http::detail::Exchange;
using http::detail::Fault;

namespace {

constexpr std::size_t most_reply_bytes = std::size_t{4} << 20;  // OTLP's own limit
constexpr std::size_t most_logged = 300;

/// A 64-bit number as a string or as a number.
std::optional<std::int64_t> whole_number(const json::value* value) {
  if (!value) return {};
  if (const std::int64_t* number = value->if_int64()) return *number;
  const json::string* text = value->if_string();
  if (!text) return {};
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc{} || end != text->data() + text->size()) return {};
  return number;
}

bool blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == text.npos; }

}  // namespace

std::string gzipped(std::string_view text) {
  z_stream stream{};
  // The fastest level: these bodies shrink to a twentieth at any. 16: with gzip's head.
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  const std::unique_ptr<z_stream, int (*)(z_streamp)> ended(&stream, deflateEnd);
  std::string packed(deflateBound(&stream, static_cast<uLong>(text.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());  // max_request_bytes and one data point at most
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) throw std::bad_alloc();
  packed.resize(packed.size() - stream.avail_out);
  return packed;
}

Collector::Collector(const OtelSettings& settings) : settings_(settings) {}

std::string Collector::message_with(const std::string& body) const {
  namespace beast_http = boost::beast::http;
  beast_http::request<beast_http::empty_body> head(beast_http::verb::post, settings_.target, 11);
  head.set(beast_http::field::host, settings_.url.authority());
  head.set(beast_http::field::user_agent,
           "outlay/" OUTLAY_VERSION_STRING " OTel-OTLP-Exporter-Cpp/" OUTLAY_VERSION_STRING);
  head.set(beast_http::field::accept, "application/json");
  for (const auto& [name, value] : settings_.headers) head.set(name, value);
  head.set(beast_http::field::content_type, "application/json");
  if (settings_.gzip) head.set(beast_http::field::content_encoding, "gzip");
  return http::detail::wire_text(std::move(head), settings_.gzip ? gzipped(body) : body);
}

Answer Collector::post(const std::string& body, std::chrono::steady_clock::time_point deadline) {
  if (cancelled_) return {Answer::Kind::cancelled, 0, "the sink was closed", {}};
  const std::string message = message_with(body);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  const Deadline last{.at = deadline, .allowed = std::max(left, std::chrono::milliseconds(0))};
  Answer answer;
  bool done = false;
  io_.restart();
  asio::co_spawn(io_, exchange(message, last),
                 asio::bind_cancellation_slot(cancel_.slot(), [&](std::exception_ptr error, Answer result) {
                   done = true;
                   if (!error) {
                     answer = std::move(result);
                     return;
                   }
                   try {
                     std::rethrow_exception(error);
                   } catch (const std::exception& thrown) {
                     answer.text = thrown.what();
                   }
                 }));
  // Not run(): a name look-up may go on for long after the exchange has ended.
  while (!done) io_.run_one();
  if (cancelled_) answer.kind = Answer::Kind::cancelled;
  return answer;
}

void Collector::cancel() {
  asio::post(io_, [this] {
    cancelled_ = true;
    cancel_.emit(asio::cancellation_type::terminal);
  });
}

asio::awaitable<Answer> Collector::exchange(const std::string& message, const Deadline& deadline) {
  for (;;) {
    std::unique_ptr<Connection> connection = std::move(idle_);
    if (connection && !connection->quiet()) connection.reset();
    const bool kept = connection != nullptr;
    if (!connection) {
      connection = std::make_unique<Connection>(io_.get_executor());
      const Fault fault = co_await connection->connect(settings_.url, settings_.tls.get(), deadline);
      if (fault) co_return Answer{Answer::Kind::unreachable, 0, fault.what, {}};
    }
    const http::Timeouts timeouts{.connect = {}, .first_byte = {}, .idle = {}, .total = {}};  // the deadline alone
    const http::SizeLimits limits{.request_bytes = 0, .reply_bytes = most_reply_bytes, .header_bytes = 64 << 10};
    Exchange exchange(std::move(connection), timeouts, limits, deadline);
    Fault fault = co_await exchange.send(message);
    if (!fault) fault = co_await exchange.read_head();
    std::string body;
    while (!fault) {
      std::string_view piece;
      fault = co_await exchange.read_some(piece);
      if (piece.empty()) break;
      body += piece;
    }
    if (fault) {
      // The collector may have given up a kept connection just now: that says nothing about a fresh one.
      if (kept && !exchange.replied() && fault.code == errc::network && !cancelled_) continue;
      const bool unreadable = fault.code == errc::bad_reply;
      co_return Answer{unreadable ? Answer::Kind::unreadable : Answer::Kind::broken, 0, fault.what, {}};
    }
    Answer answer = exchange.head().encoded
                        ? Answer{Answer::Kind::unreadable, 0, "the reply is compressed, which was not asked for", {}}
                        : read_answer(exchange.head().status, body);
    if (answer.kind == Answer::Kind::busy)
      answer.retry_after = http::detail::read_retry_after(exchange.head().retry_after, {}, std::time(nullptr));
    idle_ = exchange.finish();
    co_return answer;
  }
}

Answer Collector::read_answer(int status, std::string_view body) const {
  json::value reply;
  bool is_json = false;
  try {
    boost::system::error_code error;
    json::parse_options options;
    options.max_depth = 32;
    if (!blank(body)) {
      reply = json::parse(json::string_view(body.data(), body.size()), error, {}, options);
      is_json = !error;
    }
  } catch (const std::bad_alloc&) {  // treated as an answer without JSON
    reply = nullptr;
  }
  const json::object* object = is_json ? reply.if_object() : nullptr;
  const auto text_in = [this](const json::object* from, const char* key) -> std::string {
    const json::value* value = from ? from->if_contains(key) : nullptr;
    const json::string* text = value ? value->if_string() : nullptr;
    return text && !text->empty() ? ": " + printable({text->data(), text->size()}) : std::string();
  };

  if (status >= 200 && status <= 299) {
    if (blank(body)) return {Answer::Kind::accepted, 0, {}, {}};
    if (!object)
      return {
          Answer::Kind::unreadable, 0, "HTTP " + std::to_string(status) + ", but its body is not in OTLP's format", {}};
    const json::value* partial_value = object->if_contains("partialSuccess");
    const json::object* partial = partial_value ? partial_value->if_object() : nullptr;
    if (!partial) return {Answer::Kind::accepted, 0, {}, {}};
    const std::int64_t rejected =
        std::max<std::int64_t>(0, whole_number(partial->if_contains("rejectedDataPoints")).value_or(0));
    std::string text = text_in(partial, "errorMessage");
    if (rejected > 0)
      text = "it refused " + std::to_string(rejected) + " data points" + text;
    else if (!text.empty())
      text = "it warns" + text;
    return {Answer::Kind::accepted, rejected, std::move(text), {}};
  }
  const std::string text = "HTTP " + std::to_string(status) + text_in(object, "message");
  if (status == 429 || (status >= 502 && status <= 504)) return {Answer::Kind::busy, 0, text, {}};
  if (status == 413) return {Answer::Kind::too_large, 0, text, {}};
  return {Answer::Kind::refused, 0, text, {}};
}

std::string Collector::printable(std::string_view text) const {
  std::string shown(text.substr(0, most_reply_bytes));
  // A collector that repeats what it was sent must not bring a key into the log: `Bearer KEY` may come back as KEY.
  for (const auto& [name, value] : settings_.headers) {
    std::string_view rest = value;
    while (!rest.empty()) {
      const std::size_t length = std::min(rest.find_first_of(" \t=:,;"), rest.size());
      const std::string_view word = rest.substr(0, length);
      rest.remove_prefix(std::min(length + 1, rest.size()));
      if (word.size() < 4) continue;
      for (std::size_t at = shown.find(word); at != shown.npos; at = shown.find(word, at + 3))
        shown.replace(at, word.size(), "***");
    }
  }
  if (shown.size() > most_logged) shown.resize(most_logged), shown += "...";
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F) c = '?';
  return shown;
}

}  // namespace outlay::detail
