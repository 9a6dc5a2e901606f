#include "transcript.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

namespace support_bot {

namespace {

constexpr std::size_t name_width = 14;

}  // namespace

Transcript::Transcript(std::size_t width)
    : width_(width), colours_(::isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr) {}

Transcript::Speaker::Speaker(Transcript& transcript, std::string name, int colour)
    : transcript_(transcript), name_(std::move(name)), colour_(colour) {}

void Transcript::Speaker::asks(std::string_view question) { wrapped('?', question); }

void Transcript::Speaker::says(std::string_view piece) {
  const std::size_t room = transcript_.width() - name_width - 3;
  for (const char c : piece) {
    if (c == '\n') {
      pauses();
      continue;
    }
    if (c == ' ' && line_.empty()) continue;
    line_ += c;
    if (line_.size() <= room) continue;
    // The line breaks at its last space; a word longer than a line is cut, between two characters.
    std::size_t cut = line_.rfind(' ');
    if (cut == line_.npos || cut == 0) {
      cut = room;
      while (cut > 1 && (static_cast<unsigned char>(line_[cut]) & 0xC0) == 0x80) --cut;
    }
    line('|', std::string_view(line_).substr(0, cut));
    line_.erase(0, cut);
    while (line_.starts_with(' ')) line_.erase(0, 1);
  }
}

void Transcript::Speaker::pauses() {
  if (!line_.empty()) line('|', line_);
  line_.clear();
}

void Transcript::Speaker::remarks(std::string_view text) {
  pauses();
  wrapped('*', text);
}

void Transcript::Speaker::wrapped(char mark, std::string_view text) {
  const std::size_t room = transcript_.width() - name_width - 3;
  for (;;) {
    std::size_t cut = text.find('\n');
    if (std::min(cut, text.size()) > room) {
      cut = text.rfind(' ', room);
      if (cut == text.npos || cut == 0) cut = room;
    }
    line(mark, text.substr(0, cut));
    if (cut == text.npos) return;
    text.remove_prefix(cut);
    while (text.starts_with(' ') || text.starts_with('\n')) text.remove_prefix(1);
  }
}

void Transcript::Speaker::line(char mark, std::string_view text) {
  std::string name = name_;
  name.resize(std::max(name.size(), name_width), ' ');
  if (transcript_.colours()) {
    const char* weight = mark == '|' ? "" : mark == '?' ? "\033[1m" : "\033[2m";
    std::cout << "\033[" << colour_ << 'm' << name << "\033[0m " << mark << ' ' << weight << text << "\033[0m\n";
  } else {
    std::cout << name << ' ' << mark << ' ' << text << '\n';
  }
  std::cout.flush();
}

std::string Table::str() const {
  std::vector<std::size_t> widths;
  for (const std::string& head : heads_) widths.push_back(head.size());
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  const auto number = [](const std::string& cell) {
    return !cell.empty() && (cell[0] == '$' || cell[0] == '-' || (cell[0] >= '0' && cell[0] <= '9'));
  };
  // A column is numbers if all its cells are; its head then stands to the right as well.
  std::vector<bool> right(heads_.size(), true);
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i)
      if (!row[i].empty() && !number(row[i])) right[i] = false;
  std::string text;
  const auto add = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string pad(widths[i] - cells[i].size(), ' ');
      line += i == 0 ? "" : "  ";
      line += right[i] ? pad + cells[i] : cells[i] + pad;
    }
    while (line.ends_with(' ')) line.pop_back();
    text += line + '\n';
  };
  std::size_t whole = 0;
  for (const std::size_t width : widths) whole += width + 2;
  const std::string ruler(whole - 2, '-');
  add(heads_);
  text += ruler + '\n';
  for (const auto& row : rows_) {
    if (row.empty()) {
      text += ruler + '\n';
    } else {
      add(row);
    }
  }
  return text;
}

}  // namespace support_bot
