#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/groups.hpp"
#include "cli/savings.hpp"
#include "outlay/ledger.hpp"
#include "outlay/price.hpp"
#include "outlay/sqlite/report.hpp"

namespace outlay::cli {

/// What has to be known of the rows before a page of them can be laid out: which tags there are, and over which time.
class Overview {
 public:
  void add(const Record& record);
  /// `model`, `provider`, `budget`, and the tags with at most `most_values` values.
  [[nodiscard]] std::vector<std::string> keys() const;
  /// Tags with more values: of requests or sessions, most likely.
  [[nodiscard]] std::vector<std::string> left_out() const;
  /// A tag of more values than a page can show.
  [[nodiscard]] bool has_too_many(const std::string& key) const;
  /// The unit that gives the time about 10 to 100 bars.
  [[nodiscard]] Calendar::Unit unit() const noexcept;
  [[nodiscard]] Time first() const noexcept { return first_; }
  [[nodiscard]] Time last() const noexcept { return last_; }

 private:
  static constexpr std::size_t most_values = 1'000, most_keys = 12;
  std::map<std::string, std::unordered_set<std::string>, std::less<>> tags_;
  Time first_ = Time::max(), last_ = Time::min();
};

/// What a page says beside its sums.
struct PageFacts {
  std::string source{};  ///< As short_name().
  std::string zone{};
  Time made{};
  bool complete = true;
  std::vector<std::string> left_out{};
};

/// Where the money went, as one HTML file that needs nothing else: no request, no inline handler, a strict Content-Security-Policy. Every sum is
/// in it to the nano-dollar, in the attribute `data-n` of its cell.
class Page {
 public:
  /// \param together A table by all of the keys, beside the section of each.
  /// \param calendar Outlives this.
  /// \param prices Of models that were asked for and did not run.
  Page(const std::vector<std::string>& keys, bool together, const Overview& overview, Calendar& calendar,
       const PriceTable& prices);
  void add(const Record& record);
  void add(const BudgetEvent& event);
  /// As Report::missing_keys().
  [[nodiscard]] std::vector<std::string> missing_keys() const;
  [[nodiscard]] std::string render(const PageFacts& facts) const;

 private:
  struct Section {
    std::string key;
    Groups sums, over_time;
  };
  /// A budget's cap in one dimension, as far as events tell.
  struct Cap {
    std::int64_t cap = 0;
    std::optional<std::int64_t> spent{};  ///< The most that a threshold or an overrun has said; empty: none has.
    std::vector<double> thresholds{};
    std::int64_t refused = 0;
    Time time{};  ///< Of the last event.
  };
  struct Deed {
    std::int64_t count = 0;
    Time last{};
  };

  [[nodiscard]] std::string head() const;
  [[nodiscard]] std::string summary(const PageFacts& facts, const ReportRow& total) const;
  [[nodiscard]] std::string section(const Section& section, bool complete) const;
  [[nodiscard]] std::string together(bool complete) const;
  [[nodiscard]] std::string together_name() const;
  [[nodiscard]] std::string dearest() const;
  [[nodiscard]] std::string caps() const;
  [[nodiscard]] std::string deeds() const;

  Calendar::Unit unit_;
  std::string unit_name_;
  std::vector<std::string> times_;  // the labels of the axis
  Groups total_;
  std::vector<Section> sections_;
  std::optional<Groups> together_;
  std::vector<Record> dearest_;  // a heap, the cheapest first
  std::map<std::pair<std::string, Dimension>, Cap> caps_;
  std::map<Action, Deed> deeds_;
  Savings savings_;
};

// report.cpp

/// The page of a sink's file, or of a gateway.
///
/// \param remarks What is to be said of it: as of a table.
/// \par Errors
/// As open_source() and Source::read().
[[nodiscard]] std::string page_of(const SourceArguments& source, const std::vector<std::string>& by,
                                  const ReportFilter& filter, const std::string& zone, Calendar& calendar,
                                  const PriceTable& prices, std::vector<std::string>& remarks);
/// Of what a ledger has in memory, in UTC.
[[nodiscard]] std::string page_of(const Ledger& ledger, Calendar& calendar);

// The parts of a page that need no data (page_assets.cpp).
extern const std::string_view page_style;
extern const std::string_view page_script;
/// What an event says, for readers who do not know the words of the library.
[[nodiscard]] const char* meaning(Action action) noexcept;

/// Text of HTML, in an element or between double quotes; control characters, and marks that turn the direction of what follows, become U+FFFD.
[[nodiscard]] std::string html(std::string_view text);
/// As a person reads it, so that amounts below each other line up: to the cent from a dollar on, with four decimals from a cent on, else all of
/// it.
[[nodiscard]] std::string money(Usd usd);

/// Bars over time, each a stack of at most eight values and the rest (chart.cpp).
struct Chart {
  struct Series {
    std::string name;
    Usd total{};
  };
  std::string title;
  std::vector<std::string> times;
  std::vector<Series> series;             ///< The dearest first.
  std::vector<std::vector<Usd>> amounts;  ///< Of each time, of each series.
  [[nodiscard]] std::string render() const;
};

}  // namespace outlay::cli
