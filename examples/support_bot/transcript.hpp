#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace support_bot {

/// Writes several conversations to one terminal or log, side by side.
///
/// Answers arrive piece by piece and interleaved. Each is gathered into lines of its own, and a line is written when it is full, so that
/// every line belongs to one conversation and says to which. Colours where standard output is a terminal and NO_COLOR is not set.
class Transcript {
 public:
  explicit Transcript(std::size_t width = 100);

  /// One conversation's part of it.
  class Speaker {
   public:
    Speaker(Transcript& transcript, std::string name, int colour);
    void asks(std::string_view question);
    /// A piece of the answer; appears when its line is full, or at the next break.
    void says(std::string_view piece);
    /// Ends the line that is being gathered.
    void pauses();
    /// A remark of the program about this conversation.
    void remarks(std::string_view text);

   private:
    void line(char mark, std::string_view text);
    void wrapped(char mark, std::string_view text);
    Transcript& transcript_;
    std::string name_;
    int colour_;
    std::string line_{};
  };

  [[nodiscard]] bool colours() const noexcept { return colours_; }
  [[nodiscard]] std::size_t width() const noexcept { return width_; }

 private:
  std::size_t width_;
  bool colours_;
};

/// Rows of cells, printed with aligned columns: text to the left, what begins with a digit, `$` or `-` to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> heads) : heads_(std::move(heads)) {}
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// A line above the next row.
  void rule() { rows_.emplace_back(); }
  [[nodiscard]] std::string str() const;

 private:
  std::vector<std::string> heads_;
  std::vector<std::vector<std::string>> rows_{};
};

}  // namespace support_bot
