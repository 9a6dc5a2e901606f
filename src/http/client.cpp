#include "outlay/http/client.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/json.hpp>
#include <deque>
#include <exception>

#include "core/call/reservation.hpp"
#include "outlay/call.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/error.hpp"
#include "prepare.hpp"
#include "state.hpp"

namespace outlay::http {

namespace asio = boost::asio;

namespace detail {

/// A stream, its call and its connection. Not the request: it may be long, and has been sent.
struct StreamState final : StreamConsumer {
  StreamState(std::shared_ptr<ClientState> c, Reply reply, asio::any_io_executor ex)
      : client(std::move(c)),
        call(std::move(reply.call.call())),
        stream(call, client->endpoint.api),
        exchange(std::move(reply.exchange)),
        executor(std::move(ex)) {}

  void on_delta(const StreamDelta& delta) override {
    ready.push_back({.kind = delta.kind,
                     .choice = delta.choice,
                     .tool = delta.tool,
                     .text = std::string(delta.text),
                     .tool_id = std::string(delta.tool_id),
                     .tool_name = std::string(delta.tool_name)});
  }

  /// Meters a piece; what it holds is in `ready` then, as far as it was granted.
  void feed(std::string_view piece) {
    try {
      stream.feed(piece, *this);
    } catch (...) {  // cut, or no stream of this API
      exchange->close();
      end("", std::current_exception());
      return;
    }
    if (stream.cut()) {
      quiet = true;
      exchange->close();
      end("", nullptr);
    } else if (!stream.open()) {
      if (stream.meter().error()) exchange->close();  // what follows an error is of no use
      draining = true;
    }
  }

  /// The body has ended, or its connection has.
  ///
  /// \param reason Why, where there is no verdict.
  /// \param error What next() throws once the pieces that arrived have been returned; null: whatever the stream itself says.
  void end(std::string_view reason, std::exception_ptr error) {
    if (ended) return;
    ended = true;
    try {
      settle(stream.finish(*this));
    } catch (const BudgetExceeded&) {
      // A Raise budget, crossed by a reply that has been paid and booked: it is returned, and the next call is refused.
    } catch (...) {
      if (!error) error = std::current_exception();
      if (const Result<Settled> settled = stream.try_finish()) settle(*settled);
    }
    if (call.open()) settle(call.indeterminate(reason.empty() ? "the stream had no content" : reason));
    if (!error && !quiet) {
      try {
        stream.check();
      } catch (...) {
        error = std::current_exception();
      }
    }
    pending = error;
    if (exchange)
      if (std::unique_ptr<Connection> connection = exchange->finish()) client->pool.put(std::move(connection));
    exchange.reset();
  }

  void broke(const Fault& fault) {
    if (stream.complete()) return end("", nullptr);  // all was there; the break concerns the connection alone
    Fault named = fault;
    if (named.code == errc::network) named.code = errc::stream_broken;
    std::exception_ptr error;
    try {
      throw_fault(*client, call.model(), named, "what had arrived was charged");
    } catch (...) {
      error = std::current_exception();
    }
    exchange->close();
    end(fault.what, error);
  }

  void settle(const Settled& settled) {
    if (settled.first) charged = settled.usd;
  }

  void close() noexcept {
    if (ended) return;
    ended = true;
    exchange.reset();
    ready.clear();
    try {
      if (const Result<Settled> settled = stream.try_finish()) settle(*settled);
      if (call.open()) settle(call.indeterminate("closed before the first content"));
    } catch (...) {  // NOLINT(bugprone-empty-catch): the stream's and the call's own ends charge what was seen
    }
  }

