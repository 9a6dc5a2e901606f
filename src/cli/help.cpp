#include "cli/help.hpp"

#include <CLI/Version.hpp>
#include <algorithm>
#include <sstream>

namespace outlay::cli {

void keep_lines([[maybe_unused]] CLI::App& app) {
#if CLI11_VERSION_MAJOR > 2 || (CLI11_VERSION_MAJOR == 2 && CLI11_VERSION_MINOR >= 5)
  app.get_formatter()->enable_description_formatting(false);
  app.get_formatter()->enable_footer_formatting(false);
#endif
}

std::vector<const CLI::App*> commands_of(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App* each) { return !each->get_group().empty(); });
}

std::vector<const CLI::Option*> options_of(const CLI::App& command) {
  return command.get_options(
      [](const CLI::Option* each) { return !each->get_group().empty() && each->nonpositional(); });
}

std::vector<const CLI::Option*> positionals_of(const CLI::App& command) {
  return command.get_options([](const CLI::Option* each) { return each->get_positional(); });
}

std::string value_of(const CLI::Option& option) {
  if (option.get_type_size() == 0) return {};
  // CLI11 writes behind the name what a value is checked for.
  const std::string name = option.get_type_name();
  return name.substr(0, name.find(':'));
}

std::vector<std::string> words_of(const CLI::Option& option) {
  std::vector<std::string> words;
  const std::string value = value_of(option);
  if (value.find('|') == std::string::npos) return words;
  std::istringstream stream(value);
  for (std::string word; std::getline(stream, word, '|');) words.push_back(word);
  return words;
}

std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

std::string unexpected(const CLI::App& app) {
  const std::vector<std::string> rest = app.remaining(true);
  const std::string first = rest.empty() ? std::string() : rest.front();
  const bool chosen = !app.get_subcommands().empty();
  std::string command = app.get_name();
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    command += ' ' + at->get_name();
  }
  const std::string help = ". " + command + " --help lists ";
  // --csv, where --format csv is meant.
  if (first.starts_with("--"))
    for (const CLI::Option* option : options_of(*at)) {
      const std::string word = first.substr(2, first.find('=') - 2);
      const std::vector<std::string> words = words_of(*option);
      if (std::find(words.begin(), words.end(), word) != words.end())
        return command + " has no option " + first + ". Write " + names_of(*option).back() + ' ' + word + '.';
    }
  if (first.starts_with('-') && at->get_name() == "run" && at->count("command") > 0)
    return command + " has no option " + first + help + "them. If it is the command's, write -- before the command.";
  if (first.starts_with('-')) return command + " has no option " + first + help + "them.";
  if (!chosen) return '"' + first + "\" is not a subcommand" + help + "them.";
  return '"' + first + "\" is one argument too many" + help + "what it takes.";
}

}  // namespace outlay::cli
