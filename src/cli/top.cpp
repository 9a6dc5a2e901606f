// What spends now: the dearest values of each key, with the rate an hour, and when budgets reach their caps at it.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <optional>
#include <thread>
#include <unordered_map>

#include "cli/commands.hpp"
#include "cli/groups.hpp"
#include "cli/source.hpp"
#include "cli/terminal.hpp"
#include "core/ledger/budget_path.hpp"

namespace outlay::cli {

namespace {

constexpr std::size_t most_values = 10'000;  // of each key; what comes beyond is "(others)"
constexpr std::size_t most_set = 1'000;      // names that operators have set a cap for
constexpr std::int64_t rate_minutes = 60;

std::int64_t minute_of(Time time) { return std::chrono::floor<std::chrono::minutes>(time).time_since_epoch().count(); }

/// What one value has spent.
struct Spender {
  Usd total{};
  std::int64_t calls = 0;
  std::map<std::int64_t, Usd> minutes{};  // the last hour's

  void add(Usd usd, std::int64_t minute) {
    total += usd;
    ++calls;
    minutes[minute] += usd;
    if (minutes.size() > 2 * rate_minutes) forget_before(minutes.rbegin()->first - rate_minutes);
  }
  void forget_before(std::int64_t minute) { minutes.erase(minutes.begin(), minutes.lower_bound(minute)); }
  [[nodiscard]] Usd last_hour(std::int64_t now) const {
    Usd sum;
    for (const auto& [minute, usd] : minutes)
      if (minute > now - rate_minutes) sum += usd;
    return sum;
  }
};

/// What events have said of a budget's cap on money, and what was spent since.
///
/// No event says that a window is over. But a budget that is at its cap admits no call, unless its policy lets calls through, which events
/// say: one that began later began in the next window, or under another cap.
class Cap {
 public:
  /// \param spent Empty: not said.
  void said(Usd cap, std::optional<Usd> spent, Time time) {
    cap_ = cap;
    if (spent) spent_ = spent, spent_at_ = time;
    note_reached(time);
  }
  void let_through() { lets_through_ = true; }
  void add(const Record& record) {
    if (!spent_ || record.ended <= spent_at_) return;
    if (reached_ && !lets_through_ && record.started > *reached_)
      spent_ = record.usd, reached_.reset();
    else
      *spent_ += record.usd;
    note_reached(record.ended);
  }
  [[nodiscard]] Usd cap() const { return cap_; }
  [[nodiscard]] std::string reached(Usd rate) const {
    if (!spent_) return "";
    if (reached_) return "at " + to_iso8601(*reached_);
    if (rate <= Usd{}) return "not at this rate";
    const double minutes = 60 * static_cast<double>((cap_ - *spent_).nanos()) / static_cast<double>(rate.nanos());
    if (minutes > 366 * 24 * 60) return "in over a year";
    const auto whole = static_cast<std::int64_t>(minutes);
    if (whole >= 48 * 60) return "in " + std::to_string(whole / (24 * 60)) + " days";
    return "in " + std::to_string(whole / 60) + " h " + std::to_string(whole % 60) + " min";
  }

 private:
  void note_reached(Time time) {
    if (!spent_ || *spent_ < cap_)
      reached_.reset();
    else if (!reached_)
      reached_ = time;
  }

  Usd cap_{};
  std::optional<Usd> spent_{};
  Time spent_at_{};
  std::optional<Time> reached_{};
  bool lets_through_ = false;
};

class Top {
 public:
  explicit Top(const std::vector<std::string>& keys) : keys_(keys), spenders_(keys.size()) {}

  /// A call was seen.
  [[nodiscard]] bool any() const { return any_; }

  void add(const Record& record) {
    any_ = true;
    const std::int64_t minute = minute_of(record.ended);
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      const std::string& key = keys_[i];
      if (key == "budget") {
        // Spending counts in every budget around it.
        std::string path;
        for (const std::string& name : record.budgets) {
          detail::append_to_path(path, name);
          spender(i, path).add(record.usd, minute);
          if (Cap* cap = cap_of(path)) cap->add(record);
        }
      } else if (key == "model" || key == "provider") {
        spender(i, key == "model" ? record.model : record.provider).add(record.usd, minute);
      } else if (const std::string* value = record.tags.find(key)) {
        spender(i, *value).add(record.usd, minute);
      }
    }
  }
  void add(const BudgetEvent& event) {
    if (event.path.empty() || event.dimension != Dimension::usd) return;
    switch (event.action) {
      case Action::threshold:
      case Action::overrun:
        if (Cap* cap = made_cap(event.path))
          cap->said(Usd::from_nanos(event.cap), Usd::from_nanos(event.projected), event.time);
        break;
      case Action::blocked:
      case Action::truncated:
      case Action::downgraded:
      case Action::cut:
      case Action::cap_raised:
      case Action::cap_lowered:
        if (Cap* cap = made_cap(event.path)) cap->said(Usd::from_nanos(event.cap), std::nullopt, event.time);
        break;
      case Action::cap_set:
        set_cap(event);
        break;
      case Action::warned:
      case Action::raised:
      case Action::allowed:
        if (Cap* cap = made_cap(event.path)) {
          cap->said(Usd::from_nanos(event.cap), std::nullopt, event.time);
          cap->let_through();
        }
        break;
      default:
        break;
    }
  }

