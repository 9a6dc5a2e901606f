#include "outlay/asio/context_executor.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

namespace outlay::detail {

namespace {

thread_local Rewrap* pending = nullptr;

#if defined(__GNUC__)
[[gnu::noinline]]
#endif
Rewrap*& pending_slot() noexcept {
#if defined(__GNUC__)
  asm volatile("" ::: "memory");  // see ambient.cpp: the address must not live across a suspension
#endif
  return pending;
}

/// Asks; without an answer the executor is not one of ours.
boost::asio::any_io_executor ask(const boost::asio::any_io_executor& executor, NodeRef home, bool strand) {
  struct Asking {
    explicit Asking(Rewrap& question) noexcept : previous(std::exchange(pending_slot(), &question)) {}
    Asking(const Asking&) = delete;
    Asking& operator=(const Asking&) = delete;
    ~Asking() { pending_slot() = previous; }
    Rewrap* previous;
  };
  Rewrap question{.home = std::move(home), .strand = strand, .answer = {}};
  {
    const Asking asking(question);
    static_cast<void>(
        boost::asio::query(executor, boost::asio::execution::context_as<boost::asio::execution_context&>));
  }
  return std::move(question.answer);
}

}  // namespace

Rewrap* take_pending_rewrap() noexcept { return std::exchange(pending_slot(), nullptr); }

boost::asio::any_io_executor with_home(const boost::asio::any_io_executor& executor, NodeRef home) {
  if (boost::asio::any_io_executor ours = ask(executor, home, false)) return ours;
  // The usual ones are unwrapped: they fit any_io_executor's own storage then, and are called through one indirection less.
  if (const auto* io = executor.target<boost::asio::io_context::executor_type>())
    return ContextExecutor(*io, std::move(home));
  if (const auto* pool = executor.target<boost::asio::thread_pool::executor_type>())
    return ContextExecutor(*pool, std::move(home));
  using Held = Compact<boost::asio::any_io_executor>;
  return ContextExecutor<Held>(Held(executor), std::move(home));
}

boost::asio::any_io_executor strand_of(const boost::asio::any_io_executor& executor) {
  if (boost::asio::any_io_executor ours = ask(executor, {}, true)) return ours;
  using Strand = boost::asio::strand<boost::asio::any_io_executor>;
  return ContextExecutor<Compact<Strand>>(Compact<Strand>(Strand(executor)), current_home());
}

}  // namespace outlay::detail
