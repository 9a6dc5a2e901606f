#pragma once

// What becomes of a call, told a second time and as plainly as possible: options are looked up where they are needed, the largest ceiling
// is found by trying, and sums are so wide that none can overflow. It shares words with the library (policies, decisions, kinds of notes
// and errors), and no code.
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/call/decide.hpp"
#include "outlay/budget.hpp"

namespace outlay_test::model {

using outlay::errc;
using outlay::Policy;
using Kind = outlay::detail::Note::Kind;
__extension__ using Wide = __int128;

inline constexpr std::size_t dimensions = 6;
inline constexpr std::int64_t endless = INT64_MAX;
/// In the order of outlay::Dimension.
using Amount = std::array<std::int64_t, dimensions>;
using Cap = std::array<std::optional<std::int64_t>, dimensions>;

/// What a model costs.
struct Tariff {
  std::int64_t input = 0, output = 0;  // pico-dollars a token
  std::int64_t request = 0;            // nano-dollars
  std::optional<std::int64_t> most_output{};
  std::string entry{};  // of the price table, where the name is another one
};
using Tariffs = std::map<std::string, Tariff>;

struct Request {
  std::string model;
  std::int64_t input = 0;
  std::optional<std::int64_t> ceiling{};
  std::int64_t choices = 1;
  std::optional<std::int64_t> flat{};  // nano-dollars
  std::int64_t least_ceiling = 1;
  bool fixed_ceiling = false;
  std::map<std::string, std::int64_t> usual{};  // tokens a choice that models lately wrote, as the call knows them
};

/// The call as it would be made.
struct Offer {
  std::string model;
  std::optional<std::int64_t> ceiling{};
  bool open = false;       // the ceiling is ours to choose
  bool unbounded = false;  // the model may write more than `output`
  std::int64_t output = 0;
  Amount amounts{};

  bool operator==(const Offer&) const = default;
};

/// A budget as one call sees it.
struct Level {
  enum class Known { here, not_yet, by_its_store, held };

  int budget = 0;
  outlay::BudgetOptions options{};
  Cap cap{};
  Amount spent{}, reserved{};  // without what the call itself would add
  Known known = Known::here;
  std::int64_t turns_in = endless;  // nanoseconds
  bool closed = false;
  bool others_wait = false;  // in its line, ahead of this call
  bool in_callback = false;

  [[nodiscard]] const std::vector<Policy>& policies() const {
    static const std::vector<Policy> block{outlay::Block{}};
    const std::vector<Policy>* chain = options.on_exceed.chain();
    return chain ? *chain : block;
  }
  template <class P>
  [[nodiscard]] bool has() const {
    for (const Policy& policy : policies())
      if (std::holds_alternative<P>(policy)) return true;
    return false;
  }
  /// No policy lets calls through on purpose.
  [[nodiscard]] bool enforces() const { return !has<outlay::Warn>() && !has<outlay::Raise>(); }
  [[nodiscard]] bool opens_at_once() const {
    const Policy& first = policies().front();
    return std::holds_alternative<outlay::Warn>(first) || std::holds_alternative<outlay::Raise>(first);
  }
};
/// Innermost first.
using Chain = std::vector<Level>;

struct Answer {
  int budget = 0;
  std::size_t policy = 0;
  bool stream = false;
  std::string model;
  std::optional<std::int64_t> ceiling{};
  outlay::Decision decision;
};

/// What a call remembers.
struct Memory {
  std::vector<Answer> answers;
  std::map<int, std::int64_t> deadlines;  // by budget
  bool may_wait = true;
  bool ask_program = true;
};

struct Moment {
  bool stream = false;
  Amount held{};
  std::int64_t now = 0;
};

struct Event {
  Kind kind{};
  int budget = 0;
  std::size_t dimension = 0;
  std::int64_t projected = 0, cap = 0;
  std::string model{}, new_model{};
  std::optional<std::int64_t> ceiling{};

  bool operator==(const Event&) const = default;
};

struct Judgement {
  enum class Kind { admit, refuse, ask, wait };

