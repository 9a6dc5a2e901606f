#include "outlay/store.hpp"

#include <algorithm>

#include "core/ledger/books.hpp"
#include "core/shared/store_queue.hpp"
#include "outlay/detail/access.hpp"

namespace outlay {

namespace detail {

std::shared_ptr<OutsideCounter> open_outside_counter(const std::shared_ptr<Store>& store, const std::string& name,
                                                     const Window& window) {
  return Access::queue(*store).counter(name, window, true);
}

void StoreQueue::record_expired(Books& books) noexcept try {
  if (!any_expired_.load(std::memory_order_relaxed)) return;
  std::vector<StoreReply::Expired> all;
  {
    const std::lock_guard lock(mutex_);
    all.swap(expired_);
    any_expired_.store(false, std::memory_order_relaxed);
  }
  for (const StoreReply::Expired& lease : all) {
    const AttributionRef where = books.dictionary.intern(nullptr, {true, lease.counter.name, {}, {}});
    const Amounts& charged = lease.charged;
    const Vector amounts = to_vector(charged);
    const auto any = std::find_if(amounts.begin(), amounts.end(), [](std::int64_t amount) { return amount != 0; });
    const std::size_t first = any == amounts.end() ? 0 : static_cast<std::size_t>(any - amounts.begin());
    EventDraft(books, Action::expired, where.get())
        .numbers(static_cast<Dimension>(first), amounts[first], -1)
        .reason("A call did not end before its lease ran out (" + printable_name(lease.counter.window) + "). " +
                (charged == Amounts{} ? "What it had reserved was released."
                                      : "What it had reserved was charged: " + to_string(charged.usd) + " and " +
                                            std::to_string(charged.tokens) + " tokens."))
        .book();
  }
} catch (...) {  // without memory for the events the counters are right all the same
}

StoreLosses StoreQueue::losses(Time now) const {
  const std::lock_guard lock(mutex_);
  const bool turned = lost_until_ && *lost_until_ != Time::max() && now >= *lost_until_;
  return {losses_, turned ? std::nullopt : lost_until_};
}

void reset_counters(Store& store) { Access::queue(store).reset(); }

void keep_time_by(Store& store, std::shared_ptr<const Clock> clock) {
  struct SystemClock final : Clock {
    [[nodiscard]] Time now() const noexcept override { return system_now(); }
  };
  static const auto& system = *new std::shared_ptr<const Clock>(std::make_shared<const SystemClock>());
  if (!clock) clock = system;
  Access::queue(store).clock = std::move(clock);
}

}  // namespace detail

namespace {

void check(const StoreOptions& options) {
  using namespace std::chrono_literals;
  if (options.timeout < 1ms || options.timeout > 1min)
    throw ConfigError("StoreOptions::timeout must be between 1 ms and 1 min, and is " +
                      std::to_string(options.timeout.count()) + " ms.");
  if (options.lease < 1s || options.lease > 24h)
    throw ConfigError("StoreOptions::lease must be between 1 s and 1 day, and is " +
                      std::to_string(options.lease.count()) + " ms.");
  if (options.on_unreachable.kind() == OnUnreachable::Kind::local && options.on_unreachable.at_most() <= Usd{})
    throw ConfigError("OnUnreachable::local was given " + to_string(options.on_unreachable.at_most()) +
                      ". Use more than $0.00, or OnUnreachable::deny() to spend nothing.");
}

}  // namespace

Store::Store(std::unique_ptr<StoreBackend> backend, const StoreOptions& options) {
  if (!backend) throw ConfigError("Store was given no backend. Pass one, such as memory_backend().");
  check(options);
  queue_ = std::make_unique<detail::StoreQueue>(std::move(backend), options);
}

Store::~Store() {
  // The last owner may be destroyed on the store's own thread, with what a delivery held, and a thread cannot wait for itself.
  if (queue_->is_own_thread()) queue_.release()->end_on_own_thread();
}

namespace {

using namespace detail;

/// How long a program's own id of a correction is remembered: until what it corrects is long settled.
constexpr std::chrono::hours remember_correction{60 * 24};

/// Every question of a member of Store goes through it.
Result<StoreReply> answer_to(StoreQueue& queue, StoreCommand command, Counters counters = {}) {
  Result<StoreReply> reply = queue.ask_and_wait(std::move(command), std::move(counters));
  queue.record_expired(Access::books(Ledger::current()));
  return reply;
}

Time callers_time(const StoreQueue& queue) {
  return queue.clock ? queue.clock->now() : Access::books(Ledger::current()).time();
}

/// By the clock that decides which window it is. A store that is far away says its own with the first answer.
Time time_of(StoreQueue& queue) {
  const Time callers = callers_time(queue);
  if (queue.distance() == StoreBackend::Distance::remote && !queue.heard())
    if (Result<StoreReply> heard =
            answer_to(queue, queue.command(StoreCommand::Op::snapshot, {}, {}, {}, queue.now(callers)));
        !heard)
      throw_failure(std::move(heard).error());
  return queue.now(callers);
}

void check_counter(std::string_view name, const Window& window) {
  if (!name.empty() && window.kind() != Window::Kind::scope) return;
  throw ConfigError("a store's counter " + (name.empty() ? std::string() : '"' + printable_name(name) + "\" ") +
                    "needs a name and a window other than Window::scope(). Pass both; the window of a rule that says "
                    "none is Window::day().");
}

/// One question about one counter, and its answer.
///
/// \param remember Of adjust: StoreCommand::lease.
StoreReply ask(StoreQueue& queue, StoreCommand::Op op, std::string id, std::string_view name, const Window& window,
               std::optional<Time> at, const Vector& amounts, std::chrono::milliseconds remember = {}) {
  check_counter(name, window);
  const auto counter = queue.counter(std::string(name), window);
  const Time now = time_of(queue);
  StoreCounter slot = slot_of(*counter, at.value_or(now));
  const bool past = at && *at < now && slot.begin != window.at(now).begin;
  if (past && op == StoreCommand::Op::adjust) slot = counted_now(*counter, std::move(slot), now);
  // What a rolling window was at an instant does not count what came later.
  if (past && op == StoreCommand::Op::snapshot) slot.counted_to = slot.begin;
  StoreCommand command = queue.command(op, std::move(id), {std::move(slot)}, amounts, now);
  if (op == StoreCommand::Op::adjust) command.lease = remember;
  Result<StoreReply> reply = answer_to(queue, std::move(command), {counter});
  if (!reply) throw_failure(std::move(reply).error());
  return *std::move(reply);
}

/// The id of a program's, as 32 hexadecimal digits: the same in every process and version.
std::string stable_id(const Adjustment& adjustment) {
  constexpr const char* digits = "0123456789abcdef";
  std::string id;
  for (const std::uint64_t seed : {14695981039346656037U, 1099511628211U * 31}) {
    std::uint64_t hash = seed;  // FNV-1a
    const std::string window = adjustment.window.id();
    for (const std::string_view part : {adjustment.name, std::string_view(window), adjustment.id}) {
      for (const char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
      hash = (hash ^ part.size()) * 1099511628211U;
    }
    for (int i = 0; i < 16; ++i, hash >>= 4U) id += digits[hash & 15U];
  }
  return id;
}

[[noreturn]] void refuse(const Adjustment& adjustment, const std::string& why) {
  throw Error(errc::invalid_argument,
              "the adjustment of \"" + printable_name(adjustment.name) + "\" (" + adjustment.window.id() + ") " + why);
}

}  // namespace

StoreReply::State Store::state(std::string_view name, const Window& window, std::optional<Time> at) {
  return ask(*queue_, StoreCommand::Op::snapshot, {}, name, window, at, {}).states.at(0);
}

StoreReply::State Store::adjust(const Adjustment& adjustment) {
  const Vector amounts = to_vector(adjustment.amounts);
  if (amounts == Vector{}) refuse(adjustment, "changes nothing. Set some of its amounts.");
  if (adjustment.amounts.concurrent != 0)
    refuse(adjustment, "has an amount of calls in flight, which are never spent. Leave `concurrent` out.");
  if (adjustment.id.size() > 256) refuse(adjustment, "has an id of more than 256 bytes. Shorten it.");
  Books& books = Access::books(Ledger::current());
  const Time now = time_of(*queue_);
  if (adjustment.at && adjustment.window.kind() != Window::Kind::scope) {
    const StoreCounter slot =
        slot_of(*queue_->counter(std::string(adjustment.name), adjustment.window), *adjustment.at);
    if (slot.keep_until < now)
      refuse(adjustment, "is for a slot that ended " + to_iso8601(slot.end) + " and was kept until " +
                             to_iso8601(slot.keep_until) + ". Correct the present one.");
    if (slot.begin > now)
      refuse(adjustment,
             "is for a slot that begins " + to_iso8601(slot.begin) + ", which is to come. Pass an earlier `at`.");
  }
  if (!adjustment.create) {
    const StoreReply::State before = state(adjustment.name, adjustment.window, adjustment.at);
    if (!before.known && before.life == 0 && before.spent == Amounts{} && before.reserved == Amounts{})
      refuse(adjustment, "names a counter of which nothing is kept in " + description() +
                             ". Check the name and the window, or set `create` to begin it.");
  }
  const bool own_id = !adjustment.id.empty();
  const StoreReply reply =
      ask(*queue_, StoreCommand::Op::adjust, own_id ? stable_id(adjustment) : queue_->new_id(), adjustment.name,
          adjustment.window, adjustment.at, amounts, own_id ? remember_correction : queue_->options.lease);
  if (reply.outcome != StoreReply::Outcome::done) return reply.states.at(0);  // its id was here before
  const AttributionRef where = books.dictionary.intern(nullptr, {true, adjustment.name, {}, {}});
  const Vector spent = to_vector(reply.states.at(0).spent);
  for (std::size_t d = 0; d < dimension_count; ++d)
    if (amounts[d] != 0)
      EventDraft(books, Action::adjusted, where.get())
          .numbers(static_cast<Dimension>(d), amounts[d], spent[d])
          .reason(adjustment.reason)
          .book();
  return reply.states.at(0);
}

bool Store::set_cap(const CapChange& change) {
  const auto refuse = [&](const std::string& why) {
    throw Error(errc::invalid_argument,
                "the cap of \"" + printable_name(change.name) + "\" (" + change.window.id() + ") " + why);
  };
  check_counter(change.name, change.window);
  if (change.by.size() > 128 || change.reason.size() > 1'024)
    refuse("has a `by` of more than 128 bytes or a reason of more than 1,024. Shorten it.");
  const Vector limits = to_vector(change.limits);
  if (std::any_of(limits.begin(), limits.end(), [](std::int64_t limit) { return limit < 0; }))
    refuse("is below 0. Set 0 or more, or no limits at all to take it back.");
  Books& books = Access::books(Ledger::current());
  const Time now = time_of(*queue_);
  if (change.until && *change.until <= now)
    refuse("would end " + to_iso8601(*change.until) + ", which has passed. Pass a later time, or none.");
  const auto counter = queue_->counter(std::string(change.name), change.window);
  StoreCommand command = queue_->command(StoreCommand::Op::set_cap, {}, {slot_of(*counter, now)}, {}, now);
  command.cap.limits = change.limits;
  command.cap.by = change.by;
  command.cap.reason = change.reason;
  command.cap.until = change.until;
  command.expected = change.expected;
  Result<StoreReply> reply = answer_to(*queue_, std::move(command), {counter});
  if (!reply) throw_failure(std::move(reply).error());
  if (reply->outcome == StoreReply::Outcome::refused) return false;
  const AttributionRef where = books.dictionary.intern(nullptr, {true, change.name, {}, {}});
  std::string why(change.by);
  if (!change.reason.empty()) why += (why.empty() ? "" : ": ") + std::string(change.reason);
  if (why.empty()) why = change.limits == Limits{} ? "the cap was taken back" : "a cap was set";
  const auto tell = [&](Dimension dimension, std::int64_t cap) {
    EventDraft(books, Action::cap_set, where.get()).numbers(dimension, 0, cap).reason(why).book();
  };
  for (std::size_t d = 0; d < dimension_count; ++d)
    if (limits[d] != no_cap) tell(static_cast<Dimension>(d), limits[d]);
  if (change.limits == Limits{}) tell(Dimension::usd, -1);
  return true;
}

namespace {

/// What another program, or a later version, may have put beside ours.
bool is_known(const std::string& window) noexcept try {
  (void)Window::parse(window);
  return true;
} catch (...) {
  return false;
}

/// What each has spent and reserved in its present window.
std::vector<StoreReply::State> states_of(StoreQueue& queue, std::span<const StoreReply::Name> names) {
  constexpr std::size_t at_once = 64;
  std::vector<StoreReply::State> states;
  for (std::size_t first = 0; first < names.size(); first += at_once) {
    const Time now = time_of(queue);
    Counters counters;
    std::vector<StoreCounter> slots;
    for (const StoreReply::Name& name : names.subspan(first, std::min(at_once, names.size() - first))) {
      counters.push_back(queue.counter(name.name, Window::parse(name.window)));
      slots.push_back(slot_of(*counters.back(), now));
    }
    Result<StoreReply> reply =
        answer_to(queue, queue.command(StoreCommand::Op::snapshot, {}, std::move(slots), {}, now), counters);
    if (!reply) throw_failure(std::move(reply).error());
    for (std::size_t i = 0; i < counters.size(); ++i) states.push_back(reply->states.at(i));
  }
  return states;
}

}  // namespace

std::vector<CapState> Store::caps() {
  Result<StoreReply> listed =
      answer_to(*queue_, queue_->command(StoreCommand::Op::list_caps, {}, {}, {}, time_of(*queue_)));
  if (!listed) throw_failure(std::move(listed).error());
  std::vector<StoreReply::Name> names;
  names.reserve(listed->caps.size());
  for (const StoreCap& cap : listed->caps) names.push_back({cap.name, cap.window});
  const std::vector<StoreReply::State> states = states_of(*queue_, names);
  std::vector<CapState> all;
  all.reserve(states.size());
  for (std::size_t i = 0; i < states.size(); ++i) all.push_back({std::move(listed->caps[i]), states[i]});
  return all;
}

std::vector<CounterState> Store::counters(std::string_view prefix) {
  std::vector<StoreReply::Name> names;
  std::string next;
  do {
    StoreCommand list = queue_->command(StoreCommand::Op::list_counters, {}, {}, {}, time_of(*queue_));
    list.prefix = prefix;
    list.after = std::move(next);
    Result<StoreReply> listed = answer_to(*queue_, std::move(list));
    if (!listed) throw_failure(std::move(listed).error());
    std::move(listed->counters.begin(), listed->counters.end(), std::back_inserter(names));
    next = std::move(listed->next);
  } while (!next.empty());
  std::erase_if(names, [](const StoreReply::Name& counter) { return !is_known(counter.window); });
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  const std::vector<StoreReply::State> states = states_of(*queue_, names);
  std::vector<CounterState> all;
  all.reserve(states.size());
  for (std::size_t i = 0; i < states.size(); ++i)
    all.push_back({std::move(names[i].name), std::move(names[i].window), states[i]});
  return all;
}

void Store::flush(std::chrono::milliseconds timeout) { queue_->flush(timeout); }
void Store::accept_lost_data() noexcept { queue_->accept_lost_data(); }
StoreLosses Store::losses() const { return queue_->losses(queue_->now(callers_time(*queue_))); }
const StoreOptions& Store::options() const noexcept { return queue_->options; }
std::string Store::description() const { return queue_->description(); }

}  // namespace outlay
