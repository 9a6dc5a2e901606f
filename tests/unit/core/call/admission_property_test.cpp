// Calls in trees of budgets, with lines, callbacks, streams, observe mode and a store, against the model: one step after the other on one
// thread, as the asynchronous form takes them.
#include <memory>
#include <sstream>

#include "core/call/admission.hpp"
#include "core/call/settlement.hpp"
#include "core/context/node.hpp"
#include "core/ledger/books.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/outlay.hpp"
#include "outlay/testing.hpp"
#include "support/dice.hpp"
#include "unit/core/call/admission_model.hpp"
#include "unit/core/counting_waiter.hpp"

using namespace outlay;
using namespace std::chrono_literals;
using detail::Admission;
using outlay_test::CountingWaiter;
using outlay_test::Dice;
namespace model = outlay_test::model;

namespace {

const model::Tariffs tariffs{
    {"big", {.input = 3'000, .output = 15'000}},
    {"middle", {.input = 1'000, .output = 4'000, .most_output = 90}},
    {"small", {.input = 333, .output = 777, .request = 5}},
    {"free", {}},
    {"short", {.input = 500, .output = 500, .most_output = 12}},
};
const std::vector<std::string> models{"big", "big", "big", "middle", "small", "free", "short", "unknown"};

PriceTable model_prices() {
  PriceTable table;
  for (const auto& [name, tariff] : tariffs) {
    Price price;
    price.rates = {.input = Rate::from_picos(tariff.input), .output = Rate::from_picos(tariff.output)};
    price.request = Usd::from_nanos(tariff.request);
    price.max_output_tokens = tariff.most_output;
    table.register_model(name, price);
  }
  return table;
}

struct Running {
  Running(const Context& where, const model::Request& request)
      : scope(where),
        model(request.model),
        wanted{.model = model,
               .input_tokens = request.input,
               .max_output_tokens = request.ceiling,
               .choices = request.choices,
               .usd = request.flat ? std::optional(Usd::from_nanos(*request.flat)) : std::nullopt,
               .min_output_tokens = request.least_ceiling,
               .fixed_ceiling = request.fixed_ceiling},
        arrival(wanted) {}

  const Context scope;  // keeps the budgets
  Context arrived_in;
  const std::string model;
  const CallRequest wanted;
  const std::shared_ptr<CountingWaiter> waiter = std::make_shared<CountingWaiter>();
  detail::Arrival arrival;
  std::unique_ptr<Admission> admission;
  Admission::State state = Admission::State::deciding;
  std::optional<Failure> failure;
  detail::Ref<detail::Reservation> reservation;  // once it is admitted
};

std::string shown(const model::Told& told) {
  std::ostringstream text;
  text << to_string(told.action) << " by b" << told.budget << ' ' << to_string(static_cast<Dimension>(told.dimension))
       << ' ' << told.projected << " of " << told.cap << ' ' << told.model << " -> " << told.new_model << " ceiling "
       << told.ceiling.value_or(-1);
  return text.str();
}

model::State to_state(Admission::State state) {
  switch (state) {
    case Admission::State::asking_program:
      return model::State::asking_program;
    case Admission::State::in_line:
      return model::State::in_line;
    case Admission::State::admitted:
      return model::State::admitted;
    case Admission::State::refused:
      return model::State::refused;
    default:
      return model::State::deciding;
  }
}

int number_of(std::string_view budget) { return budget.empty() ? -1 : std::stoi(std::string(budget.substr(1))); }

/// How often calls were seen in each state, and below how many budgets: what never happens is not compared.
struct Seen {
  int asking_program = 0, in_line = 0, admitted = 0, nested_twice = 0, closed = 0, raised = 0;
};

class AdmissionRun {
 public:
  AdmissionRun(std::uint64_t seed, Seen& seen)
      : dice_(seed),
        seen_(seen),
        observing_(dice_.chance(15)),
        with_store_(dice_.chance(40)),
        waits_often_(dice_.chance(50)),
        plenty_(dice_.chance(50) ? 1 : 4),
        ledger_({.max_records = 10, .prices = model_prices(), .observe = observing_, .clock = clock_}),
        scope_(ledger_),
        books_(detail::Access::books(ledger_)) {
    world_.observing = observing_;
    world_.allow_unreachable = dice_.chance(50);
    store_ = std::make_shared<Store>(
        std::make_unique<testing::WeatheredBackend>(weather_, StoreBackend::Distance::memory),
        StoreOptions{.on_unreachable =
                         world_.allow_unreachable ? OnUnreachable::allow_and_mark() : OnUnreachable::deny()});
    set_hour(dice_.between(0, 20));
  }
  ~AdmissionRun() {
    calls_.clear();
    while (!open_.empty()) open_.pop_back();
  }
  AdmissionRun(const AdmissionRun&) = delete;
  AdmissionRun& operator=(const AdmissionRun&) = delete;