  Kind kind = Kind::admit;
  Offer offer{};
  int budget = -1;
  std::size_t policy = 0;
  errc reason = errc::ok;
  std::string unpriced{};
  std::int64_t until = 0;
  std::vector<Event> events{};  // of an admission

  bool operator==(const Judgement&) const = default;
};

inline std::int64_t bounded(Wide number) {
  return static_cast<std::int64_t>(number > Wide{endless} ? Wide{endless} : number);
}

/// Nano-dollars, a half to the even neighbour; empty beyond 64 bits.
inline std::optional<std::int64_t> nanos(Wide picos) {
  Wide whole = picos / 1000;
  const Wide rest = picos % 1000;
  if (rest > 500 || (rest == 500 && whole % 2 == 1)) ++whole;
  return whole > Wide{endless} ? std::nullopt : std::optional(static_cast<std::int64_t>(whole));
}

class Judge {
 public:
  Judge(const Chain& chain, const Request& request, const Tariffs& tariffs)
      : chain_(chain), request_(request), tariffs_(tariffs) {}

  // What the options of the chain come to: the largest reserve, the strictest choice.

  [[nodiscard]] std::int64_t reserve() const {
    std::optional<std::int64_t> output;
    std::int64_t reasoning = 0;
    for (const Level& level : chain_) {
      if (level.options.output_reserve) output = std::max(output.value_or(0), *level.options.output_reserve);
      reasoning = std::max(reasoning, level.options.reasoning_reserve.value_or(0));
    }
    return output.value_or(256) + reasoning;
  }
  /// What a model is expected to write where nothing bounds it.
  [[nodiscard]] std::int64_t expected(const std::string& model) const {
    const auto usual = request_.usual.find(model);
    const std::int64_t more = usual == request_.usual.end() ? 0 : usual->second;
    std::int64_t output = -1, reasoning = 0;
    for (const Level& level : chain_) {
      if (level.options.output_reserve) output = std::max(output, *level.options.output_reserve);
      reasoning = std::max(reasoning, level.options.reasoning_reserve.value_or(0));
    }
    return std::max(output < 0 ? 256 : output, more) + reasoning;
  }
  /// At a flat price what is written counts only where tokens do.
  [[nodiscard]] bool counts_output() const {
    if (!request_.flat) return true;
    for (const Level& level : chain_)
      if (level.options.tokens || level.options.output_tokens) return true;
    return false;
  }
  [[nodiscard]] bool any(outlay::Unbounded choice) const {
    for (const Level& level : chain_)
      if (level.options.unbounded == choice) return true;
    return false;
  }
  [[nodiscard]] bool refuses_unbounded() const { return any(outlay::Unbounded::refuse); }
  [[nodiscard]] bool clamps_unbounded() const { return !refuses_unbounded() && any(outlay::Unbounded::clamp); }
  [[nodiscard]] bool takes_maximum() const {
    return !refuses_unbounded() && !clamps_unbounded() && any(outlay::Unbounded::model_max);
  }
  [[nodiscard]] bool has_clamp() const {
    for (const Level& level : chain_)
      if (level.has<outlay::Clamp>()) return true;
    return false;
  }

  [[nodiscard]] const Tariff* tariff(const std::string& model) const {
    const auto found = tariffs_.find(model);
    return found == tariffs_.end() ? nullptr : &found->second;
  }
  /// Whether the budgets with a cap on money allow a model.
  [[nodiscard]] bool allows(const std::string& model) const {
    if (request_.flat || tariff(model)) return true;
    for (const Level& level : chain_)
      if (level.options.usd && level.options.unpriced.kind() == outlay::Unpriced::Kind::refuse) return false;
    return true;
  }
  /// Pico-dollars a token of a model without a price: the dearest rate that is assumed. 0: it is ignored.
  [[nodiscard]] std::int64_t assumed_rate() const {
    std::int64_t dearest = 0;
    bool refuses = false;
    for (const Level& level : chain_) {
      if (!level.options.usd) continue;
      const outlay::Unpriced& choice = level.options.unpriced;
      refuses |= choice.kind() == outlay::Unpriced::Kind::refuse;
      if (choice.kind() == outlay::Unpriced::Kind::assume)
        dearest = std::max(dearest, choice.per_million_tokens().nanos() / 1000);
    }
    return refuses ? 0 : dearest;
  }
  [[nodiscard]] std::optional<std::int64_t> money(const std::string& model, Wide input, Wide output) const {
    if (request_.flat) return request_.flat;
    if (const Tariff* known = tariff(model))
      return nanos(known->input * input + known->output * output + Wide{known->request} * 1000);
    return nanos(assumed_rate() * (input + output));
  }

