#include "cli/page.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <utility>

#include "cli/terminal.hpp"
#include "outlay/error.hpp"

namespace outlay::cli {

namespace {

constexpr std::size_t most_series = 8, most_dearest = 25, most_together = 1'000;

/// Of a Content-Security-Policy: `'sha256-...'`.
std::string source_hash(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr) != 1)
    throw Error(errc::config, "OpenSSL has no SHA-256. Check its configuration.");
  unsigned char base64[2 * EVP_MAX_MD_SIZE];
  const int length = EVP_EncodeBlock(base64, digest, static_cast<int>(size));
  return "'sha256-" + std::string(reinterpret_cast<char*>(base64), static_cast<std::size_t>(length)) + "'";
}

std::string counted(std::int64_t count, const char* one, const char* many) {
  return std::to_string(count) + ' ' + (count == 1 ? one : many);
}

std::string grouped(std::int64_t count) {
  std::string digits = std::to_string(count);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > (count < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

std::string money_cell(Usd usd) {
  return "<td class=\"num\" data-n=\"" + std::to_string(usd.nanos()) + "\" title=\"" + html(to_string(usd)) + "\">" +
         html(money(usd)) + "</td>";
}
std::string count_cell(std::int64_t count) {
  return "<td class=\"num\" data-n=\"" + std::to_string(count) + "\">" + grouped(count) + "</td>";
}
std::string name_of(std::string_view name) {
  return "<bdi class=\"name\" title=\"" + html(name) + "\">" + html(name) + "</bdi>";
}
std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", share * 100);
  return text;
}

struct Heading {
  std::string title;
  bool number = true;
};
std::string table_head(const std::string& id, const std::string& label, const std::vector<Heading>& columns) {
  std::string out = "<table id=\"" + id + "\" aria-label=\"" + html(label) + "\"><thead><tr>";
  for (const Heading& column : columns)
    out += std::string("<th scope=\"col\"") + (column.number ? " class=\"num\"" : "") + "><button type=\"button\">" +
           html(column.title) + "</button></th>";
  return out + "</tr></thead>";
}
/// \param rows How many there are: a long table scrolls below its head.
std::string scroll(const std::string& label, const std::string& inside, std::size_t rows) {
  constexpr std::size_t most_in_full = 30;
  return std::string("<div class=\"scroll") + (rows > most_in_full ? " long" : "") +
         "\" tabindex=\"0\" role=\"region\" aria-label=\"" + html(label) + "\">" + inside + "</div>";
}

std::string value_or_none(const ReportRow& row, const std::string& key) {
  const std::string* value = row.tags.find(key);
  return value ? *value : "(none)";
}

/// The columns of a table of sums: names, and what belongs to them.
std::vector<Heading> sum_columns(const std::vector<std::string>& names) {
  const std::vector<Heading> sums{{"Spent"},     {"Share"},      {"Calls"},    {"Tokens in"}, {"Tokens out"},
                                  {"Estimated"}, {"No verdict"}, {"Unpriced"}, {"Rejected"},  {"Refused"}};
  std::vector<Heading> columns;
  columns.reserve(names.size() + sums.size());
  for (const std::string& name : names) columns.push_back({name, false});
  columns.insert(columns.end(), sums.begin(), sums.end());
  return columns;
}
std::string sum_cells(const ReportRow& row, Usd total) {
  const double share =
      total.nanos() <= 0 ? 0 : static_cast<double>(row.usd.nanos()) / static_cast<double>(total.nanos());
  return money_cell(row.usd) + "<td class=\"num\" data-n=\"" + std::to_string(row.usd.nanos()) + "\">" +
         percent(share) +
         " % <svg class=\"share\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect "
         "class=\"fill\" width=\"" +
         percent(std::clamp(share, 0.0, 1.0)) + "\" height=\"10\"/></svg></td>" + count_cell(row.calls) +
         count_cell(row.usage.input_total()) + count_cell(row.usage.output) + money_cell(row.estimated) +
         money_cell(row.indeterminate) + count_cell(row.unpriced_calls) + count_cell(row.rejected_calls) +
         count_cell(row.blocked_calls) + "</tr>";
}
/// A table whose rows can be searched.
std::string searched(const std::string& id, const std::string& label, const std::string& table, std::size_t rows) {
  return "<p class=\"needs-script\"><label>Only rows with <input type=\"search\" data-table=\"" + id +
         "\"></label> <span class=\"found soft\" role=\"status\"></span></p>" + scroll(label, table, rows);
}

}  // namespace

