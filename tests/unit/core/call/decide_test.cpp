// The table of policies, case by case: decide() on chains made by hand, without a tree, a clock or a ledger.
#include <deque>

#include "core/call/decide.hpp"
#include "core/pricing/rates.hpp"
#include "support/catch.hpp"

using namespace outlay;
using namespace std::chrono_literals;
using detail::BudgetView;
using detail::Note;
using detail::Source;
using detail::Verdict;

namespace {

constexpr std::size_t usd = 0, tokens = 1, output_tokens = 3, calls = 4;

/// A model that costs so many nano-dollars a token.
struct Known {
  Known(const char* text, std::int64_t nanos, std::optional<std::int64_t> most_output = {})
      : name{.text = text, .id = 9}, price(at(nanos, most_output)), priced(text, price, PriceRule::exact, false) {}
  detail::Model model() const { return {&name, &priced}; }
  static Price at(std::int64_t nanos, std::optional<std::int64_t> most_output) {
    Price price;
    price.rates = {.input = Rate::from_picos(nanos * 1'000), .output = Rate::from_picos(nanos * 1'000)};
    price.max_output_tokens = most_output;
    return price;
  }

  const detail::ModelName name;
  const Price price;
  const detail::PricedModel priced;
};
const Known large("large", 10, 100), middle("middle", 5), small("small", 1);
const detail::ModelName no_price{.text = "no price", .id = 9};

/// Budgets, the innermost first, and one call in them.
struct Chain {
  /// A budget that has used and caps so much in one dimension.
  BudgetView& budget(std::vector<Policy> policies, std::size_t d, std::int64_t used, std::int64_t cap) {
    policies_.push_back(std::move(policies));
    counters.emplace_back();
    counters.back().used[d] = used;
    counters.back().cap[d] = cap;
    const std::vector<Policy>& chain = policies_.back();
    const auto lets_through = [](const Policy& policy) {
      return std::holds_alternative<Warn>(policy) || std::holds_alternative<Raise>(policy);
    };
    const auto is_clamp = [](const Policy& policy) { return std::holds_alternative<Clamp>(policy); };
    alignas(8) static const char places[8 * 8] = {};
    views.push_back({.budget = reinterpret_cast<const detail::BudgetNode*>(&places[8 * views.size()]),
                     .policies = chain,
                     .enforces = std::none_of(chain.begin(), chain.end(), lets_through),
                     .clamps = std::any_of(chain.begin(), chain.end(), is_clamp),
                     .opens_at_once = !chain.empty() && lets_through(chain.front())});
    terms.clamps |= views.back().clamps;
    return views.back();
  }
  /// A call with 10 tokens in and a ceiling of 10: 200 nano-dollars by `large`.
  void call(std::optional<std::int64_t> ceiling = 10, const CallRequest& like = {}) {
    CallRequest request = like;
    request.max_output_tokens = ceiling;
    REQUIRE(detail::Quote::of(request, 10, large.model(), terms, false, quote) == errc::ok);
  }
  void stream(std::int64_t output) {
    call(std::nullopt);
    moment.stream = true;
    moment.held = quote.amounts;
    quote = *quote.with_output(output);
  }
  const Verdict& decide() {
    for (std::size_t i = 0; i < views.size(); ++i) views[i].counter = &counters[i];
    return verdict = detail::decide(views, quote, memory, moment, notes);
  }
  void answer(const Decision& decision, const Known& to = small) {
    memory.answers.push_back({.budget = verdict.budget,
                              .policy = verdict.policy,
                              .stream = moment.stream,
                              .model = verdict.quote.model.name,
                              .ceiling = verdict.quote.ceiling,
                              .kind = decision.kind(),
                              .reroute = to.model(),
                              .max_output_tokens = decision.max_output_tokens()});
  }
  [[nodiscard]] bool refused(errc reason, std::size_t by = 0) const {
    return verdict.kind == Verdict::Kind::refuse && verdict.reason == reason && verdict.budget == views[by].budget;
  }
  [[nodiscard]] bool admitted() const { return verdict.kind == Verdict::Kind::admit; }
  [[nodiscard]] std::vector<Note::Kind> said() const {
    std::vector<Note::Kind> kinds;
    for (const Note& note : notes) kinds.push_back(note.kind);
    return kinds;
  }

