#pragma once

// Calls, budgets, lines and a store, told a second time: what a budget holds is the sum over the calls that run in it.
#include <algorithm>
#include <deque>
#include <utility>

#include "outlay/record.hpp"
#include "outlay/store.hpp"
#include "unit/core/call/decide_model.hpp"

namespace outlay_test::model {

using outlay::Action;
using outlay::Room;

/// An event of the ledger, as far as the model says it.
struct Told {
  Action action{};
  int budget = 0;
  std::size_t dimension = 0;
  std::int64_t projected = 0, cap = 0;
  std::string model{}, new_model{};
  std::optional<std::int64_t> ceiling{};

  bool operator==(const Told&) const = default;
};

struct Breach {
  int budget = 0;
  std::size_t dimension = 0;
  std::int64_t limit = 0, spent = 0, reserved = 0, requested = 0;
  bool may_fit_later = false;

  bool operator==(const Breach&) const = default;
};

struct Refusal {
  errc code = errc::ok;
  int budget = -1;
  std::vector<Breach> breaches{};

  bool operator==(const Refusal&) const = default;
};

struct Budget {
  int outer = -1;
  outlay::BudgetOptions options{};
  Cap cap{};
  Amount spent{};  // of a budget without a window
  bool closed = false;
  std::deque<int> line{};  // calls

  [[nodiscard]] bool windowed() const { return options.window.kind() != outlay::Window::Kind::scope; }
  /// Windows are days, or never turn.
  [[nodiscard]] bool turns() const { return options.window.kind() == outlay::Window::Kind::day; }
  [[nodiscard]] std::pair<std::string, int> slot(int day) const { return {options.name, turns() ? day : 0}; }
};

enum class State { deciding, asking_program, in_line, admitted, refused };
/// What the store does with questions.
enum class Weather { fine, down, replies_lost };

/// A name's counter on one day.
using Slot = std::pair<std::string, int>;
struct StoreHold {
  std::vector<Slot> slots;
  Amount amount{};
  Amount told{};  // of `amount`, what the process knows to be held
};
struct Numbers {
  Amount spent{}, reserved{};
};

struct Call {
  int at = 0;  // its innermost budget
  Request request{};
  std::set<int> callbacks{};  // that run around it
  Memory memory{};
  Moment moment{};
  State state = State::deciding;
  Refusal refusal{};

  Offer wanted{};  // what is admitted if no policy acts
  Offer judged{};  // in observe mode: the call as it would be enforced
  bool refused_outright = false;

  bool runs = false;
  Offer offer{};  // that it holds in every budget
  bool said_over = false;
  int day = 0;  // of its admission
  bool unshared = false;

  int line = -1;  // the budget in whose line it stands
  int last_line = -1;
  bool signalled = false;
  int wakes = 0;
  std::int64_t deadline = endless;

  std::map<int, Numbers> known{};  // what the store has said of its budgets
  int known_day = 0;               // when
  bool granted = false;
  bool stale = false;  // woken since the store said what is known
  int rounds = 0;
  Offer asked{};  // of the program or the store
  int asked_budget = -1;
  std::size_t asked_policy = 0;
  std::vector<Event> asked_events{};
  std::vector<Event> to_say{};
};

/// Several trees of budgets, with every call in them.
class World {
 public:
  explicit World(Tariffs tariffs) : tariffs_(std::move(tariffs)) {}

  std::vector<Budget> budgets;
  std::map<int, Call> calls;
  std::vector<Told> told;
  std::map<Slot, Amount> store_spent;
  std::map<int, StoreHold> store_holds;  // by call
  Weather weather = Weather::fine;
  bool allow_unreachable = false;
  bool observing = false;
  int day = 0;
  std::int64_t until_tomorrow = endless;

  // What happens.

