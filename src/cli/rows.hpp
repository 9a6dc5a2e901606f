#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cli/source.hpp"
#include "outlay/ledger.hpp"

namespace outlay::cli {

/// What a gateway answers at `/outlay/rows`: its records and events as a JSONL sink writes them, page by page, and later what has been added.
///
/// A reading begins with the query `since` and `until`, each optional, in nanoseconds since 1970. The last line of each page is
/// `{"type":"page","next":"...","more":true,"complete":true}`: `?next=...` asks for what comes behind it, also where there is no more yet. The same `next` is the same page, so that a page that has not arrived can be asked for again; only the last one
/// of a reading can.
/// \par Thread safety
/// One call at a time.
class Rows {
 public:
  /// \param records An SQLite sink's file; empty: what the ledger has in memory.
  Rows(Ledger ledger, std::filesystem::path records) : ledger_(std::move(ledger)), records_(std::move(records)) {}

  /// \par Errors
  /// Error with errc::invalid_argument for a query that is not valid, or a reading that is not known any more.
  [[nodiscard]] std::string answer(std::string_view query);

 private:
  struct Page;
  struct Reading {
    ReportFilter filter{};
    std::unique_ptr<Source> file{};
    std::unordered_map<std::uint64_t, std::uint32_t> seen{};  // in memory: how often a row like it was handed over
    std::uint64_t pages = 0;                                  // handed over
    std::string last{};                                       // page: it is asked for again where it has not arrived
    std::chrono::steady_clock::time_point used{};
  };
  std::string begin(std::string_view query);
  void read_memory(Reading& reading, Page& page) const;
  void keep(Reading& reading, const std::string& page);

  const Ledger ledger_;
  const std::filesystem::path records_;
  std::map<std::string, Reading, std::less<>> readings_;
};

}  // namespace outlay::cli