  [[nodiscard]] std::string render(Time now, std::size_t rows, const Terminal& terminal) const {
    std::string out;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      std::vector<std::pair<std::string, const Spender*>> all;
      for (const auto& [value, spender] : spenders_[i]) all.emplace_back(value, &spender);
      if (all.empty()) continue;
      const std::int64_t minute = minute_of(now);
      std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) {
        const Usd x = a.second->last_hour(minute), y = b.second->last_hour(minute);
        if (x != y) return x > y;
        return a.second->total != b.second->total ? a.second->total > b.second->total : a.first < b.first;
      });
      const bool budgets = keys_[i] == "budget";
      std::vector<Table::Column> columns{
          {printable(keys_[i])}, {"an hour", true}, {"spent", true}, {"calls", true, false}};
      if (budgets) columns.push_back({"cap", true, false}), columns.push_back({"reached", true, false});
      Table table(std::move(columns));
      for (std::size_t row = 0; row < std::min(rows, all.size()); ++row) {
        const auto& [value, spender] = all[row];
        const Usd rate = spender->last_hour(minute);
        std::vector<std::string> cells{value.empty() ? "-" : printable(value), to_string(rate),
                                       to_string(spender->total), std::to_string(spender->calls)};
        if (budgets) {
          const auto cap = caps_.find(value);
          cells.push_back(cap == caps_.end() ? "" : to_string(cap->second.cap()));
          cells.push_back(cap == caps_.end() ? "" : cap->second.reached(rate));
        }
        table.add(std::move(cells));
      }
      out += table.render(terminal);
      if (all.size() > rows) out += std::to_string(all.size() - rows) + " more\n";
      out += '\n';
    }
    if (!out.empty()) return out;
    return any_ ? "No call has any of these. Check the names of --by.\n" : "No calls.\n";
  }

 private:
  Spender& spender(std::size_t key, const std::string& value) {
    auto& all = spenders_[key];
    return all.size() < most_values || all.contains(value) ? all[value] : all["(others)"];
  }

  /// Of a budget that has been seen; null: nothing is known of it.
  Cap* cap_of(const std::string& path) {
    if (const auto cap = caps_.find(path); cap != caps_.end()) return &cap->second;
    for (const auto& [name, set] : set_)
      if (is_path_of(path, name)) {
        Cap* cap = made_cap(path);
        if (cap) cap->said(set.first, std::nullopt, set.second);
        return cap;
      }
    return nullptr;
  }
  /// Null: there are too many.
  Cap* made_cap(const std::string& path) {
    return caps_.size() < most_values || caps_.contains(path) ? &caps_[path] : nullptr;
  }
  /// An operator's cap, for a name. Below 0 it was taken back, and that of the program is not known.
  void set_cap(const BudgetEvent& event) {
    const Usd cap = Usd::from_nanos(event.cap);
    if (event.cap < 0) {
      set_.erase(event.path);
      std::erase_if(caps_, [&](const auto& one) { return is_path_of(one.first, event.path); });
      return;
    }
    if (set_.size() < most_set) set_[event.path] = {cap, event.time};
    for (auto& [path, known] : caps_)
      if (is_path_of(path, event.path)) known.said(cap, std::nullopt, event.time);
  }

  bool any_ = false;
  const std::vector<std::string> keys_;
  std::vector<std::unordered_map<std::string, Spender>> spenders_;
  std::unordered_map<std::string, Cap> caps_;                  // by path
  std::unordered_map<std::string, std::pair<Usd, Time>> set_;  // by operators, by name
};

}  // namespace

int top(const TopArguments& arguments) {
  const Terminal terminal = standard_output();
  for (const std::string& key : arguments.by)
    if (key.empty()) throw UsageError("--by has an empty name. Write names separated by commas, as in model,user_id.");
  Top top(arguments.by);
  const std::unique_ptr<Source> source = open_source(arguments.source, filter_of(arguments.filter, system_now()));
  for (;;) {
    source->read([&](const Record& record) { top.add(record); }, [&](const BudgetEvent& event) { top.add(event); });
    const Time now = system_now();
    if (terminal.cursor) std::cout << "\x1B[H\x1B[2J";
    std::cout << to_iso8601(now) << "\n\n" << top.render(now, arguments.rows, terminal) << std::flush;
    if (arguments.once && !top.any()) say(nothing_passes(arguments.source, arguments.filter));
    if (arguments.once || !std::cout) return success;
    std::this_thread::sleep_for(std::chrono::seconds(arguments.every_seconds));
    if (!output_is_read()) return success;
  }
}

}  // namespace outlay::cli
