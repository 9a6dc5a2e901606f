#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/connection.hpp"
#include "otel/settings.hpp"

namespace outlay::detail {

/// How a collector answered.
struct Answer {
  enum class Kind {
    accepted,     ///< As a whole, or with `rejected` data points refused for good.
    busy,         ///< 429, 502, 503, 504: the same may be sent again.
    broken,       ///< No answer: the connection broke, or it took too long. The same may be sent again.
    unreachable,  ///< No connection: the host does not listen on the port, or its certificate was not accepted.
    too_large,    ///< 413.
    refused,      ///< Any other status: the same would be refused again.
    unreadable,   ///< The answer is not in OTLP's format.
    cancelled,
  };
  Kind kind = Kind::broken;
  std::int64_t rejected = 0;
  std::string text{};  ///< What happened, in words for a log: never a header's value.
  std::optional<std::chrono::milliseconds> retry_after{};
};

/// Where an otel sink's requests go: one connection, kept while the collector keeps it.
///
/// \par Thread safety
/// post() from one thread; cancel() from any.
class Collector {
 public:
  explicit Collector(const OtelSettings& settings);

  /// Sends a body and waits for the answer, at most until the deadline.
  [[nodiscard]] Answer post(const std::string& body, std::chrono::steady_clock::time_point deadline);
  /// Ends a post() that is running. Those that follow are none.
  void cancel();

 private:
  [[nodiscard]] std::string message_with(const std::string& body) const;
  boost::asio::awaitable<Answer> exchange(const std::string& message, const http::detail::Deadline& deadline);
  [[nodiscard]] Answer read_answer(int status, std::string_view body) const;
  [[nodiscard]] std::string printable(std::string_view text) const;

  const OtelSettings& settings_;
  boost::asio::io_context io_{1};
  boost::asio::cancellation_signal cancel_{};
  bool cancelled_ = false;  // on the thread of post()
  std::unique_ptr<http::detail::Connection> idle_{};
};

/// gzip, as in RFC 1952.
[[nodiscard]] std::string gzipped(std::string_view text);

}  // namespace outlay::detail
