// A provider's own export against the books, by day (UTC) and model.
#include <algorithm>
#include <array>
#include <cstdint>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "cli/commands.hpp"
#include "cli/source.hpp"
#include "cli/terminal.hpp"
#include "core/base/iso_time.hpp"
#include "outlay/detail/decimal.hpp"
#include "outlay/error.hpp"

namespace outlay::cli {

namespace {

using Line = std::vector<std::string>;

/// What a column counts, and how much of that a record has.
struct Kind {
  const char* column;
  const char* name;
  std::int64_t (*booked)(const Record&);
  bool needed = true;     ///< Else compared where the bill has the column.
  bool of_which = false;  ///< A part of another kind: not in the total.
};
constexpr std::size_t most_kinds = 5;

/// The forms of CSV that are known, by the columns that they need. As OpenAI's platform and Anthropic's console exported them in 2026.
struct Form {
  const char* title;
  const char* provider;
  std::vector<const char*> columns;  ///< The day first, then the model.
  std::vector<Kind> kinds;           ///< Of money one. At most most_kinds.
  bool money;
};
std::int64_t usd_of(const Record& record) { return record.usd.nanos(); }
const std::vector<Form>& forms() {
  static const std::vector<Form> all{
      {"OpenAI's costs",
       "openai",
       {"start_time", "line_item", "amount_currency"},
       {{"amount_value", "usd", usd_of}},
       true},
      {"OpenAI's usage of completions",
       "openai",
       {"start_time", "model"},
       {{"input_tokens", "input", [](const Record& r) { return r.usage.input_total(); }},
        {"output_tokens", "output", [](const Record& r) { return r.usage.output; }},
        {"input_cached_tokens", "cache read", [](const Record& r) { return r.usage.cache_read; }, false, true}},
       false},
      {"Anthropic's costs",
       "anthropic",
       {"usage_date_utc", "model", "token_type"},
       {{"cost_usd", "usd", usd_of}},
       true},
      {"Anthropic's usage",
       "anthropic",
       {"usage_date_utc", "model_version"},
       {{"usage_input_tokens_no_cache", "input", [](const Record& r) { return r.usage.input; }},
        {"usage_input_tokens_cache_write_5m", "cache write", [](const Record& r) { return r.usage.cache_write; }},
        {"usage_input_tokens_cache_write_1h", "cache write 1h", [](const Record& r) { return r.usage.cache_write_1h; }},
        {"usage_input_tokens_cache_read", "cache read", [](const Record& r) { return r.usage.cache_read; }},
        {"usage_output_tokens", "output", [](const Record& r) { return r.usage.output; }}},
       false}};
  return all;
}

/// RFC 4180, with either end of line, and a byte order mark before it. Empty lines are left out.
///
/// \par Errors
/// Error with errc::invalid_argument for a quote that is still open at the end.
std::vector<Line> read_csv(std::string_view text, const std::string& name) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<Line> lines;
  Line line;
  std::string cell;
  bool quoted = false;
  const auto end_line = [&] {
    line.push_back(std::move(cell));
    cell.clear();
    if (line.size() > 1 || !line.front().empty()) lines.push_back(std::move(line));
    line.clear();
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (quoted) {
      if (c != '"')
        cell += c;
      else if (at + 1 < text.size() && text[at + 1] == '"')
        cell += text[++at];
      else
        quoted = false;
    } else if (c == '"' && cell.empty()) {
      quoted = true;
    } else if (c == ',') {
      line.push_back(std::move(cell));
      cell.clear();
    } else if (c == '\n') {
      end_line();
    } else if (c != '\r') {
      cell += c;
    }
  }
  if (quoted)
    throw Error(errc::invalid_argument,
                "\"" + name + "\" ends within quotes: a part of it is missing. Export it again.");
  if (!cell.empty() || !line.empty()) end_line();
  return lines;
}

std::optional<std::size_t> column_of(const Line& head, std::string_view name) {
  const auto at = std::find(head.begin(), head.end(), name);
  if (at == head.end()) return std::nullopt;
  return static_cast<std::size_t>(at - head.begin());
}

/// The form that the bill has.
///
/// \par Errors
/// Error with errc::invalid_argument that says which columns were expected.
const Form& form_of(const Line& head, const std::string& name) {
  const auto has = [&](const char* column) { return column_of(head, column).has_value(); };
  for (const Form& form : forms())
    if (std::all_of(form.columns.begin(), form.columns.end(), has) &&
        std::all_of(form.kinds.begin(), form.kinds.end(),
                    [&](const Kind& kind) { return !kind.needed || has(kind.column); }))
      return form;
  std::string found, known;
  for (const std::string& column : head) found += (found.empty() ? "" : ", ") + column;
  for (const Form& form : forms()) {
    known += std::string("\n  ") + form.title + ":";
    for (const char* column : form.columns) known += std::string(" ") + column;
    for (const Kind& kind : form.kinds)
      if (kind.needed) known += std::string(" ") + kind.column;
  }
  throw Error(errc::invalid_argument, "\"" + name + "\" is an export in no form that is known. It has the columns " +
                                          printable(shortened(found, 300)) + ". Expected are those of one of:" + known);
}

/// One name for a model, whether a console shows it ("Claude Haiku 4.5"), a request names it (claude-haiku-4-5) or a reply dates it
/// (claude-haiku-4-5-20251001).
std::string plain_model(std::string_view name) {
  std::string plain;
  for (const char c : name)
    plain += c == ' ' || c == '.' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  const auto ends_in = [&](std::string_view form) {  // 0 stands for a digit
    if (plain.size() <= form.size()) return false;
    const std::string_view end = std::string_view(plain).substr(plain.size() - form.size());
    return std::equal(end.begin(), end.end(), form.begin(),
                      [](char c, char f) { return f == '0' ? c >= '0' && c <= '9' : c == f; });
  };
  for (const std::string_view date : {"-0000-00-00", "-00000000"})
    if (ends_in(date)) plain.resize(plain.size() - date.size());
  return plain;
}

/// Of one day and model, in nano-dollars or tokens, by kind.
struct Entry {
  std::array<std::int64_t, most_kinds> billed{}, booked{};
  std::int64_t estimated = 0, indeterminate = 0, unpriced = 0;  // calls
  std::vector<std::uint64_t> suspects{};                        // the first of them
};
/// By day and model; the model is empty where lines of the bill name none, and stands for what the bill's others of that day are not.
using Entries = std::map<std::pair<std::string, std::string>, Entry>;

void add_amount(std::int64_t& sum, std::int64_t more) {
  if (__builtin_add_overflow(sum, more, &sum))
    throw Error(errc::overflow, "a sum is too large. Check the amounts of the bill.");
}
std::int64_t difference_of(std::int64_t billed, std::int64_t booked) {
  std::int64_t difference = 0;
  if (__builtin_sub_overflow(billed, booked, &difference))
    throw Error(errc::overflow, "a difference is too large. Check the amounts of the bill.");
  return difference;
}

struct Bill {
  const Form* form = nullptr;
  std::vector<Kind> kinds{};           ///< Those of the form that the bill has.
  std::string first{}, last{};         ///< Days.
  std::set<std::string> unnamed{};     ///< Days with a line that names no model.
  std::set<std::string> some_named{};  ///< Days with a line that does.
  Entries entries{};
};

std::string day_of(const std::string& text) {
  if (text.size() >= 10 && detail::parse_iso_date(text.substr(0, 10))) return text.substr(0, 10);
  const detail::Decimal seconds = detail::read_decimal(text, 0, {});
  if (seconds.error != detail::DecimalError::none || seconds.value > 9'000'000'000) return {};
  return detail::iso_date(Time(std::chrono::seconds(seconds.value)));
}

Bill read_bill(const std::filesystem::path& path) {
  const std::string name = printable(path.native());
  const std::vector<Line> lines = read_csv(read_all(path), name);
  if (lines.empty()) throw Error(errc::invalid_argument, "\"" + name + "\" is empty. Export it again.");
  Bill bill;
  const Line& head = lines.front();
  bill.form = &form_of(head, name);
  if (lines.size() == 1)
    throw Error(errc::invalid_argument,
                "\"" + name + "\" has no rows, only the names of its columns. Export a time with usage.");
  std::vector<std::size_t> amounts_at;
  for (const Kind& kind : bill.form->kinds)
    if (const auto at = column_of(head, kind.column)) {
      bill.kinds.push_back(kind);
      amounts_at.push_back(*at);
    }
  const std::size_t day_at = *column_of(head, bill.form->columns[0]),
                    model_at = *column_of(head, bill.form->columns[1]);
  const std::optional<std::size_t> currency_at = column_of(head, "amount_currency");
  // Of a line such as "gpt-4o-2024-08-06, cached input".
  const auto model_of = [&](const Line& line) {
    return plain_model(line[model_at].substr(0, line[model_at].find(',')));
  };
  const auto bad = [&](std::size_t number, const std::string& what) {
    throw Error(errc::invalid_argument,
                "\"" + name + "\", row " + std::to_string(number + 1) + ": " + what + ". Export it again, unchanged.");
  };
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const Line& line = lines[i];
    if (line.size() != head.size())
      bad(i,
          "has " + std::to_string(line.size()) + " cells, and there are " + std::to_string(head.size()) + " columns");
    const std::string day = day_of(line[day_at]);
    if (day.empty()) bad(i, "\"" + printable(shortened(line[day_at], 40)) + "\" is not a day");
    if (bill.first.empty() || day < bill.first) bill.first = day;
    if (day > bill.last) bill.last = day;
    if (bill.form->money && currency_at && !line[*currency_at].empty() && line[*currency_at] != "usd" &&
        line[*currency_at] != "USD")
      bad(i, "is in " + printable(shortened(line[*currency_at], 10)) + ", and the books are in US dollars");
    const std::string model = model_of(line);
    if (model.empty()) bill.unnamed.insert(day);
    for (std::size_t kind = 0; kind < bill.kinds.size(); ++kind) {
      const std::string& text = line[amounts_at[kind]];
      if (text.empty()) continue;  // a day without usage
      const detail::Decimal value =
          detail::read_decimal(text, bill.form->money ? 9 : 0, {.sign = true, .exponent = true});
      if (value.error != detail::DecimalError::none)
        bad(i, "\"" + printable(shortened(text, 40)) + "\" is not a number");
      if (value.value == 0) continue;
      if (!model.empty()) bill.some_named.insert(day);
      add_amount(bill.entries[{day, model}].billed[kind], value.value);
    }
  }
  return bill;
}

void book(Bill& bill, const Record& record) {
  if (record.provider != bill.form->provider) return;
  const std::string day = detail::iso_date(record.started);
  if (day < bill.first || day > bill.last) return;
  std::string model = plain_model(record.model);
  if (bill.unnamed.contains(day) && !bill.entries.contains({day, model})) model.clear();
  Entry& entry = bill.entries[{day, std::move(model)}];
  for (std::size_t kind = 0; kind < bill.kinds.size(); ++kind)
    add_amount(entry.booked[kind], bill.kinds[kind].booked(record));
  // Without a price a call has its tokens all the same.
  const bool unpriced =
      bill.form->money && record.cost_source == CostSource::none && record.status != RecordStatus::rejected;
  entry.estimated += record.status == RecordStatus::estimated;
  entry.indeterminate += record.status == RecordStatus::indeterminate;
  entry.unpriced += unpriced;
  if ((unpriced || record.status == RecordStatus::estimated || record.status == RecordStatus::indeterminate) &&
      entry.suspects.size() < 3)
    entry.suspects.push_back(record.call_id);
}

std::string explanation(const Entry& entry, std::int64_t billed, std::int64_t booked) {
  if (booked == 0 && entry.unpriced == 0 && entry.indeterminate == 0 && entry.estimated == 0)
    return "not in the books: other programs, or the model has another name";
  if (billed == 0) return "not on the bill: another account, or billed later";
  std::string text;
  for (const auto& [count, what] :
       {std::pair{entry.unpriced, " unpriced"}, std::pair{entry.indeterminate, " without a verdict"},
        std::pair{entry.estimated, " estimated"}})
    if (count != 0) text += (text.empty() ? "" : ", ") + std::to_string(count) + what;
  if (text.empty()) return "no call of the books could: calls beside them, a discount, or other prices";
  text += " (call";
  for (const std::uint64_t id : entry.suspects) text += " " + std::to_string(id);
  return text + (entry.suspects.size() < 3 ? ")" : " ...)");
}

/// How the bill and the books compare, kind by kind.
class Comparison {
 public:
  Comparison(const Bill& bill, const ReconcileArguments& arguments)
      : bill_(bill), arguments_(arguments), tolerance_(bill.form->money ? arguments.tolerance.nanos() : 0) {
    for (const auto& [key, entry] : bill.entries)
      for (std::size_t kind = 0; kind < bill.kinds.size(); ++kind) {
        const std::int64_t billed = entry.billed[kind], booked = entry.booked[kind];
        if (billed == 0 && booked == 0 && entry.unpriced == 0) continue;
        compare(key, bill.kinds[kind], entry, billed, booked);
      }
    std::vector<std::string> total{"total", ""};
    if (!bill.form->money) total.emplace_back();
    const std::int64_t difference = difference_of(billed_, booked_);
    for (const std::int64_t value : {billed_, booked_, difference}) total.push_back(text(value));
    total.emplace_back();
    table_.set_total(std::move(total));
    total_agrees_ = agrees(difference);
  }
  [[nodiscard]] std::string table() const { return table_.render(standard_output()); }
  [[nodiscard]] bool agrees() const { return differing_ == 0 && total_agrees_; }
  [[nodiscard]] std::string verdict() const {
    const std::string within = bill_.form->money ? ", to " + to_string(arguments_.tolerance) + "." : ".";
    if (differing_ != 0) return std::to_string(differing_) + " of " + std::to_string(compared_) + " differ" + within;
    return (total_agrees_ ? "They agree" : "Each agrees, and the totals differ") + within;
  }

