// decide() against the model: random chains of budgets, requests and memories, one decision after the other.
#include <memory>
#include <sstream>

#include "core/call/decide.hpp"
#include "core/pricing/rates.hpp"
#include "support/dice.hpp"
#include "unit/core/call/decide_model.hpp"

using namespace outlay;
using outlay_test::Dice;
using outlay_test::model::Amount;
using outlay_test::model::Judge;
using outlay_test::model::Judgement;
using outlay_test::model::Level;
namespace model = outlay_test::model;

namespace {

constexpr std::size_t deepest = 5;

/// Models and their prices, for both sides.
struct Market {
  model::Tariffs tariffs{
      {"big", {.input = 3'000, .output = 15'000}},
      {"middle", {.input = 1'000, .output = 4'000, .most_output = 90}},
      {"small", {.input = 333, .output = 777, .request = 5}},
      {"fee", {.request = 400}},
      {"free", {}},
      {"big-2026-01-01", {.input = 3'000, .output = 15'000, .entry = "big"}},
      {"short", {.input = 500, .output = 500, .most_output = 12}},
  };
  std::vector<std::string> names{"big", "middle", "small", "fee", "free", "big-2026-01-01", "short", "unknown"};
  std::map<std::string, Price> prices;
  std::map<std::string, detail::PricedModel> priced;
  std::map<std::string, detail::ModelName> dictionary;

  Market() {
    for (const auto& [name, tariff] : tariffs) {
      Price& price = prices[name];
      price.rates = {.input = Rate::from_picos(tariff.input), .output = Rate::from_picos(tariff.output)};
      price.request = Usd::from_nanos(tariff.request);
      price.max_output_tokens = tariff.most_output;
      priced.emplace(name,
                     detail::PricedModel(tariff.entry.empty() ? name : tariff.entry, price, PriceRule::exact, false));
    }
    for (const std::string& name : names) dictionary[name] = {.text = name, .id = 7};
  }
  [[nodiscard]] detail::Model find(const std::string& name) const {
    const auto known = priced.find(name);
    return {&dictionary.at(name), known == priced.end() ? nullptr : &known->second};
  }
};
const Market& market() {
  static const Market one;
  return one;
}

/// Budgets by number, as decide() sees them: it never looks behind the pointer.
const detail::BudgetNode* budget(int number) {
  alignas(8) static const char places[deepest + 1][8] = {};
  return number < 0 ? nullptr : reinterpret_cast<const detail::BudgetNode*>(places[number]);
}
int number(const detail::BudgetNode* of) {
  for (int i = 0; i <= static_cast<int>(deepest); ++i)
    if (budget(i) == of) return i;
  return -1;
}

std::chrono::steady_clock::time_point at(std::int64_t nanoseconds) {
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(nanoseconds));
}

std::string event_text(const model::Event& event) {
  std::ostringstream text;
  text << "kind " << static_cast<int>(event.kind) << " budget " << event.budget << " dimension " << event.dimension
       << " projected " << event.projected << " cap " << event.cap << ' ' << event.model << " -> " << event.new_model
       << " ceiling " << event.ceiling.value_or(-1);
  return text.str();
}

/// Both answers as text, which is compared.
std::string event_text(const Judgement& judgement) {
  std::ostringstream text;
  const model::Offer& offer = judgement.offer;
  text << "kind " << static_cast<int>(judgement.kind) << ' ' << offer.model << " ceiling " << offer.ceiling.value_or(-1)
       << (offer.open ? " open" : "") << (offer.unbounded ? " unbounded" : "") << " output " << offer.output
       << " amounts";
  for (const std::int64_t amount : offer.amounts) text << ' ' << amount;
  if (judgement.kind != Judgement::Kind::admit) text << " budget " << judgement.budget;
  if (judgement.kind == Judgement::Kind::ask) text << " policy " << judgement.policy;
  if (judgement.kind == Judgement::Kind::refuse)
    text << " reason " << static_cast<int>(judgement.reason) << ' ' << judgement.unpriced;
  if (judgement.kind == Judgement::Kind::wait) text << " until " << judgement.until;
  if (judgement.kind == Judgement::Kind::admit)
    for (const model::Event& event : judgement.events) text << "\n  " << event_text(event);
  return text.str();
}

