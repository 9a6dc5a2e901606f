#include "core/shared/store.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "core/budget/tree.hpp"
#include "core/budget/waiter.hpp"
#include "core/ledger/books.hpp"
#include "core/pricing/price_book.hpp"
#include "outlay/ledger.hpp"
#include "outlay/log.hpp"

namespace outlay {

namespace detail {

namespace {

using Clock = std::chrono::steady_clock;
using Op = StoreCommand::Op;

constexpr std::size_t most_at_once = 256;
constexpr std::size_t most_deliveries = 1'000'000;
/// So many reservations of unknown fate are undone by name when the store is back; beyond them, in a long outage, leases do it.
constexpr std::size_t most_undone = 10'000;
/// How long what ends a call may wait, at a store on this machine, for the next admission to take it along: half the transactions.
constexpr std::chrono::milliseconds linger{5};

Time system_now() noexcept { return std::chrono::system_clock::now(); }

std::uint64_t random_word() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) ^ device();
}

void add(Vector& to, const Vector& amount, int sign = 1) noexcept {
  for (std::size_t d = 0; d < dimension_count; ++d) to[d] = saturating_add(to[d], sign * amount[d]);
}

void check(const StoreOptions& options) {
  using namespace std::chrono_literals;
  if (options.timeout < 1ms || options.timeout > 1min)
    throw ConfigError("StoreOptions::timeout is " + std::to_string(options.timeout.count()) +
                      " ms: it must be between 1 ms and 1 minute");
  if (options.lease < 1s || options.lease > 24h)
    throw ConfigError("StoreOptions::lease is " + std::to_string(options.lease.count()) +
                      " ms: it must be between 1 second and 1 day");
  if (options.on_unreachable.kind() == OnUnreachable::Kind::local && options.on_unreachable.at_most() <= Usd{})
    throw ConfigError("OnUnreachable::local was given " + to_string(options.on_unreachable.at_most()) +
                      ": use OnUnreachable::deny() to spend nothing");
}

}  // namespace

void SharedCounter::turn_to(const Window::Span& span) noexcept {
  if (span.begin == span_.begin && turned_) return;
  turned_ = true;
  span_ = span;
  if (window.kind() == Window::Kind::rolling) return;  // most of what counted goes on counting
  reported_ = false;
  spent_ = held_ = spent_on_its_way_ = held_on_its_way_ = {};
}

StoreQueue::StoreQueue(std::unique_ptr<StoreBackend> backend, const StoreOptions& store_options)
    : options(store_options), backend_(std::move(backend)), distance_(backend_->distance()), random_(random_word()) {}

StoreQueue::~StoreQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    linger_until_ = Clock::now() + options.timeout;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (!deliveries_.empty())
    log(LogLevel::warning, "a store was closed while " + std::to_string(deliveries_.size()) +
                               " endings of calls could not be delivered to " + backend_->description() +
                               ": their reservations are left to their leases");
}

void StoreQueue::end_on_own_thread() noexcept {
  const std::lock_guard lock(mutex_);
  stopping_ = owns_itself_ = true;
  linger_until_ = Clock::now() + options.timeout;
  thread_.detach();
}

std::shared_ptr<SharedCounter> StoreQueue::counter(const std::string& name, const Window& window) {
  const std::lock_guard lock(mutex_);
  std::weak_ptr<SharedCounter>& known = counters_[{name, window.id()}];
  std::shared_ptr<SharedCounter> counter = known.lock();
  if (!counter) {
    if (counters_.size() % 1024 == 0)
      std::erase_if(counters_, [](const auto& entry) { return entry.second.expired(); });
    counter = std::make_shared<SharedCounter>(name, window);
    counters_[{name, window.id()}] = counter;
  }
  return counter;
}

Time StoreQueue::now(Time callers) const noexcept {
  if (distance_ != StoreBackend::Distance::remote) return callers;
  const std::lock_guard lock(mutex_);
  return system_now() + offset_;
}

