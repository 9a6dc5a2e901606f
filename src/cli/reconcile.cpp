// A provider's own export against the books, by day (UTC) and model.
#include <algorithm>
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

/// The forms of CSV that are known, by the columns that they need. As OpenAI's platform and Anthropic's console exported them in 2026.
struct Form {
  const char* title;
  const char* provider;
  std::vector<const char*> columns;  ///< The day first, then the model.
  std::vector<const char*> amounts;  ///< Of money one; of tokens each kind.
  bool money;
};
const std::vector<Form>& forms() {
  static const std::vector<Form> all{
      {"OpenAI's costs", "openai", {"start_time", "line_item", "amount_currency"}, {"amount_value"}, true},
      {"OpenAI's usage of completions", "openai", {"start_time", "model"}, {"input_tokens", "output_tokens"}, false},
      {"Anthropic's costs", "anthropic", {"usage_date_utc", "model", "token_type"}, {"cost_usd"}, true},
      {"Anthropic's usage",
       "anthropic",
       {"usage_date_utc", "model_version"},
       {"usage_input_tokens_no_cache", "usage_input_tokens_cache_write_5m", "usage_input_tokens_cache_write_1h",
        "usage_input_tokens_cache_read", "usage_output_tokens"},
       false}};
  return all;
}

/// RFC 4180, with either end of line, and a byte order mark before it. Empty lines are left out.
std::vector<Line> read_csv(std::string_view text) {
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
        std::all_of(form.amounts.begin(), form.amounts.end(), has))
      return form;
  std::string found, known;
  for (const std::string& column : head) found += (found.empty() ? "" : ", ") + column;
  for (const Form& form : forms()) {
    known += std::string("\n  ") + form.title + ":";
    for (const auto* columns : {&form.columns, &form.amounts})
      for (const char* column : *columns) known += std::string(" ") + column;
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

/// Of one day and model, in nano-dollars or tokens.
struct Entry {
  std::int64_t billed = 0, booked = 0;
  std::int64_t estimated = 0, indeterminate = 0, unpriced = 0;  // calls
  std::vector<std::uint64_t> suspects{};                        // the first of them
};
using Entries = std::map<std::pair<std::string, std::string>, Entry>;

void add(std::int64_t& sum, std::int64_t more) {
  if (__builtin_add_overflow(sum, more, &sum))
    throw Error(errc::overflow, "a sum is too large. Check the amounts of the bill.");
}

struct Bill {
  const Form* form = nullptr;
  bool by_model = true;  ///< False where its lines name none: then days are compared.
  std::set<std::string> days{};
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
  const std::vector<Line> lines = read_csv(read_all(path));
  if (lines.empty()) throw Error(errc::invalid_argument, "\"" + name + "\" is empty. Export it again.");
  Bill bill;
  const Line& head = lines.front();
  bill.form = &form_of(head, name);
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
    bill.days.insert(day);
    if (bill.form->money && currency_at && !line[*currency_at].empty() && line[*currency_at] != "usd" &&
        line[*currency_at] != "USD")
      bad(i, "is in " + printable(shortened(line[*currency_at], 10)) + ", and the books are in US dollars");
    std::int64_t sum = 0;
    for (const char* amount : bill.form->amounts) {
      const std::string& text = line[*column_of(head, amount)];
      if (text.empty()) continue;  // a day without usage
      const detail::Decimal value =
          detail::read_decimal(text, bill.form->money ? 9 : 0, {.sign = true, .exponent = true});
      if (value.error != detail::DecimalError::none)
        bad(i, "\"" + printable(shortened(text, 40)) + "\" is not a number");
      add(sum, value.value);
    }
    if (sum == 0) continue;
    const std::string model = model_of(line);
    if (model.empty()) bill.by_model = false;
    add(bill.entries[{day, model}].billed, sum);
  }
  if (!bill.by_model) {
    Entries days;
    for (const auto& [key, entry] : bill.entries) add(days[{key.first, ""}].billed, entry.billed);
    bill.entries = std::move(days);
  }
  return bill;
}

