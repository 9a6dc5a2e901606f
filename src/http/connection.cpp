#include "connection.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>
#include <cerrno>
#include <exception>

#include "outlay/asio/context_executor.hpp"

namespace outlay::http::detail {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = Deadline::Clock;

namespace {

auto into(error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

/// Carries a cancellation to the strand of what it cancels, and only as long as that runs. Asio's co_spawn carries it, too, but with
/// Boost 1.81 the strand may find the signal destroyed when it gets there.
struct Relay {
  explicit Relay(asio::any_io_executor s) : strand(std::move(s)) {}
  asio::any_io_executor strand;
  asio::cancellation_signal signal{};  // on the strand alone, as is `over`
  bool over = false;
};

/// Runs an operation on a strand, and resumes the caller outside of it with what the operation ended with.
///
/// \param work `void(auto handler)`: runs on the strand, and starts the operation with this handler.
/// \param over `void(Results&...)`: runs on the strand when it has ended.
template <class... Results, class Start, class Over>
asio::awaitable<std::tuple<Results...>> run_on(asio::any_io_executor where, Start work, Over over) {
  return asio::async_initiate<const asio::as_tuple_t<asio::use_awaitable_t<>>, void(Results...)>(
      [](auto handler, const asio::any_io_executor& strand, Start start, Over at_end) {
        // Tracked: the caller's io_context may have nothing else to run meanwhile.
        asio::any_io_executor caller =
            asio::prefer(asio::get_associated_executor(handler), asio::execution::outstanding_work.tracked);
        const auto relay = std::make_shared<Relay>(strand);
        if (asio::cancellation_slot slot = asio::get_associated_cancellation_slot(handler); slot.is_connected())
          slot.assign([weak = std::weak_ptr(relay)](asio::cancellation_type type) {
            if (const auto alive = weak.lock())
              asio::dispatch(alive->strand, [alive, type] {
                // Asio's coroutines and TLS let only this kind through: the others must not lose what was read.
                const bool terminal = (type & asio::cancellation_type::terminal) != asio::cancellation_type::none;
                if (!alive->over && terminal) alive->signal.emit(type);
              });
          });
        auto end = [relay, caller = std::move(caller), h = std::move(handler),
                    at_end = std::move(at_end)](Results... results) mutable {
          relay->over = true;
          at_end(results...);
          // Never inline: the caller's own code must not run on the strand, on which the next user of a pooled connection may wait.
          asio::post(caller,
                     [h = std::move(h), ... r = std::move(results)]() mutable { std::move(h)(std::move(r)...); });
        };
        asio::dispatch(strand, [start = std::move(start),
                                handler = asio::bind_cancellation_slot(
                                    relay->signal.slot(), asio::bind_executor(strand, std::move(end)))]() mutable {
          start(std::move(handler));
        });
      },
      asio::as_tuple(asio::use_awaitable), std::move(where), std::move(work), std::move(over));
}

bool unreachable(const error_code& error) {
  return error == asio::error::connection_refused || error == asio::error::connection_reset ||
         error == asio::error::network_unreachable || error == asio::error::host_unreachable ||
         error == asio::error::network_down;
}

}  // namespace

std::string Deadline::words() const {
  const auto tenths = (allowed.count() + 50) / 100;
  std::string text = "timed out after ";
  if (tenths == 0) {
    text += std::to_string(allowed.count()) + " ms";
  } else {
    text += std::to_string(tenths / 10) + (tenths % 10 == 0 ? "" : "." + std::to_string(tenths % 10)) + " s";
  }
  return *waited_for ? text + " " + waited_for : text;
}

Deadline within(std::chrono::milliseconds allowed, const char* waited_for) noexcept {
  if (allowed.count() <= 0) return {};
  allowed = std::min<std::chrono::milliseconds>(allowed, std::chrono::hours(24 * 365));
  return {Clock::now() + allowed, allowed, waited_for};
}

asio::any_io_executor own_strand(const asio::any_io_executor& executor) {
  // By reference. Asio's own over any_io_executor is too large for an any_io_executor, which would count its copies with a fence that
  // ThreadSanitizer does not see.
  using Strand = asio::strand<asio::any_io_executor>;
  return outlay::detail::SharedExecutor<Strand>(Strand(executor));
}

asio::awaitable<Fault> Connection::connect(const Url& url, asio::ssl::context* tls, const Deadline& deadline) {
  if (callers_ == Callers::on_strand) co_return co_await connect_here(url, tls, deadline);
  const asio::any_io_executor strand = socket_.get_executor();
  // Named, since g++ 12 destroys a temporary of an awaited expression twice.
  auto start = [strand, work = connect_here(url, tls, deadline)](auto handler) mutable {
    asio::co_spawn(strand, std::move(work), std::move(handler));
  };
  const auto nothing = [](std::exception_ptr&, Fault&) {};
  auto [error, fault] = co_await run_on<std::exception_ptr, Fault>(strand, std::move(start), nothing);
  if (error) std::rethrow_exception(error);
  co_return std::move(fault);
}

error_code Connection::outcome(const error_code& error) const noexcept {
  return error == asio::error::operation_aborted && expiry_.expired() ? error_code(beast::error::timeout) : error;
}

error_code Connection::outcome_here(const error_code& error) noexcept {
  if (callers_ != Callers::on_strand) return error;
  expiry_.clear();
  return outcome(error);
}

// Without a coroutine of its own: a reply comes in many pieces.
template <class Start>
asio::awaitable<Connection::Moved> Connection::move_bytes(Clock::time_point deadline, Start start) {
  if (callers_ == Callers::on_strand) {
    expiry_.set(deadline);
    const auto token = asio::as_tuple(asio::use_awaitable);
    return tls_ ? start(*tls_, token) : start(socket_, token);
  }
  auto begin = [this, deadline, start](auto handler) {
    if (Clock::now() >= deadline) return std::move(handler)(beast::error::timeout, 0);
    expiry_.set(deadline);
    if (tls_)
      start(*tls_, std::move(handler));
    else
      start(socket_, std::move(handler));
  };
  auto over = [this](error_code& error, std::size_t&) {
    expiry_.rest();
    error = outcome(error);
  };
  return run_on<error_code, std::size_t>(socket_.get_executor(), begin, over);
}

asio::awaitable<error_code> Connection::write_some(std::string_view bytes, std::size_t& sent,
                                                   Clock::time_point deadline) {
  // The timer cancels only what has to wait.
  if (callers_ == Callers::on_strand && Clock::now() >= deadline) co_return beast::error::timeout;
  const asio::const_buffer buffer(bytes.data(), bytes.size());
  const auto [error, bytes_sent] = co_await move_bytes(
      deadline, [buffer](auto& stream, auto token) { return stream.async_write_some(buffer, std::move(token)); });
  sent += bytes_sent;
  co_return outcome_here(error);
}

error_code Connection::write_now(std::string_view bytes, std::size_t& sent) noexcept {
  error_code error = asio::error::would_block;
  if (callers_ == Callers::on_strand && !tls_)
    sent += socket_.write_some(asio::const_buffer(bytes.data(), bytes.size()), error);
  return error;
}

asio::awaitable<error_code> Connection::read_some(Clock::time_point deadline) {
  constexpr std::size_t most_read = std::size_t{64} << 10;
  const std::size_t room = std::min(one_read_, buffer_.max_size() - buffer_.size());
  if (room == 0) co_return beast::http::error::buffer_overflow;
  if (callers_ == Callers::on_strand && Clock::now() >= deadline) co_return beast::error::timeout;
  const auto free = buffer_.prepare(room);
  const auto [error, arrived] = co_await move_bytes(
      deadline, [free](auto& stream, auto token) { return stream.async_read_some(free, std::move(token)); });
  buffer_.commit(arrived);
  // Most replies and pieces of streams are short; a long body comes in large pieces.
  if (arrived == one_read_) one_read_ = std::min(2 * one_read_, most_read);
  co_return outcome_here(error);
}

asio::awaitable<Fault> Connection::connect_here(const Url& url, asio::ssl::context* tls, const Deadline& deadline) {
  Endpoints endpoints;
  Fault fault = co_await look_up(url, endpoints, deadline);
  if (!fault) fault = co_await connect_to(endpoints, deadline);
  if (!fault && tls) fault = co_await shake_hands(url, *tls, deadline);
  expiry_.rest();
  co_return fault;
}

asio::awaitable<Fault> Connection::look_up(const Url& url, Endpoints& endpoints, const Deadline& deadline) {
  error_code error;
  const asio::ip::address literal = asio::ip::make_address(url.host, error);
  if (!error) {
    endpoints.emplace_back(literal, url.port);
    co_return Fault{};
  }
  // Asio looks names up on a thread of its own, in a call that nothing can interrupt. So the coroutine waits for a timer, which the
  // answer, the deadline or a cancellation ends; an answer that comes after the coroutine has gone on is dropped.
  struct Answer {
    explicit Answer(const asio::any_io_executor& strand) : awaited(strand) {}
    asio::steady_timer awaited;
    std::optional<error_code> error{};
    Endpoints endpoints{};
  };
  const asio::any_io_executor strand = socket_.get_executor();
  const auto answer = std::make_shared<Answer>(strand);
  answer->awaited.expires_at(deadline.at);
  tcp::resolver resolver(strand);
  resolver.async_resolve(url.host, std::to_string(url.port), tcp::resolver::numeric_service,
                         [answer](const error_code& failed, const tcp::resolver::results_type& results) {
                           answer->error = failed;
                           for (const auto& result : results) answer->endpoints.push_back(result.endpoint());
                           answer->awaited.cancel();
                         });
  co_await answer->awaited.async_wait(into(error));
  if (!answer->error && !error) co_return Fault{errc::timed_out, false, "looking up the host: " + deadline.words()};
  if (answer->error) error = *answer->error;
  if (error)
    co_return Fault{errc::network, error == asio::error::host_not_found_try_again,
                    "looking up the host: " + error.message()};
  endpoints = std::move(answer->endpoints);
  co_return Fault{};
}

asio::awaitable<Fault> Connection::connect_to(const Endpoints& endpoints, const Deadline& deadline) {
  error_code error = asio::error::host_not_found;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    auto limit = deadline.at;
    if (limit != Clock::time_point::max()) {
      // An address that swallows packets leaves the next one its share of the time.
      const auto now = Clock::now();
      limit = now + (limit - now) / static_cast<Clock::duration::rep>(endpoints.size() - i);
    }
    expiry_.set(limit);
    co_await socket_.async_connect(endpoints[i], into(error));
    error = outcome(error);
    error_code ignored;
    if (!error) {
      socket_.set_option(tcp::no_delay(true), ignored);
      socket_.non_blocking(true, ignored);
      co_return Fault{};
    }
    socket_.close(ignored);
    if (error == asio::error::operation_aborted) break;
  }
  if (error == beast::error::timeout) co_return Fault{errc::timed_out, false, "connecting: " + deadline.words()};
  if (error == asio::error::timed_out) co_return Fault{errc::timed_out, false, "connecting: " + error.message()};
  co_return Fault{errc::network, unreachable(error), "connecting: " + error.message()};
}

asio::awaitable<Fault> Connection::shake_hands(const Url& url, asio::ssl::context& tls, const Deadline& deadline) {
  tls_.emplace(socket_, tls);
  SSL* ssl = tls_->native_handle();
  error_code error;
  asio::ip::make_address(url.host, error);
  const bool is_name = static_cast<bool>(error);
  if (is_name && SSL_set_tlsext_host_name(ssl, url.host.c_str()) != 1)
    co_return Fault{errc::network, false, "the host name does not fit into TLS"};
  tls_->set_verify_mode(asio::ssl::verify_peer);
  tls_->set_verify_callback(asio::ssl::host_name_verification(url.host));
  expiry_.set(deadline.at);
  co_await tls_->async_handshake(asio::ssl::stream_base::client, into(error));
  error = outcome(error);
  if (error == beast::error::timeout) co_return Fault{errc::timed_out, false, "the TLS handshake: " + deadline.words()};
  if (!error) co_return Fault{};
  const long verdict = SSL_get_verify_result(ssl);
  if (verdict != X509_V_OK)
    co_return Fault{errc::network, false,
                    std::string("the certificate was not accepted: ") + X509_verify_cert_error_string(verdict)};
  co_return Fault{errc::network, false, "the TLS handshake: " + error.message()};
}

bool Connection::quiet() noexcept {
  if (!open() || buffer_.size() != 0) return false;
  char byte{};
  const ssize_t got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

std::unique_ptr<Connection> Pool::take() {
  std::vector<std::unique_ptr<Connection>> dead;  // closed outside the lock
  const std::lock_guard lock(mutex_);
  const auto oldest = Deadline::Clock::now() - max_age_;
  while (!idle_.empty()) {
    std::unique_ptr<Connection> connection = std::move(idle_.back());
    idle_.pop_back();
    if (connection->idle_since >= oldest && connection->of_this_process() && connection->quiet()) return connection;
    dead.push_back(std::move(connection));
  }
  return nullptr;
}

void Pool::put(std::unique_ptr<Connection> connection) {
  connection->idle_since = Deadline::Clock::now();
  std::unique_ptr<Connection> surplus;
  const std::lock_guard lock(mutex_);
  if (max_idle_ == 0) {
    surplus = std::move(connection);
    return;
  }
  if (idle_.size() >= max_idle_) {
    surplus = std::move(idle_.front());
    idle_.erase(idle_.begin());
  }
  idle_.push_back(std::move(connection));
}

void Pool::clear() noexcept {
  std::vector<std::unique_ptr<Connection>> all;
  const std::lock_guard lock(mutex_);
  all.swap(idle_);
}

std::size_t Pool::size() const noexcept {
  const std::lock_guard lock(mutex_);
  return idle_.size();
}

std::shared_ptr<asio::ssl::context> make_tls_context(const std::string& ca_file) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  constexpr unsigned char protocols[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  SSL_CTX_set_alpn_protos(context->native_handle(), protocols, sizeof protocols);
  error_code error;
  if (ca_file.empty()) {
    context->set_default_verify_paths(error);
    if (error) throw ConfigError("http client: the system's certificate authorities cannot be read. Set ca_file.");
  } else {
    context->load_verify_file(ca_file, error);
    if (error)
      throw ConfigError("http client: ca_file cannot be read as a PEM file of certificates: " + error.message());
  }
  context->set_verify_mode(asio::ssl::verify_peer);
  return context;
}

}  // namespace outlay::http::detail