SharedCounter::View StoreQueue::view(SharedCounter& counter, Time now) {
  const Window::Span span = counter.window.at(now);
  const std::lock_guard lock(mutex_);
  counter.turn_to(span);
  SharedCounter::View view{counter.spent_, counter.held_};
  add(view.held, counter.held_on_its_way_);
  add(view.used, counter.spent_on_its_way_);
  for (std::size_t d = 0; d < dimension_count; ++d) view.held[d] = std::max<std::int64_t>(0, view.held[d]);
  add(view.used, view.held);
  return view;
}

void StoreQueue::look(const std::shared_ptr<SharedCounter>& counter, Time now) noexcept try {
  if (distance_ == StoreBackend::Distance::remote) return;
  const Window::Span span = counter->window.at(now);
  {
    const std::lock_guard lock(mutex_);
    counter->turn_to(span);
    if (counter->reported_ && counter->window.kind() != Window::Kind::rolling) return;
  }
  StoreCounter slot{
      counter->name, counter->window.id(), span.begin, span.end.value_or(Time::max()), span.counted_from, {}, {}, {}};
  (void)execute(command(Op::snapshot, {}, {std::move(slot)}, {}, now), {counter});
} catch (...) {  // the view stays what it was
}

StoreCommand StoreQueue::command(Op op, std::string id, std::vector<StoreCounter> slots, const Vector& amount,
                                 Time now) const {
  StoreCommand command;
  command.op = op;
  command.id = std::move(id);
  command.counters = std::move(slots);
  command.amount = to_amounts(amount);
  // In this process's memory a reservation lives exactly as long as its call.
  command.lease = distance_ == StoreBackend::Distance::memory ? std::chrono::milliseconds::max() : options.lease;
  command.on_expiry = options.on_expiry;
  command.now = now;
  return command;
}

std::string StoreQueue::new_id() {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = ++next_id_;
  }
  std::string id(32, '0');
  constexpr const char* digits = "0123456789abcdef";
  for (std::size_t i = 0; i < 16; ++i) {
    id[i] = digits[(random_ >> (60 - 4 * i)) & 15U];
    id[16 + i] = digits[(number >> (60 - 4 * i)) & 15U];
  }
  return id;
}

Result<StoreReply> StoreQueue::execute(const StoreCommand& command, const Counters& counters) {
  return *exchange(&command, &counters);
}

void StoreQueue::ask(const std::shared_ptr<Question>& question) {
  {
    const std::lock_guard lock(mutex_);
    questions_.push_back(question);
    start_thread();
  }
  changed_.notify_all();
}

Result<StoreReply> StoreQueue::ask_and_wait(StoreCommand&& command, Counters counters) {
  if (distance_ != StoreBackend::Distance::remote) return execute(command, counters);
  const auto waiter = std::make_shared<BlockingWaiter>();
  const auto question = std::make_shared<Question>(Question{std::move(command), std::move(counters), waiter});
  ask(question);
  const auto deadline = Clock::now() + options.timeout;
  while (waiter->wait_until(deadline)) {
    if (auto result = answer(*question)) return std::move(*result);
  }
  if (auto result = answer(*question)) return std::move(*result);
  abandon(*question);
  return Failure(errc::store_unavailable, backend_->description() + " has not answered within " +
                                              std::to_string(options.timeout.count()) + " ms");
}

std::optional<Result<StoreReply>> StoreQueue::answer(Question& question) {
  const std::lock_guard lock(mutex_);
  return question.result;
}

void StoreQueue::abandon(Question& question) {
  bool undo = false;
  {
    const std::lock_guard lock(mutex_);
    question.abandoned = true;
    const auto queued =
        std::find_if(questions_.begin(), questions_.end(), [&](const auto& entry) { return entry.get() == &question; });
    if (queued != questions_.end())
      questions_.erase(queued);
    else
      undo = question.command.op == Op::reserve;
  }
  if (!undo) return;
  SharedHold hold{question.command.id, question.counters, question.command.counters, {}, false};
  forget(hold, question.command.now);
}

