#include "outlay/report.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <optional>
#include <ostream>
#include <unordered_map>
#include <utility>

#include "core/base/hash.hpp"
#include "core/base/iso_time.hpp"
#include "core/base/utf8.hpp"
#include "core/ledger/books.hpp"
#include "core/ledger/budget_path.hpp"
#include "core/ledger/report_source.hpp"
#include "core/pricing/price_book.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/error.hpp"
#include "outlay/ledger.hpp"
#include "outlay/log.hpp"

namespace outlay {

namespace detail {

namespace {

/// The sums of a group while rows are added: plain numbers, one cache line or two.
struct Sums {
  std::int64_t calls = 0;
  std::int64_t usd = 0, estimated = 0, indeterminate = 0;
  std::array<std::int64_t, 6> tokens{};
  std::array<std::int64_t, 4> by_status{};
  std::int64_t unpriced = 0;
  std::int64_t blocked = 0;
  Usage rare{};
  bool overflow = false;

  void add_money(std::int64_t& sum, std::int64_t more) noexcept { overflow |= __builtin_add_overflow(sum, more, &sum); }
  void add(const Row& row) noexcept {
    ++calls;
    add_money(usd, row.usd);
    tokens[0] += row.input;
    tokens[1] += row.cache_read;
    tokens[2] += row.cache_write;
    tokens[3] += row.cache_write_1h;
    tokens[4] += row.output;
    tokens[5] += row.reasoning;
    if (row.status == RecordStatus::settled && row.source != CostSource::none && !row.extra) [[likely]]
      return;
    add_rare(row);
  }
  void add_rare(const Row& row) noexcept {
    if (row.status != RecordStatus::settled) ++by_status[static_cast<std::size_t>(row.status)];
    if (row.status == RecordStatus::estimated) add_money(estimated, row.usd);
    if (row.status == RecordStatus::indeterminate) add_money(indeterminate, row.usd);
    unpriced += row.source == CostSource::none && row.status != RecordStatus::rejected;
    if (row.extra) {
      rare += row.extra->usage;
    }
  }
  void add(const Sums& other) noexcept {
    calls += other.calls;
    add_money(usd, other.usd), add_money(estimated, other.estimated), add_money(indeterminate, other.indeterminate);
    overflow |= other.overflow;
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] += other.tokens[i];
    for (std::size_t i = 0; i < by_status.size(); ++i) by_status[i] += other.by_status[i];
    unpriced += other.unpriced, blocked += other.blocked;
    rare += other.rare;
  }
  /// The cost, if it is a number that exists; its parts are no larger.
  [[nodiscard]] Usd cost() const {
    if (overflow) throw Error(errc::overflow, "a sum of the report is too large. Group it by more keys.");
    return Usd::from_nanos(usd);
  }
  [[nodiscard]] ReportRow row(Tags tags) const {
    ReportRow result;
    result.tags = std::move(tags);
    result.usd = cost();
    result.usage = rare;
    result.usage.input = tokens[0], result.usage.cache_read = tokens[1], result.usage.cache_write = tokens[2];
    result.usage.cache_write_1h = tokens[3], result.usage.output = tokens[4], result.usage.reasoning = tokens[5];
    result.calls = calls;
    result.estimated = Usd::from_nanos(estimated);
    result.indeterminate = Usd::from_nanos(indeterminate);
    result.exact = Usd::from_nanos(usd - estimated - indeterminate);
    result.unpriced_calls = unpriced;
    result.estimated_calls = by_status[1], result.indeterminate_calls = by_status[2],
    result.rejected_calls = by_status[3];
    result.blocked_calls = blocked;
    return result;
  }
};

constexpr std::int64_t day_length = 86'400'000'000'000;

/// Which of a row's own fields a report or a filter looks at, beside its attribution.
struct Fields {
  bool model = false, provider = false, day = false;
  void include(std::string_view key) noexcept {
    model |= key == "model", provider |= key == "provider", day |= key == "day";
  }
  [[nodiscard]] bool any() const noexcept { return model || provider || day; }
};

/// The finest group that the asked-for keys distinguish.
struct Key {
  std::uint32_t attribution = 0, model = 0, provider = 0;
  std::int32_t day = 0;
  bool operator==(const Key&) const noexcept = default;
};
struct KeyHash {
  std::size_t operator()(const Key& key) const noexcept {
    return static_cast<std::size_t>(
        mix((static_cast<std::uint64_t>(key.attribution) << 32) | key.model,
            (static_cast<std::uint64_t>(key.provider) << 32) | static_cast<std::uint32_t>(key.day)));
  }
};

std::int32_t day_index(std::int64_t nanos) noexcept {
  return static_cast<std::int32_t>(nanos >= 0 ? nanos / day_length : (nanos - day_length + 1) / day_length);
}

/// Text as durable sinks write it: what differs only in bytes that are no UTF-8 is one group everywhere.
Tags well_formed_tags(const Tags& tags) {
  Tags result;
  for (const auto& [key, value] : tags) result.set(well_formed(key), well_formed(value));
  return result;
}

/// One of the finest groups, with its names.
struct Cell {
  Tags tags;
  std::vector<std::string> path;
  std::string budget, model, provider, day;
  Sums sums;

