#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.hpp"
#include "outlay/price.hpp"
#include "outlay/usage.hpp"
#include "outlay/usd.hpp"

namespace outlay::cli {

/// What the command ends with.
enum Exit {
  success = 0,
  not_found = 1,  ///< The question has no answer: the model has no price.
  differs = 1,    ///< The bill and the books do not agree.
  usage = 2,      ///< An option or argument is not valid.
  bad_input = 3,  ///< A file is missing, damaged, of a newer version, or not what it should be.
  failed = 4,     ///< Anything else.
};

enum class Format { table, csv, json, focus };

struct PricesArguments {
  std::filesystem::path prices{};
  std::filesystem::path litellm{};
};
struct ReportArguments {
  SourceArguments source{};
  std::vector<std::string> by{};
  std::string zone = "UTC";  ///< Of the units of time in `by`.
  FilterArguments filter{};
  Format format{};
  std::size_t limit{};              ///< Rows printed; 0: all.
  std::string account = "unknown";  ///< For Format::focus: the provider's id of the billing account.
  std::filesystem::path html{};     ///< A page to write instead; empty: none.
  PricesArguments prices{};         ///< What providers publish, for Format::focus and the page.
};
struct EstimateArguments {
  std::filesystem::path file{};  ///< `-`: standard input.
  std::string api{};
  std::string model{};
  PricesArguments prices{};
  Format format{};
};

struct RunArguments {
  std::vector<std::string> command{};
  std::optional<Usd> usd{};
  std::optional<std::int64_t> tokens{};
  std::vector<std::string> tags{};  ///< `key=value`
  std::vector<std::string> pass{};  ///< GatewayOptions::pass
  std::filesystem::path keep{};     ///< A file for an SQLite sink; empty: none.
  bool report{};                    ///< Print a table at the end.
  int status = 429;                 ///< GatewayOptions::refusal_status
  bool clamp{};                     ///< Clamp, before a request is refused.
  PricesArguments prices{};
};

struct TailArguments {
  SourceArguments source{};
  FilterArguments filter{};
  std::size_t lines = 10;  ///< Of what is there already: the last so many.
  bool once{};             ///< Not what comes later.
};
struct TopArguments {
  SourceArguments source{};
  FilterArguments filter{.since = "24h"};
  std::vector<std::string> by{"budget", "model", "feature", "user_id"};
  std::size_t rows = 10;  ///< Of each key.
  int every_seconds = 2;
  bool once{};
};

struct ReconcileArguments {
  SourceArguments source{};
  std::filesystem::path bill{};
  Usd tolerance = Usd::from_nanos(10'000'000);  ///< Of each day and model: what exports round.
  bool all{};                                   ///< Print what agrees, too.
};

struct CapsArguments {
  enum class Verb { list, counters, show, raise, lower, adjust, close, reopen, reset, watch };
  Verb verb{};
  std::string store{};                  ///< A file's path, `sqlite:FILE`, `redis://HOST` or `unix://SOCKET`.
  std::string name{};                   ///< Of counters: how the names begin.
  std::string window = "day";           ///< As Window::parse.
  Limits limits{};                      ///< Of raise and lower: the cap itself.
  std::vector<Dimension> dimensions{};  ///< Of reset: whose caps are taken back; empty: of all.
  Amounts amounts{};                    ///< Of adjust.
  std::string by{};                     ///< Empty: the user's login name.
  std::string reason{};
  std::string until{};
  std::string at{};
  std::string id{};
  bool create{};
  /// An SQLite sink's file for the events; empty: none, where the store keeps who and why itself.
  std::filesystem::path records{};
  std::int64_t times{};  ///< Of watch; 0: until it is interrupted.
  int every_seconds = 2;
};

struct ServeArguments {
  std::filesystem::path config{};  ///< Empty: every default.
  bool check{};                    ///< Only read it.
  bool print{};                    ///< Print it with every default.
};

// Each prints its answer to standard output, what is wrong to standard error, and returns an Exit.
// What is wrong with an option is a UsageError.
int report(const ReportArguments& arguments);
int explain(const std::string& model, const PricesArguments& arguments);
int estimate(const EstimateArguments& arguments);
/// Runs a command behind a gateway of its own.
///
/// \return The command's exit code, 127 where it is not found, 126 where it cannot be run.
int run(const RunArguments& arguments);

int caps(const CapsArguments& arguments);
int tail(const TailArguments& arguments);
int top(const TopArguments& arguments);
int reconcile(const ReconcileArguments& arguments);

/// Serves until SIGTERM or SIGINT; SIGHUP reads the configuration again.
int serve(const ServeArguments& arguments);
int new_key(const std::string& name);
/// Of the key on standard input.
int hash_key();

/// 32 hexadecimal digits from the system's source of random numbers.
[[nodiscard]] std::string random_digits();
/// At most 64 MiB; `-`: standard input.
[[nodiscard]] std::string read_all(const std::filesystem::path& path);
/// The bundled prices, or those of the file that is named.
[[nodiscard]] PriceTable table_of(const PricesArguments& arguments);
}  // namespace outlay::cli