void StoreQueue::forget(SharedHold& hold, Time now) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (deliveries_.size() >= most_undone) return;
  }
  hold.unshared = true;
  end(hold, Op::release, {}, now, {});
}

void StoreQueue::end(SharedHold& hold, Op op, const Vector& amount, Time now, Crossed crossed) noexcept try {
  {
    const std::lock_guard lock(mutex_);
    alive_.erase(hold.id);  // before anything can fail: it is left to its lease then
    return_local(hold, amount[0]);
  }
  Delivery delivery{
      command(op, hold.id, std::move(hold.slots), amount, now), hold.counters, {}, {}, std::move(crossed)};
  if (op == Op::settle) delivery.spent = amount;
  if (!hold.unshared) add(delivery.held, hold.amount, -1);
  if (distance_ == StoreBackend::Distance::memory) {
    const Result<StoreReply> done = execute(delivery.command, delivery.counters);
    for (const auto& counter : delivery.counters)
      if (counter->window.kind() == Window::Kind::rolling) look(counter, now);  // the call's slot may be an older one
    if (done && delivery.crossed && !done->crossed.empty()) delivery.crossed(done->crossed);
    return;
  }
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (deliveries_.size() >= most_deliveries)
      throw Error(errc::store_unavailable, "a million endings of calls wait for " + backend_->description());
    on_its_way(delivery, 1);
    deliveries_.push_back(std::move(delivery));
    start_thread();
    wake = distance_ == StoreBackend::Distance::remote || deliveries_.size() == 1;
    if (wake) linger_until_ = Clock::now() + linger;
  }
  if (wake) changed_.notify_all();
} catch (const std::exception& problem) {
  log(LogLevel::error,
      std::string("what ended a call cannot be told to its store, and its reservation is left to its lease: ") +
          problem.what());
}

void StoreQueue::on_its_way(const Delivery& delivery, int sign) noexcept {
  for (std::size_t i = 0; i < delivery.counters.size(); ++i) {
    SharedCounter& counter = *delivery.counters[i];
    if (delivery.command.counters[i].begin != counter.span_.begin && counter.window.kind() != Window::Kind::rolling)
      continue;
    add(counter.spent_on_its_way_, delivery.spent, sign);
    add(counter.held_on_its_way_, delivery.held, sign);
  }
}

void StoreQueue::flush(std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  std::unique_lock lock(mutex_);
  const auto none = [this] { return deliveries_.empty() && handed_over_ == 0; };
  if (none()) return;
  ++flushing_;
  next_try_ = {};
  changed_.notify_all();
  const bool done = delivered_.wait_until(lock, deadline, none);
  --flushing_;
  if (!done)
    throw Error(errc::timed_out, std::to_string(deliveries_.size() + handed_over_) +
                                     " endings of calls have not arrived at " + backend_->description() +
                                     " in time: they are tried again until they have");
}

bool StoreQueue::take_local(SharedHold& hold, std::int64_t nanos) noexcept {
  const std::lock_guard lock(mutex_);
  if (nanos > options.on_unreachable.at_most().nanos() - local_used_) return false;
  local_used_ += nanos;
  hold.local = nanos + (hold.outage == outage_ ? hold.local : 0);
  hold.outage = outage_;
  return true;
}

void StoreQueue::return_local(const SharedHold& hold, std::int64_t spent) noexcept {
  if (hold.local == 0 || hold.outage != outage_) return;
  const std::int64_t beyond = spent - (hold.amount[0] - hold.local);  // what the store had granted goes first
  local_used_ = saturating_add(local_used_ - hold.local, std::max<std::int64_t>(0, beyond));
}