  /// A call arrives.
  void start(int id) {
    Call& call = calls.at(id);
    call.moment = {.stream = false, .held = {}, .now = ++clock_};
    const Chain chain = look(call);
    const Judge judge(chain, call.request, tariffs_);
    const errc wrong = judge.first_offer(observing, call.wanted);
    if (wrong != errc::ok) {
      told.push_back(
          {.action = observing ? Action::observed : Action::blocked, .budget = call.at, .model = call.request.model});
      call.refused_outright = true;
      if (!observing) {
        call.refusal = {.code = wrong};
        call.state = State::refused;
        return;
      }
    }
    call.judged = call.wanted;
    if (observing) (void)judge.first_offer(false, call.judged);
    if (observing) call.memory.may_wait = call.memory.ask_program = false;
    decide(id);
  }
  /// A running stream asks for room for so much output in all.
  void extend(int id, std::int64_t output) {
    Call& call = calls.at(id);
    const Chain chain = look(call);
    call.wanted = call.judged = Judge(chain, call.request, tariffs_).longer(call.offer, output);
    call.moment = {.stream = true, .held = call.offer.amounts, .now = ++clock_};
    Memory before = std::exchange(call.memory, {});
    for (Answer& answer : before.answers)
      if (answer.stream) call.memory.answers.push_back(std::move(answer));
    call.memory.may_wait = false;
    call.memory.ask_program = !observing;
    call.known.clear();
    call.rounds = 0;
    call.refused_outright = false;
    call.last_line = -1;
    decide(id);
  }
  void woken(int id) { look_again(id, false); }
  void deadline_passed(int id) { look_again(id, true); }
  void answered(int id, const outlay::Decision& decision) {
    Call& call = calls.at(id);
    call.moment.now = ++clock_;
    if (decision.kind() == outlay::Decision::Kind::reroute && !call.moment.stream)
      call.request.usual.try_emplace(decision.model(), usual(decision.model()));
    call.memory.answers.push_back({.budget = call.asked_budget,
                                   .policy = call.asked_policy,
                                   .stream = call.moment.stream,
                                   .model = call.asked.model,
                                   .ceiling = call.asked.ceiling,
                                   .decision = decision});
    decide(id);
  }
  /// The caller has lost interest in a call that is not admitted, or in the room for its stream.
  void give_up(int id) {
    leave_line(calls.at(id));
    if (!calls.at(id).runs) calls.erase(id);
  }
  /// What a call knows of its models before it asks.
  void expect(int id) {
    Call& call = calls.at(id);
    call.request.usual[call.request.model] = usual(call.request.model);
    for (int at = call.at; at >= 0; at = outer(at))
      if (const auto* chain = budgets[static_cast<std::size_t>(at)].options.on_exceed.chain())
        for (const Policy& policy : *chain)
          if (const auto* downgrade = std::get_if<outlay::Downgrade>(&policy))
            for (const auto& route : downgrade->map) call.request.usual[route.to] = usual(route.to);
  }
  void settle(int id, std::int64_t input, std::int64_t output) {
    const Call& call = calls.at(id);
    if (call.offer.unbounded) {
      auto& answers = written_[call.offer.model];
      answers.push_back((output + call.request.choices - 1) / call.request.choices);
      if (answers.size() > 100) answers.pop_front();
    }
    const Chain chain = look(call);
    const std::int64_t usd = *Judge(chain, call.request, tariffs_).money(call.offer.model, input, output);
    end(id, {usd, input + output, input, output, 1, 0}, true);
  }
  /// Its usage is not known: all that it held is spent.
  void charge(int id) {
    Amount actual = calls.at(id).offer.amounts;
    actual[5] = 0;
    end(id, actual, true);
  }
  void release(int id) { end(id, {}, false); }

  void raise(int budget, std::size_t d, std::int64_t by) {
    Budget& raised = budgets[static_cast<std::size_t>(budget)];
    *raised.cap[d] += by;
    told.push_back(
        {.action = Action::cap_raised, .budget = budget, .dimension = d, .projected = by, .cap = *raised.cap[d]});
    wake_all(budget);
  }
  void close(int budget) {
    Budget& closed = budgets[static_cast<std::size_t>(budget)];
    if (closed.closed) return;
    closed.closed = true;
    told.push_back({.action = Action::closed, .budget = budget});
    wake_all(budget);
  }

  // What can be seen.

