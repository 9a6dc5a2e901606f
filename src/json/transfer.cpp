#include "outlay/json/transfer.hpp"

#include <algorithm>
#include <utility>

#include "outlay/error.hpp"
#include "reply.hpp"

namespace outlay {

struct Transfer::Impl final : private StreamConsumer {
  Impl(GuardedCall& guarded, Deliver to, TransferOptions with)
      : call(guarded), deliver(std::move(to)), options(with), by_event(guarded.request().drop_usage_event()) {
    if (guarded.request().streamed() || with.streamed) stream.emplace(guarded.stream());
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() override { static_cast<void>(end(TransferEnd::broken, "the transfer was abandoned")); }

  bool take(std::string_view bytes) {
    received += bytes.size();
    if (received > options.reply_bytes) {
      too_large = true;
      return false;
    }
    if (!stream || !detail::is_success(status)) {
      result.body += bytes;
      return !deliver || deliver(bytes);
    }
    stream->answered(status);
    if (by_event) undelivered += bytes;
    if (stream->try_feed(bytes, *this) != FeedResult::go_on) return false;
    if (by_event) return true;
    return pass_on(bytes);
  }

  TransferResult end(TransferEnd how, std::string_view reason) noexcept {
    if (std::exchange(ended, true)) return {};
    try {
      result.status = status;
      if (how == TransferEnd::not_sent && status == 0 && received == 0) {
        call.not_sent(reason);
        return std::move(result);
      }
      call.sent();
      if (status == 0)
        result.settled = call.failed(reason);
      else if (!detail::is_success(status))
        result.settled = call.reply(status, std::string_view(result.body));
      else if (stream)
        end_stream(reason);
      else
        end_plain(how, reason);
    } catch (...) {  // out of memory: the reservation is the bound
      result.settled = call.failed(reason);
    }
    return std::move(result);
  }

  GuardedCall& call;
  const Deliver deliver;
  const TransferOptions options;
  const bool by_event;           // events are passed on one by one, so that one can be left out
  std::optional<Stream> stream;  // of an answer that may be one
  std::string undelivered;       // by event: bytes whose event has not come
  std::size_t received = 0;
  int status = 0;
  bool too_large = false;
  bool stopped = false;
  bool ended = false;
  TransferResult result;

 private:
  bool pass_on(std::string_view bytes) {
    if (deliver) return deliver(bytes);
    result.body += bytes;
    return true;
  }

  void on_delta(const StreamDelta& delta) override {
    if (options.consumer != nullptr) options.consumer->on_delta(delta);
  }
  void on_event(const StreamEvent& event) override {
    if (options.consumer != nullptr) options.consumer->on_event(event);
    if (!by_event || event.bytes.empty()) return;  // what has no events is passed on at the end
    undelivered.erase(0, event.bytes.size());
    if (!event.usage_only && !pass_on(event.bytes)) throw Aborted();
  }
  struct Aborted {};  // by the program

  void end_stream(std::string_view reason) {
    stream->answered(status);
    const Result<Settled> settled = stream->try_finish(*this);
    if (settled) result.settled = *settled;
    result.cut = stream->cut();
    if (!result.cut && !stopped && !undelivered.empty()) {
      try {
        static_cast<void>(pass_on(undelivered));
      } catch (...) {
        result.thrown = std::current_exception();
      }
    }
    if (call.call().open()) result.settled = call.failed(reason);
    result.failure = stream->failure();
    if (result.failure) return;
    try {
      stream->check();
    } catch (const Aborted&) {  // NOLINT(bugprone-empty-catch): the program knows
    } catch (const Error& error) {
      result.failure.emplace(error.reason(), error.what());
    } catch (...) {
      result.thrown = std::current_exception();
    }
  }

  void end_plain(TransferEnd how, std::string_view reason) {
    if (how == TransferEnd::complete && !too_large && !stopped) {
      const Result<Settled> settled = call.try_reply(status, result.body);
      if (settled)
        result.settled = *settled;
      else
        result.failure = settled.error();
      return;
    }
    result.settled = call.failed(reason);
    const std::string name(call.api().name());
    if (too_large)
      result.failure.emplace(errc::bad_reply, name + ": the reply is over the limit of " +
                                                  std::to_string(options.reply_bytes) +
                                                  " bytes. The reservation was charged. Raise reply_bytes.");
    else
      result.failure.emplace(errc::network,
                             name + ": the reply broke off, and the reservation was charged. Send it again if needed.");
  }
};

Transfer::Transfer(GuardedCall& call, Deliver deliver, TransferOptions options)
    : impl_(std::make_unique<Impl>(call, std::move(deliver), options)) {}
Transfer::Transfer(Transfer&&) noexcept = default;
Transfer& Transfer::operator=(Transfer&&) noexcept = default;
Transfer::~Transfer() = default;

void Transfer::head(int status) noexcept {
  impl_->call.sent();
  impl_->status = status;
  impl_->result.body.clear();  // of an earlier one
}

bool Transfer::body(std::string_view bytes) noexcept {
  if (impl_->stopped || impl_->ended) return false;
  try {
    if (impl_->take(bytes)) return true;
  } catch (...) {
    impl_->result.thrown = std::current_exception();
  }
  impl_->stopped = true;
  return false;
}

TransferResult Transfer::end(TransferEnd how, std::string_view reason) noexcept { return impl_->end(how, reason); }

}  // namespace outlay
