#include <fstream>
#include <iostream>
#include <memory>
#include <utility>

#include "cli/commands.hpp"
#include "cli/focus.hpp"
#include "cli/formats.hpp"
#include "cli/groups.hpp"
#include "cli/page.hpp"
#include "cli/source.hpp"
#include "outlay/error.hpp"
#include "outlay/ledger.hpp"

namespace outlay::cli {

namespace {

void say_what_is_missing(const Source& source) {
  if (const std::string remark = source.remark(); !remark.empty()) say(remark);
}

std::string no_record_has(const std::string& key) { return "no record has the tag \"" + key + "\". Check its name."; }

/// What programs read is written as it is; on a terminal it must not be obeyed.
void print(const std::string& text) {
  static const bool on_terminal = standard_output().width != 0;
  if (!on_terminal) {
    std::cout << text;
    return;
  }
  std::string lines = text;
  std::erase(lines, '\r');
  std::cout << printable_lines(lines);
}

/// To a file beside it first: a part of a page would look like all of it, and what was there stays where the disk is full.
void write_file(std::filesystem::path path, const std::string& text) {
  std::error_code error;
  if (std::filesystem::is_symlink(path, error)) path = std::filesystem::canonical(path, error);
  // A pipe or a device is not replaced.
  const bool in_place = std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error);
  std::filesystem::path part = path;
  if (!in_place) part += "." + random_digits() + ".part";
  std::ofstream file(part, std::ios::binary);
  file << text;
  file.close();
  bool written = !file.fail();
  if (!in_place) {
    if (written) {
      std::filesystem::rename(part, path, error);
      written = !error;
    }
    if (!written) std::filesystem::remove(part, error);
  }
  if (!written)
    throw Error(errc::storage,
                "\"" + printable(path.native()) +
                    "\" cannot be written. Check the directory, its permissions and the room on the disk.");
}

/// Whether a page would take the place of what it is made from.
bool is_source(const std::filesystem::path& page, const std::filesystem::path& source) {
  for (const char* end : {"", "-wal", "-shm"}) {
    std::filesystem::path file = source;
    file += end;
    std::error_code not_there;
    if (std::filesystem::equivalent(page, file, not_there)) return true;
  }
  return false;
}

/// Each row goes out as it is read.
void write_focus(const ReportArguments& arguments, const ReportFilter& filter) {
  if (!arguments.by.empty() || arguments.limit != 0)
    throw UsageError("--format focus has a row for each charge. Leave --by and --limit out.");
  // A charge belongs to the period in which it began, so that the months add up. It may have ended after that.
  ReportFilter wider = filter;
  wider.until.reset();
  const std::unique_ptr<Source> source = open_source(arguments.source, wider);
  const PriceTable list = table_of(arguments.prices);
  print(focus_header());
  std::int64_t unpriced = 0;
  bool any = false;
  source->read(
      [&](const Record& record) {
        if ((filter.since && record.started < *filter.since) || (filter.until && record.started >= *filter.until))
          return;
        any = true;
        unpriced += record.cost_source == CostSource::none && record.status != RecordStatus::rejected;
        print(focus_row(record, arguments.account, list));
      },
      [](const BudgetEvent&) {});
  if (!any) say(nothing_passes(arguments.source, arguments.filter));
  if (unpriced != 0)
    say(std::to_string(unpriced) + (unpriced == 1 ? " call has" : " calls have") +
        " no price, or something that is billed by use and has none: their x_CostSource is none, and what that cost is "
        "not in the file. outlay prices explain MODEL says why.");
  say_what_is_missing(*source);
}

void write_page(const ReportArguments& arguments, const ReportFilter& filter, Calendar& calendar) {
  std::vector<std::string> remarks;
  const std::string page =
      page_of(arguments.source, arguments.by, filter, arguments.zone, calendar, table_of(arguments.prices), remarks);
  for (const std::string& remark : remarks) say(remark);
  write_file(arguments.html, page);
}

}  // namespace