  [[nodiscard]] std::optional<std::int64_t> most_written(const std::string& model) const {
    const Tariff* known = tariff(model);
    return known ? known->most_output : std::nullopt;
  }
  /// Bounds of a ceiling that is ours to choose.
  [[nodiscard]] std::int64_t most_ceiling(const std::string& model) const {
    std::int64_t most = most_written(model).value_or(endless);
    for (const Level& level : chain_)
      for (const Policy& policy : level.policies())
        if (const auto* clamp = std::get_if<outlay::Clamp>(&policy))
          most = std::min(most, clamp->max_output_tokens.value_or(endless));
    return most;
  }
  [[nodiscard]] std::int64_t least_ceiling(const std::string& model) const {
    return std::max(request_.least_ceiling, std::min(reserve(), most_ceiling(model)));
  }

  /// Empty where the worst case does not fit 64 bits.
  [[nodiscard]] std::optional<Offer> offer(const std::string& model, std::optional<std::int64_t> ceiling,
                                           bool open) const {
    Offer made{.model = model, .ceiling = ceiling, .open = open};
    std::int64_t each = expected(model);
    if (ceiling)
      each = *ceiling;
    else if (takes_maximum() && most_written(model))
      each = *most_written(model);
    else
      made.unbounded = counts_output();
    const Wide output = Wide{each} * request_.choices;
    if (output > Wide{endless} || output + request_.input > Wide{endless}) return std::nullopt;
    const std::optional<std::int64_t> usd = money(model, request_.input, output);
    if (!usd) return std::nullopt;
    made.output = static_cast<std::int64_t>(output);
    made.amounts = {*usd, request_.input + made.output, request_.input, made.output, 1, 1};
    return made;
  }
  /// The request as it came. \return Why the options of the chain refuse it, if they do; errc::overflow, and `first` is of no use.
  errc first_offer(bool observing, Offer& first) const {
    std::optional<std::int64_t> ceiling = request_.ceiling;
    bool open = false;
    if (!ceiling && counts_output() && !request_.fixed_ceiling && !observing) {
      open = has_clamp();
      if (open)
        ceiling = least_ceiling(request_.model);
      else if (clamps_unbounded())
        ceiling = std::max(reserve(), request_.least_ceiling);
    }
    const std::optional<Offer> made = offer(request_.model, ceiling, open);
    if (!made) return errc::overflow;
    first = *made;
    if (!request_.ceiling && counts_output() && refuses_unbounded()) return errc::unbounded_refused;
    return allows(request_.model) ? errc::ok : errc::price_unknown;
  }
  /// A running stream that needs room for so much output in all.
  [[nodiscard]] Offer longer(const Offer& running, std::int64_t output) const {
    Offer made = running;
    made.output = output;
    made.amounts = {std::max(running.amounts[0], *money(running.model, request_.input, output)),
                    request_.input + output,
                    request_.input,
                    output,
                    1,
                    1};
    return made;
  }

  [[nodiscard]] std::vector<std::size_t> in_the_way(const Level& level, const Offer& of, const Moment& moment) const {
    std::vector<std::size_t> found;
    for (std::size_t d = 0; d < dimensions; ++d) {
      const Wide more = Wide{of.amounts[d]} - moment.held[d];
      if (more <= 0) continue;  // it needs nothing of this
      if (Wide{level.spent[d]} + level.reserved[d] + more > Wide{level.cap[d].value_or(endless)}) found.push_back(d);
    }
    return found;
  }
  [[nodiscard]] bool fits(const Level& level, const Offer& of, const Moment& moment) const {
    if (level.known == Level::Known::held) return true;
    if (level.others_wait && !moment.stream) return false;
    return level.known == Level::Known::not_yet || in_the_way(level, of, moment).empty();
  }

