#include "core/shared/store_queue.hpp"

#include <algorithm>
#include <random>

#include "core/base/deadline.hpp"
#include "core/budget/thresholds.hpp"
#include "core/budget/waiter.hpp"
#include "core/shared/memory_backend.hpp"
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
/// How long a slot is kept after the last window that counts it: longer than any correction is late, or a clock is wrong.
constexpr std::chrono::hours keep_slot{48};

Window::Span span_of(const StoreCounter& slot) noexcept {
  return {slot.begin, slot.end == Time::max() ? std::nullopt : std::optional(slot.end), slot.counted_from};
}

std::uint64_t random_word() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) ^ device();
}

}  // namespace

StoreQueue::StoreQueue(std::unique_ptr<StoreBackend> backend, const StoreOptions& store_options)
    : options(store_options),
      backend_(std::move(backend)),
      distance_(backend_->distance()),
      random_(random_word()),
      at_fork_(AtFork::Order::stores, [this] { before_fork(); }, [this](bool in_child) { after_fork(in_child); }) {}

StoreQueue::~StoreQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    linger_until_ = Clock::now() + options.timeout;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (of_parent_) {
    detail::abandon(std::move(backend_));
    return;
  }
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

std::shared_ptr<SharedCounter> StoreQueue::counter(const std::string& name, const Window& window, bool of_budget) {
  const std::lock_guard lock(mutex_);
  std::weak_ptr<SharedCounter>& known = counters_[{name, window.id()}];
  std::shared_ptr<SharedCounter> counter = known.lock();
  if (!counter) {
    if (counters_.size() % 1024 == 0)
      std::erase_if(counters_, [](const auto& entry) { return entry.second.expired(); });
    counter = std::make_shared<SharedCounter>(*this, name, window);
    counters_[{name, window.id()}] = counter;
  }
  counter->of_budget_ |= of_budget;
  return counter;
}

Time StoreQueue::now(Time callers) const noexcept {
  if (distance_ != StoreBackend::Distance::remote) return callers;
  const std::lock_guard lock(mutex_);
  return system_now() + offset_;
}

Counter StoreQueue::view(SharedCounter& counter, Time now, const Vector& caps) {
  const Window::Span span = counter.window.at(now);
  std::shared_ptr<KnownSlot> slot;
  {
    const std::lock_guard lock(mutex_);
    slot = counter.slot(span);
  }
  return view(counter, *slot, caps);
}

Counter StoreQueue::view(const SharedCounter& counter, const KnownSlot& slot, const Vector& caps) {
  const std::lock_guard lock(mutex_);
  Vector spent = slot.spent, held = slot.held;
  add(spent, slot.spent_on_its_way);
  add(held, slot.held_on_its_way);
  held[index(Dimension::concurrent)] = saturating_add(counter.in_flight_, counter.in_flight_on_its_way_);
  for (std::size_t d = 0; d < dimension_count; ++d) {
    // What ends a call whose lease has run out comes off what was charged for it, or off nothing.
    if (held[d] < 0 && d != index(Dimension::concurrent) && options.on_expiry == OnExpiry::charge)
      spent[d] = saturating_add(spent[d], held[d]);
    held[d] = std::max<std::int64_t>(0, held[d]);
  }
  return Counter::of(spent, held, with_set_caps(caps, counter.set_caps_));
}

void StoreQueue::look_at_set_caps(SharedCounter& counter, Time now) noexcept {
  if (distance_ != StoreBackend::Distance::memory) return;
  bool any_set = false;
  {
    const std::lock_guard lock(mutex_);
    any_set = counter.set_caps_ != no_caps;
  }
  if (any_set) look(counter, now);
}

Vector StoreQueue::caps(const SharedCounter& counter, const Vector& own) const noexcept {
  const std::lock_guard lock(mutex_);
  return with_set_caps(own, counter.set_caps_);
}

Vector StoreQueue::changed_caps(const SharedCounter& counter, const Vector& opened) const {
  Vector caps = opened;
  const std::lock_guard lock(mutex_);
  for (std::size_t d = 0; d < dimension_count && !cap_changes_.empty(); ++d)
    if (opened[d] != no_cap)
      if (const auto found = cap_changes_.find({counter.name, counter.window.id(), d, opened[d]});
          found != cap_changes_.end())
        caps[d] = std::clamp<std::int64_t>(saturating_add(opened[d], found->second), 0, no_cap - 1);
  return caps;
}

