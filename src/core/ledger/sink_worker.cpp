#include "core/ledger/sink_worker.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "core/base/deadline.hpp"
#include "outlay/error.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

/// This thread belongs to a sink. It never waits for room in any queue: two sinks whose threads settle calls would wait for each other.
constinit thread_local bool is_sink_thread = false;

}  // namespace

SinkWorker::SinkWorker(std::mutex& mutex, const LedgerDictionary& dictionary, std::shared_ptr<Sink> sink,
                       SinkOptions options)
    : mutex_(mutex),
      dictionary_(dictionary),
      sink_(std::move(sink)),
      claim_(*sink_),
      options_(options),
      thread_([this] { work(); }) {}

SinkWorker::Claim::Claim(Sink& sink) : sink_(&sink) {
  if (sink.taken_.exchange(true))
    throw ConfigError(
        "Ledger::add_sink was given a sink that a ledger has already, so two threads would call it. "
        "Make one for each ledger, or remove it from the first ledger.");
}

void SinkWorker::Claim::release() noexcept {
  if (sink_) sink_->taken_ = false;
  sink_ = nullptr;
}

void SinkWorker::wake_worker() noexcept {
  // One system call for each time that the worker has gone to sleep; while rows gather it needs none.
  if (std::exchange(idle_, false)) work_event_.notify_one();
  // The queue fills faster than the thread wakes by itself.
  if (gathering_ && waiting_.size() - front_ >= options_.queue / 2) {
    gathering_ = false;
    work_event_.notify_one();
  }
}

SinkWorker::Place SinkWorker::make_room(bool may_wait) {
  if (waiting_.size() - front_ < options_.queue) return Place::there;
  switch (options_.when_full) {
    case WhenFull::drop_oldest:
      ++stats_.dropped;
      note_troubles(covered_ + 1, offered_);
      waiting_[front_++] = SinkItem(Row{});
      if (front_ * 2 >= waiting_.size()) {
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(front_));
        front_ = 0;
      }
      return Place::there;
    case WhenFull::block:
      // Only where another thread is there to make room.
      if (may_wait && !stopping_ && !is_sink_thread) return Place::later;
      break;
    case WhenFull::drop_newest:
      break;
  }
  ++stats_.dropped;
  note_troubles(offered_, offered_);
  return Place::none;
}

template <class Item>
bool SinkWorker::push(const Item& item, bool may_wait) {
  ++offered_;
  const Place place = make_room(may_wait);
  if (place == Place::there) {
    waiting_.emplace_back(item);
    wake_worker();
  }
  if (place == Place::later) --offered_;  // it is offered again
  return place != Place::later;
}
template bool SinkWorker::push(const Row& item, bool may_wait);
template bool SinkWorker::push(const EventRow& item, bool may_wait);

void SinkWorker::mark(const Mark& mark) const {
  for (const std::vector<SinkItem>* items : {&waiting_, &batch_})
    for (const SinkItem& item : *items) {
      mark(item.event ? item.event->attribution : item.row.attribution);
      if (item.event) mark(item.event->budget);
    }
}

SinkWorker::Ticket SinkWorker::ask_flush() noexcept {
  idle_ = false;
  work_event_.notify_one();
  return {++flush_asked_, offered_};
}

void SinkWorker::note_troubles(std::uint64_t first_row, std::uint64_t last_row) noexcept {
  if (trouble_first_ == 0 || first_row < trouble_first_) trouble_first_ = first_row;
  if (last_row > trouble_last_) trouble_last_ = last_row;
}

bool SinkWorker::take_troubles(const Ticket& ticket) noexcept {
  if (trouble_first_ == 0 || trouble_first_ > std::max<std::uint64_t>(ticket.row, 1)) return false;
  if (trouble_last_ <= ticket.row)
    trouble_first_ = trouble_last_ = 0;
  else
    trouble_first_ = ticket.row + 1;
  return true;
}

