#include "core/context/misuse.hpp"

#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_set>

#include "core/base/at_fork.hpp"
#include "core/context/describe.hpp"
#include "core/pricing/price_book.hpp"
#include "outlay/ledger.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

constexpr std::size_t kinds = 7;
constexpr std::size_t max_places = 256;  // of each kind; a program may name its budgets after users

struct Reports {
  std::array<std::atomic<std::uint64_t>, kinds> counts{};
  std::mutex mutex;
  std::array<std::unordered_set<std::size_t>, kinds> places;  // hashes: of two that collide one is not reported
  const AtFork at_fork{AtFork::Order::misuse, [this] { mutex.lock(); }, [this](bool) { mutex.unlock(); }};
};

Reports& reports() {
  static auto* const instance = new Reports;  // scopes may be closed by static destructors
  return *instance;
}

std::atomic<bool> any_budget_opened{false};

std::string text(Misuse kind, std::string_view place) {
  std::string where(place);
  switch (kind) {
    case Misuse::closed_out_of_order:
      return where +
             " was closed while scopes inside it were open, and what they spend still counts in it. Close scopes in "
             "reverse order: make them local variables, the outer one first.";
    case Misuse::no_context_executor:
      return where +
             " was opened in a coroutine that runs on a plain executor. It stays on this thread when the coroutine "
             "suspends, and calls of other tasks there may count in it. Start the coroutine with "
             "outlay::co_spawn(executor, ...).";
    case Misuse::closed_elsewhere:
      return where +
             " was closed where it is not among the current scopes, so calls may have counted in the wrong place. "
             "Start coroutines that open scopes with outlay::co_spawn(strand_or_executor, ...), not with "
             "boost::asio::co_spawn on a strand made from this_coro::executor or on a plain executor.";
    case Misuse::ambiguous_home:
      return "A coroutine below " + where +
             " was resumed by an operation that does not hold its executor, while several coroutines share its home. "
             "Its own scopes are not found until its next suspension. Start each with outlay::branch or "
             "outlay::awaitable_operators, or let the operation keep boost::asio::prefer(executor, "
             "execution::outstanding_work.tracked).";
    case Misuse::call_outside_budgets:
      return "A call to " + where +
             " was made outside every budget, in a process that has opened one, so nothing caps it. Open a Budget "
             "around it, carry the context over (outlay::Context::bind, outlay::co_spawn), or let the ledger refuse "
             "such calls: LedgerOptions{.strict = true}.";
    case Misuse::scope_off_stack:
      return where +
             " was opened as something else than a local variable: a member of an object on the heap, a make_unique, a "
             "global. It encloses whatever this thread opens next, and nothing of other threads. For a budget that "
             "outlives a "
             "function make an outlay::BudgetHandle, and where it is used write: outlay::Attach in(handle). (A "
             "coroutine's "
             "locals are fine where outlay::co_spawn has started it.)";
    case Misuse::attached_apart:
      return where +
             ", so calls inside count in it and not in the other one. Make the BudgetHandle inside the budget that is "
             "to "
             "enclose it, or open that one inside the Attach.";
  }
  return where;
}

}  // namespace

void report_misuse(Misuse kind, std::string_view place) noexcept try {
  Reports& all = reports();
  const auto index = static_cast<std::size_t>(kind);
  all.counts[index].fetch_add(1, std::memory_order_relaxed);
  bool last = false;
  {
    const std::scoped_lock lock(all.mutex);
    auto& places = all.places[index];
    if (places.size() >= max_places || !places.insert(std::hash<std::string_view>{}(place)).second) return;
    last = places.size() == max_places;
  }
  log(LogLevel::warning, text(kind, place));
  if (last)
    log(LogLevel::warning,
        "Further places with the same mistake are counted by outlay::misuse_counts(), and not logged.");
} catch (...) {  // no memory for a log line; the misuse is counted
}

void note_budget_opened() noexcept {
  if (!any_budget_opened.load(std::memory_order_relaxed)) any_budget_opened.store(true, std::memory_order_relaxed);
}

void note_call_outside_budgets(const std::string& model) noexcept try {
  if (!any_budget_opened.load(std::memory_order_relaxed)) return;
  // The name of the first call stands for all: the misuse is reported once, and later calls are counted.
  static const std::string& place = *new std::string('"' + printable_name(model) + '"');
  report_misuse(Misuse::call_outside_budgets, place);
} catch (...) {
}

std::string describe(const Node* node) noexcept try {
  while (node && node->kind == NodeKind::home) node = node->parent;
  if (!node) return "no scope";
  const std::string path = node->attribution ? node->attribution->joined_path() : std::string();
  if (node->kind == NodeKind::budget) return "Budget \"" + path + '"';
  std::string what = node->kind == NodeKind::track    ? "A Track"
                     : node->kind == NodeKind::ledger ? "A LedgerScope"
                                                      : "An Attach";
  if (!path.empty()) what += " in budget \"" + path + '"';
  return what;
} catch (...) {
  return {};
}

}  // namespace outlay::detail

namespace outlay {

MisuseCounts misuse_counts() noexcept {
  const auto count = [](detail::Misuse kind) {
    return detail::reports().counts[static_cast<std::size_t>(kind)].load(std::memory_order_relaxed);
  };
  return {.closed_out_of_order = count(detail::Misuse::closed_out_of_order),
          .no_context_executor = count(detail::Misuse::no_context_executor),
          .closed_elsewhere = count(detail::Misuse::closed_elsewhere),
          .ambiguous_home = count(detail::Misuse::ambiguous_home),
          .calls_outside_budgets = count(detail::Misuse::call_outside_budgets),
          .scopes_off_stack = count(detail::Misuse::scope_off_stack),
          .attached_apart = count(detail::Misuse::attached_apart)};
}

}  // namespace outlay
