#include "core/shared/shared_counter.hpp"

#include "core/shared/store_queue.hpp"

namespace outlay::detail {

namespace {

/// Slots that are remembered although no call of this process is in them: the present one, and the one before it, which a clock that is
/// put back a little makes the present one again.
constexpr std::size_t remembered = 2;

}  // namespace

Counter SharedCounter::read(Time callers, const Vector& caps) noexcept {
  const Time now = queue.now(callers);
  queue.look(*this, now);
  return queue.view(*this, now, caps);
}

std::optional<Time> SharedCounter::slot_end(Time callers) const { return window.at(queue.now(callers)).end; }

Vector SharedCounter::changed_caps(const Vector& opened) const { return queue.changed_caps(*this, opened); }

void SharedCounter::change_cap(Dimension dimension, std::int64_t opened, std::int64_t amount) {
  queue.change_cap(*this, dimension, opened, amount);
}

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
