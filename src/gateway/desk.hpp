#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/answer.hpp"
#include "gateway/counters.hpp"
#include "outlay/gateway.hpp"
#include "outlay/ledger.hpp"
#include "outlay/store.hpp"

namespace outlay::gateway::detail {

struct Server;

/// Where answers are made that ask a store or read many records: one after another on a thread of its own, so that no request waits for them.
class Desk {
 public:
  using Work = std::function<Answer()>;
  /// What `work` throws becomes an answer, too. Closed, it answers 503.
  boost::asio::awaitable<Answer> run(Work work);
  /// Waits for what has been asked; after it, no work refers to anything.
  void close() noexcept;

 private:
  std::mutex mutex_;
  bool closed_ = false;
  std::optional<boost::asio::thread_pool> thread_{};
};

/// Whether the stores of the rules answer, as far as calls need them (OnUnreachable::deny).
class Readiness {
 public:
  /// \return Empty if they do; else the description of the one that does not. Asked once a second at most.
  [[nodiscard]] std::string missing_store(const Ledger& ledger);

 private:
  std::mutex mutex_;
  std::optional<std::chrono::steady_clock::time_point> asked_{};
  std::string missing_{};
};

// status.cpp

[[nodiscard]] Answer json_answer(std::string body);
/// To a request below `/outlay/` that may be answered.
///
/// \par Errors
/// As list_caps() and change_cap().
[[nodiscard]] Answer status_answer(Server& server, const GatewayOptions& options, const Ledger& ledger,
                                   std::string_view path, std::string_view query, std::string_view body);

// metrics.cpp

/// In Prometheus' text format.
[[nodiscard]] std::string metrics_text(const Server& server, const Ledger& ledger);

// operate.cpp

/// Those of the rules; the ledger's own where a rule has none, or where there are no rules.
[[nodiscard]] std::vector<std::shared_ptr<Store>> stores_of(const Ledger& ledger);
/// Every counter that is known here, and every cap that an operator has set in the rules' stores.
///
/// \par Errors
/// StoreUnavailable.
[[nodiscard]] Answer list_caps(const Counters& counters, const Ledger& ledger);
/// What an operator does to a counter, with who does it and why.
///
/// \param verb `raise`, `lower`, `close`, `reopen` or `adjust`.
/// \par Errors
/// Error that says what is wrong with the body, with its place.
[[nodiscard]] Answer change_cap(const Counters& counters, const Ledger& ledger, std::string_view verb,
                                std::string_view body);

}  // namespace outlay::gateway::detail
