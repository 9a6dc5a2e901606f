#include "core/ledger/audit.hpp"

#include <array>
#include <cstddef>
#include <string>

#include "core/ledger/records.hpp"

namespace outlay::detail {

Audit audit(const Records& records) {
  Audit result;
  const auto [pushed, kept, evicted, saturated] = records.recount();
  RowTotals sum = kept;
  sum.add(evicted);
  if (saturated || sum.usd == INT64_MAX || pushed.usd == INT64_MAX) {
    result.verdict = Audit::Verdict::cannot_tell;
    result.findings.emplace_back("a record holds an amount too large to be kept exactly, so sums are lower bounds");
    return result;
  }
  const auto compare = [&](const char* what, std::int64_t counter, std::int64_t recount) {
    if (counter == recount) return;
    result.verdict = Audit::Verdict::differs;
    result.findings.push_back(std::string(what) + ": the counter says " + std::to_string(counter) +
                              ", the records and the evicted ones add up to " + std::to_string(recount));
  };
  compare("calls", pushed.calls, sum.calls);
  compare("nano-dollars", pushed.usd, sum.usd);
  constexpr std::array<const char*, 6> buckets{"input",          "cache_read", "cache_write",
                                               "cache_write_1h", "output",     "reasoning"};
  for (std::size_t i = 0; i < buckets.size(); ++i) compare(buckets[i], pushed.tokens[i], sum.tokens[i]);
  constexpr std::array<const char*, 4> statuses{"settled", "estimated", "indeterminate", "rejected"};
  for (std::size_t i = 0; i < statuses.size(); ++i) compare(statuses[i], pushed.by_status[i], sum.by_status[i]);
  compare("unpriced calls", pushed.unpriced, sum.unpriced);
  return result;
}

}  // namespace outlay::detail
