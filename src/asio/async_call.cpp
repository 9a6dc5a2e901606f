#include "outlay/asio/async_call.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "core/call/admission.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/tokens.hpp"

namespace outlay::detail {

OwnedRequest::OwnedRequest(const CallRequest& request)
    : plain_(request),
      model_(request.model),
      service_tier_(request.service_tier),
      traceparent_(request.traceparent),
      tags_(request.tags) {
  if (!plain_.input_tokens && request.input_text.data() != nullptr)
    plain_.input_tokens = Access::books(Ledger::current()).count(request.input_text);
  plain_.input_text = {};
  plain_.tags = {};
}

CallRequest OwnedRequest::view() const {
  CallRequest request = plain_;
  request.model = model_;
  request.service_tier = service_tier_;
  request.traceparent = traceparent_;
  request.tags = tags_;
  return request;
}

namespace {

/// One asynchronous admission. Kept alive by its timer while it waits.
///
/// Events come from any thread. One thread at a time handles them, in their order and outside the mutex, so that callbacks, log handlers
/// and sinks may do as they please: what happens to this admission meanwhile waits in the queue.
class AsyncAdmission : public std::enable_shared_from_this<AsyncAdmission> {
 public:
  using Done = boost::asio::any_completion_handler<void(Admitted)>;

  AsyncAdmission(OwnedRequest request, Done done, const boost::asio::any_io_executor& executor)
      : scope_(capture()),
        request_(std::move(request)),
        view_(request_.view()),
        done_(std::move(done)),
        work_(boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked)) {}

  void start(boost::asio::cancellation_slot slot) {
    handling_ = true;  // no other thread has this operation yet
    arrival_.emplace(view_);
    switch (arrival_->enter()) {
      case Arrival::Step::admitted:
        return finish(Result<Call>(Access::call(arrival_->take())));
      case Arrival::Step::refused:
        return finish(Result<Call>(arrival_->failure()));
      case Arrival::Step::undecided:
        break;
    }
    if (slot.is_connected()) {
      slot.assign([operation = weak_from_this()](boost::asio::cancellation_type type) {
        if (type == boost::asio::cancellation_type::none) return;
        if (const auto self = operation.lock())
          boost::asio::post(self->work_, [self] { self->happened({What::cancelled}); });
      });
    }
    admission_.emplace(*arrival_, Admission::Caller{.may_wait = true, .may_block = false, .waiter = [this] {
                                                      return std::make_shared<Wake>(weak_from_this());
                                                    }});
    go_on(Admission::Event::start);
    handle_events();
  }

 private:
  enum class What : std::uint8_t { woken, timed_out, cancelled };
  struct Happened {
    What what{};
    std::uint64_t wait = 0;  // of timed_out: which one it is about
  };

  // The admission holds its waiter, and the operation holds the admission: hence a weak reference.
  struct Wake final : Waiter {
    explicit Wake(std::weak_ptr<AsyncAdmission> to_wake) noexcept : operation(std::move(to_wake)) {}
    void wake() noexcept override {
      if (const auto self = operation.lock()) {
        try {
          boost::asio::post(self->work_, [self] { self->happened({What::woken}); });
        } catch (...) {  // no memory: its deadline wakes it
        }
      }
    }
    std::weak_ptr<AsyncAdmission> operation;
  };

  void happened(Happened event) {
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(event);
      if (std::exchange(handling_, true)) return;
    }
    handle_events();
  }

  void handle_events() {
    for (;;) {
      Happened event;
      {
        const std::lock_guard lock(mutex_);
        if (events_.empty()) {
          handling_ = false;
          return;
        }
        event = events_.front();
        events_.pop_front();
      }
      if (!admission_) continue;  // it has ended
      if (event.what == What::cancelled)
        finish({});
      else if (event.what == What::woken)
        go_on(Admission::Event::woken);
      else if (event.wait == wait_)
        go_on(Admission::Event::timer);
    }
  }

  // By the thread that handles events.

  void go_on(Admission::Event event) {
    Admission::State state = admission_->advance(event);
    while (state == Admission::State::asking_program) {
      admission_->ask_program();
      state = admission_->advance(Admission::Event::answered);
    }
    if (state == Admission::State::admitted) return finish(Result<Call>(Access::call(arrival_->take())));
    if (state == Admission::State::refused) return finish(Result<Call>(admission_->failure()));
    if (!timer_) timer_.emplace(work_);
    timer_->expires_at(admission_->deadline());
    timer_->async_wait([self = shared_from_this(), wait = ++wait_](const boost::system::error_code& error) {
      if (!error) self->happened({What::timed_out, wait});
    });
  }

  void finish(Admitted admitted) {
    admission_.reset();  // leaves the line
    if (timer_) timer_->cancel();
    auto complete = [done = std::move(done_), result = std::move(admitted)]() mutable {
      std::move(done)(std::move(result));
    };
    // Never from within the initiating function.
    boost::asio::post(work_, std::move(complete));
  }

  const NodeRef scope_;  // the arrival looks at it
  const OwnedRequest request_;
  const CallRequest view_;
  Done done_;
  const boost::asio::any_io_executor work_;  // in the context of the start
  std::optional<boost::asio::steady_timer> timer_;
  std::uint64_t wait_ = 0;  // which wait the timer is for
  std::optional<Arrival> arrival_;
  std::optional<Admission> admission_;  // empty: it has ended, or not begun

  std::mutex mutex_;             // of the two below, held for no longer than they take
  std::deque<Happened> events_;  // not handled yet
  bool handling_ = false;        // some thread handles them
};

}  // namespace

void start_call(OwnedRequest request, boost::asio::any_completion_handler<void(Admitted)> done,
                const boost::asio::any_io_executor& executor, boost::asio::cancellation_slot slot) {
  std::make_shared<AsyncAdmission>(std::move(request), std::move(done), executor)->start(slot);
}

std::exception_ptr exception_of(const Admitted& admitted) noexcept try {
  if (!admitted) throw boost::system::system_error(boost::asio::error::operation_aborted, "outlay::async_call");
  if (!*admitted) throw_failure(admitted->error());
  return nullptr;
} catch (...) {
  return std::current_exception();
}

Result<Call> result_of(Admitted admitted) {
  if (admitted) return std::move(*admitted);
  return Failure(errc::cancelled,
                 "outlay::async_try_call was cancelled before the call was admitted; nothing is reserved.");
}

}  // namespace outlay::detail