template <class F>
bool SinkWorker::contained(const char* what, F&& call) noexcept {
  std::string problem;
  try {
    call();
    return true;
  } catch (const std::exception& thrown) {
    problem = thrown.what();
  } catch (...) {
    problem = "an exception of an unknown type";
  }
  bool say = false;
  {
    const std::lock_guard lock(mutex_);
    ++stats_.failures;
    note_troubles(std::min(covered_ + 1, std::max<std::uint64_t>(taken_, 1)), taken_);
    say = !std::exchange(said_, true);
  }
  if (say)
    log(LogLevel::error,
        std::string("a sink threw in ") + what + " (reported once; see Ledger::sink_stats): " + problem);
  return false;
}

void SinkWorker::write_batch() noexcept {
  std::uint64_t written = 0, lost = 0;
  for (const SinkItem& item : batch_) {
    const bool ok = contained(item.event ? "event" : "write", [&] {
      if (item.event)
        sink_->event(to_event(*item.event, dictionary_));
      else
        sink_->write(to_record(item.row, dictionary_));
    });
    ok ? ++written : ++lost;
  }
  const std::lock_guard lock(mutex_);
  stats_.written += written;
  stats_.dropped += lost;
  batch_.clear();
}

void SinkWorker::work() noexcept {
  is_sink_thread = true;
  std::unique_lock lock(mutex_);
  for (;;) {
    while (waiting_.size() == front_ && flush_asked_ == flush_done_ && !stopping_) {
      idle_ = true;
      work_event_.wait(lock);
    }
    idle_ = false;
    if (flush_asked_ == flush_done_ && !stopping_ && waiting_.size() - front_ < options_.queue / 2) {
      // Let rows gather: one wake-up for many of them.
      gathering_ = true;
      work_event_.wait_until(lock, deadline_in(options_.max_delay), [this] {
        return flush_asked_ != flush_done_ || stopping_ || waiting_.size() - front_ >= options_.queue / 2;
      });
      gathering_ = false;
    }
    taken_ = offered_;
    const std::uint64_t asked = flush_asked_;  // a flush covers what waits now, however much comes meanwhile
    if (waiting_.size() != front_) {
      waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(front_));
      front_ = 0;
      std::swap(batch_, waiting_);
      lock.unlock();
      room.notify_all();
      write_batch();
      lock.lock();
    }
    if (asked != flush_done_) {
      const auto deadline = flush_deadline_;
      lock.unlock();
      contained("flush", [&] { sink_->flush(deadline); });
      lock.lock();
      flush_done_ = asked;
      if (asked == flush_asked_) overdue_ = false;
      covered_ = taken_;
      flushed_event.notify_all();
    }
    if (stopping_ && waiting_.size() == front_ && flush_asked_ == flush_done_) break;
  }
  lock.unlock();
  contained("close", [&] { sink_->close(); });
  claim_.release();
  lock.lock();
  finished_ = true;
  flushed_event.notify_all();
}

void SinkWorker::ask_stop(std::chrono::steady_clock::time_point deadline) noexcept {
  {
    const std::lock_guard lock(mutex_);
    flush_deadline_ = deadline;
    ++flush_asked_;
    stopping_ = true;
    idle_ = false;
    work_event_.notify_one();
  }
  room.notify_all();
}

bool SinkWorker::stop(std::chrono::steady_clock::time_point deadline) noexcept {
  if (!thread_.joinable()) return true;
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();  // a sink that removes itself
    return false;
  }
  {
    std::unique_lock lock(mutex_);
    if (!flushed_event.wait_until(lock, deadline, [this] { return finished_; })) {
      lock.unlock();
      log(LogLevel::error,
          "a sink did not close within its deadline. Its thread goes on alone, and the rows that it had not taken are "
          "lost.");
      thread_.detach();
      return false;
    }
  }
  thread_.join();
  return true;
}

}  // namespace outlay::detail
