#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/optional/optional.hpp>
#include <cstdint>
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

/// A request as it goes over the wire: the head as Beast writes it, with its Content-Length, and the body.
[[nodiscard]] OUTLAY_EXPORT std::string wire_text(boost::beast::http::request<boost::beast::http::empty_body> head,
                                                  std::string_view body);

/// A body of which each piece is looked at where it lies in the parser's input.
struct PieceBody {
  using value_type = std::string_view;
  class reader {  // NOLINT(readability-identifier-naming): the name that Beast asks for
   public:
    template <bool is_request, class Fields>
    reader(boost::beast::http::header<is_request, Fields>&, value_type& piece) noexcept : piece_(piece) {}
    static void init(const boost::optional<std::uint64_t>&, boost::system::error_code& error) noexcept { error = {}; }
    std::size_t put(const boost::asio::const_buffer& bytes, boost::system::error_code& error) noexcept {
      error = {};
      piece_ = {static_cast<const char*>(bytes.data()), bytes.size()};
      return bytes.size();
    }
    static void finish(boost::system::error_code& error) noexcept { error = {}; }

   private:
    value_type& piece_;
  };
};

/// One request and its reply on a connection: bytes out, head in, body in pieces.
///
/// Knows HTTP, nothing of budgets. After a Fault the connection is closed.
class OUTLAY_EXPORT Exchange {
 public:
  /// \param last Of the exchange as a whole.
  Exchange(std::unique_ptr<Connection> connection, const Timeouts& timeouts, const SizeLimits& limits,
           const Deadline& last)
      : connection_(std::move(connection)), timeouts_(timeouts), limits_(limits), last_(last) {}
  Exchange(Exchange&&) noexcept = default;
  Exchange& operator=(Exchange&&) noexcept = default;

  /// The reply to a HEAD has no body, whatever length it states. Before read_head().
  void expect_no_body() noexcept { no_body_ = true; }
  /// Writes head and body. `sent_bytes()` says how many bytes were sent. Where the peer has broken off the connection stays open: an answer may
  /// have arrived.
  boost::asio::awaitable<Fault> send(std::string_view message);
  /// The same without waiting. False: send() has to go on with it.
  bool send_now(std::string_view message, Fault& failed);
  boost::asio::awaitable<Fault> read_head();
  /// The next piece of the body, valid until the next call and close(); empty at the end of the body.
  boost::asio::awaitable<Fault> read_some(std::string_view& piece);
  /// The same of what has arrived already. False: read_some() has to wait for more.
  bool read_now(std::string_view& piece, Fault& failed);

  [[nodiscard]] std::size_t sent_bytes() const noexcept { return sent_bytes_; }
  /// Something of a reply has arrived.
  [[nodiscard]] bool replied() const noexcept { return replied_; }
  [[nodiscard]] const ReplyHead& head() const noexcept { return head_; }
  /// The head as it came, for those that pass it on. Only after read_head().
  [[nodiscard]] const boost::beast::http::response_header<>& whole_head() const { return parser_->get().base(); }
  [[nodiscard]] bool done() const { return parser_ && parser_->is_done(); }

  /// From now on no operation may last longer than this.
  void hurry(std::chrono::milliseconds allowed) noexcept { last_ = earlier(last_, within(allowed)); }
  /// The connection, if it is fit for another request; null otherwise, and it is closed.
  [[nodiscard]] std::unique_ptr<Connection> finish();
  void close() noexcept { connection_.reset(); }
  [[nodiscard]] bool open() const noexcept { return connection_ != nullptr; }

 private:
  using Parser = boost::beast::http::response_parser<PieceBody>;
  using error_code = boost::system::error_code;
  Fault fault(const error_code& error, const char* doing, const Deadline& deadline);
  Fault send_fault(const error_code& error, const Deadline& deadline);
  void new_parser();
  /// Parses what has arrived already; error::need_more if that is not enough.
  error_code parse();
  /// More to parse has arrived, or the end of the connection.
  error_code received(error_code error);

  std::unique_ptr<Connection> connection_;
  Timeouts timeouts_;
  SizeLimits limits_;
  Deadline last_;
  std::unique_ptr<Parser> parser_{};
  ReplyHead head_{};
  std::size_t sent_bytes_ = 0;
  std::size_t body_bytes_ = 0;
  bool replied_ = false;
  bool no_body_ = false;
};

}  // namespace outlay::http::detail
