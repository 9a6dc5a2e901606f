#include "cli/formats.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "core/base/decimal.hpp"
#include "core/base/json_writer.hpp"

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

/// What may make a cell another one than it reads as, in any reader.
constexpr auto special = [] {
  std::array<bool, 256> is{};
  for (const char c : {'=', '+', '-', '@', '\t', '\r', '\n', ';', '|', ',', '"', '\xEF'})
    is[static_cast<unsigned char>(c)] = true;
  return is;
}();
bool is_special(char c) noexcept { return special[static_cast<unsigned char>(c)]; }

}  // namespace

std::string csv_cell(std::string_view text) {
  constexpr std::string_view separators = ";|\t\r\n";
  // Most cells of a million rows are plain.
  if (std::none_of(text.begin(), text.end(), is_special)) return std::string(text);
  std::string safe = is_formula(text) ? "'" : "";
  // A reader with another separator sees other cells, in which our quotes mean nothing.
  for (std::size_t begin = 0;;) {
    const auto next = std::find_if(text.begin() + static_cast<std::ptrdiff_t>(begin), text.end(),
                                   [&](char c) { return is_special(c) && separators.find(c) != separators.npos; });
    const auto end = static_cast<std::size_t>(next - text.begin());
    const std::string_view part = text.substr(begin, end - begin);
    if (begin != 0 && is_formula(part.substr(std::min(part.find_first_not_of('"'), part.size())))) safe += '\'';
    safe += part;
    if (end == text.size()) break;
    safe += text[end];
    begin = end + 1;
  }
  const bool changed = safe != text;
  const auto quoted = [](char c) { return c == ',' || c == '"' || c == '\r' || c == '\n'; };
  if (!changed && std::none_of(text.begin(), text.end(), quoted)) return safe;
  std::string cell = "\"";
  for (const char c : safe) {
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

namespace {

void write_row(detail::JsonWriter& json, const ReportRow& row) {
  json.begin_object().key("tags").tags(row.tags).key("usd").text(detail::decimal_usd(row.usd));
  for (const Field& field : fields) json.key(field.name).number(field.value(row));
  json.end_object();
}

/// `share` of `width` columns, in eighths of one.
std::string bar(double share, std::size_t width) {
  const auto eighths =
      static_cast<std::size_t>(std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(width) * 8));
  constexpr const char* parts[] = {"",
                                   "\xE2\x96\x8F",
                                   "\xE2\x96\x8E",
                                   "\xE2\x96\x8D",
                                   "\xE2\x96\x8C",
                                   "\xE2\x96\x8B",
                                   "\xE2\x96\x8A",
                                   "\xE2\x96\x89"};
  std::string text;
  for (std::size_t i = 0; i < eighths / 8; ++i) text += "\xE2\x96\x88";
  text += parts[eighths % 8];
  text.append(width - display_width(text), ' ');
  return text;
}

}  // namespace

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
  const std::size_t shown = std::min(report.size(), limit);
  Usd dearest;
  for (std::size_t i = 0; i < shown; ++i) dearest = std::max(dearest, report.at(i).usd);
  constexpr std::size_t bar_width = 16;
  const bool bars = terminal.width != 0 && shown > 1 && dearest > Usd{};
  if (bars) columns.push_back({"", true, false});
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
    if (bars)
      line.push_back(label
                         ? std::string()
                         : bar(static_cast<double>(row.usd.nanos()) / static_cast<double>(dearest.nanos()), bar_width));
    return line;
  };
  for (std::size_t i = 0; i < shown; ++i) table.add(cells(report.at(i), nullptr));
  if (report.size() != 1 || shown != 1) table.set_total(cells(total, "total"));
  std::string out = table.render(terminal);
  if (shown < report.size())
    out += std::to_string(report.size() - shown) + " more rows are left out: --limit 0 prints all\n";
  if (!report.complete()) out += "Retention has deleted older rows: these are the sums of what is left\n";
  return out;
}

}  // namespace outlay::cli
