#include "core/call/policies.hpp"

#include <algorithm>
#include <array>

#include "core/budget/rules.hpp"

namespace outlay::detail {

namespace {

constexpr std::int64_t any_number = INT64_MAX;

/// The most output over all choices that the budgets chosen by `counts` can hold; any_number; -1: not even none.
template <class Counts>
std::int64_t most_output(const Case& run, const Counts& counts) noexcept {
  const Quote& quote = run.quote();
  std::int64_t most = any_number;
  for (const BudgetView& view : run.chain) {
    if (!counts(view) || view.source == Source::granted || !run.counts(view, quote)) continue;
    if (view.line_ahead) return -1;
    if (view.source == Source::unasked) continue;
    const auto room = [&](Dimension dimension) {
      const std::size_t d = index(dimension);
      return view.counter->capped(d) ? view.counter->left(d) : any_number;
    };
    if (room(Dimension::calls) < 1 || room(Dimension::concurrent) < 1 || room(Dimension::input_tokens) < quote.input)
      return -1;
    if (const std::int64_t tokens = room(Dimension::tokens); tokens != any_number) {
      if (tokens < quote.input) return -1;
      most = std::min(most, tokens - quote.input);
    }
    most = std::min(most, room(Dimension::output_tokens));
    if (const std::int64_t money = room(Dimension::usd); money != any_number)
      most = std::min(most, quote.pricing.affordable(quote.input, Usd::from_nanos(money), quote.price_terms));
    if (most < 0) return -1;
  }
  return most;
}

// One function a cell of the table.

Turn skip(Case&, const Policy&) { return Turn::pass; }

Turn block(Case& run, const Policy&) { return run.refuse(errc::budget_exceeded); }

Turn truncate(Case& run, const Policy&) { return run.refuse(errc::truncated); }

Turn warn(Case& run, const Policy&) {
  run.note(Note::Kind::warned, run.budget());
  return Turn::through;
}

Turn raise(Case& run, const Policy&) {
  const BudgetView& view = run.budget();
  for (std::size_t d = 0; d < dimension_count; ++d)
    if (in_the_way(view, run.quote(), run.moment, d) && view.counter->room(d) <= 0)
      return run.refuse(errc::budget_exceeded);
  run.note(Note::Kind::below, view);
  return Turn::through;
}

/// The model that a map leads to from this one; null: none.
const std::string* next_of(const Downgrade& downgrade, std::string_view from) noexcept {
  for (const Downgrade::Route& route : downgrade.map)
    if (route.from == from) return &route.to;
  return nullptr;
}

Turn downgrade(Case& run, const Policy& policy) {
  const auto& map = std::get<Downgrade>(policy);
  const BudgetView& view = run.budget();
  // A cheaper model saves money, and neither tokens nor calls.
  if (!in_the_way(view, run.quote(), run.moment, index(Dimension::usd))) return Turn::pass;

  const std::string* to = next_of(map, run.quote().model.name->text);
  // A prefixed or dated name takes the route of the entry that prices it.
  if (!to && run.quote().model.priced) to = next_of(map, run.quote().model.priced->name);
  for (std::size_t steps = 0; to && steps < map.map.size(); ++steps, to = next_of(map, *to)) {
    const Model* model = run.memory.models.find(*to);
    if (!model || !model->priced || !model->named()) continue;
    // What fits where this call does not is cheaper.
    const std::optional<Quote> cheaper = run.quote().with_model(*model);
    if (!cheaper || !run.fits(view, *cheaper)) continue;
    run.note(Note::Kind::downgraded, view);
    run.notes.back().new_model = model->name;
    return run.change(*cheaper);
  }
  return Turn::pass;
}

Turn clamp(Case& run, const Policy& policy) {
  const auto& limits = std::get<Clamp>(policy);
  const Quote& quote = run.quote();
  if (quote.fixed_ceiling) return Turn::pass;
  // Its own budget counts even where a policy behind the Clamp would let the call through.
  const BudgetView& own = run.budget();
  const std::int64_t most = most_output(run, [&](const BudgetView& view) { return view.enforces || &view == &own; });
  if (most < 0) return Turn::pass;
  std::int64_t ceiling = std::min(most / quote.choices, limits.max_output_tokens.value_or(any_number));
  if (ceiling != any_number) ceiling = std::min(ceiling, Usage::max_count);  // more can no request say
  const bool tighter = quote.ceiling == Quote::no_ceiling ? ceiling != any_number : ceiling < quote.ceiling;
  if (!tighter || ceiling < std::max(limits.min_output_tokens, quote.min_ceiling)) return Turn::pass;
  const std::optional<Quote> smaller = quote.with_ceiling(ceiling);
  if (!smaller) return Turn::pass;
  // It may act for a budget further out, and then that budget's numbers are the reason.
  const BudgetView* why = &own;
  for (std::size_t i = run.position; i < run.chain.size(); ++i)
    if ((i == run.position || run.chain[i].enforces) && !run.fits(run.chain[i], quote)) {
      why = &run.chain[i];
      break;
    }
  run.note(Note::Kind::clamped, *why);
  run.notes.back().budget = own.budget;
  run.notes.back().ceiling = ceiling;
  return run.change(*smaller);
}

/// What the program has said about this very question.
const Answer* known(const Case& run) noexcept {
  for (const Answer& answer : run.memory.answers)
    if (answer.budget == run.budget().budget && answer.policy == run.policy && answer.stream == run.moment.stream &&
        answer.model == run.quote().model.name && answer.ceiling == run.quote().ceiling)
      return &answer;
  return nullptr;
}

Turn callback(Case& run, const Policy&) {
  if (!run.memory.ask_program) return Turn::pass;
  const Answer* answer = known(run);
  if (!answer) {
    if (run.memory.answers.size() >= Memory::max_answers) return run.refuse(errc::budget_exceeded);
    return run.decided(Verdict::Kind::ask);
  }
  const std::uint32_t bit = std::uint32_t{1} << static_cast<unsigned>(answer - run.memory.answers.data());
  std::optional<Quote> changed;
  switch (answer->kind) {
    case Decision::Kind::allow:
      run.note(Note::Kind::allowed, run.budget());
      return Turn::through;
    case Decision::Kind::next:
      return Turn::pass;
    case Decision::Kind::truncate:
      return run.refuse(errc::truncated);
    case Decision::Kind::block:
      return run.refuse(errc::budget_exceeded);
    case Decision::Kind::reroute:
      // A change that leads here again, or changes nothing, counts as block.
      if (run.moment.stream || (run.replayed & bit) || answer->reroute.name == run.quote().model.name)
        return run.refuse(errc::budget_exceeded);
      if (!answer->reroute.named() || !run.quote().allows(answer->reroute)) {
        run.refuse(errc::price_unknown);
        run.verdict.unpriced = answer->reroute.name;
        return Turn::decided;
      }
      changed = run.quote().with_model(answer->reroute);
      break;
    case Decision::Kind::clamp:
      if (run.moment.stream || (run.replayed & bit) || run.quote().fixed_ceiling ||
          answer->max_output_tokens < run.quote().min_ceiling ||
          (run.quote().ceiling != Quote::no_ceiling && answer->max_output_tokens >= run.quote().ceiling))
        return run.refuse(errc::budget_exceeded);
      changed = run.quote().with_ceiling(answer->max_output_tokens);
      break;
  }
  if (!changed) return run.refuse(errc::overflow);
  run.replayed |= bit;
  run.note(answer->kind == Decision::Kind::reroute ? Note::Kind::downgraded : Note::Kind::clamped, run.budget());
  if (answer->kind == Decision::Kind::reroute)
    run.notes.back().new_model = answer->reroute.name;
  else
    run.notes.back().ceiling = answer->max_output_tokens;
  return run.change(*changed);
}

Turn wait(Case& run, const Policy& policy) {
  using Point = std::chrono::steady_clock::time_point;
  const BudgetView& view = run.budget();
  const Point now = run.moment.now;
  const auto after = [now](std::chrono::nanoseconds time) {
    return time >= Point::max() - now ? Point::max() : now + time;
  };
  Point until = after(std::get<Wait>(policy).timeout);
  for (const Stood& stood : run.memory.stood)
    if (stood.budget == view.budget) until = stood.deadline;
  if (now >= until) return Turn::pass;

  // Waiting helps where the call fits once all others have ended, or in an empty window that comes in time.
  bool alone = true, empty = true;
  for (std::size_t d = 0; d < dimension_count; ++d) {
    if (!view.counter->capped(d)) continue;
    alone &= view.source == Source::unasked ||
             run.quote().amounts[d] <= std::max<std::int64_t>(view.counter->cap[d] - view.counter->spent(d), 0);
    empty &= run.quote().amounts[d] <= view.counter->cap[d];
  }
  if (!empty || (!alone && after(view.turns_in) > until) ||
      (!alone && view.turns_in == std::chrono::nanoseconds::max()))
    return Turn::pass;
  if (!run.memory.may_wait) {
    if (run.memory.ask_program) run.note(Note::Kind::passed_wait, view);
    return Turn::pass;
  }
  run.verdict.until = until;
  return run.decided(Verdict::Kind::wait);
}

/// What each policy does. Rows in the order of Policy's alternatives.
constexpr std::array<PolicyRow, std::variant_size_v<Policy>> table{{
    //              a call     a running stream
    /* Block     */ {block, block},
    /* Downgrade */ {downgrade, skip},
    /* Clamp     */ {clamp, skip},
    /* Truncate  */ {truncate, truncate},
    /* Raise     */ {raise, block},
    /* Callback  */ {callback, callback},
    /* Warn      */ {warn, warn},
    /* Wait      */ {wait, skip},
}};

}  // namespace

const PolicyRow& row_of(const Policy& policy) noexcept { return table[policy.index()]; }

Note note_of(Note::Kind kind, const BudgetView& view, const Quote& quote, const Moment& moment) noexcept {
  std::size_t d = 0;
  while (d < dimension_count && !in_the_way(view, quote, moment, d)) ++d;
  if (d == dimension_count) d = 0;
  while (d + 1 < dimension_count && !view.counter->capped(d) && !in_the_way(view, quote, moment, d)) ++d;
  return {.kind = kind,
          .budget = view.budget,
          .dimension = static_cast<Dimension>(d),
          .projected = saturating_add(view.counter->used[d], quote.amounts[d] - moment.held[d]),
          .cap = view.counter->cap[d],
          .model = quote.model.name};
}

bool Case::fits(const BudgetView& view, const Quote& of) const noexcept {
  if (view.source == Source::granted || !counts(view, of)) return true;
  if (view.line_ahead && !moment.stream) return false;  // no call overtakes those that wait
  if (view.source == Source::unasked) return true;
  if (!moment.stream) return view.counter->fits(of.amounts);
  for (std::size_t d = 0; d < dimension_count; ++d)
    if (in_the_way(view, of, moment, d)) return false;
  return true;
}

bool Case::counts(const BudgetView& view, const Quote& of) noexcept {
  return !view.only_for || view.only_for->covers({of.model.name->text, of.model.priced});
}

void Case::note(Note::Kind kind, const BudgetView& view) { notes.push_back(note_of(kind, view, quote(), moment)); }

Turn Case::decided(Verdict::Kind kind) noexcept {
  verdict.kind = kind;
  verdict.budget = budget().budget;
  verdict.policy = policy;
  return Turn::decided;
}

Turn Case::refuse(errc reason) noexcept {
  verdict.reason = reason;
  return decided(Verdict::Kind::refuse);
}

Turn Case::change(const Quote& to) noexcept {
  verdict.quote = to;
  std::erase_if(notes, [](const Note& note) { return !note.changes_call(); });
  return Turn::changed;
}

void widen(Case& run) noexcept {
  const std::int64_t upper = run.quote().upper();
  const std::int64_t most = most_output(run, [](const BudgetView& view) { return !view.opens_at_once; });
  if (most < 0 || (most == any_number && upper == any_number)) return;
  const std::int64_t ceiling = std::min({upper, most / run.quote().choices, Usage::max_count});
  if (ceiling <= run.quote().lower()) return;
  if (const std::optional<Quote> wider = run.quote().with_open_ceiling(ceiling)) run.verdict.quote = *wider;
}

void note_open_ceiling(Case& run) {
  const Quote& quote = run.quote();
  if (quote.ceiling >= quote.model_maximum().value_or(any_number)) return;
  const auto clamping =
      std::find_if(run.chain.begin(), run.chain.end(), [](const BudgetView& view) { return view.clamps; });
  if (clamping == run.chain.end()) return;
  // What one token more would have met.
  const std::int64_t tokens = (quote.ceiling + 1) * quote.choices;
  Note note{.kind = Note::Kind::clamped,
            .budget = clamping->budget,
            .dimension = Dimension::output_tokens,
            .projected = tokens,
            .cap = quote.output,
            .model = quote.model.name,
            .ceiling = quote.ceiling};
  if (const std::optional<Quote> more = quote.with_open_ceiling(quote.ceiling + 1))
    for (const BudgetView& view : run.chain) {
      if (view.opens_at_once || view.source == Source::granted || view.source == Source::unasked) continue;
      for (std::size_t d = 0; d < dimension_count; ++d)
        if (view.counter->in_the_way(more->amounts, d)) {
          note.dimension = static_cast<Dimension>(d);
          note.projected = saturating_add(view.counter->used[d], more->amounts[d]);
          note.cap = view.counter->cap[d];
          run.notes.push_back(note);
          return;
        }
    }
  run.notes.push_back(note);
}

}  // namespace outlay::detail