  [[nodiscard]] bool carries(const Tags& wanted, const BudgetFilter* budgets) const {
    return std::all_of(wanted.begin(), wanted.end(), [&](const Tags::value_type& tag) {
      if (tag.first == "budget") return budgets->matches(path);
      const std::string* own = value(tag.first);
      return own && *own == tag.second;
    });
  }
  [[nodiscard]] const std::string* value(std::string_view key) const noexcept {
    const std::string* own = key == "model"      ? &model
                             : key == "provider" ? &provider
                             : key == "day"      ? &day
                             : key == "budget"   ? &budget
                                                 : nullptr;
    return own ? (own->empty() ? nullptr : own) : tags.find(key);
  }
};

struct Pass {
  std::vector<Cell> cells;
  Records::Horizon horizon;
};

Pass pass_over(const Books& books, Fields fields, const Records::Horizon* upto) {
  Pass pass;
  const auto reading = books.hold_off_sweep();
  std::vector<std::pair<Key, Sums>> groups;
  if (!fields.any()) {
    // By tags and budgets alone an attribution's id is the group: an array, no look-up.
    std::vector<Sums> by_attribution(books.dictionary.attribution_count());
    pass.horizon = books.records.visit(
        [&](const Row* rows, std::size_t count) {
          for (std::size_t i = 0; i < count; ++i) {
            const std::uint32_t id = rows[i].attribution;
            if (id >= by_attribution.size()) [[unlikely]]
              by_attribution.resize(id + 1);
            by_attribution[id].add(rows[i]);
          }
        },
        upto);
    books.events.visit([&](const EventRow& event) {
      if (event.action != Action::blocked && event.action != Action::truncated) return;
      if (event.attribution >= by_attribution.size()) by_attribution.resize(event.attribution + 1);
      ++by_attribution[event.attribution].blocked;
    });
    for (std::size_t id = 0; id < by_attribution.size(); ++id)
      if (by_attribution[id].calls != 0 || by_attribution[id].blocked != 0)
        groups.push_back({{static_cast<std::uint32_t>(id), 0, 0, 0}, by_attribution[id]});
  } else {
    std::unordered_map<Key, Sums, KeyHash> by_key;
    pass.horizon = books.records.visit(
        [&](const Row* rows, std::size_t count) {
          for (std::size_t i = 0; i < count; ++i) {
            const Row& row = rows[i];
            by_key[{row.attribution, fields.model ? row.served : 0, fields.provider ? row.provider : 0,
                    fields.day ? day_index(row.started) : 0}]
                .add(row);
          }
        },
        upto);
    books.events.visit([&](const EventRow& event) {
      if (event.action != Action::blocked && event.action != Action::truncated) return;
      ++by_key[{event.attribution, fields.model ? event.model : 0, fields.provider ? event.provider : 0,
                fields.day ? day_index(event.time) : 0}]
            .blocked;
    });
    groups.assign(by_key.begin(), by_key.end());
  }
  pass.cells.reserve(groups.size());
  for (const auto& [key, sums] : groups) {
    Cell cell;
    cell.sums = sums;
    {
      const LedgerDictionary::Reader names = books.dictionary.read();
      if (const Attribution* where = names.attribution(key.attribution)) {
        cell.tags = well_formed_tags(where->tags);
        cell.path = where->path;
        cell.budget = well_formed(where->joined_path());
      }
      if (fields.model) cell.model = well_formed(names.name(key.model));
      if (fields.provider) cell.provider = well_formed(names.name(key.provider));
    }
    if (fields.day)
      cell.day = iso_date(Time(std::chrono::nanoseconds(static_cast<std::int64_t>(key.day) * day_length)));
    pass.cells.push_back(std::move(cell));
  }
  return pass;
}

/// The keys that are tags and that none of the records has. Where there are no records, nothing is known to be missing.
std::vector<std::string> missing_keys(const std::vector<std::string>& by, const std::vector<Cell>& cells) {
  std::vector<std::string> missing;
  const bool any = std::any_of(cells.begin(), cells.end(), [](const Cell& cell) { return cell.sums.calls != 0; });
  for (const std::string& key : by)
    if (any && !is_reserved_key(key) && std::none_of(cells.begin(), cells.end(), [&](const Cell& cell) {
          return cell.sums.calls != 0 && cell.tags.contains(well_formed(key));
        }))
      missing.push_back(key);
  return missing;
}

struct LedgerSource final : Report::Source {
  LedgerSource(const Ledger& books, Pass pass, Fields pass_fields)
      : ledger(books), cells(std::move(pass.cells)), fields(pass_fields), horizon(pass.horizon) {}

