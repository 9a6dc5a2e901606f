// What operators see of counters and do to them, below /outlay/caps.
#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/decimal.hpp"
#include "core/base/iso_time.hpp"
#include "core/base/json_writer.hpp"
#include "core/base/vector.hpp"
#include "core/budget/rules.hpp"
#include "core/pricing/price_book.hpp"
#include "gateway/desk.hpp"
#include "json/settings.hpp"
#include "outlay/error.hpp"
#include "outlay/rule.hpp"
#include "outlay/store.hpp"

namespace outlay::gateway::detail {

using outlay::detail::Counter;
using outlay::detail::dimension_count;
using outlay::detail::JsonWriter;
using outlay::detail::no_cap;
using outlay::detail::Setting;
using outlay::detail::SettingMembers;
using outlay::detail::Vector;

std::vector<std::shared_ptr<Store>> stores_of(const Ledger& ledger) {
  std::vector<std::shared_ptr<Store>> stores;
  const auto add = [&](const std::shared_ptr<Store>& store) {
    if (std::find(stores.begin(), stores.end(), store) == stores.end()) stores.push_back(store);
  };
  for (const Rule& rule : ledger.rules()) add(rule.store ? rule.store : ledger.store());
  if (stores.empty()) add(ledger.store());
  return stores;
}

namespace {

/// Money as decimal text, counts as numbers.
void write_amount(JsonWriter& json, std::size_t d, std::int64_t amount) {
  if (static_cast<Dimension>(d) == Dimension::usd)
    json.text(outlay::detail::decimal_usd(Usd::from_nanos(amount)));
  else
    json.number(amount);
}

void write_counter(JsonWriter& json, const Counter& counter) {
  for (std::size_t d = 0; d < dimension_count; ++d) {
    if (!counter.capped(d)) continue;
    json.key(to_string(static_cast<Dimension>(d))).begin_object().key("cap");
    write_amount(json, d, counter.cap[d]);
    json.key("spent");
    write_amount(json, d, counter.spent(d));
    json.key("reserved");
    write_amount(json, d, counter.held[d]);
    json.key("remaining");
    write_amount(json, d, counter.room(d));
    json.end_object();
  }
}

void write_set(JsonWriter& json, const StoreCap& cap) {
  json.key("set").begin_object().key("by").text(cap.by).key("reason").text(cap.reason);
  json.key("since").text(to_iso8601(cap.since)).key("until");
  if (cap.until)
    json.text(to_iso8601(*cap.until));
  else
    json.raw("null");
  json.end_object();
}

Counter counter_of(const StoreReply::State& state, const Limits& caps) {
  return Counter::of(outlay::detail::to_vector(state.spent), outlay::detail::to_vector(state.reserved),
                     outlay::detail::to_vector(caps));
}

std::string counter_json(std::string_view name, std::string_view window, const Counter& counter, const StoreCap* set) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("name").text(name).key("window").text(window);
  write_counter(json, counter);
  if (set) write_set(json, *set);
  json.end_object();
  return out;
}

/// What a request asks for, as its body says it.
struct Change {
  std::string name{};
  Window window = Window::day();
  Vector amounts = outlay::detail::no_caps;  // no_cap: not named
  std::string by{};
  std::string reason{};
  std::optional<Time> until{};
  std::optional<Time> at{};
  std::string id{};
  bool create = false;
};

/// \param adjusts The numbers may be negative.
std::int64_t number_of(const Setting& setting, std::size_t d, bool adjusts) {
  if (static_cast<Dimension>(d) != Dimension::usd)
    return setting.count(adjusts ? -Usage::max_count : 0, Usage::max_count);
  if (!adjusts) return setting.money().nanos();
  try {
    if (setting.value().is_string()) return Usd::parse(setting.text()).nanos();
    if (setting.value().is_int64()) return Usd::parse(std::to_string(setting.value().get_int64())).nanos();
  } catch (const Error&) {  // NOLINT(bugprone-empty-catch): said below, with the place
  }
  setting.bad("must be an amount of US dollars as text, \"-12.50\", or a whole number.");
}

Time time_of(const Setting& setting) {
  const std::optional<Time> time = outlay::detail::parse_iso_time(setting.text());
  if (!time) setting.bad("must be a time in UTC: 2026-12-01 or 2026-12-01T12:00:00Z.");
  return *time;
}

Change read_change(std::string_view verb, std::string_view body) {
  const bool adjusts = verb == "adjust", sets = verb == "raise" || verb == "lower";
  const boost::json::value value = outlay::detail::parse_settings(body, "the body");
  const Setting whole(value, "the body");
  SettingMembers members(whole);
  Change change;
  const auto text = [&](const char* name, const char* what) {
    const auto one = members.take(name);
    if (!one || one->text().empty()) whole.bad(std::string("must have ") + name + ": " + what);
    return one->text();
  };
  change.name = text("name", "the counter's, as refusals and GET /outlay/caps write it.");
  change.by = text("by", "who asks for it.");
  change.reason = text("reason", "why, for the record.");
  if (const auto one = members.take("window")) {
    try {
      change.window = Window::parse(one->text());
    } catch (const ConfigError& error) {
      one->bad(std::string("cannot be read: ") + error.what());
    }
  }
  if (sets || adjusts)
    for (std::size_t d = 0; d < dimension_count; ++d)
      if (const auto one = members.take(to_string(static_cast<Dimension>(d))))
        change.amounts[d] = number_of(*one, d, adjusts);
  if (sets || verb == "close")
    if (const auto one = members.take("until")) change.until = time_of(*one);
  if (adjusts) {
    if (const auto one = members.take("at")) change.at = time_of(*one);
    if (const auto one = members.take("id")) change.id = one->text();
  }
  if (const auto one = members.take("create")) change.create = one->flag();
  members.done();
  if ((sets || adjusts) && change.amounts == outlay::detail::no_caps)
    whole.bad(adjusts ? "must have an amount, which is added to what was spent: \"usd\": \"-12.50\"."
                      : "must have a cap, the number itself and not what is added to it: \"usd\": 20.");
  return change;
}

[[noreturn]] void refuse(const std::string& what) { throw Error(errc::invalid_argument, what); }

/// The store that has the counter.
std::shared_ptr<Store> store_with(const Ledger& ledger, const Change& change) {
  const std::vector<std::shared_ptr<Store>> stores = stores_of(ledger);
  for (const std::shared_ptr<Store>& store : stores) {
    const StoreReply::State state = store->state(change.name, change.window);
    if (state.known || state.life != 0 || state.caps != Limits{}) return store;
  }
  if (change.create) return stores.front();
  refuse("nothing is kept of \"" + outlay::detail::printable_name(change.name) + "\" in the window " +
         change.window.id() + ". Check name and window with GET /outlay/caps, or send \"create\": true.");
}

CapState set_cap_of(Store& store, const Change& change) {
  for (CapState& cap : store.caps())
    if (cap.name == change.name && cap.window == change.window.id()) return cap;
  return {};
}

/// The caps that hold from now on: those that are set already, with the change. A store keeps one end for all caps of a counter.
///
/// \param known What holds now, as far as it is known here: the rule's own caps, say.
CapChange merged(std::string_view verb, const Change& change, const CapState& set, const Vector& known) {
  const Vector now = outlay::detail::to_vector(set.limits);
  constexpr std::size_t calls = outlay::detail::index(Dimension::calls);
  Vector next = now, asked = change.amounts;
  if (verb == "close") asked[calls] = 0;
  if (verb == "reopen") {
    if (now[calls] != 0) refuse("the counter is not closed: no cap of 0 calls is set.");
    next[calls] = no_cap;
  }
  bool keeps = false;
  for (std::size_t d = 0; d < dimension_count; ++d) {
    keeps |= now[d] != no_cap && asked[d] == no_cap && next[d] != no_cap;
    if (asked[d] == no_cap) continue;
    const std::int64_t holds = now[d] != no_cap ? now[d] : known[d];
    const bool wrong = holds != no_cap && (verb == "raise" ? asked[d] <= holds : verb == "lower" && asked[d] >= holds);
    if (wrong) {
      const auto dimension = static_cast<Dimension>(d);
      refuse(std::string(to_string(dimension)) + ": the cap is " + to_string(Amount(dimension, holds)) + ", and " +
             to_string(Amount(dimension, asked[d])) + " is not " + (verb == "raise" ? "more" : "less") +
             ". Send another number.");
    }
    next[d] = asked[d];
  }
  CapChange whole{.name = change.name, .window = change.window, .by = change.by, .reason = change.reason};
  whole.limits = outlay::detail::to_limits(next, next);
  whole.until = change.until;
  if (keeps) {
    if (change.until && change.until != set.until)
      refuse("other caps of this counter hold " +
             (set.until ? "until " + to_iso8601(*set.until) : std::string("for good")) +
             ", and a store keeps one end for all of them. Leave out until, or name every cap.");
    whole.until = set.until;
  }
  if (verb == "reopen" && whole.limits != Limits{}) whole.until = set.until;
  return whole;
}

/// What the counter is after the change.
Answer changed_answer(Store& store, const Change& change) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("name").text(change.name).key("window").text(change.window.id());
  try {
    const CapState set = set_cap_of(store, change);
    const StoreReply::State state = store.state(change.name, change.window);
    json.key("spent").begin_object();
    const Vector spent = outlay::detail::to_vector(state.spent);
    for (std::size_t d = 0; d < dimension_count; ++d)
      if (static_cast<Dimension>(d) != Dimension::concurrent) {
        json.key(to_string(static_cast<Dimension>(d)));
        write_amount(json, d, spent[d]);
      }
    json.end_object();
    if (!set.name.empty()) {
      json.key("caps").begin_object();
      write_counter(json, counter_of(state, set.limits));
      json.end_object();
      write_set(json, set);
    }
  } catch (const StoreUnavailable& error) {
    // The change is made: an error would have the operator make it again.
    json.key("changed").raw("true").key("note").text(std::string("What it is now cannot be read: ") + error.what());
  }
  json.end_object();
  return json_answer(out + "\n");
}

}  // namespace

