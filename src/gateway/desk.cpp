#include "gateway/desk.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

#include "outlay/error.hpp"

namespace outlay::gateway::detail {

namespace asio = boost::asio;

namespace {

Answer answer_of(const Desk::Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    return error_answer(std::nullopt, status_of(error.reason()), to_string(error.reason()), error.what());
  } catch (const std::exception& error) {
    return error_answer(std::nullopt, 500, "failed", error.what());
  }
}

asio::awaitable<Answer> work_here(Desk::Work work) { co_return answer_of(work); }

}  // namespace

asio::awaitable<Answer> Desk::run(Work work) {
  std::unique_lock lock(mutex_);
  if (closed_) co_return error_answer(std::nullopt, 503, "stopping", "The gateway is stopping.");
  if (!thread_) thread_.emplace(1);
  asio::awaitable<Answer> working =
      asio::co_spawn(thread_->get_executor(), work_here(std::move(work)), asio::use_awaitable);
  lock.unlock();
  co_return co_await std::move(working);
}

void Desk::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  if (thread_) thread_->join();
}

std::string Readiness::missing_store(const Ledger& ledger) {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (asked_ && now - *asked_ < std::chrono::seconds(1)) return missing_;
  const LedgerScope books(ledger);  // its sinks get the leases that are found to have run out
  asked_ = now;
  missing_.clear();
  for (const std::shared_ptr<Store>& store : stores_of(ledger)) {
    if (store->options().on_unreachable.kind() != OnUnreachable::Kind::deny) continue;
    try {
      static_cast<void>(store->state("outlay", Window::forever()));
    } catch (const StoreUnavailable&) {
      missing_ = store->description();
      break;
    }
  }
  return missing_;
}

}  // namespace outlay::gateway::detail
