#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/call.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/json/api.hpp"
#include "outlay/usage.hpp"
#include "outlay/usd.hpp"

namespace outlay {

class GuardedCall;

/// A piece of an answer, as it arrives.
struct StreamDelta {
  /// What a piece of an answer is.
  enum class Kind : std::uint8_t {
    text,       ///< Visible text, refusals included.
    reasoning,  ///< Visible reasoning or its summary.
    /// A piece of a tool call's JSON arguments; the first of a call may be empty and carry its id and name.
    tool_arguments,
    usage,  ///< The provider reported: StreamMeter::usage() has changed. Without text.
  };
  /// What this piece is.
  Kind kind{};
  std::int32_t choice{};    ///< Which of the answers, from 0.
  std::int32_t tool{};      ///< Which tool call of the answer, as the provider numbers them; 0 where it does not.
  std::string_view text{};  ///< UTF-8 as the provider sent it. Valid during the callback.
  /// The tool call's id, in its first piece; empty otherwise. Valid during the callback.
  std::string_view tool_id{};
  /// The tool's name, in the call's first piece; empty otherwise. Valid during the callback.
  std::string_view tool_name{};
};

/// One event of the stream, as it was on the wire.
struct StreamEvent {
  /// Its bytes, line ends included; what is passed on to a client unchanged. Empty where the format is not server-sent events.
  std::string_view bytes{};
  /// It carries nothing but the usage that `stream_options.include_usage` asks for: drop it for a client that did not ask.
  bool usage_only{};
  bool last{};  ///< The stream's terminator, as `data: [DONE]`.
};

/// Takes what a StreamMeter or a Stream reads. Called from inside `feed`; what it throws leaves `feed`.
class OUTLAY_EXPORT StreamConsumer {
 public:
  virtual ~StreamConsumer() = default;
  /// A piece has arrived. Of a Stream: after its room has been reserved.
  virtual void on_delta(const StreamDelta& delta) = 0;
  /// After the deltas of the event.
  virtual void on_event(const StreamEvent& event) { static_cast<void>(event); }
};

/// An error that the provider reported inside a stream, after HTTP 200.
struct StreamError {
  /// Its type, code or status, as far as it is a plain word of at most 64 characters. Never its message.
  std::string code{};
  int status{};  ///< The HTTP status that it stands for; 0 if it names none.
};

/// How a StreamMeter reads.
struct StreamMeterOptions {
  /// The largest event, line, array element or frame that is read, in bytes. Default 16 MiB, the most that an AWS event stream allows.
  std::size_t max_event_bytes = std::size_t{16} << 20;
  /// The request's ceiling times its choices. What is counted here, without a report, is never above it. Stream and GuardedCall set it.
  std::optional<std::int64_t> max_output_tokens{};
};

/// Reads a provider's answer as its bytes arrive, split anywhere, and says what it used.
///
/// Understands server-sent events (LF, CRLF, CR, comments, data over several lines), newline-delimited JSON, one JSON array, AWS's binary
/// event stream, and a plain JSON reply in place of a stream: which of them it is, is seen in the first bytes. Usage reports are
/// cumulative and merged member by member: the last one wins, but a 0 never replaces a count. In a stream only what is new is text, where
/// events repeat the answer so far.
///
/// \par Guarantee
/// However the bytes are split, the usage is the same.
/// \par Errors
/// Error with errc::bad_reply for bytes that are not a stream in the format of this API: broken JSON, a wrong checksum, an event over
/// the limit, nesting deeper than 64. What was read before stays; later bytes are ignored.
/// \par Thread safety
/// Distinct objects: safe. Shared object: unsafe, but for const members.
class OUTLAY_EXPORT StreamMeter {
 public:
  /// At the beginning of an answer.
  explicit StreamMeter(Api api, StreamMeterOptions options = {});
  /// The moved-from meter can only be assigned to or destroyed.
  StreamMeter(StreamMeter&&) noexcept;
  /// Takes the other meter.
  StreamMeter& operator=(StreamMeter&&) noexcept;
  ~StreamMeter();

  /// Takes bytes as they come off the socket.
  void feed(std::string_view bytes);
  /// The same; the consumer gets what they say.
  void feed(std::string_view bytes, StreamConsumer& consumer);
  /// The connection has ended: reads what is left without a line end. Never throws; a torn rest only makes complete() false.
  void finish() noexcept;
  /// The same; the consumer gets what is read then, and what it throws leaves this function.
  void finish(StreamConsumer& consumer);

  /// What the provider reported; where it did not, or not to the end, the visible output as counted by the built-in tokenizer.
  ///
  /// The input is 0 until the provider reports it.
  [[nodiscard]] Usage usage() const;
  /// Of which of usage(): what other models than the reply's own took.
  [[nodiscard]] std::vector<UsagePart> parts() const;
  /// usage() is not, or not wholly, the provider's final word.
  [[nodiscard]] bool estimated() const;
  /// The provider has reported a usage, final or not.
  [[nodiscard]] bool reported() const noexcept;
  /// The provider has reported its input.
  [[nodiscard]] bool input_reported() const noexcept;
  /// The visible output so far, over every choice, as the built-in tokenizer bounds the joined text of each answer, each reasoning and each
  /// tool call; at most StreamMeterOptions::max_output_tokens.
  [[nodiscard]] std::int64_t counted_output() const noexcept;