 private:
  [[nodiscard]] std::string text(std::int64_t value) const {
    return bill_.form->money ? to_string(Usd::from_nanos(value)) : std::to_string(value);
  }
  [[nodiscard]] bool agrees(std::int64_t difference) const {
    return difference >= -tolerance_ && difference <= tolerance_;
  }
  void compare(const Entries::key_type& key, const Kind& kind, const Entry& entry, std::int64_t billed,
               std::int64_t booked) {
    const std::int64_t difference = difference_of(billed, booked);
    const bool same = agrees(difference);
    ++compared_;
    differing_ += !same;
    if (!kind.of_which) {
      add_amount(billed_, billed);
      add_amount(booked_, booked);
    }
    if (same && !arguments_.all) return;
    std::vector<std::string> cells{key.first, !key.second.empty()                    ? printable(key.second)
                                              : bill_.some_named.contains(key.first) ? "others"
                                                                                     : "all"};
    if (!bill_.form->money) cells.emplace_back(kind.name);
    for (const std::int64_t value : {billed, booked, difference}) cells.push_back(text(value));
    cells.push_back(same ? "agrees" : explanation(entry, billed, booked));
    table_.add(std::move(cells));
  }
  static std::vector<Table::Column> columns(bool money) {
    std::vector<Table::Column> all{{"day"}, {"model"}};
    if (!money) all.push_back({"tokens"});
    for (const char* title : {"billed", "booked", "difference"}) all.push_back({title, true});
    all.push_back({"what could explain it"});
    return all;
  }