model::Offer to_offer(const detail::Quote& quote) {
  return {.model = quote.model.name->text,
          .ceiling = quote.ceiling == detail::Quote::no_ceiling ? std::nullopt : std::optional(quote.ceiling),
          .open = quote.open_ceiling,
          .unbounded = quote.unbounded,
          .output = quote.output,
          .amounts = quote.amounts};
}

Judgement to_judgement(const detail::Verdict& verdict, const detail::Notes& notes) {
  Judgement judgement{.kind = static_cast<Judgement::Kind>(verdict.kind),
                      .offer = to_offer(verdict.quote),
                      .budget = number(verdict.budget),
                      .policy = verdict.kind == detail::Verdict::Kind::ask ? verdict.policy : 0,
                      .reason = verdict.reason,
                      .unpriced = verdict.unpriced ? verdict.unpriced->text : std::string(),
                      .until = verdict.until.time_since_epoch().count()};
  if (verdict.kind != detail::Verdict::Kind::admit) return judgement;
  for (const detail::Note& note : notes)
    judgement.events.push_back(
        {.kind = note.kind,
         .budget = number(note.budget),
         .dimension = detail::index(note.dimension),
         .projected = note.projected,
         .cap = note.cap,
         .model = note.model->text,
         .new_model = note.new_model ? note.new_model->text : std::string(),
         .ceiling = note.ceiling == detail::Quote::no_ceiling ? std::nullopt : std::optional(note.ceiling)});
  return judgement;
}

/// A call in a chain of budgets, and what becomes of it: decided again and again as answers come, time passes and budgets change.
class Episode {
 public:
  explicit Episode(Dice& dice) : dice_(dice), judge_(levels_, request_, market().tariffs) {}

  /// Fails by returning a text. Adds to `decisions`.
  std::string go(int& decisions) {
    make_request();
    make_options();
    if (!make_quote()) return wrong_;
    make_numbers();
    make_memory();
    // Once more than there are answers to be given.
    for (int turn = 0; turn < 40 && wrong_.empty(); ++turn, ++decisions) {
      const Judgement expected = judge_.judge(first_, memory_, moment_);
      const Judgement found = decided();
      if (expected != found) {
        wrong_ = "decided differently:\n" + event_text(found) + "\nand by the model:\n" + event_text(expected) + '\n' +
                 world();
        return wrong_;
      }
      switch (expected.kind) {
        case Judgement::Kind::ask:
          answer(expected);
          break;
        case Judgement::Kind::wait:
          wait(expected);
          break;
        case Judgement::Kind::admit:
          if (dice_.chance(70) || !go_on(expected)) return wrong_;
          break;
        case Judgement::Kind::refuse:
          return wrong_;
      }
    }
    return wrong_;
  }

 private:
  void make_request() {
    request_.model = dice_.chance(50) ? "big" : dice_.one_of(market().names);
    request_.input = dice_.between(0, 40);
    if (dice_.chance(55)) request_.ceiling = dice_.between(0, 60);
    if (dice_.chance(25)) request_.choices = dice_.between(2, 3);
    if (dice_.chance(8)) request_.flat = dice_.between(0, 900);
    if (dice_.chance(25)) request_.least_ceiling = dice_.between(1, 20);
    request_.fixed_ceiling = dice_.chance(10);
  }

