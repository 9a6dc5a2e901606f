// The outlay command: commands under a cap, reports from files, prices, estimates.
#include <CLI/CLI.hpp>
#include <charconv>
#include <exception>
#include <iostream>
#include <map>
#include <string>

#include "cli/commands.hpp"
#include "cli/help.hpp"
#include "cli/terminal.hpp"
#include "outlay/error.hpp"
#include "outlay/version.hpp"

namespace {

using namespace outlay::cli;

int exit_of(outlay::errc code) noexcept {
  switch (code) {
    case outlay::errc::bad_file:
    case outlay::errc::storage:
    case outlay::errc::config:
    case outlay::errc::invalid_argument:
      return bad_input;
    default:
      return failed;
  }
}

/// CLI11's own checks of a sign print the whole range of a double.
CLI::Validator whole_number(std::int64_t least) {
  return {[least](std::string& text) {
            std::int64_t number = -1;
            const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
            if (end.ec == std::errc() && end.ptr == text.data() + text.size() && number >= least) return std::string();
            return "\"" + printable(text) + "\" is not a whole number of at least " + std::to_string(least);
          },
          ""};
}

/// Where a command's rows are.
void add_source(CLI::App& command, SourceArguments& source) {
  command
      .add_option("file", source.file,
                  "The file: spend.db, spend.jsonl; or a running gateway: http://127.0.0.1:8787/outlay/")
      ->required();
  command
      .add_option("--token-file", source.token_file,
                  "A file with the gateway's admin token; by default the variable OUTLAY_ADMIN_TOKEN has it")
      ->type_name("FILE");
}

/// The options that say which rows a command looks at.
void add_filter(CLI::App& command, FilterArguments& filter) {
  command.add_option("--since", filter.since,
                     "Only calls that ended then or later: today, yesterday; 30m, 12h, 7d, 2w ago; 2026-11-01, "
                     "2026-11-01T12:00:00Z");
  command.add_option("--until", filter.until, "Only calls that ended before");
  command
      .add_option("--where,--tag", filter.where,
                  "Only calls with this tag, model or provider: key=value; may be repeated")
      ->allow_extra_args(false);
  command.add_option("--budget", filter.budget, "Only calls in budgets of this name or path, and in those inside them");
}

/// --format, one of these words.
void add_format(CLI::App& command, Format& format, const std::map<std::string, Format>& known, const std::string& words,
                const std::string& choice) {
  command
      .add_option_function<std::string>(
          "--format",
          [&format, known, words](const std::string& word) {
            const auto at = known.find(word);
            if (at == known.end())
              throw CLI::ValidationError("--format", "\"" + printable(word) + "\" is none: write " + words);
            format = at->second;
          },
          words + "; a table fits the terminal")
      ->type_name(choice)
      ->default_str("table");
}

/// A money option, read as exactly as the library reads money.
template <class Out>
void add_option_usd(CLI::App& command, const std::string& option, const std::string& help, Out& out) {
  command
      .add_option_function<std::string>(
          option,
          [&out, option](const std::string& text) {
            try {
              out = outlay::Usd::parse(text);
            } catch (const outlay::Error& error) {
              throw CLI::ValidationError(option, error.what());
            }
          },
          help)
      ->type_name("USD");
}

/// `outlay caps` and its subcommands.
CLI::App* add_caps(CLI::App& app, CapsArguments& arguments) {
  using Verb = CapsArguments::Verb;
  CLI::App* caps = app.add_subcommand("caps", "The caps in a store, which every process judges its next call by");
  caps->footer(
      "The store keeps who set a cap and why until its next change; --records keeps every change for good.\n"
      "Examples:\n"
      "  outlay caps raise caps.db user_id:alice --usd 20 --reason \"launch day\"\n"
      "  outlay caps close redis://cache.internal project:launch --window month --reason \"runaway agent\"\n"
      "  outlay caps adjust caps.db team --window month --usd -12.50 --id invoice-17 --reason refund --records "
      "spend.db");
  caps->require_subcommand(1);  // each has the same footer
  struct Entry {
    const char* name;
    Verb verb;
    const char* help;
  };
  for (const Entry& entry :
       {Entry{"list", Verb::list, "The caps that operators have set, and what is spent"},
        Entry{"counters", Verb::counters, "Every budget and rule of which something is kept, and what it has spent"},
        Entry{"show", Verb::show, "What one counter has spent and reserved now"},
        Entry{"raise", Verb::raise, "Sets a higher cap"}, Entry{"lower", Verb::lower, "Sets a lower cap"},
        Entry{"close", Verb::close, "Refuses every new call: sets a cap of 0 calls"},
        Entry{"reopen", Verb::reopen, "Takes back the cap that close set, and keeps the others"},
        Entry{"reset", Verb::reset, "Takes back the caps that were set: those of the programs hold again"},
        Entry{"adjust", Verb::adjust, "Corrects what was spent: a refund, a bill that came late"},
        Entry{"watch", Verb::watch, "Prints the caps that are set, again and again"}}) {
    CLI::App* command = caps->add_subcommand(entry.name, entry.help);
    command->callback([&arguments, verb = entry.verb] { arguments.verb = verb; });
    command->add_option("store", arguments.store, "A store's file, or redis://HOST")->required();
    const bool one = entry.verb != Verb::list && entry.verb != Verb::counters && entry.verb != Verb::watch;
    if (entry.verb == Verb::counters)
      command->add_option("prefix", arguments.name, "Only names that begin so: user_id:");
    else if (entry.verb != Verb::list)
      command->add_option("name", arguments.name, "The budget's, of a rule as refusals write it: user_id:alice")
          ->required(one);
    if (entry.verb == Verb::watch) {
      command->add_option("--every", arguments.every_seconds, "Seconds between two readings")
          ->check(CLI::Range(1, 86'400))
          ->type_name("SECONDS");
      command->add_option("--times", arguments.times, "So many readings; 0: until it is interrupted")
          ->check(whole_number(0))
          ->type_name("N");
    }
    command
        ->add_option("--records", arguments.records,
                     "Keep the events in this file, for outlay report: of the change (adjust needs it, and what leaves "
                     "no cap), and of leases that had run out")
        ->type_name("FILE");
    if (!one) continue;
    command->add_option("--window", arguments.window, "The budget's window: day, month@Europe/Berlin, rolling3600s")
        ->type_name("WINDOW");
    if (entry.verb == Verb::show) continue;
    command->add_option("--reason", arguments.reason, "Why, for the record")->required()->type_name("TEXT");
    command->add_option("--by", arguments.by, "Who does it; your login name by default")->type_name("NAME");
    command->add_flag("--create", arguments.create, "Also where nothing is kept of this name and window yet");
    if (entry.verb == Verb::raise || entry.verb == Verb::lower) {
      add_option_usd(*command, "--usd", "The cap itself, in US dollars", arguments.limits.usd);
      command->add_option("--tokens", arguments.limits.tokens, "The cap on tokens, in and out")->type_name("N");
      command->add_option("--input-tokens", arguments.limits.input_tokens, "The cap on tokens in")->type_name("N");
      command->add_option("--output-tokens", arguments.limits.output_tokens, "The cap on tokens out")->type_name("N");
      command->add_option("--calls", arguments.limits.calls, "The cap on calls")->type_name("N");
      command->add_option("--concurrent", arguments.limits.concurrent, "The cap on calls in flight")->type_name("N");
    }
    if (entry.verb == Verb::adjust) {
      add_option_usd(*command, "--usd", "Added to what was spent, in US dollars; negative: taken off",
                     arguments.amounts.usd);
      command->add_option("--tokens", arguments.amounts.tokens, "Added to the tokens")->type_name("N");
      command->add_option("--calls", arguments.amounts.calls, "Added to the calls")->type_name("N");
      command->add_option("--at", arguments.at, "An instant in the window to correct; the present one by default")
          ->type_name("TIME");
      command->add_option("--id", arguments.id, "Of the bill or refund: a second correction with it changes nothing")
          ->type_name("ID");
    }
    if (entry.verb == Verb::raise || entry.verb == Verb::lower || entry.verb == Verb::close)
      command
          ->add_option(
              "--until", arguments.until,
              "Until then: 12h, which is in 12 hours, 2026-12-01, 2026-12-01T12:00:00Z; by default for good, or "
              "as long as the caps that stay")
          ->type_name("TIME");
    if (entry.verb == Verb::reset)
      for (const auto& [flag, dimension] :
           {std::pair{"--usd", outlay::Dimension::usd}, std::pair{"--tokens", outlay::Dimension::tokens},
            std::pair{"--input-tokens", outlay::Dimension::input_tokens},
            std::pair{"--output-tokens", outlay::Dimension::output_tokens},
            std::pair{"--calls", outlay::Dimension::calls}, std::pair{"--concurrent", outlay::Dimension::concurrent}})
        command->add_flag_callback(
            flag, [&arguments, which = dimension] { arguments.dimensions.push_back(which); },
            "Only this cap; without any of these, all");
  }
  return caps;
}

constexpr const char* exits =
    "Exit status: 0 done, 1 the model has no price, 2 wrong usage, 3 a file that cannot be used, 4 anything "
    "else.";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Where LLM spend went, and what it will cost.", "outlay");
  outlay::cli::keep_lines(app);
  app.footer(std::string("Examples:\n"
                         "  outlay run --usd 5 -- claude\n"
                         "  outlay report spend.db --by feature,user_id --since 7d\n"
                         "  outlay prices explain gpt-4o-2024-08-06\n"
                         "  outlay estimate request.json --api anthropic_messages\n") +
             exits);
  app.set_version_flag("--version", "outlay " OUTLAY_VERSION_STRING);
  app.failure_message([](const CLI::App* at, const CLI::Error& error) {
    return printable_lines("outlay: " + CLI::FailureMessage::simple(at, error));
  });

  ReportArguments report_arguments;
  CLI::App* report_command =
      app.add_subcommand("report", "Sums over the calls in a file of an SQLite or JSONL sink, or of a gateway");
  add_source(*report_command, report_arguments.source);
  report_command
      ->add_option("--by", report_arguments.by,
                   "Group by these tags, or by model, provider, budget, hour, day, week, month; separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false);
  report_command
      ->add_option("--zone", report_arguments.zone,
                   "Whose hours, days, weeks and months, and whose dates in --since and --until: Europe/Berlin")
      ->type_name("ZONE")
      ->default_str("UTC");
  add_filter(*report_command, report_arguments.filter);
  add_format(*report_command, report_arguments.format,
             {{"table", Format::table}, {"csv", Format::csv}, {"json", Format::json}, {"focus", Format::focus}},
             "table, csv, json or focus", "table|csv|json|focus");
  report_command
      ->add_option("--account", report_arguments.account,
                   "For --format focus: the provider's id of your billing account")
      ->type_name("ID");
  report_command
      ->add_option("--html", report_arguments.html,
                   "Write a page with charts and tables to this file instead: a section for each name of --by, one for "
                   "all together")
      ->type_name("FILE")
      ->excludes("--format");
  report_command
      ->add_option(
          "--limit", report_arguments.limit,
          "Print so many rows; 0: all. Dearest first, or by time where --by begins with it; sums are of all rows")
      ->check(whole_number(0))
      ->type_name("ROWS")
      ->default_str("0");
  report_command->footer(
      std::string("--since and --until choose calls by when they ended; units of time group them by when they began. "
                  "--format focus chooses them\n"
                  "by when they began, so that a month can be closed. In CSV what a spreadsheet would compute gets an "
                  "apostrophe before it; the\n"
                  "column Tags of focus is JSON with every character as it was. Its list prices are the bundled ones, "
                  "or those of --prices; "
                  "so are a page's of\nmodels that were asked for and did not run.\n"
                  "Examples:\n"
                  "  outlay report spend.db --by feature,user_id --since 7d\n"
                  "  outlay report spend.db --by week,model --zone Europe/Berlin --where feature=search\n"
                  "  outlay report spend.jsonl --by user_id --budget team --format csv > spend.csv\n"
                  "  outlay report spend.db --since 30d --html spend.html\n"
                  "  outlay report http://127.0.0.1:8787/outlay/ --by user_id\n"
                  "  outlay report spend.db --since 2026-11-01 --until 2026-12-01 --format focus > november.csv\n"
                  "  outlay report spend.db --format json | jq .total.usd\n") +
      exits);

  PricesArguments prices_arguments;
  std::string model;
  CLI::App* prices_command = app.add_subcommand("prices", "What models cost");
  prices_command->require_subcommand(1);
  prices_command->footer(std::string("Examples:\n  outlay prices explain gpt-4o-2024-08-06\n") + exits);
  CLI::App* explain_command = prices_command->add_subcommand("explain", "The price of a model, and how it was found");
  explain_command->add_option("model", model, "The model's name, as a request gives it")->required();
  explain_command->footer(std::string("Examples:\n"
                                      "  outlay prices explain us.anthropic.claude-sonnet-4-20250514-v1:0\n"
                                      "  outlay prices explain my-model --prices prices.json\n") +
                          exits);

  EstimateArguments estimate_arguments;
  CLI::App* estimate_command = app.add_subcommand("estimate", "What a request would cost; nothing is sent");
  estimate_command->add_option("file", estimate_arguments.file, "The request's JSON; - reads standard input")
      ->required();
  estimate_command
      ->add_option("--api", estimate_arguments.api, "Whose format it has (openai_chat, anthropic_messages ...)")
      ->default_str("openai_chat");
  estimate_command->add_option("--model", estimate_arguments.model,
                               "The model, where the request does not say it (Gemini, Bedrock)");
  add_format(*estimate_command, estimate_arguments.format, {{"table", Format::table}, {"json", Format::json}},
             "table or json", "table|json");
  estimate_command->footer(std::string("Examples:\n"
                                       "  outlay estimate request.json\n"
                                       "  outlay estimate - --api gemini --model gemini-2.5-flash < request.json\n") +
                           exits);

  RunArguments run_arguments;
  CLI::App* run_command =
      app.add_subcommand("run", "Runs a command under a cap on what it and all that it starts may spend on LLMs");
  run_command->add_option("command", run_arguments.command, "The command and its arguments, behind --")->required();
  add_option_usd(*run_command, "--usd", "The cap, in US dollars: 5, 0.50", run_arguments.usd);
  run_command->add_option("--tokens", run_arguments.tokens, "A cap on tokens, input and output together")
      ->type_name("N")
      ->check(whole_number(1));
  run_command->add_option("--tag", run_arguments.tags, "A tag for what is spent: key=value; may be repeated")
      ->allow_extra_args(false);
  run_command->add_option("--keep", run_arguments.keep, "Keep every call in this SQLite file, for outlay report")
      ->type_name("FILE")
      ->check([](const std::string& file) { return std::string(file.empty() ? "\"\" is not a file" : ""); });
  run_command->add_flag("--report", run_arguments.report, "Print a table by model at the end");
  run_command
      ->add_option("--pass", run_arguments.pass,
                   "Let requests pass that no cap can count: \"POST /to/openai/audio/speech\"; may be repeated")
      ->type_name("REQUEST")
      ->allow_extra_args(false);
  run_command->add_flag("--clamp", run_arguments.clamp,
                        "Lower the ceilings of answers to what the cap has room for, to 1,024 tokens at the lowest, "
                        "before a request is refused");
  run_command
      ->add_option("--status", run_arguments.status,
                   "The status of a refusal: 429, or 402 for a command that tries again after every 429 (to Cohere's "
                   "API always)")
      ->type_name("CODE")
      ->check(CLI::IsMember({429, 402}));
  run_command->footer(
      "The command finds its providers by variables (OPENAI_BASE_URL, ANTHROPIC_BASE_URL ...), which are set for it; "
      "where one is\n"
      "set already, the requests go there. Keys pass through and are not kept.\n"
      "Examples:\n"
      "  outlay run --usd 5 -- claude\n"
      "  outlay run --usd 0.50 --tag user_id=alice --keep spend.db -- python answer.py\n"
      "Exit status: the command's; 127 if it is not found, 126 if it cannot be run, 2 wrong usage.");

  ServeArguments serve_arguments;
  CLI::App* serve_command =
      app.add_subcommand("serve", "A gateway for many programs: their requests pass under the caps of a configuration");
  serve_command->add_option("--config", serve_arguments.config, "The configuration, as JSON; without it, every default")
      ->type_name("FILE");
  CLI::Option* check = serve_command->add_flag("--check", serve_arguments.check,
                                               "Only read the configuration, and say what is wrong with it");
  serve_command->add_flag("--print-config", serve_arguments.print, "Print the configuration with every default")
      ->excludes(check);
  serve_command->footer(
      "SIGHUP reads the configuration again, all of it or nothing. SIGTERM takes no new requests and lets streams run "
      "on for drain_ms.\n"
      "Examples:\n"
      "  outlay serve --print-config > outlay.json\n"
      "  outlay serve --config outlay.json --check && outlay serve --config outlay.json");

  TailArguments tail_arguments;
  CLI::App* tail_command = app.add_subcommand("tail", "Calls and events of budgets as a sink writes them");
  add_source(*tail_command, tail_arguments.source);
  add_filter(*tail_command, tail_arguments.filter);
  tail_command->add_option("--lines", tail_arguments.lines, "Begin with the last so many that are there already")
      ->check(whole_number(0))
      ->type_name("N")
      ->default_str("10");
  tail_command->add_flag("--once", tail_arguments.once, "Print those, and do not wait for more");
  tail_command->footer(
      "Examples:\n  outlay tail spend.db --where user_id=alice\n  outlay tail spend.jsonl --lines 100 --once");

  TopArguments top_arguments;
  CLI::App* top_command =
      app.add_subcommand("top", "What spends now, with the rate an hour, and when caps are reached");
  add_source(*top_command, top_arguments.source);
  top_command->add_option("--by", top_arguments.by, "Tags, or model, provider, budget; separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->default_str("budget,model,feature,user_id");
  add_filter(*top_command, top_arguments.filter);
  top_command->add_option("--rows", top_arguments.rows, "Rows of each")
      ->check(whole_number(1))
      ->type_name("N")
      ->default_str("10");
  top_command->add_option("--every", top_arguments.every_seconds, "Seconds between two readings")
      ->check(CLI::Range(1, 86'400))
      ->type_name("SECONDS")
      ->default_str("2");
  top_command->add_flag("--once", top_arguments.once, "One reading");
  top_command->footer(
      "Calls of the last 24 hours, unless --since says otherwise. The rate is what was spent in the last hour. A cap "
      "is known from the\nlast event of its budget that names it: a threshold, an overrun, a refusal, a cap that was "
      "changed or set.\n"
      "Examples:\n  outlay top spend.db\n  outlay top spend.db --by user_id --rows 30");

  ReconcileArguments reconcile_arguments;
  CLI::App* reconcile_command =
      app.add_subcommand("reconcile", "A provider's own export against the books, by day and model");
  add_source(*reconcile_command, reconcile_arguments.source);
  reconcile_command
      ->add_option("--bill", reconcile_arguments.bill, "OpenAI's or Anthropic's export of costs or usage, as CSV")
      ->required()
      ->type_name("FILE");
  add_option_usd(*reconcile_command, "--tolerance",
                 "Of each day and model, and of the total, in US dollars: what exports round; 0.01",
                 reconcile_arguments.tolerance);
  reconcile_command->add_flag("--all", reconcile_arguments.all, "Print the days and models that agree, too");
  reconcile_command->footer(
      "Examples:\n  outlay reconcile spend.db --bill costs.csv\nExit status: 0 they agree, 1 they differ, 2 "
      "wrong usage, 3 a file that cannot be used.");

  CapsArguments caps_arguments;
  CLI::App* caps_command = add_caps(app, caps_arguments);

  std::string key_name = "new";
  CLI::App* keys_command = app.add_subcommand("keys", "Keys that a gateway gives to its clients");
  keys_command->require_subcommand(1);
  keys_command->footer("Examples:\n  outlay keys new --name alice\n  outlay keys hash < key.txt");
  CLI::App* new_command =
      keys_command->add_subcommand("new", "Makes one: the key, and what the configuration's keys need of it");
  new_command->add_option("--name", key_name, "Whose it is")->type_name("NAME");
  CLI::App* hash_command = keys_command->add_subcommand("hash", "The SHA-256 of the key on standard input");

  std::string shell;
  CLI::App* completion_command =
      app.add_subcommand("completion", "Prints a script that completes this command in a shell");
  completion_command->add_option("shell", shell, "bash, zsh or fish")
      ->type_name("bash|zsh|fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion_command->footer(
      "Packages install these scripts. By hand:\n"
      "Examples:\n"
      "  source <(outlay completion bash)\n"
      "  outlay completion zsh > ~/.zsh/completions/_outlay\n"
      "  outlay completion fish > ~/.config/fish/completions/outlay.fish");

  // For the build: the manual pages are made from the help.
  std::filesystem::path manual;
  CLI::App* manual_command = app.add_subcommand("manual", "Writes the manual pages into a directory")->group("");
  manual_command->add_option("directory", manual)->required();

  for (auto& [command, arguments] :
       {std::pair{explain_command, &prices_arguments}, std::pair{estimate_command, &estimate_arguments.prices},
        std::pair{run_command, &run_arguments.prices}, std::pair{report_command, &report_arguments.prices}}) {
    CLI::Option* own =
        command->add_option("--prices", arguments->prices, "A price file in outlay's format")->type_name("FILE");
    command->add_option("--litellm", arguments->litellm, "LiteLLM's model_prices_and_context_window.json")
        ->type_name("FILE")
        ->excludes(own);
  }

  try {
    app.parse(argc, argv);
    // Not by require_subcommand: for a command that does not exist that would say that one is missing.
    if (app.get_subcommands().empty()) throw CLI::RequiredError("A subcommand");
  } catch (const CLI::ExtrasError&) {
    say(unexpected(app));
    return usage;
  } catch (const CLI::ParseError& error) {
    // Help and version end here too; they go to standard output.
    return app.exit(error) == 0 ? success : usage;
  }

  try {
    int status = failed;
    if (*serve_command)
      status = serve(serve_arguments);
    else if (*tail_command)
      status = tail(tail_arguments);
    else if (*top_command)
      status = top(top_arguments);
    else if (*reconcile_command)
      status = reconcile(reconcile_arguments);
    else if (*caps_command)
      status = caps(caps_arguments);
    else if (*new_command)
      status = new_key(key_name);
    else if (*hash_command)
      status = hash_key();
    else if (*completion_command) {
      std::cout << completion(app, shell);
      status = success;
    } else if (*manual_command) {
      write_manual(app, manual);
      status = success;
    } else if (*report_command)
      status = report(report_arguments);
    else if (*explain_command)
      status = explain(model, prices_arguments);
    else if (*run_command)
      return run(run_arguments);
    else
      status = estimate(estimate_arguments);
    std::cout.flush();
    if (!std::cout) {
      say("the output could not be written");
      return failed;
    }
    return status;
  } catch (const UsageError& error) {
    say(error.what());
    return usage;
  } catch (const outlay::Error& error) {
    say(error.what());
    return exit_of(error.reason());
  } catch (const std::exception& error) {
    say(error.what());
    return failed;
  }
}
