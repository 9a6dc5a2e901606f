// The thread of a store, and what it does with the backend.

#include <algorithm>

#include "core/budget/waiter.hpp"
#include "core/shared/store_queue.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

using Clock = std::chrono::steady_clock;
using Op = StoreCommand::Op;

constexpr std::size_t most_at_once = 256;
/// Counters, of about a kilobyte each.
constexpr std::size_t most_remembered = 16'384;
/// Leases whose events wait for a call that books them.
constexpr std::size_t most_expired = 10'000;

}  // namespace

void StoreQueue::start_thread() {
  if (thread_.joinable() || of_parent_) return;
  next_renewal_ = Clock::now() + options.lease / 3;
  thread_ = std::thread([this] {
    own_thread_ = std::this_thread::get_id();
    run();
    if (owns_itself_) delete this;
  });
}

// A child has this process's memory to itself, so a store in memory goes on there as a copy. Every other store belongs to the parent: the
// connection is shared with it, and its queue is for it to deliver.
void StoreQueue::before_fork() {
  if (distance_ == StoreBackend::Distance::memory) backend_mutex_.lock();
  mutex_.lock();
}

void StoreQueue::after_fork(bool in_child) noexcept {
  const bool in_memory = distance_ == StoreBackend::Distance::memory;
  if (in_child) {
    expired_.clear();  // the parent books them
    renew(changed_);
    renew(delivered_);
    if (thread_.joinable()) detail::abandon(std::make_shared<const std::thread>(std::move(thread_)));
    delivering_ = 0;
    telling_ = 0;
    if (!in_memory) {
      of_parent_ = true;
      renew(backend_mutex_);  // another thread may be talking to the backend
      for (const Delivery& delivery : deliveries_) on_its_way(delivery, false);
      // Not destroyed: what they hold may call back into this queue.
      detail::abandon(std::make_shared<const std::deque<Delivery>>(std::exchange(deliveries_, {})));
      detail::abandon(std::make_shared<const std::deque<std::shared_ptr<Question>>>(std::exchange(questions_, {})));
      alive_.clear();
    }
  }
  mutex_.unlock();
  if (in_memory) backend_mutex_.unlock();
}

Failure StoreQueue::not_ours() const {
  return {errc::store_unavailable,
          backend_->description() + " is of the process that forked this one. Make a store of its own in each child."};
}

void StoreQueue::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    const Clock::time_point now = Clock::now();
    Clock::time_point next = next_renewal_;
    bool go = !questions_.empty();
    if (!deliveries_.empty()) {
      const bool lingers = distance_ == StoreBackend::Distance::local && !stopping_ && flushing_ == 0;
      const Clock::time_point due = std::max(next_try_, lingers ? linger_until_ : Clock::time_point());
      go |= now >= due;
      next = std::min(next, due);
    }
    if (stopping_ && (deliveries_.empty() || now >= linger_until_)) return;
    if (stopping_) next = std::min(next, linger_until_);
    if (now >= next_renewal_) {
      next_renewal_ = now + options.lease / 3;
      queue_renewals();
      go |= !deliveries_.empty();
      next = next_renewal_;
    }
    if (!go) {
      changed_.wait_until(lock, next);
      continue;
    }
    lock.unlock();
    (void)exchange(nullptr, nullptr);
    lock.lock();
  }
}

void StoreQueue::queue_renewals() {
  constexpr std::size_t at_once = 1'000;
  auto id = alive_.begin();
  while (id != alive_.end()) {
    Delivery delivery{command(Op::renew, {}, {}, {}, system_now() + offset_), {}, {}, {}, {}, {}};
    for (; id != alive_.end() && delivery.command.ids.size() < at_once; ++id) delivery.command.ids.push_back(*id);
    deliveries_.push_back(std::move(delivery));
  }
}

std::vector<Result<StoreReply>> StoreQueue::execute_contained(std::span<const StoreCommand> commands) {
  // A backend may be the program's own. One that throws must neither end the thread nor lose the commands.
  std::string why = "it did not answer every command";
  std::vector<Result<StoreReply>> results;
  if (of_parent_) {
    results.assign(commands.size(), not_ours());
    return results;
  }
  try {
    results = backend_->execute(commands, options.timeout);
  } catch (const std::exception& problem) {
    why = problem.what();
  } catch (...) {
    why = "it threw an exception of an unknown type";
  }
  while (results.size() < commands.size()) results.emplace_back(Failure(errc::store_unavailable, why));
  return results;
}