Answer list_caps(const Counters& counters, const Ledger& ledger) {
  const LedgerScope books(ledger);  // its sinks get the leases that are found to have run out
  std::map<std::pair<std::string, std::string>, CapState> set;
  for (const std::shared_ptr<Store>& store : stores_of(ledger))
    for (CapState& cap : store->caps()) set[{cap.name, cap.window}] = std::move(cap);
  std::string list;
  JsonWriter json(list);
  json.begin_object().key("caps").begin_array();
  for (const Counters::Reading& one : counters.read(ledger)) {
    const auto found = set.find({one.name, one.window});
    json.line().raw(counter_json(one.name, one.window, one.counter, found == set.end() ? nullptr : &found->second));
    if (found != set.end()) set.erase(found);
  }
  for (const auto& [key, cap] : set)
    json.line().raw(counter_json(cap.name, cap.window, counter_of(cap.state, cap.limits), &cap));
  json.end_array().end_object();
  return json_answer(list + "\n");
}

Answer change_cap(const Counters& counters, const Ledger& ledger, std::string_view verb, std::string_view body) {
  constexpr int most_looks = 32;    // at a counter that others change at the same time
  const LedgerScope books(ledger);  // its sinks get the event
  const Change change = read_change(verb, body);
  const std::shared_ptr<Store> store = store_with(ledger, change);
  if (verb == "adjust") {
    Adjustment adjustment{.name = change.name, .window = change.window, .at = change.at, .create = change.create};
    Vector amounts = change.amounts;
    std::replace(amounts.begin(), amounts.end(), no_cap, std::int64_t{0});
    adjustment.amounts = outlay::detail::to_amounts(amounts);
    const std::string reason = change.by + ": " + change.reason;
    adjustment.reason = reason;
    adjustment.id = change.id;
    static_cast<void>(store->adjust(adjustment));
  } else {
    // After a restart or a reload no call has counted here yet: then only the rules know.
    Vector known = outlay::detail::caps_by_rules(ledger.rules(), change.name, change.window);
    for (const Counters::Reading& one : counters.read(ledger))
      if (one.name == change.name && one.window == change.window.id()) known = one.counter.cap;
    bool made = false;
    for (int looks = 0; !made && looks < most_looks; ++looks) {
      const CapState set = set_cap_of(*store, change);
      CapChange whole = merged(verb, change, set, known);
      whole.expected = set;
      made = store->set_cap(whole);
    }
    if (!made)
      return error_answer(std::nullopt, 409, "conflict",
                          "Others change the caps of this counter all the time. Nothing was changed. Try again.");
  }
  return changed_answer(*store, change);
}

}  // namespace outlay::gateway::detail
