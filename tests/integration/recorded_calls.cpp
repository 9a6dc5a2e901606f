// Reads calls as they were really made, and measures what this library bounds and counts against what the providers reported.
//
//   recorded_calls [FILE]     or OUTLAY_RECORDED_CALLS=FILE
//
// Each line of the file is an object: `api` (as Api::name() has it), `request` as it was sent, and what came back, as `reply` (the JSON) or
// `stream` (its bytes as text). Further, where they apply: `model`, where the URL named it, and `provider`. A line without `request` says
// nothing of inputs, one with `"input_only": true` nothing of outputs. The recordings are not part of this project: without them the program
// says so and ends with 77, which ctest reports as skipped.
//
// Inputs: how often what was billed lay above what is held for it, without and with tools. A request that is marked as unbounded on its
// input is counted apart, since it promises nothing. Outputs: what is counted where a usage is missing, against the output that was
// reported, less the reasoning that the answer does not show. Ends with 1 if an input that is said to be bounded was not.
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/json.hpp"

namespace {

namespace json = boost::json;
using outlay::Api;
using outlay::Usage;

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* const found = object.if_contains(key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

// Every place where one of the formats reports tokens.
bool reports(std::string_view key) {
  static constexpr std::string_view keys[] = {
      "usage",      "usageMetadata", "usage_metadata",    "x_groq",     "timings", "tool_usage",
      "eval_count", "meta",          "prompt_eval_count", "token_usage"};
  return std::find(std::begin(keys), std::end(keys), key) != std::end(keys);
}

json::value without_usage(const json::value& value) {
  if (value.is_array()) {
    json::array kept;
    for (const json::value& inner : value.get_array()) kept.push_back(without_usage(inner));
    return kept;
  }
  if (!value.is_object()) return value;
  json::object kept;
  for (const auto& [key, inner] : value.get_object())
    if (!reports(key)) kept.emplace(key, without_usage(inner));
  return kept;
}

// Of a ledger of its own, since nothing here is spent.
struct Alone {
  outlay::Ledger ledger{{.prices = outlay::PriceTable::bundled()}};
  outlay::LedgerScope scope{ledger};
};

struct Inputs {
  int calls = 0, above = 0, unbounded = 0, unbounded_above = 0;
  double worst = 0;  // of what was billed to what was held, among the bounded
  std::vector<double> ratios{};
};
struct Outputs {
  int calls = 0, below = 0;
  std::vector<double> errors{};
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

bool has_tools(const json::object& request) {
  return request.contains("tools") || request.contains("toolConfig") || request.contains("functions");
}

// What the provider says, and how the answer is counted where it does not.
struct Answer {
  Usage reported{};
  Usage counted{};
};

std::optional<Answer> answer_of(const json::object& line, Api api, const json::object* request) {
  Answer answer;
  if (const std::string stream = text_at(line, "stream"); !stream.empty()) {
    outlay::StreamMeter meter(api);
    meter.feed(stream);
    meter.finish();
    if (!meter.reported() || meter.estimated()) return std::nullopt;
    answer.reported = meter.usage();
    answer.counted.output = meter.counted_output();
    return answer;
  }
  const json::value* const reply = line.if_contains("reply");
  if (reply == nullptr) return std::nullopt;
  answer.reported = outlay::read_usage(api, *reply);
  if (request != nullptr) {
    const std::string model = text_at(line, "model"), provider = text_at(line, "provider");
    outlay::GuardedCall call(api, *request, {.model = model, .provider = provider});
    call.sent();
    answer.counted = call.reply(without_usage(*reply)).usage;
  }
  return answer;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const from_environment = std::getenv("OUTLAY_RECORDED_CALLS");
  const char* const path = argc > 1 ? argv[1] : from_environment;
  if (path == nullptr) {
    std::puts(
        "SKIPPED: recorded_calls needs recordings that are not part of this project; name them in "
        "OUTLAY_RECORDED_CALLS.");
    return 77;
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::printf("SKIPPED: recorded_calls cannot read %s\n", path);
    return 77;
  }

  std::map<std::string, std::map<bool, Inputs>> inputs;  // by API, then without and with tools
  std::map<std::string, Outputs> outputs;
  std::vector<std::string> notes;
  int unread = 0, number = 0;
  for (std::string text; std::getline(file, text);) {
    ++number;
    if (text.empty()) continue;
    const std::string place = "line " + std::to_string(number) + ": ";
    try {
      const json::value parsed = json::parse(text);
      const json::object& line = parsed.as_object();
      const std::optional<Api> api = Api::from_name(text_at(line, "api"));
      if (!api) throw outlay::Error(outlay::errc::invalid_argument, "no such API");
      const std::string name(api->name());
      const json::value* const sent = line.if_contains("request");
      const json::object* const request = sent != nullptr && sent->is_object() ? &sent->get_object() : nullptr;
      const Alone alone;
      const std::optional<Answer> answer = answer_of(line, *api, request);
      if (!answer) {
        ++unread;
        notes.push_back(place + name + ": reports no usage");
        continue;
      }
      if (request != nullptr) {
        const std::string model = text_at(line, "model"), provider = text_at(line, "provider");
        const outlay::GuardedRequest guarded(*api, *request, {.model = model, .provider = provider});
        const std::int64_t held = guarded.call_request().input_tokens.value_or(0),
                           billed = answer->reported.input_total();
        const double ratio = static_cast<double>(billed) / static_cast<double>(std::max<std::int64_t>(held, 1));
        Inputs& row = inputs[name][has_tools(*request)];
        if (!guarded.input_bounded()) {
          ++row.unbounded;
          if (billed > held) ++row.unbounded_above;
        } else {
          ++row.calls;
          row.worst = std::max(row.worst, ratio);
          row.ratios.push_back(ratio);
          if (billed > held) {
            ++row.above;
            notes.push_back(place + name + " " + std::string(guarded.call_request().model) + ": " +
                            std::to_string(billed) + " billed, " + std::to_string(held) + " held");
          }
        }
      }
      const json::value* const input_only = line.if_contains("input_only");
      const std::int64_t shown = answer->reported.output - answer->reported.reasoning;
      if (input_only == nullptr && answer->counted.output != 0 && answer->reported.output > 0) {
        // The reasoning that an answer shows is often a summary: it is left out on both sides where it is reported.
        const std::int64_t counted =
            answer->counted.output - (answer->reported.reasoning > 0 ? answer->counted.reasoning : 0);
        Outputs& row = outputs[name];
        ++row.calls;
        row.errors.push_back(static_cast<double>(counted - shown) /
                             static_cast<double>(std::max<std::int64_t>(shown, 1)));
        if (counted < shown) {
          ++row.below;
          notes.push_back(place + name + ": " + std::to_string(shown) + " reported, " + std::to_string(counted) +
                          " counted");
        }
      }
    } catch (const std::exception& error) {
      ++unread;
      notes.push_back(place + error.what());
    }
  }

  std::puts(
      "What was billed as input, against what is held for it (bounded requests; worst and median are billed / held)");
  std::printf("%-20s %-6s %7s %7s %7s %7s %11s %11s\n", "API", "tools", "calls", "above", "worst", "median",
              "unbounded", "of it above");
  int above = 0;
  for (const auto& [name, kinds] : inputs)
    for (const auto& [tools, row] : kinds) {
      std::printf("%-20s %-6s %7d %7d %7.2f %7.2f %11d %11d\n", name.c_str(), tools ? "with" : "none", row.calls,
                  row.above, row.worst, median(row.ratios), row.unbounded, row.unbounded_above);
      above += row.above;
    }
  std::puts("\nOutput as counted without a report, against what was reported, less the reasoning");
  std::printf("%-20s %7s %7s %9s %9s %9s\n", "API", "calls", "below", "median", "lowest", "highest");
  for (const auto& [name, row] : outputs)
    std::printf("%-20s %7d %7d %+8.0f%% %+8.0f%% %+8.0f%%\n", name.c_str(), row.calls, row.below,
                100 * median(row.errors), 100 * *std::min_element(row.errors.begin(), row.errors.end()),
                100 * *std::max_element(row.errors.begin(), row.errors.end()));
  for (const std::string& note : notes) std::printf("  %s\n", note.c_str());
  std::printf("%d lines read, %d of them without a call that could be measured\n", number, unread);
  return above == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
