#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/call/billing.hpp"
#include "core/call/settlement.hpp"
#include "meter.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/error.hpp"
#include "outlay/json/stream.hpp"
#include "reply.hpp"
#include "text.hpp"

namespace outlay {

namespace {

// How far ahead of what arrives a stream without a ceiling reserves, so that small chunks do not ask each time.
constexpr std::int64_t step = 64;

}  // namespace

struct Stream::Impl final : private StreamMeter::Impl::Gate {
  Impl(Call& call, Api api, StreamMeterOptions options)
      : reservation(detail::Ref<detail::Reservation>::share(detail::Access::reservation(call))), meter(api, options) {
    if (!reservation)
      throw Error(errc::invalid_argument,
                  "Stream: the call has been moved from. Make the stream from the call that holds it.");
    meter.impl_->reader.facts.admitted_model = reservation->model_name();
    if (reservation->tier) meter.impl_->reader.facts.geo = detail::place_of(reservation->tier->text);
    bounded = !reservation->quote.unbounded;
    if (bounded && !meter.impl_->max_output) meter.impl_->max_output = reservation->quote.output;
  }
  ~Impl() {
    if (sent && !settled) static_cast<void>(settle_quietly());
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void feed(std::string_view bytes, StreamConsumer* consumer) {
    if (!open() || bytes.empty()) return;
    leaves();
    if (refused()) {
      refusal += bytes.substr(0, detail::most_refusal_bytes - std::min(refusal.size(), detail::most_refusal_bytes));
      return;
    }
    try {
      meter.impl_->feed(bytes, consumer, this);
    } catch (...) {
      show();
      throw;
    }
    show();
    throw_if_cut();
  }

  FeedResult try_feed(std::string_view bytes, StreamConsumer* consumer) noexcept {
    try {
      if (!kept) feed(bytes, consumer);
    } catch (...) {
      kept = std::current_exception();
    }
    if (was_cut) return FeedResult::cut;
    return kept ? FeedResult::failed : FeedResult::go_on;
  }

  void answered(int answer) noexcept {
    if (answer == 0 || sent) return;
    status = answer;
    leaves();
  }
  /// The answer is no stream: its status says what it is.
  [[nodiscard]] bool refused() const noexcept { return status != 0 && !detail::is_success(status); }

  void read_rest(StreamConsumer* consumer) {
    if (refused()) return;
    meter.impl_->finish(consumer, this);
    show();
  }

  [[nodiscard]] bool open() const { return !settled && !meter.ended() && reservation->open(); }

  void leaves() noexcept {
    if (!std::exchange(sent, true)) mark_sent(*reservation);
  }

  [[nodiscard]] Settlement settlement() {
    Settlement settlement;
    StreamMeter::Impl::Reading reading = meter.impl_->read();
    settlement.usage = reading.report.usage;
    settlement.estimated = reading.estimated;
    parts = std::move(reading.report.parts);
    settlement.parts = parts;
    if (settlement.usage.input_total() == 0 && !meter.impl_->facts().free) {
      settlement.usage.input = reservation->quote.input;
      settlement.estimated = true;
    }
    settlement.served_model = meter.served_model();
    settlement.service_tier = meter.service_tier();
    settlement.provider_cost = meter.provider_cost();
    if (!meter.unread_member().empty())
      detail::note_unread_usage(*reservation, meter.api().name(), meter.unread_member());
    return settlement;
  }

  // Neither a report nor a piece of an answer: only the reservation can say what it may have cost.
  [[nodiscard]] bool without_verdict(const Settlement& settlement) const {
    if (!meter.invalid_member().empty()) return true;
    if (meter.impl_->facts().free) return false;
    // An answer that was broken off, whose usage is null: what it shows need not be all that it took.
    if (meter.impl_->facts().broken_off && !meter.impl_->facts().used()) return true;
    const bool shown_nothing = meter.counted_output() == 0 && !meter.reported() && !meter.impl_->facts().used_tools();
    return (shown_nothing && !meter.complete()) || settlement.usage.total() == 0;
  }
  [[nodiscard]] std::string reason() const {
    if (!meter.invalid_member().empty())
      return "the reported " + std::string(meter.invalid_member()) + " are not a valid count";
    if (meter.error()) return "the provider reported an error in the stream";
    if (meter.impl_->facts().broken_off) return "the answer was broken off: its usage is not known";
    return "the stream ended before it reported or showed anything";
  }

  Settled finish(StreamConsumer* consumer) {
    if (!sent || settled) return again();  // nothing was fed: the Call knows whether it has left
    read_rest(consumer);
    throw_if_cut();
    if (settled) return again();
    if (refused()) return settle_refused();
    if (began_with_error()) return settle_error();
    const Settlement what = settlement();
    settled = true;
    booked = without_verdict(what) ? end_without(reason()) : detail::settle(*reservation, what);
    return booked;
  }

  Settled end_without(const std::string& why) {
    // What was shown bounds a stream that was cut; of an answer that is broken off it is a part of unknown size.
    if (meter.impl_->facts().broken_off) detail::forget_shown(*reservation);
    return end_indeterminate(*reservation, why);
  }

  /// What was booked before.
  [[nodiscard]] Settled again() const noexcept {
    Settled before = booked;
    before.first = false;
    return before;
  }

  Result<Settled> try_finish(StreamConsumer* consumer) noexcept {
    if (!sent || settled) return again();
    try {
      read_rest(consumer);
    } catch (...) {  // what was read before is settled
      if (!kept) kept = std::current_exception();
    }
    return settle_quietly();
  }

  Result<Settled> settle_quietly() noexcept {
    settled = true;
    try {
      if (refused()) return settle_refused();
      if (began_with_error()) return settle_error();
      const Settlement what = settlement();
      if (without_verdict(what)) return booked = end_without(reason());
      Result<Settled> result = detail::try_settle(*reservation, what);
      if (result) booked = *result;
      return result;
    } catch (...) {  // out of memory: the reservation is the bound
      return booked = end_indeterminate(*reservation, {});
    }
  }

  /// In place of an answer the stream says with what status the request was refused: as a reply that is such an error. Behind any event of
  /// an answer it does not: a model that thinks may have run for long without a piece to show.
  [[nodiscard]] bool began_with_error() const noexcept {
    const detail::Facts& facts = meter.impl_->facts();
    return meter.error() && meter.error()->status >= 300 && !meter.impl_->began && meter.counted_output() == 0 &&
           !meter.reported() && !facts.used_tools() && !facts.saw_delta;
  }
  Settled settle_error() {
    settled = true;
    const StreamError& error = *meter.error();
    const boost::json::value body{{"error", {{"code", error.code}}}};
    booked = detail::end_refused(reservation.get(), meter.api(), error.status, body);
    return booked;
  }

  Settled settle_refused() {
    settled = true;
    booked = detail::end_refused(reservation.get(), meter.api(), status, detail::parse_refusal(refusal));
    return booked;
  }

  detail::Ref<detail::Reservation> reservation;
  StreamMeter meter;
  int status = 0;                  // of the answer; 0: not said
  std::string refusal;             // what came with one that is no 2xx
  std::exception_ptr kept;         // what try_feed has caught
  std::optional<Failure> failure;  // why it was cut
  std::vector<UsagePart> parts;    // of the settlement, which refers to them
  std::int64_t granted = 0;        // output tokens that are known to be reserved
  bool bounded = false;
  bool sent = false;
  bool settled = false;
  Settled booked;  // once it is settled
  bool was_cut = false;
  bool quiet = false;

 private:
  bool pass() override {
    if (bounded) return true;
    const std::int64_t counted = meter.counted_output();
    if (counted <= granted) return true;
    const std::int64_t wanted = granted + std::max(counted - granted, step);
    ExtensionResult result = extend(*reservation, wanted);
    if (result.extension == Extension::granted) {
      granted = wanted;
      return true;
    }
    was_cut = true;
    quiet = result.extension == Extension::cut_quietly;
    failure = std::move(result.failure);
    return false;
  }

  void show() {
    Usage shown = meter.impl_->read().report.usage;
    if (shown == last_shown_) return;
    last_shown_ = shown;
    if (shown.input_total() == 0) shown.input = reservation->quote.input;
    if (shown.first_invalid() == nullptr) note_shown(*reservation, shown);
  }

  void throw_if_cut() {
    if (!was_cut || settled) return;
    // Booked now: the provider may go on for a while, but nothing more of it is delivered.
    static_cast<void>(settle_quietly());
    if (!quiet && failure) detail::throw_failure(*failure);
  }

  Usage last_shown_;
};

Stream::Stream(Call& call, Api api, StreamMeterOptions options) : impl_(std::make_unique<Impl>(call, api, options)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

bool Stream::open() const noexcept { return impl_->open(); }
void Stream::feed(std::string_view bytes) { impl_->feed(bytes, nullptr); }
void Stream::feed(std::string_view bytes, StreamConsumer& consumer) { impl_->feed(bytes, &consumer); }
FeedResult Stream::try_feed(std::string_view bytes) noexcept { return impl_->try_feed(bytes, nullptr); }
FeedResult Stream::try_feed(std::string_view bytes, StreamConsumer& consumer) noexcept {
  return impl_->try_feed(bytes, &consumer);
}
void Stream::answered(int status) noexcept { impl_->answered(status); }
Settled Stream::finish() { return impl_->finish(nullptr); }
Settled Stream::finish(StreamConsumer& consumer) { return impl_->finish(&consumer); }

Result<Settled> Stream::try_finish() noexcept { return impl_->try_finish(nullptr); }
Result<Settled> Stream::try_finish(StreamConsumer& consumer) noexcept { return impl_->try_finish(&consumer); }

Settled Stream::take_whole(std::string_view bytes) {
  impl_->bounded = true;
  const FeedResult fed = impl_->try_feed(bytes, nullptr);
  const Result<Settled> settled = try_finish();
  if (fed == FeedResult::failed) std::rethrow_exception(impl_->kept);
  return settled ? *settled : Settled{};
}

void Stream::check() const {
  if (impl_->kept) std::rethrow_exception(impl_->kept);
  const StreamMeter& meter = impl_->meter;
  const std::string name(meter.api().name());
  if (impl_->refused())
    throw Error(errc::provider_error, name + ": the provider answered " + detail::status_text(impl_->status) +
                                          " in place of a stream. Correct the request, or send it again later.");
  if (meter.error()) {
    std::string what = name + ": the provider reported an error in the stream";
    if (!meter.error()->code.empty()) what += " (" + meter.error()->code + ")";
    throw Error(errc::provider_error, what + ". What it had generated is charged.");
  }
  if (!impl_->was_cut && !meter.complete())
    throw Error(errc::stream_broken, name +
                                         ": the stream stopped before its end, and what it had shown is charged. "
                                         "Asking again is another call, which is billed in full.");
}

bool Stream::complete() const noexcept { return impl_->meter.complete(); }
const std::optional<Failure>& Stream::failure() const noexcept { return impl_->failure; }
bool Stream::cut() const noexcept { return impl_->was_cut; }
const StreamMeter& Stream::meter() const noexcept { return impl_->meter; }

}  // namespace outlay