std::string html(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  return out;
}

std::string money(Usd usd) {
  constexpr std::uint64_t dollar = 1'000'000'000, cent = dollar / 100;
  const std::int64_t nanos = usd.nanos();
  const std::uint64_t size = nanos < 0 ? 0 - static_cast<std::uint64_t>(nanos) : static_cast<std::uint64_t>(nanos);
  std::size_t digits = size == 0 || size >= dollar ? 2 : size >= cent ? 4 : 9;
  std::uint64_t grain = 1;
  for (std::size_t i = digits; i < 9; ++i) grain *= 10;
  const std::uint64_t rounded = (size / grain + (grain != 1 && size % grain >= grain / 2)) * grain;
  std::string part = std::to_string(dollar + rounded % dollar).substr(1, digits);
  if (digits == 9) part.erase(std::max<std::size_t>(part.find_last_not_of('0') + 1, 4));
  return (nanos < 0 ? "-$" : "$") + grouped(static_cast<std::int64_t>(rounded / dollar)) + '.' + part;
}

Page::Page(const std::vector<std::string>& keys, bool together, const Overview& overview, Calendar& calendar,
           const PriceTable& prices)
    : unit_(overview.unit()), unit_name_(Calendar::name_of(unit_)), total_({}, calendar), savings_(prices) {
  for (const std::string& key : keys) sections_.push_back({key, {{key}, calendar}, {{unit_name_, key}, calendar}});
  if (together && keys.size() > 1) together_.emplace(keys, calendar);
  if (overview.first() > overview.last()) return;
  // Times without a call are on the axis, too. Rows that come while the page is made may be later than the overview's last.
  const auto step = std::chrono::minutes(unit_ == Calendar::Unit::hour ? 30 : 60 * 12);
  for (Time time = overview.first();; time = std::min(time + step, overview.last())) {
    const std::string& label = calendar.label(time, unit_);
    if (times_.empty() || times_.back() != label) times_.push_back(label);
    if (time == overview.last()) break;
  }
}

void Page::add(const Record& record) {
  total_.add(record);
  savings_.add(record);
  if (together_) together_->add(record);
  for (Section& section : sections_) {
    section.sums.add(record);
    section.over_time.add(record);
  }
  const auto dearer = [](const Record& a, const Record& b) { return a.usd > b.usd; };
  if (dearest_.size() < most_dearest || record.usd > dearest_.front().usd) {
    if (dearest_.size() == most_dearest) {
      std::pop_heap(dearest_.begin(), dearest_.end(), dearer);
      dearest_.pop_back();
    }
    dearest_.push_back(record);
    std::push_heap(dearest_.begin(), dearest_.end(), dearer);
  }
}

