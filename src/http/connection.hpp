#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "core/base/at_fork.hpp"
#include "expiry.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/error.hpp"
#include "outlay/http/options.hpp"
#include "url/url.hpp"

namespace outlay::http::detail {

using outlay::detail::Url;

/// How an operation on the network went wrong; `code` is errc::ok where it did not.
struct Fault {
  errc code = errc::ok;
  bool refused =
      false;           ///< The host is down, out of reach or does not listen on the port: another attempt may reach it.
  std::string what{};  ///< For the message: what was being done, and how it ended.

  explicit operator bool() const noexcept { return code != errc::ok; }
};

/// When an operation must have ended, and what a message says if it has not.
struct Deadline {
  using Clock = std::chrono::steady_clock;

  Clock::time_point at = Clock::time_point::max();
  std::chrono::milliseconds allowed{};
  const char* waited_for = "";  ///< `without data`

  /// `timed out after 20 s without data`
  [[nodiscard]] std::string words() const;
};

/// From now on; never for 0.
[[nodiscard]] OUTLAY_EXPORT Deadline within(std::chrono::milliseconds allowed, const char* waited_for = "") noexcept;
[[nodiscard]] inline const Deadline& earlier(const Deadline& a, const Deadline& b) noexcept {
  return b.at < a.at ? b : a;
}

/// A strand of its own over an executor.
[[nodiscard]] OUTLAY_EXPORT boost::asio::any_io_executor own_strand(const boost::asio::any_io_executor& executor);

/// A connection to a server, plain or TLS.
///
/// The socket and the timer behind its time-outs must not be used by two threads at once, and a client is used from pools of threads. So
/// a connection has a strand, each operation runs there, and its caller is resumed on its own executor, in its own context, when the
/// operation has ended. The strand is made from the client's executor, never from the caller's: a connection lives on in the pool when the
/// coroutine, with its context, is long gone. Where all callers run on one strand, the connection lives there, and needs none of this.
///
/// A timer runs only while an operation does, so that an idle connection keeps no io_context running; where all callers run on one strand, it may run
/// on until a time limit of an earlier operation is over. The destructor closes at once, without TLS's close_notify: a provider that still generates
/// should see it now.
///
/// \par Thread safety
/// One operation at a time, and nothing else meanwhile; from any thread.
class OUTLAY_EXPORT Connection {
 public:
  using error_code = boost::system::error_code;

  enum class Callers : std::uint8_t {
    anywhere,   ///< The connection makes a strand of its own.
    on_strand,  ///< The executor is a strand, or the io_context of a single thread, and every member is called there.
  };
  explicit Connection(const boost::asio::any_io_executor& executor, Callers callers = Callers::anywhere)
      : callers_(callers), socket_(callers == Callers::anywhere ? own_strand(executor) : executor) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Looks up the name, connects and shakes hands. `tls` is null for plain HTTP.
  boost::asio::awaitable<Fault> connect(const Url& url, boost::asio::ssl::context* tls, const Deadline& deadline);
  /// Writes as many bytes as the peer takes at once, and adds their number to `sent`.
  boost::asio::awaitable<error_code> write_some(std::string_view bytes, std::size_t& sent,
                                                Deadline::Clock::time_point deadline);
  /// The same without waiting: asio::error::would_block where the peer takes nothing now, and wherever write_some() has to be called.
  error_code write_now(std::string_view bytes, std::size_t& sent) noexcept;
  /// Waits for data and appends what has arrived to buffer().
  boost::asio::awaitable<error_code> read_some(Deadline::Clock::time_point deadline);

  [[nodiscard]] bool open() const noexcept { return socket_.is_open(); }
  /// Nothing has arrived and the peer has not hung up: fit for another request.
  [[nodiscard]] bool quiet() noexcept;
  /// Not of the process that forked this one, which goes on speaking on it.
  [[nodiscard]] bool of_this_process() const noexcept { return generation_ == outlay::detail::fork_generation(); }
  [[nodiscard]] boost::beast::flat_buffer& buffer() noexcept { return buffer_; }

  Deadline::Clock::time_point idle_since{};

 private:
  using Socket = boost::asio::ip::tcp::socket;
  using Endpoints = std::vector<boost::asio::ip::tcp::endpoint>;

  // Coroutines that run on the strand.
  boost::asio::awaitable<Fault> connect_here(const Url& url, boost::asio::ssl::context* tls, const Deadline& deadline);
  boost::asio::awaitable<Fault> look_up(const Url& url, Endpoints& endpoints, const Deadline& deadline);
  boost::asio::awaitable<Fault> connect_to(const Endpoints& endpoints, const Deadline& deadline);
  boost::asio::awaitable<Fault> shake_hands(const Url& url, boost::asio::ssl::context& tls, const Deadline& deadline);

  using Moved = std::tuple<error_code, std::size_t>;
  /// One read or write on the strand.
  ///
  /// \param start `auto(auto& stream, auto token)`: starts it on the plain socket, or on TLS.
  template <class Start>
  boost::asio::awaitable<Moved> move_bytes(Deadline::Clock::time_point deadline, Start start);
  /// What an operation that ended with `error` has ended with: a time-out where it was cancelled for being late.
  [[nodiscard]] error_code outcome(const error_code& error) const noexcept;
  /// The same, for one that move_bytes() has started without another strand.
  [[nodiscard]] error_code outcome_here(const error_code& error) noexcept;

  const std::uint64_t generation_ = outlay::detail::fork_generation();
  const Callers callers_;
  Socket socket_;
  Expiry expiry_{socket_};
  std::optional<boost::asio::ssl::stream<Socket&>> tls_{};
  boost::beast::flat_buffer buffer_{};
  std::size_t one_read_ = std::size_t{2} << 10;
};

/// Idle connections to one host.
///
/// \par Thread safety
/// Safe from any thread.
class OUTLAY_EXPORT Pool {
 public:
  Pool(std::size_t max_idle, std::chrono::milliseconds max_age) : max_idle_(max_idle), max_age_(max_age) {}

  /// The connection used last that still lives; null if there is none.
  [[nodiscard]] std::unique_ptr<Connection> take();
  void put(std::unique_ptr<Connection> connection);
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