  std::deque<detail::Counter> counters;
  std::vector<BudgetView> views;
  detail::Terms terms{.output_reserve = 10, .reserve_chosen = true};
  detail::Quote quote;
  detail::Memory memory;
  detail::Moment moment;
  detail::Notes notes;
  Verdict verdict;

 private:
  std::deque<std::vector<Policy>> policies_;
};

using Said = std::vector<Note::Kind>;
const Callback program{};
constexpr auto exceeded = errc::budget_exceeded;

}  // namespace

TEST_CASE("decide: an exact hit fits, and one more does not", "[core][decide]") {
  for (std::size_t d = 0; d < detail::dimension_count; ++d) {
    Chain chain;
    chain.budget({}, d, 1'000, 0);
    chain.call();
    chain.counters[0].cap[d] = 1'000 + chain.quote.amounts[d];
    chain.decide();
    CHECK(chain.admitted());
    CHECK(chain.notes.empty());
    --chain.counters[0].cap[d];
    chain.decide();
    CHECK(chain.refused(exceeded));
  }
}

TEST_CASE("decide: budgets are asked from the innermost outward", "[core][decide]") {
  Chain chain;
  chain.budget({Warn{}}, usd, 0, 100);
  chain.budget({Truncate{}}, usd, 0, 100);
  chain.budget({}, usd, 0, 100);
  chain.call();
  chain.decide();
  CHECK(chain.refused(errc::truncated, 1));
}

TEST_CASE("decide: Block and no policy at all refuse calls and streams", "[core][decide]") {
  for (const bool said : {false, true}) {
    Chain chain;
    chain.budget(said ? std::vector<Policy>{Block{}} : std::vector<Policy>{}, usd, 0, 199);
    chain.call();
    chain.decide();
    CHECK(chain.refused(exceeded));
    chain.stream(20);
    chain.decide();
    CHECK(chain.admitted());  // 100 more
    chain.stream(31);
    chain.counters[0].cap[usd] = 209;
    chain.decide();
    CHECK(chain.refused(exceeded));
  }
}

TEST_CASE("decide: Truncate refuses calls and streams quietly", "[core][decide]") {
  Chain chain;
  chain.budget({Truncate{}}, usd, 0, 100);
  chain.call();
  chain.decide();
  CHECK(chain.refused(errc::truncated));
  chain.stream(31);
  chain.decide();
  CHECK(chain.refused(errc::truncated));
}

TEST_CASE("decide: Warn lets calls and streams through, and says so", "[core][decide]") {
  Chain chain;
  chain.budget({Warn{}}, usd, 50, 100);
  chain.call();
  chain.decide();
  CHECK(chain.admitted());
  REQUIRE(chain.said() == Said{Note::Kind::warned});
  CHECK(chain.notes[0].projected == 250);
  CHECK(chain.notes[0].cap == 100);
  chain.stream(31);
  chain.decide();
  CHECK(chain.admitted());
  REQUIRE(chain.said() == Said{Note::Kind::warned});
  CHECK(chain.notes[0].projected == 260);
}

TEST_CASE("decide: Raise lets a call through below the cap, and cuts streams", "[core][decide]") {
  Chain chain;
  chain.budget({Raise{}}, usd, 99, 100);
  chain.call();
  chain.decide();
  CHECK(chain.admitted());
  CHECK(chain.said() == Said{Note::Kind::below});
  chain.counters[0].used[usd] = 100;
  chain.decide();
  CHECK(chain.refused(exceeded));
  chain.counters[0].used[usd] = 0;
  chain.stream(31);
  chain.decide();
  CHECK(chain.refused(exceeded));
}

TEST_CASE("decide: Downgrade takes the first model along its map that is cheaper and fits", "[core][decide]") {
  const Downgrade map{{{"large", "middle"}, {"middle", "small"}}};
  Chain chain;
  chain.budget({map, Warn{}}, usd, 0, 100);
  chain.memory.models.add(middle.model());
  chain.memory.models.add(small.model());
  chain.call();
  chain.decide();
  CHECK(chain.verdict.quote.model.name == &middle.name);
  REQUIRE(chain.said() == Said{Note::Kind::downgraded});
  CHECK(chain.notes[0].model == &large.name);
  CHECK(chain.notes[0].new_model == &middle.name);
  chain.counters[0].cap[usd] = 99;
  chain.decide();
  CHECK(chain.verdict.quote.model.name == &small.name);
  chain.counters[0].cap[usd] = 19;  // none: the original goes on
  chain.decide();
  CHECK(chain.said() == Said{Note::Kind::warned});
  CHECK(chain.verdict.quote.model.name == &large.name);
  chain.stream(31);
  chain.decide();
  CHECK(chain.said() == Said{Note::Kind::warned});
}

TEST_CASE("decide: Downgrade saves money only", "[core][decide]") {
  Chain chain;
  chain.budget({Downgrade{{{"large", "small"}}}}, tokens, 0, 19);
  chain.memory.models.add(small.model());
  chain.call();
  chain.decide();
  CHECK(chain.refused(exceeded));
}

TEST_CASE("decide: Clamp sets the largest ceiling that fits, and is skipped for streams", "[core][decide]") {
  Chain chain;
  chain.budget({Clamp{.min_output_tokens = 7}}, usd, 0, 179);
  chain.call();
  chain.decide();
  CHECK(chain.admitted());
  CHECK(chain.verdict.quote.ceiling == 7);
  REQUIRE(chain.said() == Said{Note::Kind::clamped});
  CHECK(chain.notes[0].ceiling == 7);
  CHECK(chain.notes[0].projected == 200);
  chain.counters[0].cap[usd] = 169;  // below its minimum
  chain.decide();
  CHECK(chain.refused(exceeded));
  chain.counters[0].cap[usd] = 99;  // not even the input
  chain.decide();
  CHECK(chain.refused(exceeded));
  chain.stream(31);
  chain.decide();
  CHECK(chain.refused(exceeded));
}

TEST_CASE("decide: Clamp counts every choice, and what its options and the request allow", "[core][decide]") {
  Chain chain;
  chain.budget({Clamp{.min_output_tokens = 1}}, output_tokens, 0, 20);
  chain.call(10, {.choices = 3});
  CHECK(chain.decide().quote.ceiling == 6);
  chain.call(30, {.min_output_tokens = 21});
  chain.decide();
  CHECK(chain.refused(exceeded));
  chain.call(30, {.fixed_ceiling = true});
  chain.decide();
  CHECK(chain.refused(exceeded));
  Chain small_ones;
  small_ones.budget({Clamp{.min_output_tokens = 1, .max_output_tokens = 4}}, output_tokens, 0, 20);
  small_ones.call(20);
  CHECK(small_ones.decide().quote.ceiling == 20);  // the caller's, which fits
  small_ones.call(21);
  CHECK(small_ones.decide().quote.ceiling == 4);
}

TEST_CASE("decide: Clamp looks outward, at budgets that enforce", "[core][decide]") {
  for (const bool enforces : {true, false}) {
    Chain chain;
    chain.budget({Clamp{.min_output_tokens = 1}}, usd, 0, 1'000);
    chain.budget(enforces ? std::vector<Policy>{} : std::vector<Policy>{Warn{}}, tokens, 5, 20);
    chain.call();
    chain.decide();
    CHECK(chain.admitted());
    if (enforces) {
      CHECK(chain.verdict.quote.ceiling == 5);
      REQUIRE(chain.said() == Said{Note::Kind::clamped});
      CHECK(chain.notes[0].budget == chain.views[0].budget);
      CHECK(chain.notes[0].dimension == Dimension::tokens);
      CHECK(chain.notes[0].projected == 25);
    } else {
      CHECK(chain.said() == Said{Note::Kind::warned});
    }
  }
}

TEST_CASE("decide: after a change the whole chain is asked again", "[core][decide]") {
  Chain chain;
  chain.budget({Warn{}}, usd, 0, 150);
  chain.budget({Clamp{.min_output_tokens = 1}}, usd, 0, 140);
  chain.call();
  chain.decide();
  CHECK(chain.admitted());
  CHECK(chain.said() == Said{Note::Kind::clamped});  // the warning was about the call as it was
  chain.counters[0].cap[usd] = 130;
  chain.decide();
  CHECK(chain.said() == Said{Note::Kind::clamped, Note::Kind::warned});
}

TEST_CASE("decide: a Callback is asked once a model and ceiling, and its answer stands", "[core][decide]") {
  Chain chain;
  chain.budget({program, Truncate{}}, usd, 0, 100);
  chain.call();
  for (const bool stream : {false, true}) {
    if (stream) chain.stream(31);
    const std::size_t before = chain.memory.answers.size();
    CHECK(chain.decide().kind == Verdict::Kind::ask);
    CHECK(chain.verdict.policy == 0);
    chain.answer(Decision::allow());
    chain.decide();
    CHECK(chain.admitted());
    CHECK(chain.said() == Said{Note::Kind::allowed});
    detail::Answer& answer = chain.memory.answers[before];
    answer.kind = Decision::Kind::next;
    chain.decide();
    CHECK(chain.refused(errc::truncated));
    answer.kind = Decision::Kind::truncate;
    chain.decide();
    CHECK(chain.refused(errc::truncated));
    answer.kind = Decision::Kind::block;
    chain.decide();
    CHECK(chain.refused(exceeded));
    answer.kind = Decision::Kind::reroute;
    chain.decide();
    CHECK(chain.admitted() == !stream);
    answer.kind = Decision::Kind::clamp;
    answer.max_output_tokens = 0;
    chain.decide();
    CHECK(chain.refused(exceeded));
  }
}

TEST_CASE("decide: an answer that leads here again, or changes nothing, is a block", "[core][decide]") {
  Chain chain;
  chain.budget({program}, usd, 0, 15);
  chain.call();
  chain.decide();
  chain.answer(Decision::reroute("small"));
  CHECK(chain.decide().kind == Verdict::Kind::ask);  // about the other model
  CHECK(chain.verdict.quote.model.name == &small.name);
  chain.answer(Decision::reroute("large"), large);
  chain.decide();
  CHECK(chain.refused(exceeded));
  chain.memory.answers.pop_back();
  chain.decide();
  chain.answer(Decision::reroute("small"));
  chain.decide();
  CHECK(chain.refused(exceeded));
  chain.memory.answers[0].kind = Decision::Kind::clamp;
  chain.memory.answers[0].max_output_tokens = 10;  // the ceiling that it has
  chain.decide();
  CHECK(chain.refused(exceeded));
}

TEST_CASE("decide: a model without a price needs leave under a cap on money", "[core][decide]") {
  Chain chain;
  chain.budget({program}, usd, 0, 100);
  chain.call();
  chain.decide();
  chain.answer(Decision::reroute("no price"));
  chain.memory.answers[0].reroute = {&no_price, nullptr};
  chain.decide();
  CHECK(chain.admitted());
  chain.terms.caps_money = true;
  chain.decide();
  CHECK(chain.refused(errc::price_unknown));
  CHECK(chain.verdict.unpriced == &no_price);
}

TEST_CASE("decide: after 32 answers a Callback is a block", "[core][decide]") {
  Chain chain;
  chain.budget({program, Warn{}}, usd, 0, 1);
  chain.call(100);
  for (std::size_t asked = 0; asked < detail::Memory::max_answers; ++asked) {
    REQUIRE(chain.decide().kind == Verdict::Kind::ask);
    chain.answer(Decision::clamp(99 - static_cast<std::int64_t>(asked)));
  }
  chain.decide();
  CHECK(chain.refused(exceeded));
}

TEST_CASE("decide: inside its own callback a budget asks no policy", "[core][decide]") {
  Chain chain;
  chain.budget({Warn{}}, usd, 0, 100).in_callback = true;
  chain.call();
  chain.decide();
  CHECK(chain.refused(exceeded));
}

TEST_CASE("decide: a call that may not ask the program passes over its callbacks", "[core][decide]") {
  Chain chain;
  chain.budget({program, Truncate{}}, usd, 0, 100);
  chain.call();
  chain.memory.ask_program = false;
  chain.decide();
  CHECK(chain.refused(errc::truncated));
}

TEST_CASE("decide: a closed budget refuses calls, and streams go on", "[core][decide]") {
  Chain chain;
  chain.budget({Warn{}}, usd, 0, 1'000);
  chain.budget({}, usd, 0, 1'000).closed = true;
  chain.call();
  chain.decide();
  CHECK(chain.refused(errc::closed_to_new_calls, 1));
  chain.stream(31);
  chain.decide();
  CHECK(chain.admitted());
}

TEST_CASE("decide: no call overtakes those that wait, and streams do", "[core][decide]") {
  Chain chain;
  chain.budget({Clamp{.min_output_tokens = 1}, Wait{.timeout = 10ns}, Truncate{}}, usd, 0, 1'000).line_ahead = true;
  chain.call();
  CHECK(chain.decide().kind == Verdict::Kind::wait);
  chain.memory.stood.push_back({chain.verdict.budget, chain.verdict.until});
  chain.moment.now = chain.verdict.until;
  chain.decide();
  CHECK(chain.refused(errc::truncated));
  chain.stream(31);
  chain.decide();
  CHECK(chain.admitted());
}

TEST_CASE("decide: Wait waits where waiting can help, and has one deadline a budget", "[core][decide]") {
  Chain chain;
  BudgetView& budget = chain.budget({Wait{.timeout = 10ns}, Warn{}}, usd, 100, 200);
  chain.counters[0].held[usd] = 100;
  chain.call();
  CHECK(chain.decide().kind == Verdict::Kind::wait);
  CHECK(chain.verdict.until == chain.moment.now + 10ns);
  const auto first = chain.verdict.until;
  chain.memory.stood.push_back({budget.budget, first});
  chain.moment.now += 9ns;
  CHECK(chain.decide().until == first);
  chain.moment.now += 1ns;
  chain.decide();
  CHECK(chain.said() == Said{Note::Kind::warned});

  chain.memory.stood.clear();
  chain.counters[0].held[usd] = 99;  // 1 is spent: it will never fit
  chain.decide();
  CHECK(chain.said() == Said{Note::Kind::warned});
  budget.turns_in = 10ns;  // but for the next window
  CHECK(chain.decide().kind == Verdict::Kind::wait);
  budget.turns_in = 11ns;
  chain.decide();
  CHECK(chain.said() == Said{Note::Kind::warned});

  chain.counters[0].held[usd] = 100;
  chain.memory.may_wait = false;
  chain.decide();
  CHECK(chain.said() == Said{Note::Kind::passed_wait, Note::Kind::warned});
  chain.stream(51);
  chain.decide();
  CHECK(chain.said() == Said{Note::Kind::warned});
}

TEST_CASE("decide: a store that was not asked is believed to have room, and one that holds the call has",
          "[core][decide]") {
  Chain chain;
  BudgetView& budget = chain.budget({}, usd, 0, 100);
  chain.call();
  for (const Source source : {Source::unasked, Source::granted}) {
    budget.source = source;
    chain.decide();
    CHECK(chain.admitted());
    budget.line_ahead = true;
    chain.decide();
    CHECK(chain.admitted() == (source == Source::granted));
    budget.line_ahead = false;
  }
  budget.source = Source::answered;
  chain.decide();
  CHECK(chain.refused(exceeded));
}

TEST_CASE("decide: an open ceiling is the largest that asks no policy", "[core][decide]") {
  Chain chain;
  chain.budget({Clamp{}}, usd, 0, 1'000'000);
  chain.budget({}, tokens, 0, 60);
  chain.budget({Warn{}}, tokens, 0, 30);  // does not bound it
  chain.call(std::nullopt);
  CHECK(chain.decide().quote.ceiling == 50);
  REQUIRE(chain.said() == Said{Note::Kind::warned, Note::Kind::clamped});
  CHECK(chain.notes[1].budget == chain.views[0].budget);
  CHECK(chain.notes[1].dimension == Dimension::tokens);
  CHECK(chain.notes[1].projected == 61);
  CHECK(chain.notes[1].cap == 60);
  chain.counters[1].cap[tokens] = 1'000;
  CHECK(chain.decide().quote.ceiling == 100);  // what the model writes at most
  CHECK(chain.said() == Said{Note::Kind::warned});
  chain.counters[1].cap[tokens] = 15;  // less than the reserve: the policies decide
  chain.decide();
  CHECK(chain.refused(exceeded, 1));
}

TEST_CASE("decide: what is let through must be countable", "[core][decide]") {
  Chain chain;
  chain.budget({Warn{}}, calls, INT64_MAX - 1, 5);
  chain.call();
  chain.decide();
  CHECK(chain.admitted());
  ++chain.counters[0].used[calls];
  chain.decide();
  CHECK(chain.refused(exceeded));
}

TEST_CASE("decide: Clamp finds no room in a budget that is at the end of what can be counted", "[core][decide]") {
  Chain chain;
  chain.budget({Clamp{.min_output_tokens = 1}}, tokens, INT64_MAX - 5, 5);
  chain.call();
  chain.decide();
  CHECK(chain.refused(exceeded));
}
