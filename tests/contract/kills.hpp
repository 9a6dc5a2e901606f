#pragma once

// Processes that spend under windows, thresholds and rules in one store and are killed while they do, whatever the store: nothing is lost,
// nothing is announced twice, nothing stays held. What each was about to do and has done it says in a pipe, a line at a time.

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <tuple>

#include "contract/processes.hpp"
#include "support/dice.hpp"

namespace outlay_test::processes {

inline constexpr std::int64_t cent = 10'000'000;
inline constexpr std::int64_t team_cents = 400, user_cents = 150;
inline constexpr double half = 0.5, whole = 1.0;

/// Calls of up to nine cents, by one of four users, until `stop` says so. One line each:
/// `w CENTS USER` before a call, `r` where it is refused, `s CENTS` once its end is in the store, `t COUNTER FRACTION` for a threshold.
inline int spend(const Place& place, outlay::Time now, std::uint64_t seed, const Pipe& stop, const Pipe& said,
                 std::size_t worker) {
  Process process(place, now);
  process.ledger.add_rule({.match = {"user_id", "*"},
                           .usd = outlay::Usd::from_nanos(user_cents * cent),
                           .notify_at = {half, whole},
                           .store = process.store});
  Dice dice(seed);
  const auto say = [&](const std::string& what) { said.write(std::to_string(worker) + ' ' + what + '\n'); };
  std::size_t told = 0;
  while (stop.read_what_is_there(1).empty()) {
    const std::string user = "u" + std::to_string(dice.between(1, 4));
    const std::int64_t most = dice.between(1, 9), used = dice.between(1, most);
    const outlay::Budget team({.name = "team",
                               .usd = outlay::Usd::from_nanos(team_cents * cent),
                               .notify_at = {half, whole},
                               .window = outlay::Window::day(),
                               .store = process.store});
    const outlay::Track tags({{"user_id", user}});
    say("w " + std::to_string(most) + ' ' + user);
    outlay::Result<outlay::Call> call =
        outlay::try_call({.model = "flat", .usd = outlay::Usd::from_nanos(most * cent), .lease = 1h});
    if (call) {
      call->settle({.provider_cost = outlay::Usd::from_nanos(used * cent)});
      process.store->flush();
    }
    const std::vector<outlay::BudgetEvent> events = process.ledger.events();
    for (; told < events.size(); ++told)
      if (const outlay::BudgetEvent& event = events[told]; event.action == outlay::Action::threshold) {
        std::ostringstream fraction;
        fraction << event.threshold;
        say("t " + event.budget + ' ' + fraction.str());
      }
    say(call ? "s " + std::to_string(used) : "r");
  }
  return 0;
}

/// What all processes have said.
class Said {
 public:
  struct Sums {
    std::int64_t least = 0, most = 0;  // cents that the counter may have spent
    int unknown = 0;                   // calls of which the end was not said
  };

  /// Takes what a pipe has given. \return How many lines.
  int take(const std::string& bytes, outlay::Time now) {
    const auto day = std::chrono::floor<std::chrono::days>(now);
    int lines = 0;
    rest_ += bytes;
    for (std::size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n'), ++lines) {
      std::istringstream line(rest_.substr(0, end));
      rest_.erase(0, end + 1);
      std::size_t worker = 0;
      char what = 0;
      line >> worker >> what;
      Wanted& wanted = wanted_[worker];
      if (what == 'w') {
        line >> wanted.cents >> wanted.user;
      } else if (what == 't') {
        std::string counter;
        double fraction = 0;
        line >> counter >> fraction;
        ++announced[{day, counter, fraction}];
      } else {
        std::int64_t cents = 0;
        line >> cents;
        add(day, wanted.user, cents, cents, 0);
        wanted_.erase(worker);
      }
    }
    return lines;
  }
  /// The process has been killed, and will say nothing more: its call may have been charged, wholly or not at all.
  void gone(std::size_t worker, outlay::Time now) {
    if (const auto at = wanted_.find(worker); at != wanted_.end())
      add(std::chrono::floor<std::chrono::days>(now), at->second.user, 0, at->second.cents, 1);
    wanted_.erase(worker);
  }