void StoreQueue::allow_local_anew() noexcept {
  local_used_ = 0;
  ++outage_;
}

bool StoreQueue::data_lost(Time now) noexcept {
  const std::lock_guard lock(mutex_);
  if (lost_until_ && *lost_until_ != Time::max() && now >= *lost_until_) {
    lost_until_.reset();
    allow_local_anew();
  }
  return lost_until_.has_value();
}

void StoreQueue::accept_lost_data() noexcept {
  const std::lock_guard lock(mutex_);
  lost_until_.reset();
  allow_local_anew();
}

void StoreQueue::keep_alive(const std::string& id) {
  if (distance_ == StoreBackend::Distance::memory) return;
  const std::lock_guard lock(mutex_);
  alive_.insert(id);
  start_thread();
}

void StoreQueue::start_thread() {
  if (thread_.joinable()) return;
  next_renewal_ = Clock::now() + options.lease / 3;
  thread_ = std::thread([this] {
    own_thread_ = std::this_thread::get_id();
    run();
    if (owns_itself_) delete this;
  });
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
    Delivery delivery{command(Op::renew, {}, {}, {}, system_now() + offset_), {}, {}, {}, {}};
    for (; id != alive_.end() && delivery.command.ids.size() < at_once; ++id) delivery.command.ids.push_back(*id);
    deliveries_.push_back(std::move(delivery));
  }
}

std::vector<Result<StoreReply>> StoreQueue::carry_out(std::span<const StoreCommand> commands) {
  // Backends may be anybody's: one that throws must not take the thread with it, nor what was handed over.
  std::string why = "it has not answered all that it was asked";
  std::vector<Result<StoreReply>> results;
  try {
    results = backend_->execute(commands, options.timeout);
  } catch (const std::exception& problem) {
    why = problem.what();
  } catch (...) {
    why = "it threw";
  }
  while (results.size() < commands.size()) results.emplace_back(Failure(errc::store_unavailable, why));
  return results;
}

std::optional<Result<StoreReply>> StoreQueue::exchange(const StoreCommand* own, const Counters* own_counters) {
  std::vector<StoreCommand> commands;
  std::vector<Delivery> deliveries;
  std::vector<std::shared_ptr<Question>> questions;
  std::vector<std::pair<Crossed, std::vector<StoreReply::Crossed>>> told;
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
      handed_over_ += deliveries.size();
      while (!questions_.empty() && questions.size() < most_at_once) {
        questions.push_back(std::move(questions_.front()));
        questions_.pop_front();
      }
    }
    std::vector<Result<StoreReply>> results;
    if (deliveries.empty() && questions.empty() && own) {
      results = carry_out({own, 1});
    } else {
      commands.reserve(deliveries.size() + questions.size() + 1);
      for (Delivery& delivery : deliveries) commands.push_back(std::move(delivery.command));
      for (const auto& question : questions) commands.push_back(question->command);
      if (own) commands.push_back(*own);
      if (!commands.empty()) results = carry_out(commands);
    }

    const std::lock_guard lock(mutex_);
    bool failed = false, answered = false;
    std::size_t at = 0;
    std::vector<Delivery> again;
    for (Delivery& delivery : deliveries) {
      delivery.command = std::move(commands[at]);
      const Result<StoreReply>& result = results[at++];
      if (!result && result.error().code() == errc::store_unavailable) {
        failed = true;
        if (delivery.command.op != Op::renew) again.push_back(std::move(delivery));
        continue;
      }
      on_its_way(delivery, -1);
      if (!result) {  // never, however often it were tried
        to_say_.emplace_back(LogLevel::error,
                             "what ended a call was refused by " + backend_->description() +
                                 ", and its reservation is left to its lease: " + result.error().message());
        continue;
      }
      take_note(delivery.command, delivery.counters, *result, version_before);
      add_to_older_slots(delivery);
      if (delivery.crossed && !result->crossed.empty()) told.emplace_back(std::move(delivery.crossed), result->crossed);
    }
    handed_over_ -= deliveries.size();
    deliveries_.insert(deliveries_.begin(), std::make_move_iterator(again.begin()),
                       std::make_move_iterator(again.end()));
    for (const auto& question : questions) {
      Result<StoreReply>& result = results[at++];
      if (result) {
        take_note(question->command, question->counters, *result, version_before);
        answered |= !question->abandoned;
      } else {
        failed = true;
      }
      question->result = std::move(result);
      wakes.push_back(question->waiter);
    }
    if (own) {
      answered |= results[at].has_value();
      if (results[at])
        take_note(*own, *own_counters, *results[at], version_before);
      else
        failed = true;
      own_result = std::move(results[at]);
    }
    if (at > 0 || own) note_reach(failed, answered);
    said.swap(to_say_);
    if (deliveries_.empty() && handed_over_ == 0) delivered_.notify_all();
  }
  for (const auto& [level, text] : said) log(level, text);
  for (const auto& [tell, crossed] : told) tell(crossed);
  for (const auto& waiter : wakes) waiter->wake();
  return own_result;
}

