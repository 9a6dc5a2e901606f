// What operators do to the caps in a store, which every process judges its next call by.
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <thread>

#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "outlay/error.hpp"
#include "outlay/ledger.hpp"
#include "outlay/outlay.hpp"
#include "outlay/sqlite.hpp"
#include "outlay/store.hpp"
#ifdef OUTLAY_COMMAND_HAS_REDIS
#include "outlay/redis.hpp"
#endif

namespace outlay::cli {

namespace {

/// One dimension of Limits and of Amounts: one list, so that no command forgets one.
struct Part {
  Dimension dimension;
  std::optional<std::int64_t> (*limit)(const Limits&);
  std::int64_t (*amount)(const Amounts&);
};
template <std::optional<std::int64_t> Limits::* Limit>
std::optional<std::int64_t> limit_of(const Limits& limits) {
  return limits.*Limit;
}
constexpr Part parts[] = {
    {Dimension::usd, [](const Limits& l) { return l.usd ? std::optional<std::int64_t>(l.usd->nanos()) : std::nullopt; },
     [](const Amounts& a) { return a.usd.nanos(); }},
    {Dimension::tokens, limit_of<&Limits::tokens>, [](const Amounts& a) { return a.tokens; }},
    {Dimension::input_tokens, limit_of<&Limits::input_tokens>, [](const Amounts& a) { return a.input_tokens; }},
    {Dimension::output_tokens, limit_of<&Limits::output_tokens>, [](const Amounts& a) { return a.output_tokens; }},
    {Dimension::calls, limit_of<&Limits::calls>, [](const Amounts& a) { return a.calls; }},
    {Dimension::concurrent, limit_of<&Limits::concurrent>, [](const Amounts& a) { return a.concurrent; }},
};

std::string text_of(Dimension dimension, std::int64_t value) { return to_string(Amount(dimension, value)); }

std::shared_ptr<Store> open_store_at(const std::string& place) {
  const OnUnreachable how = OnUnreachable::deny();
  if (place.starts_with("redis://") || place.starts_with("unix://")) {
#ifdef OUTLAY_COMMAND_HAS_REDIS
    return redis_store({.url = place, .on_unreachable = how});
#else
    throw Error(errc::config, "this command was built without Redis. Build it with OUTLAY_WITH_REDIS.");
#endif
  }
  if (place.find("://") != place.npos)
    throw UsageError(
        "\"" + printable(place) +
        "\" is not a store. Write a file's path, redis://HOST or unix://SOCKET; the caps of a gateway are in "
        "its own store, and at its /outlay/caps.");
  const std::string path = place.starts_with("sqlite:") ? place.substr(7) : place;
  if (!std::filesystem::exists(path))
    throw Error(errc::storage, "\"" + printable(path) + "\" does not exist. Check the path of the store.");
  return sqlite_store({.path = path, .on_unreachable = how, .create = false});
}

std::string login_name() {
  const passwd* user = ::getpwuid(::getuid());  // NOLINT(concurrency-mt-unsafe): there is one thread
  return user && user->pw_name && *user->pw_name ? user->pw_name : "uid " + std::to_string(::getuid());
}

/// The cap that is set for the counter; without limits where there is none.
CapState cap_of(Store& store, std::string_view name, const Window& window) {
  for (CapState& cap : store.caps())
    if (cap.name == name && cap.window == window.id()) return cap;
  return {};
}

std::string caps_table(const std::vector<CapState>& caps, const Terminal& terminal) {
  if (caps.empty()) return "No cap is set: those of the programs hold. `outlay caps counters` lists what is spent.\n";
  Table table({{"name"},
               {"window"},
               {"of"},
               {"cap", true},
               {"spent", true},
               {"reserved", true},
               {"left", true},
               {"until", false, false},
               {"by", false, false},
               {"reason", false, false}});
  for (const CapState& cap : caps)
    for (const Part& part : parts) {
      const std::optional<std::int64_t> limit = part.limit(cap.limits);
      if (!limit) continue;
      const std::int64_t spent = part.amount(cap.state.spent), reserved = part.amount(cap.state.reserved);
      std::int64_t left = 0;
      const bool fits = !__builtin_sub_overflow(*limit, spent, &left) && !__builtin_sub_overflow(left, reserved, &left);
      table.add({printable(cap.name), printable(cap.window), to_string(part.dimension), text_of(part.dimension, *limit),
                 text_of(part.dimension, spent), text_of(part.dimension, reserved),
                 fits ? text_of(part.dimension, left) : "?", cap.until ? to_iso8601(*cap.until) : "for good",
                 printable(cap.by), printable(cap.reason)});
    }
  return table.render(terminal);
}

/// What counts in none of its dimensions now is shown at $0.00.
std::string counters_table(const std::vector<CounterState>& counters, const Terminal& terminal) {
  if (counters.empty()) return "Nothing is kept of any counter whose name begins so.\n";
  Table table({{"name"}, {"window"}, {"of"}, {"spent", true}, {"reserved", true}, {"cap set", true}});
  for (const CounterState& counter : counters) {
    const bool empty = counter.state.spent == Amounts{} && counter.state.reserved == Amounts{};
    for (const Part& part : parts) {
      const std::int64_t spent = part.amount(counter.state.spent), reserved = part.amount(counter.state.reserved);
      const std::optional<std::int64_t> cap = part.limit(counter.state.caps);
      if (spent == 0 && reserved == 0 && !cap && !(empty && part.dimension == Dimension::usd)) continue;
      table.add({printable(counter.name), printable(counter.window), to_string(part.dimension),
                 text_of(part.dimension, spent), text_of(part.dimension, reserved),
                 cap ? text_of(part.dimension, *cap) : ""});
    }
  }
  return table.render(terminal);
}

std::string state_text(const CapsArguments& arguments, const Window& window, const StoreReply::State& state) {
  std::string out = printable(arguments.name) + " in " + printable(window.id()) + "\n";
  Table table({{"of"}, {"cap", true}, {"spent", true}, {"reserved", true}});
  for (const Part& part : parts) {
    const std::optional<std::int64_t> limit = part.limit(state.caps);
    table.add({to_string(part.dimension), limit ? text_of(part.dimension, *limit) : "the programs'",
               text_of(part.dimension, part.amount(state.spent)),
               text_of(part.dimension, part.amount(state.reserved))});
  }
  return out + table.render({});
}

/// Its counter as it is now.
///
/// \par Errors
/// Error with errc::invalid_argument where nothing is kept of it: misspelt, most likely.
StoreReply::State known_state(Store& store, const CapsArguments& arguments, const Window& window) {
  const StoreReply::State state = store.state(arguments.name, window);
  if (!arguments.create && !state.known && state.life == 0 && state.caps == Limits{})
    throw Error(errc::invalid_argument, "nothing is kept of \"" + printable(arguments.name) + "\" in " +
                                            printable(window.id()) +
                                            ". Check the name and --window, or write --create.");
  return state;
}

/// Sets one dimension of limits, or takes it away.
void set_limit(Limits& limits, Dimension dimension, std::optional<std::int64_t> limit) {
  switch (dimension) {
    case Dimension::usd:
      limits.usd = limit ? std::optional(Usd::from_nanos(*limit)) : std::nullopt;
      break;
    case Dimension::tokens:
      limits.tokens = limit;
      break;
    case Dimension::input_tokens:
      limits.input_tokens = limit;
      break;
    case Dimension::output_tokens:
      limits.output_tokens = limit;
      break;
    case Dimension::calls:
      limits.calls = limit;
      break;
    case Dimension::concurrent:
      limits.concurrent = limit;
      break;
  }
}

/// The caps of `limits`, as a person writes them: `$5.00 (usd), 7 (calls)`.
std::string list_of(const Limits& limits) {
  std::string text;
  for (const Part& part : parts)
    if (const auto limit = part.limit(limits))
      text += (text.empty() ? "" : ", ") + text_of(part.dimension, *limit) + " (" + to_string(part.dimension) + ")";
  return text;
}

std::string end_text(std::optional<Time> until) { return until ? "until " + to_iso8601(*until) : "for good"; }

/// What is asked for is a cap, and raising does not lower, nor the other way round, whatever was meant.
void check_limits(const CapsArguments& arguments, const Limits& set) {
  if (arguments.limits == Limits{}) throw UsageError("there is no number. Write the cap itself, as in --usd 20.");
  const bool raise = arguments.verb == CapsArguments::Verb::raise;
  for (const Part& part : parts) {
    const auto now = part.limit(set), next = part.limit(arguments.limits);
    if (next && *next < 0)
      throw UsageError("a cap of " + text_of(part.dimension, *next) + " (" + to_string(part.dimension) +
                       ") is below 0. Write 0 or more.");
    if (!now || !next || (raise ? *next > *now : *next < *now)) continue;
    throw UsageError("\"" + printable(arguments.name) + "\" has a cap of " + text_of(part.dimension, *now) + " (" +
                     to_string(part.dimension) + "), and " + text_of(part.dimension, *next) + " is not " +
                     (raise ? "more" : "less") + ". Write outlay caps " + (raise ? "lower" : "raise") +
                     ", or another number.");
  }
}

std::optional<Time> end_of(const CapsArguments& arguments) {
  if (arguments.until.empty()) return std::nullopt;
  const std::optional<Time> until = parse_time(arguments.until, system_now(), From::future);
  if (!until)
    throw UsageError("--until: \"" + printable(arguments.until) +
                     "\" is not a time. Write 12h, which is in 12 hours, 2026-12-01 or 2026-12-01T12:00:00Z.");
  return until;
}

/// `asked` in the dimensions that it names, and else what is set, until then.
///
/// A store keeps one end for all dimensions of a cap: none of them may end earlier or later than was said of it.
void merge(CapChange& change, const CapsArguments& arguments, const CapState& set, const Limits& asked) {
  change.until = end_of(arguments);
  change.limits = asked;
  Limits kept;
  for (const Part& part : parts)
    if (const auto limit = part.limit(set.limits); limit && !part.limit(asked)) {
      set_limit(kept, part.dimension, limit);
      set_limit(change.limits, part.dimension, limit);
    }
  if (kept == Limits{} || change.until == set.until) return;
  const bool closes = arguments.verb == CapsArguments::Verb::close;
  if (arguments.until.empty() && !closes) {
    change.until = set.until;
    return;
  }
  throw UsageError("\"" + printable(arguments.name) + "\" has a cap of " + list_of(kept) + " " + end_text(set.until) +
                   ", and this one would hold " + end_text(change.until) +
                   ": a store keeps one time for all of a counter's caps. " +
                   (set.until ? "Write --until " + to_iso8601(*set.until) : std::string("Leave --until out")) +
                   (closes ? std::string() : ", name every cap") + ", or reset those first.");
}

/// What is left of the cap without the dimensions that reset names, or without the one that close set.
Limits left_of(const CapsArguments& arguments, const Limits& set) {
  const bool reopen = arguments.verb == CapsArguments::Verb::reopen;
  if (reopen && set.calls != 0)
    throw UsageError("\"" + printable(arguments.name) +
                     "\" is not closed: no cap of 0 calls is set. outlay caps show prints what is.");
  if (!reopen && arguments.dimensions.empty()) return {};
  Limits left = set;
  const std::vector<Dimension> dropped = reopen ? std::vector{Dimension::calls} : arguments.dimensions;
  for (const Dimension dimension : dropped) {
    const Part& part =
        *std::find_if(std::begin(parts), std::end(parts), [&](const Part& one) { return one.dimension == dimension; });
    if (!part.limit(set))
      throw UsageError("\"" + printable(arguments.name) + "\" has no cap of " + to_string(dimension) +
                       ". outlay caps show prints those that are set.");
    set_limit(left, dimension, std::nullopt);
  }
  return left;
}

/// The store keeps who and why of the caps that are set, and of nothing else.
void need_records(const CapsArguments& arguments) {
  if (arguments.records.empty())
    throw UsageError(
        "a store does not keep who takes a cap back or corrects what was spent, and why. Name a file that does: "
        "--records spend.db.");
}

int adjust(const CapsArguments& arguments, Store& store, const Window& window, const std::string& by) {
  if (arguments.amounts == Amounts{})
    throw UsageError("there is no amount, or it is 0. Write what is added to what was spent, as in --usd -12.50.");
  need_records(arguments);
  Adjustment adjustment{.name = arguments.name, .window = window, .create = arguments.create};
  adjustment.amounts = arguments.amounts;
  adjustment.id = arguments.id;
  const std::string reason = by + ": " + arguments.reason;
  adjustment.reason = reason;
  if (!arguments.at.empty()) {
    adjustment.at = parse_time(arguments.at, system_now());
    if (!adjustment.at)
      throw UsageError("--at: \"" + printable(arguments.at) +
                       "\" is not a time. Write 12h, which is 12 hours ago, 2026-11-01 or 2026-11-01T12:00:00Z.");
  }
  std::cout << state_text(arguments, window, store.adjust(adjustment));
  return success;
}

/// What a person has to know of a change beside the numbers; a line each.
std::string remarks_on(const CapsArguments& arguments, const Limits& set) {
  using Verb = CapsArguments::Verb;
  std::string text;
  const auto name = [](Dimension dimension) { return std::string(to_string(dimension)); };
  if (arguments.verb == Verb::raise || arguments.verb == Verb::lower) {
    for (const Part& part : parts)
      if (part.limit(arguments.limits) && !part.limit(set))
        text += name(part.dimension) + ": no cap was set here, and the programs' own is not known to the store. " +
                "Whether this one is " + (arguments.verb == Verb::raise ? "higher" : "lower") + " is not known.\n";
  } else if (arguments.verb == Verb::close && set.calls && *set.calls != 0) {
    text = "calls: the cap of " + std::to_string(*set.calls) +
           " that was set is replaced, and outlay caps reopen does not bring it back.\n";
  }
  return text;
}

int change(const CapsArguments& arguments, Store& store, const Window& window) {
  using Verb = CapsArguments::Verb;
  const std::string by = arguments.by.empty() ? login_name() : arguments.by;
  if (arguments.verb == Verb::adjust) return adjust(arguments, store, window, by);
  static_cast<void>(known_state(store, arguments, window));
  CapState set;
  CapChange change{.name = arguments.name, .window = window, .by = by, .reason = arguments.reason};
  bool made = false;
  constexpr int most_looks = 32;  // at a counter that others change at the same time
  for (int looks = 0; !made; ++looks) {
    if (looks == most_looks)
      throw Error(errc::store_unavailable, "others change the caps of \"" + printable(arguments.name) +
                                               "\" all the time. Nothing was changed. Try again.");
    set = cap_of(store, arguments.name, window);
    switch (arguments.verb) {
      case Verb::reset:
      case Verb::reopen:
        change.limits = left_of(arguments, set.limits);
        change.until = change.limits == Limits{} ? std::nullopt : set.until;
        if (change.limits == Limits{}) need_records(arguments);
        break;
      case Verb::close:
        merge(change, arguments, set, Limits{.calls = 0});
        break;
      default:
        check_limits(arguments, set.limits);
        merge(change, arguments, set, arguments.limits);
    }
    change.expected = set;
    made = store.set_cap(change);
  }
  std::cout << state_text(arguments, window, store.state(arguments.name, window));
  if (change.limits != Limits{}) std::cout << end_text(change.until) << '\n';
  const std::string remarks = remarks_on(arguments, set.limits);
  std::cout << remarks;
  std::cerr << remarks;
  return success;
}

void show(const CapsArguments& arguments, Store& store, const Window& window) {
  std::cout << state_text(arguments, window, known_state(store, arguments, window));
  const CapState cap = cap_of(store, arguments.name, window);
  if (cap.name.empty()) return;
  std::cout << "set by " << printable(cap.by) << " at " << to_iso8601(cap.since)
            << (cap.until ? ", until " + to_iso8601(*cap.until) : std::string()) << ": " << printable(cap.reason)
            << '\n';
}

/// The events of leases that have run out since this was last called. A store tells each once: when this command was told, no program is.
std::vector<std::string> told_of_leases(Ledger& ledger) {
  std::vector<std::string> lines;
  for (const BudgetEvent& event : ledger.events())
    if (event.action == Action::expired)
      lines.push_back("outlay: " + printable(event.budget) + ": " + printable(event.reason) + '\n');
  ledger.reset();
  return lines;
}

int watch(const CapsArguments& arguments, Store& store, Ledger& ledger) {
  constexpr std::size_t shown_leases = 10;
  const Terminal terminal = standard_output();
  std::vector<std::string> leases;
  for (std::int64_t i = 0; arguments.times == 0 || i < arguments.times; ++i) {
    if (i != 0) std::this_thread::sleep_for(std::chrono::seconds(arguments.every_seconds));
    std::vector<CapState> caps = store.caps();
    if (!arguments.name.empty()) std::erase_if(caps, [&](const CapState& cap) { return cap.name != arguments.name; });
    const bool clears = terminal.width != 0;
    if (clears) std::cout << "\x1B[H\x1B[2J";
    std::cout << to_iso8601(system_now()) << '\n' << caps_table(caps, terminal) << std::flush;
    // What a cleared screen has lost is said again.
    if (!clears) leases.clear();
    for (std::string& line : told_of_leases(ledger)) leases.push_back(std::move(line));
    if (leases.size() > shown_leases) leases.erase(leases.begin(), leases.end() - shown_leases);
    for (const std::string& line : leases) std::cerr << line;
  }
  return success;
}

}  // namespace

int caps(const CapsArguments& arguments) try {
  using Verb = CapsArguments::Verb;
  const std::shared_ptr<Store> store = open_store_at(arguments.store);
  // The events of a change go to the file of records that is named.
  Ledger ledger;
  if (!arguments.records.empty()) ledger.add_sink(sqlite_sink({.path = arguments.records}));
  const LedgerScope books(ledger);
  int status = success;
  if (arguments.verb == Verb::watch)
    status = watch(arguments, *store, ledger);
  else if (arguments.verb == Verb::list)
    std::cout << caps_table(store->caps(), standard_output());
  else if (arguments.verb == Verb::counters)
    std::cout << counters_table(store->counters(arguments.name), standard_output());
  else if (arguments.verb == Verb::show)
    show(arguments, *store, Window::parse(arguments.window));
  else
    status = change(arguments, *store, Window::parse(arguments.window));
  ledger.flush();
  for (const std::string& line : told_of_leases(ledger)) std::cerr << line;
  return status;
} catch (const StoreUnavailable& error) {
  throw Error(errc::store_unavailable, std::string(error.what()) + ". Check that it runs, and its address.");
}

}  // namespace outlay::cli