  using Threshold = std::tuple<outlay::Time, std::string, double>;
  std::map<std::pair<outlay::Time, std::string>, Sums> sums;  // by day and counter
  std::map<Threshold, int> announced;                         // and by fraction
  std::set<Threshold> reached;                                // for certain

 private:
  struct Wanted {
    std::int64_t cents = 0;
    std::string user;
  };
  void add(outlay::Time day, const std::string& user, std::int64_t least, std::int64_t most, int unknown) {
    for (const std::string& counter : {std::string("team"), "user_id:" + user}) {
      Sums& sum = sums[{day, counter}];
      sum.least += least, sum.most += most, sum.unknown += unknown;
    }
  }
  std::map<std::size_t, Wanted> wanted_;
  std::string rest_;
};

/// At a time when no call runs and every lease has run out: what the counters say is between what the processes have said and what they may have
/// charged besides; and no threshold of them was announced twice, or not at all where none of its calls was cut off.
inline void check_counters(const Place& place, Said& said, outlay::Time now) {
  const Process looker(place, now);
  for (const auto& [counter, sum] : said.sums) {
    const auto& [day, name] = counter;
    if (now - day > 47h) continue;
    INFO(name << ", day " << (day - midnight) / 24h << ", " << sum.unknown << " cut off");
    const auto state = looker.store->state(name, outlay::Window::day(), day + 1h);
    const std::int64_t cap = name == "team" ? team_cents : user_cents;
    CHECK(state.reserved == outlay::Amounts{});
    CHECK(state.spent.usd.nanos() >= sum.least * cent);
    CHECK(state.spent.usd.nanos() <= std::min(sum.most, cap) * cent);
    int silent = 0;
    for (const double fraction : {half, whole}) {
      const auto at = said.announced.find({day, name, fraction});
      const int times = at == said.announced.end() ? 0 : at->second;
      CHECK(times <= 1);
      if (static_cast<double>(sum.least) < fraction * static_cast<double>(cap)) continue;
      said.reached.insert({day, name, fraction});
      silent += times == 0;
    }
    // What a store had told a process that was killed before it could say so is lost: of one threshold for each, since no call spans two.
    CHECK(silent <= sum.unknown);
  }
}

/// 400 kills; OUTLAY_TEST_KILLS=1000 makes a thousand. No seed could replay them, since it is the system that chooses when a process runs.
inline void check_processes_that_are_killed(const Place& place) {
  const char* const given = std::getenv("OUTLAY_TEST_KILLS");
  const int kills = given ? std::atoi(given) : 400;
  Dice dice(std::random_device{}());
  constexpr int at_once = 4;
  Said all;
  std::size_t next = 0;
  outlay::Time now = midnight;
  for (int killed = 0; killed < kills;) {
    const Pipe stop, said;
    std::vector<std::pair<std::size_t, std::unique_ptr<ForkedChild>>> running;
    const auto start = [&] {
      const std::size_t worker = next++;
      const auto seed = static_cast<std::uint64_t>(dice.between(0, INT64_MAX - 1));
      running.emplace_back(worker,
                           std::make_unique<ForkedChild>([&] { return spend(place, now, seed, stop, said, worker); }));
    };
    while (running.size() < std::size_t{at_once}) start();
    for (int i = 0; i < 10 && killed < kills; ++i, ++killed) {
      for (auto lines = dice.between(0, 40); lines > 0;) lines -= all.take(said.read(), now);
      const auto one = running.begin() + dice.between(0, at_once - 1);
      one->second->kill();
      REQUIRE(one->second->wait() == -SIGKILL);
      all.take(said.read_what_is_there(), now);
      all.gone(one->first, now);
      running.erase(one);
      start();
    }
    stop.write(std::string(at_once, '.'));
    for (const auto& [worker, child] : running) REQUIRE(child->wait() == 0);
    all.take(said.read_what_is_there(), now);
    now += 7h;
    check_counters(place, all, now);
  }
  CHECK_FALSE(all.reached.empty());
  // Few are killed just then. (Of a few thresholds chance may take any share.)
  const auto silent = std::count_if(all.reached.begin(), all.reached.end(),
                                    [&](const Said::Threshold& one) { return !all.announced.contains(one); });
  if (all.reached.size() >= 40) CHECK(static_cast<std::size_t>(silent) * 4 <= all.reached.size());
}

}  // namespace outlay_test::processes
