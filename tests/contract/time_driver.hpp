#pragma once

// Random steps in time over a store that several processes share, compared with the model after each. A source file that includes it
// derives a class from Backing and calls run_in_time().
#include <chrono>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "contract/time_model.hpp"
#include "outlay/outlay.hpp"
#include "outlay/testing.hpp"
#include "support/dice.hpp"

namespace outlay_test::in_time {

using namespace std::chrono_literals;
using outlay::StoreBackend;
using outlay::StoreCommand;
using outlay::StoreReply;

/// Where the counters are: what the processes connect to.
class Backing {
 public:
  virtual ~Backing() = default;
  /// A connection for one more process. Null: the ledger's own memory, of one process.
  virtual std::unique_ptr<StoreBackend> connect() = 0;
  /// Everything that is kept is gone.
  virtual void forget() = 0;
  /// A clock of its own; false: it believes the processes.
  virtual bool set_clock(outlay::Time) { return false; }
  /// For how many seconds it surely knows what was charged for a call whose lease ran out.
  [[nodiscard]] virtual Seconds remembers() const { return 46 * 3'600; }
};

/// What lies between a process and the store.
struct Line {
  int fail = 0;       ///< So many commands are not executed.
  int lose = 0;       ///< So many commands are executed, and their replies lost.
  bool dead = false;  ///< The process is gone: nothing is executed any more, and nobody waits for an answer.
  std::mutex mutex{};
};

class LinedBackend final : public StoreBackend {
 public:
  LinedBackend(std::unique_ptr<StoreBackend> to, std::shared_ptr<Line> line)
      : to_(std::move(to)), line_(std::move(line)) {}
  std::vector<outlay::Result<StoreReply>> execute(std::span<const StoreCommand> commands,
                                                  std::chrono::milliseconds timeout) override {
    const std::lock_guard lock(line_->mutex);
    if (!line_->dead && line_->fail == 0 && line_->lose == 0) {
      auto replies = to_->execute(commands, timeout);
      if (!replies.empty() && replies.back()) last_ = replies.back().value();
      return replies;
    }
    std::vector<outlay::Result<StoreReply>> replies;
    for (const StoreCommand& command : commands) replies.push_back(one(command, timeout));
    return replies;
  }
  [[nodiscard]] Distance distance() const noexcept override { return to_->distance(); }
  [[nodiscard]] std::string description() const override { return to_->description(); }

