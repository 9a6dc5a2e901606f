#pragma once

#include <CLI/App.hpp>
#include <filesystem>
#include <string>
#include <vector>

// What is made from the command's own help: completion scripts and manual pages.
namespace outlay::cli {

/// Has descriptions and footers of a program and its commands printed as they are written. CLI11 2.5 and newer fill their lines anew, examples too.
void keep_lines(CLI::App& app);

/// The subcommands that help lists, in its order.
[[nodiscard]] std::vector<const CLI::App*> commands_of(const CLI::App& command);
/// The options that help lists, without the positional arguments.
[[nodiscard]] std::vector<const CLI::Option*> options_of(const CLI::App& command);
[[nodiscard]] std::vector<const CLI::Option*> positionals_of(const CLI::App& command);

/// What help calls an option's value: FILE, N, table|csv. Empty: a flag, which has none.
[[nodiscard]] std::string value_of(const CLI::Option& option);
/// The words of a value that is one of a few, as in table|csv. Otherwise none.
[[nodiscard]] std::vector<std::string> words_of(const CLI::Option& option);
/// The names as they are typed: -h, --help.
[[nodiscard]] std::vector<std::string> names_of(const CLI::Option& option);

/// \param shell bash, zsh or fish.
[[nodiscard]] std::string completion(const CLI::App& app, const std::string& shell);

/// A page of section 1, in the macros of man(7), for the command or one of its subcommands, with what is below that.
[[nodiscard]] std::string manual_page(const CLI::App& app, const CLI::App& command);
/// Writes outlay.1, and outlay-run.1 and its like, into a directory that is there.
void write_manual(const CLI::App& app, const std::filesystem::path& directory);

/// What is left over, in words of a person who has mistyped something.
[[nodiscard]] std::string unexpected(const CLI::App& app);

}  // namespace outlay::cli
