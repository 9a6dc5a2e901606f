#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/fields.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "http/expiry.hpp"
#include "outlay/gateway.hpp"

namespace outlay::gateway::detail {

/// One request as it came.
struct Request {
  std::string method{};
  std::string target{};
  boost::beast::http::fields fields{};
  std::string body{};
  bool http10 = false;
  bool keep_alive = true;

  /// The field's value; empty where there is none.
  [[nodiscard]] std::string_view field(std::string_view name) const;
};

/// How reading a request ended.
struct Incoming {
  enum class End { request, closed, bad };
  End end = End::closed;
  int status = 0;     // of `bad`
  std::string why{};  // of `bad`: a sentence that may be answered
};

/// A client's connection: requests in, bytes out, and whether the client is still there.
///
/// Everything runs on the socket's executor, one handler at a time.
class Client : public std::enable_shared_from_this<Client> {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  /// \param strand Which of the gateway's.
  /// \param tls Null: plain HTTP.
  Client(Socket socket, std::size_t strand, const GatewayLimits& limits,
         std::shared_ptr<boost::asio::ssl::context> tls);

  [[nodiscard]] Socket& socket() noexcept { return socket_; }
  [[nodiscard]] std::size_t strand() const noexcept { return strand_; }
  /// False where TLS was not agreed on in time; true at once without TLS.
  boost::asio::awaitable<bool> shake_hands();
  boost::asio::awaitable<Incoming> read(Request& request);
  /// \par Errors
  /// boost::system::system_error where the client has gone, or takes nothing for GatewayLimits::body.
  boost::asio::awaitable<void> write(std::string_view bytes);
  boost::asio::awaitable<void> write(std::string_view head, std::string_view body);

  /// From now on a client that hangs up cancels the coroutine that serves it. Until quiet().
  void watch();
  void quiet() noexcept { busy_ = false; }
  /// Cancels what runs, if it is only waiting for the next request or if `force`.
  void cancel(bool force);
  [[nodiscard]] boost::asio::cancellation_slot slot() noexcept { return signal_.slot(); }
  /// The client hung up while it was being served.
  [[nodiscard]] bool gone() const noexcept { return gone_; }
  /// Ends the connection so that what was written is not lost, although the client may still be sending.
  boost::asio::awaitable<void> linger();
  /// Ends it between two requests: by TLS's close_notify, where there is TLS.
  boost::asio::awaitable<void> finish();
  void close() noexcept;

 private:
  void expire_after(std::chrono::milliseconds allowed);
  /// False where nothing more comes, or nothing has come in time.
  boost::asio::awaitable<bool> receive();
  void start_read();
  /// While one is under way.
  boost::asio::awaitable<void> until_read();

  Socket socket_;
  const std::size_t strand_;
  std::shared_ptr<boost::asio::ssl::context> tls_context_;
  std::optional<boost::asio::ssl::stream<Socket&>> tls_{};
  http::detail::Expiry expiry_{socket_};
  GatewayLimits limits_;
  boost::beast::flat_buffer buffer_{};
  boost::asio::cancellation_signal signal_{};
  boost::asio::any_completion_handler<void()> reader_{};  // the coroutine that awaits the read
  std::size_t one_read_ = std::size_t{2} << 10;
  unsigned writes_ = 0;
  bool busy_ = false;     // a request is being served
  bool reading_ = false;  // into buffer_, which stays as it is meanwhile
  bool read_failed_ = false;
  bool gone_ = false;
  bool stopped_ = false;
};

}  // namespace outlay::gateway::detail
