#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>

#include "cli/child.hpp"
#include "cli/commands.hpp"
#include "cli/config.hpp"
#include "cli/formats.hpp"
#include "cli/terminal.hpp"
#include "outlay/gateway.hpp"
#include "outlay/log.hpp"
#include "outlay/outlay.hpp"

namespace outlay::cli {

namespace asio = boost::asio;

namespace {

/// The variables by which programs find a provider.
struct Variables {
  const char* upstream;
  std::vector<const char*> names;  ///< The first that is set says where the requests go.
  bool always;                     ///< There is a usual address: set also where none of them is.
};
const std::vector<Variables>& known_variables() {
  static const std::vector<Variables> all{
      {"openai", {"OPENAI_BASE_URL", "OPENAI_API_BASE"}, true},
      {"anthropic", {"ANTHROPIC_BASE_URL"}, true},
      {"gemini", {"GOOGLE_GEMINI_BASE_URL", "GEMINI_BASE_URL"}, true},
      {"cohere", {"CO_API_URL"}, true},
      {"mistral", {"MISTRAL_BASE_URL"}, true},
      {"deepseek", {"DEEPSEEK_BASE_URL"}, true},
      {"xai", {"XAI_BASE_URL"}, true},
      {"openrouter", {"OPENROUTER_BASE_URL"}, true},
      {"ollama", {"OLLAMA_HOST"}, true},
      {"azure", {"AZURE_OPENAI_ENDPOINT"}, false},
  };
  return all;
}

/// OLLAMA_HOST may name a host, a port, both or neither, the address that its server listens on included (Host in envconfig/config.go of
/// github.com/ollama/ollama).
std::string ollama_url(std::string text) {
  if (text.find("://") != text.npos) return text;
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::string path = text.substr(slash);
  text.resize(slash);
  if (!text.starts_with('[') && std::count(text.begin(), text.end(), ':') > 1) text = "[" + text + "]";
  const std::size_t bracket = text.find(']');
  const std::size_t colon = std::min(text.find(':', bracket == text.npos ? 0 : bracket), text.size());
  std::string host = text.substr(0, colon), port = text.substr(colon);
  if (host.empty() || host == "0.0.0.0") host = "127.0.0.1";
  if (host == "[::]") host = "[::1]";
  if (port.size() < 2) port = ":11434";
  return "http://" + host + port + path;
}

/// Where the requests of the command go: what its environment says, and else the usual addresses.
std::vector<Upstream> upstreams_of(const Environment& environment) {
  std::vector<Upstream> upstreams = usual_upstreams();
  for (const Variables& variables : known_variables()) {
    for (const char* name : variables.names) {
      const auto set = environment.find(name);
      if (set == environment.end() || set->second.empty()) continue;
      const std::string upstream = variables.upstream;
      const std::string url = upstream == "ollama" ? ollama_url(set->second) : set->second;
      std::erase_if(upstreams, [&](const Upstream& one) { return one.name == upstream; });
      upstreams.push_back({.name = upstream, .url = url});
      break;
    }
  }
  // Only named ones: the command's base URLs all have the name in them.
  for (Upstream& one : upstreams) one.paths.clear();
  return upstreams;
}

/// \par Errors
/// As Gateway's constructor, but a URL that is not valid is named by its variable: who runs a command knows of no upstreams.
std::unique_ptr<Gateway> open_own_gateway(const std::vector<asio::any_io_executor>& strands, GatewayOptions options,
                                          const Environment& environment) try {
  return std::make_unique<Gateway>(strands, std::move(options));
} catch (const ConfigError& error) {
  const std::string what = error.what();
  for (const Variables& variables : known_variables()) {
    const std::string before = std::string("gateway: upstream \"") + variables.upstream + "\": url";
    if (!what.starts_with(before)) continue;
    for (const char* name : variables.names)
      if (const auto set = environment.find(name); set != environment.end() && !set->second.empty())
        throw ConfigError(name + what.substr(before.size()));
  }
  throw;
}

void point_to(Environment& environment, const std::string& gateway) {
  for (const Variables& variables : known_variables()) {
    const bool any = std::any_of(variables.names.begin(), variables.names.end(), [&](const char* name) {
      const auto set = environment.find(name);
      return set != environment.end() && !set->second.empty();
    });
    if (!any && !variables.always) continue;
    for (const char* name : variables.names) environment[name] = gateway + "/to/" + variables.upstream;
  }
  // A proxy would look for the loopback address on its own machine.
  for (const char* name : {"NO_PROXY", "no_proxy"}) {
    std::string& list = environment[name];
    list += list.empty() ? "127.0.0.1" : ",127.0.0.1";
  }
}

/// What the line at the end says.
struct Totals {
  std::atomic<std::int64_t> nanos{0};
  std::atomic<std::int64_t> tokens{0};
  std::atomic<std::uint64_t> by_cap{0};
  std::atomic<std::uint64_t> not_counted{0};  ///< Refused since no cap could count them.
  std::atomic<std::uint64_t> cut{0};
  std::atomic<std::uint64_t> calls{0};
};

std::string last_line(const Totals& totals, const RunArguments& arguments, const Ledger& ledger) {
  std::string line = to_string(Usd::from_nanos(totals.nanos));
  if (arguments.usd) line += " of " + to_string(*arguments.usd);
  if (arguments.tokens)
    line += ", " + std::to_string(totals.tokens) + " of " + std::to_string(*arguments.tokens) + " tokens";
  line += " in " + std::to_string(totals.calls) + (totals.calls == 1 ? " call" : " calls");
  std::string more;
  const auto add = [&](std::uint64_t count, const char* what) {
    if (count != 0) more += (more.empty() ? "" : ", ") + std::to_string(count) + what;
  };
  add(totals.by_cap, " refused");
  add(totals.cut, " cut");
  add(totals.not_counted, " refused because no cap can count them");
  add(ledger.unpriced_calls(), " without a price");
  if (!more.empty()) line += " (" + more + ")";
  if (totals.by_cap + totals.cut != 0) line += "; the cap was reached";
  return line;
}

}  // namespace

int run(const RunArguments& arguments) {
  Tags tags;
  read_tags("--tag", arguments.tags, tags);
  // The terminal is the command's; what matters of the log is in the line at the end.
  set_log_handler([](LogLevel, std::string_view) {});
  Ledger ledger(LedgerOptions{.prices = table_of(arguments.prices)});
  if (!arguments.keep.empty()) ledger.add_sink(gateway_records(arguments.keep));

  Totals totals;
  ledger.on_spend([&totals](const Record& record) {
    totals.nanos += record.usd.nanos();
    totals.tokens += record.usage.total();
    ++totals.calls;
  });
  Environment environment = own_environment();
  GatewayOptions options;
  options.secret = random_digits();
  options.upstreams = upstreams_of(environment);
  options.pass = arguments.pass;
  options.drain = std::chrono::milliseconds(0);
  options.refusal_status = arguments.status;
  options.on_exchange = [&totals](const GatewayExchange& seen) {
    const bool by_cap = seen.status == 429 || seen.status == 402;
    if (seen.outcome == "refused") ++(by_cap ? totals.by_cap : totals.not_counted);
    if (seen.outcome == "cut" || seen.outcome == "truncated") ++totals.cut;
  };

  const LedgerScope books(ledger);
  const Track track(tags);
  std::optional<Budget> budget;
  if (arguments.usd || arguments.tokens)
    budget.emplace(
        BudgetOptions{.name = "run",
                      .usd = arguments.usd,
                      .tokens = arguments.tokens,
                      .on_exceed = arguments.clamp ? Policies(Clamp{.min_output_tokens = 1'024}) : Policies()});
  asio::io_context io(1);
  const std::unique_ptr<Gateway> opened = open_own_gateway({io.get_executor()}, std::move(options), environment);
  Gateway& gateway = *opened;
  point_to(environment, gateway.url());
  std::exception_ptr failure;
  outlay::co_spawn(io, gateway.serve(), [&](std::exception_ptr error) { failure = error; });

  // The exit code is the command's, also where the last line has no reader. The command itself begins with the signal as it is by default.
  std::signal(SIGPIPE, SIG_IGN);
  // Before the command begins: it may end at once.
  asio::signal_set ends(io, SIGCHLD);
  Child child;
  if (const int error = child.start(arguments.command, environment)) {
    say("\"" + arguments.command.front() + "\" cannot be run: " + std::strerror(error));
    return error == ENOENT ? 127 : 126;  // as a shell says it
  }
  std::function<void()> wait = [&] {
    ends.async_wait([&](const boost::system::error_code& error, int) {
      if (error) return;
      if (child.ended())
        gateway.stop();
      else
        wait();
    });
  };
  wait();
  io.run();
  if (failure) std::rethrow_exception(failure);

  try {
    ledger.flush();
  } catch (const Error& error) {
    say(error.what());
  }
  say(last_line(totals, arguments, ledger));
  if (arguments.report) {
    const Report by_model = ledger.report({"model"});
    std::cerr << as_table(by_model, {"model"}, by_model.size(), standard_output());
  }
  return child.exit_code();
}

}  // namespace outlay::cli
