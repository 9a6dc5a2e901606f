#include "exchange.hpp"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <limits>

namespace outlay::http::detail {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;
using boost::system::error_code;
using Clock = Watchdog::Clock;

namespace {

std::string text_of(boost::beast::string_view value) { return {value.data(), value.size()}; }

}  // namespace

Clock::time_point after(std::chrono::milliseconds time) noexcept {
  if (time.count() <= 0) return Clock::time_point::max();
  return Clock::now() + std::min<std::chrono::milliseconds>(time, std::chrono::hours(24 * 365));
}

void Exchange::allow(std::chrono::milliseconds time) { connection_->watchdog().set(std::min(after(time), last_)); }

Fault Exchange::fault(const error_code& error, const char* doing) {
  const bool late = connection_->watchdog().fired();
  close();
  const std::string where(doing);
  if (late) return {errc::timed_out, false, where + ": no more came in time"};
  if (error == beast_http::error::header_limit)
    return {errc::bad_reply, false, where + ": the head exceeds SizeLimits::header_bytes"};
  if (error == beast_http::error::body_limit)
    return {errc::bad_reply, false, where + ": the body exceeds SizeLimits::reply_bytes"};
  if (error == beast_http::error::end_of_stream || error == beast_http::error::partial_message ||
      error == asio::error::eof || error == asio::ssl::error::stream_truncated)
    return {errc::network, false, where + ": the connection was closed"};
  if (error.category() == beast_http::make_error_code(beast_http::error::end_of_stream).category())
    return {errc::bad_reply, false, where + ": this is no HTTP reply: " + error.message()};
  return {errc::network, false, where + ": " + error.message()};
}

asio::awaitable<Fault> Exchange::send(std::string_view message) {
  while (sent_bytes_ < message.size()) {
    allow(timeouts_.idle);
    error_code error;
    const asio::const_buffer rest = asio::buffer(message.data() + sent_bytes_, message.size() - sent_bytes_);
    sent_bytes_ += co_await connection_->async_write_some(rest, asio::redirect_error(asio::use_awaitable, error));
    if (connection_->watchdog().fired()) co_return fault(error, "sending the request");
    if (error) co_return Fault{errc::network, false, "sending the request: " + error.message()};
  }
  co_return Fault{};
}

void Exchange::new_parser() {
  const auto header_bytes = static_cast<std::uint32_t>(
      std::min<std::size_t>(limits_.header_bytes, std::numeric_limits<std::uint32_t>::max()));
  parser_ = std::make_unique<Parser>();
  parser_->header_limit(header_bytes);
  parser_->body_limit(limits_.reply_bytes);
  // The parser has no limit for what it must see as a whole between two pieces of a body: a chunk's extensions, the trailers.
  constexpr std::size_t one_read = std::size_t{64} << 10;
  connection_->buffer().max_size(header_bytes + one_read);
}

asio::awaitable<Fault> Exchange::read_head() {
  // One allowance for the whole head: one that drips or never ends is as late as one that never begins.
  allow(timeouts_.first_byte);
  for (int interim = 0; interim < 8; ++interim) {
    new_parser();
    error_code error;
    while (!error && !parser_->is_header_done()) {
      const std::size_t got = co_await beast_http::async_read_some(*connection_, connection_->buffer(), *parser_,
                                                                   asio::redirect_error(asio::use_awaitable, error));
      replied_ = replied_ || got > 0 || parser_->got_some() || connection_->buffer().size() > 0;
    }
    if (error || connection_->watchdog().fired()) co_return fault(error, "waiting for the reply");
    const auto& reply = parser_->get();
    if (reply.result_int() >= 100 && reply.result_int() <= 199) continue;  // "103 Early Hints" and the like
    head_.status = static_cast<int>(reply.result_int());
    head_.retry_after = text_of(reply[beast_http::field::retry_after]);
    head_.retry_after_ms = text_of(reply["retry-after-ms"]);
    for (const char* name : {"x-request-id", "request-id", "apim-request-id", "x-amzn-requestid"})
      if (head_.request_id.empty()) head_.request_id = text_of(reply[name]);
    const auto encoding = reply[beast_http::field::content_encoding];
    head_.encoded = !encoding.empty() && encoding != "identity";
    co_return Fault{};
  }
  co_return fault(beast_http::error::bad_status, "waiting for the reply");
}

asio::awaitable<Fault> Exchange::read_some(std::string_view& piece) {
  piece = {};
  while (!parser_->is_done()) {
    allow(timeouts_.idle);
    auto& body = parser_->get().body();
    body.data = piece_.data();
    body.size = piece_.size();
    body.more = true;
    error_code error;
    co_await beast_http::async_read_some(*connection_, connection_->buffer(), *parser_,
                                         asio::redirect_error(asio::use_awaitable, error));
    if (error == beast_http::error::need_buffer) error = {};
    const std::size_t got = piece_.size() - body.size;
    body_bytes_ += got;
    // What arrived before the connection broke is the caller's: it may hold a usage. The break is met at the next call.
    if (got > 0) {
      if (body_bytes_ > limits_.reply_bytes) co_return fault(beast_http::error::body_limit, "reading the reply");
      piece = {piece_.data(), got};
      co_return Fault{};
    }
    if (error || connection_->watchdog().fired()) co_return fault(error, "reading the reply");
  }
  co_return Fault{};
}

std::unique_ptr<Connection> Exchange::finish() {
  std::unique_ptr<Connection> connection = std::move(connection_);
  const bool fit = connection && done() && parser_->keep_alive() && connection->open() &&
                   !connection->watchdog().fired() && connection->buffer().size() == 0;
  if (!fit) connection.reset();
  return connection;
}

}  // namespace outlay::http::detail
