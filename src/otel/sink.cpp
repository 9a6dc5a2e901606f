#include "outlay/otel/sink.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "core/base/at_fork.hpp"
#include "core/base/back_off.hpp"
#include "otel/aggregate.hpp"
#include "otel/collector.hpp"
#include "otel/encode.hpp"
#include "otel/settings.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

using SteadyClock = std::chrono::steady_clock;
using TimePoint = SteadyClock::time_point;

constexpr std::size_t least_request_bytes = std::size_t{16} << 10;

/// An aggregate and the thread that exports it. Owned by the sink and by the thread, which may outlast it: a name look-up cannot be
/// interrupted.
class Exporter : public std::enable_shared_from_this<Exporter> {
 public:
  explicit Exporter(OtelSettings settings)
      : settings_(std::move(settings)),
        aggregate_(settings_),
        max_bytes_(settings_.max_request_bytes),
        back_off_(settings_.first_retry_delay, settings_.max_retry_delay, {75, 125}) {
    start_ = last_time_ = settings_.clock->now().time_since_epoch().count();
  }

  void start() {
    collector_ = std::make_unique<Collector>(settings_);
    thread_ = std::thread([self = shared_from_this()] { self->work(); });
  }

  template <class Row>
  void add(const Row& row) {
    if (of_parent()) return;
    const std::lock_guard lock(aggregate_mutex_);
    aggregate_.add(row);
  }

  void flush(TimePoint deadline) {
    if (of_parent()) return;
    std::unique_lock lock(mutex_);
    if (ended_ || stopping_) return;
    flush_deadline_ = deadline;
    flushed_version_ = version();
    if (exported_version_ == *flushed_version_) return;
    const std::uint64_t mine = ++asked_;
    wake_.notify_one();
    if (stalled_) return;
    // A little before the deadline, since the caller that waits for this flush still has to be answered.
    const auto left = deadline - SteadyClock::now();
    const auto margin = std::clamp<SteadyClock::duration>(left / 10, {}, std::chrono::milliseconds(50));
    stalled_ = !answered_event_.wait_until(lock, deadline - margin, [&] { return answered_ >= mine || ended_; });
  }

  void close() {
    if (of_parent()) return abandon(shared_from_this());
    {
      std::unique_lock lock(mutex_);
      if (!thread_.joinable()) return;
      const std::uint64_t latest = version();
      if (!ended_ && !stopping_ && attempted_version_ != latest) {
        const TimePoint deadline =
            flushed_version_ == latest ? flush_deadline_ : SteadyClock::now() + settings_.close_timeout;
        const std::uint64_t mine = ++asked_;
        wake_.notify_one();
        answered_event_.wait_until(lock, deadline, [&] { return answered_ >= mine || ended_; });
      }
      stopping_ = true;
      wake_.notify_one();
      if (collector_) collector_->cancel();
      answered_event_.wait_for(lock, std::chrono::milliseconds(200), [&] { return ended_; });
      if (!ended_) {
        thread_.detach();
        return;
      }
    }
    thread_.join();
  }

  [[nodiscard]] OtelStats stats() const {
    OtelStats stats;
    if (of_parent()) return stats;
    {
      const std::lock_guard lock(mutex_);
      stats = stats_;
    }
    const std::lock_guard lock(aggregate_mutex_);
    stats.folded = aggregate_.folded();
    return stats;
  }

 private:
  /// This process is the child of a fork: the thread and the sums are the parent's, and any lock may be held for ever.
  [[nodiscard]] bool of_parent() const noexcept { return generation_ != fork_generation(); }

  [[nodiscard]] std::uint64_t version() const {
    const std::lock_guard lock(aggregate_mutex_);
    return aggregate_.version();
  }

  void work() noexcept {
    std::unique_lock lock(mutex_);
    TimePoint next = SteadyClock::now() + settings_.interval;
    for (;;) {
      wake_.wait_until(lock, next, [this] { return stopping_ || asked_ != answered_; });
      if (stopping_) break;
      const std::uint64_t asked = asked_;
      if (SteadyClock::now() >= next) next = SteadyClock::now() + settings_.interval;
      lock.unlock();
      try {
        export_or_say();
      } catch (...) {  // no memory even for saying so
        count_failure();
      }
      lock.lock();
      answered_ = asked;
      answered_event_.notify_all();
    }
    std::unique_ptr<Collector> collector = std::move(collector_);
    lock.unlock();
    collector.reset();  // waits for a name look-up, if one still goes on
    lock.lock();
    ended_ = true;
    answered_event_.notify_all();
  }