void StoreQueue::change_cap(const SharedCounter& counter, Dimension dimension, std::int64_t opened,
                            std::int64_t amount) {
  const std::lock_guard lock(mutex_);
  const auto changed = cap_changes_.try_emplace({counter.name, counter.window.id(), index(dimension), opened}).first;
  changed->second = saturating_add(changed->second, amount);
  if (changed->second == 0) cap_changes_.erase(changed);
}

std::vector<std::shared_ptr<KnownSlot>> StoreQueue::known_slots(const Counters& counters,
                                                                const std::vector<StoreCounter>& slots) {
  std::vector<std::shared_ptr<KnownSlot>> known;
  known.reserve(counters.size());
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < counters.size(); ++i) known.push_back(counters[i]->slot(span_of(slots[i])));
  return known;
}

void StoreQueue::look(SharedCounter& counter, Time now, bool anew) noexcept try {
  if (distance_ == StoreBackend::Distance::remote) return;
  StoreCounter slot = slot_of(counter, now);
  {
    const std::lock_guard lock(mutex_);
    // A cap that is set may have had its time meanwhile.
    const bool may_differ = anew || counter.rolls() || counter.set_caps_ != no_caps;
    if (!may_differ && counter.slot(span_of(slot))->reported) return;
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

std::string StoreQueue::epoch() const {
  const std::lock_guard lock(mutex_);
  return epoch_;
}

bool StoreQueue::heard() const {
  const std::lock_guard lock(mutex_);
  return heard_;
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
  if (of_parent_) {
    question->result = not_ours();
    question->waiter->wake();
    return;
  }
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
  StoreHold hold{question.command.id, question.counters, question.command.counters, {}, {}, false};
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

std::optional<StoreReply> StoreQueue::end(StoreHold& hold, Op op, const Vector& amount, Time now,
                                          Crossed crossed) noexcept try {
  bool forgotten = false;  // with the data that the store had then
  {
    const std::lock_guard lock(mutex_);
    if (of_parent_) return std::nullopt;
    forgotten = hold.losses != losses_;
    alive_.erase(hold.id);  // before anything can fail, since the reservation then lasts until its lease expires
    return_local(hold, amount[0]);
  }
  if (hold.known.empty()) hold.known = known_slots(hold.counters, hold.slots);
  show(hold, false);
  Delivery delivery{command(op, hold.id, std::move(hold.slots), amount, now),
                    hold.counters,
                    std::move(hold.known),
                    {},
                    {},
                    std::move(crossed)};
  delivery.command.detached = hold.detached;
  if (op == Op::settle) delivery.spent = amount;
  const bool known_to_store = !hold.unshared && !forgotten;
  if (known_to_store) delivery.held = hold.told;
  if (distance_ == StoreBackend::Distance::memory) {
    Result<StoreReply> done = execute(delivery.command, delivery.counters);
    if (!done && done.error().reason() != errc::store_unavailable) {
      const bool less = within_reservation(delivery);
      log(LogLevel::error, text_of_refused(less, done.error()));
      if (less) done = execute(delivery.command, delivery.counters);
    }
    if (!done) return {};
    if (delivery.crossed && !done->crossed.empty()) delivery.crossed(*done);
    return std::move(*done);
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
  return {};
} catch (const std::exception& problem) {
  log(LogLevel::error,
      std::string(
          "a settle or release cannot be sent to its store, so its reservation lasts until the lease expires: ") +
          problem.what());
  return {};
}

std::string StoreQueue::text_of_refused(bool booked_less, const Failure& why) const {
  return backend_->description() +
         (booked_less ? " refused what a call has used, so no more than the call had reserved is counted: "
                      : " refused a settle or release, so its reservation lasts until the lease expires: ") +
         why.message();
}

bool StoreQueue::within_reservation(Delivery& delivery) noexcept {
  if (delivery.command.op != Op::settle) return false;
  Vector spent = delivery.spent;
  for (std::size_t d = 0; d < dimension_count; ++d) spent[d] = std::min(spent[d], delivery.held[d]);
  if (spent == delivery.spent) return false;
  delivery.spent = spent;
  delivery.command.amount = to_amounts(spent);
  return true;
}

void StoreQueue::on_its_way(const Delivery& delivery, bool sent) noexcept {
  for (std::size_t i = 0; i < delivery.counters.size(); ++i) {
    KnownSlot& slot = *delivery.known[i];
    (sent ? add : subtract)(slot.spent_on_its_way, delivery.spent);
    (sent ? subtract : add)(slot.held_on_its_way, delivery.held);
    const std::int64_t ended = delivery.held[index(Dimension::concurrent)];
    delivery.counters[i]->in_flight_on_its_way_ += sent ? -ended : ended;
  }
}

void StoreQueue::flush(std::chrono::milliseconds timeout) {
  const auto deadline = deadline_in(timeout);
  std::unique_lock lock(mutex_);
  const auto none = [this] { return deliveries_.empty() && delivering_ == 0 && telling_ <= telling_here; };
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

void StoreQueue::show(StoreHold& hold, bool runs) {
  const Vector shown = runs ? minus(hold.amount, hold.told) : Vector{};
  const Vector more = minus(shown, hold.shown);
  if (more == Vector{}) return;
  hold.shown = shown;
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < hold.counters.size(); ++i) {
    add(hold.known[i]->held_on_its_way, more);
    hold.counters[i]->in_flight_on_its_way_ += more[index(Dimension::concurrent)];
  }
}

void StoreQueue::confirmed(StoreHold& hold) noexcept {
  if (hold.local == 0) return;
  const std::lock_guard lock(mutex_);
  local_held_ -= std::exchange(hold.local, 0);
}

void StoreQueue::end_here(StoreHold& hold, std::int64_t spent) {
  show(hold, false);
  const std::lock_guard lock(mutex_);
  return_local(hold, spent);
}

bool StoreQueue::take_local(StoreHold& hold, std::int64_t nanos) noexcept {
  const std::lock_guard lock(mutex_);
  if (nanos > options.on_unreachable.at_most().nanos() - saturating_add(local_held_, local_spent_)) return false;
  local_held_ += nanos;
  hold.local += nanos;
  return true;
}

void StoreQueue::return_local(StoreHold& hold, std::int64_t spent) noexcept {
  if (hold.local == 0) return;
  local_held_ -= hold.local;
  const std::int64_t beyond = spent - (hold.amount[0] - hold.local);  // what the store had granted goes first
  local_spent_ = saturating_add(local_spent_, std::max<std::int64_t>(0, beyond));
  hold.local = 0;
}

void StoreQueue::allow_local_anew() noexcept { local_spent_ = 0; }

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

void StoreQueue::reset() {
  const std::lock_guard backend_lock(backend_mutex_);
  auto* const memory = dynamic_cast<MemoryBackend*>(backend_.get());
  if (!memory) return;
  memory->reset();
  const std::lock_guard lock(mutex_);
  cap_changes_.clear();
  for (const auto& [key, known] : counters_)
    if (const std::shared_ptr<SharedCounter> counter = known.lock()) {
      counter->set_caps_ = no_caps;
      for (const auto& [begin, slot] : counter->slots_) {
        slot->spent = {};
        slot->reported = false;
      }
    }
}

void StoreQueue::keep_alive(StoreHold& hold) {
  if (of_parent_ || distance_ == StoreBackend::Distance::memory) return;
  const std::lock_guard lock(mutex_);
  hold.losses = losses_;
  alive_.insert(hold.id);
  start_thread();
}

void StoreQueue::leave_alone(const std::string& id) noexcept {
  const std::lock_guard lock(mutex_);
  alive_.erase(id);
  for (Delivery& delivery : deliveries_) std::erase(delivery.command.ids, id);
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
  slot.counted_to = counter.window.kind() == Window::Kind::rolling ? Time::max() : span.begin;
  if (!span.end) return slot;
  // The window that looks back on it is kept, too. A short rolling window has many short slots, and keeps fewer of them.
  const auto looks_back = span.begin - span.counted_from;
  const std::chrono::nanoseconds at_most = keep_slot;
  const auto keep = looks_back > looks_back.zero() && looks_back < at_most / 60 ? 60 * looks_back : at_most;
  // A process that has seen it count takes it to count for as long again (take_note_of): what is forgotten then is no lost data.
  slot.keep_until = instant_after(*span.end, 2 * looks_back + keep);
  return slot;
}

StoreCounter counted_now(const SharedCounter& counter, StoreCounter slot, Time now) {
  if (counter.window.kind() != Window::Kind::rolling) return slot;
  const Window::Span present = counter.window.at(now);
  const auto looks_back = slot.begin - slot.counted_from;
  const bool counts = present.counted_from <= slot.begin;
  slot.counted_from = counts ? present.counted_from : slot.begin;
  slot.counted_to = counts ? Time::max() : instant_after(slot.begin, looks_back);
  return slot;
}

}  // namespace outlay::detail
