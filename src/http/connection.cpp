#include "connection.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
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
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

namespace outlay::http::detail {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

using Endpoints = std::vector<tcp::endpoint>;

/// A name look-up that ends at its deadline.
///
/// Asio looks names up on a thread of its own, in a call that nothing can interrupt. So whichever is first of the answer, the deadline and
/// a cancellation completes the coroutine's wait, and an answer to nobody is dropped. Kept alive by the two operations that it has
/// started, not by the coroutine: where an io_context is destroyed, they go, and take the coroutine with them.
class Lookup : public std::enable_shared_from_this<Lookup> {
 public:
  explicit Lookup(const asio::any_io_executor& executor) : resolver_(executor), timer_(executor) {}

  template <class Handler>
  void start(Handler handler, const std::string& host, const std::string& port, Watchdog::Clock::time_point deadline) {
    const auto slot = asio::get_associated_cancellation_slot(handler);
    const std::lock_guard lock(mutex_);  // the answer may come on another thread before all is set
    waiter_ = std::make_unique<WaiterOf<Handler>>(std::move(handler), timer_.get_executor());
    if (slot.is_connected())
      asio::cancellation_slot(slot).assign([weak = weak_from_this()](asio::cancellation_type type) {
        if (type == asio::cancellation_type::none) return;
        if (const auto self = weak.lock()) self->complete(asio::error::operation_aborted, {});
      });
    if (deadline != Watchdog::Clock::time_point::max()) {
      timer_.expires_at(deadline);
      timer_.async_wait([self = shared_from_this()](error_code error) {
        if (!error) self->complete(asio::error::timed_out, {});
      });
    }
    resolver_.async_resolve(host, port, tcp::resolver::numeric_service,
                            [self = shared_from_this()](error_code error, const tcp::resolver::results_type& results) {
                              Endpoints endpoints;
                              for (const auto& result : results) endpoints.push_back(result.endpoint());
                              self->complete(error, std::move(endpoints));
                            });
  }

 private:
  struct Waiter {
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    virtual ~Waiter() = default;
    virtual void run(error_code error, Endpoints endpoints) = 0;
  };

  template <class Handler>
  struct WaiterOf final : Waiter {
    using Executor = typename asio::associated_executor<Handler, asio::any_io_executor>::type;
    // The context that is current here goes into the tracked executor, as in Asio's own operations.
    using Tracked =
        std::decay_t<typename asio::prefer_result<Executor, asio::execution::outstanding_work_t::tracked_t>::type>;

    WaiterOf(Handler h, const asio::any_io_executor& fallback)
        : handler(std::move(h)),
          executor(asio::prefer(asio::get_associated_executor(handler, fallback),
                                asio::execution::outstanding_work.tracked)) {}
    void run(error_code error, Endpoints endpoints) override {
      asio::post(executor, asio::append(std::move(handler), error, std::move(endpoints)));
    }
    Handler handler;
    Tracked executor;
  };

  void complete(error_code error, Endpoints endpoints) {
    std::unique_ptr<Waiter> waiter;
    {
      const std::lock_guard lock(mutex_);
      if (!waiter_) return;
      waiter = std::move(waiter_);
      timer_.cancel();
    }
    waiter->run(error, std::move(endpoints));
  }

  std::mutex mutex_;
  tcp::resolver resolver_;
  asio::steady_timer timer_;
  std::unique_ptr<Waiter> waiter_{};
};

template <class Token>
auto async_look_up(const asio::any_io_executor& executor, const std::string& host, const std::string& port,
                   Watchdog::Clock::time_point deadline, Token&& token) {
  return asio::async_initiate<Token, void(error_code, Endpoints)>(
      [](auto handler, const asio::any_io_executor& ex, const std::string& h, const std::string& p,
         Watchdog::Clock::time_point d) { std::make_shared<Lookup>(ex)->start(std::move(handler), h, p, d); },
      token, executor, host, port, deadline);
}

bool unreachable(const error_code& error) {
  return error == asio::error::connection_refused || error == asio::error::connection_reset ||
         error == asio::error::network_unreachable || error == asio::error::host_unreachable ||
         error == asio::error::network_down;
}

/// A system error's own words: `Connection refused`. OpenSSL's errors carry theirs alike.
std::string words(const error_code& error) { return error.message(); }

}  // namespace

