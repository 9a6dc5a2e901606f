#include <cctype>
#include <filesystem>
#include <regex>
#include <set>
#include <string>

#include "command.hpp"
#include "support/catch.hpp"

using command::Directory;
using command::read_file;
using command::Result;
using command::run_outlay;
using command::write_file;

namespace {

/// The output of a shell's script, or its status where it fails.
std::string shell(const std::string& program, const std::string& script) {
  const Directory directory;
  write_file(directory.file("script"), script);
  std::FILE* pipe = ::popen((program + " '" + directory.file("script") + "' 2>&1").c_str(), "r");
  REQUIRE(pipe);
  std::string out;
  for (int c = 0; (c = std::fgetc(pipe)) != EOF;) out += static_cast<char>(c);
  const int status = ::pclose(pipe);
  return status == 0 ? out : out + "status " + std::to_string(status);
}

bool installed(const std::string& program) {
  return std::system(("command -v " + program + " >/dev/null").c_str()) == 0;
}

/// What bash offers behind these words, separated by spaces.
std::string bash_offers(const std::string& words) {
  return shell("bash --norc", run_outlay("completion bash").out + "\nCOMP_WORDS=(" + words +
                                  ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_outlay\necho \"${COMPREPLY[*]}\"\n");
}

/// The names of options that a text has.
std::set<std::string> options_in(const std::string& text) {
  std::set<std::string> found;
  const std::regex option("--[a-z]+(-[a-z]+)*");
  for (std::sregex_iterator at(text.begin(), text.end(), option), end; at != end; ++at) found.insert(at->str());
  return found;
}

/// What a manual page says, without its fonts and escapes.
std::string plain(const std::string& page) { return std::regex_replace(page, std::regex(R"(\\f[BIR]|\\)"), ""); }

}  // namespace

TEST_CASE("completion: bash offers commands, options and the words of a value", "[cli]") {
  CHECK(bash_offers("outlay pri") == "prices\n");
  CHECK(bash_offers("outlay caps re") == "reopen reset\n");
  CHECK(bash_offers("outlay report --for") == "--format\n");
  CHECK(bash_offers("outlay report spend.db --format ''") == "table csv json focus\n");
  CHECK(bash_offers("outlay caps raise caps.db --us") == "--usd\n");
  CHECK(bash_offers("outlay completion z") == "zsh\n");
  // Names of files, which bash adds itself where nothing is offered.
  CHECK(bash_offers("outlay report sp") == "\n");
  CHECK(bash_offers("outlay report --html --") == "\n");
}

TEST_CASE("completion: behind -- bash offers the programs that outlay run may start", "[cli]") {
  CHECK(bash_offers("outlay run --usd 5 -- bas").find("bash") != std::string::npos);
  CHECK(bash_offers("outlay run --usd 5 -- bash --no") == "\n");
}

TEST_CASE("completion: what is hidden is not offered", "[cli]") {
  for (const char* name : {"bash", "zsh", "fish"}) {
    const Result script = run_outlay(std::string("completion ") + name);
    CHECK(script.status == 0);
    CHECK(script.out.find("manual pages") == std::string::npos);
    CHECK(script.out.find("reconcile") != std::string::npos);
  }
}

TEST_CASE("completion: zsh and fish read their scripts", "[cli]") {
  if (installed("zsh")) CHECK(shell("zsh -f -n", run_outlay("completion zsh").out).empty());
  if (installed("fish")) {
    const std::string script = run_outlay("completion fish").out;
    CHECK(shell("fish --no-execute", script).empty());
    CHECK(shell("fish --no-config", script + "\ncomplete -C 'outlay caps re'").find("reopen") != std::string::npos);
    CHECK(shell("fish --no-config", script + "\ncomplete -C 'outlay report --format f'").find("focus") !=
          std::string::npos);
  }
}

TEST_CASE("completion: another shell is wrong usage", "[cli]") {
  CHECK(run_outlay("completion csh").status == 2);
  CHECK(run_outlay("completion").status == 2);
}

TEST_CASE("manual: every option that help lists is on the command's page", "[cli]") {
  const Directory directory;
  REQUIRE(run_outlay("manual '" + directory.file("") + "'").status == 0);
  std::size_t pages = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory.file(""))) {
    ++pages;
    const std::string name = entry.path().stem().string();
    const std::string page = plain(read_file(entry.path().native()));
    const std::string command = name == "outlay" ? std::string() : name.substr(sizeof "outlay-" - 1);
    const std::set<std::string> on_page = options_in(page);
    for (const std::string& option : options_in(run_outlay(command + " --help").out)) {
      INFO(name << " " << option);
      CHECK(on_page.contains(option));
    }
    for (const char* section : {".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS"}) {
      INFO(name << " " << section);
      CHECK(page.find(section) != std::string::npos);
    }
  }
  CHECK(pages == 12);
  const std::string caps = plain(read_file(directory.file("outlay-caps.1")));
  CHECK(options_in(caps).contains("--output-tokens"));
}

TEST_CASE("manual: a directory that is not there is an error", "[cli]") {
  CHECK(run_outlay("manual /nowhere/at/all").status == 4);
}
