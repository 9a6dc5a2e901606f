#include <fstream>
#include <iostream>
#include <memory>

#include "cli/commands.hpp"
#include "cli/focus.hpp"
#include "cli/formats.hpp"
#include "cli/groups.hpp"
#include "cli/page.hpp"
#include "cli/source.hpp"
#include "outlay/error.hpp"

namespace outlay::cli {

namespace {

void say_what_is_missing(const Source& source) {
  if (const std::string remark = source.remark(); !remark.empty()) complain(remark);
}

/// A part of an answer that is already there would look like all of it.
void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file)
    throw Error(errc::storage,
                "\"" + printable(path.native()) +
                    "\" cannot be written. Check the directory, its permissions and the room on the disk.");
}

/// Each row goes out as it is read.
void write_focus(const ReportArguments& arguments, const ReportFilter& filter) {
  if (!arguments.by.empty() || arguments.limit != 0)
    throw UsageError("--format focus has a row for each charge. Leave --by and --limit out.");
  // A charge belongs to the period in which it began, so that the months add up. It may have ended after that.
  ReportFilter wider = filter;
  wider.until.reset();
  const std::unique_ptr<Source> source = open_source(arguments.file, wider);
  std::cout << focus_header();
  source->read(
      [&](const Record& record) {
        if ((!filter.since || record.started >= *filter.since) && (!filter.until || record.started < *filter.until))
          std::cout << focus_row(record, arguments.account);
      },
      [](const BudgetEvent&) {});
  say_what_is_missing(*source);
}

/// The rows are read twice: what there is, and then the sums of it.
void write_page(const ReportArguments& arguments, const ReportFilter& filter, Calendar& calendar) {
  Overview overview;
  open_source(arguments.file, filter)
      ->read([&](const Record& record) { overview.add(record); }, [](const BudgetEvent&) {});
  Page page(arguments.by.empty() ? overview.keys() : arguments.by, overview, calendar);
  const std::unique_ptr<Source> source = open_source(arguments.file, filter);
  source->read([&](const Record& record) { page.add(record); }, [&](const BudgetEvent& event) { page.add(event); });
  say_what_is_missing(*source);
  PageFacts facts;
  facts.source = arguments.file.filename().native();
  facts.zone = arguments.zone;
  facts.made = system_now();
  facts.complete = source->complete();
  if (arguments.by.empty()) facts.left_out = overview.left_out();
  write_file(arguments.html, page.render(facts));
}

}  // namespace

int report(const ReportArguments& arguments) {
  Calendar calendar(arguments.zone);
  const ReportFilter filter = filter_of(arguments.filter, system_now(), &calendar);
  for (const std::string& key : arguments.by)
    if (key.empty())
      throw UsageError("--by has an empty name. Write names separated by commas, as in feature,user_id.");
  if (arguments.format == Format::focus) {
    write_focus(arguments, filter);
    return success;
  }
  if (!arguments.html.empty()) {
    write_page(arguments, filter, calendar);
    return success;
  }
  Groups groups(arguments.by, calendar);
  const std::unique_ptr<Source> source = open_source(arguments.file, filter);
  source->read([&](const Record& record) { groups.add(record); }, [&](const BudgetEvent& event) { groups.add(event); });

  const Report result = groups.report(source->complete());
  for (const std::string& key : result.missing_keys())
    complain("no record has the tag \"" + key + "\". Check its name.");
  say_what_is_missing(*source);
  const std::size_t limit = arguments.limit == 0 ? result.size() : arguments.limit;
  std::cout << (arguments.format == Format::csv    ? as_csv(result, arguments.by, limit)
                : arguments.format == Format::json ? as_json(result, limit)
                                                   : as_table(result, arguments.by, limit, standard_output()));
  return success;
}

}  // namespace outlay::cli
