#include "outlay/sqlite/sink.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "core/base/at_fork.hpp"
#include "outlay/error.hpp"
#include "outlay/log.hpp"
#include "sqlite/schema.hpp"
#include "sqlite/writer.hpp"

namespace outlay {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Rows that are kept while transactions fail.
constexpr std::size_t max_waiting = 65'536;
/// After a failure only flush() and close() try at once.
constexpr auto retry_after = 250ms;
/// Rows deleted in one transaction: short enough that other writers do not notice.
constexpr std::int64_t delete_at_once = 2'000;
constexpr std::size_t forget_at_once = 10'000;

void check(const SqliteSinkOptions& options) {
  const auto refuse = [](const std::string& what) { throw ConfigError("sqlite_sink: " + what); };
  if (options.path.empty()) refuse("the path is empty. Name the file, as in {.path = \"spend.db\"}.");
  if (options.batch < 1 || options.batch > max_waiting)
    refuse("batch must be between 1 and 65,536 rows, and is " + std::to_string(options.batch) + '.');
  if (options.max_delay < 0ms || options.max_delay > 1h)
    refuse("max_delay must be between 0 ms and 1 h, and is " + std::to_string(options.max_delay.count()) + " ms.");
  if (options.busy_timeout < 0ms || options.busy_timeout > 1h)
    refuse("busy_timeout must be between 0 ms and 1 h, and is " + std::to_string(options.busy_timeout.count()) +
           " ms.");
  if (options.retain.age < 0s) refuse("retain.age is negative. Set how long rows are kept, or 0 for ever.");
  if (options.retain.bytes != 0 && options.retain.bytes < (1U << 20U))
    refuse("retain.bytes is " + std::to_string(options.retain.bytes) +
           ". Use at least 1,048,576 bytes, or 0 for no limit.");
  if (options.retain.every < 1s) refuse("retain.every must be at least 1 s.");
}

class SqliteSink final : public Sink {
 public:
  explicit SqliteSink(const SqliteSinkOptions& options)
      : options_((check(options), options)), writer_(open(options)), thread_([this] { look_after(); }) {}
  SqliteSink(const SqliteSink&) = delete;
  SqliteSink& operator=(const SqliteSink&) = delete;

  ~SqliteSink() override {
    if (of_parent()) {
      detail::abandon(std::move(writer_));
      detail::abandon(std::make_shared<const std::thread>(std::move(thread_)));
      detail::renew(work_);
      return;
    }
    try {
      close();
    } catch (const std::exception& error) {
      detail::log(LogLevel::error, error.what());
    }
  }

  void write(const Record& record) override { add(record); }
  void event(const BudgetEvent& budget_event) override { add(budget_event); }

  void flush(Clock::time_point deadline) override {
    if (of_parent()) return;
    const std::lock_guard lock(mutex_);
    if (writer_) commit(std::max(deadline, Clock::now()));
  }

  void close() override {
    if (of_parent()) return;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    work_.notify_all();
    // Two owners may close at once; a thread is joined by one.
    const std::lock_guard joining(join_mutex_);
    if (thread_.joinable()) thread_.join();
    const std::lock_guard lock(mutex_);
    if (!writer_) return;
    const std::size_t waiting = writer_->waiting();
    try {
      commit(Clock::now() + options_.busy_timeout);
      retire();
      drop_writer();
    } catch (const Error& error) {
      drop_writer();
      throw Error(error.reason(), "sqlite_sink lost " + std::to_string(waiting) +
                                      " rows, which could not be written before it was closed: " + error.what());
    }
  }

  [[nodiscard]] bool durable() const noexcept override { return true; }

 private:
  static std::unique_ptr<detail::Writer> open(const SqliteSinkOptions& options) {
    const detail::SqliteUse use;
    return std::make_unique<detail::Writer>(options.path, options.durability, Clock::now() + options.busy_timeout);
  }
  void drop_writer() noexcept {
    const detail::SqliteUse use;
    writer_.reset();
  }
  /// This process is the child of a fork, and the sink, its thread and its rows are its parent's.
  [[nodiscard]] bool of_parent() const noexcept { return generation_ != detail::fork_generation(); }

  template <class Row>
  void add(const Row& row) {
    if (of_parent())
      throw Error(errc::storage, "sqlite_sink: \"" + options_.path.string() +
                                     "\" was opened by the process that forked this one, so this row is lost. Open a "
                                     "sink of its own in each child.");
    const std::lock_guard lock(mutex_);
    if (!writer_)
      throw Error(errc::storage, "sqlite_sink: \"" + options_.path.string() + "\" is closed, so this row is lost");
    if (writer_->waiting() >= max_waiting) {
      if (Clock::now() < retry_at_) throw Error(errc::storage, "sqlite_sink is full, so rows are lost: " + problem_);
      commit(Clock::now() + options_.busy_timeout);
    }
    writer_->add(row);
    if (writer_->waiting() >= options_.batch || options_.max_delay == 0ms) {
      try_commit();
    } else if (writer_->waiting() == 1) {
      commit_at_ = Clock::now() + options_.max_delay;
      work_.notify_one();
    }
  }

  void commit(Clock::time_point deadline) {
    try {
      const detail::SqliteUse use;
      writer_->commit(deadline);
    } catch (const std::exception& error) {
      problem_ = error.what();
      retry_at_ = Clock::now() + retry_after;
      commit_at_ = retry_at_;
      throw;
    }
    if (!std::exchange(problem_, {}).empty())
      detail::log(LogLevel::info, "sqlite_sink: the rows that waited have been written");
  }

  void retire() noexcept try {
    const detail::SqliteUse use;
    writer_->retire(Clock::now() + options_.busy_timeout);
  } catch (const std::exception&) {  // the file forgets this writer after a while
  }