  /// What is said about a budget, by the first dimension that is in the way there, or else by the first that is capped.
  [[nodiscard]] Event event(Kind kind, const Level& level, const Offer& of, const Moment& moment) const {
    const std::vector<std::size_t> dims = in_the_way(level, of, moment);
    std::size_t d = 0;
    while (dims.empty() && d < dimensions - 1 && !level.cap[d]) ++d;
    if (!dims.empty()) d = dims.front();
    return {.kind = kind,
            .budget = level.budget,
            .dimension = d,
            .projected = bounded(Wide{level.spent[d]} + level.reserved[d] + of.amounts[d] - moment.held[d]),
            .cap = level.cap[d].value_or(endless),
            .model = of.model};
  }

  [[nodiscard]] Judgement judge(const Offer& request, const Memory& memory, const Moment& moment) const;

 private:
  enum class Turn { pass, through, changed, decided };

  /// The largest ceiling from `least` to `most` with which every budget of `which` has room; -1: none. Trying halves what is left.
  [[nodiscard]] std::int64_t largest(const Offer& now, std::int64_t least, std::int64_t most, const Moment& moment,
                                     const std::function<bool(const Level&)>& which) const {
    const auto good = [&](std::int64_t ceiling) {
      const std::optional<Offer> tried = offer(now.model, ceiling, now.open);
      if (!tried) return false;
      for (const Level& level : chain_)
        if (which(level) && !fits(level, *tried, moment)) return false;
      return true;
    };
    if (least > most || !good(least)) return -1;
    while (least < most) {
      const std::int64_t middle = least + (most - least) / 2 + (most - least) % 2;
      if (good(middle))
        least = middle;
      else
        most = middle - 1;
    }
    return least;
  }
  /// More than any budget that caps something about it can hold.
  static constexpr std::int64_t any_number = std::int64_t{1} << 50;

  struct Run {
    const Memory& memory;
    const Moment& moment;
    Offer offer;
    Judgement judgement{};
    std::vector<Event> changes{};  // what made the call another one
    std::vector<Event> remarks{};  // about the call as it is now
    std::set<std::size_t> used{};  // answers that have changed the call
  };

  [[nodiscard]] Turn refuse(Run& run, const Level& level, errc reason) const {
    run.judgement = {.kind = Judgement::Kind::refuse, .offer = run.offer, .budget = level.budget, .reason = reason};
    return Turn::decided;
  }
  [[nodiscard]] Turn change(Run& run, Event said, const Offer& to) const {
    said.new_model = to.model == run.offer.model ? "" : to.model;
    if (said.new_model.empty()) said.ceiling = to.ceiling;
    run.changes.push_back(std::move(said));
    run.remarks.clear();
    run.offer = to;
    return Turn::changed;
  }

  void widen(Run& run) const;
  void say_open_ceiling(Run& run) const;
  [[nodiscard]] bool room_outside(const Run& run, std::size_t at) const;
  [[nodiscard]] Turn ask(Run& run, std::size_t at, std::size_t policy) const;
  [[nodiscard]] Turn downgrade(Run& run, const Level& level, const outlay::Downgrade& map) const;
  [[nodiscard]] Turn clamp(Run& run, std::size_t at, const outlay::Clamp& limits) const;
  [[nodiscard]] Turn callback(Run& run, const Level& level, std::size_t policy) const;
  [[nodiscard]] Turn wait(Run& run, const Level& level, const outlay::Wait& policy) const;