  /// What kept an export from succeeding; each is said once, until one succeeds.
  enum class Trouble : unsigned {
    unreachable,
    broken,
    busy,
    refused,
    unreadable,
    too_large,
    partial,
    waiting,
    internal
  };

  void export_or_say() {
    std::string problem;
    try {
      export_all();
      return;
    } catch (const std::exception& thrown) {
      problem = thrown.what();
    }
    failed(Trouble::internal, "the export failed: " + problem);
  }

  void export_all() {
    const TimePoint deadline = SteadyClock::now() + settings_.export_timeout;
    if (SteadyClock::now() < not_before_) {
      count_failure();
      return;
    }
    for (;;) {
      std::vector<std::string> bodies;
      std::uint64_t encoded_version = 0, exemplars = 0;
      {
        const std::lock_guard lock(aggregate_mutex_);
        encoded_version = aggregate_.version();
        exemplars = aggregate_.exemplar_order();
        // A clock that stands still or was set back must not make a sum older than it was.
        last_time_ =
            std::max(last_time_ + 1, static_cast<std::int64_t>(settings_.clock->now().time_since_epoch().count()));
        bodies = encode(aggregate_, settings_, {start_, last_time_}, max_bytes_);
      }
      {
        const std::lock_guard lock(mutex_);
        attempted_version_ = encoded_version;
        if (bodies.empty()) return;
      }
      bool smaller = false, told = false;
      for (const std::string& body : bodies) {
        const Answer answer = post_with_retries(body, std::min(deadline, SteadyClock::now() + settings_.timeout));
        if (answer.kind == Answer::Kind::too_large && max_bytes_ > least_request_bytes) {
          // What it would take is not known. From now on everything is sent in smaller parts: the sums are cumulative, so to send
          // those again that have arrived does no harm.
          max_bytes_ = std::max(least_request_bytes, std::min(max_bytes_, body.size()) / 2);
          smaller = true;
          break;
        }
        if (answer.kind != Answer::Kind::accepted) return failed(trouble_of(answer.kind), answer.text);
        if (!answer.text.empty()) {
          told = true;
          say(Trouble::partial, answer.text);
        }
        if (answer.rejected > 0) {
          const std::lock_guard lock(mutex_);
          stats_.rejected_points += static_cast<std::uint64_t>(answer.rejected);
        }
      }
      if (smaller) continue;
      succeeded(encoded_version, exemplars, told);
      return;
    }
  }

