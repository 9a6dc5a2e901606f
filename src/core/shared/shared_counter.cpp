#include "core/shared/shared_counter.hpp"

#include "core/shared/store_queue.hpp"

namespace outlay::detail {

Counter SharedCounter::read(Time callers, const Vector& caps) noexcept {
  const Time now = queue.now(callers);
  queue.look(*this, now);
  return queue.view(*this, now, caps);
}

std::optional<Time> SharedCounter::slot_end(Time callers) const { return window.at(queue.now(callers)).end; }

void SharedCounter::turn_to(const Window::Span& span) noexcept {
  if (span.begin == span_.begin && turned_) return;
  turned_ = true;
  span_ = span;
  if (rolls()) return;  // most of what counted goes on counting
  reported_ = false;
  spent_ = held_ = spent_on_its_way_ = held_on_its_way_ = {};
}

}  // namespace outlay::detail