  const Chain& chain_;
  const Request& request_;
  const Tariffs& tariffs_;
};

inline Judgement Judge::judge(const Offer& request, const Memory& memory, const Moment& moment) const {
  Run run{.memory = memory, .moment = moment, .offer = request};
  if (!moment.stream)
    for (const Level& level : chain_)
      if (level.closed) {
        (void)refuse(run, level, errc::closed_to_new_calls);
        return run.judgement;
      }
  Turn turn = Turn::changed;
  while (turn == Turn::changed) {
    if (run.offer.open) widen(run);
    turn = Turn::pass;
    for (std::size_t at = 0; at < chain_.size() && turn != Turn::changed && turn != Turn::decided; ++at) {
      const Level& level = chain_[at];
      const bool own_fits = fits(level, run.offer, moment);
      const bool looks_outward = !moment.stream && level.has<outlay::Clamp>() && !room_outside(run, at);
      if (own_fits && !looks_outward) continue;
      turn = Turn::pass;
      const std::vector<Policy>& policies = level.policies();
      for (std::size_t i = 0; i < policies.size() && turn == Turn::pass && !level.in_callback; ++i)
        if (!own_fits || std::holds_alternative<outlay::Clamp>(policies[i])) turn = ask(run, at, i);
      if (own_fits || turn == Turn::changed || turn == Turn::decided) continue;
      bool countable = true;
      for (std::size_t d = 0; d < dimensions; ++d) {
        const Wide more = Wide{run.offer.amounts[d]} - moment.held[d];
        countable &= more <= 0 || Wide{level.spent[d]} + level.reserved[d] + more <= Wide{endless};
      }
      if (turn == Turn::pass || !countable) turn = refuse(run, level, errc::budget_exceeded);
    }
  }
  if (turn == Turn::decided) return run.judgement;
  if (run.offer.open) say_open_ceiling(run);
  run.judgement = {.kind = Judgement::Kind::admit, .offer = run.offer};
  run.judgement.events = run.changes;
  run.judgement.events.insert(run.judgement.events.end(), run.remarks.begin(), run.remarks.end());
  return run.judgement;
}

/// The largest ceiling that asks no policy; budgets whose first policy lets calls through do not bound it.
inline void Judge::widen(Run& run) const {
  const std::int64_t least = least_ceiling(run.offer.model), most = most_ceiling(run.offer.model);
  const std::int64_t best = largest(run.offer, least, std::min(most, any_number), run.moment,
                                    [](const Level& level) { return !level.opens_at_once(); });
  if (best < 0 || best == any_number) return;
  // A ceiling above this can no request say.
  run.offer = *offer(run.offer.model, std::max(least, std::min(best, outlay::Usage::max_count)), true);
}

/// An open ceiling below what the model writes at most is a clamp, with the numbers that one token more would have met.
inline void Judge::say_open_ceiling(Run& run) const {
  const Offer& now = run.offer;
  if (*now.ceiling >= most_written(now.model).value_or(endless)) return;
  const Level* clamping = nullptr;
  for (const Level& level : chain_)
    if (!clamping && level.has<outlay::Clamp>()) clamping = &level;
  if (!clamping) return;
  Event said{.kind = Kind::clamped,
             .budget = clamping->budget,
             .dimension = static_cast<std::size_t>(outlay::Dimension::output_tokens),
             .projected = (*now.ceiling + 1) * request_.choices,
             .cap = now.output,
             .model = now.model,
             .ceiling = now.ceiling};
  if (const std::optional<Offer> more = offer(now.model, *now.ceiling + 1, true))
    for (const Level& level : chain_) {
      const bool counts =
          !level.opens_at_once() && (level.known == Level::Known::here || level.known == Level::Known::by_its_store);
      const std::vector<std::size_t> dims = in_the_way(level, *more, {});
      if (!counts || dims.empty()) continue;
      const std::size_t d = dims.front();
      said.dimension = d;
      said.projected = bounded(Wide{level.spent[d]} + level.reserved[d] + more->amounts[d]);
      said.cap = level.cap[d].value_or(endless);
      break;
    }
  run.remarks.push_back(said);
}

inline bool Judge::room_outside(const Run& run, std::size_t at) const {
  for (std::size_t i = at + 1; i < chain_.size(); ++i)
    if (chain_[i].enforces() && !fits(chain_[i], run.offer, run.moment)) return false;
  return true;
}

inline Judge::Turn Judge::ask(Run& run, std::size_t at, std::size_t policy) const {
  const Level& level = chain_[at];
  const Policy& asked = level.policies()[policy];
  const bool stream = run.moment.stream;
  if (std::holds_alternative<outlay::Block>(asked)) return refuse(run, level, errc::budget_exceeded);
  if (std::holds_alternative<outlay::Truncate>(asked)) return refuse(run, level, errc::truncated);
  if (std::holds_alternative<outlay::Callback>(asked)) return callback(run, level, policy);
  if (std::holds_alternative<outlay::Warn>(asked)) {
    run.remarks.push_back(event(Kind::warned, level, run.offer, run.moment));
    return Turn::through;
  }
  if (std::holds_alternative<outlay::Raise>(asked)) {
    if (stream) return refuse(run, level, errc::budget_exceeded);
    for (const std::size_t d : in_the_way(level, run.offer, run.moment))
      if (Wide{level.spent[d]} + level.reserved[d] >= Wide{level.cap[d].value_or(endless)})
        return refuse(run, level, errc::budget_exceeded);
    run.remarks.push_back(event(Kind::below, level, run.offer, run.moment));
    return Turn::through;
  }
  if (stream) return Turn::pass;  // the other three are skipped
  if (const auto* map = std::get_if<outlay::Downgrade>(&asked)) return downgrade(run, level, *map);
  if (const auto* limits = std::get_if<outlay::Clamp>(&asked)) return clamp(run, at, *limits);
  return wait(run, level, std::get<outlay::Wait>(asked));
}

inline Judge::Turn Judge::downgrade(Run& run, const Level& level, const outlay::Downgrade& downgrade) const {
  const Offer& now = run.offer;
  bool money_in_the_way = false;
  for (const std::size_t d : in_the_way(level, now, run.moment)) money_in_the_way |= d == 0;
  if (!money_in_the_way || request_.flat) return Turn::pass;
  const auto at_least = [&](const std::string& model) {
    return offer(model, now.open ? std::optional(least_ceiling(model)) : now.ceiling, now.open);
  };
  const std::int64_t present = now.open ? at_least(now.model)->amounts[0] : now.amounts[0];
  std::string model = now.model;
  for (std::size_t steps = 0; steps < downgrade.map.size(); ++steps) {
    const auto from = [&](const std::string& name) -> const outlay::Downgrade::Route* {
      for (const outlay::Downgrade::Route& route : downgrade.map)
        if (route.from == name) return &route;
      return nullptr;
    };
    const outlay::Downgrade::Route* next = from(model);
    if (!next && steps == 0 && tariff(model)) next = from(tariff(model)->entry);
    if (!next) break;
    model = next->to;
    const std::optional<Offer> other = at_least(model);
    if (other && tariff(model) && other->amounts[0] < present && fits(level, *other, run.moment))
      return change(run, event(Kind::downgraded, level, now, run.moment), *other);
  }
  return Turn::pass;
}

inline Judge::Turn Judge::clamp(Run& run, std::size_t at, const outlay::Clamp& limits) const {
  if (request_.fixed_ceiling) return Turn::pass;
  const Level& own = chain_[at];
  const auto bounds = [&](const Level& level) { return level.enforces() || &level == &own; };
  const std::int64_t most = limits.max_output_tokens.value_or(any_number);
  std::int64_t best = largest(run.offer, 0, most, run.moment, bounds);
  if (best != any_number) best = std::min(best, outlay::Usage::max_count);
  if (best < limits.min_output_tokens || best < request_.least_ceiling) return Turn::pass;
  if (run.offer.ceiling ? best >= *run.offer.ceiling : best == any_number) return Turn::pass;
  const Level* why = nullptr;
  for (std::size_t i = at; i < chain_.size(); ++i)
    if (!why && bounds(chain_[i]) && !fits(chain_[i], run.offer, run.moment)) why = &chain_[i];
  Event said = event(Kind::clamped, *why, run.offer, run.moment);
  said.budget = own.budget;
  return change(run, said, *offer(run.offer.model, best, false));
}

inline Judge::Turn Judge::callback(Run& run, const Level& level, std::size_t policy) const {
  if (!run.memory.ask_program) return Turn::pass;
  const Offer& now = run.offer;
  std::optional<std::size_t> known;
  for (std::size_t i = 0; i < run.memory.answers.size(); ++i) {
    const Answer& answer = run.memory.answers[i];
    if (answer.budget == level.budget && answer.policy == policy && answer.stream == run.moment.stream &&
        answer.model == now.model && answer.ceiling == now.ceiling)
      known = i;
  }
  if (!known) {
    if (run.memory.answers.size() == 32) return refuse(run, level, errc::budget_exceeded);
    run.judgement = {.kind = Judgement::Kind::ask, .offer = now, .budget = level.budget, .policy = policy};
    return Turn::decided;
  }
  const outlay::Decision& decision = run.memory.answers[*known].decision;
  using Said = outlay::Decision::Kind;
  if (decision.kind() == Said::next) return Turn::pass;
  if (decision.kind() == Said::truncate) return refuse(run, level, errc::truncated);
  if (decision.kind() == Said::allow) {
    run.remarks.push_back(event(Kind::allowed, level, now, run.moment));
    return Turn::through;
  }
  if (decision.kind() == Said::block || run.moment.stream || run.used.count(*known))
    return refuse(run, level, errc::budget_exceeded);
  std::optional<Offer> changed;
  Event said;
  if (decision.kind() == Said::reroute) {
    const std::string& model = decision.model();
    if (model.empty() || model == now.model) return refuse(run, level, errc::budget_exceeded);
    if (!allows(model)) {
      (void)refuse(run, level, errc::price_unknown);
      run.judgement.unpriced = model;
      return Turn::decided;
    }
    changed = offer(model, now.open ? std::optional(least_ceiling(model)) : now.ceiling, now.open);
    said = event(Kind::downgraded, level, now, run.moment);
  } else {
    const std::int64_t ceiling = decision.max_output_tokens();
    if (request_.fixed_ceiling || ceiling < request_.least_ceiling || (now.ceiling && ceiling >= *now.ceiling))
      return refuse(run, level, errc::budget_exceeded);
    changed = offer(now.model, ceiling, false);
    said = event(Kind::clamped, level, now, run.moment);
  }
  if (!changed) return refuse(run, level, errc::overflow);
  run.used.insert(*known);
  return change(run, said, *changed);
}

inline Judge::Turn Judge::wait(Run& run, const Level& level, const outlay::Wait& policy) const {
  const auto later = [&](std::int64_t by) { return bounded(Wide{run.moment.now} + by); };
  const auto stood = run.memory.deadlines.find(level.budget);
  const std::int64_t until = stood == run.memory.deadlines.end() ? later(policy.timeout.count()) : stood->second;
  if (run.moment.now >= until) return Turn::pass;
  bool fits_alone = true, fits_empty = true;
  for (std::size_t d = 0; d < dimensions; ++d) {
    if (!level.cap[d]) continue;
    fits_empty &= run.offer.amounts[d] <= *level.cap[d];
    if (level.known != Level::Known::not_yet && run.offer.amounts[d] > 0)
      fits_alone &= Wide{level.spent[d]} + run.offer.amounts[d] <= Wide{*level.cap[d]};
  }
  const bool turns_in_time = level.turns_in != endless && later(level.turns_in) <= until;
  if (!fits_empty || (!fits_alone && !turns_in_time)) return Turn::pass;
  if (!run.memory.may_wait) {
    if (run.memory.ask_program) run.remarks.push_back(event(Kind::passed_wait, level, run.offer, run.moment));
    return Turn::pass;
  }
  run.judgement = {.kind = Judgement::Kind::wait, .offer = run.offer, .budget = level.budget, .until = until};
  return Turn::decided;
}

}  // namespace outlay_test::model