asio::awaitable<Fault> Connection::connect(const Url& url, asio::ssl::context* tls,
                                           Watchdog::Clock::time_point deadline) {
  watchdog_->set(deadline);
  std::vector<tcp::endpoint> endpoints;
  error_code error;
  const asio::ip::address literal = asio::ip::make_address(url.host, error);
  if (!error) {
    endpoints.emplace_back(literal, url.port);
  } else {
    const std::string port = std::to_string(url.port);
    const asio::any_io_executor executor = socket_.get_executor();
    endpoints =
        co_await async_look_up(executor, url.host, port, deadline, asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::timed_out) co_return Fault{errc::timed_out, false, "looking up the host took too long"};
    if (error)
      co_return Fault{errc::network, error == asio::error::host_not_found_try_again,
                      "looking up the host: " + words(error)};
  }
  Fault fault = co_await connect_to(endpoints, deadline);
  if (!fault && tls) fault = co_await shake_hands(url, *tls);
  if (fault) close();
  co_return fault;
}

asio::awaitable<Fault> Connection::connect_to(const std::vector<tcp::endpoint>& endpoints,
                                              Watchdog::Clock::time_point deadline) {
  error_code error = asio::error::host_not_found;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    const auto now = Watchdog::Clock::now();
    if (deadline != Watchdog::Clock::time_point::max()) {
      // An address that swallows packets leaves the next one its share of the time.
      const auto left = static_cast<Watchdog::Clock::duration::rep>(endpoints.size() - i);
      watchdog_->set(now + (deadline - now) / left);
    }
    socket_.open(endpoints[i].protocol(), error);
    if (error) continue;
    watchdog_->watch(socket_.native_handle());
    co_await socket_.async_connect(endpoints[i], asio::redirect_error(asio::use_awaitable, error));
    if (!error && !watchdog_->fired()) {
      error_code ignored;
      socket_.set_option(tcp::no_delay(true), ignored);
      watchdog_->set(deadline);
      co_return Fault{};
    }
    const bool late = watchdog_->fired();
    close();
    if (late) error = asio::error::timed_out;
    if (error == asio::error::operation_aborted) break;
  }
  if (error == asio::error::timed_out) co_return Fault{errc::timed_out, false, "connecting took too long"};
  co_return Fault{errc::network, unreachable(error), "connecting: " + words(error)};
}

asio::awaitable<Fault> Connection::shake_hands(const Url& url, asio::ssl::context& tls) {
  tls_.emplace(socket_, tls);
  SSL* ssl = tls_->native_handle();
  error_code error;
  asio::ip::make_address(url.host, error);
  const bool is_name = static_cast<bool>(error);
  if (is_name && SSL_set_tlsext_host_name(ssl, url.host.c_str()) != 1)
    co_return Fault{errc::network, false, "the host name does not fit into TLS"};
  tls_->set_verify_mode(asio::ssl::verify_peer);
  tls_->set_verify_callback(asio::ssl::host_name_verification(url.host));
  co_await tls_->async_handshake(asio::ssl::stream_base::client, asio::redirect_error(asio::use_awaitable, error));
  if (watchdog_->fired()) co_return Fault{errc::timed_out, false, "the TLS handshake took too long"};
  if (!error) co_return Fault{};
  const long verdict = SSL_get_verify_result(ssl);
  if (verdict != X509_V_OK)
    co_return Fault{errc::network, false,
                    std::string("the certificate was not accepted: ") + X509_verify_cert_error_string(verdict)};
  co_return Fault{errc::network, false, "the TLS handshake: " + words(error)};
}

void Connection::close() noexcept {
  watchdog_->forget();
  watchdog_->rest();
  error_code ignored;
  socket_.close(ignored);
}

bool Connection::quiet() noexcept {
  if (!socket_.is_open() || buffer_.size() != 0) return false;
  char byte{};
  const ssize_t got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

std::unique_ptr<Connection> Pool::take() {
  std::vector<std::unique_ptr<Connection>> dead;  // closed outside the lock
  const std::lock_guard lock(mutex_);
  const auto oldest = Watchdog::Clock::now() - max_age_;
  while (!idle_.empty()) {
    std::unique_ptr<Connection> connection = std::move(idle_.back());
    idle_.pop_back();
    if (connection->idle_since >= oldest && connection->quiet()) return connection;
    dead.push_back(std::move(connection));
  }
  return nullptr;
}

void Pool::give_back(std::unique_ptr<Connection> connection) {
  connection->watchdog().rest();
  connection->idle_since = Watchdog::Clock::now();
  connection->used = true;
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
    if (error) throw ConfigError("http client: the system's certificate authorities cannot be read; set ca_file");
  } else {
    context->load_verify_file(ca_file, error);
    if (error)
      throw ConfigError("http client: ca_file cannot be read as a PEM file of certificates: " + error.message());
  }
  context->set_verify_mode(asio::ssl::verify_peer);
  return context;
}

}  // namespace outlay::http::detail
