#include "core/shared/shared_counter.hpp"

#include "core/pricing/price_book.hpp"
#include "core/shared/store_queue.hpp"

namespace outlay::detail {

namespace {

/// Slots that are remembered although no call of this process is in them: the present one, and the one before it, which a clock that is
/// put back a little makes the present one again.
constexpr std::size_t remembered = 2;
/// How often a change of a cap is tried while others change it.
constexpr int most_rounds = 16;
constexpr std::size_t most_reason = 1'024;  // bytes, as of CapChange::reason

}  // namespace

Counter SharedCounter::read(Time callers, const Vector& caps) noexcept {
  const Time now = queue.now(callers);
  queue.look(*this, now);
  return queue.view(*this, now, caps);
}

StoreCap SharedCounter::kept_cap(Time now) const {
  Result<StoreReply> listed = queue.ask_and_wait(queue.command(StoreCommand::Op::list_caps, {}, {}, {}, now), {});
  if (!listed) throw_failure(std::move(listed).error());
  for (StoreCap& cap : listed->caps)
    if (cap.name == name && cap.window == window.id()) return std::move(cap);
  return {};
}

std::int64_t SharedCounter::replace_cap(Time callers, Dimension dimension, std::int64_t own,
                                        const std::function<std::int64_t(std::int64_t)>& changed, std::string_view by,
                                        std::string_view reason) {
  const std::size_t d = index(dimension);
  for (int round = 0; round < most_rounds; ++round) {
    const Time now = queue.now(callers);
    const StoreCap kept = kept_cap(now);
    Vector caps = to_vector(kept.limits);
    caps[d] = changed(caps[d] == no_cap ? own : caps[d]);
    StoreCommand command = queue.command(StoreCommand::Op::set_cap, {}, {slot_of(*this, now)}, {}, now);
    command.cap = {.limits = to_limits(caps, caps),
                   .by = std::string(by),
                   .reason = std::string(reason.substr(0, most_reason)),
                   .until = kept.until};
    command.replaces = kept.limits;
    const Limits wanted = command.cap.limits;
    Result<StoreReply> reply = queue.ask_and_wait(std::move(command), {shared_from_this()});
    if (!reply) throw_failure(std::move(reply).error());
    // Refused although it is kept: it was done, and the first answer was lost.
    if (reply->outcome != StoreReply::Outcome::refused || reply->states.at(0).caps == wanted) return caps[d];
  }
  throw StoreUnavailable("the cap of \"" + printable_name(name) + "\" in " + queue.description() +
                         " was changed by others " + std::to_string(most_rounds) +
                         " times meanwhile, and is as they have set it. Try again.");
}

std::optional<Time> SharedCounter::slot_end(Time callers) const { return window.at(queue.now(callers)).end; }

std::shared_ptr<KnownSlot> SharedCounter::slot(const Window::Span& span) {
  if (rolls() && !slots_.empty()) {
    // Most of what counted goes on counting. Where a clock was put back, what was known is not forgotten: a view is never too low.
    KnownSlot& known = *slots_.begin()->second;
    if (known.span.begin < span.begin) known.span = span;
    return slots_.begin()->second;
  }
  std::shared_ptr<KnownSlot>& known = slots_[span.begin];
  if (known) return known;
  known = std::make_shared<KnownSlot>();
  known->span = span;
  const std::shared_ptr<KnownSlot> made = known;
  for (auto at = slots_.begin(); at != slots_.end() && slots_.size() > remembered;)
    at = at->second != made && at->second.use_count() == 1 ? slots_.erase(at) : std::next(at);
  return made;
}

}  // namespace outlay::detail
