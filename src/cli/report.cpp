#include <iostream>

#include "cli/commands.hpp"
#include "cli/formats.hpp"
#include "cli/groups.hpp"
#include "cli/source.hpp"

namespace outlay::cli {

int report(const ReportArguments& arguments) {
  const ReportFilter filter = filter_of(arguments.filter, system_now());
  for (const std::string& key : arguments.by)
    if (key.empty())
      throw UsageError("--by has an empty name. Write names separated by commas, as in feature,user_id.");
  Calendar calendar(arguments.zone);
  Groups groups(arguments.by, calendar);
  const std::unique_ptr<Source> source = open_source(arguments.file, filter);
  source->read([&](const Record& record) { groups.add(record); }, [&](const BudgetEvent& event) { groups.add(event); });

  const Report result = groups.report(source->complete());
  for (const std::string& key : result.missing_keys())
    std::cerr << "outlay: no record has the tag \"" << printable(key) << "\". Check its name.\n";
  if (const std::string remark = source->remark(); !remark.empty()) std::cerr << "outlay: " << remark << '\n';
  const std::size_t limit = arguments.limit == 0 ? result.size() : arguments.limit;
  std::cout << (arguments.format == Format::csv    ? as_csv(result, arguments.by, limit)
                : arguments.format == Format::json ? as_json(result, limit)
                                                   : as_table(result, arguments.by, limit, standard_output()));
  return success;
}

}  // namespace outlay::cli
