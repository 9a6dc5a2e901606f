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
/// `{"type":"page","next":"...","more":true,"complete":true}`: `?next=...` asks for what comes behind it, also where there is no more yet.
/// The same `next` is the same page, so that one that has not arrived can be asked for again; of a file only the last one can.
/// \par Thread safety
/// One call at a time.
class Rows {
 public:
  /// \param records An SQLite sink's file; empty: what the ledger has in memory.
  Rows(const Ledger& ledger, std::filesystem::path records);

  /// \par Errors
  /// Error with errc::invalid_argument for a query that is not valid, or a reading that is not known any more.
  [[nodiscard]] std::string answer(std::string_view query);

 private:
  struct Page;
  struct Place;
  /// Of a file.
  struct Reading {
    std::unique_ptr<Source> file{};
    std::uint64_t pages = 0;  // handed over
    std::string last{};       // page: it is asked for again where it has not arrived
    std::chrono::steady_clock::time_point used{};
  };
  /// A row in memory.
  struct Seen {
    std::uint64_t number = 0;  // 0: none yet
    std::uint64_t look = 0;    // the last one that saw it
  };
  static Place read_place(std::string_view text);
  Place begin(std::string_view query);
  std::uint64_t number_of(std::uint64_t key);
  void read_memory(Place& place, Page& page);
  void read_file(Place& place, Page& page);
  void keep(Reading& reading, const std::string& page);

  const Ledger ledger_;
  const std::filesystem::path records_;
  const std::string memory_;  // what readings in memory are called
  std::map<std::string, Reading, std::less<>> readings_;
  std::unordered_map<std::uint64_t, Seen> numbers_;
  std::uint64_t numbered_ = 0, looks_ = 0;
};

}  // namespace outlay::cli
