#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "connection.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/http/options.hpp"

namespace outlay::http::detail {

/// The head of a reply, as far as the client looks at it.
struct ReplyHead {
  int status = 0;
  std::string retry_after{};
  std::string retry_after_ms{};
  std::string request_id{};
  bool encoded = false;  ///< The body is compressed, which was not asked for.
};

/// One request and its reply on a connection: bytes out, head in, body in pieces.
///
/// Knows HTTP, nothing of budgets. After a Fault the connection is closed.
class OUTLAY_EXPORT Exchange {
 public:
  Exchange(std::unique_ptr<Connection> connection, const Timeouts& timeouts, const SizeLimits& limits,
           Watchdog::Clock::time_point last)
      : connection_(std::move(connection)), timeouts_(timeouts), limits_(limits), last_(last) {}
  Exchange(Exchange&&) noexcept = default;
  Exchange& operator=(Exchange&&) noexcept = default;

  /// Writes head and body. `sent_bytes()` tells how far it came. Where the peer has broken off the connection stays open: an answer may
  /// have arrived.
  boost::asio::awaitable<Fault> send(std::string_view message);
  boost::asio::awaitable<Fault> read_head();
  /// The next piece of the body, valid until the next call; empty at the end of the body.
  boost::asio::awaitable<Fault> read_some(std::string_view& piece);

  [[nodiscard]] std::size_t sent_bytes() const noexcept { return sent_bytes_; }
  /// Something of a reply has arrived.
  [[nodiscard]] bool replied() const noexcept { return replied_; }
  [[nodiscard]] const ReplyHead& head() const noexcept { return head_; }
  [[nodiscard]] bool done() const { return parser_ && parser_->is_done(); }

  /// From now on no operation may last longer than this.
  void hurry(Watchdog::Clock::time_point last) noexcept { last_ = std::min(last, last_); }
  /// The connection, if it is fit for another request; null otherwise, and it is closed.
  [[nodiscard]] std::unique_ptr<Connection> finish();
  void close() noexcept { connection_.reset(); }
  [[nodiscard]] bool open() const noexcept { return connection_ != nullptr; }

 private:
  using Parser = boost::beast::http::response_parser<boost::beast::http::buffer_body>;
  void allow(std::chrono::milliseconds time);
  Fault fault(const boost::system::error_code& error, const char* doing);
  void new_parser();

  std::unique_ptr<Connection> connection_;
  Timeouts timeouts_;
  SizeLimits limits_;
  Watchdog::Clock::time_point last_;
  std::unique_ptr<Parser> parser_{};
  ReplyHead head_{};
  std::size_t sent_bytes_ = 0;
  std::size_t body_bytes_ = 0;
  bool replied_ = false;
  std::array<char, 8192> piece_;
};

/// `now + time`, or never for 0.
[[nodiscard]] Watchdog::Clock::time_point after(std::chrono::milliseconds time) noexcept;

}  // namespace outlay::http::detail
