#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "outlay/sink.hpp"

namespace outlay::testing {

/// Keeps what it was given. Flush the ledger before looking.
///
/// \par Thread safety
/// Every member is safe from any thread.
class RecordingSink : public Sink {
 public:
  /// Keeps the record.
  void write(const Record& record) override {
    const std::lock_guard lock(mutex_);
    records_.push_back(record);
  }
  /// Keeps the event.
  void event(const BudgetEvent& event) override {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
  }
  /// Counts it.
  void flush(std::chrono::steady_clock::time_point) override {
    const std::lock_guard lock(mutex_);
    ++flushes_;
  }
  /// Counts it.
  void close() override {
    const std::lock_guard lock(mutex_);
    ++closes_;
  }

  /// The records so far, in the order in which they came.
  [[nodiscard]] std::vector<Record> records() const {
    const std::lock_guard lock(mutex_);
    return records_;
  }
  /// The events so far, in the order in which they came.
  [[nodiscard]] std::vector<BudgetEvent> events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  /// How often it was flushed.
  [[nodiscard]] int flushes() const {
    const std::lock_guard lock(mutex_);
    return flushes_;
  }
  /// How often it was closed.
  [[nodiscard]] int closes() const {
    const std::lock_guard lock(mutex_);
    return closes_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Record> records_;
  std::vector<BudgetEvent> events_;
  int flushes_ = 0;
  int closes_ = 0;
};

/// Throws std::runtime_error at the calls (write, event and flush, counted together from 1) that it was told to; without any, at every
/// one.
class FailingSink : public RecordingSink {
 public:
  /// \param fail_at The calls that fail, from 1; empty: every one.
  /// \param is_durable What durable() says.
  explicit FailingSink(std::set<std::uint64_t> fail_at = {}, bool is_durable = false)
      : fail_at_(std::move(fail_at)), durable_(is_durable) {}

  /// Fails, or keeps the record.
  void write(const Record& record) override {
    count();
    RecordingSink::write(record);
  }
  /// Fails, or keeps the event.
  void event(const BudgetEvent& event) override {
    count();
    RecordingSink::event(event);
  }
  /// Fails, or counts it.
  void flush(std::chrono::steady_clock::time_point deadline) override {
    count();
    RecordingSink::flush(deadline);
  }
  [[nodiscard]] bool durable() const noexcept override { return durable_; }

 private:
  void count() {
    ++calls_;  // by the sink's one thread
    if (fail_at_.empty() || fail_at_.contains(calls_)) throw std::runtime_error("this sink fails on purpose");
  }
  const std::set<std::uint64_t> fail_at_;
  const bool durable_;
  std::uint64_t calls_ = 0;
};

/// Holds its thread in write until it is opened.
class BlockingSink : public RecordingSink {
 public:
  /// Waits until open() has been called, then keeps the record.
  void write(const Record& record) override {
    {
      std::unique_lock lock(gate_mutex_);
      ++held_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return open_; });
    }
    RecordingSink::write(record);
  }
  /// Lets everything through from now on.
  void open() {
    const std::lock_guard lock(gate_mutex_);
    open_ = true;
    changed_.notify_all();
  }
  /// Waits until a write is held.
  void wait_until_held() {
    std::unique_lock lock(gate_mutex_);
    changed_.wait(lock, [this] { return held_ != 0; });
  }

 private:
  std::mutex gate_mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int held_ = 0;
};

}  // namespace outlay::testing
