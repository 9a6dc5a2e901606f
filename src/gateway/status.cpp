#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "core/base/decimal.hpp"
#include "core/base/json_writer.hpp"
#include "core/base/percent.hpp"
#include "gateway/relay.hpp"
#include "gateway/totals.hpp"
#include "outlay/ledger.hpp"
#include "outlay/report.hpp"

namespace outlay::gateway::detail {

using outlay::detail::JsonWriter;

void Totals::write(const Record& record) {
  constexpr std::size_t most_models = 200;
  const std::lock_guard lock(mutex_);
  const bool room = sums_.size() < most_models || sums_.contains(record.model);
  Sum& sum = sums_[room ? record.model : "other"];
  ++sum.calls;
  // The ledger has checked that each fits; a sum beyond 9.2 billion dollars stays where it is.
  const auto add = [](std::int64_t& to, std::int64_t what) {
    if (__builtin_add_overflow(to, what, &to)) to = INT64_MAX;
  };
  add(sum.nanos, record.usd.nanos());
  add(sum.input, record.usage.input_total());
  add(sum.output, record.usage.output);
}

std::map<std::string, Totals::Sum> Totals::by_model() const {
  const std::lock_guard lock(mutex_);
  return sums_;
}

namespace {

Answer text_answer(std::string body, const char* type = "application/json") {
  Answer answer{.status = 200, .body = std::move(body)};
  answer.fields.emplace_back("Content-Type", type);
  answer.fields.emplace_back("Cache-Control", "no-store");
  return answer;
}

/// A label's value in Prometheus' text format.
std::string label(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

std::string metrics(const Server& server) {
  std::string out;
  const auto family = [&](const char* name, const char* type, const char* help) {
    out.append("# HELP outlay_").append(name).append(" ").append(help);
    out.append("\n# TYPE outlay_").append(name).append(" ").append(type).append("\n");
  };
  const auto one = [&](const char* name, const char* type, const char* help, std::uint64_t value) {
    family(name, type, help);
    out.append("outlay_").append(name).append(" ").append(std::to_string(value)).append("\n");
  };
  one("requests_total", "counter", "Requests whose head was read.", server.requests);
  one("admitted_total", "counter", "Calls that were admitted.", server.admitted);
  one("refused_total", "counter", "Calls that were refused before they were sent.", server.refused);
  one("cut_total", "counter", "Streams that were ended because they did not fit any longer.", server.cut);
  one("connections", "gauge", "Connections of clients that are open.", server.connections);
  one("streams", "gauge", "Streams that are running.", server.streams);
  const auto sums = server.totals->by_model();
  const auto each = [&](const char* name, const char* help, const auto& value) {
    family(name, "counter", help);
    for (const auto& [model, sum] : sums)
      out.append("outlay_")
          .append(name)
          .append("{model=\"")
          .append(label(model))
          .append("\"} ")
          .append(value(sum))
          .append("\n");
  };
  each("calls_total", "Calls that were booked.", [](const Totals::Sum& sum) { return std::to_string(sum.calls); });
  each("cost_usd_total", "What was booked, in US dollars.",
       [](const Totals::Sum& sum) { return outlay::detail::decimal_usd(Usd::from_nanos(sum.nanos)); });
  each("input_tokens_total", "Tokens that were read.",
       [](const Totals::Sum& sum) { return std::to_string(sum.input); });
  each("output_tokens_total", "Tokens that were generated.",
       [](const Totals::Sum& sum) { return std::to_string(sum.output); });
  return out;
}

void write_row(JsonWriter& json, const ReportRow& row) {
  json.begin_object().key("tags").tags(row.tags).key("usd").text(outlay::detail::decimal_usd(row.usd));
  json.key("calls").number(row.calls).key("input_tokens").number(row.usage.input_total());
  json.key("output_tokens").number(row.usage.output).key("refused_calls").number(row.blocked_calls).end_object();
}

std::string report_json(std::string_view query) {
  std::vector<std::string> by;
  if (query.starts_with("?by=")) {
    std::string_view list = query.substr(4);
    while (!list.empty() && by.size() < 8) {
      const std::string_view word = list.substr(0, list.find(','));
      list.remove_prefix(std::min(list.size(), word.size() + 1));
      if (!word.empty()) by.push_back(outlay::detail::percent_decoded(word).value_or(std::string(word)));
    }
  }
  const Report report = Ledger::current().report(by);
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("complete").boolean(report.complete()).key("total");
  write_row(json, report.total());
  json.key("rows").begin_array();
  for (const ReportRow& row : report) write_row(json, row);
  json.end_array().end_object();
  return out + "\n";
}

Answer call_json(std::string_view id) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  const bool valid = error == std::errc() && end == id.data() + id.size();
  const std::vector<Record> records = valid ? Ledger::current().records() : std::vector<Record>();
  const auto found =
      std::find_if(records.rbegin(), records.rend(), [&](const Record& one) { return one.call_id == number; });
  if (found == records.rend())
    return error_answer(std::nullopt, 404, "not_found",
                        "No call of this number has ended, or its record is no longer in memory.");
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("call").number(found->call_id).key("status").text(to_string(found->status));
  json.key("model").text(found->model).key("usd").text(outlay::detail::decimal_usd(found->usd));
  json.key("input_tokens").number(found->usage.input_total()).key("output_tokens").number(found->usage.output);
  json.key("tags").tags(found->tags).key("budgets").texts(found->budgets).end_object();
  return text_answer(out + "\n");
}

}  // namespace

Answer Relay::status(std::string_view path, std::string_view query) const {
  if (request_.method != "GET") return error_answer(std::nullopt, 405, "invalid_request", "Only GET is answered here.");
  const bool ready = !server_.stopping;
  if (path == "/outlay/health") return text_answer("{\"status\":\"ok\"}\n");
  if (path == "/outlay/ready") {
    Answer answer = text_answer(ready ? "{\"status\":\"ready\"}\n" : "{\"status\":\"stopping\"}\n");
    answer.status = ready ? 200 : 503;
    return answer;
  }
  const std::string& token = settings_->options.admin_sha256;
  if (token.empty() && !settings_->keys.empty())
    return error_answer(std::nullopt, 403, "forbidden", "Set admin_sha256 in the configuration to be answered here.");
  if (!token.empty() && hash_of_key(presented_key(request_, {})) != token)
    return error_answer(std::nullopt, 401, "unauthorized", "Send the admin token as \"Authorization: Bearer TOKEN\".");
  if (path == "/outlay/metrics") return text_answer(metrics(server_), "text/plain; version=0.0.4; charset=utf-8");
  if (path == "/outlay/report") return text_answer(report_json(query));
  constexpr std::string_view calls = "/outlay/calls/";
  if (path.starts_with(calls)) return call_json(path.substr(calls.size()));
  return error_answer(std::nullopt, 404, "not_found",
                      "Below /outlay/ there are health, ready, metrics, report?by=... and calls/<id>.");
}

}  // namespace outlay::gateway::detail
