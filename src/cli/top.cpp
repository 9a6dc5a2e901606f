// What spends now: the dearest values of each key, with the rate an hour, and when budgets reach their caps at it.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <optional>
#include <thread>
#include <unordered_map>

#include "cli/commands.hpp"
#include "cli/source.hpp"
#include "cli/terminal.hpp"
#include "core/ledger/budget_path.hpp"

namespace outlay::cli {

namespace {

constexpr std::size_t most_values = 10'000;  // of each key; what comes beyond is "(others)"
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

/// What an event has said of a budget's cap on money, and what was spent since.
struct Cap {
  Usd cap{}, spent{};
  Time time{};
};

class Top {
 public:
  explicit Top(const std::vector<std::string>& keys) : keys_(keys), spenders_(keys.size()) {}

  void add(const Record& record) {
    const std::int64_t minute = minute_of(record.ended);
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      const std::string& key = keys_[i];
      if (key == "budget") {
        // Spending counts in every budget around it.
        std::string path;
        for (const std::string& name : record.budgets) {
          detail::append_to_path(path, name);
          spender(i, path).add(record.usd, minute);
          const auto cap = caps_.find(path);
          if (cap != caps_.end() && record.ended > cap->second.time) cap->second.spent += record.usd;
        }
      } else if (key == "model" || key == "provider") {
        spender(i, key == "model" ? record.model : record.provider).add(record.usd, minute);
      } else if (const std::string* value = record.tags.find(key)) {
        spender(i, *value).add(record.usd, minute);
      }
    }
  }
  void add(const BudgetEvent& event) {
    const bool says_spent = event.action == Action::threshold || event.action == Action::overrun;
    if (!says_spent || event.dimension != Dimension::usd || event.path.empty()) return;
    if (caps_.size() >= most_values && !caps_.contains(event.path)) return;
    caps_[event.path] = {Usd::from_nanos(event.cap), Usd::from_nanos(event.projected), event.time};
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
      std::vector<Table::Column> columns{{printable(keys_[i])}, {"an hour", true}, {"spent", true}, {"calls", true}};
      if (budgets) columns.push_back({"cap", true}), columns.push_back({"reached", true});
      Table table(std::move(columns));
      for (std::size_t row = 0; row < std::min(rows, all.size()); ++row) {
        const auto& [value, spender] = all[row];
        const Usd rate = spender->last_hour(minute);
        std::vector<std::string> cells{value.empty() ? "-" : printable(value), to_string(rate),
                                       to_string(spender->total), std::to_string(spender->calls)};
        if (budgets) {
          const auto cap = caps_.find(value);
          cells.push_back(cap == caps_.end() ? "" : to_string(cap->second.cap));
          cells.push_back(cap == caps_.end() ? "" : reached(cap->second, rate));
        }
        table.add(std::move(cells));
      }
      out += table.render(terminal);
      if (all.size() > rows) out += std::to_string(all.size() - rows) + " more\n";
      out += '\n';
    }
    return out.empty() ? "No calls.\n" : out;
  }

 private:
  Spender& spender(std::size_t key, const std::string& value) {
    auto& all = spenders_[key];
    return all.size() < most_values || all.contains(value) ? all[value] : all["(others)"];
  }

  static std::string reached(const Cap& cap, Usd rate) {
    if (cap.spent >= cap.cap) return "reached";
    if (rate <= Usd{}) return "not at this rate";
    const double minutes = 60 * static_cast<double>((cap.cap - cap.spent).nanos()) / static_cast<double>(rate.nanos());
    if (minutes > 366 * 24 * 60) return "in over a year";
    const auto whole = static_cast<std::int64_t>(minutes);
    if (whole >= 48 * 60) return "in " + std::to_string(whole / (24 * 60)) + " days";
    return "in " + std::to_string(whole / 60) + " h " + std::to_string(whole % 60) + " min";
  }

  const std::vector<std::string> keys_;
  std::vector<std::unordered_map<std::string, Spender>> spenders_;
  std::unordered_map<std::string, Cap> caps_;
};

}  // namespace

int top(const TopArguments& arguments) {
  const Terminal terminal = standard_output();
  for (const std::string& key : arguments.by)
    if (key.empty()) throw UsageError("--by has an empty name. Write names separated by commas, as in model,user_id.");
  Top top(arguments.by);
  const std::unique_ptr<Source> source = open_source(arguments.file, filter_of(arguments.filter, system_now()));
  for (;;) {
    source->read([&](const Record& record) { top.add(record); }, [&](const BudgetEvent& event) { top.add(event); });
    const Time now = system_now();
    if (terminal.width != 0) std::cout << "\x1B[H\x1B[2J";
    std::cout << to_iso8601(now) << "\n\n" << top.render(now, arguments.rows, terminal) << std::flush;
    if (arguments.once || !std::cout) return success;
    std::this_thread::sleep_for(std::chrono::seconds(arguments.every_seconds));
  }
}

}  // namespace outlay::cli
