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
  const std::string path = place.starts_with("sqlite:") ? place.substr(7) : place;
  // A store that is opened is made where it is missing: of a misspelt path, nothing could be said.
  if (!std::filesystem::exists(path))
    throw Error(errc::storage, "\"" + printable(path) + "\" does not exist. Check the path of the store.");
  return sqlite_store({.path = path, .on_unreachable = how});
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

std::string table_of(const std::vector<CapState>& caps, const Terminal& terminal) {
  if (caps.empty()) return "No cap is set: those of the programs hold.\n";
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
      table.add({printable(cap.name), cap.window, to_string(part.dimension), text_of(part.dimension, *limit),
                 text_of(part.dimension, spent), text_of(part.dimension, reserved),
                 fits ? text_of(part.dimension, left) : "?", cap.until ? to_iso8601(*cap.until) : "for good",
                 printable(cap.by), printable(cap.reason)});
    }
  return table.render(terminal);
}

std::string state_text(const CapsArguments& arguments, const Window& window, const StoreReply::State& state) {
  std::string out = printable(arguments.name) + " in " + window.id() + "\n";
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
    throw Error(errc::invalid_argument, "nothing is kept of \"" + printable(arguments.name) + "\" in " + window.id() +
                                            ". Check the name and --window, or write --create.");
  return state;
}

/// `asked` in the dimensions that it names, and else what is set.
Limits merged(const Limits& set, const Limits& asked) {
  Limits limits = set;
  if (asked.usd) limits.usd = asked.usd;
  for (const auto member :
       {&Limits::tokens, &Limits::input_tokens, &Limits::output_tokens, &Limits::calls, &Limits::concurrent})
    if (asked.*member) limits.*member = asked.*member;
  return limits;
}

/// Raising must not lower, and the other way round, whatever was meant.
void check_direction(const CapsArguments& arguments, const Limits& set) {
  const bool raise = arguments.verb == CapsArguments::Verb::raise;
  for (const Part& part : parts) {
    const auto now = part.limit(set), next = part.limit(arguments.limits);
    if (!now || !next || (raise ? *next > *now : *next < *now)) continue;
    throw UsageError("\"" + printable(arguments.name) + "\" has a cap of " + text_of(part.dimension, *now) + " (" +
                     to_string(part.dimension) + "), and " + text_of(part.dimension, *next) + " is not " +
                     (raise ? "more" : "less") + ". Write outlay caps " + (raise ? "lower" : "raise") +
                     ", or another number.");
  }
}

int change(const CapsArguments& arguments, Store& store, const Window& window) {
  using Verb = CapsArguments::Verb;
  const std::string by = arguments.by.empty() ? login_name() : arguments.by;
  if (arguments.verb == Verb::adjust) {
    Adjustment adjustment{.name = arguments.name, .window = window, .create = arguments.create};
    adjustment.amounts = arguments.amounts;
    adjustment.id = arguments.id;
    const std::string reason = by + ": " + arguments.reason;
    adjustment.reason = reason;
    if (!arguments.at.empty()) {
      adjustment.at = parse_time(arguments.at, system_now());
      if (!adjustment.at)
        throw UsageError("--at: \"" + printable(arguments.at) +
                         "\" is not a time. Write 12h, 2026-11-01 or 2026-11-01T12:00:00Z.");
    }
    std::cout << state_text(arguments, window, store.adjust(adjustment));
    return success;
  }
  static_cast<void>(known_state(store, arguments, window));
  const Limits set = cap_of(store, arguments.name, window).limits;
  CapChange change{.name = arguments.name, .window = window, .by = by, .reason = arguments.reason};
  if (arguments.verb == Verb::close) {
    change.limits = merged(set, Limits{.calls = 0});
  } else if (arguments.verb != Verb::reset) {
    if (arguments.limits == Limits{}) throw UsageError("there is no number. Write the cap itself, as in --usd 20.");
    check_direction(arguments, set);
    change.limits = merged(set, arguments.limits);
  }
  if (!arguments.until.empty()) {
    change.until = parse_time(arguments.until, system_now());
    if (!change.until)
      throw UsageError("--until: \"" + printable(arguments.until) +
                       "\" is not a time. Write 2026-12-01 or 2026-12-01T12:00:00Z.");
  }
  store.set_cap(change);
  std::cout << state_text(arguments, window, store.state(arguments.name, window));
  return success;
}

int watch(const CapsArguments& arguments, Store& store) {
  const Terminal terminal = standard_output();
  for (std::int64_t i = 0; arguments.times == 0 || i < arguments.times; ++i) {
    if (i != 0) std::this_thread::sleep_for(std::chrono::seconds(arguments.every_seconds));
    std::vector<CapState> caps = store.caps();
    if (!arguments.name.empty()) std::erase_if(caps, [&](const CapState& cap) { return cap.name != arguments.name; });
    if (terminal.width != 0) std::cout << "\x1B[H\x1B[2J";
    std::cout << to_iso8601(system_now()) << '\n' << table_of(caps, terminal) << std::flush;
  }
  return success;
}

}  // namespace

int caps(const CapsArguments& arguments) {
  using Verb = CapsArguments::Verb;
  const std::shared_ptr<Store> store = open_store_at(arguments.store);
  if (arguments.verb == Verb::list) {
    std::cout << table_of(store->caps(), standard_output());
    return success;
  }
  if (arguments.verb == Verb::watch) return watch(arguments, *store);
  const Window window = Window::parse(arguments.window);
  if (arguments.verb == Verb::show) {
    std::cout << state_text(arguments, window, known_state(*store, arguments, window));
    const CapState cap = cap_of(*store, arguments.name, window);
    if (!cap.name.empty())
      std::cout << "set by " << printable(cap.by) << " at " << to_iso8601(cap.since)
                << (cap.until ? ", until " + to_iso8601(*cap.until) : std::string()) << ": " << printable(cap.reason)
                << '\n';
    return success;
  }
  // The events of a change go to the file of records that is named.
  Ledger ledger;
  if (!arguments.records.empty()) ledger.add_sink(sqlite_sink({.path = arguments.records}));
  const LedgerScope books(ledger);
  const int status = change(arguments, *store, window);
  ledger.flush();
  return status;
}

}  // namespace outlay::cli
