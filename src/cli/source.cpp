#include "cli/source.hpp"

#include <fstream>
#include <string>

#include "cli/lines.hpp"
#include "cli/terminal.hpp"
#include "outlay/error.hpp"
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
  using std::filesystem::file_type;
  const std::string name = '"' + printable(path.native()) + '"';
  const char* const makers =
      "Check the path: outlay run --keep, the records of outlay serve, and a program's sqlite_sink or jsonl_sink make "
      "such files.";
  std::error_code ignored;
  const file_type type = std::filesystem::status(path, ignored).type();
  if (type == file_type::not_found) throw Error(errc::storage, name + " does not exist. " + makers);
  // Reading takes from a pipe what cannot be read again.
  if (type == file_type::fifo || type == file_type::character || type == file_type::socket)
    throw Error(errc::storage, name + " is a pipe or a device. Write what comes from it to a file, and name that.");
  // An empty file is what its name says.
  if (type == file_type::regular) {
    const int first = std::ifstream(path, std::ios::binary).get();
    const bool empty = std::filesystem::file_size(path, ignored) == 0;
    if (first == '{' || (empty && path.extension() == ".jsonl")) return open_jsonl(path, filter);
    if (empty && !ignored) throw Error(errc::bad_file, name + " is empty. " + makers);
  }
  return std::make_unique<SqliteSource>(path, filter);
}

}  // namespace outlay::cli
