#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <set>

#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "core/base/decimal.hpp"
#include "core/base/iso_time.hpp"
#include "core/base/json_writer.hpp"
#include "outlay/error.hpp"
#include "outlay/sqlite.hpp"

namespace outlay::cli {

namespace {

/// A row's numbers, for the formats that machines read: one list, so that none of them forgets a column.
struct Field {
  const char* name;
  std::int64_t (*value)(const ReportRow&);
};
constexpr Field fields[] = {
    {"usd_nanos", [](const ReportRow& r) { return r.usd.nanos(); }},
    {"calls", [](const ReportRow& r) { return r.calls; }},
    {"input", [](const ReportRow& r) { return r.usage.input; }},
    {"cache_read", [](const ReportRow& r) { return r.usage.cache_read; }},
    {"cache_write", [](const ReportRow& r) { return r.usage.cache_write; }},
    {"cache_write_1h", [](const ReportRow& r) { return r.usage.cache_write_1h; }},
    {"output", [](const ReportRow& r) { return r.usage.output; }},
    {"reasoning", [](const ReportRow& r) { return r.usage.reasoning; }},
    {"input_audio", [](const ReportRow& r) { return r.usage.input_audio; }},
    {"input_image", [](const ReportRow& r) { return r.usage.input_image; }},
    {"cache_read_audio", [](const ReportRow& r) { return r.usage.cache_read_audio; }},
    {"output_audio", [](const ReportRow& r) { return r.usage.output_audio; }},
    {"output_image", [](const ReportRow& r) { return r.usage.output_image; }},
    {"web_searches", [](const ReportRow& r) { return r.usage.web_searches; }},
    {"exact_nanos", [](const ReportRow& r) { return r.exact.nanos(); }},
    {"estimated_nanos", [](const ReportRow& r) { return r.estimated.nanos(); }},
    {"indeterminate_nanos", [](const ReportRow& r) { return r.indeterminate.nanos(); }},
    {"unpriced_calls", [](const ReportRow& r) { return r.unpriced_calls; }},
    {"estimated_calls", [](const ReportRow& r) { return r.estimated_calls; }},
    {"indeterminate_calls", [](const ReportRow& r) { return r.indeterminate_calls; }},
    {"rejected_calls", [](const ReportRow& r) { return r.rejected_calls; }},
    {"blocked_calls", [](const ReportRow& r) { return r.blocked_calls; }},
};

bool is_number(std::string_view text) noexcept {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, point), part = text.substr(std::min(point + 1, text.size()));
  return !whole.empty() && std::all_of(whole.begin(), whole.end(), is_digit) &&
         (point == text.size() || !part.empty()) && std::all_of(part.begin(), part.end(), is_digit);
}

/// Would a spreadsheet compute it? OWASP's page "CSV Injection" lists the characters, full-width forms among them; a plain number is safe.
bool is_formula(std::string_view text) noexcept {
  constexpr std::string_view starts[] = {
      "=", "+", "-", "@", "\t", "\r", "\n", "\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D", "\xEF\xBC\xA0"};
  return !is_number(text) && std::any_of(std::begin(starts), std::end(starts),
                                         [&](std::string_view start) { return text.starts_with(start); });
}

/// As RFC 4180. A text that a spreadsheet would compute gets an apostrophe before it, which makes it text there.
std::string csv_cell(std::string_view text) {
  const bool formula = is_formula(text);
  if (!formula && text.find_first_of(",\"\r\n") == text.npos) return std::string(text);
  std::string cell = formula ? "\"'" : "\"";
  for (const char c : text) {
    if (c == '"') cell += '"';
    cell += c;
  }
  return cell + '"';
}

std::string as_csv(const Report& report, const std::vector<std::string>& by, std::size_t limit) {
  std::string out;
  for (const std::string& key : by) out += csv_cell(key) + ',';
  out += "usd";
  for (const Field& field : fields) out.append(",").append(field.name);
  out += "\r\n";  // RFC 4180
  for (std::size_t i = 0; i < std::min(report.size(), limit); ++i) {
    const ReportRow& row = report.at(i);
    for (const std::string& key : by) {
      const std::string* value = row.tags.find(key);
      out += (value ? csv_cell(*value) : std::string()) + ',';
    }
    out += detail::decimal_usd(row.usd);
    for (const Field& field : fields) out.append(",").append(std::to_string(field.value(row)));
    out += "\r\n";
  }
  return out;
}

void write_row(detail::JsonWriter& json, const ReportRow& row) {
  json.begin_object().key("tags").tags(row.tags).key("usd").text(detail::decimal_usd(row.usd));
  for (const Field& field : fields) json.key(field.name).number(field.value(row));
  json.end_object();
}

std::string as_json(const Report& report, std::size_t limit) {
  std::string out;
  detail::JsonWriter json(out);
  json.begin_object().key("complete").boolean(report.complete()).key("total");
  write_row(json, report.total());
  json.key("rows").begin_array();
  for (std::size_t i = 0; i < std::min(report.size(), limit); ++i) write_row(json.line(), report.at(i));
  out += '\n';
  json.end_array().end_object();
  return out += '\n';
}

std::string as_table(const Report& report, const std::vector<std::string>& by, std::size_t limit,
                     const Terminal& terminal) {
  const ReportRow total = report.total();
  std::vector<Table::Column> columns;
  columns.reserve(by.size() + 8);
  for (const std::string& key : by) columns.push_back({printable(key)});
  if (by.empty()) columns.push_back({""});
  columns.push_back({"usd", true});
  columns.push_back({"calls", true});
  columns.push_back({"tokens in", true, false});
  columns.push_back({"tokens out", true, false});
  // Columns that say something about a few reports only.
  struct Rare {
    const char* title;
    std::string (*text)(const ReportRow&);
    bool wanted;
  };
  const Rare rare[] = {
      {"estimated", [](const ReportRow& r) { return to_string(r.estimated); }, total.estimated_calls != 0},
      {"indeterminate", [](const ReportRow& r) { return to_string(r.indeterminate); }, total.indeterminate_calls != 0},
      {"unpriced", [](const ReportRow& r) { return std::to_string(r.unpriced_calls); }, total.unpriced_calls != 0},
      {"rejected", [](const ReportRow& r) { return std::to_string(r.rejected_calls); }, total.rejected_calls != 0},
      {"refused", [](const ReportRow& r) { return std::to_string(r.blocked_calls); }, total.blocked_calls != 0},
  };
  for (const Rare& column : rare)
    if (column.wanted) columns.push_back({column.title, true, false});
  Table table(std::move(columns));
  const auto cells = [&](const ReportRow& row, const char* label) {
    std::vector<std::string> line;
    for (const std::string& key : by) {
      const std::string* value = row.tags.find(key);
      line.push_back(label && line.empty() ? label : label ? "" : value ? printable(*value) : "-");
    }
    if (by.empty()) line.emplace_back(label ? label : "all");
    line.push_back(to_string(row.usd));
    line.push_back(std::to_string(row.calls));
    line.push_back(std::to_string(row.usage.input_total()));
    line.push_back(std::to_string(row.usage.output));
    for (const Rare& column : rare)
      if (column.wanted) line.push_back(column.text(row));
    return line;
  };
  const std::size_t shown = std::min(report.size(), limit);
  for (std::size_t i = 0; i < shown; ++i) table.add(cells(report.at(i), nullptr));
  if (report.size() != 1 || shown != 1) table.set_total(cells(total, "total"));
  std::string out = table.render(terminal);
  if (shown < report.size())
    out += std::to_string(report.size() - shown) + " more rows are left out: --limit 0 prints all\n";
  if (!report.complete()) out += "Retention has deleted older rows: these are the sums of what is left\n";
  return out;
}

template <class Int>
bool read_number(std::string_view text, Int& out) {
  const auto end = std::from_chars(text.data(), text.data() + text.size(), out);
  return end.ec == std::errc() && end.ptr == text.data() + text.size() && !text.empty();
}

}  // namespace

