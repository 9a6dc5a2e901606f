#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/books.hpp"

namespace outlay::detail {

/// A row or an event on its way to a sink.
struct SinkItem {
  Row row{};
  std::unique_ptr<EventRow> event{};  // null: `row` counts
};

/// A sink, its queue and its thread. The queue is guarded by the books' sinks_mutex_.
class SinkWorker {
 public:
  SinkWorker(Books& books, std::shared_ptr<Sink> sink, SinkOptions options);

  const std::shared_ptr<Sink>& sink() const noexcept { return sink_; }

  // Under the lock.
  /// \return False: the queue is full and its rule is to block; wait for `room` and try again.
  bool push(const Row& row);
  void push(const EventRow& event);
  void mark(const Books::Mark& mark) const;
  [[nodiscard]] SinkStats stats() const noexcept { return stats_; }
  void ask_flush() noexcept;
  [[nodiscard]] bool flushed() const noexcept { return flush_done_ >= flush_asked_; }
  /// Has it failed or dropped since the last time it was asked?
  bool take_troubles() noexcept;
  void set_deadline(std::chrono::steady_clock::time_point deadline) noexcept { flush_deadline_ = deadline; }

  std::condition_variable room;  // waited on with the books' lock
  std::condition_variable flushed_event;

  /// Writes what waits, flushes, closes and joins. Not under the lock.
  /// \return False: the thread still runs, and this object and the books must be left to it.
  bool stop(std::chrono::steady_clock::time_point deadline) noexcept;

 private:
  void work() noexcept;
  void write_batch() noexcept;
  template <class F>
  bool contained(const char* what, F&& call) noexcept;
  bool make_room();
  void wake_worker() noexcept;

  Books& books_;
  const std::shared_ptr<Sink> sink_;
  const SinkOptions options_;
  std::vector<SinkItem> waiting_;  // oldest at front_
  std::size_t front_ = 0;
  std::vector<SinkItem> batch_;  // being written: read by mark()
  bool idle_ = false;
  bool stopping_ = false;
  bool finished_ = false;
  bool said_ = false;
  std::uint64_t flush_asked_ = 0, flush_done_ = 0;
  std::chrono::steady_clock::time_point flush_deadline_{};
  SinkStats stats_;
  std::uint64_t troubles_ = 0, troubles_taken_ = 0;
  std::condition_variable work_event_;
  std::thread thread_;
};

}  // namespace outlay::detail
