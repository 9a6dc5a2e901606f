#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/ledger/events.hpp"
#include "core/ledger/records.hpp"
#include "outlay/sink.hpp"

namespace outlay::detail {

/// A row or an event on its way to a sink.
struct SinkItem {
  explicit SinkItem(const Row& record) : row(record) {}
  explicit SinkItem(const EventRow& budget_event) : event(std::make_unique<EventRow>(budget_event)) {}

  Row row{};
  std::unique_ptr<EventRow> event{};  // null: `row` counts
};

/// A sink, its queue and its thread. The queue is guarded by the lock of its Sinks.
class SinkWorker {
 public:
  /// Throws ConfigError if the sink has a worker already.
  SinkWorker(std::mutex& mutex, const LedgerDictionary& dictionary, std::shared_ptr<Sink> sink, SinkOptions options);

  const std::shared_ptr<Sink>& sink() const noexcept { return sink_; }

  // Under the lock.
  /// \param may_wait The thread may be held: it settles, and no call waits for it to admit.
  /// \return False: the queue is full and its rule is to block; wait for `room` and try again.
  template <class Item>
  bool push(const Item& item, bool may_wait);
  void mark(const Mark& mark) const;
  [[nodiscard]] SinkStats stats() const noexcept { return stats_; }
  /// A flush, and the last row that it covers.
  struct Ticket {
    std::uint64_t flush = 0, row = 0;
  };
  Ticket ask_flush() noexcept;
  [[nodiscard]] bool flushed(const Ticket& ticket) const noexcept { return flush_done_ >= ticket.flush; }
  /// A flush has waited for it in vain, and it has not caught up yet.
  [[nodiscard]] bool overdue() const noexcept { return overdue_; }
  void set_overdue() noexcept { overdue_ = true; }
  /// Has it failed or dropped any row up to the ticket's, and not said so to an earlier ticket?
  bool take_troubles(const Ticket& ticket) noexcept;
  void set_deadline(std::chrono::steady_clock::time_point deadline) noexcept { flush_deadline_ = deadline; }

  std::condition_variable room;  // waited on with the lock
  std::condition_variable flushed_event;

  // Not under the lock.
  /// Begins to end: what waits is written, flushed, and the sink closed, by its own thread.
  void ask_stop(std::chrono::steady_clock::time_point deadline) noexcept;
  /// Waits for that end, and joins.
  /// \return False: the thread still runs, and this object, the lock and the dictionary must be left to it.
  bool stop(std::chrono::steady_clock::time_point deadline) noexcept;

 private:
  void work() noexcept;
  void write_batch() noexcept;
  template <class F>
  bool contained(const char* what, F&& call) noexcept;
  enum class Place { there, none, later };
  Place make_room(bool may_wait);
  void note_troubles(std::uint64_t first_row, std::uint64_t last_row) noexcept;
  void wake_worker() noexcept;

  /// That the sink is this worker's alone.
  class Claim {
   public:
    explicit Claim(Sink& sink);
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    ~Claim() { release(); }
    void release() noexcept;

   private:
    Sink* sink_;
  };

  std::mutex& mutex_;
  const LedgerDictionary& dictionary_;
  const std::shared_ptr<Sink> sink_;
  Claim claim_;
  const SinkOptions options_;
  std::vector<SinkItem> waiting_;  // oldest at front_
  std::size_t front_ = 0;
  std::vector<SinkItem> batch_;  // being written: read by mark()
  bool idle_ = false;
  bool gathering_ = false;
  bool stopping_ = false;
  bool finished_ = false;
  bool overdue_ = false;
  bool said_ = false;
  std::uint64_t flush_asked_ = 0, flush_done_ = 0;
  std::chrono::steady_clock::time_point flush_deadline_{};
  SinkStats stats_;
  // Rows are numbered as they are offered. Two threads may flush at once: what one of them offered must not be reported to the other
  // alone, so troubles are kept as the rows that they may concern, rather too many than too few.
  std::uint64_t offered_ = 0;                           // the last row that was offered
  std::uint64_t taken_ = 0;                             // the last row that was waiting when the thread last looked
  std::uint64_t covered_ = 0;                           // the last row of the last flush that ended
  std::uint64_t trouble_first_ = 0, trouble_last_ = 0;  // 0: none
  std::condition_variable work_event_;
  std::thread thread_;
};

}  // namespace outlay::detail
