#include "exchange.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/serializer.hpp>
#include <limits>

namespace outlay::http::detail {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace beast_http = boost::beast::http;
using boost::system::error_code;

namespace {

std::string text_of(beast::string_view value) { return {value.data(), value.size()}; }

}  // namespace

Fault Exchange::fault(const error_code& error, const char* doing, const Deadline& deadline) {
  close();
  const std::string where(doing);
  if (error == beast::error::timeout) return {errc::timed_out, false, where + ": " + deadline.words()};
  if (error == beast_http::error::header_limit)
    return {errc::bad_reply, false,
            where + ": the head exceeds SizeLimits::header_bytes, " + std::to_string(limits_.header_bytes) + " bytes"};
  if (error == beast_http::error::body_limit)
    return {errc::bad_reply, false,
            where + ": the body exceeds SizeLimits::reply_bytes, " + std::to_string(limits_.reply_bytes) + " bytes"};
  if (error == beast_http::error::end_of_stream || error == beast_http::error::partial_message ||
      error == asio::error::eof || error == asio::ssl::error::stream_truncated)
    return {errc::network, false, where + ": the connection was closed"};
  if (error.category() == beast_http::make_error_code(beast_http::error::end_of_stream).category())
    return {errc::bad_reply, false, where + ": the reply is not valid HTTP: " + error.message()};
  return {errc::network, false, where + ": " + error.message()};
}

std::string wire_text(beast_http::request<beast_http::empty_body> head, std::string_view body) {
  head.content_length(body.size());
  std::string text;
  text.reserve(1024 + body.size());
  beast_http::request_serializer<beast_http::empty_body> serializer(head);
  while (!serializer.is_done()) {
    error_code never;
    serializer.next(never, [&](error_code&, const auto& buffers) {
      const std::size_t before = text.size();
      for (const asio::const_buffer buffer : beast::buffers_range_ref(buffers))
        text.append(static_cast<const char*>(buffer.data()), buffer.size());
      serializer.consume(text.size() - before);
    });
  }
  return text.append(body);
}

Fault Exchange::send_fault(const error_code& error, const Deadline& deadline) {
  if (error == beast::error::timeout) return fault(error, "sending the request", deadline);
  return {errc::network, false, "sending the request: " + error.message()};
}

bool Exchange::send_now(std::string_view message, Fault& failed) {
  const error_code error = connection_->write_now(message.substr(sent_bytes_), sent_bytes_);
  if (error == asio::error::would_block) return false;
  if (error) failed = send_fault(error, {});
  return error || sent_bytes_ == message.size();
}

asio::awaitable<Fault> Exchange::send(std::string_view message) {
  while (sent_bytes_ < message.size()) {
    const Deadline deadline = earlier(last_, within(timeouts_.idle, "without progress"));
    const error_code error = co_await connection_->write_some(message.substr(sent_bytes_), sent_bytes_, deadline.at);
    if (error) co_return send_fault(error, deadline);
  }
  co_return Fault{};
}

void Exchange::new_parser() {
  const auto header_bytes = static_cast<std::uint32_t>(
      std::min<std::size_t>(limits_.header_bytes, std::numeric_limits<std::uint32_t>::max()));
  parser_ = std::make_unique<Parser>();
  parser_->header_limit(header_bytes);
  parser_->body_limit(limits_.reply_bytes);
  if (no_body_) parser_->skip(true);
  // The parser has no limit for what it must see as a whole between two pieces of a body: a chunk's extensions, the trailers.
  constexpr std::size_t one_read = std::size_t{64} << 10;
  connection_->buffer().max_size(header_bytes + one_read);
}

error_code Exchange::parse() {
  beast::flat_buffer& buffer = connection_->buffer();
  if (buffer.size() == 0) return beast_http::error::need_more;
  error_code error;
  buffer.consume(parser_->put(buffer.data(), error));
  return error;
}

error_code Exchange::received(error_code error) {
  replied_ = replied_ || connection_->buffer().size() > 0;
  if (error != asio::error::eof) return error;
  if (!parser_->got_some()) return beast_http::error::end_of_stream;
  error = {};
  parser_->put_eof(error);
  return error;
}

asio::awaitable<Fault> Exchange::read_head() {
  // One allowance for the whole head: one that drips or never ends is as late as one that never begins.
  const Deadline deadline = earlier(last_, within(timeouts_.first_byte, "without a complete head"));
  for (int interim = 0; interim < 8; ++interim) {
    new_parser();
    while (!parser_->is_header_done()) {
      error_code error = parse();
      if (error == beast_http::error::need_more) error = received(co_await connection_->read_some(deadline.at));
      if (error) co_return fault(error, "waiting for the reply", deadline);
    }
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
  co_return fault(beast_http::error::bad_status, "waiting for the reply", deadline);
}

bool Exchange::read_now(std::string_view& piece, Fault& failed) {
  piece = {};
  while (!parser_->is_done()) {
    std::string_view& body = parser_->get().body();
    body = {};
    const error_code error = parse();
    body_bytes_ += body.size();
    if (body_bytes_ > limits_.reply_bytes) {
      failed = fault(beast_http::error::body_limit, "reading the reply", last_);
      return true;
    }
    // What came before an error is the caller's: it may hold a usage. The error is met again at the next call.
    if (!body.empty()) {
      piece = body;  // the buffer moves nothing until it is read into again
      return true;
    }
    if (error == beast_http::error::need_more) return false;
    if (error) {
      failed = fault(error, "reading the reply", {});
      return true;
    }
  }
  return true;
}

asio::awaitable<Fault> Exchange::read_some(std::string_view& piece) {
  Fault failed;
  while (!read_now(piece, failed)) {
    const Deadline deadline = earlier(last_, within(timeouts_.idle, "without data"));
    const error_code error = received(co_await connection_->read_some(deadline.at));
    if (error) co_return fault(error, "reading the reply", deadline);
  }
  co_return failed;
}

std::unique_ptr<Connection> Exchange::finish() {
  std::unique_ptr<Connection> connection = std::move(connection_);
  const bool fit =
      connection && done() && parser_->keep_alive() && connection->open() && connection->buffer().size() == 0;
  return fit ? std::move(connection) : nullptr;
}

}  // namespace outlay::http::detail