  std::string go(int steps) {
    for (int i = static_cast<int>(dice_.between(1, 3)); i > 0; --i) open();
    for (step_ = 0; step_ < steps && wrong_.empty(); ++step_) {
      step();
      if (wrong_.empty()) compare();
    }
    while (wrong_.empty() && !calls_.empty()) {
      finish(calls_.begin()->first);
      compare();
    }
    for (std::size_t i = 0; i < nodes_.size() && wrong_.empty(); ++i)
      if (world_.numbers(static_cast<int>(i)).reserved != model::Amount{}) wrong_ = "something stays reserved";
    return wrong_.empty() ? wrong_ : wrong_ + "\nat step " + std::to_string(step_) + '\n' + history_.str();
  }

 private:
  // Budgets.

  Policy random_policy(bool last) {
    if (waits_often_ && dice_.chance(30)) return Wait{.timeout = 1000h};
    switch (dice_.between(0, last ? 7 : 3)) {
      case 0: {
        Downgrade downgrade{{{"big", "middle"}, {"middle", "small"}}};
        if (dice_.chance(40)) downgrade.map.push_back({"small", "free"});
        return downgrade;
      }
      case 1: {
        Clamp clamp{.min_output_tokens = dice_.chance(70) ? 1 : dice_.between(1, 15)};
        if (dice_.chance(30)) clamp.max_output_tokens = clamp.min_output_tokens + dice_.between(0, 30);
        return clamp;
      }
      case 2:
        return Callback{[this](const Exceeded&) { return program_answers(); }};
      case 3:
        return Wait{.timeout = dice_.chance(30) ? std::chrono::nanoseconds(30min) : std::chrono::nanoseconds(1000h)};
      case 4:
        return Block{};
      case 5:
        return Truncate{};
      case 6:
        return Raise{};
      default:
        return Warn{};
    }
  }