void StoreQueue::note_reach(bool failed, bool answered) noexcept try {
  if (answered && !failed && !lost_until_) allow_local_anew();
  if (!failed) {
    failures_ = 0;
    next_try_ = {};
    said_unreachable_ = false;
    return;
  }
  // Twice as long each time, from 20 ms to about 2 s, so that processes which lost the same store do not return in step.
  failures_ = std::min(failures_ + 1, 7);
  const auto longest = std::chrono::milliseconds(20) * (1 << failures_);
  thread_local std::minstd_rand jitter(std::random_device{}());
  next_try_ = Clock::now() + longest / 2 +
              std::chrono::milliseconds(jitter() % static_cast<std::uint64_t>(longest.count() / 2));
  if (!std::exchange(said_unreachable_, true))
    to_say_.emplace_back(LogLevel::warning,
                         backend_->description() + " cannot be reached: OnUnreachable decides until it is back");
} catch (...) {
}

void StoreQueue::take_note(const StoreCommand& command, const Counters& counters, const StoreReply& reply,
                           std::int64_t version_before) {
  offset_ = reply.now - system_now();
  if (!epoch_.empty() && (reply.epoch != epoch_ || reply.version < version_before)) lose(reply.now);
  version_ =
      reply.epoch == epoch_ && reply.version >= version_before ? std::max(version_, reply.version) : reply.version;
  epoch_ = reply.epoch;
  for (std::size_t i = 0; i < counters.size() && i < reply.states.size(); ++i) {
    SharedCounter& counter = *counters[i];
    const StoreCounter& slot = command.counters[i];
    if (!(reply.states[i].spent == Amounts{} && reply.states[i].reserved == Amounts{})) {
      const Time turns = slot.end == Time::max() ? slot.end : slot.end + (slot.begin - slot.counted_from);
      known_until_ = std::max(known_until_.value_or(turns), turns);
    }
    if (slot.begin < counter.span_.begin) continue;  // of a window that has turned
    if (slot.begin != counter.span_.begin || !counter.reported_)
      counter.turn_to(
          {slot.begin, slot.end == Time::max() ? std::nullopt : std::optional(slot.end), slot.counted_from});
    counter.spent_ = to_vector(reply.states[i].spent);
    counter.held_ = to_vector(reply.states[i].reserved);
    counter.reported_ = true;
  }
}

void StoreQueue::add_to_older_slots(const Delivery& delivery) noexcept {
  for (std::size_t i = 0; i < delivery.counters.size(); ++i) {
    SharedCounter& counter = *delivery.counters[i];
    const Time begin = delivery.command.counters[i].begin;
    if (counter.window.kind() != Window::Kind::rolling || begin >= counter.span_.begin ||
        begin < counter.span_.counted_from)
      continue;
    add(counter.spent_, delivery.spent);
    add(counter.held_, delivery.held);
  }
}

