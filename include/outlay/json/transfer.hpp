#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "outlay/call.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/error.hpp"
#include "outlay/json/guard.hpp"
#include "outlay/json/stream.hpp"

namespace outlay {

/// How a Transfer takes a reply.
struct TransferOptions {
  /// Gets what a stream says, after its room has been reserved. Null: none.
  StreamConsumer* consumer{};
  /// The answer is a stream although the request's body does not say so, as where the URL asks for it (Gemini, Bedrock).
  bool streamed{};
  std::size_t reply_bytes = std::size_t{64}
                            << 20;  ///< The largest reply, of a stream as a whole. One that is larger is aborted.
};

/// How a transfer has ended, as its HTTP client knows.
enum class TransferEnd : std::uint8_t {
  complete,  ///< The whole reply is there.
  broken,  ///< The request may have left and the reply is not all there: a time-out, a broken connection, an aborted transfer.
  not_sent,  ///< Nothing has left: no address, no connection, no TLS.
};

/// What became of a transfer.
struct TransferResult {
  int status{};  ///< Of the reply; 0: none has begun.
  std::string
      body{};  ///< The reply as it came, whole also where a `Deliver` took it; of a stream what was passed on and no `Deliver` took.
  Settled
      settled{};  ///< What was booked at the end; `first` is false where a budget had ended the call before, or nothing is billed.
  bool cut{};  ///< A budget ended the stream: Stream::failure().
  /// Why a budget cut it, or what kept a reply with status 2xx from being read to its end. Empty for other statuses, which say it themselves.
  std::optional<Failure> failure{};
  std::exception_ptr thrown{};  ///< What a `Deliver` or a consumer threw.
};

/// A guarded call within an HTTP client that reports by callbacks, plain or streamed: the client says what it sees, and the call is booked as
/// Client of outlay::http would book the same.
///
/// What `<outlay/curl.hpp>` and `<outlay/httplib.hpp>` are made of; for any other client.
/// \par Guarantee
/// The call ends exactly once, with end(); destroyed before, as by a broken transfer.
/// \par Thread safety
/// Distinct objects: safe. Shared object: unsafe. The callbacks may come on any thread, one at a time.
/// \par Lifetime
/// Refers to the call, which must live until end().
/// \par Example
/// \snippet tests/unit/json/transfer_test.cpp transfer_example
class OUTLAY_EXPORT Transfer {
 public:
  /// Takes the reply's bytes, a stream's after their room has been reserved. False, or an exception, aborts the transfer.
  using Deliver = std::function<bool(std::string_view bytes)>;

  /// \param deliver Gets what the request's sender is to see: of a stream that was made to report its usage, not that report. Without one
  /// TransferResult::body keeps a stream, too.
  explicit Transfer(GuardedCall& call, Deliver deliver = {}, TransferOptions options = {});
  /// The moved-from transfer can only be assigned to or destroyed.
  Transfer(Transfer&&) noexcept;
  /// Ends the transfer that was here as its destructor would, and takes the other one.
  Transfer& operator=(Transfer&&) noexcept;
  ~Transfer();

  /// The head of the final reply is there: with the last one's status, should there be several, as after a redirect. 0: the request leaves
  /// once more, as after a redirect, and what has answered it counts no more.
  void head(int status) noexcept;
  /// Bytes of the reply's body, without a content coding.
  ///
  /// \return False: abort the transfer; then say end(TransferEnd::broken).
  /// \par Blocking
  /// As Stream::feed, and as long as what is delivered takes.
  [[nodiscard]] bool body(std::string_view bytes) noexcept;
  /// The transfer is over: ends the call. The second time it does nothing.
  ///
  /// A reply whose head has not come is indeterminate, a status other than 2xx is judged by the API's table, a plain reply is settled if it
  /// is complete and otherwise indeterminate, a stream is settled by what it has reported or shown.
  /// \param reason For the record of a call without a verdict: never the request's or the reply's text.
  TransferResult end(TransferEnd how, std::string_view reason = {}) noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace outlay
