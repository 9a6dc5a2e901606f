#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

/// What a FaultServer does with one request.
struct Plan {
  enum class Then {
    keep_alive,  ///< Read the next request on this connection.
    close,
    reset,  ///< Close with RST: what the client has not read may be lost.
    stall,  ///< Say nothing more; keep the connection until the client closes it.
  };
  std::string bytes{};                        ///< Written as they are: a whole HTTP reply, or what passes for one.
  std::size_t stop_at = std::string::npos;    ///< Only so many of them.
  Then then = Then::keep_alive;               ///< After the last one.
  std::size_t per_write = std::string::npos;  ///< So many bytes at a time ...
  std::chrono::milliseconds pause{0};         ///< ... with a pause before each further piece.
  bool endless = false;  ///< Start over with `repeat` when the bytes are used up, until the client closes.
  std::string repeat{};
};

/// A server on the loopback address that misbehaves by plan. Runs on a thread of its own; stopped by the destructor.
class FaultServer {
 public:
  /// Says what to do with the n-th request (from 0), given its head and body. Called on the server's thread, one request at a time.
  using Script = std::function<Plan(std::size_t number, std::string_view request)>;

  struct Options {
    bool tls = false;
    std::string certificate{};  ///< PEM. Empty: made here, self-signed, for `certificate_host`.
    std::string private_key{};
    std::string certificate_host = "localhost";
    bool only_old_tls = false;  ///< TLS 1.1 and nothing later.
    bool blind = false;         ///< Answers at once, without reading a request.
    std::uint16_t port = 0;     ///< 0: a free one.
  };

  explicit FaultServer(Script script);
  FaultServer(Script script, const Options& options);
  FaultServer(const FaultServer&) = delete;
  FaultServer& operator=(const FaultServer&) = delete;
  ~FaultServer();

  [[nodiscard]] std::uint16_t port() const noexcept;
  /// `http://127.0.0.1:PORT`, or `https://localhost:PORT`.
  [[nodiscard]] std::string url() const;
  /// The server's own certificate as PEM, to be trusted by a client.
  [[nodiscard]] std::string certificate() const;

  /// Whole requests that arrived so far, as received.
  [[nodiscard]] std::vector<std::string> requests() const;
  [[nodiscard]] std::size_t connections() const;       ///< Accepted so far.
  [[nodiscard]] std::size_t open_connections() const;  ///< Now.
  /// Waits until `open_connections() == count`; false after `limit`.
  [[nodiscard]] bool wait_for_open(std::size_t count, std::chrono::milliseconds limit = std::chrono::seconds(5)) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// A certificate for `host` that vouches for itself, and its key, both PEM.
[[nodiscard]] std::pair<std::string, std::string> self_signed(const std::string& host);

/// A port on the loopback address where nobody listens.
[[nodiscard]] std::uint16_t closed_port();

/// `HTTP/1.1 <status> ...` with a Content-Length; `fields` end in a line end each.
[[nodiscard]] std::string http_reply(int status, std::string_view body, std::string_view fields = {});
/// The same with a chunked body: one chunk for each piece.
[[nodiscard]] std::string chunked_reply(const std::vector<std::string>& pieces,
                                        std::string_view content_type = "text/event-stream");

}  // namespace test