  [[nodiscard]] Numbers numbers(int budget) const {
    const Budget& of = budgets[static_cast<std::size_t>(budget)];
    if (of.windowed()) return seen(of.slot(day));
    Numbers sum{.spent = of.spent};
    for (const auto& [id, call] : calls)
      if (call.runs && encloses(budget, call.at)) add(sum.reserved, call.offer.amounts);
    return sum;
  }
  [[nodiscard]] Numbers numbers(const Slot& slot) const {
    Numbers sum;
    if (const auto found = store_spent.find(slot); found != store_spent.end()) sum.spent = found->second;
    for (const auto& [id, hold] : store_holds) {
      if (std::find(hold.slots.begin(), hold.slots.end(), slot) != hold.slots.end()) {
        add(sum.reserved, hold.amount);
        continue;
      }
      // Calls in flight are the name's, on whatever day they began.
      for (const Slot& other : hold.slots)
        if (other.first == slot.first) sum.reserved[5] += hold.amount[5];
    }
    return sum;
  }
  /// The same with what running calls hold and the store has not confirmed.
  [[nodiscard]] Numbers seen(const Slot& slot) const {
    Numbers sum = numbers(slot);
    for (const auto& [id, call] : calls) {
      if (!call.runs || !in_store(call.at)) continue;
      Amount more = call.offer.amounts;
      if (const auto hold = store_holds.find(id); hold != store_holds.end())
        for (std::size_t d = 0; d < dimensions; ++d) more[d] -= hold->second.told[d];
      const std::set<Slot> slots = slots_of(call);
      if (slots.contains(slot))
        add(sum.reserved, more);
      else
        for (const Slot& other : slots)
          if (other.first == slot.first) sum.reserved[5] += more[5];
    }
    return sum;
  }
  /// Of the day on which the call was admitted.
  [[nodiscard]] std::set<Slot> slots_of(const Call& call) const {
    std::set<Slot> slots;
    for (const int at : chain_of(call.at))
      if (const Budget& budget = budgets[static_cast<std::size_t>(at)]; budget.windowed())
        slots.insert(budget.slot(call.day));
    return slots;
  }
  [[nodiscard]] bool encloses(int budget, int innermost) const {
    for (int at = innermost; at >= 0; at = outer(at))
      if (at == budget) return true;
    return false;
  }
  [[nodiscard]] bool in_store(int innermost) const { return first_windowed(innermost) >= 0; }

 private:
  static void add(Amount& to, const Amount& more) {
    for (std::size_t d = 0; d < dimensions; ++d) to[d] += more[d];
  }
  [[nodiscard]] int outer(int budget) const { return budgets[static_cast<std::size_t>(budget)].outer; }
  [[nodiscard]] int root(int budget) const {
    while (outer(budget) >= 0) budget = outer(budget);
    return budget;
  }
  [[nodiscard]] int first_windowed(int innermost) const {
    for (int at = innermost; at >= 0; at = outer(at))
      if (budgets[static_cast<std::size_t>(at)].windowed()) return at;
    return -1;
  }

  /// Of a budget that counts in the store: how long until the day ends that the call knows its numbers of.
  [[nodiscard]] std::int64_t turns_in(const Call& call, int at) const {
    if (!budgets[static_cast<std::size_t>(at)].turns()) return endless;
    return !call.known.empty() && call.known_day < day ? 0 : until_tomorrow;
  }
  /// The budgets as a call sees them now.
  [[nodiscard]] Chain look(const Call& call) const {
    Chain chain;
    for (int at = call.at; at >= 0; at = outer(at)) {
      const Budget& budget = budgets[static_cast<std::size_t>(at)];
      Level level{.budget = at, .options = budget.options, .cap = budget.cap, .closed = budget.closed};
      level.others_wait = !budget.line.empty() && &calls.at(budget.line.front()) != &call;
      level.in_callback = call.callbacks.count(at) != 0;
      Numbers numbers_now;
      if (!budget.windowed()) {
        numbers_now = numbers(at);
      } else {
        level.known = Level::Known::not_yet;
        level.turns_in = turns_in(call, at);
        if (const auto said = call.known.find(at); said != call.known.end()) {
          level.known = Level::Known::by_its_store;
          numbers_now = said->second;
        }
        // In observe mode the numbers are looked at though they were granted.
        if (call.granted && (!observing || level.known == Level::Known::not_yet)) level.known = Level::Known::held;
      }
      level.spent = numbers_now.spent;
      level.reserved = numbers_now.reserved;
      chain.push_back(level);
    }
    return chain;
  }