// The rows are read twice: what there is, and then the sums of it.
std::string page_of(const SourceArguments& from, const std::vector<std::string>& by, const ReportFilter& filter,
                    const std::string& zone, Calendar& calendar, const PriceTable& prices,
                    std::vector<std::string>& remarks) {
  Overview overview;
  open_source(from, filter)->read([&](const Record& record) { overview.add(record); }, [](const BudgetEvent&) {});
  for (const std::string& key : by)
    if (overview.has_too_many(key))
      throw UsageError("--by " + printable(key) +
                       ": it has over 1,000 values, too many for a page. Leave it out, or list " +
                       "them by --format csv.");
  Page page(by.empty() ? overview.keys() : by, !by.empty(), overview, calendar, prices);
  const std::unique_ptr<Source> source = open_source(from, filter);
  source->read([&](const Record& record) { page.add(record); }, [&](const BudgetEvent& event) { page.add(event); });
  for (const std::string& key : page.missing_keys()) remarks.push_back(no_record_has(key));
  if (std::string remark = source->remark(); !remark.empty()) remarks.push_back(std::move(remark));
  PageFacts facts;
  facts.source = short_name(from);
  facts.zone = zone;
  facts.made = system_now();
  facts.complete = source->complete();
  if (by.empty()) facts.left_out = overview.left_out();
  return page.render(facts);
}

std::string page_of(const Ledger& ledger, Calendar& calendar) {
  const std::vector<Record> records = ledger.records();
  Overview overview;
  for (const Record& record : records) overview.add(record);
  Page page(overview.keys(), false, overview, calendar, ledger.prices());
  for (const Record& record : records) page.add(record);
  for (const BudgetEvent& event : ledger.events()) page.add(event);
  PageFacts facts;
  facts.source = "this process";
  facts.zone = "UTC";
  facts.made = system_now();
  facts.complete = ledger.dropped() == 0;
  facts.left_out = overview.left_out();
  return page.render(facts);
}

Calendar calendar_of(const std::string& zone) try { return Calendar(zone); } catch (const ConfigError&) {
  throw UsageError("--zone: \"" + printable(zone) +
                   "\" is not a time zone that this system knows. Write a name such as Europe/Berlin, or install the "
                   "package tzdata if all are missing.");
}

int report(const ReportArguments& arguments) {
  Calendar calendar = calendar_of(arguments.zone);
  const ReportFilter filter = filter_of(arguments.filter, system_now(), &calendar);
  for (const std::string& key : arguments.by)
    if (key.empty())
      throw UsageError("--by has an empty name. Write names separated by commas, as in feature,user_id.");
  if (arguments.format == Format::focus) {
    write_focus(arguments, filter);
    return success;
  }
  if (!arguments.html.empty()) {
    if (is_source(arguments.html, arguments.source.file))
      throw UsageError("--html: \"" + printable(arguments.html.native()) +
                       "\" is the file that the page is made from. Write another path.");
    write_page(arguments, filter, calendar);
    return success;
  }
  Groups groups(arguments.by, calendar);
  const std::unique_ptr<Source> source = open_source(arguments.source, filter);
  source->read([&](const Record& record) { groups.add(record); }, [&](const BudgetEvent& event) { groups.add(event); });

  const Report result = groups.report(source->complete());
  for (const std::string& key : result.missing_keys()) say(no_record_has(key));
  if (groups.size() == 0) say(nothing_passes(arguments.source, arguments.filter));
  say_what_is_missing(*source);
  const std::size_t limit = arguments.limit == 0 ? result.size() : arguments.limit;
  if (arguments.format == Format::table)
    std::cout << as_table(result, arguments.by, limit, standard_output());
  else
    print(arguments.format == Format::csv ? as_csv(result, arguments.by, limit) : as_json(result, limit));
  return success;
}

}  // namespace outlay::cli
