#include <sys/random.h>

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <iostream>
#include <iterator>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "cli/commands.hpp"
#include "cli/config.hpp"
#include "cli/page.hpp"
#include "cli/rows.hpp"
#include "cli/terminal.hpp"
#include "cli/watch.hpp"
#include "core/base/decimal.hpp"
#include "core/base/json_writer.hpp"
#include "outlay/gateway.hpp"
#include "outlay/outlay.hpp"

namespace outlay::cli {

namespace asio = boost::asio;

namespace {

/// One line of JSON for each request, without any text of it and without keys.
class ExchangeLog {
 public:
  void write(const GatewayExchange& seen) {
    const Time now(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()));
    std::string line;
    detail::JsonWriter json(line);
    json.begin_object().key("time").text(to_iso8601(now)).key("method").text(seen.method).key("path").text(seen.path);
    json.key("status")
        .number(std::int64_t{seen.status})
        .key("outcome")
        .text(seen.outcome)
        .key("upstream")
        .text(seen.upstream);
    if (seen.api) json.key("api").text(seen.api->name()).key("model").text(seen.model);
    if (!seen.key.empty()) json.key("key").text(seen.key);
    if (seen.call_id != 0) json.key("call").number(seen.call_id);
    if (seen.usd) json.key("usd").text(detail::decimal_usd(*seen.usd));
    json.key("ms")
        .number(std::int64_t{std::chrono::duration_cast<std::chrono::milliseconds>(seen.took).count()})
        .end_object();
    line += '\n';
    const std::lock_guard lock(mutex_);
    std::cout << line << std::flush;
    const bool written = static_cast<bool>(std::cout);
    if (!written && !said_)
      say("the log cannot be written to standard output. Requests are answered and counted all the same");
    said_ = !written;
    std::cout.clear();
  }

 private:
  std::mutex mutex_{};
  bool said_ = false;
};

Config load(const std::filesystem::path& file) {
  if (file.empty()) return read_config("{}", "the default configuration");
  return read_config(read_all(file), printable(file.native()));
}

}  // namespace

std::string random_digits() {
  unsigned char bytes[16];
  if (::getentropy(bytes, sizeof bytes) != 0)
    throw Error(errc::storage, std::string("the system gives no random numbers: ") + std::strerror(errno));
  std::string text;
  for (const unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4U];
    text += "0123456789abcdef"[byte & 15U];
  }
  return text;
}