  void decide(int id) {
    Call& call = calls.at(id);
    if (observing) return observe(id);
    for (;;) {
      call.state = State::deciding;
      if (call.moment.stream && !call.runs) {  // it has ended meanwhile
        call.state = State::admitted;
        return;
      }
      call.stale |= call.signalled && !call.known.empty();
      call.signalled = false;
      const Chain chain = look(call);
      const Judge judge(chain, call.request, tariffs_);
      if (call.granted) {
        Offer held = call.asked;
        held.open = false;
        const Judgement judgement = judge.judge(held, call.memory, call.moment);
        if (judgement.kind == Judgement::Kind::admit && judgement.offer == held)
          return admit(id, chain, held, judgement.events);
        release_grant(id);
        continue;
      }
      const Judgement judgement = judge.judge(call.wanted, call.memory, call.moment);
      switch (judgement.kind) {
        case Judgement::Kind::admit:
          call.asked_events.clear();
          if (!in_store(call.at)) return admit(id, chain, judgement.offer, judgement.events);
          call.asked = judgement.offer;
          call.asked_events = judgement.events;
          if (!ask_store(id)) return;
          break;
        case Judgement::Kind::refuse:
          return refuse(call, judge, chain, judgement);
        case Judgement::Kind::ask:
          call.asked = judgement.offer;
          call.asked_budget = judgement.budget;
          call.asked_policy = judgement.policy;
          call.state = State::asking_program;
          return;
        case Judgement::Kind::wait:
          if (std::exchange(call.stale, false) && !call.known.empty()) {
            call.known.clear();
            call.rounds = 0;
            call.moment.now = ++clock_;
            break;
          }
          return wait(id, judgement);
      }
    }
  }

  /// Decides as if enforced, and lets the call through as it came.
  void observe(int id) {
    Call& call = calls.at(id);
    if (call.moment.stream && !call.runs) {
      call.state = State::admitted;
      return;
    }
    call.asked = call.wanted;
    call.asked_events.clear();
    if (in_store(call.at)) (void)ask_store(id);
    const Chain chain = look(call);
    const Judge judge(chain, call.request, tariffs_);
    const Judgement judgement = judge.judge(call.judged, call.memory, call.moment);
    std::vector<Event> events = judgement.events;
    if (judgement.kind == Judgement::Kind::refuse) {
      const bool by_store = !call.to_say.empty() && call.to_say.front().kind == Kind::blocked;
      events.clear();
      if (!by_store) call.to_say = {refusal_event(judge, chain, judgement, call.moment)};
    }
    if (call.refused_outright) events.clear();  // one event, which was told when it arrived
    if (call.refused_outright) call.to_say.clear();
    call.asked_events.clear();
    admit(id, chain, call.wanted, events);
  }

  void look_again(int id, bool timed_out) {
    Call& call = calls.at(id);
    ++clock_;
    if (call.state != State::in_line) return;
    call.moment.now = timed_out ? std::max(clock_, call.deadline) : clock_;
    call.known.clear();
    call.rounds = 0;
    decide(id);
  }

  void admit(int id, const Chain& chain, const Offer& offer, const std::vector<Event>& events) {
    Call& call = calls.at(id);
    // What changed the call, and what let it through in the store, was decided when the store was asked.
    for (const Event& event : call.asked_events) {
      const bool changes = event.kind == Kind::downgraded || event.kind == Kind::clamped;
      if (changes || budgets[static_cast<std::size_t>(event.budget)].windowed()) call.to_say.push_back(event);
    }
    call.to_say.insert(call.to_say.end(), events.begin(), events.end());
    for (const Level& level : chain)
      if (level.budget == call.last_line)
        call.to_say.push_back(Judge(chain, call.request, tariffs_).event(Kind::waited, level, offer, call.moment));
    if (!call.moment.stream) call.day = day;
    call.runs = true;
    call.offer = offer;
    call.offer.open = false;
    call.granted = false;
    leave_line(call);
    call.state = State::admitted;
    say(call);
  }