  /// The API's end has been seen: `[DONE]`, `message_stop`, a finish reason where nothing follows it.
  [[nodiscard]] bool complete() const noexcept;
  /// No more is expected: complete(), or the provider reported an error, or feed has thrown.
  [[nodiscard]] bool ended() const noexcept;
  /// What the provider reported instead of an end.
  [[nodiscard]] const std::optional<StreamError>& error() const noexcept;
  /// A member of the usage that was negative, fractional or too large; empty if none. Such a report is not used: estimated().
  [[nodiscard]] std::string_view invalid_member() const;
  /// A member of the usage that the library does not know and that was neither 0 nor empty; empty if none. See Ledger::unread_usage().
  [[nodiscard]] std::string_view unread_member() const noexcept;
  /// Why the first answer ended, as the provider writes it (`stop`, `MAX_TOKENS`, `completed`); empty until known.
  [[nodiscard]] std::string_view finish_reason() const noexcept;

  [[nodiscard]] std::string_view served_model() const noexcept;  ///< Empty until known.
  [[nodiscard]] std::string_view service_tier() const noexcept;  ///< The tier that was served; empty until known.
  /// A cost that the provider reports (OpenRouter, xAI, Perplexity), rounded half to even to a nano-dollar.
  [[nodiscard]] std::optional<Usd> provider_cost() const noexcept;
  /// The API that it was made for.
  [[nodiscard]] Api api() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  friend class Stream;
};

/// What Stream::try_feed says to a transport.
enum class FeedResult : std::uint8_t {
  go_on,   ///< Read on, for as long as the connection gives something.
  cut,     ///< A budget ended the stream: close the connection.
  failed,  ///< The bytes are not a stream in the format of this API, or the consumer has thrown: close the connection.
};

/// A metered stream of one call: keeps its reservation ahead of what arrives, and settles it.
///
/// Says `sent()` at the first feed. Without an output ceiling in the request it extends the reservation by steps of max(the chunk, 64
/// tokens) before the chunk is delivered; where an extension does not fit, the policies say whether the stream is cut with BudgetExceeded
/// or quietly. Refers to the reservation: the Call may be moved, or destroyed first.
///
/// \par Guarantee
/// Destroyed at any byte, the call is charged for what its stream had shown, never zero; without a byte fed it is left to the Call.
/// \par Thread safety
/// Distinct objects: safe. Shared object: unsafe, but for const members.
/// \par Suspension
/// May live across `co_await` and move to another thread.
class OUTLAY_EXPORT Stream {
 public:
  /// At the beginning of an answer to `call`.
  Stream(Call& call, Api api, StreamMeterOptions options = {});
  /// The moved-from stream can only be assigned to or destroyed.
  Stream(Stream&&) noexcept;
  /// Ends the stream that was here as its destructor would, and takes the other one.
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  /// The status with which the answer began, said before the first feed. The call has been sent.
  ///
  /// With one that is no 2xx what is fed is the body of a refusal: none of it is delivered, and of at most 64 KiB the end of the stream
  /// ends the call by the API's table, as GuardedCall::reply does. 0 says nothing.
  void answered(int status) noexcept;
  /// More is expected: neither ended by the provider, nor cut, nor finished.
  [[nodiscard]] bool open() const noexcept;
  /// Takes bytes as they come off the socket, split anywhere. Ignored once the stream is not open.
  ///
  /// \par Errors
  /// BudgetExceeded when the stream was cut; it has been settled then with what it had shown. Error with errc::bad_reply for bytes that
  /// are not a stream in the format of this API; finish() settles what was seen.
  /// \par Blocking
  /// Never waits; a Callback policy is asked.
  void feed(std::string_view bytes);
  /// The consumer gets each event's deltas after their room has been reserved.
  void feed(std::string_view bytes, StreamConsumer& consumer);

  /// The same without exceptions, for callbacks of C: what feed() would have thrown is kept for check().
  FeedResult try_feed(std::string_view bytes) noexcept;
  /// The same with a consumer; what that throws is kept for check(), too.
  FeedResult try_feed(std::string_view bytes, StreamConsumer& consumer) noexcept;

  /// The stream is over: settles the call, exactly if the provider reported, otherwise by what was counted, marked estimated.
  ///
  /// A stream that broke off or reported an error is settled all the same: see complete() and check(). Settled before, as a cut one is: `usd` is what was booked then.
  /// \par Errors
  /// BudgetExceeded under a Raise budget that the call took over its cap, after booking.
  Settled finish();
  /// The same; the consumer gets what was left without a line end.
  Settled finish(StreamConsumer& consumer);
  /// The same without that exception; what a consumer throws is kept for check().
  Result<Settled> try_finish() noexcept;
  /// The same with a consumer.
  Result<Settled> try_finish(StreamConsumer& consumer) noexcept;

  /// Throws the typed error of a stream that did not reach its end.
  ///
  /// \par Errors
  /// What try_feed() has kept: BudgetExceeded, errc::bad_reply, what a consumer threw. Error with errc::provider_error if the provider
  /// reported one or answered with a status that is no 2xx, errc::stream_broken if it stopped before its end and was not cut.
  void check() const;

  /// The provider's end was seen.
  [[nodiscard]] bool complete() const noexcept;
  /// Ended by a budget.
  [[nodiscard]] bool cut() const noexcept;
  /// Why a budget ended it; empty if none did.
  [[nodiscard]] const std::optional<Failure>& failure() const noexcept;
  /// What the stream says of itself so far.
  [[nodiscard]] const StreamMeter& meter() const noexcept;

 private:
  friend class GuardedCall;
  Settled take_whole(std::string_view bytes);  // of a stream that has been paid for: never cut

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace outlay