  BudgetOptions random_options() {
    BudgetOptions options{.name = "b" + std::to_string(nodes_.size())};
    if (dice_.chance(60)) options.usd = Usd::from_nanos(dice_.between(0, 1'500 * plenty_));
    if (dice_.chance(40)) options.tokens = dice_.between(1, 150 * plenty_);
    if (dice_.chance(20)) options.input_tokens = dice_.between(1, 60 * plenty_);
    if (dice_.chance(25)) options.output_tokens = dice_.between(1, 90 * plenty_);
    if (dice_.chance(10)) options.calls = dice_.between(1, 12 * plenty_);
    if (dice_.chance(35) ||
        (!options.usd && !options.tokens && !options.input_tokens && !options.output_tokens && !options.calls))
      options.concurrent = dice_.between(1, 4);
    if (dice_.chance(40)) options.output_reserve = dice_.between(0, 40);
    if (dice_.chance(10)) options.reasoning_reserve = dice_.between(0, 10);
    if (dice_.chance(25)) options.unbounded = static_cast<Unbounded>(dice_.between(0, dice_.chance(10) ? 3 : 2));
    if (dice_.chance(90))
      options.unpriced =
          dice_.chance(50) ? Unpriced::ignore() : Unpriced::assume(Usd::from_nanos(1'000 * dice_.between(1, 9'000)));
    if (with_store_ && dice_.chance(50)) {
      options.window = dice_.chance(50) ? Window::day() : Window::forever();
      options.store = store_;
    }
    std::vector<Policy> policies;
    const std::int64_t count = dice_.chance(20) ? 0 : dice_.between(1, 3);
    for (std::int64_t n = 1; n <= count; ++n) {
      Policy policy = random_policy(n == count);
      const bool waits_twice = std::holds_alternative<Wait>(policy) &&
                               std::any_of(policies.begin(), policies.end(),
                                           [](const Policy& one) { return std::holds_alternative<Wait>(one); });
      const bool saves_nothing = std::holds_alternative<Downgrade>(policy) && !options.usd;
      const bool sizes_nothing =
          std::holds_alternative<Clamp>(policy) && !options.usd && !options.tokens && !options.output_tokens;
      if (!waits_twice && !saves_nothing && !sizes_nothing) policies.push_back(std::move(policy));
    }
    if (policies.size() == 1) options.on_exceed = Policies({policies[0]});
    if (policies.size() == 2) options.on_exceed = Policies({policies[0], policies[1]});
    if (policies.size() == 3) options.on_exceed = Policies({policies[0], policies[1], policies[2]});
    return options;
  }

  /// Opens a budget inside the innermost one, or somewhere beside: then its scope is closed at once, and calls go on in it.
  void open() {
    if (nodes_.size() >= 8) return;
    const BudgetOptions options = random_options();
    const bool beside = !open_.empty() && dice_.chance(40);
    const int outer = !beside ? (open_.empty() ? -1 : open_numbers_.back())
                      : dice_.chance(10)
                          ? -1
                          : static_cast<int>(dice_.between(0, static_cast<std::int64_t>(nodes_.size()) - 1));
    std::optional<Attach> attached;
    if (beside) attached.emplace(outer < 0 ? outside_ : scopes_[static_cast<std::size_t>(outer)]);
    auto budget = std::make_unique<Budget>(BudgetOptions(options));
    scopes_.push_back(Context::current());
    nodes_.push_back(detail::ambient()->budget);
    model::Budget twin{.outer = outer, .options = options};
    for (std::size_t d = 0; d < model::dimensions; ++d)
      if (nodes_.back()->counter.capped(d)) twin.cap[d] = nodes_.back()->counter.cap[d];
    const model::Cap asked{options.usd ? std::optional(options.usd->nanos()) : std::nullopt,
                           options.tokens,
                           options.input_tokens,
                           options.output_tokens,
                           options.calls,
                           options.concurrent};
    if (twin.cap != asked) wrong_ = "a budget has other caps than its options";
    world_.budgets.push_back(twin);
    if (attached) {
      budget.reset();
      return;
    }
    open_numbers_.push_back(static_cast<int>(nodes_.size()) - 1);
    open_.push_back(std::move(budget));
  }

  void set_hour(std::int64_t hour) {
    hour_ = hour;
    clock_->set(Time(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)) + std::chrono::hours(hour));
    world_.day = static_cast<int>(hour / 24);
    world_.until_tomorrow = std::chrono::nanoseconds(std::chrono::hours(24 - hour % 24)).count();
  }

  // Steps.

  void step() {
    const std::int64_t what = dice_.between(1, 100);
    if (what <= 2) {
      open();
    } else if (what <= 26) {
      if (calls_.size() < 12) start();
    } else if (what <= 48) {
      if (const int id = pick([this](int call) { return wake_counts_[call] > 0; }); id >= 0) woken(id);
    } else if (what <= 64) {
      if (const int id = pick([this](int call) { return world_.calls.at(call).runs; }); id >= 0) finish(id);
    } else if (what <= 80) {
      if (const int id = pick([this](int call) { return state(call) == model::State::asking_program; }); id >= 0)
        answer(id);
    } else if (what <= 88) {
      const auto may_extend = [this](int call) {
        return world_.calls.at(call).runs && calls_.at(call)->state == Admission::State::admitted;
      };
      if (const int id = pick(may_extend); id >= 0) extend(id);
    } else if (what <= 92) {
      if (const int id = pick([this](int call) { return state(call) == model::State::in_line; }); id >= 0) time_out(id);
    } else if (what <= 95) {
      raise();
    } else if (what <= 97) {
      if (const int id = pick([this](int call) { return !world_.calls.at(call).runs; }); id >= 0) finish(id);
    } else if (what <= 98) {
      if (dice_.chance(10)) close();
    } else {
      set_hour(hour_ + dice_.between(1, 9));
      history_ << step_ << ": hour " << hour_ << '\n';
    }
  }