  [[nodiscard]] Event refusal_event(const Judge& judge, const Chain& chain, const Judgement& judgement,
                                    const Moment& moment) const {
    Kind kind = judgement.reason == errc::truncated ? Kind::truncated : Kind::blocked;
    if (moment.stream) kind = Kind::cut;
    for (const Level& level : chain)
      if (level.budget == judgement.budget) return judge.event(kind, level, judgement.offer, moment);
    return {};
  }
  void refuse(Call& call, const Judge& judge, const Chain& chain, const Judgement& judgement) {
    call.refusal = {.code = judgement.reason, .budget = judgement.budget};
    if (judgement.reason == errc::budget_exceeded || judgement.reason == errc::truncated)
      for (const Level& level : chain) {
        if (level.known == Level::Known::not_yet || level.known == Level::Known::held) continue;
        const bool turns = budgets[static_cast<std::size_t>(level.budget)].turns();
        for (const std::size_t d : judge.in_the_way(level, judgement.offer, call.moment)) {
          const std::int64_t more = judgement.offer.amounts[d] - call.moment.held[d];
          call.refusal.breaches.push_back(
              {.budget = level.budget,
               .dimension = d,
               .limit = level.cap[d].value_or(endless),
               .spent = level.spent[d],
               .reserved = level.reserved[d],
               .requested = more,
               .may_fit_later = turns && !call.moment.stream && d != 5 && more <= level.cap[d]});
        }
      }
    call.to_say = {refusal_event(judge, chain, judgement, call.moment)};
    leave_line(call);
    call.state = State::refused;
    say(call);
  }

  void wait(int id, const Judgement& judgement) {
    Call& call = calls.at(id);
    call.memory.deadlines.emplace(judgement.budget, judgement.until);
    if (call.line != judgement.budget) {
      leave_line(call);
      call.line = judgement.budget;
      budgets[static_cast<std::size_t>(call.line)].line.push_back(id);
    }
    call.last_line = call.line;
    call.deadline = judgement.until;
    // A store does not tell of what other processes do.
    constexpr std::int64_t look_again_after = 200'000'000;
    const auto no_later_than = [&](std::int64_t by) {
      call.deadline = std::min(call.deadline, bounded(Wide{call.moment.now} + by));
    };
    if (!call.known.empty()) {
      no_later_than(look_again_after);
      if (budgets[static_cast<std::size_t>(call.line)].turns()) no_later_than(turns_in(call, call.line));
    }
    call.state = State::in_line;
  }

  // The store.