  const Bill& bill_;
  const ReconcileArguments& arguments_;
  const std::int64_t tolerance_;
  Table table_{columns(bill_.form->money)};
  std::int64_t billed_ = 0, booked_ = 0;
  std::size_t compared_ = 0, differing_ = 0;
  bool total_agrees_ = true;
};

}  // namespace

int reconcile(const ReconcileArguments& arguments) {
  if (arguments.tolerance < Usd{}) throw UsageError("--tolerance is below 0. Write 0 or more US dollars.");
  Bill bill = read_bill(arguments.bill);
  const std::unique_ptr<Source> source = open_source(arguments.source, {});
  source->read([&](const Record& record) { book(bill, record); }, [](const BudgetEvent&) {});
  if (const std::string remark = source->remark(); !remark.empty()) say(remark);

  const Comparison comparison(bill, arguments);
  std::cout << bill.form->title << ", in " << (bill.form->money ? "US dollars" : "tokens") << ", against the calls to "
            << bill.form->provider << " in the books, by day of admission (UTC), " << bill.first << " to " << bill.last
            << "\n"
            << comparison.table();
  if (!source->complete()) std::cout << "Retention has deleted older rows: the books are what is left.\n";
  std::cout << comparison.verdict() << '\n';
  return comparison.agrees() ? success : differs;
}

}  // namespace outlay::cli