  [[nodiscard]] Spent spent(const Tags& given, std::string_view what) const override {
    const Books& books = detail::Access::books(ledger);
    const Tags tags = well_formed_tags(given);
    Fields wanted;
    for (const auto& [key, value] : tags) wanted.include(key);
    const bool seen =
        (!wanted.model || fields.model) && (!wanted.provider || fields.provider) && (!wanted.day || fields.day);
    // The report did not look at these fields: the same rows are read once more, if they are all still there.
    std::optional<Pass> again;
    if (!seen) {
      again = pass_over(books, wanted, &horizon);
      if (!again->horizon.complete)
        throw Error(errc::incomplete,
                    "assert_under" + std::string(what) +
                        " has no answer, since records were evicted after the report was made. Group the "
                        "report by the key that the assertion names.");
    }
    const std::vector<Cell>& all = seen ? cells : again->cells;

    std::optional<BudgetFilter> budgets;
    if (const std::string* name = tags.find("budget")) {
      budgets.emplace(*name);
      for (const Cell& cell : all) budgets->show(cell.path);
      books.dictionary.read().visit_attributions([&](const Attribution& scope) { budgets->show(scope.path); });
    }
    const BudgetFilter* filter = budgets ? &*budgets : nullptr;
    Spent result;
    for (const Cell& cell : all)
      if (cell.carries(tags, filter)) {
        result.known = true;
        result.usd += cell.sums.cost();
      }
    // A scope in which nothing was spent, such as a feature whose calls were all free of charge or never made, is known too.
    if (!result.known && !wanted.any())
      books.dictionary.read().visit_attributions([&](const Attribution& scope) {
        Cell cell;
        cell.tags = well_formed_tags(scope.tags);
        cell.path = scope.path;
        result.known = result.known || cell.carries(tags, filter);
      });
    return result;
  }

  Ledger ledger;
  std::vector<Cell> cells;
  Fields fields;
  Records::Horizon horizon;
};

}  // namespace

}  // namespace detail

Report Ledger::report(std::initializer_list<std::string_view> by) const {
  return report(std::vector<std::string>(by.begin(), by.end()));
}

Report Ledger::report(const std::vector<std::string>& by) const {
  detail::Fields fields;
  for (const std::string& key : by) fields.include(key);
  detail::Pass pass = detail::pass_over(*books_, fields, nullptr);

  std::map<Tags, detail::Sums> groups;
  const std::vector<std::string> missing = detail::missing_keys(by, pass.cells);
  for (const std::string& key : missing)
    if (books_->first_time("missing", key))
      detail::log(LogLevel::warning, "a report was grouped by the tag \"" + detail::printable_name(key) +
                                         "\", which no record has. Check its name.");
  for (const detail::Cell& cell : pass.cells) {
    Tags tags;
    for (const std::string& key : by)
      if (const std::string* value = cell.value(detail::well_formed(key))) tags.set(key, *value);
    groups[std::move(tags)].add(cell.sums);
  }
  std::vector<ReportRow> rows;
  rows.reserve(groups.size());
  for (const auto& [tags, sums] : groups) rows.push_back(sums.row(tags));
  std::sort(rows.begin(), rows.end(),
            [](const ReportRow& a, const ReportRow& b) { return a.usd != b.usd ? a.usd > b.usd : a.tags < b.tags; });
  const bool complete = pass.horizon.complete;
  return {std::move(rows), complete, std::make_shared<const detail::LedgerSource>(*this, std::move(pass), fields),
          missing};
}

