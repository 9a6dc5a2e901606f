#include "outlay/ledger.hpp"

#include <algorithm>
#include <utility>

#include "core/ledger/audit.hpp"
#include "core/ledger/books.hpp"
#include "outlay/detail/access.hpp"

namespace outlay {

const char* to_string(RecordStatus status) noexcept {
  switch (status) {
    case RecordStatus::settled:
      return "settled";
    case RecordStatus::estimated:
      return "estimated";
    case RecordStatus::indeterminate:
      return "indeterminate";
    case RecordStatus::rejected:
      return "rejected";
  }
  return "unknown";
}

const char* to_string(CostSource source) noexcept {
  switch (source) {
    case CostSource::table:
      return "table";
    case CostSource::assumed:
      return "assumed";
    case CostSource::provider:
      return "provider";
    case CostSource::flat:
      return "flat";
    case CostSource::none:
      return "none";
  }
  return "unknown";
}

const char* to_string(Action action) noexcept {
  switch (action) {
    case Action::blocked:
      return "blocked";
    case Action::truncated:
      return "truncated";
    case Action::downgraded:
      return "downgraded";
    case Action::clamped:
      return "clamped";
    case Action::raised:
      return "raised";
    case Action::allowed:
      return "allowed";
    case Action::warned:
      return "warned";
    case Action::waited:
      return "waited";
    case Action::cut:
      return "cut";
    case Action::threshold:
      return "threshold";
    case Action::overrun:
      return "overrun";
    case Action::cap_raised:
      return "cap_raised";
    case Action::closed:
      return "closed";
    case Action::observed:
      return "observed";
    case Action::adjusted:
      return "adjusted";
    case Action::unshared:
      return "unshared";
    case Action::retry_storm:
      return "retry_storm";
    case Action::cap_lowered:
      return "cap_lowered";
    case Action::cap_set:
      return "cap_set";
    case Action::expired:
      return "expired";
  }
  return "unknown";
}

Ledger::Ledger(LedgerOptions options)
    : books_(detail::Ref<detail::Books>::adopt(new detail::Books(std::move(options)))) {}

Ledger::Ledger(detail::Ref<detail::Books> books) noexcept : books_(std::move(books)) {}

Ledger Ledger::default_ledger() { return Ledger(detail::Ref<detail::Books>::share(&detail::Books::default_books())); }

std::vector<Record> Ledger::records() const { return books_->all_records(); }
std::optional<Record> Ledger::record(std::uint64_t call_id) const { return books_->record_of(call_id); }
std::vector<BudgetEvent> Ledger::events() const { return books_->all_events(); }

namespace {

std::vector<BudgetEvent> only(std::vector<BudgetEvent> events, Action action) {
  std::erase_if(events, [&](const BudgetEvent& event) { return event.action != action; });
  return events;
}

}  // namespace

std::vector<BudgetEvent> Ledger::downgrades() const { return only(events(), Action::downgraded); }
std::vector<BudgetEvent> Ledger::clamps() const { return only(events(), Action::clamped); }
std::uint64_t Ledger::dropped() const { return books_->records.dropped(); }
std::uint64_t Ledger::unpriced_calls() const { return books_->unpriced_calls.load(std::memory_order_relaxed); }
std::uint64_t Ledger::unread_usage() const { return books_->unread_usage.load(std::memory_order_relaxed); }
std::uint64_t Ledger::unbounded_calls() const { return books_->unbounded_calls.load(std::memory_order_relaxed); }
const Tokenizer& Ledger::tokenizer() const noexcept { return books_->tokenizer(); }
Audit Ledger::audit() const { return detail::audit(books_->records); }

void Ledger::set_prices(const PriceTable& prices) { books_->prices.replace(detail::Access::book(prices)); }

PriceTable Ledger::prices() const { return detail::Access::price_table(books_->prices.present()); }

void Ledger::add_sink(std::shared_ptr<Sink> sink, SinkOptions options) { books_->sinks.add(std::move(sink), options); }
bool Ledger::remove_sink(const std::shared_ptr<Sink>& sink) { return books_->sinks.remove(sink); }
SinkStats Ledger::sink_stats(const std::shared_ptr<Sink>& sink) const { return books_->sinks.stats(sink); }
void Ledger::flush(std::chrono::milliseconds timeout) { books_->sinks.flush(timeout); }
void Ledger::on_spend(std::function<void(const Record&)> callback) { books_->sinks.set_on_spend(std::move(callback)); }
void Ledger::on_refused(std::function<void(const BudgetEvent&)> callback) {
  books_->sinks.set_on_refused(std::move(callback));
}
const std::shared_ptr<Store>& Ledger::store() const noexcept { return books_->store; }
void Ledger::reset() { books_->reset(); }

}  // namespace outlay