  /// False: the call is refused.
  bool ask_store(int id) {
    Call& call = calls.at(id);
    std::map<int, Room> rooms;
    for (int at = call.at; at >= 0; at = outer(at))
      if (budgets[static_cast<std::size_t>(at)].windowed()) rooms[at] = observing ? Room::any : Room::fits;
    for (const Event& event : call.asked_events) {
      if (!rooms.count(event.budget)) continue;
      if (event.kind == Kind::warned || event.kind == Kind::allowed) rooms[event.budget] = Room::any;
      if (event.kind == Kind::below) rooms[event.budget] = Room::below;
    }
    call.stale = false;
    call.known_day = day;
    if (++call.rounds > 16) return unreachable(id, false);
    const bool extends = call.moment.stream;
    const bool blind = call.known.empty();
    // Where the answer to a new call is lost, what was done is undone; what was added to a stream stays until its end.
    if (call.unshared || weather == Weather::down || (weather == Weather::replies_lost && !extends))
      return unreachable(id, true);
    StoreHold hold = extends ? store_holds.at(id) : StoreHold{};
    if (!extends)
      for (const auto& [at, room] : rooms) {
        const Slot slot = budgets[static_cast<std::size_t>(at)].slot(day);
        if (std::find(hold.slots.begin(), hold.slots.end(), slot) == hold.slots.end()) hold.slots.push_back(slot);
      }
    Amount more{};
    for (std::size_t d = 0; d < dimensions; ++d)
      more[d] = std::max<std::int64_t>(0, call.asked.amounts[d] - hold.amount[d]);
    bool fits = true;
    for (const auto& [at, room] : rooms) {
      const Budget& budget = budgets[static_cast<std::size_t>(at)];
      const Numbers now = numbers(budget.slot(extends ? call.day : day));
      call.known[at] = now;
      // What a stream was given while the store could not be reached is held all the same.
      if (extends)
        for (std::size_t d = 0; d < dimensions; ++d)
          call.known[at].reserved[d] += call.offer.amounts[d] - hold.amount[d];
      for (std::size_t d = 0; d < dimensions; ++d) {
        if (more[d] == 0 || !budget.cap[d] || room == Room::any) continue;
        const std::int64_t used = now.spent[d] + now.reserved[d];
        fits &= room == Room::fits ? used + more[d] <= *budget.cap[d] : used < *budget.cap[d];
      }
    }
    if (fits) {
      add(hold.amount, more);
      store_holds[id] = hold;
    }
    if (weather == Weather::replies_lost) return unreachable(id, true);
    if (fits) store_holds[id].told = hold.amount;
    call.granted = fits;
    // A ceiling that was chosen without knowing what the store has, and that nothing else bounds, is chosen again.
    const Chain chain = look(call);
    if (fits && blind && call.asked.open &&
        Judge(chain, call.request, tariffs_).most_ceiling(call.asked.model) == endless)
      release_grant(id);
    return true;
  }
  bool unreachable(int id, bool on_unreachable_decides) {
    Call& call = calls.at(id);
    call.known.clear();
    const bool allowed = on_unreachable_decides && allow_unreachable;
    const int first = first_windowed(call.at);
    const Budget& budget = budgets[static_cast<std::size_t>(first)];
    const Level unknown{.budget = first, .options = budget.options, .cap = budget.cap};
    const Chain chain = look(call);
    const Judge judge(chain, call.request, tariffs_);
    if (!allowed && !observing) {
      call.granted = false;
      call.refusal = {.code = errc::store_unavailable};
      call.to_say.clear();
      if (!call.moment.stream) call.to_say = {judge.event(Kind::blocked, unknown, call.wanted, call.moment)};
      leave_line(call);
      call.state = State::refused;
      say(call);
      return false;
    }
    call.granted = true;
    if (call.moment.stream) return true;
    call.unshared = true;
    call.to_say = {judge.event(allowed ? Kind::unshared : Kind::blocked, unknown, call.asked, call.moment)};
    return true;
  }
  /// A running stream keeps what was added to it.
  void release_grant(int id) {
    Call& call = calls.at(id);
    call.granted = false;
    call.to_say.clear();
    if (call.moment.stream) return;
    call.unshared = false;
    store_holds.erase(id);
  }

  // The end of a call.

  void end(int id, const Amount& actual, bool settles) {
    Call& call = calls.at(id);
    const std::vector<int> chain = chain_of(call.at);
    std::vector<Numbers> before;
    // Judged by the day on which the call was admitted.
    const int admitted = call.day;
    const auto on_its_day = [&](int at) {
      const Budget& budget = budgets[static_cast<std::size_t>(at)];
      return budget.windowed() ? numbers(budget.slot(admitted)) : numbers(at);
    };
    for (const int at : chain) before.push_back(on_its_day(at));
    call.runs = false;
    for (const int at : chain)
      if (settles && !budgets[static_cast<std::size_t>(at)].windowed())
        add(budgets[static_cast<std::size_t>(at)].spent, actual);
    if (in_store(call.at)) {
      for (const Slot& slot : slots_of(call))
        if (settles) add(store_spent[slot], actual);
      store_holds.erase(id);
    }
    if (settles)
      for (const bool windowed : {false, true})
        for (std::size_t i = 0; i < chain.size(); ++i)
          if (budgets[static_cast<std::size_t>(chain[i])].windowed() == windowed)
            compare(chain[i], before[i], on_its_day(chain[i]), call, actual);
    room_released(call.at);
    calls.erase(id);
  }
  [[nodiscard]] std::vector<int> chain_of(int innermost) const {
    std::vector<int> chain;
    for (int at = innermost; at >= 0; at = outer(at)) chain.push_back(at);
    return chain;
  }
  void compare(int at, const Numbers& before, const Numbers& after, const Call& call, const Amount& actual) {
    const Budget& budget = budgets[static_cast<std::size_t>(at)];
    const auto tell = [&](Action action, std::size_t d, std::int64_t projected) {
      told.push_back({.action = action,
                      .budget = at,
                      .dimension = d,
                      .projected = projected,
                      .cap = *budget.cap[d],
                      .model = call.offer.model});
    };
    for (std::size_t d = 0; d < dimensions; ++d)
      if (budget.cap[d] && actual[d] > call.offer.amounts[d] && after.spent[d] + after.reserved[d] > *budget.cap[d]) {
        tell(Action::overrun, d, after.spent[d] + after.reserved[d]);
        break;
      }
    const Level level{.budget = at, .options = budget.options};
    if (!level.has<outlay::Raise>() || observing) return;
    for (std::size_t d = 0; d < dimensions; ++d)
      if (budget.cap[d] && before.spent[d] <= *budget.cap[d] && after.spent[d] > *budget.cap[d])
        tell(Action::raised, d, after.spent[d]);
  }