Report report(std::initializer_list<std::string_view> by) { return Ledger::current().report(by); }
Report report(const std::vector<std::string>& by) { return Ledger::current().report(by); }

ReportRow Report::total() const {
  ReportRow total;
  for (const ReportRow& row : rows_) {
    total.usd += row.usd;
    total.usage += row.usage;
    total.calls += row.calls;
    total.exact += row.exact;
    total.estimated += row.estimated;
    total.indeterminate += row.indeterminate;
    total.unpriced_calls += row.unpriced_calls;
    total.estimated_calls += row.estimated_calls;
    total.indeterminate_calls += row.indeterminate_calls;
    total.rejected_calls += row.rejected_calls;
    total.blocked_calls += row.blocked_calls;
  }
  return total;
}

void Report::assert_under(Usd limit, const Tags& tags) const {
  std::string what;
  for (const auto& [key, value] : tags) what += (what.empty() ? " for " : ", ") + key + '=' + value;
  if (!complete_)
    throw Error(errc::incomplete,
                "assert_under(" + to_string(limit) + ')' + what +
                    " has no answer, since the ledger has evicted records. Raise LedgerOptions::max_records, or assert "
                    "over a durable sink's report.");
  Source::Spent spent{{}, tags.empty()};
  if (source_) {
    const Source::Spent found = source_->spent(tags, what);
    spent = {found.usd, found.known || tags.empty()};
  } else {
    for (const ReportRow& row : rows_)
      if (std::all_of(tags.begin(), tags.end(), [&](const Tags::value_type& tag) {
            const std::string* value = row.tags.find(tag.first);
            return value && *value == tag.second;
          })) {
        spent.known = true;
        spent.usd += row.usd;
      }
  }
  if (!spent.known)
    throw Error(errc::invalid_argument, "assert_under(" + to_string(limit) + ')' + what +
                                            " has no answer, since no call and no scope ever had that. Check the names "
                                            "and values.");
  if (spent.usd > limit)
    throw Error(errc::over_limit,
                to_string(spent.usd) + " was spent" + what + ", and assert_under allows " + to_string(limit) + '.');
}

namespace {

/// What a terminal shows of a text, and how many characters that are.
std::pair<std::string, std::size_t> shown(std::string_view text) {
  std::pair<std::string, std::size_t> result;
  for (std::size_t at = 0; at < text.size(); ++result.second) {
    const detail::Utf8 c = detail::utf8_at(text, at);
    const bool control = c.code < 0x20 || (c.code >= 0x7F && c.code < 0xA0);
    result.first += c.valid() && !control ? text.substr(at, c.length) : detail::utf8_replacement;
    at += c.length;
  }
  return result;
}

}  // namespace

std::string to_string(const Report& report) {
  std::vector<std::string> keys;
  for (const ReportRow& row : report)
    for (const auto& [key, value] : row.tags)
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  const std::size_t texts = std::max<std::size_t>(1, keys.size());
  const auto numbers = [](const ReportRow& row) {
    return std::vector<std::string>{to_string(row.usd), std::to_string(row.calls),
                                    std::to_string(row.usage.input_total()), std::to_string(row.usage.output),
                                    std::to_string(row.blocked_calls)};
  };
  std::vector<std::vector<std::string>> lines;
  const auto add = [&](std::vector<std::string> cells, std::vector<std::string> more) {
    cells.resize(texts);
    cells.insert(cells.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    lines.push_back(std::move(cells));
  };
  add(keys, {"usd", "calls", "input", "output", "refused"});
  for (const ReportRow& row : report) {
    std::vector<std::string> cells;
    for (const std::string& key : keys) {
      const std::string* const value = row.tags.find(key);
      cells.push_back(value ? *value : "-");
    }
    add(std::move(cells), numbers(row));
  }
  add({"total"}, numbers(report.total()));

  std::vector<std::size_t> widths(texts + 5, 0);
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], shown(line[i]).second);
  std::string table;
  for (const auto& line : lines) {
    std::string row;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const auto [text, width] = shown(line[i]);
      if (i != 0) row += "  ";
      if (i >= texts) row.append(widths[i] - width, ' ');
      row += text;
      if (i < texts) row.append(widths[i] - width, ' ');
    }
    table += row + '\n';
  }
  return table;
}

std::ostream& operator<<(std::ostream& out, const Report& report) { return out << to_string(report); }

}  // namespace outlay