  /// Commits where that is not sure to fail again. Otherwise the rows go on waiting, and the next flush reports the failure.
  void try_commit() noexcept {
    if (!problem_.empty() && Clock::now() < retry_at_) return;
    const bool known = !problem_.empty();
    try {
      commit(Clock::now() + options_.busy_timeout);
    } catch (const std::exception& error) {
      if (!known)
        detail::log(LogLevel::error,
                    std::string("sqlite_sink: rows wait in memory and are tried again: ") + error.what());
    }
  }

  /// The sink's own thread: commits what has waited for max_delay, and retention.
  void look_after() noexcept {
    const bool retains = options_.retain.age != 0s || options_.retain.bytes != 0;
    Clock::time_point round_at = Clock::now();
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      const bool rows = writer_->waiting() != 0;
      if (rows && Clock::now() >= commit_at_) {
        try_commit();
        if (writer_->waiting() != 0) commit_at_ = std::max(retry_at_, Clock::now() + 1ms);
        continue;
      }
      if (retains && Clock::now() >= round_at) {
        lock.unlock();
        retain();
        round_at = Clock::now() + options_.retain.every;
        lock.lock();
        continue;
      }
      if (rows && retains)
        work_.wait_until(lock, std::min(commit_at_, round_at));
      else if (rows)
        work_.wait_until(lock, commit_at_);
      else if (retains)
        work_.wait_until(lock, round_at);
      else
        work_.wait(lock);
    }
  }

  /// One step of retention under the lock; false when the sink is being closed.
  template <class F>
  bool step(F&& work) {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    const detail::SqliteUse use;
    return std::forward<F>(work)(*writer_, Clock::now() + options_.busy_timeout);
  }

  void retain() noexcept try {
    bool removed = false;
    if (options_.retain.age != 0s) {
      const auto now = std::chrono::system_clock::now().time_since_epoch();
      const auto upto = std::chrono::duration_cast<std::chrono::nanoseconds>(now - options_.retain.age).count();
      while (step([&](detail::Writer& writer, Clock::time_point deadline) {
        return writer.remove_oldest(upto, delete_at_once, deadline);
      }))
        removed = true;
      if (removed) remove_unused();
    }
    if (options_.retain.bytes != 0) {
      // A sixteenth of the rows at a time: how much room they took shows when the tags that only they had are gone too.
      const auto too_large = [&](detail::Writer& writer, Clock::time_point) {
        return writer.data_bytes() > options_.retain.bytes;
      };
      while (step(too_large)) {
        bool more = false;
        std::int64_t share = 0;
        step([&](detail::Writer& writer, Clock::time_point) { return (share = writer.row_span() / 16) != 0; });
        for (std::int64_t rows = 0; rows == 0 || rows < share; rows += delete_at_once)
          if (!step([&](detail::Writer& writer, Clock::time_point deadline) {
                return writer.remove_oldest(INT64_MAX, std::clamp(share, std::int64_t{100}, delete_at_once), deadline);
              }))
            break;
          else
            more = true;
        if (!more) break;  // what is left is not rows
        remove_unused();
      }
    }
    while (step([](detail::Writer& writer, Clock::time_point deadline) { return writer.shrink(deadline); })) {
    }
    retention_said_ = false;
  } catch (const std::exception& error) {
    if (!std::exchange(retention_said_, true))
      detail::log(
          LogLevel::warning,
          std::string("sqlite_sink: old rows could not be removed, and are tried again later: ") + error.what());
  }

  void remove_unused() {
    for (bool more = true; more;) {
      const detail::Writer::Unused unused = find_unused();
      more = step([&](detail::Writer& writer, Clock::time_point deadline) {
               return writer.remove_unused(unused, deadline);
             }) &&
             std::max(unused.tag_sets.size(), unused.budget_paths.size()) == forget_at_once;
    }
  }

  /// Reads the whole file, so on a connection of its own: rows are written meanwhile.
  [[nodiscard]] detail::Writer::Unused find_unused() const {
    const detail::SqliteUse use;
    detail::Database database(options_.path, detail::Database::Mode::read_only);
    database.set_deadline(Clock::now() + options_.busy_timeout);
    detail::Writer::Unused unused;
    const detail::Transaction snapshot(database, detail::Transaction::Kind::read);
    unused.deleted = database.query_int("SELECT value FROM info WHERE key = 'deleted'");
    unused.last_record = database.query_int("SELECT max(id) FROM records");
    unused.last_event = database.query_int("SELECT max(id) FROM events");
    const auto list = [&](const char* sql, std::vector<std::int64_t>& ids) {
      detail::Statement statement(database, sql);
      statement.bind(1, static_cast<std::int64_t>(forget_at_once));
      while (statement.step()) ids.push_back(statement.integer(0));
    };
    list(
        "SELECT id FROM tag_sets EXCEPT SELECT tag_set FROM records EXCEPT SELECT tag_set FROM events LIMIT "
        "?1",
        unused.tag_sets);
    list(
        "SELECT id FROM budget_paths EXCEPT SELECT budget_path FROM records EXCEPT SELECT budget_path FROM "
        "events LIMIT ?1",
        unused.budget_paths);
    return unused;
  }

  const SqliteSinkOptions options_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::unique_ptr<detail::Writer> writer_;  // null: closed
  const std::uint64_t generation_ = detail::fork_generation();
  std::string problem_;  // of the last transaction; empty: it went well
  Clock::time_point retry_at_{};
  Clock::time_point commit_at_{};
  bool stopping_ = false;
  bool retention_said_ = false;  // the thread's own
  std::mutex join_mutex_;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace

std::shared_ptr<Sink> sqlite_sink(const SqliteSinkOptions& options) { return std::make_shared<SqliteSink>(options); }

}  // namespace outlay