  std::shared_ptr<ClientState> client;
  Call call;
  outlay::Stream stream;
  std::unique_ptr<Exchange> exchange;  // null once ended
  asio::any_io_executor executor;
  std::deque<Delta> ready{};
  std::exception_ptr pending{};
  std::optional<Usd> charged{};
  bool draining = false;  // the API's end was seen, the body's not yet
  bool ended = false;
  bool quiet = false;
};

namespace {

asio::awaitable<boost::json::value> post_owned(std::shared_ptr<ClientState> state,
                                               std::shared_ptr<const OwnedRequest> request) {
  Reply reply = co_await begin(state, request);
  std::string body;
  for (;;) {
    std::string_view piece;
    const Fault fault = co_await reply.exchange->read_some(piece);
    if (fault) {
      const Settled settled = reply.call.failed(fault.what);
      co_await throw_if_cancelled();
      throw_fault(*state, reply.call.model(), fault,
                  to_string(settled.usd) + " was charged, since it may have been billed");
    }
    if (piece.empty()) break;
    body += piece;
  }
  if (std::unique_ptr<Connection> connection = reply.exchange->finish()) state->pool.put(std::move(connection));
  co_return settle_reply(*state, reply.call, body);
}

asio::awaitable<ReplyStream> stream_owned(std::shared_ptr<ClientState> state,
                                          std::shared_ptr<const OwnedRequest> request) {
  Reply reply = co_await begin(state, request);
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  co_return ReplyStream(std::make_unique<StreamState>(state, std::move(reply), executor));
}

asio::awaitable<std::optional<Delta>> next_of(StreamState& state) {
  constexpr std::chrono::seconds drain_limit{1};
  for (;;) {
    if (!state.ready.empty()) {
      std::optional<Delta> delta(std::move(state.ready.front()));
      state.ready.pop_front();
      co_return delta;
    }
    if (state.pending) std::rethrow_exception(std::exchange(state.pending, nullptr));
    if (state.ended) co_return std::nullopt;
    if (!state.exchange->open()) {
      state.end("", nullptr);
      continue;
    }
    std::string_view piece;
    Fault fault;
    try {
      fault = co_await state.exchange->read_some(piece);
      if (fault) co_await throw_if_cancelled();
    } catch (...) {
      state.close();
      throw;
    }
    if (state.ended) co_return std::nullopt;  // closed meanwhile
    if (fault) {
      state.broke(fault);
    } else if (piece.empty()) {
      state.end("the reply ended before its end", nullptr);
    } else if (!state.draining) {
      state.feed(piece);
      // A provider that has said its last word ends the body at once, or its connection is not worth the wait.
      if (state.draining && state.exchange) state.exchange->hurry(drain_limit);
    }
  }
}

}  // namespace

}  // namespace detail

ReplyStream::ReplyStream(std::unique_ptr<detail::StreamState> state) noexcept : state_(std::move(state)) {}
ReplyStream::ReplyStream(ReplyStream&&) noexcept = default;
ReplyStream& ReplyStream::operator=(ReplyStream&&) noexcept = default;
ReplyStream::~ReplyStream() { close(); }

asio::awaitable<std::optional<Delta>> ReplyStream::next() { return detail::next_of(*state_); }
void ReplyStream::close() noexcept {
  if (state_) state_->close();
}
bool ReplyStream::open() const noexcept {
  return state_ && (!state_->ended || !state_->ready.empty() || state_->pending);
}
bool ReplyStream::complete() const noexcept { return state_->stream.complete(); }
bool ReplyStream::truncated() const noexcept { return state_->quiet; }
const std::string& ReplyStream::model() const noexcept { return state_->call.model(); }
std::string ReplyStream::served_model() const { return std::string(state_->stream.meter().served_model()); }
Usage ReplyStream::usage() const {
  const StreamMeter& meter = state_->stream.meter();
  Usage usage = meter.usage();
  if (!meter.input_reported()) usage.input = outlay::detail::Access::reservation(state_->call)->quote.input;
  return usage;
}
std::uint64_t ReplyStream::call_id() const noexcept { return state_->call.id(); }
std::optional<Usd> ReplyStream::charged() const noexcept { return state_->charged; }
asio::any_io_executor ReplyStream::get_executor() const { return state_->executor; }

Client::Client(const asio::any_io_executor& executor, const ClientOptions& options)
    : state_(std::make_shared<detail::ClientState>(executor, options)) {}

asio::awaitable<boost::json::value> Client::post(const boost::json::object& request,
                                                 const RequestOptions& options) const {
  return detail::post_owned(state_, std::make_shared<const detail::OwnedRequest>(api(), request, options, false));
}

asio::awaitable<ReplyStream> Client::stream(const boost::json::object& request, const RequestOptions& options) const {
  if (!detail::can_stream(api()))
    throw Error(errc::invalid_argument, "http client: " + std::string(api().name()) + " has no stream. Use post.");
  return detail::stream_owned(state_, std::make_shared<const detail::OwnedRequest>(api(), request, options, true));
}

asio::any_io_executor Client::get_executor() const { return state_->executor; }
Api Client::api() const noexcept { return state_->endpoint.api; }
std::size_t Client::idle_connections() const noexcept { return state_->pool.size(); }
void Client::close_idle_connections() noexcept { state_->pool.clear(); }

boost::json::value post(const boost::json::object& request, const ClientOptions& options,
                        const RequestOptions& request_options) {
  asio::io_context io(1);
  const Client client(io, options);
  std::exception_ptr failure;
  boost::json::value reply;
  outlay::co_spawn(io, client.post(request, request_options), [&](std::exception_ptr error, boost::json::value value) {
    failure = error;
    reply = std::move(value);
  });
  io.run();
  if (failure) std::rethrow_exception(failure);
  return reply;
}

}  // namespace outlay::http