std::optional<Result<StoreReply>> StoreQueue::exchange(const StoreCommand* own, const Counters* own_counters) {
  std::vector<StoreCommand> commands;
  std::vector<Delivery> deliveries;
  std::vector<std::shared_ptr<Question>> questions;
  std::vector<std::pair<Crossed, StoreReply>> told;
  std::vector<std::shared_ptr<Waiter>> wakes;
  std::optional<Result<StoreReply>> own_result;
  std::vector<std::pair<LogLevel, std::string>> said;
  {
    const std::lock_guard backend_lock(backend_mutex_);
    std::int64_t version_before = 0;
    {
      const std::lock_guard lock(mutex_);
      version_before = version_;
      while (!deliveries_.empty() && deliveries.size() < most_at_once) {
        deliveries.push_back(std::move(deliveries_.front()));
        deliveries_.pop_front();
      }
      delivering_ += deliveries.size();
      while (!questions_.empty() && questions.size() < most_at_once) {
        questions.push_back(std::move(questions_.front()));
        questions_.pop_front();
      }
    }
    std::vector<Result<StoreReply>> results;
    if (deliveries.empty() && questions.empty() && own) {
      results = execute_contained({own, 1});
    } else {
      commands.reserve(deliveries.size() + questions.size() + 1);
      for (Delivery& delivery : deliveries) commands.push_back(std::move(delivery.command));
      for (const auto& question : questions) commands.push_back(question->command);
      if (own) commands.push_back(*own);
      if (!commands.empty()) results = execute_contained(commands);
    }

    const std::lock_guard lock(mutex_);
    for (Result<StoreReply>& result : results)
      if (result && !result->expired.empty()) note_expired(std::exchange(result->expired, {}));
    bool failed = false, answered = false;
    std::size_t at = 0;
    std::vector<Delivery> again;
    for (Delivery& delivery : deliveries) {
      delivery.command = std::move(commands[at]);
      const Result<StoreReply>& result = results[at++];
      if (!result && result.error().reason() == errc::store_unavailable) {
        failed = true;
        if (delivery.command.op != Op::renew) again.push_back(std::move(delivery));
        continue;
      }
      on_its_way(delivery, false);
      if (!result) {  // it would fail as often as it is retried
        const bool less = within_reservation(delivery);
        to_say_.emplace_back(LogLevel::error, text_of_refused(less, result.error()));
        if (!less) continue;
        on_its_way(delivery, true);
        again.push_back(std::move(delivery));
        continue;
      }
      take_note(delivery.command, delivery.counters, *result, version_before);
      add_to_newer_window(delivery);
      if (delivery.crossed && !result->crossed.empty()) told.emplace_back(std::move(delivery.crossed), *result);
    }
    delivering_ -= deliveries.size();
    deliveries_.insert(deliveries_.begin(), std::make_move_iterator(again.begin()),
                       std::make_move_iterator(again.end()));
    for (const auto& question : questions) {
      Result<StoreReply>& result = results[at++];
      if (result) {
        take_note(question->command, question->counters, *result, version_before);
        answered |= !question->abandoned;
      } else {
        failed |= result.error().reason() == errc::store_unavailable;
      }
      question->result = std::move(result);
      wakes.push_back(question->waiter);
    }
    if (own) {
      answered |= results[at].has_value();
      if (results[at])
        take_note(*own, *own_counters, *results[at], version_before);
      else
        failed |= results[at].error().reason() == errc::store_unavailable;
      own_result = std::move(results[at]);
    }
    if (at > 0 || own) note_reach(failed, answered);
    said.swap(to_say_);
    if (!told.empty()) ++telling_;
    if (deliveries_.empty() && delivering_ == 0) delivered_.notify_all();
  }
  for (const auto& [level, text] : said) log(level, text);
  if (!told.empty()) tell(told);
  for (const auto& waiter : wakes) waiter->wake();
  return own_result;
}

void StoreQueue::tell(std::vector<std::pair<Crossed, StoreReply>>& told) {
  struct Telling {
    explicit Telling(StoreQueue& of) : queue(of) { ++telling_here; }
    Telling(const Telling&) = delete;
    Telling& operator=(const Telling&) = delete;
    ~Telling() {
      --telling_here;
      const std::lock_guard lock(queue.mutex_);
      if (queue.telling_ != 0) --queue.telling_;  // 0: in the child of a fork meanwhile
      queue.delivered_.notify_all();
    }
    StoreQueue& queue;
  };
  const Telling telling(*this);
  for (const auto& [crossed, reply] : told) crossed(reply);
}

void StoreQueue::note_reach(bool failed, bool answered) noexcept try {
  if (answered && !failed && !lost_until_) allow_local_anew();
  if (!failed) {
    failures_ = 0;
    next_try_ = {};
    said_unreachable_ = false;
    return;
  }
  next_try_ = Clock::now() + back_off_.wait(++failures_);
  if (!std::exchange(said_unreachable_, true))
    to_say_.emplace_back(LogLevel::warning,
                         backend_->description() + " cannot be reached. OnUnreachable decides until it answers again.");
} catch (...) {
}