void book(Bill& bill, const Record& record) {
  if (record.provider != bill.form->provider) return;
  const std::string day = detail::iso_date(record.started);
  if (!bill.days.contains(day)) return;
  Entry& entry = bill.entries[{day, bill.by_model ? plain_model(record.model) : std::string()}];
  add(entry.booked, bill.form->money ? record.usd.nanos() : record.usage.total());
  const bool unpriced = record.cost_source == CostSource::none && record.status != RecordStatus::rejected;
  entry.estimated += record.status == RecordStatus::estimated;
  entry.indeterminate += record.status == RecordStatus::indeterminate;
  entry.unpriced += unpriced;
  if ((unpriced || record.status == RecordStatus::estimated || record.status == RecordStatus::indeterminate) &&
      entry.suspects.size() < 3)
    entry.suspects.push_back(record.call_id);
}

std::string explanation(const Entry& entry) {
  if (entry.booked == 0) return "not in the books: other programs, or the model has another name";
  if (entry.billed == 0) return "not on the bill: another account, or billed later";
  std::string text;
  for (const auto& [count, what] : {std::pair{entry.indeterminate, " without a verdict"},
                                    std::pair{entry.estimated, " estimated"}, std::pair{entry.unpriced, " unpriced"}})
    if (count != 0) text += (text.empty() ? "" : ", ") + std::to_string(count) + what;
  if (text.empty()) return "no call of the books could: calls beside them, a discount, or other prices";
  text += " (call";
  for (const std::uint64_t id : entry.suspects) text += " " + std::to_string(id);
  return text + (entry.suspects.size() < 3 ? ")" : " ...)");
}

}  // namespace

int reconcile(const ReconcileArguments& arguments) {
  Bill bill = read_bill(arguments.bill);
  const std::unique_ptr<Source> source = open_source(arguments.file, {});
  source->read([&](const Record& record) { book(bill, record); }, [](const BudgetEvent&) {});
  if (const std::string remark = source->remark(); !remark.empty()) std::cerr << "outlay: " << remark << '\n';

  const bool money = bill.form->money;
  const std::int64_t tolerance = money ? arguments.tolerance.nanos() : 0;
  const auto text = [&](std::int64_t value) {
    return money ? to_string(Usd::from_nanos(value)) : std::to_string(value);
  };
  Table table(
      {{"day"}, {"model"}, {"billed", true}, {"booked", true}, {"difference", true}, {"what could explain it"}});
  Entry total;
  std::size_t differing = 0;
  for (const auto& [key, entry] : bill.entries) {
    std::int64_t difference = 0;
    add(difference, entry.billed);
    if (__builtin_sub_overflow(difference, entry.booked, &difference))
      throw Error(errc::overflow, "a difference is too large. Check the amounts of the bill.");
    const bool agrees = difference >= -tolerance && difference <= tolerance;
    differing += !agrees;
    add(total.billed, entry.billed);
    add(total.booked, entry.booked);
    if (!agrees || arguments.all)
      table.add({key.first, bill.by_model ? printable(key.second) : "all", text(entry.billed), text(entry.booked),
                 text(difference), agrees ? "agrees" : explanation(entry)});
  }
  table.set_total({"total", "", text(total.billed), text(total.booked), text(total.billed - total.booked), ""});
  std::cout << bill.form->title << ", in " << (money ? "US dollars" : "tokens") << ", against the calls to "
            << bill.form->provider << " in the books, by day of admission (UTC)\n"
            << table.render(standard_output());
  if (!source->complete()) std::cout << "Retention has deleted older rows: the books are what is left.\n";
  std::cout << (differing == 0 ? "They agree"
                               : std::to_string(differing) + " of " + std::to_string(bill.entries.size()) + " differ")
            << (money ? ", to " + to_string(arguments.tolerance) + ".\n" : ".\n");
  return differing == 0 ? success : differs;
}

}  // namespace outlay::cli
