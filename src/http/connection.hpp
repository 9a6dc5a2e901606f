#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "outlay/detail/export.hpp"
#include "outlay/error.hpp"
#include "outlay/http/options.hpp"
#include "url/url.hpp"
#include "watchdog.hpp"

namespace outlay::http::detail {

using outlay::detail::Url;

/// How an operation on the network went wrong; `code` is errc::ok where it did not.
struct Fault {
  errc code = errc::ok;
  bool refused = false;  ///< Nobody listens there, or nobody can be reached: another attempt may find somebody.
  std::string what{};    ///< For the message: what was being done, and how it ended.

  explicit operator bool() const noexcept { return code != errc::ok; }
};

/// One connection to the provider, plain or TLS. An AsyncStream as Beast knows it.
///
/// Used by one coroutine at a time. Its executor is the client's own, never the coroutine's: it lives on in the pool when the
/// coroutine, with its context, is long gone.
class OUTLAY_EXPORT Connection {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using executor_type = Socket::executor_type;

  explicit Connection(const boost::asio::any_io_executor& executor)
      : socket_(executor), watchdog_(std::make_shared<Watchdog>(executor)) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { close(); }

  [[nodiscard]] executor_type get_executor() { return socket_.get_executor(); }

  /// Looks up the name, connects and shakes hands. `tls` is null for plain HTTP.
  boost::asio::awaitable<Fault> connect(const Url& url, boost::asio::ssl::context* tls,
                                        Watchdog::Clock::time_point deadline);

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    if (tls_) return tls_->async_read_some(buffers, std::forward<Token>(token));
    return socket_.async_read_some(buffers, std::forward<Token>(token));
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    if (tls_) return tls_->async_write_some(buffers, std::forward<Token>(token));
    return socket_.async_write_some(buffers, std::forward<Token>(token));
  }

  /// Closes at once, without TLS's farewell: a provider that still generates should see it now.
  void close() noexcept;
  [[nodiscard]] bool open() const noexcept { return socket_.is_open(); }
  /// Nothing has arrived and the peer has not hung up: fit for another request.
  [[nodiscard]] bool quiet() noexcept;

  [[nodiscard]] Watchdog& watchdog() noexcept { return *watchdog_; }
  [[nodiscard]] boost::beast::flat_buffer& buffer() noexcept { return buffer_; }

  Watchdog::Clock::time_point idle_since{};
  bool used = false;  ///< It has carried a request before.

 private:
  boost::asio::awaitable<Fault> connect_to(const std::vector<boost::asio::ip::tcp::endpoint>& endpoints,
                                           Watchdog::Clock::time_point deadline);
  boost::asio::awaitable<Fault> shake_hands(const Url& url, boost::asio::ssl::context& tls);

  Socket socket_;
  std::optional<boost::asio::ssl::stream<Socket&>> tls_{};
  std::shared_ptr<Watchdog> watchdog_;
  boost::beast::flat_buffer buffer_{};
};

/// Idle connections to one host.
///
/// \par Thread safety
/// Safe from any thread.
class Pool {
 public:
  Pool(std::size_t max_idle, std::chrono::milliseconds max_age) : max_idle_(max_idle), max_age_(max_age) {}

  /// The connection used last that still lives; null if there is none.
  [[nodiscard]] std::unique_ptr<Connection> take();
  void give_back(std::unique_ptr<Connection> connection);
  void clear() noexcept;
  [[nodiscard]] std::size_t size() const noexcept;

 private:
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_{};  // the one used last at the back
  std::size_t max_idle_;
  std::chrono::milliseconds max_age_;
};

/// The provider's certificate is checked against the system's authorities, or those of `ca_file`. TLS 1.2 and later.
///
/// \par Errors
/// ConfigError for a file that cannot be read.
[[nodiscard]] OUTLAY_EXPORT std::shared_ptr<boost::asio::ssl::context> make_tls_context(const std::string& ca_file);

}  // namespace outlay::http::detail
