#include "core/ledger/sinks.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "core/base/at_fork.hpp"
#include "core/base/deadline.hpp"
#include "core/ledger/books.hpp"
#include "core/ledger/sink_worker.hpp"
#include "outlay/error.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

Sinks::~Sinks() = default;

void Sinks::add(std::shared_ptr<Sink> sink, SinkOptions options) {
  if (!sink) throw ConfigError("Ledger::add_sink was given no sink. Pass one.");
  if (options.queue == 0) throw ConfigError("SinkOptions::queue must be at least 1, and is 0.");
  if (options.max_delay < std::chrono::milliseconds::zero())
    throw ConfigError("SinkOptions::max_delay must be at least 0 ms, and is " +
                      std::to_string(options.max_delay.count()) + " ms.");
  auto worker = std::make_shared<SinkWorker>(mutex_, books_.dictionary, std::move(sink), options);
  if (&books_ == &Books::default_books()) {
    // The default books never end, so their sinks are closed when the process does.
    static const bool registered = std::atexit([] { Books::default_books().sinks.stop(); }) == 0;
    static_cast<void>(registered);
  }
  const std::lock_guard lock(mutex_);
  workers_.push_back(std::move(worker));
  any_.store(true, std::memory_order_relaxed);
}

bool Sinks::remove(const std::shared_ptr<Sink>& sink) {
  std::shared_ptr<SinkWorker> worker;
  {
    const std::lock_guard lock(mutex_);
    const auto at = std::find_if(workers_.begin(), workers_.end(),
                                 [&](const auto& candidate) { return candidate->sink() == sink; });
    if (at == workers_.end()) return false;
    worker = *at;
    leaving_.push_back(worker);
    workers_.erase(at);
    any_.store(!workers_.empty(), std::memory_order_relaxed);
  }
  // A sink that does not end keeps the books for ever, since its thread still uses them.
  if (!stop({worker})) static_cast<void>(Ref<Books>::share(&books_).detach());
  return true;
}

bool Sinks::stop() noexcept {
  std::vector<std::shared_ptr<SinkWorker>> workers;
  {
    const std::lock_guard lock(mutex_);
    workers.swap(workers_);
    leaving_.insert(leaving_.end(), workers.begin(), workers.end());
    any_.store(false, std::memory_order_relaxed);
  }
  return stop(workers);
}

bool Sinks::stop(const std::vector<std::shared_ptr<SinkWorker>>& workers) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  // All at once, so that a sink that hangs does not use up the time of the others.
  for (const auto& worker : workers) worker->ask_stop(deadline);
  bool all = true;
  for (const auto& worker : workers) {
    const bool ended = worker->stop(deadline);
    all &= ended;
    if (!ended) continue;
    const std::lock_guard lock(mutex_);
    std::erase(leaving_, worker);
  }
  return all;
}

void Sinks::abandon() noexcept {
  for (auto* workers : {&workers_, &leaving_}) {
    for (auto& worker : *workers) detail::abandon(std::move(worker));
    workers->clear();
  }
  any_.store(false, std::memory_order_relaxed);
}

SinkStats Sinks::stats(const std::shared_ptr<Sink>& sink) const {
  const std::lock_guard lock(mutex_);
  for (const auto& worker : workers_)
    if (worker->sink() == sink) return worker->stats();
  return {};
}

void Sinks::flush(std::chrono::milliseconds timeout) {
  const auto deadline = deadline_in(timeout);
  std::unique_lock lock(mutex_);
  const std::vector<std::shared_ptr<SinkWorker>> workers = workers_;
  std::vector<SinkWorker::Ticket> tickets;
  for (const auto& worker : workers) {
    worker->set_deadline(deadline);
    tickets.push_back(worker->ask_flush());
  }
  bool late = false, failed = false;
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const auto& worker = workers[i];
    const SinkWorker::Ticket& ticket = tickets[i];
    // An exporter gets the time that is left, once, so that a dead one does not hold up every flush.
    if (!worker->sink()->durable() && worker->overdue()) continue;
    const bool done = worker->flushed_event.wait_until(lock, deadline, [&] { return worker->flushed(ticket); });
    if (!worker->sink()->durable()) {
      if (!done) worker->set_overdue();
      continue;
    }
    late |= !done;
    failed |= worker->take_troubles(ticket);
  }
  lock.unlock();
  if (failed)
    throw Error(errc::sink_failed,
                "a durable sink failed or dropped rows since the last flush. See Ledger::sink_stats and the log.");
  if (late)
    throw Error(errc::timed_out, "a durable sink had not flushed after " + std::to_string(timeout.count()) +
                                     " ms, so what it holds may not be on disk yet. Flush again with more time.");
}

template <class Item>
void Sinks::offer(const Item& item, bool may_wait) {
  std::unique_lock lock(mutex_);
  // Sinks whose queue is full and whose rule is to block. They are waited for when the others have the item.
  std::vector<std::shared_ptr<SinkWorker>> full;
  for (const auto& worker : workers_)
    if (!worker->push(item, may_wait)) full.push_back(worker);
  // Room may come while another sink is waited for, so each is tried before it is waited for.
  for (const auto& worker : full)
    while (!worker->push(item, may_wait)) worker->room.wait(lock);
}
template void Sinks::offer(const Row& item, bool may_wait);
template void Sinks::offer(const EventRow& item, bool may_wait);

template <class Callback>
void Sinks::replace(std::shared_ptr<const Callback>& present, std::atomic<bool>& has, Callback callback) {
  auto fresh = callback ? std::make_shared<const Callback>(std::move(callback)) : nullptr;
  const std::lock_guard lock(mutex_);
  std::swap(present, fresh);  // the old one is destroyed after the lock is released, since it may hold a call
  has.store(present != nullptr, std::memory_order_relaxed);
}

void Sinks::set_on_spend(OnSpend callback) { replace(on_spend_, has_on_spend_, std::move(callback)); }
void Sinks::set_on_refused(OnRefused callback) { replace(on_refused_, has_on_refused_, std::move(callback)); }

void Sinks::report_thrown(const char* what, const char* problem) noexcept {
  if (!callback_said_.exchange(true))
    log(LogLevel::error, std::string("the ledger's ") + what + " callback threw (reported once)" +
                             (problem ? std::string(": ") + problem : std::string()));
}

void Sinks::mark(const Mark& mark) const {
  for (const auto& worker : workers_) worker->mark(mark);
  for (const auto& worker : leaving_) worker->mark(mark);
}

}  // namespace outlay::detail
