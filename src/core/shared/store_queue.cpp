#include "core/shared/store_queue.hpp"

#include <algorithm>
#include <random>

#include "core/budget/thresholds.hpp"
#include "core/budget/waiter.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

using Clock = std::chrono::steady_clock;
using Op = StoreCommand::Op;

constexpr std::size_t most_deliveries = 1'000'000;
/// How many reservations that may have been made are undone by id when the store answers again. In a long outage the leases of the
/// others expire.
constexpr std::size_t most_undone = 10'000;
/// How long what ends a call may wait, at a store on this machine, for the next admission to take it along: half the transactions.
constexpr std::chrono::milliseconds linger{5};

Time system_now() noexcept { return std::chrono::system_clock::now(); }

std::uint64_t random_word() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) ^ device();
}

}  // namespace

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
    log(LogLevel::warning, "settles and releases that had not arrived at " + backend_->description() +
                               " when the store was closed: " + std::to_string(deliveries_.size()) +
                               ". Their reservations last until their leases expire.");
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
    counter = std::make_shared<SharedCounter>(*this, name, window);
    counters_[{name, window.id()}] = counter;
  }
  return counter;
}

Time StoreQueue::now(Time callers) const noexcept {
  if (distance_ != StoreBackend::Distance::remote) return callers;
  const std::lock_guard lock(mutex_);
  return system_now() + offset_;
}

Counter StoreQueue::view(SharedCounter& counter, Time now, const Vector& caps) {
  const Window::Span span = counter.window.at(now);
  const std::lock_guard lock(mutex_);
  counter.turn_to(span);
  Vector spent = counter.spent_, held = counter.held_;
  add(spent, counter.spent_on_its_way_);
  add(held, counter.held_on_its_way_);
  for (std::int64_t& amount : held) amount = std::max<std::int64_t>(0, amount);
  return Counter::of(spent, held, caps);
}

void StoreQueue::look(SharedCounter& counter, Time now) noexcept try {
  if (distance_ == StoreBackend::Distance::remote) return;
  StoreCounter slot = slot_of(counter, now);
  {
    const std::lock_guard lock(mutex_);
    counter.turn_to(counter.window.at(now));
    if (counter.reported_ && !counter.rolls()) return;
  }
  (void)execute(command(Op::snapshot, {}, {std::move(slot)}, {}, now), {counter.shared_from_this()});
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
                                              std::to_string(options.timeout.count()) + " ms. Try again later.");
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
      undo = question.command.op == Op::reserve && !question.command.id.empty();
  }
  if (!undo) return;
  StoreHold hold{question.command.id, question.counters, question.command.counters, {}, false};
  forget(hold, question.command.now);
}

void StoreQueue::forget(StoreHold& hold, Time now) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (deliveries_.size() >= most_undone) return;
  }
  hold.unshared = true;
  end(hold, Op::release, {}, now, {});
}

void StoreQueue::end(StoreHold& hold, Op op, const Vector& amount, Time now, Crossed crossed) noexcept try {
  {
    const std::lock_guard lock(mutex_);
    alive_.erase(hold.id);  // before anything can fail, since the reservation then lasts until its lease expires
    return_local(hold, amount[0]);
  }
  Delivery delivery{
      command(op, hold.id, std::move(hold.slots), amount, now), hold.counters, {}, {}, std::move(crossed)};
  if (op == Op::settle) delivery.spent = amount;
  if (!hold.unshared) delivery.held = hold.amount;
  if (distance_ == StoreBackend::Distance::memory) {
    const Result<StoreReply> done = execute(delivery.command, delivery.counters);
    for (const auto& counter : delivery.counters)
      if (counter->rolls()) look(*counter, now);  // the call's slot may be an older one
    if (done && delivery.crossed && !done->crossed.empty()) delivery.crossed(done->crossed);
    return;
  }
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (deliveries_.size() >= most_deliveries)
      throw Error(errc::store_unavailable, "1,000,000 settles and releases wait for " + backend_->description());
    on_its_way(delivery, true);
    deliveries_.push_back(std::move(delivery));
    start_thread();
    wake = distance_ == StoreBackend::Distance::remote || deliveries_.size() == 1;
    if (wake) linger_until_ = Clock::now() + linger;
  }
  if (wake) changed_.notify_all();
} catch (const std::exception& problem) {
  log(LogLevel::error,
      std::string(
          "a settle or release cannot be sent to its store, so its reservation lasts until the lease expires: ") +
          problem.what());
}

void StoreQueue::on_its_way(const Delivery& delivery, bool sent) noexcept {
  for (std::size_t i = 0; i < delivery.counters.size(); ++i) {
    SharedCounter& counter = *delivery.counters[i];
    if (delivery.command.counters[i].begin != counter.span_.begin && !counter.rolls()) continue;
    (sent ? add : subtract)(counter.spent_on_its_way_, delivery.spent);
    (sent ? subtract : add)(counter.held_on_its_way_, delivery.held);
  }
}

void StoreQueue::flush(std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  std::unique_lock lock(mutex_);
  const auto none = [this] { return deliveries_.empty() && delivering_ == 0; };
  if (none()) return;
  ++flushing_;
  next_try_ = {};
  changed_.notify_all();
  const bool done = delivered_.wait_until(lock, deadline, none);
  --flushing_;
  if (!done)
    throw Error(errc::timed_out, "settles and releases that have not arrived at " + backend_->description() +
                                     " within " + std::to_string(timeout.count()) +
                                     " ms: " + std::to_string(deliveries_.size() + delivering_) +
                                     ". They are retried until they arrive.");
}

bool StoreQueue::take_local(StoreHold& hold, std::int64_t nanos) noexcept {
  const std::lock_guard lock(mutex_);
  if (nanos > options.on_unreachable.at_most().nanos() - local_used_) return false;
  local_used_ += nanos;
  hold.local = nanos + (hold.outage == outage_ ? hold.local : 0);
  hold.outage = outage_;
  return true;
}

void StoreQueue::return_local(const StoreHold& hold, std::int64_t spent) noexcept {
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

std::vector<StoreCounter::Threshold> thresholds_of(const std::vector<double>& fractions, const Vector& caps) {
  std::vector<StoreCounter::Threshold> thresholds;
  thresholds.reserve(fractions.size());
  for (const double fraction : fractions)
    thresholds.push_back({fraction, to_limits(threshold_amounts(fraction, caps), caps)});
  return thresholds;
}

StoreCounter slot_of(const SharedCounter& counter, Time now) {
  const Window::Span span = counter.window.at(now);
  StoreCounter slot;
  slot.name = counter.name;
  slot.window = counter.window.id();
  slot.begin = span.begin;
  slot.end = span.end.value_or(Time::max());
  slot.counted_from = span.counted_from;
  return slot;
}

}  // namespace outlay::detail
