#include <fstream>
#include <sstream>
#include <system_error>

#include "cli/help.hpp"
#include "outlay/version.hpp"

namespace outlay::cli {
namespace {

/// Text that roff prints as it is: a hyphen stays what a shell reads, and no line begins with what looks like a request.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n'))
      out += std::string("\\&") + c;
    else
      out += c;
  }
  return out;
}

std::string bold(const std::string& text) { return "\\fB" + roff(text) + "\\fR"; }
std::string italic(const std::string& text) { return "\\fI" + roff(text) + "\\fR"; }

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

/// The words before its own: outlay caps.
std::string path_of(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return (parent ? path_of(*parent) + " " : std::string()) + command.get_name();
}

std::string synopsis(const CLI::App& command) {
  std::string out = bold(path_of(command));
  if (!options_of(command).empty()) out += " [" + italic("OPTIONS") + "]";
  if (!commands_of(command).empty()) out += " " + italic("COMMAND");
  for (const CLI::Option* argument : positionals_of(command)) {
    const std::string name = argument->get_name();
    const std::vector<std::string> words = words_of(*argument);
    const std::string shown = name == "command" ? "\\-\\- " + italic("COMMAND") + " ..."
                                                : italic(words.empty() ? upper(name) : value_of(*argument));
    out += argument->get_required() ? " " + shown : " [" + shown + "]";
  }
  return out;
}

void add_entry(std::string& out, const std::string& head, const CLI::Option& option) {
  out += ".TP\n" + head + "\n" + roff(option.get_description());
  if (!option.get_default_str().empty()) out += ".\nDefault: " + roff(option.get_default_str());
  out += ".\n";
}

void add_options(std::string& out, const CLI::App& command) {
  for (const CLI::Option* argument : positionals_of(command))
    add_entry(out, italic(upper(argument->get_name())), *argument);
  for (const CLI::Option* option : options_of(command)) {
    std::string head;
    for (const std::string& name : names_of(*option)) head += (head.empty() ? "" : ", ") + bold(name);
    if (const std::string value = value_of(*option); !value.empty()) head += " " + italic(value);
    add_entry(out, head, *option);
  }
}

/// A footer's paragraphs, lines of examples and exit status.
struct Footer {
  std::string text{}, examples{}, exits{};
};
Footer read_footer(const CLI::App& command) {
  Footer footer;
  std::istringstream lines(command.get_footer());
  for (std::string line; std::getline(lines, line);) {
    if (line == "Examples:") continue;
    if (line.rfind("Exit status: ", 0) == 0)
      footer.exits += roff(line.substr(13)) + "\n";
    else if (line.rfind("  ", 0) == 0)
      footer.examples += roff(line.substr(2)) + "\n";
    else if (!line.empty())
      footer.text += roff(line) + "\n";
  }
  return footer;
}

}  // namespace

std::string manual_page(const CLI::App& app, const CLI::App& command) {
  std::string title = path_of(command);
  for (char& c : title)
    if (c == ' ') c = '-';
  const Footer footer = read_footer(command);
  const std::vector<const CLI::App*> below = commands_of(command);
  const bool whole = &command == &app;
  std::string description = command.get_description();
  while (!description.empty() && description.back() == '.') description.pop_back();

  std::string out = ".TH " + upper(title) + " 1 \"\" \"outlay " OUTLAY_VERSION_STRING "\" \"User Commands\"\n";
  out += ".SH NAME\n" + roff(title) + " \\- " + roff(description) + "\n";
  out += ".SH SYNOPSIS\n" + synopsis(command) + "\n";
  out += ".SH DESCRIPTION\n" + roff(description) + ".\n";
  if (!footer.text.empty()) out += ".PP\n" + footer.text;
  out += ".SH OPTIONS\n";
  add_options(out, command);
  if (!below.empty()) out += ".SH COMMANDS\n";
  for (const CLI::App* each : below) {
    if (whole) {
      out += ".TP\n\\fBoutlay\\-" + roff(each->get_name()) + "\\fR(1)\n" + roff(each->get_description()) + ".\n";
      continue;
    }
    out += ".SS " + synopsis(*each) + "\n" + roff(each->get_description()) + ".\n";
    add_options(out, *each);
    const Footer own = read_footer(*each);
    if (!own.text.empty()) out += ".PP\n" + own.text;
    if (!own.examples.empty()) out += ".PP\n.nf\n" + own.examples + ".fi\n";
  }
  if (!footer.exits.empty()) out += ".SH EXIT STATUS\n" + footer.exits;
  if (!footer.examples.empty()) out += ".SH EXAMPLES\n.nf\n" + footer.examples + ".fi\n";
  if (!whole) out += ".SH SEE ALSO\n\\fBoutlay\\fR(1)\n";
  return out;
}

void write_manual(const CLI::App& app, const std::filesystem::path& directory) {
  const auto write = [&](const CLI::App& command, const std::string& name) {
    std::ofstream file(directory / name, std::ios::binary);
    file << manual_page(app, command);
    file.close();
    if (!file) throw std::system_error(std::make_error_code(std::errc::io_error), (directory / name).string());
  };
  write(app, app.get_name() + ".1");
  for (const CLI::App* command : commands_of(app)) write(*command, app.get_name() + "-" + command->get_name() + ".1");
}

}  // namespace outlay::cli