void StoreQueue::note_expired(std::vector<StoreReply::Expired>&& more) {
  for (StoreReply::Expired& lease : more) {
    if (expired_.size() == most_expired) break;
    expired_.push_back(std::move(lease));
    if (expired_.size() == most_expired)
      to_say_.emplace_back(LogLevel::warning,
                           "10,000 leases in " + backend_->description() +
                               " have run out since a call last asked it. More of them have no event.");
  }
  any_expired_.store(true, std::memory_order_relaxed);
}

void StoreQueue::take_note(const StoreCommand& command, const Counters& counters, const StoreReply& reply,
                           std::int64_t version_before) {
  offset_ = reply.now - system_now();
  heard_ = true;
  if (!epoch_.empty() && (reply.epoch != epoch_ || reply.version < version_before)) {
    std::optional<Time> until = std::exchange(known_until_, std::nullopt);
    for (const auto& [key, known] : counters_) {
      const auto counter = known.lock();
      if (!counter) continue;
      if (counter->set_caps_ != no_caps) {  // caps that are set are data, too
        const Time turns = counter->window.at(reply.now).end.value_or(Time::max());
        until = std::max(until.value_or(turns), turns);
      }
      // It is lost with the rest, and not once more when the store next tells of it.
      counter->life_ = 0;
      counter->counts_until_.reset();
    }
    lose(reply.now, until);
  }
  version_ =
      reply.epoch == epoch_ && reply.version >= version_before ? std::max(version_, reply.version) : reply.version;
  epoch_ = reply.epoch;
  const bool asked = command.op != Op::settle && command.op != Op::release;
  for (std::size_t i = 0; i < counters.size() && i < reply.states.size(); ++i)
    take_note_of(*counters[i], command.counters[i], reply.states[i], asked, reply.now);
}

void StoreQueue::take_note_of(SharedCounter& counter, const StoreCounter& slot, const StoreReply::State& state,
                              bool asked, Time now) {
  // A store that keeps each name for itself may lose one of them.
  if (counter.life_ != 0 && counter.life_ != state.life) lose(now, std::exchange(counter.counts_until_, std::nullopt));
  counter.life_ = state.life;
  counter.set_caps_ = to_vector(state.caps);
  Amounts held = state.reserved;
  held.concurrent = 0;  // of the name, wherever its calls began: with this slot it is not lost
  if (state.spent != Amounts{} || held != Amounts{}) {
    const Time turns = slot.end == Time::max() ? slot.end : slot.end + (slot.begin - slot.counted_from);
    known_until_ = std::max(known_until_.value_or(turns), turns);
    counter.counts_until_ = std::max(counter.counts_until_.value_or(turns), turns);
    remember(counter, now);
  }
  counter.in_flight_ = state.reserved.concurrent;
  const Window::Span span{slot.begin, slot.end == Time::max() ? std::nullopt : std::optional(slot.end),
                          slot.counted_from};
  KnownSlot& known = *counter.slot(span);
  if (counter.rolls()) {
    const bool older = slot.counted_to != Time::max() || (!asked && slot.counted_from < known.span.counted_from);
    if (older) return;  // of a window that has moved on
    known.span.counted_from = slot.counted_from;
  }
  known.spent = to_vector(state.spent);
  known.held = to_vector(state.reserved);
  known.reported = true;
}

void StoreQueue::remember(SharedCounter& counter, Time now) {
  if (distance_ == StoreBackend::Distance::memory || counter.remembered_ || !counter.of_budget_) return;
  remembered_.push_back(counter.shared_from_this());
  counter.remembered_ = true;
  while (!remembered_.empty() &&
         (remembered_.size() > most_remembered || remembered_.front()->counts_until_.value_or(now) <= now)) {
    remembered_.front()->remembered_ = false;
    remembered_.pop_front();
  }
}

void StoreQueue::add_to_newer_window(const Delivery& delivery) noexcept {
  for (std::size_t i = 0; i < delivery.counters.size(); ++i) {
    if (!delivery.counters[i]->rolls()) continue;
    KnownSlot& known = *delivery.known[i];
    const StoreCounter& slot = delivery.command.counters[i];
    if (slot.counted_from >= known.span.counted_from || slot.begin < known.span.counted_from) continue;
    add(known.spent, delivery.spent);
    subtract(known.held, delivery.held);
  }
}

void StoreQueue::lose(Time now, std::optional<Time> until) {
  // Where nothing was spent or held in a window that is still the present one, nothing was lost.
  if (!until || *until <= now) return;
  ++losses_;
  if (!lost_until_)
    to_say_.emplace_back(
        LogLevel::error,
        backend_->description() + " has lost data that it had. OnUnreachable decides until " +
            (*until == Time::max()
                 ? std::string("Store::accept_lost_data() is called.")
                 : to_iso8601(*until) +
                       ", when the windows have turned, or until Store::accept_lost_data() is called."));
  lost_until_ = std::max(lost_until_.value_or(*until), *until);
}

}  // namespace outlay::detail
