#include "gateway/client.hpp"

#include <sys/socket.h>

#include <array>
#include <boost/asio/buffer.hpp>
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

constexpr std::size_t one_read = std::size_t{16} << 10;

Incoming bad(int status, std::string why) { return {Incoming::End::bad, status, std::move(why)}; }

}  // namespace

std::string_view Request::field(std::string_view name) const {
  return view(fields[boost::beast::string_view(name.data(), name.size())]);
}

Client::Client(Socket socket, const GatewayLimits& limits, std::shared_ptr<asio::ssl::context> tls)
    : socket_(std::move(socket)),
      tls_context_(std::move(tls)),
      timer_(socket_.get_executor()),
      ahead_ended_(socket_.get_executor()),
      limits_(limits) {
  if (!tls_context_) return;
  tls_.emplace(socket_, *tls_context_);
  ahead_.resize(one_read);
}

asio::awaitable<bool> Client::shake_hands() {
  if (!tls_) co_return true;
  expire_after(limits_.head);
  error_code error;
  co_await tls_->async_handshake(asio::ssl::stream_base::server, asio::redirect_error(asio::use_awaitable, error));
  no_expiry();
  co_return !error;
}

void Client::expire_after(std::chrono::milliseconds allowed) {
  expired_ = false;
  cancel_after(allowed, ++expiry_);
}

void Client::cancel_after(std::chrono::milliseconds allowed, std::uint64_t setting) {
  timer_.expires_after(allowed);
  timer_.async_wait([weak = weak_from_this(), setting](const error_code& error) {
    const auto self = weak.lock();
    if (error || !self || self->expiry_ != setting) return;
    self->expired_ = true;
    error_code ignored;
    self->socket_.cancel(ignored);
    // What has just ended is not cancelled, and may be followed by the next piece.
    self->cancel_after(std::chrono::milliseconds(100), setting);
  });
}

void Client::no_expiry() noexcept {
  ++expiry_;
  timer_.cancel();
}

asio::awaitable<bool> Client::receive_within_expiry() {
  if (expired_) co_return false;
  error_code error;
  if (!tls_) {
    const std::size_t got =
        co_await socket_.async_read_some(buffer_.prepare(one_read), asio::redirect_error(asio::use_awaitable, error));
    buffer_.commit(got);
    co_return !error;
  }
  if (!waiting_) read_ahead();
  co_await until_read_ahead();
  co_return !ahead_failed_;
}

/// A TLS stream may have one read at a time, and what its socket holds may be no data. So reading and watching are one thing.
void Client::read_ahead() {
  waiting_ = true;
  // The stream has to live until its read has ended: close() ends it.
  tls_->async_read_some(asio::buffer(ahead_), [self = shared_from_this()](const error_code& error, std::size_t got) {
    self->waiting_ = false;
    self->buffer_.commit(asio::buffer_copy(self->buffer_.prepare(got), asio::buffer(self->ahead_, got)));
    self->ahead_failed_ = static_cast<bool>(error);
    self->ahead_ended_.cancel();
    if (!error || !self->busy_) return;
    self->gone_ = true;
    self->signal_.emit(asio::cancellation_type::terminal);
  });
}

