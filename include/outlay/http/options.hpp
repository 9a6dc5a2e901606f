#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/json/api.hpp"

namespace boost::asio::ssl {
class context;
}

namespace outlay::http {

/// How long a client waits. 0 is for ever, in each of them.
struct Timeouts {
  std::chrono::milliseconds connect{10'000};      ///< Name look-up, TCP and TLS together.
  std::chrono::milliseconds first_byte{120'000};  ///< From the end of the request to the whole head of the reply.
  std::chrono::milliseconds idle{60'000};         ///< Between two pieces of a reply, and between two of a request.
  std::chrono::milliseconds total{600'000};       ///< One attempt as a whole, a stream's too.
};

/// What a client accepts.
struct SizeLimits {
  std::size_t request_bytes = std::size_t{64} << 20;  ///< A larger request is refused before it is admitted.
  std::size_t reply_bytes = std::size_t{64} << 20;    ///< Of a reply's body, or of a stream as a whole.
  std::size_t header_bytes = std::size_t{64} << 10;   ///< Of a reply's head, and of what frames its body.
};

/// When a client tries again. Each attempt is a Call of its own; none follows the first byte of a reply that was not an error.
struct Retries {
  int max_attempts = 3;  ///< In all. At least 1.
  /// Before the second attempt a random time up to `first_delay`, doubled for each further one, at most `max_delay`. Where the provider
  /// names a time (Retry-After), at least that.
  std::chrono::milliseconds first_delay{500};
  /// The longest of these times.
  std::chrono::milliseconds max_delay{20'000};
  /// A provider that asks for a longer wait than this is not asked again.
  std::chrono::milliseconds max_retry_after{60'000};
  /// Also after 502 and 504, where the failed attempt may have been billed: its reservation is charged.
  bool may_bill_twice = false;
  /// So many failures in a row of one feature and model are a retry storm: one warning to the log handler. 0: never.
  int storm_after = 10;
};

/// One header field.
struct Header {
  /// As in HTTP; large and small letters are the same.
  std::string name{};
  std::string value{};  ///< Never logged.
};

/// How a Client is made. The order of the members is part of the interface, for designated initialisers.
struct ClientOptions {
  /// The provider's wire format. It says where the members below come from when they are empty.
  Api api = Api::openai_chat;
  /// `https://host[:port][/path]`; what the API's path is appended to, as in the provider's own SDK: `https://api.openai.com/v1`. Empty:
  /// from the environment (`OPENAI_BASE_URL`, `ANTHROPIC_BASE_URL`, `OLLAMA_HOST` ...), or else the provider's own address.
  std::string base_url{};
  /// Empty: from the environment (`OPENAI_API_KEY`, `ANTHROPIC_API_KEY` ...). Sent to base_url's host alone; never logged.
  std::string api_key{};
  /// Empty: from the environment (`OPENAI_ORG_ID`), where the provider has such a thing.
  std::string organisation{};
  /// Sent with each request. May replace `User-Agent` and what the API needs, not `Host`, `Content-Length` and the like.
  std::vector<Header> headers{};
  /// How long each part of a request may take.
  Timeouts timeouts{};
  /// How large requests and replies may be.
  SizeLimits limits{};
  /// When a failed attempt is followed by another.
  Retries retries{};
  /// A PEM file of the authorities to trust, instead of the system's.
  std::string ca_file{};
  /// Made by the program instead: used as it is, ca_file is ignored. Host names are verified all the same.
  std::shared_ptr<boost::asio::ssl::context> tls{};
  /// Send a key over `http://` to a host that is not the loopback address.
  bool allow_plaintext_key = false;
  /// Connections kept for the next request; further ones are closed after use.
  std::size_t max_idle_connections = 64;
  /// How long such a connection is kept. 30 s by default.
  std::chrono::milliseconds max_idle_time{30'000};
  /// Azure's `api-version`; the API's default when empty. Ignored elsewhere.
  std::string api_version{};
  /// Gets the status and the body of each refusal, at most 64 KiB. Providers quote the prompt in it: keep it as private as that. It is
  /// the only way to it: the client's own errors carry no text of the provider. Runs in the coroutine that made the request.
  std::function<void(int status, std::string_view body)> on_refusal_body{};
};

}  // namespace outlay::http