  void say(Call& call) {
    for (const Event& event : std::exchange(call.to_say, {})) {
      const bool goes_on = event.kind == Kind::warned || event.kind == Kind::allowed || event.kind == Kind::below ||
                           (observing && event.kind == Kind::cut);
      if (call.moment.stream && goes_on && std::exchange(call.said_over, true)) continue;  // once a stream
      if (event.kind == Kind::below || event.kind == Kind::passed_wait) continue;
      static const std::map<Kind, Action> actions{{Kind::downgraded, Action::downgraded},
                                                  {Kind::clamped, Action::clamped},
                                                  {Kind::warned, Action::warned},
                                                  {Kind::allowed, Action::allowed},
                                                  {Kind::waited, Action::waited},
                                                  {Kind::unshared, Action::unshared},
                                                  {Kind::blocked, Action::blocked},
                                                  {Kind::truncated, Action::truncated},
                                                  {Kind::cut, Action::cut}};
      Action action = actions.at(event.kind);
      const bool does_nothing = action == Action::warned || action == Action::allowed || action == Action::waited ||
                                action == Action::unshared;
      if (observing && !does_nothing) action = Action::observed;
      told.push_back({action, event.budget, event.dimension, event.projected, event.cap, event.model, event.new_model,
                      event.ceiling});
    }
  }

  // Who is woken.

  void wake(int id) {
    Call& call = calls.at(id);
    if (std::exchange(call.signalled, true)) return;
    ++call.wakes;
  }
  [[nodiscard]] bool looks_outward(const Call& call) const {
    for (const int at : chain_of(call.at))
      if (Level{.options = budgets[static_cast<std::size_t>(at)].options}.has<outlay::Clamp>()) return true;
    return false;
  }
  /// Every first call of a line in this tree that room anywhere may let through.
  void wake_outward(int budget) {
    for (std::size_t i = 0; i < budgets.size(); ++i)
      if (root(static_cast<int>(i)) == root(budget) && !budgets[i].line.empty() &&
          looks_outward(calls.at(budgets[i].line.front())))
        wake(budgets[i].line.front());
  }
  void room_released(int innermost) {
    for (const int at : chain_of(innermost))
      if (const auto& line = budgets[static_cast<std::size_t>(at)].line; !line.empty()) wake(line.front());
    wake_outward(innermost);
  }
  void wake_all(int budget) {
    for (std::size_t i = 0; i < budgets.size(); ++i)
      if (root(static_cast<int>(i)) == root(budget))
        for (const int id : budgets[i].line) wake(id);
  }
  void leave_line(Call& call) {
    if (call.line < 0) return;
    const int budget = std::exchange(call.line, -1);
    std::deque<int>& line = budgets[static_cast<std::size_t>(budget)].line;
    std::erase_if(line, [&](int id) { return &calls.at(id) == &call; });
    call.signalled = false;
    if (!line.empty())
      wake(line.front());
    else
      wake_outward(budget);
  }

  /// The smallest that at least 95 of 100 answers are not above.
  [[nodiscard]] std::int64_t usual(const std::string& model) const {
    const auto found = written_.find(model);
    if (found == written_.end()) return 0;
    std::vector<std::int64_t> answers(found->second.begin(), found->second.end());
    std::sort(answers.begin(), answers.end());
    std::size_t within = 0;
    while ((within + 1) * 100 < answers.size() * 95) ++within;
    return answers[within];
  }

  std::map<std::string, std::deque<std::int64_t>> written_;  // answers without a ceiling
  const Tariffs tariffs_;
  std::int64_t clock_ = 0;  // a nanosecond each time that it is looked at
};

}  // namespace outlay_test::model
