#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "outlay/price.hpp"
#include "outlay/record.hpp"

namespace outlay::cli {

/// What refused, downgraded, clamped and cut calls did not cost, as far as rows tell. None of the four is a bill, and each is another kind of
/// amount: they are not added up.
class Savings {
 public:
  struct Part {
    std::int64_t calls = 0;    ///< Of which an amount is known.
    std::int64_t unknown = 0;  ///< Of which none is.
    Usd usd{};
  };

  /// \param prices Of models that were asked for and did not run.
  explicit Savings(PriceTable prices) : prices_(std::move(prices)) {}

  /// \par Errors
  /// Error with errc::overflow, as add() of an event.
  void add(const Record& record);
  void add(const BudgetEvent& event);

  /// At the mean cost of the calls here that ran on the model that was asked for.
  [[nodiscard]] Part refused() const;
  /// The same tokens at the price of the model that was asked for, minus what was booked.
  [[nodiscard]] Part downgraded() const { return downgraded_; }
  /// What was taken off reservations, at least: by how much the call as it was asked for would have passed the cap.
  [[nodiscard]] Part clamped() const { return clamped_; }
  /// What was held for the call when it was cut, minus what was booked.
  [[nodiscard]] Part cut() const;

  /// A table and what its numbers mean, as HTML; empty where there was no such call.
  [[nodiscard]] std::string render() const;

 private:
  struct Model {
    Usd usd{};
    std::int64_t calls = 0, refused = 0;
  };
  /// A call's number is its process's own; the budgets tell most of those apart that are alike.
  using CallKey = std::pair<std::uint64_t, std::string>;

  Model* model(const std::string& name);
  void add_cut(std::optional<Usd> left);

  const PriceTable prices_;
  std::unordered_map<std::string, Model> models_;
  std::int64_t refused_elsewhere_ = 0;
  Part downgraded_, clamped_, cut_;
  std::map<CallKey, std::int64_t> being_cut_;  // their records are still to come
  std::int64_t cut_elsewhere_ = 0;
  // A record that ended at the instant of its cut may come before it.
  std::deque<std::pair<CallKey, std::optional<Usd>>> recent_;
};

}  // namespace outlay::cli