  [[nodiscard]] model::State state(int id) const { return world_.calls.at(id).state; }
  template <class Which>
  int pick(const Which& which) {
    std::vector<int> found;
    for (const auto& [id, call] : calls_)
      if (which(id)) found.push_back(id);
    return found.empty() ? -1 : dice_.one_of(found);
  }

  void start(int in_callback_of = -1) {
    const int id = next_++;
    int at = open_numbers_.empty() ? 0 : open_numbers_.back();
    if (dice_.chance(35)) at = static_cast<int>(dice_.between(0, static_cast<std::int64_t>(nodes_.size()) - 1));
    if (in_callback_of >= 0 && dice_.chance(70)) at = in_callback_of;
    model::Request request{.model = dice_.one_of(models), .input = dice_.between(0, 30)};
    if (dice_.chance(55)) request.ceiling = dice_.between(0, 50);
    if (dice_.chance(15)) request.choices = dice_.between(2, 3);
    if (dice_.chance(6)) request.flat = dice_.between(0, 400);
    if (dice_.chance(15)) request.least_ceiling = dice_.between(1, 15);
    request.fixed_ceiling = dice_.chance(8);
    // Now and then one that fits exactly somewhere, or just does not.
    const auto& near = nodes_[static_cast<std::size_t>(dice_.between(0, static_cast<std::int64_t>(nodes_.size()) - 1))];
    if (request.ceiling && dice_.chance(25)) {
      const std::size_t d = dice_.chance(50) ? 3 : 1;
      const model::Numbers now = world_.numbers(number_of(near->name));
      const auto& cap = world_.budgets[static_cast<std::size_t>(number_of(near->name))].cap[d];
      if (cap) {
        request.choices = 1;
        request.ceiling = *cap - now.spent[d] - now.reserved[d] - (d == 1 ? request.input : 0) + dice_.between(0, 1);
        if (*request.ceiling < 0 || *request.ceiling > 1'000) request.ceiling = 7;
      }
    }
    const bool may_wait = dice_.chance(90);
    history_ << step_ << ": start " << id << " in b" << at << ' ' << request.model << " input " << request.input
             << " ceiling " << request.ceiling.value_or(-1) << " choices " << request.choices << " flat "
             << request.flat.value_or(-1) << " least " << request.least_ceiling
             << (request.fixed_ceiling ? " fixed" : "") << (may_wait ? "" : " may not wait")
             << (in_callback_of >= 0 ? " in a callback" : "") << '\n';
    model::Call& twin = world_.calls[id];
    twin.at = at;
    twin.request = request;
    twin.memory.may_wait = may_wait;
    world_.expect(id);
    if (in_callback_of >= 0) twin.callbacks = {in_callback_of};
    calls_[id] = std::make_unique<Running>(scopes_[static_cast<std::size_t>(at)], request);
    Running& call = *calls_[id];

    rain();
    {
      const Attach attached(call.scope);
      call.arrived_in = Context::current();
      switch (call.arrival.enter()) {
        case detail::Arrival::Step::admitted:
          call.state = Admission::State::admitted;
          break;
        case detail::Arrival::Step::refused:
          call.state = Admission::State::refused;
          call.failure = call.arrival.failure();
          break;
        case detail::Arrival::Step::undecided:
          call.admission = std::make_unique<Admission>(
              call.arrival,
              Admission::Caller{.may_wait = may_wait, .may_block = true, .waiter = [&call] { return call.waiter; }});
          call.state = call.admission->advance(Admission::Event::start);
      }
    }
    world_.start(id);
    world_.calls.at(id).callbacks.clear();  // what comes later comes from elsewhere
    shine();
    settle_down(id);
  }

  void advance(int id, Admission::Event event) {
    Running& call = *calls_.at(id);
    call.state = call.admission->advance(event);
  }
  void woken(int id) {
    --wake_counts_[id];
    if (!calls_.at(id)->admission) return;
    history_ << step_ << ": woken " << id << '\n';
    rain();
    advance(id, Admission::Event::woken);
    world_.woken(id);
    shine();
    settle_down(id);
  }
  void time_out(int id) {
    history_ << step_ << ": time-out " << id << '\n';
    rain();
    advance(id, Admission::Event::timer);
    world_.deadline_passed(id);
    shine();
    settle_down(id);
  }
  void answer(int id) {
    history_ << step_ << ": answer " << id << '\n';
    asked_ = id;
    calls_.at(id)->admission->ask_program();
    asked_ = -1;
    if (!wrong_.empty()) return;
    rain(world_.calls.at(id).moment.stream);
    advance(id, Admission::Event::answered);
    world_.answered(id, answer_);
    shine();
    settle_down(id);
  }
  /// What the program says when a budget asks it; now and then it makes a call of its own before.
  Decision program_answers() {
    const int id = asked_;
    if (dice_.chance(15) && calls_.size() < 12) {
      asked_ = -1;
      start(world_.calls.at(id).asked_budget);
      if (wrong_.empty()) compare();
      asked_ = id;
    }
    const model::Offer& offer = world_.calls.at(id).asked;
    switch (dice_.between(0, 10)) {
      case 0:
        answer_ = Decision::block();
        break;
      case 1:
        answer_ = Decision::truncate();
        break;
      case 2:
      case 3:
        answer_ = Decision::allow();
        break;
      case 4:
        answer_ = Decision::next();
        break;
      case 5:
      case 6:
      case 7:
        answer_ = Decision::reroute(dice_.one_of(models));
        break;
      default:
        answer_ =
            Decision::clamp(dice_.chance(40) ? offer.ceiling.value_or(30) - dice_.between(0, 2) : dice_.between(1, 40));
    }
    history_ << "  b" << world_.calls.at(id).asked_budget << " is answered " << static_cast<int>(answer_.kind()) << ' '
             << answer_.model() << answer_.max_output_tokens() << '\n';
    return answer_;
  }
  void extend(int id) {
    Running& call = *calls_.at(id);
    const std::int64_t output = world_.calls.at(id).offer.output + dice_.between(1, 30);
    history_ << step_ << ": extend " << id << " to " << output << '\n';
    detail::PricedAgain again = detail::priced_again(*call.reservation);
    again.quote = *again.quote.with_output(output);
    rain(true);
    call.admission =
        std::make_unique<Admission>(*call.reservation, std::move(again),
                                    Admission::Caller{.may_wait = false, .waiter = [&call] { return call.waiter; }});
    call.state = call.admission->advance(Admission::Event::start);
    world_.extend(id, output);
    shine();
    settle_down(id);
  }

  /// Ends a call that runs, or gives one up that does not.
  void finish(int id) {
    Running& call = *calls_.at(id);
    const model::Offer offer = world_.calls.at(id).offer;
    if (!world_.calls.at(id).runs) {
      history_ << step_ << ": give up " << id << '\n';
      call.admission.reset();
      world_.give_up(id);
      calls_.erase(id);
      wake_counts_.erase(id);
      seen_wakes_.erase(id);
      return;
    }
    const std::int64_t how = dice_.between(1, 100);
    // What is said about an older day's counters is not compared: only calls of today use more than they held.
    const bool today = world_.calls.at(id).day == world_.day || !world_.in_store(world_.calls.at(id).at);
    if (how <= 30) {
      history_ << step_ << ": release " << id << '\n';
      (void)detail::release_call(*call.reservation, "not needed");
      world_.release(id);
    } else if (how <= 40) {
      history_ << step_ << ": charge " << id << '\n';
      detail::mark_sent(*call.reservation);
      (void)detail::end_indeterminate(*call.reservation, "unknown");
      world_.charge(id);
    } else {
      std::int64_t input = offer.amounts[2], output = offer.output;
      if (dice_.chance(80)) {
        input = dice_.between(0, input);
        output = dice_.between(0, dice_.chance(60) ? output / 4 : output);
      } else if (today && dice_.chance(50)) {
        output += dice_.between(1, 40);
      }
      history_ << step_ << ": settle " << id << ' ' << input << ' ' << output << '\n';
      (void)detail::try_settle(*call.reservation, {.usage = {.input = input, .output = output}});
      world_.settle(id, input, output);
    }
    collect_wakes();
    calls_.erase(id);
    wake_counts_.erase(id);
    seen_wakes_.erase(id);
  }

  void raise() {
    if (open_.empty()) return;
    const auto which = static_cast<std::size_t>(dice_.between(0, static_cast<std::int64_t>(open_.size()) - 1));
    const int budget = open_numbers_[which];
    const auto d = static_cast<std::size_t>(dice_.between(0, 5));
    if (!world_.budgets[static_cast<std::size_t>(budget)].cap[d]) return;
    const std::int64_t by = d == 0 ? dice_.between(1, 600) : d < 4 ? dice_.between(1, 40) : 1;
    history_ << step_ << ": raise b" << budget << ' ' << d << " by " << by << '\n';
    open_[which]->raise_cap(static_cast<Dimension>(d), by, "more");
    world_.raise(budget, d, by);
    ++seen_.raised;
  }
  void close() {
    if (open_.empty()) return;
    const auto which = static_cast<std::size_t>(dice_.between(0, static_cast<std::int64_t>(open_.size()) - 1));
    history_ << step_ << ": close b" << open_numbers_[which] << '\n';
    open_[which]->close_to_new_calls("enough");
    world_.close(open_numbers_[which]);
    ++seen_.closed;
  }

  /// The store's weather, for one step of one call.
  void rain(bool stream = false) {
    if (!with_store_ || !dice_.chance(6)) return;
    // What is known of a store whose answer to a stream was lost is not what the store knows.
    world_.weather = stream || dice_.chance(50) ? model::Weather::down : model::Weather::replies_lost;
    history_ << step_ << ": the store " << (world_.weather == model::Weather::down ? "is down" : "loses replies")
             << '\n';
    weather_->down(world_.weather == model::Weather::down);
    weather_->lose_replies(world_.weather == model::Weather::replies_lost);
  }
  void shine() {
    world_.weather = model::Weather::fine;
    weather_->down(false);
    weather_->lose_replies(false);
  }

  // Comparing.

  /// After a step of one call: where it stands, what it holds or why it was refused.
  void settle_down(int id) {
    Running& call = *calls_.at(id);
    const model::Call& twin = world_.calls.at(id);
    if (to_state(call.state) != twin.state) {
      wrong_ = "call " + std::to_string(id) + " is in state " + std::to_string(static_cast<int>(call.state)) +
               ", in the model " + std::to_string(static_cast<int>(twin.state));
      return;
    }
    switch (twin.state) {
      case model::State::admitted:
        if (!call.reservation) call.reservation = call.arrival.take();
        call.admission.reset();
        compare_offer(id);
        break;
      case model::State::refused:
        if (call.admission) call.failure = call.admission->failure();
        call.admission.reset();
        compare_refusal(id);
        if (twin.runs)  // a stream goes on with what it has
          call.state = Admission::State::admitted;
        else if (wrong_.empty())
          finish(id);
        break;
      default:
        break;
    }
  }
  void compare_offer(int id) {
    const detail::Quote& quote = calls_.at(id)->reservation->quote;
    const model::Offer& offer = world_.calls.at(id).offer;
    const auto ceiling = quote.ceiling == detail::Quote::no_ceiling ? std::nullopt : std::optional(quote.ceiling);
    if (quote.model.name->text != offer.model || ceiling != offer.ceiling || quote.output != offer.output ||
        quote.amounts != offer.amounts || quote.unbounded != offer.unbounded)
      wrong_ = "call " + std::to_string(id) + " is admitted as " + quote.model.name->text + " with " +
               std::to_string(quote.ceiling) + " and " + std::to_string(quote.amounts[0]) + ", in the model as " +
               offer.model + " with " + std::to_string(offer.ceiling.value_or(-1)) + " and " +
               std::to_string(offer.amounts[0]);
  }
  /// Nano-dollars, or a count.
  static std::int64_t plain(Amount amount) {
    return amount.dimension() == Dimension::usd ? amount.usd().nanos() : amount.count();
  }
  void compare_refusal(int id) {
    const Failure& failure = *calls_.at(id)->failure;
    model::Refusal found{.code = failure.reason(), .budget = number_of(failure.budget())};
    for (const outlay::Breach& breach : failure.breaches())
      found.breaches.push_back({.budget = number_of(breach.budget),
                                .dimension = detail::index(breach.dimension),
                                .limit = plain(breach.limit),
                                .spent = plain(breach.spent),
                                .reserved = plain(breach.reserved),
                                .requested = plain(breach.requested),
                                .may_fit_later = breach.retry_at.has_value()});
    if (found != world_.calls.at(id).refusal)
      wrong_ = "call " + std::to_string(id) + " is refused otherwise: " + failure.message();
  }

  void collect_wakes() {
    for (const auto& [id, call] : calls_) {
      wake_counts_[id] += call->waiter->wakes - seen_wakes_[id];
      seen_wakes_[id] = call->waiter->wakes;
    }
  }

  /// After every step: counters, lines, wake-ups, events.
  void compare() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      detail::BudgetNode& node = *nodes_[i];
      detail::Counter counter = node.counter;
      if (node.outside) counter = node.outside->read(clock_->now(), counter.cap);
      const model::Numbers expected = world_.numbers(static_cast<int>(i));
      if (counter.spent() != expected.spent) wrong_ = "b" + std::to_string(i) + " has spent something else";
      if (counter.held != expected.reserved) wrong_ = "b" + std::to_string(i) + " holds something else";
      const detail::Ticket* ticket = node.line.first();
      for (const int id : world_.budgets[i].line) {
        if (!ticket || ticket->waiter != calls_.at(id)->waiter) {
          wrong_ = "the line of b" + std::to_string(i) + " differs";
          return;
        }
        ticket = detail::Line::after(*ticket);
      }
      if (ticket) wrong_ = "the line of b" + std::to_string(i) + " is longer";
    }
    collect_wakes();
    for (const auto& [id, call] : calls_) {
      seen_.asking_program += call->state == Admission::State::asking_program;
      seen_.in_line += call->state == Admission::State::in_line;
      seen_.admitted += call->state == Admission::State::admitted;
      seen_.nested_twice += nodes_[static_cast<std::size_t>(world_.calls.at(id).at)]->depth > 2;
      if (call->waiter->wakes != world_.calls.at(id).wakes)
        wrong_ = "call " + std::to_string(id) + " was woken " + std::to_string(call->waiter->wakes) +
                 " times, in the model " + std::to_string(world_.calls.at(id).wakes);
    }
    std::vector<model::Told> found;
    books_.events.visit([&](const detail::EventRow& row) {
      const BudgetEvent event = to_event(row, books_.dictionary);
      found.push_back({event.action, number_of(event.budget), detail::index(event.dimension), event.projected,
                       event.cap, event.model, event.new_model, event.max_output_tokens});
    });
    books_.events.clear();
    if (found != world_.told) {
      wrong_ = "the events differ";
      for (const model::Told& one : found) wrong_ += "\n  found " + shown(one);
      for (const model::Told& one : world_.told) wrong_ += "\n  model " + shown(one);
    }
    world_.told.clear();
  }

