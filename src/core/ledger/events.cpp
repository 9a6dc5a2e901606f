#include "core/ledger/events.hpp"

#include <utility>

#include "core/ledger/books.hpp"
#include "outlay/error.hpp"

namespace outlay::detail {

BudgetEvent to_event(const EventRow& row, const LedgerDictionary& dictionary) {
  BudgetEvent event;
  event.time = Time(std::chrono::nanoseconds(row.time));
  event.action = row.action;
  event.reason = row.reason;
  event.dimension = row.dimension;
  event.projected = row.projected;
  event.cap = row.cap;
  event.threshold = row.threshold;
  if (row.ceiling >= 0) event.max_output_tokens = row.ceiling;
  event.call_id = row.call_id;
  event.traceparent = row.traceparent;
  {
    const LedgerDictionary::Reader names = dictionary.read();
    event.model = names.name(row.model);
    event.new_model = names.name(row.new_model);
    event.provider = names.name(row.provider);
    if (const Attribution* where = names.attribution(row.budget); where && !where->path.empty()) {
      event.budget = where->path.back();
      event.description = where->description;
      event.path = where->joined_path();
    }
    if (const Attribution* where = names.attribution(row.attribution)) {
      event.tags = where->tags;
      event.budgets = where->path;
    }
  }
  if (event.reason.empty())
    event.reason = std::string(to_string(row.action)) + ": " + to_string(row.dimension) + " would come to " +
                   to_string(Amount(row.dimension, row.projected)) + " of " + to_string(Amount(row.dimension, row.cap));
  return event;
}

void Events::push(EventRow&& row) {
  const std::lock_guard lock(mutex_);
  if (max_events_ == 0) return;
  if (rows_.size() < max_events_) {
    rows_.push_back(std::move(row));
    return;
  }
  rows_[oldest_] = std::move(row);
  if (++oldest_ == max_events_) oldest_ = 0;
}

void Events::visit(const std::function<void(const EventRow&)>& visit) const {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = oldest_; i < rows_.size(); ++i) visit(rows_[i]);
  for (std::size_t i = 0; i < oldest_; ++i) visit(rows_[i]);
}

void Events::clear() {
  const std::lock_guard lock(mutex_);
  rows_.clear();
  oldest_ = 0;
}

void Events::mark(const Mark& mark) const {
  for (const EventRow& row : rows_) mark(row.attribution), mark(row.budget);
}

std::uint32_t EventDraft::id_here(const Attribution* attribution, AttributionRef& made) {
  if (!attribution || attribution->books_uid == books_.uid) return attribution ? attribution->id : 0;
  made = books_.dictionary.translate(attribution);
  return id_of(made);
}

EventDraft::EventDraft(Books& books, Action action, const Attribution* budget) : books_(books) {
  row_.time = books.now();
  row_.action = action;
  row_.budget = id_here(budget, made_of_budget_);
}

EventDraft& EventDraft::numbers(Dimension dimension, std::int64_t projected, std::int64_t cap) noexcept {
  row_.dimension = dimension;
  row_.projected = projected;
  row_.cap = cap;
  return *this;
}

EventDraft& EventDraft::call(std::uint64_t id, const Attribution* attribution, const ModelName* model,
                             std::string_view traceparent) {
  row_.call_id = id;
  row_.attribution = id_here(attribution, made_of_call_);
  row_.model = model ? model->id : 0;
  if (model)
    if (const ModelName* provider = books_.prices.resolve(*model, model->text).provider) row_.provider = provider->id;
  if (!traceparent.empty()) row_.traceparent = traceparent;
  return *this;
}

EventDraft& EventDraft::reason(std::string_view text) {
  row_.reason = text.substr(0, max_reason);
  return *this;
}

EventDraft& EventDraft::threshold(double fraction) noexcept {
  row_.threshold = fraction;
  return *this;
}

EventDraft& EventDraft::ceiling(std::int64_t tokens) noexcept {
  row_.ceiling = tokens;
  return *this;
}

EventDraft& EventDraft::new_model(const ModelName* model) noexcept {
  row_.new_model = model ? model->id : 0;
  return *this;
}

void EventDraft::book(bool may_wait) { books_.book(std::move(row_), may_wait); }

}  // namespace outlay::detail
