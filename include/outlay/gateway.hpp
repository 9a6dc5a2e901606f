#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/asio.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/json.hpp"
#include "outlay/tags.hpp"

namespace outlay {

/// A provider, or another server that speaks one of its APIs, that a Gateway passes requests to.
struct Upstream {
  /// Requests to `/to/<name>/...` go here. Letters, digits, `-` and `_`; at most 64.
  std::string name{};
  /// `https://host[:port][/path]`. What follows `/to/<name>` is appended to it; a request whose path begins with `/path` already is not
  /// given it twice.
  std::string url{};
  /// Requests whose path begins with one of these go here too, under their own path. The longest beginning wins, by whole segments: `/v1/embed`
  /// does not begin `/v1/embeddings`.
  std::vector<std::string> paths{};
  /// Which provider's API is spoken there, as the price table names it (`openai`, `gemini`): tells APIs of one format apart and says whose
  /// prices apply. Empty: what the host of `url` says.
  std::string like{};
  /// A PEM file of the authorities to trust, instead of the system's.
  std::string ca_file{};
  /// What the provider knows its customer by. Sent with requests that came with a GatewayKey, as the provider wants it; never logged.
  std::string api_key{};
};

/// The providers that the library knows, at their usual addresses and under the paths that their own SDKs use.
[[nodiscard]] OUTLAY_EXPORT std::vector<Upstream> usual_upstreams();

/// A key of the gateway's own: what a client sends in place of a provider's.
struct GatewayKey {
  std::string name{};    ///< For messages and logs; unique. At most 128 bytes.
  std::string sha256{};  ///< hash_of_key() of it: the key itself is known to its owner alone.
  Tags tags{};           ///< Of everything that is spent with it. They go before those that the client sends.
  /// The models that may be asked for with it, whole names or beginnings and `*`; empty: all.
  std::vector<std::string> models{};
};

/// SHA-256 in hexadecimal digits, as GatewayKey::sha256 has it.
///
/// For keys of at least 128 random bits, as `outlay keys new` makes them: a word that can be guessed is found from its hash.
[[nodiscard]] OUTLAY_EXPORT std::string hash_of_key(std::string_view key);

/// What a Gateway accepts, and how long it waits. Each must be above 0.
struct GatewayLimits {
  std::size_t head_bytes = std::size_t{32} << 10;   ///< Of a request's line and fields; more is answered 431.
  std::size_t body_bytes = std::size_t{64} << 20;   ///< Of a request's body; more is answered 413.
  std::size_t reply_bytes = std::size_t{64} << 20;  ///< Of a reply that is not a stream; more is answered 502.
  std::size_t stream_bytes = std::size_t{1} << 30;  ///< Of a stream.
  std::size_t connections = 4'096;                  ///< Of clients, at once; further ones are answered 503 and closed.
  std::chrono::milliseconds head{10'000};           ///< From a request's first byte to the end of its head; then 408.
  std::chrono::milliseconds idle{75'000};           ///< Between two requests on one connection, which is closed then.
  std::chrono::milliseconds body{
      30'000};  ///< Between two pieces of a request, and of a reply that a client reads slowly.
  std::chrono::milliseconds connect{10'000};         ///< Name look-up, TCP and TLS to an upstream; then 502.
  std::chrono::milliseconds first_byte{600'000};     ///< From the end of a request to the head of its reply; then 504.
  std::chrono::milliseconds upstream_idle{300'000};  ///< Between two pieces of a reply.
  std::chrono::milliseconds total{3'600'000};        ///< One request with its reply as a whole.
  std::size_t idle_upstream_connections = 256;       ///< Kept for the next request, at each upstream.
};

/// One request that a Gateway has answered. Carries no text of the request or of the reply, and no key.
struct GatewayExchange {
  /// As in the request: `POST`.
  std::string method{};
  std::string path{};        ///< Without its query and without the gateway's secret.
  std::string upstream{};    ///< Its name; empty where there was none.
  std::optional<Api> api{};  ///< Of a metered request.
  std::string model{};       ///< That was admitted, or asked for.
  int status{};              ///< That the client was answered; 0 where it had gone before.
  std::string key{};         ///< The name of the GatewayKey that it came with.
  std::string outcome{};     ///< `passed`, `answered`, `streamed`, `refused`, `cut`, `truncated`, `failed` or `gone`.
  std::uint64_t call_id{};   ///< Of an admitted call; 0 otherwise.
  std::optional<Usd> usd{};  ///< What was booked.
  std::chrono::nanoseconds took{};  ///< From the end of the request's head to the end of the reply.
};

/// How a Gateway is made. The order of the members is part of the interface, for designated initialisers.
struct GatewayOptions {
  /// An IP address. Another one than the loopback address is refused unless `keys` or `secret` are set.
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  ///< 0: a free one, see Gateway::port().
  /// Where it is set, only requests whose path begins with `/<secret>` are answered; any other gets 404. Letters and digits, at least 16.
  std::string secret{};
  /// Where requests go, by the beginning of their path. Default usual_upstreams(): the providers' own addresses.
  std::vector<Upstream> upstreams = usual_upstreams();
  /// Where there are some, only requests with one of them are answered: in `Authorization: Bearer`, `x-api-key`, `x-goog-api-key`, `api-key`
  /// or the query's `key`. It is replaced by Upstream::api_key. With none, the client's own key passes through.
  std::vector<GatewayKey> keys{};
  /// Take tags from `x-outlay-tag-<name>` and `x-outlay-session`. Not where clients must not choose what they are counted as.
  bool trust_tags = true;
  /// hash_of_key() of the token that `/outlay/` asks for, as a bearer, or of a browser as the password of Basic authentication, by which nothing
  /// can be changed. `/outlay/health` and `/outlay/ready` ask for none. Empty: with keys nothing else is answered below `/outlay/`, without keys
  /// all of it but what changes caps.
  std::string admin_sha256{};
  /// Requests that are passed although no cap can count them: `"POST /v1/audio/speech"`. A path may end in `*`.
  std::vector<std::string> pass{};
  /// The status of a refusal: 429 or 402. Of Cohere's API it is always 402: its SDKs try again after any 429.
  int refusal_status = 429;
  /// Bounds on time, memory and the number of clients.
  GatewayLimits limits{};
  /// How long running requests may go on after Gateway::stop(). 0: not at all.
  std::chrono::milliseconds drain{30'000};
  /// Called after each request, on the thread that served it. Must not throw.
  std::function<void(const GatewayExchange&)> on_exchange{};
  /// Members of a request's body that tags are taken from: `user` and `safety_identifier` (OpenAI), each a tag of that name; `metadata` (OpenAI,
  /// Anthropic: `user_id`) and `labels` (Gemini on Vertex AI), whose texts are a tag each. Tags from fields go before these, those of the key
  /// before both. None unless named: clients choose what they write there.
  std::vector<std::string> trust_members{};
  /// A port of its own for `/outlay/`, of which the other one then answers `health` and `ready` alone; 0: a free one, see Gateway::admin_port().
  std::optional<std::uint16_t> admin_port{};
  /// The IP address of that port. Another one than the loopback address is refused unless `admin_sha256` is set.
  std::string admin_address = "127.0.0.1";
  /// The PEM file of a certificate, with those that lead to its authority behind it. With it and `tls_key` clients are served by TLS 1.2 and later,
  /// and by nothing else. Read by the constructor and by reload().
  std::string tls_certificate{};
  /// The PEM file of its private key, without a passphrase.
  std::string tls_key{};
  /// Makes the HTML that `/outlay/` shows; none: nothing is there. Called on a thread of the gateway's own, once at a time.
  std::function<std::string()> page{};
  /// Makes what `/outlay/rows` answers to its query (`?since=...`, or empty): records and events, as lines of JSON. None: nothing is there. Called
  /// as `page` is. An Error of it with errc::invalid_argument is answered 400.
  std::function<std::string(std::string_view query)> rows{};
};

/// What a Gateway has done so far.
struct GatewayStats {
  std::uint64_t requests{};     ///< Whose head was read.
  std::uint64_t admitted{};     ///< Calls that were admitted.
  std::uint64_t refused{};      ///< Calls that were refused before they were sent.
  std::uint64_t cut{};          ///< Streams that were ended because they did not fit any longer.
  std::uint64_t connections{};  ///< Open now.
  std::uint64_t streams{};      ///< Running now.
};

/// An HTTP/1.1 server between programs and providers: each request is admitted before it leaves, metered as its reply arrives, and settled
/// once.
///
/// Requests in the format of an Api are metered; those that cost nothing (lists of models, counts of tokens, files) pass; any other is
/// refused, with the option that would let it pass. A request that no policy changes leaves byte for byte as it came, and a reply arrives as the
/// provider sent it, but for the usage report of a stream that only the gateway had asked for. `Accept-Encoding: identity` is asked of the
/// upstream, so that replies can be read. Keys pass through, and are neither kept nor logged.
///
/// A refusal has the shape of the provider's own errors, status 429 (GatewayOptions::refusal_status; 402 of Cohere's API), `x-should-retry:
/// false`, which the other official SDKs obey, `Retry-After` where time alone helps, and `x-outlay-budget`, `-limit`, `-spent`, `-reset`. A
/// stream that no longer fits is cut: under Truncate it ends as the provider ends one at its ceiling, otherwise with an error event, or, of
/// Cohere's and Mistral's APIs, with `error` as its reason to finish, which raises nothing in their SDKs.
///
/// A client may send `x-outlay-usd` and `x-outlay-tokens`, caps for this request alone, `x-outlay-tag-<name>`, tags, and `x-outlay-session`,
/// which is the tag `session`: with the rule `{.match = {"session", "*"}, .usd = 2_usd}` each session has two dollars.
///
/// Replies carry `x-outlay-call`, the call's number, and where they are not streams `x-outlay-cost` and `x-outlay-remaining`: what is left of the
/// cap that is nearest to its end (`$0.42`, `1200 tokens`). A stream has these two as trailers, for a client that sends `TE: trailers`.
///
/// Below `/outlay/` it says how it does: `health`, `ready`, `metrics` (Prometheus), `report?by=user_id,model`, `calls/<id>`, `caps`, what
/// GatewayOptions::rows makes at `rows`, and at `/outlay/` the page of GatewayOptions::page. With the admin token
/// `POST /outlay/caps/raise`, `lower`, `close`, `reopen` and `adjust` change the counter that they name in the rules' store, and record who
/// did it and why.
/// \par Guarantee
/// A client that disconnects closes its request's upstream connection at once; what was shown until then is charged. One that has closed its
/// sending side alone counts as gone too.
/// \par Thread safety
/// Every member is safe from any thread.
/// \par Suspension
/// Requests run below the scopes that are open where serve() is awaited: a Budget there caps all of them, a LedgerScope books them.
/// \par Example
/// \snippet tests/unit/gateway/gateway_test.cpp serve_example
class OUTLAY_EXPORT Gateway final {
 public:
  /// Listens at once; requests are answered from serve() on.
  ///
  /// \param executor Where clients are served, on as many strands as the machine has processors: an io_context's, a thread_pool's.
  /// \par Errors
  /// ConfigError for an option that is not valid; the message names it. Error with errc::network where the address cannot be bound.
  Gateway(const boost::asio::any_io_executor& executor, GatewayOptions options);
  /// The same on strands that the program has made, each client on one of them. Fastest where each is an io_context of its own with one
  /// thread.
  ///
  /// \param strands At least one. Executors that run one handler at a time each: an io_context's that one thread runs, a strand. All must be there
  /// until serve() has ended.
  Gateway(const std::vector<boost::asio::any_io_executor>& strands, GatewayOptions options);
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;
  /// Says what the constructor would say of the options, and opens nothing.
  ///
  /// \par Errors
  /// ConfigError, as the constructor.
  static void check(const GatewayOptions& options);
  /// Closes every connection; calls that were sent are charged as indeterminate, streams with what they had shown.
  ~Gateway();

  /// Answers until stop().
  ///
  /// \par Cancellation
  /// As stop(), without a time for what is running.
  [[nodiscard]] boost::asio::awaitable<void> serve();
  /// No new connections and requests; what is running may go on for GatewayOptions::drain. Then serve() returns.
  void stop() noexcept;

  /// From the next request on these options hold; requests under way keep theirs.
  ///
  /// \par Errors
  /// ConfigError as the constructor, and for another address, port or secret, which only a new Gateway can have, and for TLS where there was none
  /// or none where there was: then nothing has changed.
  void reload(GatewayOptions options);

  /// The port that it listens on, also where GatewayOptions::port was 0.
  [[nodiscard]] std::uint16_t port() const noexcept;
  /// Of `/outlay/`; 0 where it has no port of its own.
  [[nodiscard]] std::uint16_t admin_port() const noexcept;
  /// `http://127.0.0.1:8080/<secret>`: what a program's base URL begins with.
  [[nodiscard]] std::string url() const;
  /// Counts since the start.
  [[nodiscard]] GatewayStats stats() const noexcept;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outlay
