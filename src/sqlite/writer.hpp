#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "outlay/record.hpp"
#include "outlay/sqlite/sink.hpp"
#include "sqlite/database.hpp"
#include "sqlite/dictionary.hpp"

namespace outlay::detail {

/// Rows that wait for their transaction, and the connection that writes them.
///
/// A row is numbered when it is added, and the file keeps the last number of each writer, changed in the transaction that brings the
/// rows: a transaction whose outcome is unknown can be tried again, and what had got through is left out.
/// \par Thread safety
/// One thread at a time.
class Writer {
 public:
  Writer(const std::filesystem::path& path, Durability durability, std::chrono::steady_clock::time_point deadline);
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer();

  void add(const Record& record);
  void add(const BudgetEvent& event);
  [[nodiscard]] std::size_t waiting() const noexcept { return records_.size() + events_.size(); }

  /// Writes everything that waits in one transaction. After an exception it all waits still.
  void commit(std::chrono::steady_clock::time_point deadline);

  /// Once everything is committed: the file need not know any more which rows this writer has written.
  void retire(std::chrono::steady_clock::time_point deadline);

  /// Deletes the oldest records and events, about `limit` of each, that ended at or before `upto`.
  ///
  /// \return Whether there were any.
  bool remove_oldest(std::int64_t upto, std::int64_t limit, std::chrono::steady_clock::time_point deadline);
  /// About how many rows there are.
  [[nodiscard]] std::int64_t row_span();
  /// The part of the file that holds data.
  [[nodiscard]] std::uint64_t data_bytes();
  /// Gives free pages back to the file system, some at a time.
  ///
  /// \return Whether there are more.
  bool shrink(std::chrono::steady_clock::time_point deadline);
  /// Entries of the file's dictionaries that no row referred to, at the time of a snapshot.
  struct Unused {
    std::vector<std::int64_t> tag_sets{}, budget_paths{};
    std::int64_t last_record = 0, last_event = 0;  // the newest rows of the snapshot
    std::int64_t deleted = 0;                      // and how many had been deleted by then
  };
  /// Removes those that no row has come to refer to since.
  ///
  /// \return False: nothing was done, since rows were deleted meanwhile; look again.
  bool remove_unused(const Unused& unused, std::chrono::steady_clock::time_point deadline);

 private:
  struct RecordRow {
    std::uint64_t number, call;
    std::int64_t started, ended, usd, reserved, overrun;
    std::uint32_t tags, budgets, model, provider, requested, admitted, tier, prices;
    std::uint8_t status, source;
    bool unbounded;
    Usage usage;
    struct Extra {
      std::optional<Usd> provider_cost, table_cost;
      std::string reason, traceparent;
    };
    std::unique_ptr<Extra> extra;
  };
  struct EventRow {
    std::uint64_t number;
    std::uint32_t tags, budgets, model, new_model, provider;
    BudgetEvent event;
  };
  struct Statements;

  void insert(const RecordRow& row);
  void insert(const EventRow& row);
  std::int64_t name_id(std::uint32_t number, Dictionary<std::string>& names);
  std::int64_t tags_id(std::uint32_t number);
  std::int64_t budgets_id(std::uint32_t number);
  void forget_ids() noexcept;

  Database database_;
  std::unique_ptr<Statements> statements_;
  std::vector<RecordRow> records_;
  std::vector<EventRow> events_;
  // One for each column: rows come in runs of the same name.
  Dictionary<std::string> models_, providers_, requested_, admitted_, tiers_, prices_;
  Dictionary<Tags> tags_;
  Dictionary<std::vector<std::string>> budgets_;
  std::uint64_t next_number_ = 1;
  std::int64_t writer_id_ = 0;
  std::int64_t generation_ = -1;  // of the file's dictionaries, when our ids were read
  const std::string instance_;
};

}  // namespace outlay::detail
