// The budgets against a reference model: a plain tree, no cleverness. Both are driven with the same random trees, calls, endings and
// interleavings, and must agree at every step. A failing seed is printed, and replays with OUTLAY_TEST_SEED.
#include <array>
#include <cstdlib>
#include <random>
#include <string>

#include "support/dice.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;

namespace {

using EachDimension = std::array<std::int64_t, 6>;  // in the order of Dimension

/// What a budget is, said in the fewest words.
struct ModelBudget {
  int parent;
  std::array<std::optional<std::int64_t>, 6> cap;
  EachDimension spent{};
  EachDimension reserved{};
};

struct ModelBudgets {
  std::vector<ModelBudget> budgets;

  bool fits(int at, const EachDimension& request) const {
    for (; at >= 0; at = budgets[static_cast<std::size_t>(at)].parent) {
      const ModelBudget& budget = budgets[static_cast<std::size_t>(at)];
      for (std::size_t d = 0; d < 6; ++d)
        if (request[d] > 0 && budget.cap[d] && budget.spent[d] + budget.reserved[d] + request[d] > *budget.cap[d])
          return false;
    }
    return true;
  }
  template <class F>
  void each_up(int at, F&& f) {
    for (; at >= 0; at = budgets[static_cast<std::size_t>(at)].parent) f(budgets[static_cast<std::size_t>(at)]);
  }
  void reserve(int at, const EachDimension& request) {
    each_up(at, [&](ModelBudget& budget) {
      for (std::size_t d = 0; d < 6; ++d) budget.reserved[d] += request[d];
    });
  }
  void end(int at, const EachDimension& request, const EachDimension& actual) {
    each_up(at, [&](ModelBudget& budget) {
      for (std::size_t d = 0; d < 6; ++d) budget.reserved[d] -= request[d], budget.spent[d] += actual[d];
    });
  }
};

EachDimension to_array(const Amounts& amounts) {
  return {amounts.usd.nanos(),   amounts.tokens, amounts.input_tokens,
          amounts.output_tokens, amounts.calls,  amounts.concurrent};
}

struct RunningCall {
  int at;
  EachDimension request;
  std::int64_t input, output;
  bool sent;
  Call call;
};

class CallsRun {
 public:
  explicit CallsRun(std::uint64_t seed) : random_(seed), fixture_({.max_records = 100}) {}

  // Fails by returning a text.
  std::string go(int steps) {
    for (int step = 0; step < steps; ++step) {
      const int dice = pick(100);
      if (dice < 3 || budgets_.empty()) {
        open();
      } else if (dice < 6) {
        close();
      } else if (dice < 55) {
        if (!admit()) return "an admission differs at step " + std::to_string(step);
      } else {
        end();
      }
      if (const std::string wrong = compare(); !wrong.empty()) return wrong + " at step " + std::to_string(step);
    }
    while (!running_.empty()) end();
    if (const std::string wrong = compare(); !wrong.empty()) return wrong + " at the end";
    for (const auto& budget : budgets_)
      if (budget->reserved() != Amounts{}) return "something stays reserved";
    while (!budgets_.empty()) budgets_.pop_back();
    if (fixture_.ledger.audit().verdict != Audit::Verdict::agrees) return "the audit does not agree";
    return {};
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }

  void open() {
    if (budgets_.size() >= 12) return;
    // A new budget below the innermost, or, now and then, below nothing: a tree of its own.
    BudgetOptions options;
    ModelBudget twin{innermost(), {}};
    const auto cap = [&](std::size_t d, int most) {
      if (pick(3) != 0) return std::optional<std::int64_t>();
      twin.cap[d] = 1 + pick(most);
      return twin.cap[d];
    };
    if (const auto usd = cap(0, 3'000'000)) options.usd = Usd::from_nanos(*usd);
    options.tokens = cap(1, 3'000);
    options.input_tokens = cap(2, 1'500);
    options.output_tokens = cap(3, 1'500);
    options.calls = cap(4, 40);
    options.concurrent = cap(5, 5);
    if (!options.usd && !options.tokens && !options.input_tokens && !options.output_tokens && !options.calls &&
        !options.concurrent)
      options.tokens = twin.cap[1] = 2'000;
    budgets_.push_back(std::make_unique<Budget>(std::move(options)));
    twins_.push_back(static_cast<int>(model_.budgets.size()));
    model_.budgets.push_back(twin);
  }
  void close() {  // running calls go on counting in what is closed
    budgets_.pop_back();
    twins_.pop_back();
  }
  int innermost() const { return twins_.empty() ? -1 : twins_.back(); }

  bool admit() {
    const std::int64_t input = pick(200), output = pick(200);
    // The fixture's "unit" costs a micro-dollar a token.
    const EachDimension request{(input + output) * 1'000, input + output, input, output, 1, 1};
    const bool expected = model_.fits(innermost(), request);
    auto call = try_call({.model = "unit", .input_tokens = input, .max_output_tokens = output});
    if (call.has_value() != expected) return false;
    if (!expected) return true;
    model_.reserve(innermost(), request);
    running_.push_back({innermost(), request, input, output, false, std::move(*call)});
    if (pick(2) == 0) running_.back().call.sent(), running_.back().sent = true;
    return true;
  }

  void end() {
    if (running_.empty()) return;
    const std::size_t which = static_cast<std::size_t>(pick(static_cast<int>(running_.size())));
    RunningCall ended = std::move(running_[which]);
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(which));
    switch (pick(5)) {
      case 0: {  // as little or as much as was reserved
        const std::int64_t input = ended.input == 0 ? 0 : pick(static_cast<int>(ended.input) + 1);
        const std::int64_t output = ended.output == 0 ? 0 : pick(static_cast<int>(ended.output) + 1);
        ended.call.settle({.input = input, .output = output});
        model_.end(ended.at, ended.request, {(input + output) * 1'000, input + output, input, output, 1, 0});
        break;
      }
      case 1: {  // more than was reserved: booked in full
        const std::int64_t output = ended.output + pick(20);
        ended.call.settle({.input = ended.input, .output = output});
        overran_ |= output > ended.output;
        model_.end(ended.at, ended.request,
                   {(ended.input + output) * 1'000, ended.input + output, ended.input, output, 1, 0});
        break;
      }
      case 2:
        ended.call.release("gone");
        model_.end(ended.at, ended.request, {});
        break;
      case 3: {  // moved and dropped
        Call moved(std::move(ended.call));
        const EachDimension& r = ended.request;
        model_.end(ended.at, ended.request, ended.sent ? EachDimension{r[0], r[1], r[2], r[3], 1, 0} : EachDimension{});
        break;
      }
      default: {
        ended.call.settle({.input = ended.input, .output = ended.output});
        ended.call.settle({.input = 1'000'000});  // a second time: nothing
        const EachDimension& r = ended.request;
        model_.end(ended.at, ended.request, {r[0], r[1], r[2], r[3], 1, 0});
      }
    }
  }

  std::string compare() {
    for (std::size_t i = 0; i < budgets_.size(); ++i) {
      const BudgetState state = budgets_[i]->state();
      const ModelBudget& twin = model_.budgets[static_cast<std::size_t>(twins_[i])];
      if (to_array(state.spent) != twin.spent) return "spent differs";
      if (to_array(state.reserved) != twin.reserved) return "reserved differs";
      if (!overran_)
        for (std::size_t d = 0; d < 6; ++d)
          if (twin.cap[d] && to_array(state.spent)[d] + to_array(state.reserved)[d] > *twin.cap[d])
            return "a cap is passed";
    }
    return {};
  }

  std::mt19937_64 random_;
  Fixture fixture_;
  ModelBudgets model_;
  std::vector<std::unique_ptr<Budget>> budgets_;
  std::vector<int> twins_;
  std::vector<RunningCall> running_;
  bool overran_ = false;
};

}  // namespace

TEST_CASE("property: random steps agree with the reference model", "[core][property]") {
  set_log_handler([](LogLevel, std::string_view) {});
  // 2,000 steps each: OUTLAY_TEST_RUNS=500 makes a million.
  outlay_test::for_each_seed(100, [](std::uint64_t seed) { return CallsRun(seed).go(2'000); });
  set_log_handler({});
}
