#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "core/ledger/events.hpp"
#include "core/ledger/records.hpp"
#include "outlay/sink.hpp"

namespace outlay::detail {

class SinkWorker;

/// What receives a ledger's records and events: its sinks, each with a queue and a thread of its own, and the program's callbacks.
///
/// One lock guards the list and every queue. It is not taken where there is neither sink nor callback.
/// \par Thread safety
/// Every member is safe from any thread.
class Sinks {
 public:
  using OnSpend = std::function<void(const Record&)>;
  using OnRefused = std::function<void(const BudgetEvent&)>;

  explicit Sinks(Books& books) noexcept : books_(books) {}
  Sinks(const Sinks&) = delete;
  Sinks& operator=(const Sinks&) = delete;
  ~Sinks();

  /// \par Errors
  /// ConfigError for a null sink, or options out of range.
  void add(std::shared_ptr<Sink> sink, SinkOptions options);
  /// Flushes, closes and forgets it; false if it was not there.
  bool remove(const std::shared_ptr<Sink>& sink);
  [[nodiscard]] SinkStats stats(const std::shared_ptr<Sink>& sink) const;
  /// As Ledger::flush.
  void flush(std::chrono::milliseconds timeout);
  /// Ends all sinks.
  ///
  /// \return False: some do not end, and the books must be left to them.
  bool stop() noexcept;

  /// In the child of a fork: leaves all sinks, and what waits for them, to the parent. Under lock().
  void abandon() noexcept;

  [[nodiscard]] bool any() const noexcept { return any_.load(std::memory_order_relaxed); }
  /// Gives a copy of a row or an event to every sink.
  ///
  /// \param may_wait The thread may be held where a queue is full: it settles, and no call waits for it to admit.
  template <class Item>
  void offer(const Item& item, bool may_wait);

  void set_on_spend(OnSpend callback);
  void set_on_refused(OnRefused callback);
  [[nodiscard]] std::shared_ptr<const OnSpend> on_spend() const {
    return has_on_spend_.load(std::memory_order_relaxed) ? locked(on_spend_) : nullptr;
  }
  [[nodiscard]] std::shared_ptr<const OnRefused> on_refused() const {
    return has_on_refused_.load(std::memory_order_relaxed) ? locked(on_refused_) : nullptr;
  }
  [[nodiscard]] bool has_on_spend() const noexcept { return has_on_spend_.load(std::memory_order_relaxed); }
  /// Runs a callback, and reports the first one that throws.
  template <class F>
  void contained(const char* what, F&& call) noexcept;

  [[nodiscard]] std::unique_lock<std::mutex> lock() const { return std::unique_lock(mutex_); }
  void mark(const Mark& mark) const;  // under lock()

 private:
  template <class Callback>
  std::shared_ptr<const Callback> locked(const std::shared_ptr<const Callback>& callback) const {
    const std::lock_guard lock(mutex_);
    return callback;
  }
  template <class Callback>
  void replace(std::shared_ptr<const Callback>& present, std::atomic<bool>& has, Callback callback);
  bool stop(const std::vector<std::shared_ptr<SinkWorker>>& workers) noexcept;
  void report_thrown(const char* what, const char* problem) noexcept;

  Books& books_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<SinkWorker>> workers_;
  std::vector<std::shared_ptr<SinkWorker>> leaving_;  // removed: they write what they had, or never end
  std::shared_ptr<const OnSpend> on_spend_;
  std::shared_ptr<const OnRefused> on_refused_;
  std::atomic<bool> any_{false};
  std::atomic<bool> has_on_spend_{false};
  std::atomic<bool> has_on_refused_{false};
  std::atomic<bool> callback_said_{false};
};

template <class F>
void Sinks::contained(const char* what, F&& call) noexcept {
  try {
    call();
  } catch (const std::exception& problem) {
    report_thrown(what, problem.what());
  } catch (...) {
    report_thrown(what, nullptr);
  }
}

}  // namespace outlay::detail