  Answer post_with_retries(const std::string& body, TimePoint deadline) {
    for (int failures = 1;; ++failures) {
      {
        const std::lock_guard lock(mutex_);
        if (stopping_) return {Answer::Kind::cancelled, 0, "the sink was closed", {}};
        ++stats_.requests;
      }
      Answer answer = collector_->post(body, deadline);
      if (answer.kind != Answer::Kind::busy && answer.kind != Answer::Kind::broken) return answer;
      std::chrono::milliseconds wait = back_off_.wait(failures);
      if (answer.retry_after) {
        wait = *answer.retry_after + wait / 2;
        not_before_ = SteadyClock::now() + *answer.retry_after;
      }
      if (SteadyClock::now() + wait >= deadline) return answer;
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, wait, [this] { return stopping_; }))
        return {Answer::Kind::cancelled, 0, answer.text, {}};
      ++stats_.retries;
    }
  }

  static Trouble trouble_of(Answer::Kind kind) noexcept {
    switch (kind) {
      case Answer::Kind::unreachable:
        return Trouble::unreachable;
      case Answer::Kind::busy:
        return Trouble::busy;
      case Answer::Kind::too_large:
        return Trouble::too_large;
      case Answer::Kind::refused:
        return Trouble::refused;
      case Answer::Kind::unreadable:
        return Trouble::unreadable;
      case Answer::Kind::cancelled:
        return Trouble::waiting;
      case Answer::Kind::accepted:
      case Answer::Kind::broken:
        break;
    }
    return Trouble::broken;
  }

  void count_failure() {
    const std::lock_guard lock(mutex_);
    ++stats_.failed_exports;
  }

  void failed(Trouble trouble, const std::string& text) {
    count_failure();
    failing_ = true;
    if (trouble != Trouble::waiting)
      say(trouble, text + ". The sums are kept, and the next export carries them (reported once until one succeeds).");
  }

  void succeeded(std::uint64_t version, std::uint64_t exemplars, bool told) {
    {
      const std::lock_guard lock(aggregate_mutex_);
      aggregate_.forget_exemplars(exemplars);
    }
    std::uint64_t lost = 0;
    {
      const std::lock_guard lock(mutex_);
      exported_version_ = version;
      stalled_ = false;
      ++stats_.exports;
      lost = stats_.failed_exports;
    }
    if (failing_)
      log(LogLevel::info,
          where() + ": exports succeed again, after " + std::to_string(lost - failures_told_) + " that failed");
    failures_told_ = lost;
    failing_ = false;
    said_ = told ? 1U << static_cast<unsigned>(Trouble::partial) : 0;
  }

  void say(Trouble trouble, const std::string& text) {
    const unsigned bit = 1U << static_cast<unsigned>(trouble);
    if (said_ & bit) return;
    said_ |= bit;
    log(LogLevel::warning, where() + ": " + text);
  }

  /// Without the path: it may hold a key.
  [[nodiscard]] std::string where() const {
    return std::string("otel sink: the collector at ") + (settings_.url.tls ? "https://" : "http://") +
           settings_.url.authority();
  }

  const OtelSettings settings_;
  std::int64_t start_ = 0;  // both in nanoseconds since 1970
  const std::uint64_t generation_ = fork_generation();
  std::thread thread_{};

  mutable std::mutex aggregate_mutex_;
  Aggregate aggregate_;

  mutable std::mutex mutex_;  // taken before aggregate_mutex_ where both are
  std::condition_variable wake_, answered_event_;
  std::uint64_t asked_ = 0, answered_ = 0;  // exports
  bool stopping_ = false, ended_ = false;
  bool stalled_ = false;  // a flush has waited in vain, and no export has succeeded since
  std::uint64_t attempted_version_ = 0, exported_version_ = 0;
  TimePoint flush_deadline_{};
  std::optional<std::uint64_t> flushed_version_{};
  OtelStats stats_{};
  std::unique_ptr<Collector> collector_{};

  // Of the exporting thread alone.
  std::int64_t last_time_ = 0;
  std::size_t max_bytes_;
  TimePoint not_before_{};
  bool failing_ = false;
  unsigned said_ = 0;
  std::uint64_t failures_told_ = 0;
  BackOff back_off_;
};

class OtelSinkImpl final : public OtelSink {
 public:
  explicit OtelSinkImpl(OtelSettings settings) {
    if (settings.disabled) return;
    exporter_ = std::make_shared<Exporter>(std::move(settings));
    exporter_->start();
  }
  OtelSinkImpl(const OtelSinkImpl&) = delete;
  OtelSinkImpl& operator=(const OtelSinkImpl&) = delete;
  ~OtelSinkImpl() override { OtelSinkImpl::close(); }

  void write(const Record& record) override {
    if (exporter_) exporter_->add(record);
  }
  void event(const BudgetEvent& event) override {
    if (exporter_) exporter_->add(event);
  }
  void flush(TimePoint deadline) override {
    if (exporter_) exporter_->flush(deadline);
  }
  void close() override {
    if (exporter_) exporter_->close();
  }
  [[nodiscard]] OtelStats stats() const override { return exporter_ ? exporter_->stats() : OtelStats{}; }

 private:
  std::shared_ptr<Exporter> exporter_{};  // null: OTEL_SDK_DISABLED
};

}  // namespace

std::shared_ptr<OtelSink> make_otel_sink(OtelSettings settings) {
  return std::make_shared<OtelSinkImpl>(std::move(settings));
}

}  // namespace outlay::detail

namespace outlay {

std::shared_ptr<OtelSink> otel_sink(const OtelOptions& options) {
  return detail::make_otel_sink(detail::resolve(options));
}

}  // namespace outlay
