#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "outlay/detail/export.hpp"
#include "outlay/record.hpp"

namespace outlay {

namespace detail {
class SinkWorker;
}

/// Receives every record and event of a Ledger.
///
/// Called off the calling thread's path, on one thread that belongs to the sink, in the order in which they were booked on each thread.
/// Rows wait for it in a bounded queue (SinkOptions).
///
/// \par Errors
/// May throw: the exception is contained, counted (SinkStats::failures) and reported once to the log handler; the row counts as
/// dropped. A decision never depends on a sink.
/// \par Thread safety
/// Each sink is called by one thread at a time, and belongs to one ledger: to add it to a second one is a ConfigError. It may itself
/// open budgets and make calls; their records go through the same queues.
/// \par Lifetime
/// Kept alive by the ledger until it is removed or the ledger's books end; close() is the last call. In the child of a fork(2) it is not
/// called any more: it belongs to the parent (Ledger).
class OUTLAY_EXPORT Sink {
 public:
  /// A sink that no ledger has yet.
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink() = default;
  /// Takes a record. What it throws is counted (SinkStats::failures), and the row is lost.
  virtual void write(const Record& record) = 0;
  /// Takes an event, as write() takes a record. Does nothing by default.
  virtual void event(const BudgetEvent& event) { (void)event; }
  /// Make durable, or send, whatever was written; called by Ledger::flush, and before close(). A sink that must not keep rows until
  /// then sees to that itself.
  ///
  /// \param deadline When the caller stops waiting. Return late and the flush counts as timed out.
  virtual void flush(std::chrono::steady_clock::time_point deadline) { (void)deadline; }
  /// No more rows follow.
  virtual void close() {}
  /// A durable sink's failure makes Ledger::flush throw; an exporter's is only counted.
  [[nodiscard]] virtual bool durable() const noexcept { return false; }

 private:
  friend class detail::SinkWorker;
  std::atomic<bool> taken_{false};  // a ledger has it
};

/// What happens to a row when a sink's queue is full.
enum class WhenFull : std::uint8_t {
  drop_newest,  ///< The row that comes is lost.
  drop_oldest,  ///< The row that has waited longest is lost.
  /// Holds the thread that settles, for its record and its events, until there is room. Nothing else is ever held: where there is no
  /// room, the events of admissions (refused, downgraded, clamped ...), of streams that are cut and of raised caps are dropped, and so
  /// is what the threads of sinks book, which would otherwise wait for each other.
  block,
};

/// How a ledger queues rows for a sink.
struct SinkOptions {
  std::size_t queue = 65'536;  ///< Rows that may wait. At least 1.
  /// What becomes of a row that finds the queue full.
  WhenFull when_full = WhenFull::drop_newest;
  std::chrono::milliseconds max_delay{20};  ///< How long the sink's thread lets rows gather before it writes them.
};

/// What happened to a sink's rows so far.
struct SinkStats {
  std::uint64_t written{};   ///< Rows that the sink took without throwing.
  std::uint64_t dropped{};   ///< Rows lost: the queue was full, or the sink threw.
  std::uint64_t failures{};  ///< Exceptions thrown by the sink.
};

}  // namespace outlay
