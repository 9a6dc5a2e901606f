#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace outlay::cli {

/// What the output may look like.
struct Terminal {
  std::size_t width = 0;  ///< Columns; 0: not a terminal, lines may be as long as they need.
  bool colour = false;
  bool cursor = false;  ///< It can be cleared.
};
/// Of standard output: colours only on a terminal, not on a dumb one, and not where NO_COLOR is set to anything (no-color.org).
[[nodiscard]] Terminal standard_output();

/// False where standard output is a pipe that no program reads any more. Writing says so too, but what is waited for may be long in coming.
[[nodiscard]] bool output_is_read();

/// How many columns a text takes. Wide characters take two, combining ones none.
[[nodiscard]] std::size_t display_width(std::string_view text);
/// The text without anything that a terminal would obey: control characters and marks of direction become U+FFFD, as does what is not UTF-8.
[[nodiscard]] std::string printable(std::string_view text);
/// The same of each line.
[[nodiscard]] std::string printable_lines(std::string_view text);
/// Says a line on standard error, printable and in one piece: other programs write there, too, and scripts read it meanwhile.
void say(std::string_view text);
/// At most `width` columns of it, the last one an ellipsis where something is missing.
[[nodiscard]] std::string shortened(std::string_view text, std::size_t width);

/// Lines of aligned cells.
class Table {
 public:
  struct Column {
    std::string title;
    bool number = false;  ///< Aligned to the right, and never shortened.
    bool needed = true;   ///< Otherwise left out where the table is too wide, the last such column first.
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> cells);
  void set_total(std::vector<std::string> cells);
  /// Ready to be printed. Text columns are shortened, the widest first, until the lines fit.
  [[nodiscard]] std::string render(const Terminal& terminal) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::string> total_;
};

}  // namespace outlay::cli
