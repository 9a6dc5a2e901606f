#include "gateway/client.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/system/system_error.hpp>

#include "gateway/head.hpp"

namespace outlay::gateway::detail {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr std::size_t most_read = std::size_t{16} << 10;

Incoming bad(int status, std::string why) { return {Incoming::End::bad, status, std::move(why)}; }

}  // namespace

std::string_view Request::field(std::string_view name) const {
  return view(fields[boost::beast::string_view(name.data(), name.size())]);
}

Client::Client(Socket socket, std::size_t strand, const GatewayLimits& limits, std::shared_ptr<asio::ssl::context> tls)
    : socket_(std::move(socket)), strand_(strand), tls_context_(std::move(tls)), limits_(limits) {
  if (tls_context_) tls_.emplace(socket_, *tls_context_);
}

asio::awaitable<bool> Client::shake_hands() {
  if (!tls_) co_return true;
  expire_after(limits_.head);
  error_code error;
  co_await tls_->async_handshake(asio::ssl::stream_base::server, asio::redirect_error(asio::use_awaitable, error));
  expiry_.clear();
  co_return !error;
}

void Client::expire_after(std::chrono::milliseconds allowed) {
  expiry_.set(http::detail::Expiry::Clock::now() + allowed);
}

asio::awaitable<bool> Client::receive() {
  if (expiry_.expired()) co_return false;
  if (!reading_) start_read();
  co_await until_read();
  co_return !read_failed_;
}

/// One read may be under way at a time: it is also what shows, while a request is served, that the client has hung up.
void Client::start_read() {
  reading_ = true;
  const auto room = buffer_.prepare(one_read_);
  // A TLS stream has to live until its read has ended: close() ends it.
  auto ended = [self = shared_from_this(), size = room.size()](const error_code& error, std::size_t got) {
    self->reading_ = false;
    self->read_failed_ = static_cast<bool>(error);
    self->buffer_.commit(got);
    // Most send little; a long body comes in large pieces.
    if (got == size) self->one_read_ = std::min(2 * size, most_read);
    if (self->reader_) {
      auto resume = std::move(self->reader_);
      std::move(resume)();
    } else if (error && self->busy_) {
      self->gone_ = true;
      self->signal_.emit(asio::cancellation_type::terminal);
    }
  };
  if (tls_)
    tls_->async_read_some(room, std::move(ended));
  else
    socket_.async_read_some(room, std::move(ended));
}

asio::awaitable<void> Client::until_read() {
  return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [this](auto handler) {
        // Not by assignment, which Boost 1.81 has wrong.
        asio::any_completion_handler<void()>([h = std::move(handler)]() mutable {
          asio::dispatch(std::move(h));
        }).swap(reader_);
      },
      asio::use_awaitable);
}

asio::awaitable<Incoming> Client::read(Request& request) {
  const auto bytes = [this] {
    return std::string_view(static_cast<const char*>(buffer_.data().data()), buffer_.size());
  };
  if (buffer_.size() == 0) {
    expire_after(limits_.idle);
    if (stopped_ || !co_await receive()) co_return Incoming{};
  }
  // One allowance for the whole head: one that comes byte by byte is as late as one that never begins.
  expire_after(limits_.head);
  HeadCheck check;
  for (HeadCheck::State state; (state = check.look(bytes())) != HeadCheck::State::whole;) {
    if (state == HeadCheck::State::bad)
      co_return bad(400, std::string("The request was not read: ") + check.why() + ".");
    if (buffer_.size() > limits_.head_bytes)
      co_return bad(431, "The request's head is longer than " + std::to_string(limits_.head_bytes) +
                             " bytes (limit head_bytes).");
    if (!co_await receive()) {
      if (!expiry_.expired()) co_return Incoming{};
      co_return bad(408, "The request's head did not arrive within " + std::to_string(limits_.head.count()) +
                             " ms (limit head).");
    }
  }
  expiry_.clear();
  if (check.size() > limits_.head_bytes)
    co_return bad(
        431, "The request's head is longer than " + std::to_string(limits_.head_bytes) + " bytes (limit head_bytes).");

  beast_http::request_parser<beast_http::string_body> parser;
  // Room for what stands behind the chunks, which some versions of Beast count, too.
  parser.header_limit(static_cast<std::uint32_t>(std::min<std::size_t>(check.size() + limits_.head_bytes, UINT32_MAX)));
  parser.body_limit(limits_.body_bytes);
  error_code error;
  buffer_.consume(parser.put(buffer_.data(), error));
  // What comes behind the chunks of a body was not checked, and stays out.
  const bool chunked = parser.chunked();
  if (chunked) request.fields = parser.get().base();
  const auto too_long = [&] {
    return bad(
        413, "The request's body is longer than " + std::to_string(limits_.body_bytes) + " bytes (limit body_bytes).");
  };
  if (error == beast_http::error::body_limit) co_return too_long();
  if (error && error != beast_http::error::need_more)
    co_return bad(400, "The request was not read: its head is not valid HTTP.");
  const std::string_view expect = view(parser.get()[beast_http::field::expect]);
  if (!expect.empty()) {
    if (!same_word(expect, "100-continue")) co_return bad(417, "Only \"Expect: 100-continue\" is supported.");
    if (!parser.is_done()) co_await write("HTTP/1.1 100 Continue\r\n\r\n");
  }
  // Between two chunks the parser must see a whole line: its length, and the trailers behind the last one.
  while (!parser.is_done()) {
    error = {};
    if (buffer_.size() != 0) buffer_.consume(parser.put(buffer_.data(), error));
    if (error == beast_http::error::body_limit) co_return too_long();
    if (error && error != beast_http::error::need_more)
      co_return bad(400, "The request was not read: its body is not valid HTTP.");
    if (parser.is_done()) break;
    if (buffer_.size() > limits_.head_bytes + most_read)
      co_return bad(400, "The request was not read: a chunk's line is too long.");
    if (!error && buffer_.size() != 0) continue;
    expire_after(limits_.body);
    if (!co_await receive()) {
      if (!expiry_.expired()) co_return Incoming{};
      co_return bad(408, "Nothing of the request's body arrived for " + std::to_string(limits_.body.count()) +
                             " ms (limit body).");
    }
  }
  expiry_.clear();
  auto message = parser.release();
  request.method = std::string(view(message.method_string()));
  request.target = std::string(view(message.target()));
  request.http10 = message.version() == 10;
  request.keep_alive = message.keep_alive();
  request.body = std::move(message.body());
  if (!chunked) request.fields = std::move(message.base());
  co_return Incoming{Incoming::End::request, 0, {}};
}

