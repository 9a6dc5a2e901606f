#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <memory>

#include "outlay/asio/awaitable_operators.hpp"
#include "outlay/asio/context_executor.hpp"
#include "outlay/detail/home.hpp"
#include "outlay/error.hpp"

namespace outlay::detail {

namespace {

/// A group of children, used on its strand alone but for the construction.
class Group : public std::enable_shared_from_this<Group> {
 public:
  using Handler = boost::asio::any_completion_handler<void(GroupOutcome)>;

  Group(boost::asio::any_io_executor strand, Until until, std::size_t size)
      : strand_(std::move(strand)),
        until_(until),
        size_(size),
        running_(size),
        signals_(std::make_unique<boost::asio::cancellation_signal[]>(size)) {
    outcome_.errors.resize(size);
    outcome_.order.reserve(size);
  }

  [[nodiscard]] const boost::asio::any_io_executor& strand() const noexcept { return strand_; }

  /// \param work The handler's executor; keeps it busy until then.
  void start(std::vector<boost::asio::awaitable<void>> children, Handler done, boost::asio::any_io_executor work,
             boost::asio::cancellation_slot slot) {
    done_.swap(done);  // the move assignment of Boost 1.81 calls itself without end
    work_ = std::move(work);
    if (slot.is_connected()) {
      slot.assign([group = weak_from_this()](boost::asio::cancellation_type type) {
        // From wherever the caller was cancelled to where its children are.
        if (const std::shared_ptr<Group> self = group.lock())
          boost::asio::dispatch(self->strand_, [self, type] { self->cancel(type); });
      });
    }
    for (std::size_t i = 0; i < size_; ++i) {
      try {
        boost::asio::co_spawn(with_home(strand_, make_home(capture())), std::move(children[i]),
                              boost::asio::bind_cancellation_slot(
                                  signals_[i].slot(),
                                  [self = shared_from_this(), i](std::exception_ptr error) { self->ended(i, error); }));
      } catch (...) {
        ended(i, std::current_exception());
      }
    }
    launching_ = false;
    if (decided_) cancel(boost::asio::cancellation_type::all);
  }

 private:
  void ended(std::size_t child, std::exception_ptr error) {
    const bool failed = error != nullptr;
    outcome_.errors[child] = std::move(error);
    outcome_.order.push_back(child);
    --running_;
    if (!decided_ && failed == (until_ == Until::all_done)) {
      decided_ = true;
      if (!launching_) cancel(boost::asio::cancellation_type::all);
    }
    if (running_ != 0) return;

    auto complete = [done = std::move(done_), outcome = std::move(outcome_)]() mutable {
      std::move(done)(std::move(outcome));
    };
    const boost::asio::any_io_executor work = std::exchange(work_, {});
    if (launching_) {
      boost::asio::post(work, std::move(complete));  // never from within the initiation
    } else {
      boost::asio::dispatch(work, std::move(complete));
    }
  }

  void cancel(boost::asio::cancellation_type type) {
    for (std::size_t i = 0; i < size_ && running_ != 0; ++i) signals_[i].emit(type);
  }

  const boost::asio::any_io_executor strand_;
  const Until until_;
  const std::size_t size_;
  std::size_t running_;
  bool launching_ = true;
  bool decided_ = false;
  std::unique_ptr<boost::asio::cancellation_signal[]> signals_;
  GroupOutcome outcome_;
  Handler done_;
  boost::asio::any_io_executor work_;
};

bool is_abort(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const boost::system::system_error& e) {
    return e.code() == boost::asio::error::operation_aborted;
  } catch (const boost::asio::multiple_exceptions& e) {
    return e.first_exception() && is_abort(e.first_exception());
  } catch (...) {
    return false;
  }
}

bool is_refusal(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const BudgetExceeded&) {
    return true;
  } catch (...) {
    return false;
  }
}

/// The first failure, if the others only failed because they were cancelled, or if all of them were refused by budgets.
[[noreturn]] void throw_failures(const GroupOutcome& outcome) {
  std::exception_ptr first;
  for (const std::size_t child : outcome.order) {
    const std::exception_ptr& error = outcome.errors[child];
    if (!error) continue;
    if (!first) {
      first = error;
    } else if (!is_abort(error) && !(is_refusal(first) && is_refusal(error))) {
      throw boost::asio::multiple_exceptions(first);
    }
  }
  std::rethrow_exception(first);
}

}  // namespace

std::size_t GroupOutcome::winner() const {
  for (const std::size_t child : order)
    if (!errors[child]) return child;
  if (order.empty())
    throw Error(errc::invalid_argument,
                "outlay::wait_any: no child was given, so none can succeed. Pass at least one.");
  throw_failures(*this);
}

void GroupOutcome::check() const {
  for (const std::exception_ptr& error : errors)
    if (error) throw_failures(*this);
}

boost::asio::awaitable<GroupOutcome> run_group(std::vector<boost::asio::awaitable<void>> children, Until until) {
  if (children.empty()) co_return GroupOutcome{};
  const boost::asio::any_io_executor own = co_await boost::asio::this_coro::executor;
  auto group = std::make_shared<Group>(strand_of(own), until, children.size());

  // First onto the strand: the children start inline then, so that none can be cancelled between its spawn and its first run (before
  // Boost 1.86 that ends the process).
  co_await boost::asio::dispatch(boost::asio::bind_executor(group->strand(), boost::asio::deferred));

  auto initiate = [&](auto handler) {
    // From here on the children own the group, the group this frame's handler: were it to stay in the frame, it would own itself.
    const std::shared_ptr<Group> started = std::move(group);
    const boost::asio::any_io_executor executor = boost::asio::get_associated_executor(handler, own);
    const boost::asio::cancellation_slot slot = boost::asio::get_associated_cancellation_slot(handler);
    started->start(std::move(children), std::move(handler),
                   boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked), slot);
  };
  co_return co_await boost::asio::async_initiate<const boost::asio::deferred_t, void(GroupOutcome)>(
      initiate, boost::asio::deferred);
}

}  // namespace outlay::detail

namespace outlay {

boost::asio::awaitable<void> wait_all(std::vector<boost::asio::awaitable<void>> children) {
  const detail::GroupOutcome outcome = co_await detail::run_group(std::move(children), detail::Until::all_done);
  outcome.check();
}

boost::asio::awaitable<std::size_t> wait_any(std::vector<boost::asio::awaitable<void>> children) {
  const detail::GroupOutcome outcome = co_await detail::run_group(std::move(children), detail::Until::one_succeeds);
  co_return outcome.winner();
}

}  // namespace outlay
