#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/gateway.hpp"
#include "outlay/rule.hpp"
#include "outlay/sink.hpp"
#include "outlay/store.hpp"

namespace outlay::cli {

/// The configuration of `outlay serve`, as it was read.
struct Config {
  GatewayOptions gateway{.port = 8787};
  std::vector<Rule> rules{};                 ///< Without a store.
  std::string rules_text = "[]";             ///< As they were written.
  std::vector<std::string> key_variables{};  ///< Of each upstream; empty where there is none.
  std::string store = "memory";
  std::optional<OnUnreachable> on_unreachable{};
  std::string records{};
  std::string prices{};
  bool log = true;

  /// What a running gateway cannot change is the same in both.
  [[nodiscard]] bool same_place(const Config& other) const;
};

/// \param who What messages begin with: the file's name.
/// \par Errors
/// ConfigError that names the place and the next step, for anything that is not valid: all of it is read, or nothing.
[[nodiscard]] Config read_config(std::string_view text, const std::string& who);
/// Every setting with its value; what read_config() reads.
[[nodiscard]] std::string print_config(const Config& config);
/// For `--check`: the files that only the start opens.
///
/// \par Errors
/// ConfigError, as read_config(), for a price file that cannot be read, and for records or a store in a directory that does not exist.
void check_files(const Config& config, const std::string& who);
/// Null for `memory`.
///
/// \par Errors
/// As sqlite_store() and redis_store().
[[nodiscard]] std::shared_ptr<Store> open_store(const Config& config);
/// The sink of a gateway's records.
///
/// \par Errors
/// As sqlite_sink().
[[nodiscard]] std::shared_ptr<Sink> gateway_records(const std::filesystem::path& file);

}  // namespace outlay::cli