asio::awaitable<void> Client::write(std::string_view bytes) { return write(bytes, {}); }

asio::awaitable<void> Client::write(std::string_view head, std::string_view body) {
  std::array<asio::const_buffer, 2> buffers{asio::buffer(head.data(), head.size()),
                                            asio::buffer(body.data(), body.size())};
  error_code error;
  // Nearly always there is room, and nothing has to be waited for. But a client that asks on and on, or is given many small pieces that have
  // all arrived, must not keep the others of its strand from their turn: a write that is waited for gives it to them.
  constexpr unsigned most_in_turn = 16;
  if (!tls_ && ++writes_ % most_in_turn != 0) {
    const std::size_t sent = socket_.write_some(buffers, error);
    if (sent == head.size() + body.size()) co_return;
    if (error && error != asio::error::would_block) throw boost::system::system_error(error);
    buffers[0] += sent;
    buffers[1] += sent - std::min(sent, head.size());
    error = {};
  }
  // One that takes a large reply in small pieces has the allowance for each 64 KiB.
  expire_after(limits_.body * (1 + (head.size() + body.size()) / (std::size_t{64} << 10)));
  if (tls_)
    co_await asio::async_write(*tls_, buffers, asio::redirect_error(asio::use_awaitable, error));
  else
    co_await asio::async_write(socket_, buffers, asio::redirect_error(asio::use_awaitable, error));
  expiry_.clear();
  if (error) throw boost::system::system_error(error);
}

void Client::watch() {
  busy_ = true;
  // What has come already is the next request: whether the client stays is not seen until that has been read.
  if (!reading_ && buffer_.size() == 0) start_read();
}

void Client::cancel(bool force) {
  stopped_ = true;
  if (!force && busy_) return;
  if (force) signal_.emit(asio::cancellation_type::terminal);
  error_code ignored;
  socket_.cancel(ignored);
}

asio::awaitable<void> Client::finish() {
  if (tls_ && socket_.is_open()) {
    error_code ignored;
    socket_.cancel(ignored);
    if (reading_) co_await until_read();
    expire_after(std::chrono::seconds(2));
    co_await tls_->async_shutdown(asio::redirect_error(asio::use_awaitable, ignored));
    expiry_.clear();
  }
  close();
}

asio::awaitable<void> Client::linger() {
  // Closing a socket with unread bytes in it resets the connection, and the answer may be lost with it.
  error_code ignored;
  if (!tls_) socket_.shutdown(Socket::shutdown_send, ignored);
  expire_after(std::chrono::seconds(2));
  for (std::size_t most = 64; most > 0 && !expiry_.expired(); --most) {
    buffer_.clear();
    if (!co_await receive()) break;
  }
  expiry_.clear();
  close();
}

void Client::close() noexcept {
  expiry_.rest();
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace outlay::gateway::detail
