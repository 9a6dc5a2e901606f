// A month of a team's calls, as an SQLite sink keeps it: six models, forty users, every kind of event, and names that mean harm.
//
//   outlay_month FILE [CALLS]      CALLS: 100,000 by default; the same file for the same number
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "outlay/sqlite.hpp"

namespace {

using namespace std::chrono_literals;

struct Model {
  const char* name;
  const char* provider;
  std::int64_t input, output;  // nano-dollars a token
};
constexpr Model models[] = {{"gpt-4o", "openai", 2'500, 10'000},
                            {"gpt-4o-mini", "openai", 150, 600},
                            {"o3", "openai", 2'000, 8'000},
                            {"claude-sonnet-4-5", "anthropic", 3'000, 15'000},
                            {"claude-haiku-4-5", "anthropic", 1'000, 5'000},
                            {"gemini-2.5-flash", "gemini", 300, 2'500}};
constexpr const char* features[] = {"search", "support", "summary", "agent", "review"};

/// Names that a page, a terminal or a spreadsheet might run.
const std::vector<std::string>& hostile() {
  static const std::vector<std::string> names{
      "<script>document.title='run'</script>", "\"><img src=x onerror=\"document.title='run'\">",
      "' onmouseover='document.title=1", "=cmd|' /C calc'!A0", "@SUM(1+1)",
      // NOLINTNEXTLINE(misc-misleading-bidirectional): that is the point
      "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D \xE2\x80\xAEtxt.exe",
      "\xF0\x9F\x92\xB8\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80", "\x1B]0;run\abell",
      "</style></title></textarea><svg onload=1>", std::string(4'096, 'W')};
  return names;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::cerr << "outlay_month FILE [CALLS]\n";
    return 2;
  }
  const std::int64_t calls = argc > 2 ? std::atoll(argv[2]) : 100'000;
  const auto sink = outlay::sqlite_sink({.path = argv[1]});
  std::mt19937_64 random(20261101);
  const auto below = [&](std::uint64_t end) { return static_cast<std::int64_t>(random() % end); };
  const outlay::Time begin(std::chrono::sys_days(std::chrono::year(2026) / 10 / 1));
  const auto month = std::chrono::nanoseconds(std::chrono::days(31));
  std::int64_t team_spent = 0;
  int announced = 0;
  constexpr std::int64_t team_cap = 400'000'000'000;
  for (std::int64_t i = 0; i < calls; ++i) {
    outlay::Time at = begin + month / calls * i;
    // Quiet nights and weekends: what falls there moves to the day before.
    const auto day = std::chrono::floor<std::chrono::days>(at);
    const auto hour = std::chrono::floor<std::chrono::hours>(at - day).count();
    const std::chrono::weekday weekday(day);
    if (hour < 7 && below(4) != 0) at += 8h;
    if ((weekday == std::chrono::Saturday || weekday == std::chrono::Sunday) && below(5) != 0) at -= 48h;
    at = std::clamp(at, begin, begin + month - 1s);

    const Model& model = models[static_cast<std::size_t>(std::min(below(6), below(6)))];
    outlay::Record record;
    record.call_id = static_cast<std::uint64_t>(i + 1);
    record.started = at;
    record.ended = at + std::chrono::milliseconds(300 + below(8'000));
    record.model = record.requested_model = record.admitted_model = model.name;
    record.provider = model.provider;
    record.price_version = "month";
    record.usage.input = 200 + below(3'000);
    record.usage.cache_read = below(3) == 0 ? below(2'000) : 0;
    record.usage.output = 20 + below(900);
    if (model.name == std::string("o3")) record.usage.reasoning = record.usage.output / 2;
    record.usd = outlay::Usd::from_nanos(record.usage.input * model.input + record.usage.cache_read * model.input / 2 +
                                         record.usage.output * model.output);
    record.reserved = record.usd * 2;
    const std::int64_t user = std::min(below(40), below(40));
    record.tags.set("user_id", "user-" + std::to_string(user));
    record.tags.set("feature", features[static_cast<std::size_t>(std::min(below(5), below(5)))]);
    record.tags.set("request_id", "request-" + std::to_string(i));
    if (below(200) == 0) record.tags.set("label", hostile()[static_cast<std::size_t>(below(hostile().size()))]);
    if (below(40) != 0) record.budgets = {"team", record.tags.at("feature")};

    outlay::BudgetEvent event;
    event.time = record.started;
    event.call_id = record.call_id;
    event.tags = record.tags;
    event.model = record.model;
    event.provider = record.provider;
    event.budget = record.tags.at("feature");
    event.path = "team/" + event.budget;
    event.budgets = {"team", event.budget};
    event.cap = 60'000'000'000;
    event.projected = event.cap + below(500'000'000);

    switch (below(400)) {
      case 0:
        record.status = outlay::RecordStatus::estimated;
        break;
      case 1:
        record.status = outlay::RecordStatus::indeterminate;
        record.usd = record.reserved;
        record.reason = "timed out after 20 s without data";
        break;
      case 2:
        record.status = outlay::RecordStatus::rejected;
        record.usd = {};
        record.usage = {};
        record.reason = "429";
        break;
      case 3:
        record.cost_source = outlay::CostSource::none;
        record.usd = {};
        break;
      case 4:
      case 5:
        record.requested_model = "gpt-4o";
        record.model = record.admitted_model = "gpt-4o-mini";
        record.provider = "openai";
        record.usd = outlay::Usd::from_nanos(record.usage.input * 150 + record.usage.output * 600);
        event.action = outlay::Action::downgraded;
        event.model = "gpt-4o";
        event.new_model = "gpt-4o-mini";
        sink->event(event);
        break;
      case 6:
        event.action = outlay::Action::clamped;
        event.max_output_tokens = 256;
        event.projected = event.cap + 1'000 * (1 + below(20'000));
        sink->event(event);
        break;
      case 7:
        event.action = outlay::Action::cut;
        sink->event(event);
        break;
      case 8:
      case 9:
        event.action = below(4) == 0 ? outlay::Action::truncated : outlay::Action::blocked;
        sink->event(event);
        continue;  // was never sent
      case 10: {
        constexpr outlay::Action others[] = {
            outlay::Action::raised,   outlay::Action::allowed,     outlay::Action::warned,
            outlay::Action::waited,   outlay::Action::overrun,     outlay::Action::cap_raised,
            outlay::Action::closed,   outlay::Action::observed,    outlay::Action::adjusted,
            outlay::Action::unshared, outlay::Action::retry_storm, outlay::Action::cap_lowered,
            outlay::Action::cap_set,  outlay::Action::expired};
        event.action = others[static_cast<std::size_t>(below(std::size(others)))];
        event.reason = "the month's example";
        sink->event(event);
        break;
      }
      default:
        break;
    }
    team_spent += record.usd.nanos();
    constexpr double fractions[] = {0.5, 0.8, 1.0};
    if (announced < 3 && static_cast<double>(team_spent) >= fractions[announced] * static_cast<double>(team_cap)) {
      outlay::BudgetEvent reached;
      reached.time = record.ended;
      reached.action = outlay::Action::threshold;
      reached.budget = reached.path = "team";
      reached.budgets = {"team"};
      reached.projected = team_spent;
      reached.cap = team_cap;
      reached.threshold = fractions[announced++];
      sink->event(reached);
    }
    sink->write(record);
  }
  sink->close();
  return 0;
} catch (const std::exception& error) {
  std::cerr << "outlay_month: " << error.what() << '\n';
  return 1;
}
