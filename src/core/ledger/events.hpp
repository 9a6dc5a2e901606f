#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/ledger/dictionary.hpp"
#include "outlay/record.hpp"

namespace outlay::detail {

class Books;

/// How much of a reason given by the program is kept, in bytes.
inline constexpr std::size_t max_reason = 512;

/// An event as it is kept: names and tags are ids in the ledger's dictionary.
struct EventRow {
  std::int64_t time = 0;
  std::uint64_t call_id = 0;
  Action action{};
  Dimension dimension{};
  std::uint32_t budget = 0;  // attribution ids: of the budget that acted, and of the call
  std::uint32_t attribution = 0;
  std::uint32_t model = 0, new_model = 0, provider = 0;
  std::int64_t projected = 0;
  std::int64_t cap = 0;
  double threshold = 0;
  std::int64_t ceiling = -1;
  std::string reason{};  // empty: the numbers say it
  std::string traceparent{};
};
[[nodiscard]] BudgetEvent to_event(const EventRow& row, const LedgerDictionary& dictionary);

/// A ledger's newest events.
///
/// \par Thread safety
/// Every member is safe from any thread.
class Events {
 public:
  explicit Events(std::size_t max_events) noexcept : max_events_(max_events) {}
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  void push(EventRow&& row);
  void visit(const std::function<void(const EventRow&)>& visit) const;  // from the oldest
  void clear();

  [[nodiscard]] std::unique_lock<std::mutex> lock() const { return std::unique_lock(mutex_); }
  void mark(const Mark& mark) const;  // under lock()

 private:
  const std::size_t max_events_;
  mutable std::mutex mutex_;
  std::deque<EventRow> rows_;  // a ring once it has max_events
  std::size_t oldest_ = 0;
};

/// An event that book() will put into the books.
///
/// Knows neither budgets nor calls: attributions, of any books, stand for them. The caller keeps those alive until it is booked.
class EventDraft {
 public:
  /// \param budget Of the budget that acts; null outside every budget.
  EventDraft(Books& books, Action action, const Attribution* budget);
  EventDraft(const EventDraft&) = delete;
  EventDraft& operator=(const EventDraft&) = delete;

  EventDraft& numbers(Dimension dimension, std::int64_t projected, std::int64_t cap) noexcept;
  /// \param model Null: the call has none yet.
  EventDraft& call(std::uint64_t id, const Attribution* attribution, const ModelName* model,
                   std::string_view traceparent);
  /// What is beyond max_reason is cut off.
  EventDraft& reason(std::string_view text);
  EventDraft& threshold(double fraction) noexcept;
  EventDraft& ceiling(std::int64_t tokens) noexcept;  // negative: none
  EventDraft& new_model(const ModelName* model) noexcept;

  /// \param may_wait The event is of a settlement, which a sink whose queue is full may hold.
  void book(bool may_wait = false);

 private:
  /// The id of an attribution in these books, where one of other books has to be made anew, and is kept in `made`.
  [[nodiscard]] std::uint32_t id_here(const Attribution* attribution, AttributionRef& made);

  Books& books_;
  AttributionRef made_of_budget_, made_of_call_;
  EventRow row_;
};

}  // namespace outlay::detail