asio::awaitable<void> Client::until_read_ahead() {
  while (waiting_) {
    error_code ignored;
    ahead_ended_.expires_at(std::chrono::steady_clock::time_point::max());
    co_await ahead_ended_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

asio::awaitable<bool> Client::receive(std::chrono::milliseconds allowed) {
  expire_after(allowed);
  const bool received = co_await receive_within_expiry();
  no_expiry();
  co_return received;
}

asio::awaitable<Incoming> Client::read(Request& request) {
  const auto bytes = [this] {
    return std::string_view(static_cast<const char*>(buffer_.data().data()), buffer_.size());
  };
  if (buffer_.size() == 0) {
    if (stopped_ || !co_await receive(limits_.idle)) co_return Incoming{};
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
    if (!co_await receive_within_expiry()) {
      if (!expired_) co_return Incoming{};
      co_return bad(408, "The request's head did not arrive within " + std::to_string(limits_.head.count()) +
                             " ms (limit head).");
    }
  }
  no_expiry();
  if (check.size() > limits_.head_bytes)
    co_return bad(
        431, "The request's head is longer than " + std::to_string(limits_.head_bytes) + " bytes (limit head_bytes).");

  beast_http::request_parser<beast_http::string_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(std::min<std::size_t>(check.size() + 1, UINT32_MAX)));
  parser.body_limit(limits_.body_bytes);
  error_code error;
  buffer_.consume(parser.put(buffer_.data(), error));
  // The head's own: what comes behind the chunks of a body was not checked, and stays out.
  request.fields = parser.get().base();
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
    if (buffer_.size() > limits_.head_bytes + one_read)
      co_return bad(400, "The request was not read: a chunk's line is too long.");
    if ((error || buffer_.size() == 0) && !co_await receive(limits_.body)) {
      if (!expired_) co_return Incoming{};
      co_return bad(408, "Nothing of the request's body arrived for " + std::to_string(limits_.body.count()) +
                             " ms (limit body).");
    }
  }
  auto message = parser.release();
  request.method = std::string(view(message.method_string()));
  request.target = std::string(view(message.target()));
  request.http10 = message.version() == 10;
  request.keep_alive = message.keep_alive();
  request.body = std::move(message.body());
  co_return Incoming{Incoming::End::request, 0, {}};
}

asio::awaitable<void> Client::write(std::string_view bytes) { return write(bytes, {}); }

asio::awaitable<void> Client::write(std::string_view head, std::string_view body) {
  const std::array<asio::const_buffer, 2> buffers{asio::buffer(head.data(), head.size()),
                                                  asio::buffer(body.data(), body.size())};
  // One that takes a large reply in small pieces has the allowance for each 64 KiB.
  expire_after(limits_.body * (1 + (head.size() + body.size()) / (std::size_t{64} << 10)));
  error_code error;
  if (tls_)
    co_await asio::async_write(*tls_, buffers, asio::redirect_error(asio::use_awaitable, error));
  else
    co_await asio::async_write(socket_, buffers, asio::redirect_error(asio::use_awaitable, error));
  no_expiry();
  if (error) throw boost::system::system_error(error);
}

void Client::watch() {
  busy_ = true;
  wait_for_readable();
}

void Client::wait_for_readable() {
  if (waiting_) return;
  if (tls_) {
    // What has come already is the next request: whether the client stays is not seen until that has been read.
    if (buffer_.size() == 0) read_ahead();
    return;
  }
  waiting_ = true;
  socket_.async_wait(Socket::wait_read, [weak = weak_from_this()](const error_code& error) {
    const auto self = weak.lock();
    if (!self) return;
    self->waiting_ = false;
    if (error || !self->busy_) return;
    char byte{};
    const auto got = ::recv(self->socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    // A client that has sent its next request already is there; whether it stays is not seen until that has been read.
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))) return;
    self->gone_ = true;
    self->signal_.emit(asio::cancellation_type::terminal);
  });
}

void Client::cancel(bool force) {
  stopped_ = true;
  if (!force && busy_) return;
  if (force) {
    signal_.emit(asio::cancellation_type::terminal);
  } else {
    error_code ignored;
    socket_.cancel(ignored);
  }
}

asio::awaitable<void> Client::finish() {
  if (tls_ && socket_.is_open()) {
    error_code ignored;
    socket_.cancel(ignored);
    co_await until_read_ahead();
    expire_after(std::chrono::seconds(2));
    co_await tls_->async_shutdown(asio::redirect_error(asio::use_awaitable, ignored));
    no_expiry();
  }
  close();
}

asio::awaitable<void> Client::linger() {
  // Closing a socket with unread bytes in it resets the connection, and the answer may be lost with it.
  error_code ignored;
  if (!tls_) socket_.shutdown(Socket::shutdown_send, ignored);
  expire_after(std::chrono::seconds(2));
  for (std::size_t most = 64; most > 0 && !expired_; --most) {
    buffer_.clear();
    if (!co_await receive_within_expiry()) break;
  }
  no_expiry();
  close();
}

void Client::close() noexcept {
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace outlay::gateway::detail
