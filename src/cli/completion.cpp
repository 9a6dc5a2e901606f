#include <functional>
#include <stdexcept>

#include "cli/help.hpp"

namespace outlay::cli {
namespace {

std::string joined(const std::vector<std::string>& words, const std::string& between) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

/// In single quotes, as all three shells read them.
std::string in_quotes(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::vector<std::string> names(const std::vector<const CLI::App*>& commands) {
  std::vector<std::string> out;
  out.reserve(commands.size());
  for (const CLI::App* command : commands) out.push_back(command->get_name());
  return out;
}

std::vector<std::string> names(const std::vector<const CLI::Option*>& options) {
  std::vector<std::string> out;
  for (const CLI::Option* option : options)
    for (const std::string& name : names_of(*option)) out.push_back(name);
  return out;
}

/// Each command with its path: outlay, outlay caps, outlay caps raise.
void walk(const CLI::App& command, const std::string& path,
          const std::function<void(const CLI::App&, const std::string&)>& visit) {
  visit(command, path);
  for (const CLI::App* below : commands_of(command)) walk(*below, path + " " + below->get_name(), visit);
}

bool runs_a_command(const CLI::App& command) {
  for (const CLI::Option* argument : positionals_of(command))
    if (argument->get_name() == "command") return true;
  return false;
}

std::string bash(const CLI::App& app) {
  std::string paths, words, values;
  std::string others;
  walk(app, app.get_name(), [&](const CLI::App& command, const std::string& path) {
    if (path != app.get_name()) paths += (paths.empty() ? "" : " | ") + in_quotes(path);
    if (runs_a_command(command)) others += (others.empty() ? "" : " | ") + in_quotes(path + " --");
    std::vector<std::string> offered = names(commands_of(command));
    for (const CLI::Option* argument : positionals_of(command))
      for (const std::string& word : words_of(*argument)) offered.push_back(word);
    words += "    " + in_quotes(path) + ") words=" + in_quotes(joined(offered, " ")) +
             " options=" + in_quotes(joined(names(options_of(command)), " ")) + " ;;\n";
    for (const CLI::Option* option : options_of(command)) {
      if (value_of(*option).empty()) continue;
      std::vector<std::string> labels;
      for (const std::string& name : names_of(*option)) labels.push_back(in_quotes(path + " " + name));
      values +=
          "    " + joined(labels, " | ") + ") words=" + in_quotes(joined(words_of(*option), " ")) + " options= ;;\n";
    }
  });
  return "# Completes outlay in bash. Made by: outlay completion bash\n"
         "_outlay() {\n"
         "  local at=outlay words='' options='' i\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
         "  COMPREPLY=()\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case \"$at ${COMP_WORDS[i]}\" in\n"
         "    " +
         paths +
         ") at+=\" ${COMP_WORDS[i]}\" ;;\n"
         "    " +
         others +
         ")\n"
         "      # Another program's arguments.\n"
         "      if ((i + 1 == COMP_CWORD)); then mapfile -t COMPREPLY < <(compgen -c -- \"$word\"); fi\n"
         "      return ;;\n"
         "    esac\n"
         "  done\n"
         "  case $at in\n" +
         words +
         "  esac\n"
         "  case \"$at $before\" in\n" +
         values +
         "  esac\n"
         "  # Where nothing is offered, bash completes the names of files.\n"
         "  if [[ $word == -* ]]; then words=$options; fi\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
         "}\n"
         "complete -o default -F _outlay outlay\n";
}

/// What _arguments and _describe would read as their own signs.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_action(const CLI::Option& option) {
  const std::vector<std::string> words = words_of(option);
  if (!words.empty()) return "(" + joined(words, " ") + ")";
  return option.get_positional() || value_of(option) == "FILE" ? "_files" : " ";
}

std::string zsh(const CLI::App& app) {
  std::string out =
      "#compdef outlay\n"
      "# Completes outlay in zsh. Made by: outlay completion zsh\n";
  walk(app, "_" + app.get_name(), [&](const CLI::App& command, const std::string& path) {
    std::string name = path;
    for (char& c : name)
      if (c == ' ') c = '_';
    const std::vector<const CLI::App*> below = commands_of(command);
    out += "\n" + name + "() {\n";
    if (!below.empty())
      out += "  local curcontext=$curcontext state line\n  local -a commands\n  typeset -A opt_args\n";
    out += below.empty() ? "  _arguments -s" : "  _arguments -C";
    for (const CLI::Option* option : options_of(command)) {
      const std::string value = value_of(*option);
      for (const std::string& each : names_of(*option)) {
        std::string spec = "*" + each + "[" + zsh_text(option->get_description()) + "]";
        if (!value.empty()) spec += ":" + zsh_text(value) + ":" + zsh_action(*option);
        out += " \\\n    " + in_quotes(spec);
      }
    }
    if (!below.empty()) {
      out +=
          " \\\n    '1:command:->command' \\\n    '*::argument:->argument'\n"
          "  case $state in\n"
          "  command)\n"
          "    commands=(\n";
      for (const CLI::App* each : below)
        out += "      " + in_quotes(zsh_text(each->get_name()) + ":" + zsh_text(each->get_description())) + "\n";
      out += "    )\n    _describe command commands ;;\n  argument)\n    case $words[1] in\n";
      for (const CLI::App* each : below)
        out += "    " + each->get_name() + ") " + name + "_" + each->get_name() + " ;;\n";
      out += "    esac ;;\n  esac\n}\n";
      return;
    }
    for (const CLI::Option* argument : positionals_of(command))
      out += runs_a_command(command)
                 ? std::string(" \\\n    '*::command:_normal'")
                 : " \\\n    " + in_quotes(":" + zsh_text(argument->get_name()) + ":" + zsh_action(*argument));
    out += "\n}\n";
  });
  return out + "\ncompdef _outlay outlay\nif [ \"$funcstack[1]\" = _outlay ]; then _outlay \"$@\"; fi\n";
}

std::string fish(const CLI::App& app) {
  std::string out = "# Completes outlay in fish. Made by: outlay completion fish\n";
  walk(app, "", [&](const CLI::App& command, const std::string& path) {
    std::string seen;
    for (std::size_t from = 1; from < path.size();) {
      const std::size_t to = std::min(path.find(' ', from), path.size());
      seen +=
          (seen.empty() ? "" : "; and ") + std::string("__fish_seen_subcommand_from ") + path.substr(from, to - from);
      from = to + 1;
    }
    const std::vector<const CLI::App*> below = commands_of(command);
    if (!below.empty()) {
      const std::string none_yet = seen.empty()
                                       ? std::string("__fish_use_subcommand")
                                       : seen + "; and not __fish_seen_subcommand_from " + joined(names(below), " ");
      for (const CLI::App* each : below)
        out += "complete -c outlay -n " + in_quotes(none_yet) + " -f -a " + each->get_name() + " -d " +
               in_quotes(each->get_description()) + "\n";
      if (seen.empty()) seen = "__fish_use_subcommand";
    }
    for (const CLI::Option* option : options_of(command)) {
      out += "complete -c outlay -n " + in_quotes(seen);
      for (const std::string& name : option->get_snames()) out += " -s " + name;
      for (const std::string& name : option->get_lnames()) out += " -l " + name;
      const std::string value = value_of(*option);
      const std::vector<std::string> words = words_of(*option);
      if (!value.empty()) out += value == "FILE" ? " -r" : " -x";
      if (!words.empty()) out += " -a " + in_quotes(joined(words, " "));
      out += " -d " + in_quotes(option->get_description()) + "\n";
    }
    for (const CLI::Option* argument : positionals_of(command))
      if (const std::vector<std::string> words = words_of(*argument); !words.empty())
        out += "complete -c outlay -n " + in_quotes(seen) + " -f -a " + in_quotes(joined(words, " ")) + "\n";
  });
  return out;
}

}  // namespace

std::string completion(const CLI::App& app, const std::string& shell) {
  if (shell == "bash") return bash(app);
  if (shell == "zsh") return zsh(app);
  if (shell == "fish") return fish(app);
  throw std::invalid_argument("no completion for " + shell);
}

}  // namespace outlay::cli