void StoreQueue::lose(Time now) {
  // Where nothing was spent or held in a window that is still the present one, nothing was lost.
  const std::optional<Time> until = std::exchange(known_until_, std::nullopt);
  if (!until || *until <= now) return;
  if (!lost_until_)
    to_say_.emplace_back(
        LogLevel::error,
        backend_->description() + " was restarted without the data that it had: OnUnreachable decides until " +
            (*until == Time::max()
                 ? std::string("Store::accept_lost_data() is called")
                 : to_iso8601(*until) + ", when the windows have turned, or Store::accept_lost_data() is called"));
  lost_until_ = std::max(lost_until_.value_or(*until), *until);
}

std::vector<StoreCounter::Threshold> thresholds_of(const std::vector<double>& fractions, const Vector& caps) {
  std::vector<StoreCounter::Threshold> thresholds;
  thresholds.reserve(fractions.size());
  for (const double fraction : fractions)
    thresholds.push_back({fraction, to_limits(threshold_amounts(fraction, caps), caps)});
  return thresholds;
}

namespace {

StoreCounter present(const std::shared_ptr<SharedCounter>& counter, Time now) {
  const Window::Span span = counter->window.at(now);
  StoreCounter slot;
  slot.name = counter->name;
  slot.window = counter->window.id();
  slot.begin = span.begin;
  slot.end = span.end.value_or(Time::max());
  slot.counted_from = span.counted_from;
  return slot;
}

}  // namespace

}  // namespace detail

Store::Store(std::unique_ptr<StoreBackend> backend, const StoreOptions& options) {
  if (!backend) throw ConfigError("a Store was made without a backend");
  detail::check(options);
  queue_ = std::make_unique<detail::StoreQueue>(std::move(backend), options);
}

Store::~Store() {
  // The last owner may go on the store's own thread, with what a delivery held: a thread cannot wait for itself.
  if (queue_->is_own_thread()) queue_.release()->end_on_own_thread();
}

StoreReply::State Store::ask(StoreCommand::Op op, std::string_view name, const Window& window, Usd amount) {
  if (name.empty() || window.kind() == Window::Kind::scope)
    throw ConfigError("a store's counters have a name and a window other than Window::scope()");
  const auto counter = queue_->counter(std::string(name), window);
  const Time now = queue_->now(Ledger::current().books().time());
  StoreCommand command = queue_->command(op, op == StoreCommand::Op::adjust ? queue_->new_id() : std::string(),
                                         {detail::present(counter, now)}, {amount.nanos()}, now);
  Result<StoreReply> reply = queue_->ask_and_wait(std::move(command), {counter});
  if (!reply) detail::throw_failure(std::move(reply).error());
  return reply->states.at(0);
}

StoreReply::State Store::state(std::string_view name, const Window& window) {
  return ask(StoreCommand::Op::snapshot, name, window, {});
}

StoreReply::State Store::adjust(std::string_view name, const Window& window, Usd amount, std::string_view reason) {
  const StoreReply::State state = ask(StoreCommand::Op::adjust, name, window, amount);
  detail::Books& books = Ledger::current().books();
  const detail::AttributionRef where = books.dictionary.intern(nullptr, {true, name, {}, {}});
  detail::EventDraft(books, Action::adjusted, where.get())
      .numbers(Dimension::usd, amount.nanos(), state.spent.usd.nanos())
      .reason(reason)
      .book();
  return state;
}

void Store::flush(std::chrono::milliseconds timeout) { queue_->flush(timeout); }
void Store::accept_lost_data() noexcept { queue_->accept_lost_data(); }
const StoreOptions& Store::options() const noexcept { return queue_->options; }
std::string Store::description() const { return queue_->description(); }

}  // namespace outlay
