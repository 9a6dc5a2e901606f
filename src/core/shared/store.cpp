#include "outlay/store.hpp"

#include "core/ledger/books.hpp"
#include "core/shared/store_queue.hpp"
#include "outlay/detail/access.hpp"

namespace outlay {

namespace detail {

std::shared_ptr<OutsideCounter> open_outside_counter(const std::shared_ptr<Store>& store, const std::string& name,
                                                     const Window& window) {
  return Access::queue(*store).counter(name, window);
}

void reset_counters(Store& store) { Access::queue(store).reset(); }

}  // namespace detail

namespace {

void check(const StoreOptions& options) {
  using namespace std::chrono_literals;
  if (options.timeout < 1ms || options.timeout > 1min)
    throw ConfigError("StoreOptions::timeout must be between 1 ms and 1 min, and is " +
                      std::to_string(options.timeout.count()) + " ms.");
  if (options.lease < 1s || options.lease > 24h)
    throw ConfigError("StoreOptions::lease must be between 1 s and 1 day, and is " +
                      std::to_string(options.lease.count()) + " ms.");
  if (options.on_unreachable.kind() == OnUnreachable::Kind::local && options.on_unreachable.at_most() <= Usd{})
    throw ConfigError("OnUnreachable::local was given " + to_string(options.on_unreachable.at_most()) +
                      ". Use more than $0.00, or OnUnreachable::deny() to spend nothing.");
}

}  // namespace

Store::Store(std::unique_ptr<StoreBackend> backend, const StoreOptions& options) {
  if (!backend) throw ConfigError("Store was given no backend. Pass one, such as memory_backend().");
  check(options);
  queue_ = std::make_unique<detail::StoreQueue>(std::move(backend), options);
}

Store::~Store() {
  // The last owner may be destroyed on the store's own thread, with what a delivery held, and a thread cannot wait for itself.
  if (queue_->is_own_thread()) queue_.release()->end_on_own_thread();
}

StoreReply::State Store::ask(StoreCommand::Op op, std::string_view name, const Window& window, Usd amount) {
  if (name.empty() || window.kind() == Window::Kind::scope)
    throw ConfigError("a store's counter needs a name and a window other than Window::scope(). Pass both.");
  const auto counter = queue_->counter(std::string(name), window);
  const Time now = queue_->now(detail::Access::books(Ledger::current()).time());
  StoreCommand command = queue_->command(op, op == StoreCommand::Op::adjust ? queue_->new_id() : std::string(),
                                         {detail::slot_of(*counter, now)}, {amount.nanos()}, now);
  Result<StoreReply> reply = queue_->ask_and_wait(std::move(command), {counter});
  if (!reply) detail::throw_failure(std::move(reply).error());
  return reply->states.at(0);
}

StoreReply::State Store::state(std::string_view name, const Window& window) {
  return ask(StoreCommand::Op::snapshot, name, window, {});
}

StoreReply::State Store::adjust(std::string_view name, const Window& window, Usd amount, std::string_view reason) {
  const StoreReply::State state = ask(StoreCommand::Op::adjust, name, window, amount);
  detail::Books& books = detail::Access::books(Ledger::current());
  const detail::AttributionRef where = books.dictionary.intern(nullptr, {true, name, {}, {}});
  detail::EventDraft(books, Action::adjusted, where.get())
      .numbers(Dimension::usd, amount.nanos(), state.spent.usd.nanos())
      .reason(reason)
      .book();
  return state;
}

void Store::flush(std::chrono::milliseconds timeout) { queue_->flush(timeout); }
void Store::accept_lost_data() noexcept { queue_->accept_lost_data(); }
const StoreOptions& Store::options() const noexcept { return queue_->options; }
std::string Store::description() const { return queue_->description(); }

}  // namespace outlay