 private:
  outlay::Result<StoreReply> one(const StoreCommand& command, std::chrono::milliseconds timeout) {
    const outlay::Failure lost(outlay::errc::store_unavailable, "the line is bad");
    if (line_->dead) {
      StoreReply reply = last_;
      reply.outcome = StoreReply::Outcome::done;
      reply.states.assign(command.counters.size(), {});
      reply.crossed.clear();
      return reply;
    }
    if (line_->fail > 0) return --line_->fail, lost;
    auto reply = std::move(to_->execute({&command, 1}, timeout).front());
    if (line_->lose > 0) return --line_->lose, lost;
    return reply;
  }
  std::unique_ptr<StoreBackend> to_;
  std::shared_ptr<Line> line_;
  StoreReply last_{};
};

inline outlay::Time exactly(Seconds seconds) { return time_of(seconds) + 250ms; }  // never on a boundary

/// One run: budgets, processes, and what happens to them.
class Run {
 public:
  Run(std::uint64_t seed, Backing& backing) : dice_(seed), backing_(backing) { make_world(); }
  ~Run() {
    for (auto& process : processes_) kill(*process);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  /// \return What went wrong, with what had happened before.
  std::string go(int steps) {
    for (step_ = 1; step_ <= steps && wrong_.empty(); ++step_) {
      try {
        step();
      } catch (const std::exception& error) {
        wrong_ = std::string("it threw: ") + error.what();
      }
    }
    for (auto& process : processes_)
      if (wrong_.empty()) compare_report(*process);
    if (wrong_.empty()) return {};
    return wrong_ + "\n" + history_.str();
  }

 private:
  static constexpr Seconds most_skew = 600;

  struct Running {
    int id = 0;
    const Chain* chain = nullptr;
    std::pair<std::string, std::string> day_and_path{};
    Seconds admitted = 0;
    outlay::Call call;
  };
  struct Process {
    Seconds skew = 0;  // of its clock, at most most_skew either way
    std::shared_ptr<outlay::testing::ManualClock> clock = std::make_shared<outlay::testing::ManualClock>();
    std::shared_ptr<Line> line = std::make_shared<Line>();
    outlay::Ledger ledger{outlay::LedgerOptions{.prices = outlay::testing::fixture_prices(), .clock = clock}};
    std::shared_ptr<outlay::Store> store{};
    std::vector<std::vector<outlay::BudgetHandle>> budgets{};  // of each chain, the innermost first
    std::vector<Running> running{}, given_up{};
    std::size_t compared = 0;  // events
    std::map<std::pair<std::string, std::string>, std::pair<std::int64_t, int>>
        booked{};  // by day and path: money, calls
  };

  // The world.

  void make_world() {
    const std::vector<Kind> every = kinds();
    for (int i = 0; i < 3; ++i) kinds_.push_back(dice_.one_of(every));
    static const std::vector<Seconds> moments{date(2026, 3, 8) + 7 * 3'600,
                                              date(2026, 3, 29) + 3'600,
                                              date(2026, 4, 4) + 15 * 3'600,
                                              date(2026, 4, 6),
                                              date(2026, 8, 31),
                                              date(2026, 10, 25) + 3'600,
                                              date(2026, 11, 1) + 6 * 3'600,
                                              date(2027, 1, 1),
                                              date(2028, 2, 29),
                                              date(2026, 10, 3) + 15 * 3'600};
    now_ = latest_ = dice_.one_of(moments) - dice_.between(0, dice_.chance(50) ? 300 : 3 * 3'600);
    first_ = now_;
    own_clock_ = backing_.set_clock(exactly(now_));
    const std::int64_t roomy = dice_.chance(30) ? 5 : 1;
    for (int i = static_cast<int>(dice_.between(2, 5)); i > 0; --i) {
      Plan plan{.name = dice_.one_of<std::string>({"a", "b", "c"}),
                .kind = &kinds_[static_cast<std::size_t>(dice_.between(0, 2))]};
      const auto quarters = [&](std::int64_t most) { return 4 * dice_.between(1, most) * roomy; };
      while (plan.limits == outlay::Limits{}) {
        if (dice_.chance(60)) plan.limits.usd = cents(quarters(40));
        if (dice_.chance(30)) plan.limits.tokens = quarters(80);
        if (dice_.chance(15)) plan.limits.input_tokens = quarters(50);
        if (dice_.chance(15)) plan.limits.output_tokens = quarters(50);
        if (dice_.chance(20)) plan.limits.calls = quarters(4);
        if (dice_.chance(20)) plan.limits.concurrent = dice_.between(1, 4);
      }
      for (const double fraction : {0.25, 0.5, 0.75, 1.0})
        if (dice_.chance(40) && plan.limits != outlay::Limits{.concurrent = plan.limits.concurrent})
          plan.notify_at.push_back(fraction);
      plan.policy = dice_.chance(70) ? Policy::block : dice_.chance(50) ? Policy::warn : Policy::raise;
      plans_.push_back(std::move(plan));
    }
    for (int i = static_cast<int>(dice_.between(2, 4)); i > 0; --i) {
      Chain chain;
      for (const Plan& plan : plans_)
        if (chain.size() < 3 && dice_.chance(50)) chain.push_back(&plan);
      if (chain.empty()) chain.push_back(&plans_.front());
      if (dice_.chance(50)) std::reverse(chain.begin(), chain.end());
      chains_.push_back(std::move(chain));
    }
    history_ << "plans:\n";
    for (const Plan& plan : plans_) {
      history_ << "  " << plan.name << ' ' << plan.kind->window.id() << " policy " << static_cast<int>(plan.policy);
      for (const auto& limit : dims(plan.limits)) history_ << ' ' << limit.value_or(-1);
      for (const double fraction : plan.notify_at) history_ << " @" << fraction;
      history_ << '\n';
    }
    lease_ = dice_.chance(50) ? 60'500ms : std::chrono::milliseconds(dice_.between(2, 80'000) * 1'000 + 60'500);
    on_expiry_ = dice_.chance(70) ? outlay::OnExpiry::charge : outlay::OnExpiry::release;
    history_ << "lease " << lease_.count() << " ms, " << (on_expiry_ == outlay::OnExpiry::charge ? "charge" : "release")
             << (own_clock_ ? ", the store has a clock" : "") << '\n';
    const std::int64_t processes = backing_.connect() ? dice_.between(1, 3) : 1;
    for (std::int64_t i = 0; i < processes; ++i) processes_.push_back(start());
  }
  std::unique_ptr<Process> start() {
    auto process = std::make_unique<Process>();
    process->skew = dice_.chance(60) ? 0 : dice_.between(-400, 400);
    process->clock->set(exactly(now_ + process->skew));
    auto backend = backing_.connect();
    if (backend) {
      distance_ = backend->distance();
      process->store =
          std::make_shared<outlay::Store>(std::make_unique<LinedBackend>(std::move(backend), process->line),
                                          outlay::StoreOptions{.on_unreachable = outlay::OnUnreachable::deny(),
                                                               .timeout = 10s,
                                                               .lease = lease_,
                                                               .on_expiry = on_expiry_});
    } else {
      own_memory_ = true;
    }
    const outlay::LedgerScope scope(process->ledger);
    for (const Chain& chain : chains_) {
      auto& handles = process->budgets.emplace_back();
      for (auto plan = chain.rbegin(); plan != chain.rend(); ++plan) {
        std::optional<outlay::Attach> in;
        if (!handles.empty()) in.emplace(handles.front());
        handles.insert(handles.begin(), outlay::BudgetHandle(options(**plan, process->store)));
      }
    }
    if (!process->store) process->store = process->ledger.store();
    see(*process);
    return process;
  }
  static outlay::BudgetOptions options(const Plan& plan, const std::shared_ptr<outlay::Store>& store) {
    outlay::BudgetOptions options{.name = plan.name,
                                  .usd = plan.limits.usd,
                                  .tokens = plan.limits.tokens,
                                  .input_tokens = plan.limits.input_tokens,
                                  .output_tokens = plan.limits.output_tokens,
                                  .calls = plan.limits.calls,
                                  .concurrent = plan.limits.concurrent,
                                  .notify_at = plan.notify_at,
                                  .window = plan.kind->window,
                                  .store = store};
    if (plan.policy == Policy::warn) options.on_exceed = outlay::Warn{};
    if (plan.policy == Policy::raise) options.on_exceed = outlay::Raise{};
    return options;
  }
  static outlay::Usd cents(std::int64_t n) { return outlay::Usd::from_nanos(n * 10'000'000); }
  static std::int64_t plain(outlay::Amount amount) {
    return amount.dimension() == outlay::Dimension::usd ? amount.usd().nanos() : amount.count();
  }

  /// The time that decides: the store's, or the process's where the store has none.
  [[nodiscard]] Seconds time(const Process& process) const { return own_clock_ ? now_ : now_ + process.skew; }
  /// Of what is held from now on. What a process has in its own memory it does not outlive.
  [[nodiscard]] outlay::Time expiry(Seconds now) const {
    return distance_ == StoreBackend::Distance::memory ? outlay::Time::max() : exactly(now) + lease_;
  }
  void see(const Process& process) { latest_ = std::max(latest_, time(process)); }
  [[nodiscard]] bool kept(const Kind& kind, Seconds begin) const { return kind.kept_until(begin) > latest_; }

  // What happens.

  void step() {
    const auto number = static_cast<std::size_t>(dice_.between(0, std::ssize(processes_) - 1));
    Process& process = *processes_[number];
    history_ << step_ << ": p" << number << ' ';
    ignored_.clear();
    unsaid_.clear();
    model_.told.clear();
    see(process);
    learn_time(process);
    const std::int64_t what = dice_.between(1, 100);
    if (what <= 38)
      start_call(process);
    else if (what <= 68)
      end_call(process);
    else if (what <= 88)
      move_clocks();
    else if (what <= 93)
      adjust(process);
    else if (what <= 96)
      set_cap(process);
    else if (what <= 98)
      look_at_past(process);
    else
      disaster(number);
    if (wrong_.empty()) compare(*processes_[number]);
    if (wrong_.empty()) wrong_ = std::exchange(not_alike_, {});
  }
  /// The clock of a store jumps here without a word; in the world those of a store and of its processes go on alike.
  void learn_time(Process& process) {
    if (!own_clock_) return;
    const outlay::LedgerScope scope(process.ledger);
    (void)process.store->state("no such counter", outlay::Window::forever());
    model_.expire(now_);
  }
  /// What becomes of the next command on the line of a process; nothing, most often.
  bool fault(Process& process) {
    if (distance_ == StoreBackend::Distance::memory || !dice_.chance(4)) return false;
    const std::lock_guard lock(process.line->mutex);
    (dice_.chance(50) ? process.line->fail : process.line->lose) = 1;
    if (process.line->lose) unsaid_.insert(Action::expired);
    history_ << (process.line->fail ? "the line fails; " : "the line loses a reply; ");
    return true;
  }
  static void mend(Process& process) {
    const std::lock_guard lock(process.line->mutex);
    process.line->fail = process.line->lose = 0;
  }
  void disaster(std::size_t number) {
    Process& process = *processes_[number];
    if (own_memory_) {
      history_ << "reset\n";
      process.ledger.reset();
      process.booked.clear();
      process.compared = 0;
      correction_times_.clear();
      model_.reset();
      return;
    }
    if (dice_.chance(60)) {
      if (distance_ == StoreBackend::Distance::memory) {
        history_ << "nothing\n";
        return;
      }
      history_ << "dies with " << process.running.size() << " calls, and starts again\n";
      compare_report(process);
      kill(process);
      processes_[number] = start();
      return;
    }
    forget(process);
  }
  void forget(Process& process) {
    history_ << "the store forgets everything\n";
    const Seconds now = time(process);
    bool known = false;
    {
      const outlay::LedgerScope scope(process.ledger);
      model_.expire(now);
      for (const Plan& plan : plans_) {
        (void)process.store->state(plan.name, plan.kind->window);
        Numbers have = model_.numbers(key_of(plan), *plan.kind, now, now);
        have.reserved[in_flight] = 0;  // that is of the name, in whatever slot
        known |= have.spent != Dimensions{} || have.reserved != Dimensions{};
      }
      backing_.forget();
      const outlay::Attach in(process.budgets.front().front());
      const auto call = outlay::try_call({.model = "m", .input_tokens = 1, .max_output_tokens = 1, .usd = cents(1)});
      if (known && (call || call.error().reason() != outlay::errc::store_unavailable))
        wrong_ = "it is not noticed that the store has lost data";
    }
    process.store->flush(20s);
    unsaid_.insert(Action::expired);  // before it forgot
    process.compared = process.ledger.events().size();
    for (auto& one : processes_) {
      const outlay::LedgerScope scope(one->ledger);
      for (const Plan& plan : plans_) (void)one->store->state(plan.name, plan.kind->window);
      one->store->accept_lost_data();
    }
    correction_times_.clear();
    model_.forget();
  }

  void start_call(Process& process) {
    const auto which = static_cast<std::size_t>(dice_.between(0, std::ssize(chains_) - 1));
    const Chain& chain = chains_[which];
    const std::int64_t usd = dice_.between(1, 40), input = dice_.between(1, 40), output = dice_.between(1, 40);
    const Seconds now = time(process);
    history_ << "call " << next_ << " in chain " << which << ": " << usd << " cents, " << input << " in, " << output
             << " out";
    const outlay::LedgerScope scope(process.ledger);
    const outlay::Attach in(process.budgets[which].front());
    const bool faulty = fault(process);
    auto call = outlay::try_call({.model = "m", .input_tokens = input, .max_output_tokens = output, .usd = cents(usd)});
    const Dimensions amount{cents(usd).nanos(), input + output, input, output, 1, 1};
    if (faulty) {
      mend(process);
      history_ << " refused\n";
      unsaid_.insert(Action::blocked);
      if (call || call.error().reason() != outlay::errc::store_unavailable)
        wrong_ = "a call is admitted, or refused otherwise, although its store cannot be reached";
      return;
    }
    const auto refused = model_.admit(next_, chain, amount, now, expiry(now), on_expiry_);
    history_ << (call ? " admitted\n" : " refused\n");
    if (!call) history_ << "    " << call.error().message() << '\n';
    if (call.has_value() == refused.has_value()) {
      wrong_ = call ? "a call is admitted that the model refuses" : "the model admits a call that is refused";
      return;
    }
    if (!call) return compare_refusal(call.error(), *refused);
    std::string path;
    for (const Plan* plan : chain) path = plan->name + (path.empty() ? "" : "/") + path;
    process.running.push_back({next_++, &chain, {day_of(process), path}, now, std::move(call).value()});
  }
  [[nodiscard]] std::string day_of(const Process& process) const {
    return outlay::to_iso8601(exactly(now_ + process.skew)).substr(0, 10);
  }
  void compare_refusal(const outlay::Failure& failure, const Refusal& refusal) {
    Refusal found{.budget = failure.budget()};
    const auto seconds = [](const std::optional<outlay::Time>& time) {
      return time ? std::optional(seconds_of(*time)) : std::nullopt;
    };
    for (const outlay::Breach& breach : failure.breaches())
      found.obstacles.push_back({breach.budget, static_cast<std::size_t>(breach.dimension), plain(breach.limit),
                                 plain(breach.spent), plain(breach.reserved), plain(breach.requested),
                                 seconds(breach.retry_at)});
    found.retry_at = seconds(failure.retry_at());
    if (failure.reason() == outlay::errc::budget_exceeded && found == refusal) return;
    std::ostringstream text;
    for (const auto& [name, one] : {std::pair("found", found), std::pair("model", refusal)}) {
      text << "\n  " << name << ": " << one.budget << ", retry at " << one.retry_at.value_or(-1);
      for (const Obstacle& o : one.obstacles)
        text << "\n    " << o.budget << ' ' << o.dimension << ": " << o.limit << ' ' << o.spent << ' ' << o.reserved
             << ' ' << o.requested << ", retry at " << o.retry_at.value_or(-1);
    }
    wrong_ = "a call is refused otherwise: " + failure.message() + text.str();
  }

  void end_call(Process& process) {
    if (process.running.empty()) {
      history_ << "nothing to end\n";
      return;
    }
    const auto which = dice_.between(0, std::ssize(process.running) - 1);
    Running running = std::move(process.running[static_cast<std::size_t>(which)]);
    process.running.erase(process.running.begin() + which);
    const outlay::LedgerScope scope(process.ledger);
    const Dimensions held = model_.held(running.id);
    const Seconds now = time(process);
    // What a process says of caps at the end of a call is by what it knows: what others did is told to it here.
    model_.expire(now);
    for (const Plan* plan : *running.chain) {
      (void)process.store->state(plan->name, plan->kind->window, exactly(running.admitted));
      (void)process.store->state(plan->name, plan->kind->window);
    }
    // A process that does not wait for its store's answer does not know a rolling window that has moved on, nor that its lease ran out.
    const bool waits = distance_ == StoreBackend::Distance::memory;
    bool unknown = !waits && model_.expired(running.id);
    for (const Plan* plan : *running.chain)
      unknown |= !waits && plan->kind->rolls() &&
                 plan->kind->at(running.admitted).begin < plan->kind->at(now).begin - plan->kind->length;
    if (unknown) unsaid_.insert({Action::overrun, Action::raised});
    // Of a slot that may be gone nothing is said that could be compared.
    for (const Plan* plan : *running.chain)
      if (!kept(*plan->kind, plan->kind->at(running.admitted).begin)) ignored_.insert(plan->name);
    if (model_.expired_before(running.id, latest_ - backing_.remembers())) return give_up(process, std::move(running));
    (void)fault(process);
    if (dice_.chance(20)) {
      history_ << "release " << running.id << '\n';
      running.call.release("not needed");
      model_.release(running.id, now);
      return;
    }
    running.call.sent();
    auto& booked = process.booked[running.day_and_path];
    ++booked.second;
    if (dice_.chance(15)) {
      history_ << "charge " << running.id << '\n';
      Dimensions actual = held;
      actual[in_flight] = 0;
      (void)running.call.indeterminate("unknown");
      booked.first += actual[0];
      (void)model_.settle(running.id, *running.chain, actual, now);
      return;
    }
    const auto used = [&](std::int64_t most) {
      return dice_.chance(80) ? dice_.between(0, most) : most + dice_.between(0, 60);
    };
    const std::int64_t usd = used(held[0] / 10'000'000), input = used(held[2]), output = used(held[3]);
    history_ << "settle " << running.id << ": " << usd << " cents, " << input << " in, " << output << " out\n";
    const auto settled =
        running.call.try_settle({.usage = {.input = input, .output = output}, .provider_cost = cents(usd)});
    booked.first += cents(usd).nanos();
    const bool over =
        model_.settle(running.id, *running.chain, {cents(usd).nanos(), input + output, input, output, 1, 0}, now);
    if (ignored_.empty() && unsaid_.count(Action::overrun) == 0 && (!settled || settled->over_cap != over))
      not_alike_ = "the settle says something else about caps than the model";
  }

  /// A call of which the store may have forgotten that its lease ran out: it stays charged, as long as its process does not end it.
  void give_up(Process& process, Running running) {
    history_ << "give up " << running.id << '\n';
    process.given_up.push_back(std::move(running));
  }
  void move_clocks() {
    Seconds by = dice_.between(1, 90);
    const std::int64_t how = dice_.between(1, 100);
    if (how <= 20) {
      const auto& end = dice_.one_of(kinds_).at(now_).end;
      if (end) by = *end - now_ + dice_.between(-2, 2);
    } else if (how <= 27) {
      by = dice_.between(3'600, 50 * 3'600);
    } else if (how <= 30) {
      by = dice_.between(20, 70) * 24 * 3'600;
    } else if (how <= 40) {
      by = -dice_.between(1, dice_.chance(70) ? 600 : 40 * 3'600);
    }
    Seconds oldest = latest_ - 46 * 3'600;  // what is older may be gone
    for (const Kind& kind : kinds_)
      if (kind.rolls()) oldest = std::max(oldest, latest_ - 55 * kind.length + most_skew);
    now_ = std::max(std::min(now_ + by, date(2031, 1, 1)), std::max(oldest, first_ - 40 * 3'600));
    history_ << "the time is " << outlay::to_iso8601(time_of(now_)) << '\n';
    if (own_clock_) (void)backing_.set_clock(exactly(now_));
    // A server may have forgotten the slot with whatever was held in it.
    if (own_clock_ && by >= 3'000) unsaid_.insert(Action::expired);
    for (auto& process : processes_) {
      if (dice_.chance(5)) process->skew = dice_.between(-most_skew, most_skew);
      process->clock->set(exactly(now_ + process->skew));
    }
  }

  void adjust(Process& process) {
    const Plan& plan = dice_.one_of(plans_);
    const Key key = key_of(plan);
    const Seconds now = time(process);
    Dimensions amount{};
    while (amount == Dimensions{})
      for (std::size_t d = 0; d < in_flight; ++d)
        if (dice_.chance(35)) amount[d] = dice_.between(-20, 20) * (d == 0 ? 10'000'000 : 1);
    const bool earlier = dice_.chance(40);
    const Seconds at = earlier ? past(*plan.kind, now) : now;
    std::string id;
    if (dice_.chance(50)) id = "refund " + std::to_string(dice_.chance(30) && refunds_ > 0 ? refunds_ : ++refunds_);
    if (correction_times_.empty()) id = id.empty() ? id : "refund " + std::to_string(++refunds_);
    if (!id.empty() && correction_times_.count(id) == 0) correction_times_[id] = {key, now};
    constexpr Seconds remembered = 59 * 86'400;
    if (!id.empty() && (correction_times_[id].first != key || latest_ - correction_times_[id].second > remembered))
      id.clear();  // it may be forgotten
    history_ << "adjust " << key.first << ' ' << key.second << ' ' << id;
    if (earlier) history_ << " at " << outlay::to_iso8601(time_of(at));
    for (const std::int64_t one : amount) history_ << ' ' << one;
    history_ << '\n';
    const outlay::LedgerScope scope(process.ledger);
    const outlay::Adjustment adjustment{.name = plan.name,
                                        .window = plan.kind->window,
                                        .at = earlier ? std::optional(exactly(at)) : std::nullopt,
                                        .amounts = amounts(amount),
                                        .id = id,
                                        .create = true};
    // With an id it may be tried again. Whether it is recorded once or not at all is then left open.
    if (!id.empty() && fault(process)) {
      unsaid_.insert(Action::adjusted);
      try {
        (void)process.store->adjust(adjustment);
        wrong_ = "a correction whose fate is not known is answered";
      } catch (const outlay::StoreUnavailable&) {
      }
      mend(process);
    }
    const StoreReply::State after = process.store->adjust(adjustment);
    const Numbers expected = model_.adjust(key, *plan.kind, at, amount, id, now);
    compare("the answer to adjust", after, expected);
  }
  /// An instant in a slot that is kept.
  Seconds past(const Kind& kind, Seconds now) {
    const Kind::Span slot = kind.at(now);
    Seconds at = now - dice_.between(0, slot.end ? 3 * (*slot.end - slot.begin) : 1'000);
    if (!kept(kind, kind.at(at).begin)) at = now;
    return at;
  }

  void set_cap(Process& process) {
    const Plan& plan = dice_.one_of(plans_);
    Caps caps{};
    for (std::size_t d = 0; d < dimensions; ++d)
      if (dice_.chance(25)) caps[d] = 4 * dice_.between(1, 40) * (d == 0 ? 10'000'000 : 1);
    const Seconds now = time(process);
    const bool ends = dice_.chance(50);
    const Seconds until = std::max(now, now_ + process.skew) + dice_.between(1, 4'000);
    history_ << "set_cap " << plan.name << ' ' << plan.kind->window.id();
    for (const auto& cap : caps) history_ << ' ' << cap.value_or(-1);
    if (ends) history_ << " until " << outlay::to_iso8601(time_of(until));
    history_ << '\n';
    outlay::Limits limits;
    if (caps[0]) limits.usd = outlay::Usd::from_nanos(*caps[0]);
    limits.tokens = caps[1], limits.input_tokens = caps[2], limits.output_tokens = caps[3];
    limits.calls = caps[4], limits.concurrent = caps[5];
    const outlay::LedgerScope scope(process.ledger);
    process.store->set_cap({.name = plan.name,
                            .window = plan.kind->window,
                            .limits = limits,
                            .until = ends ? std::optional(time_of(until)) : std::nullopt});
    model_.set_cap(key_of(plan), caps, ends ? std::optional(until) : std::nullopt, now);
  }

  void look_at_past(Process& process) {
    const Plan& plan = dice_.one_of(plans_);
    const Seconds at = past(*plan.kind, time(process));
    history_ << "look at " << plan.name << ' ' << plan.kind->window.id() << " at " << outlay::to_iso8601(time_of(at))
             << '\n';
    const outlay::LedgerScope scope(process.ledger);
    const StoreReply::State found = process.store->state(plan.name, plan.kind->window, exactly(at));
    model_.expire(time(process));
    compare("a past slot of " + plan.name, found, model_.numbers(key_of(plan), *plan.kind, at, time(process)));
  }
  /// The process is gone at once, with all that it had not sent.
  void kill(Process& process) {
    {
      const std::lock_guard lock(process.line->mutex);
      process.line->dead = true;
    }
    process.running.clear();
    process.given_up.clear();
  }

  static void deliver(Process& process) {
    try {
      process.store->flush(1ms);  // what fails once is tried again at the next one, without a pause
    } catch (const outlay::Error&) {
      mend(process);
      process.store->flush(20s);
    }
    mend(process);
  }

  // Comparing.

  static std::string shown(const Numbers& numbers) {
    std::ostringstream text;
    text << "spent";
    for (const std::int64_t one : numbers.spent) text << ' ' << one;
    text << ", reserved";
    for (const std::int64_t one : numbers.reserved) text << ' ' << one;
    text << ", caps";
    for (const auto& one : numbers.caps) text << ' ' << one.value_or(-1);
    return text.str();
  }
  void compare(const std::string& what, const StoreReply::State& found, const Numbers& expected) {
    const Numbers numbers{dims(found.spent), dims(found.reserved), dims(found.caps)};
    if (numbers != expected && wrong_.empty())
      wrong_ = what + "\n  found " + shown(numbers) + "\n  model " + shown(expected);
  }
  /// After a step of a process: every counter as it sees it, and its events.
  void compare(Process& process) {
    const outlay::LedgerScope scope(process.ledger);
    if (!own_memory_) deliver(process);
    const Seconds now = time(process);
    see(process);
    learn_time(process);
    model_.expire(now);
    for (const Plan& plan : plans_)
      compare("counter " + plan.name + ' ' + plan.kind->window.id(), process.store->state(plan.name, plan.kind->window),
              model_.numbers(key_of(plan), *plan.kind, now, now));
    for (std::size_t i = 0; i < chains_.size() && wrong_.empty(); ++i)
      for (std::size_t j = 0; j < chains_[i].size() && wrong_.empty(); ++j) {
        const Plan& plan = *chains_[i][j];
        Numbers expected = model_.numbers(key_of(plan), *plan.kind, now, now);
        const outlay::BudgetState state = process.budgets[i][j].state();
        const Caps limits = model_.caps(plan);
        for (std::size_t d = 0; d < dimensions; ++d)
          if (!limits[d] && expected.spent[d] + expected.reserved[d] < 0) expected.spent[d] = -expected.reserved[d];
        if (dims(state.spent) != expected.spent || dims(state.reserved) != expected.reserved ||
            dims(state.limits) != limits)
          wrong_ = "the state of budget " + plan.name + ' ' + plan.kind->window.id() + "\n  found " +
                   shown({dims(state.spent), dims(state.reserved), dims(state.limits)}) + "\n  model " +
                   shown({expected.spent, expected.reserved, limits});
      }
    if (wrong_.empty()) compare_events(process);
  }
  void compare_events(Process& process) {
    const auto counts = [&](const Told& one) {
      return ignored_.count(one.budget) == 0 && unsaid_.count(one.action) == 0;
    };
    std::vector<Told> expected, found;
    std::copy_if(model_.told.begin(), model_.told.end(), std::back_inserter(expected), counts);
    std::vector<outlay::BudgetEvent> events = process.ledger.events();
    // A store's thread tells after it has settled.
    for (const auto give_up = std::chrono::steady_clock::now() + 5s;
         events.size() < process.compared + expected.size() && std::chrono::steady_clock::now() < give_up;
         std::this_thread::yield())
      events = process.ledger.events();
    for (std::size_t i = process.compared; i < events.size(); ++i) {
      const outlay::BudgetEvent& event = events[i];
      Told one{event.action,    event.budget, static_cast<std::size_t>(event.dimension),
               event.projected, event.cap,    event.threshold};
      if (one.action == Action::cap_set) one.projected = 0;
      if (counts(one)) found.push_back(std::move(one));
    }
    process.compared = events.size();
    std::sort(expected.begin(), expected.end());
    std::sort(found.begin(), found.end());
    if (found == expected) return;
    std::ostringstream text;
    for (const auto& [name, list] : {std::pair("found", found), std::pair("model", expected)})
      for (const Told& one : list)
        text << "\n  " << name << ' ' << to_string(one.action) << ' ' << one.budget << ' ' << one.dimension << ": "
             << one.projected << " of " << one.cap << ' ' << one.fraction;
    wrong_ = "the events differ" + text.str();
  }
  void compare_report(Process& process) {
    std::map<std::pair<std::string, std::string>, std::pair<std::int64_t, int>> found;
    for (const outlay::ReportRow& row : process.ledger.report({"day", "budget"})) {
      std::pair<std::string, std::string> key;
      for (const auto& [name, value] : row.tags) (name == "day" ? key.first : key.second) = value;
      if (row.calls != 0) found[key] = {row.usd.nanos(), static_cast<int>(row.calls)};
    }
    if (found == process.booked) return;
    wrong_ = "the report differs";
    for (const auto& [name, rows] : {std::pair("found", found), std::pair("model", process.booked)})
      for (const auto& [key, row] : rows)
        wrong_ += std::string("\n  ") + name + ' ' + key.first + ' ' + key.second + ' ' + std::to_string(row.first) +
                  ' ' + std::to_string(row.second);
  }

  Dice dice_;
  Backing& backing_;
  TimeModel model_{};
  std::vector<Kind> kinds_{};
  std::vector<Plan> plans_{};
  std::vector<Chain> chains_{};
  std::vector<std::unique_ptr<Process>> processes_{};
  std::chrono::milliseconds lease_{};
  outlay::OnExpiry on_expiry_{};
  StoreBackend::Distance distance_{};
  bool own_clock_ = false, own_memory_ = false;
  Seconds now_ = 0, latest_ = 0, first_ = 0;
  // Of these names and actions nothing can be said in this step.
  std::set<std::string> ignored_{};
  std::set<Action> unsaid_{};
  std::map<std::string, std::pair<Key, Seconds>> correction_times_{};
  int next_ = 1, refunds_ = 0, step_ = 0;
  std::string wrong_{}, not_alike_{};  // the latter is said after what else is wrong
  std::ostringstream history_{};
};

/// So many runs of 100 steps: OUTLAY_TEST_RUNS=100000 makes ten million.
inline void run_in_time(int runs, const std::function<std::unique_ptr<Backing>()>& backing) {
  outlay::set_log_handler([](outlay::LogLevel, std::string_view) {});
  for_each_seed(runs, [&](std::uint64_t seed) {
    const std::unique_ptr<Backing> one = backing();
    return Run(seed, *one).go(100);
  });
  outlay::set_log_handler({});
}

}  // namespace outlay_test::in_time