int serve(const ServeArguments& arguments) {
  Config config = load(arguments.config);
  if (arguments.print) {
    std::cout << print_config(config);
    return success;
  }
  if (arguments.check) {
    const std::string who =
        arguments.config.empty() ? "the default configuration" : printable(arguments.config.native());
    check_files(config, who);
    std::cout << who << " is valid\n";
    return success;
  }
  // A reader of the log that has gone is no reason to leave calls unsettled.
  std::signal(SIGPIPE, SIG_IGN);
  // Before there are other threads: the zone is that of the process.
  const auto calendar = std::make_shared<Calendar>();
  Ledger ledger(LedgerOptions{.prices = table_of({.prices = config.prices})});
  const std::shared_ptr<Store> store = open_store(config);
  const auto rules_of = [&](Config& from) {
    for (Rule& rule : from.rules) rule.store = store;
    return from.rules;
  };
  ledger.set_rules(rules_of(config));
  if (!config.records.empty()) ledger.add_sink(gateway_records(config.records));
  const auto log = std::make_shared<ExchangeLog>();
  const auto rows = std::make_shared<Rows>(ledger, config.records);
  const auto options_of = [&](const Config& from) {
    GatewayOptions options = from.gateway;
    if (from.log) options.on_exchange = [log](const GatewayExchange& seen) { log->write(seen); };
    options.page = [ledger, calendar, records = config.records] {
      std::vector<std::string> unused;
      return records.empty() ? page_of(ledger, *calendar)
                             : page_of({.file = records}, {}, {}, "UTC", *calendar, ledger.prices(), unused);
    };
    options.rows = [rows](std::string_view query) { return rows->answer(query); };
    return options;
  };

  // One thread each: no client waits for another thread, and what belongs to the command itself is done by the first one, a thing at a time.
  std::list<asio::io_context> contexts;
  std::vector<asio::any_io_executor> strands;
  std::vector<asio::executor_work_guard<asio::any_io_executor>> open;
  for (unsigned left = std::clamp(std::thread::hardware_concurrency(), 1U, 4U); left > 0; --left) {
    strands.emplace_back(contexts.emplace_back(1).get_executor());
    open.emplace_back(strands.back());
  }
  asio::io_context& io = contexts.front();
  Gateway gateway(strands, options_of(config));
  std::exception_ptr failure;
  asio::signal_set stop(io, SIGTERM, SIGINT);
  asio::signal_set again(io, SIGHUP);
  asio::steady_timer look(io);
  const auto ended = [&] {
    boost::system::error_code ignored;
    stop.cancel(ignored);
    again.cancel(ignored);
    look.cancel();
    open.clear();
  };
  {
    const LedgerScope books(ledger);
    outlay::co_spawn(io, gateway.serve(), [&](std::exception_ptr error) {
      failure = error;
      ended();
    });
  }
  stop.async_wait([&](const boost::system::error_code& error, int) {
    if (!error) gateway.stop();
  });
  Watch watch;
  const auto files_of = [&arguments](const Config& from) {
    return std::vector<std::filesystem::path>{arguments.config, from.gateway.tls_certificate, from.gateway.tls_key};
  };
  const auto read_again = [&] {
    watch.take();
    try {
      Config next = load(arguments.config);
      if (!next.same_place(config))
        throw ConfigError(
            "listen, admin, store, on_unreachable, records, prices and whether there is TLS are only read at the "
            "start. Restart to "
            "change "
            "them.");
      // Whatever can fail or takes time comes first: between keys with new tags and the rules that match them no call is admitted for long.
      std::vector<Rule> rules = rules_of(next);
      Ledger().set_rules(rules);
      gateway.reload(options_of(next));
      ledger.set_rules(std::move(rules));
      config = std::move(next);
      watch.set(files_of(config));
      say("the configuration was read again");
    } catch (const std::exception& problem) {
      say(std::string("the configuration was not changed: ") + problem.what());
    }
  };
  std::function<void()> wait = [&] {
    again.async_wait([&](const boost::system::error_code& error, int) {
      if (error) return;
      read_again();
      wait();
    });
  };
  std::function<void()> look_again = [&] {
    look.expires_after(std::chrono::seconds(1));
    look.async_wait([&](const boost::system::error_code& error) {
      if (error) return;
      if (watch.changed()) read_again();
      look_again();
    });
  };
  watch.set(files_of(config));
  wait();
  look_again();
  std::string listening = "listening on " + gateway.url();
  if (gateway.admin_port() != 0)
    listening +=
        ", and for /outlay/ on " + config.gateway.admin_address + " port " + std::to_string(gateway.admin_port());
  say(listening);
  std::vector<std::thread> others;
  for (auto other = std::next(contexts.begin()); other != contexts.end(); ++other)
    others.emplace_back([&context = *other] { context.run(); });
  io.run();
  for (std::thread& other : others) other.join();
  if (failure) std::rethrow_exception(failure);
  ledger.flush();
  return success;
}

int new_key(const std::string& name) {
  const std::string key = "outlay-" + random_digits() + random_digits();
  std::string entry;
  detail::JsonWriter(entry).begin_object().key("name").text(name).key("sha256").text(hash_of_key(key)).end_object();
  std::cout << key << '\n' << entry << '\n';
  return success;
}

int hash_key() {
  std::string key;
  std::getline(std::cin, key);
  if (key.empty()) {
    std::cerr << "outlay: there is no key on standard input. Write it there, on one line.\n";
    return usage;
  }
  std::cout << hash_of_key(key) << '\n';
  return success;
}

}  // namespace outlay::cli