std::string report_table(const Report& report, const std::vector<std::string>& by, const Terminal& terminal) {
  return as_table(report, by, report.size(), terminal);
}

std::optional<Time> parse_time(std::string_view text, Time now) {
  using namespace std::chrono;
  std::int64_t count = 0;
  if (text.size() >= 2 && read_number(text.substr(0, text.size() - 1), count) && count >= 0 && count <= 1'000'000) {
    switch (text.back()) {
      case 'm':
        return now - minutes(count);
      case 'h':
        return now - hours(count);
      case 'd':
        if (count > 36'500) return std::nullopt;
        return now - hours(24 * count);
      case 'w':
        if (count > 5'200) return std::nullopt;
        return now - hours(7 * 24 * count);
      default:
        return std::nullopt;
    }
  }
  return detail::parse_iso_time(text);
}

int report(const ReportArguments& arguments) {
  const Time now(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()));
  ReportFilter filter;
  for (const auto& [option, text, out] : {std::tuple{"--since", &arguments.since, &filter.since},
                                          std::tuple{"--until", &arguments.until, &filter.until}}) {
    if (text->empty()) continue;
    *out = parse_time(*text, now);
    if (!*out) {
      std::cerr << "outlay: " << option << ": \"" << printable(*text)
                << "\" is not a time. Write 30m, 12h, 7d, 2w, 2026-11-01 or 2026-11-01T12:00:00Z.\n";
      return usage;
    }
  }
  if (!read_tags(arguments.tags, filter.tags)) return usage;
  for (const std::string& key : arguments.by)
    if (key.empty()) {
      std::cerr << "outlay: --by has an empty name. Write names separated by commas, as in feature,user_id.\n";
      return usage;
    }
  const Report result = report_sqlite(arguments.file, arguments.by, filter);
  for (const std::string& key : result.missing_keys())
    std::cerr << "outlay: no record has the tag \"" << printable(key) << "\". Check its name.\n";
  const std::size_t limit = arguments.limit == 0 ? result.size() : arguments.limit;
  std::cout << (arguments.format == Format::csv    ? as_csv(result, arguments.by, limit)
                : arguments.format == Format::json ? as_json(result, limit)
                                                   : as_table(result, arguments.by, limit, standard_output()));
  return success;
}

}  // namespace outlay::cli