void Page::add(const BudgetEvent& event) {
  total_.add(event);
  savings_.add(event);
  if (together_) together_->add(event);
  for (Section& section : sections_) {
    section.sums.add(event);
    section.over_time.add(event);
  }
  Deed& deed = deeds_[event.action];
  ++deed.count;
  deed.last = std::max(deed.last, event.time);
  if (event.action == Action::cap_set) {
    // For a name, in whatever budgets it is. -1 takes all that were set for it back.
    for (auto& [of, cap] : caps_)
      if (is_path_of(of.first, event.path) && (of.second == event.dimension || event.cap < 0))
        cap.cap = event.cap, cap.time = std::max(cap.time, event.time);
    return;
  }
  if (event.path.empty() || event.cap <= 0) return;
  const bool refused = event.action == Action::blocked || event.action == Action::truncated;
  const bool says_spent = event.action == Action::threshold || event.action == Action::overrun;
  const bool sets_cap = event.action == Action::cap_raised || event.action == Action::cap_lowered;
  if (!refused && !says_spent && !sets_cap && event.action != Action::downgraded && event.action != Action::cut) return;
  if (caps_.size() >= 1'000 && !caps_.contains({event.path, event.dimension})) return;
  Cap& cap = caps_[{event.path, event.dimension}];
  if (event.time >= cap.time) cap.cap = event.cap, cap.time = event.time;
  if (says_spent) cap.spent = std::max(cap.spent.value_or(event.projected), event.projected);
  cap.refused += refused;
  if (event.action == Action::threshold &&
      std::find(cap.thresholds.begin(), cap.thresholds.end(), event.threshold) == cap.thresholds.end())
    cap.thresholds.push_back(event.threshold);
}

std::vector<std::string> Page::missing_keys() const {
  std::vector<std::string> missing;
  for (const Section& section : sections_) {
    const Report sums = section.sums.report(true);
    missing.insert(missing.end(), sums.missing_keys().begin(), sums.missing_keys().end());
  }
  return missing;
}

std::string Page::together_name() const {
  std::string name;
  for (const std::string& key : together_->by()) name += (name.empty() ? "" : ",") + key;
  return name;
}

std::string Page::head() const {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src " +
         source_hash(page_style) + "; script-src " + source_hash(page_script) +
         "; base-uri 'none'; form-action 'none'\">"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
         "<meta name=\"referrer\" content=\"no-referrer\"><link rel=\"icon\" href=\"data:,\">"
         "<title>Where the money went</title><style>" +
         std::string(page_style) + "</style></head>\n<body>";
}

std::string Page::summary(const PageFacts& facts, const ReportRow& total) const {
  std::string out = "<header><h1>Where the money went</h1><p class=\"soft\">" +
                    (times_.empty() ? "No calls" : html(times_.front()) + " to " + html(times_.back())) + " (" +
                    html(facts.zone) + "), from <bdi>" + html(facts.source) + "</bdi></p></header><main>";
  if (!facts.complete)
    out += "<p class=\"warn\">Retention has deleted older rows: these are the sums of what is left.</p>";
  if (total.unpriced_calls != 0)
    out += "<p class=\"warn\">" + counted(total.unpriced_calls, "call has", "calls have") +
           " no price, or something that is billed by use and has none: what they cost is not in the sums. "
           "<code>outlay prices explain MODEL</code> says why.</p>";
  const auto card = [&](const char* title, const std::string& data, const std::string& value, const std::string& note) {
    out += std::string("<div><dt>") + title + "</dt><dd" + data + ">" + value +
           (note.empty() ? "" : "<span class=\"note\">" + note + "</span>") + "</dd></div>";
  };
  const auto money_card = [&](const char* title, const char* id, Usd usd, const std::string& note) {
    card(title,
         std::string(" id=\"") + id + "\" data-n=\"" + std::to_string(usd.nanos()) + "\" title=\"" + to_string(usd) +
             "\"",
         money(usd), note);
  };
  const auto part = [&](Usd usd) {
    return total.usd.nanos() <= 0
               ? std::string()
               : percent(static_cast<double>(usd.nanos()) / static_cast<double>(total.usd.nanos())) + " % of it";
  };
  out += "<dl class=\"cards\">";
  money_card("Spent", "total", total.usd, "in " + grouped(total.calls) + (total.calls == 1 ? " call" : " calls"));
  money_card("Known exactly", "exact", total.exact, part(total.exact));
  money_card(
      "Estimated", "estimated", total.estimated,
      total.estimated_calls == 0 ? "" : part(total.estimated) + ", " + counted(total.estimated_calls, "call", "calls"));
  money_card("Without a verdict", "indeterminate", total.indeterminate,
             total.indeterminate_calls == 0
                 ? ""
                 : part(total.indeterminate) + ", " + counted(total.indeterminate_calls, "call", "calls"));
  card("Tokens in", "", grouped(total.usage.input_total()), grouped(total.usage.cache_read) + " from a cache");
  card("Tokens out", "", grouped(total.usage.output), grouped(total.usage.reasoning) + " of reasoning");
  card("Calls refused", "", grouped(total.blocked_calls), "");
  return out + "</dl>";
}

std::string Page::section(const Section& section, bool complete) const {
  const Report sums = section.sums.report(complete);
  const std::string id = "by-" + std::to_string(&section - sections_.data());

  Chart chart{"Spend by " + unit_name_ + ", stacked by " + section.key, times_, {}, {}};
  std::map<std::string, std::size_t> places;
  const auto name = [&](const ReportRow& row) { return value_or_none(row, section.key); };
  for (const ReportRow& row : sums) {
    if (chart.series.size() < most_series || sums.size() == most_series + 1) {
      places.try_emplace(name(row), chart.series.size());
      chart.series.push_back({name(row), row.usd});
    } else {
      if (chart.series.size() == most_series)
        chart.series.push_back({std::to_string(sums.size() - most_series) + " others", {}});
      chart.series.back().total += row.usd;
    }
  }
  chart.amounts.assign(times_.size(), std::vector<Usd>(chart.series.size()));
  for (const ReportRow& row : section.over_time.report(complete)) {
    const std::string* time = row.tags.find(unit_name_);
    const auto at = time ? std::find(times_.begin(), times_.end(), *time) : times_.end();
    if (at == times_.end()) continue;
    const auto place = places.find(name(row));
    chart.amounts[static_cast<std::size_t>(at - times_.begin())]
                 [place == places.end() ? chart.series.size() - 1 : place->second] += row.usd;
  }

  std::string out = "<div class=\"panel\" data-section=\"" + id + "\"><h3>Over time, by <bdi>" + html(section.key) +
                    "</bdi></h3>" + chart.render() + "</div>";
  out += "<div class=\"panel\" data-section=\"" + id + "\" data-key=\"" + html(section.key) + "\">";
  std::string table = table_head(id, "By " + section.key + ", the dearest first", sum_columns({"Name"})) + "<tbody>";
  for (const ReportRow& row : sums)
    table += "<tr><th scope=\"row\">" + name_of(name(row)) + "</th>" + sum_cells(row, sums.total().usd);
  return out + searched(id, "By " + section.key, table + "</tbody></table>", sums.size()) + "</div>";
}

std::string Page::together(bool complete) const {
  const Report sums = together_->report(complete);
  std::vector<const ReportRow*> rows;
  for (const ReportRow& row : sums) rows.push_back(&row);
  std::sort(rows.begin(), rows.end(),
            [](const auto* a, const auto* b) { return a->usd != b->usd ? a->usd > b->usd : a->tags < b->tags; });
  if (rows.size() > most_together) rows.resize(most_together);
  const std::string label = "By " + together_name();
  std::string table = table_head("together", label + ", the dearest first", sum_columns(together_->by())) + "<tbody>";
  Usd shown;
  for (const ReportRow* row : rows) {
    shown += row->usd;
    table += "<tr>";
    for (const std::string& key : together_->by())
      table += "<th scope=\"row\">" + name_of(value_or_none(*row, key)) + "</th>";
    table += sum_cells(*row, sums.total().usd);
  }
  std::string out = "<div class=\"panel\" data-section=\"together\"><h3>" + html(label) + "</h3>" +
                    searched("together", label, table + "</tbody></table>", rows.size());
  if (rows.size() < sums.size())
    out += "<p class=\"soft\">The dearest " + grouped(most_together) + " rows of " +
           grouped(static_cast<std::int64_t>(sums.size())) + "; the others spent " + money(sums.total().usd - shown) +
           ". <code>outlay report --by " + html(together_name()) + "</code> lists them.</p>";
  return out + "</div>";
}

std::string Page::dearest() const {
  if (dearest_.empty()) return {};
  std::vector<Record> records = dearest_;
  std::sort(records.begin(), records.end(),
            [](const Record& a, const Record& b) { return a.usd != b.usd ? a.usd > b.usd : a.started < b.started; });
  std::string table = table_head("dearest", "The dearest calls",
                                 {{"Admitted", false},
                                  {"Model", false},
                                  {"Spent"},
                                  {"How sure", false},
                                  {"Tokens in"},
                                  {"Tokens out"},
                                  {"Budget", false},
                                  {"Tags", false}}) +
                      "<tbody>";
  for (const Record& record : records) {
    std::string tags, budgets;
    for (const auto& [key, value] : record.tags)
      tags += (tags.empty() ? "<bdi>" : ", <bdi>") + html(key) + "=" + html(shortened(value, 200)) + "</bdi>";
    for (const std::string& budget : record.budgets) budgets += (budgets.empty() ? "" : " / ") + budget;
    table += "<tr><th scope=\"row\" class=\"time\">" + html(to_iso8601(record.started)) + "</th><td>" +
             name_of(record.model) + "</td>" + money_cell(record.usd) + "<td>" + to_string(record.status) +
             (record.cost_source == CostSource::none ? ", unpriced" : "") + "</td>" +
             count_cell(record.usage.input_total()) + count_cell(record.usage.output) + "<td>" + name_of(budgets) +
             "</td><td class=\"tags\">" + tags + "</td></tr>";
  }
  return "<h2>The dearest calls</h2><div class=\"panel\">" +
         scroll("The dearest calls", table + "</tbody></table>", records.size()) + "</div>";
}

std::string Page::caps() const {
  if (caps_.empty()) return {};
  std::string table = table_head("caps", "Budgets and their caps",
                                 {{"Budget", false},
                                  {"Of", false},
                                  {"Cap"},
                                  {"Spent at most"},
                                  {"Part of the cap"},
                                  {"Thresholds reached", false},
                                  {"Refused"},
                                  {"Last event", false}}) +
                      "<tbody>";
  for (const auto& [of, cap] : caps_) {
    const auto& path = of.first;
    const Dimension dimension = of.second;
    const auto cell = [&](std::int64_t value) {
      return dimension == Dimension::usd ? money_cell(Usd::from_nanos(value)) : count_cell(value);
    };
    const std::string not_said = "<td class=\"num\" data-n=\"-1\">not said</td>";
    const double share = cap.cap > 0 ? static_cast<double>(cap.spent.value_or(0)) / static_cast<double>(cap.cap) : 0;
    std::vector<double> thresholds = cap.thresholds;
    std::sort(thresholds.begin(), thresholds.end());
    std::string ticks, list;
    for (const double threshold : thresholds) {
      ticks += "<line class=\"tick\" x1=\"" + percent(threshold) + "\" x2=\"" + percent(threshold) +
               "\" y1=\"0\" y2=\"10\"/>";
      list += (list.empty() ? "" : ", ") + percent(threshold) + " %";
    }
    const double within = std::clamp(share, 0.0, 1.0);
    table += "<tr><th scope=\"row\">" + name_of(path) + "</th><td>" + to_string(dimension) + "</td>" +
             (cap.cap < 0 ? "<td class=\"num\" data-n=\"-1\">the program's</td>" : cell(cap.cap));
    if (cap.spent)
      table += cell(*cap.spent) + "<td class=\"num\" data-n=\"" + std::to_string(std::llround(share * 1000)) + "\">" +
               percent(share) +
               " % <svg class=\"share\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect "
               "class=\"" +
               (share > 1 ? "over" : "fill") + "\" width=\"" + percent(within) + "\" height=\"10\"/>" + ticks +
               "</svg></td>";
    else
      table += not_said + not_said;
    table += "<td>" + list + "</td>" + count_cell(cap.refused) + "<td class=\"time\">" + html(to_iso8601(cap.time)) +
             "</td></tr>";
  }
  return "<h2>Budgets and their caps</h2><div class=\"panel\"><p class=\"soft\">As far as their events tell: what a "
         "threshold or an overrun said at most was spent.</p>" +
         scroll("Budgets and their caps", table + "</tbody></table>", caps_.size()) + "</div>";
}

std::string Page::deeds() const {
  if (deeds_.empty()) return {};
  std::string table =
      table_head("deeds", "Events of budgets", {{"What", false}, {"Meaning", false}, {"Times"}, {"Last", false}}) +
      "<tbody>";
  for (const auto& [action, deed] : deeds_)
    table += std::string("<tr><th scope=\"row\">") + to_string(action) + "</th><td class=\"meaning\">" +
             meaning(action) + "</td>" + count_cell(deed.count) + "<td class=\"time\">" + html(to_iso8601(deed.last)) +
             "</td></tr>";
  return "<h2>What budgets did</h2><div class=\"panel\">" + savings_.render() + "<h3>Events</h3>" +
         scroll("What budgets did", table + "</tbody></table>", deeds_.size()) + "</div>";
}

std::string Page::render(const PageFacts& facts) const {
  const ReportRow total = total_.report(facts.complete).total();
  std::string out = head() + summary(facts, total);
  out += "<h2>Spend</h2><fieldset class=\"needs-script\"><legend>By</legend>";
  const auto choice = [&](const std::string& id, bool checked, const std::string& name) {
    out += "<label><input type=\"radio\" name=\"by\" value=\"" + id + "\"" + (checked ? " checked" : "") + "><bdi>" +
           html(name) + "</bdi></label>";
  };
  for (std::size_t i = 0; i < sections_.size(); ++i) choice("by-" + std::to_string(i), i == 0, sections_[i].key);
  if (together_) choice("together", false, together_name());
  out += "</fieldset>";
  for (const Section& section : sections_) out += this->section(section, facts.complete);
  if (together_) out += together(facts.complete);
  for (const std::string& key : facts.left_out)
    out += "<p class=\"soft\">The tag <bdi>" + html(key) +
           "</bdi> has too many values for this page: <code>outlay report --by</code> lists them.</p>";
  out += caps() + deeds() + dearest();
  return out + "</main><footer>Made by outlay " + html(to_iso8601(facts.made)) +
         ". Nothing was fetched to show this page. Exact amounts, to a thousand-millionth of a dollar, appear where "
         "the pointer rests.</footer><script>" +
         std::string(page_script) + "</script></body></html>\n";
}

}  // namespace outlay::cli