  Dice dice_;
  Seen& seen_;
  const bool observing_, with_store_, waits_often_;
  const std::int64_t plenty_;  // times as much room in budgets
  const std::shared_ptr<testing::ManualClock> clock_ = std::make_shared<testing::ManualClock>();
  Ledger ledger_;
  LedgerScope scope_;
  detail::Books& books_;
  const Context outside_ = Context::current();
  const std::shared_ptr<testing::Weather> weather_ = std::make_shared<testing::Weather>();
  std::shared_ptr<Store> store_;
  model::World world_{tariffs};
  std::int64_t hour_ = 0;
  std::vector<detail::BudgetNode*> nodes_;  // by number, kept by `scopes_`
  std::vector<Context> scopes_;
  std::vector<std::unique_ptr<Budget>> open_;  // the innermost last
  std::vector<int> open_numbers_;
  std::map<int, std::unique_ptr<Running>> calls_;
  std::map<int, int> wake_counts_, seen_wakes_;
  int next_ = 1, asked_ = -1;
  Decision answer_ = Decision::block();
  int step_ = 0;
  std::string wrong_;
  std::ostringstream history_;
};

}  // namespace

TEST_CASE("admission: random steps agree with the model", "[core][decide][property]") {
  set_log_handler([](LogLevel, std::string_view) {});
  // 200 steps each: OUTLAY_TEST_RUNS=50000 makes ten million.
  Seen seen;
  int runs = 0;
  outlay_test::for_each_seed(500, [&](std::uint64_t seed) { return ++runs, AdmissionRun(seed, seen).go(200); });
  if (runs >= 100)
    for (const int often :
         {seen.asking_program, seen.in_line, seen.admitted, seen.nested_twice, seen.closed, seen.raised})
      CHECK(often > runs / 20);
  set_log_handler({});
}
