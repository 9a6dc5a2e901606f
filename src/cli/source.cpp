#include "cli/source.hpp"

#include <fstream>
#include <string>

#include "cli/lines.hpp"
#include "outlay/sqlite/reader.hpp"

namespace outlay::cli {

namespace {

class SqliteSource final : public Source {
 public:
  SqliteSource(const std::filesystem::path& path, const ReportFilter& filter) : reader_(path, filter) {}
  void read(const OnRecord& on_record, const OnEvent& on_event) override { reader_.read(on_record, on_event); }
  [[nodiscard]] bool complete() const override { return reader_.complete(); }

 private:
  SqliteReader reader_;
};

bool is_url(const SourceArguments& arguments) {
  return arguments.file.native().starts_with("http://") || arguments.file.native().starts_with("https://");
}

}  // namespace

std::unique_ptr<Source> open_source(const SourceArguments& arguments, const ReportFilter& filter) {
  if (!is_url(arguments)) return open_file(arguments.file, filter);
  return open_lines(open_gateway(arguments.file, filter, arguments.token_file), filter);
}

std::string short_name(const SourceArguments& arguments) {
  if (!is_url(arguments)) return arguments.file.filename().native();
  std::string rest = arguments.file.native();
  rest.erase(0, rest.find("://") + 3);
  return rest.substr(0, rest.find_first_of("/?#"));
}

std::unique_ptr<Source> open_file(const std::filesystem::path& path, const ReportFilter& filter) {
  std::error_code ignored;
  // Opening a pipe would take from it what it begins with. An empty file is what its name says.
  if (std::filesystem::is_regular_file(path, ignored)) {
    const int first = std::ifstream(path, std::ios::binary).get();
    const bool empty = std::filesystem::file_size(path, ignored) == 0;
    if (first == '{' || (empty && path.extension() == ".jsonl")) return open_jsonl(path, filter);
  }
  return std::make_unique<SqliteSource>(path, filter);
}

}  // namespace outlay::cli
