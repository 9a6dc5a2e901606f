// Calls and events of budgets, as they come.
#include <chrono>
#include <deque>
#include <iostream>
#include <thread>

#include "cli/commands.hpp"
#include "cli/source.hpp"
#include "cli/terminal.hpp"
#include "core/ledger/budget_path.hpp"

namespace outlay::cli {

namespace {

constexpr const char* red = "\x1B[31m";
constexpr const char* yellow = "\x1B[33m";
constexpr const char* cyan = "\x1B[36m";
constexpr const char* plain = "";

std::string coloured(const std::string& line, const char* colour, const Terminal& terminal) {
  return terminal.colour && *colour ? colour + line + "\x1B[0m" : line;
}

std::string tags_of(const Tags& tags) {
  std::string text;
  for (const auto& [key, value] : tags) text += "  " + printable(key) + '=' + printable(shortened(value, 80));
  return text;
}

std::string line_of(const Record& record, const Terminal& terminal) {
  std::string line = to_iso8601(record.ended) + "  " + to_string(record.usd) + "  " + printable(record.model) + "  " +
                     std::to_string(record.usage.input_total()) + " in, " + std::to_string(record.usage.output) +
                     " out";
  if (record.status != RecordStatus::settled) line += std::string("  ") + to_string(record.status);
  if (record.cost_source == CostSource::none && record.status != RecordStatus::rejected) line += "  unpriced";
  if (!record.budgets.empty()) line += "  " + printable(detail::join_path(record.budgets));
  line += tags_of(record.tags);
  return coloured(line, record.status == RecordStatus::settled ? plain : yellow, terminal);
}

const char* colour_of(Action action) noexcept {
  switch (action) {
    case Action::blocked:
    case Action::truncated:
    case Action::cut:
    case Action::overrun:
    case Action::unshared:
    case Action::retry_storm:
      return red;
    case Action::threshold:
    case Action::cap_raised:
    case Action::cap_lowered:
    case Action::cap_set:
    case Action::adjusted:
      return cyan;
    default:
      return yellow;
  }
}

std::string line_of(const BudgetEvent& event, const Terminal& terminal) {
  std::string line = to_iso8601(event.time) + "  " + to_string(event.action);
  if (!event.path.empty()) line += "  " + printable(event.path);
  if (!event.model.empty()) line += "  " + printable(event.model);
  if (!event.new_model.empty()) line += " -> " + printable(event.new_model);
  if (event.action == Action::expired)
    line += "  " + to_string(Amount(event.dimension, event.projected)) + ' ' + to_string(event.dimension);
  else if (event.cap != 0 || event.projected != 0)
    line += "  " + to_string(Amount(event.dimension, event.projected)) + " of " +
            to_string(Amount(event.dimension, event.cap)) + ' ' + to_string(event.dimension);
  if (!event.reason.empty()) line += "  " + printable(event.reason);
  line += tags_of(event.tags);
  return coloured(line, colour_of(event.action), terminal);
}

}  // namespace

int tail(const TailArguments& arguments) {
  const Terminal terminal = standard_output();
  const std::unique_ptr<Source> source = open_source(arguments.source, filter_of(arguments.filter, system_now()));
  std::deque<std::string> lines;
  const auto keep = [&](std::string line) {
    lines.push_back(std::move(line));
    if (lines.size() > arguments.lines) lines.pop_front();
  };
  source->read([&](const Record& record) { keep(line_of(record, terminal)); },
               [&](const BudgetEvent& event) { keep(line_of(event, terminal)); });
  for (const std::string& line : lines) std::cout << line << '\n';
  std::cout.flush();
  if (arguments.once && lines.empty() && arguments.lines != 0) say(nothing_passes(arguments.source, arguments.filter));
  if (const std::string remark = source->remark(); !remark.empty()) say(remark);
  while (!arguments.once && std::cout) {
    std::this_thread::sleep_for(source->pause());
    if (!output_is_read()) break;
    source->read([&](const Record& record) { std::cout << line_of(record, terminal) << '\n'; },
                 [&](const BudgetEvent& event) { std::cout << line_of(event, terminal) << '\n'; });
    std::cout.flush();
  }
  return success;
}

}  // namespace outlay::cli