  Policy random_policy(bool last) {
    switch (dice_.between(0, last ? 7 : 3)) {
      case 0:
        return random_downgrade();
      case 1: {
        Clamp clamp{.min_output_tokens = dice_.chance(60) ? 1 : dice_.between(1, 20)};
        if (dice_.chance(30)) clamp.max_output_tokens = clamp.min_output_tokens + dice_.between(0, 40);
        return clamp;
      }
      case 2:
        return Callback{};
      case 3:
        return Wait{.timeout = std::chrono::nanoseconds(dice_.chance(10) ? INT64_MAX : dice_.between(1, 100))};
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
  Downgrade random_downgrade() {
    Downgrade downgrade;
    const std::vector<Downgrade::Route> routes{{"big", "middle"}, {"middle", "small"}, {"small", "short"},
                                               {"short", "free"}, {"fee", "small"},    {"free", "fee"}};
    for (const Downgrade::Route& route : routes)
      if (dice_.chance(60) && (route.from != "free" || downgrade.map.empty())) downgrade.map.push_back(route);
    if (dice_.chance(10)) downgrade.map.insert(downgrade.map.begin(), {"big-2026-01-01", "free"});
    if (downgrade.map.empty()) downgrade.map.push_back(routes[0]);
    if (dice_.chance(20)) std::swap(downgrade.map.front(), downgrade.map.back());
    return downgrade;
  }

  void make_options() {
    const auto depth = static_cast<std::size_t>(dice_.between(1, dice_.chance(80) ? 3 : deepest));
    levels_.resize(depth);
    for (std::size_t i = 0; i < depth; ++i) {
      Level& level = levels_[i];
      level.budget = static_cast<int>(i);
      std::vector<Policy> policies;
      bool waits = false;
      const std::int64_t count = dice_.chance(25) ? 0 : dice_.between(1, 4);
      for (std::int64_t n = 1; n <= count; ++n) {
        Policy policy = random_policy(n == count);
        if (std::exchange(waits, waits || std::holds_alternative<Wait>(policy)) && std::holds_alternative<Wait>(policy))
          continue;
        policies.push_back(std::move(policy));
      }
      BudgetOptions& options = level.options;
      if (policies.size() == 1) options.on_exceed = Policies({policies[0]});
      if (policies.size() == 2) options.on_exceed = Policies({policies[0], policies[1]});
      if (policies.size() == 3) options.on_exceed = Policies({policies[0], policies[1], policies[2]});
      if (policies.size() == 4) options.on_exceed = Policies({policies[0], policies[1], policies[2], policies[3]});
      if (dice_.chance(50)) options.output_reserve = dice_.between(0, 40);
      if (dice_.chance(15)) options.reasoning_reserve = dice_.between(0, 20);
      if (dice_.chance(30)) options.unbounded = static_cast<Unbounded>(dice_.between(0, dice_.chance(10) ? 3 : 2));
      if (dice_.chance(90))
        options.unpriced =
            dice_.chance(50) ? Unpriced::ignore() : Unpriced::assume(Usd::from_nanos(1'000 * dice_.between(1, 20'000)));
      if (dice_.chance(60)) options.usd = Usd::from_nanos(1);
    }
  }

  /// The first quote, by the terms of the chain.
  bool make_quote() {
    for (auto level = levels_.rbegin(); level != levels_.rend(); ++level)
      terms_.push_back(detail::Terms::inside(terms_.empty() ? nullptr : &terms_.back(), level->options));
    const CallRequest request{.model = request_.model,
                              .input_tokens = request_.input,
                              .max_output_tokens = request_.ceiling,
                              .choices = request_.choices,
                              .usd = request_.flat ? std::optional(Usd::from_nanos(*request_.flat)) : std::nullopt,
                              .min_output_tokens = request_.least_ceiling,
                              .fixed_ceiling = request_.fixed_ceiling};
    const bool observing = dice_.chance(5);
    const errc wrong =
        detail::Quote::of(request, request_.input, market().find(request_.model), terms_.back(), observing, quote_);
    if (wrong != judge_.first_offer(observing, first_))
      return wrong_ = "the request is refused differently\n" + world(), false;
    if (wrong != errc::ok && dice_.chance(90)) return false;
    if (to_offer(quote_) != first_) return wrong_ = "the request is quoted differently\n" + world(), false;
    return true;
  }

  /// What some form of the call would hold in a dimension: numbers that are worth being near to.
  std::int64_t some_amount(std::size_t d) {
    if (d >= 4) return 1;
    if (dice_.chance(40)) return first_.amounts[d];
    const std::string name = dice_.chance(60) ? first_.model : dice_.one_of(market().names);
    const auto ceiling = dice_.chance(40) ? first_.ceiling : std::optional(dice_.between(0, 60));
    return judge_.offer(name, ceiling, false).value_or(first_).amounts[d];
  }
  void make_numbers() {
    const bool one_in_the_way = dice_.chance(30);  // then the others have room
    const auto which = static_cast<std::size_t>(dice_.between(0, static_cast<std::int64_t>(levels_.size()) - 1));
    for (std::size_t i = 0; i < levels_.size(); ++i) {
      Level& level = levels_[i];
      const int tight = one_in_the_way ? (i == which ? 90 : 3) : 35;
      for (std::size_t d = 0; d < model::dimensions; ++d) {
        level.reserved[d] = dice_.between(0, d < 1 ? 2'000 : d < 4 ? 40 : 2);
        level.spent[d] = d == 5 ? 0 : dice_.between(0, d < 1 ? 2'000 : d < 4 ? 40 : 2);
        if (d == 0 ? !level.options.usd : !dice_.chance(30)) continue;
        if (dice_.chance(3)) level.spent[d] = -level.spent[d];  // after a refund
        const std::int64_t used = level.spent[d] + level.reserved[d];
        if (!dice_.chance(tight))
          level.cap[d] = used + 10'000'000;
        else if (dice_.chance(12))
          level.cap[d] = used - dice_.between(0, 1);
        else
          level.cap[d] = used + some_amount(d) + (dice_.chance(50) ? 0 : dice_.between(-1, 1));
        level.cap[d] = std::max<std::int64_t>(d == 0 ? 0 : 1, *level.cap[d]);
      }
      const auto d = static_cast<std::size_t>(dice_.between(0, 4));
      if (level.cap[d] && dice_.chance(4)) {  // at the end of what can be counted
        level.spent[d] = INT64_MAX - level.reserved[d] - dice_.between(0, 20);
      }
      if (dice_.chance(20)) level.known = static_cast<Level::Known>(dice_.between(1, 3));
      if (dice_.chance(20)) level.turns_in = dice_.between(1, 100);
      level.closed = dice_.chance(1);
      level.others_wait = dice_.chance(4);
      level.in_callback = dice_.chance(4);
    }
  }

  void make_memory() {
    memory_.may_wait = dice_.chance(85);
    memory_.ask_program = dice_.chance(95);
    real_memory_.may_wait = memory_.may_wait;
    real_memory_.ask_program = memory_.ask_program;
    for (const std::string& name : market().names) real_memory_.models.add(market().find(name));
    if (dice_.chance(3))  // others that were asked and answered
      for (std::int64_t n = dice_.between(28, 32); n > 0; --n)
        remember({.budget = static_cast<int>(deepest), .model = "big", .ceiling = n, .decision = Decision::allow()});
    moment_.now = dice_.between(0, 100);
  }

  void remember(const model::Answer& given) {
    memory_.answers.push_back(given);
    detail::Answer answer{.budget = budget(given.budget),
                          .policy = given.policy,
                          .stream = given.stream,
                          .model = &market().dictionary.at(given.model),
                          .ceiling = given.ceiling.value_or(detail::Quote::no_ceiling),
                          .kind = given.decision.kind(),
                          .max_output_tokens = given.decision.max_output_tokens()};
    if (answer.kind == Decision::Kind::reroute) answer.reroute = market().find(given.decision.model());
    real_memory_.answers.push_back(answer);
  }
  void answer(const Judgement& asked) {
    const auto decision = [&]() {
      switch (dice_.between(0, 11)) {
        case 0:
          return Decision::block();
        case 1:
          return Decision::truncate();
        case 2:
        case 3:
          return Decision::allow();
        case 4:
        case 5:
          return Decision::next();
        case 6:
        case 7:
        case 8:
          return Decision::reroute(dice_.one_of(market().names));
        default:
          return Decision::clamp(dice_.chance(30) ? asked.offer.ceiling.value_or(30) - dice_.between(0, 1)
                                                  : dice_.between(1, 50));
      }
    };
    remember({.budget = asked.budget,
              .policy = asked.policy,
              .stream = moment_.stream,
              .model = asked.offer.model,
              .ceiling = asked.offer.ceiling,
              .decision = decision()});
    if (dice_.chance(10)) change_numbers();
  }

  void wait(const Judgement& waits) {
    if (memory_.deadlines.emplace(waits.budget, waits.until).second)
      real_memory_.stood.push_back({budget(waits.budget), at(waits.until)});
    moment_.now = dice_.chance(70) ? waits.until : std::min(waits.until, moment_.now + dice_.between(0, 30));
    if (dice_.chance(50)) change_numbers();
  }

  /// Other calls of the same budgets.
  void change_numbers() {
    Level& level = levels_[static_cast<std::size_t>(dice_.between(0, static_cast<std::int64_t>(levels_.size()) - 1))];
    const auto d = static_cast<std::size_t>(dice_.between(0, 5));
    if (dice_.chance(30) && level.cap[d])
      level.cap[d] = model::bounded(model::Wide{*level.cap[d]} + dice_.between(0, 500));
    else if (level.spent[d] < 1'000'000)
      level.reserved[d] = dice_.between(0, level.reserved[d]);
    level.others_wait = dice_.chance(4);
  }

  /// An admitted call goes on as a stream that needs more. False: it cannot.
  bool go_on(const Judgement& admitted) {
    if (admitted.offer.output > 1'000'000) return false;
    const std::int64_t output = admitted.offer.output + dice_.between(1, 60);
    const std::optional<detail::Quote> more = admitted_.with_output(output);
    if (!more) return false;
    first_ = judge_.longer(admitted.offer, output);
    first_.open = false;
    quote_ = *more;
    if (to_offer(quote_) != first_) wrong_ = "a stream is quoted differently\n" + world();
    moment_.stream = true;
    moment_.held = admitted.offer.amounts;
    memory_.may_wait = real_memory_.may_wait = false;
    if (dice_.chance(50)) change_numbers();
    // The budgets hold the call, or one that is about as large.
    for (Level& level : levels_)
      for (std::size_t d = 0; d < model::dimensions; ++d)
        if (dice_.chance(60) && level.reserved[d] < 1'000'000 && level.spent[d] < 1'000'000)
          level.reserved[d] += moment_.held[d];
    return true;
  }

  Judgement decided() {
    std::vector<detail::Counter> counters;
    counters.reserve(levels_.size());
    std::vector<detail::BudgetView> views;
    for (const Level& level : levels_) {
      detail::Vector cap = detail::no_caps;
      for (std::size_t d = 0; d < model::dimensions; ++d) cap[d] = level.cap[d].value_or(detail::no_cap);
      counters.push_back(detail::Counter::of(level.spent, level.reserved, cap));
      views.push_back({.budget = budget(level.budget),
                       .counter = &counters.back(),
                       .policies = level.options.on_exceed.chain() ? std::span<const Policy>(level.policies())
                                                                   : std::span<const Policy>(),
                       .turns_in = std::chrono::nanoseconds(level.turns_in),
                       .source = static_cast<detail::Source>(level.known),
                       .enforces = level.enforces(),
                       .clamps = level.has<Clamp>(),
                       .opens_at_once = level.opens_at_once(),
                       .closed = level.closed,
                       .line_ahead = level.others_wait,
                       .in_callback = level.in_callback});
    }
    const detail::Moment moment{.stream = moment_.stream, .held = moment_.held, .now = at(moment_.now)};
    const detail::Verdict verdict = detail::decide(views, quote_, real_memory_, moment, notes_);
    admitted_ = verdict.quote;
    return to_judgement(verdict, notes_);
  }

  /// Everything that was decided about.
  std::string world() const {
    std::ostringstream text;
    text << "request " << request_.model << " input " << request_.input << " ceiling " << request_.ceiling.value_or(-1)
         << " choices " << request_.choices << " flat " << request_.flat.value_or(-1) << " least "
         << request_.least_ceiling << (request_.fixed_ceiling ? " fixed" : "") << (moment_.stream ? " stream" : "")
         << " now " << moment_.now << (memory_.may_wait ? "" : " may not wait")
         << (memory_.ask_program ? "" : " asks no program") << "\nheld";
    for (const std::int64_t amount : moment_.held) text << ' ' << amount;
    for (const Level& level : levels_) {
      text << "\nbudget " << level.budget << " known " << static_cast<int>(level.known) << " turns in "
           << level.turns_in << (level.closed ? " closed" : "") << (level.others_wait ? " others wait" : "")
           << (level.in_callback ? " in its callback" : "") << " reserve " << level.options.output_reserve.value_or(-1)
           << '+' << level.options.reasoning_reserve.value_or(0) << " unbounded "
           << static_cast<int>(level.options.unbounded) << " unpriced "
           << static_cast<int>(level.options.unpriced.kind()) << "\n ";
      for (std::size_t d = 0; d < model::dimensions; ++d)
        text << ' ' << level.spent[d] << '+' << level.reserved[d] << '/' << level.cap[d].value_or(-1);
      text << "\n  policies";
      for (const Policy& policy : level.policies()) {
        text << ' ' << policy.index();
        if (const auto* clamp = std::get_if<Clamp>(&policy))
          text << '(' << clamp->min_output_tokens << ".." << clamp->max_output_tokens.value_or(-1) << ')';
        if (const auto* downgrade = std::get_if<Downgrade>(&policy))
          for (const Downgrade::Route& route : downgrade->map) text << '(' << route.from << "->" << route.to << ')';
      }
    }
    for (const model::Answer& answer : memory_.answers)
      text << "\nanswer of " << answer.budget << '.' << answer.policy << " about " << answer.model << ' '
           << answer.ceiling.value_or(-1) << ": " << static_cast<int>(answer.decision.kind()) << ' '
           << answer.decision.model() << ' ' << answer.decision.max_output_tokens();
    return text.str();
  }

  Dice& dice_;
  std::string wrong_;
  model::Request request_;
  model::Chain levels_;
  Judge judge_;
  model::Offer first_;
  model::Memory memory_;
  model::Moment moment_;
  std::deque<detail::Terms> terms_;
  detail::Quote quote_, admitted_;
  detail::Memory real_memory_;
  detail::Notes notes_;
};

/// \return What went wrong in some thousands of decisions.
std::string decide_at_random(std::uint64_t seed) {
  Dice dice(seed);
  for (int decisions = 0; decisions < 5'000;) {
    const std::string wrong = Episode(dice).go(decisions);
    if (!wrong.empty()) return wrong + "\nafter " + std::to_string(decisions) + " decisions";
  }
  return {};
}

}  // namespace

TEST_CASE("decide: random decisions agree with the model", "[core][decide][property]") {
  // 5,000 decisions each: OUTLAY_TEST_RUNS=2000 makes ten million.
  outlay_test::for_each_seed(20, decide_at_random);
}
