#include "core/budget/zone_clock.hpp"

#include <algorithm>
#include <chrono>
#include <memory>

#include "core/budget/zone_links.hpp"
#include "core/pricing/price_book.hpp"
#include "outlay/clock.hpp"
#include "outlay/error.hpp"

// Time zones come from the library that <chrono>'s were taken from, with the same names, or from <chrono>: src/cmake/OutlayTimeZones.cmake
// says which.
#if defined(OUTLAY_USE_DATE)
#include <date/tz.h>
namespace tz = date;
#else
namespace tz = std::chrono;
#endif

namespace outlay::detail {

namespace {

const tz::time_zone& zone_of(std::string_view name) {
  const std::string_view target = zone_target(name);
  // A system may be older than the present name. Some have a `localtime` among the zones, which is another one on each machine, and a counter
  // of that name would be of different windows.
  for (const std::string_view known : {target, name}) {
    try {
      if (known != "localtime") return *tz::locate_zone(std::string(known));
    } catch (const std::exception&) {
      continue;
    }
  }
  throw ConfigError("a window names the time zone \"" + printable_name(name) +
                    "\", which this system does not know. Use an IANA name such as \"Europe/Berlin\", and install "
                    "the package tzdata if it is missing.");
}

}  // namespace

constinit std::atomic<const ZoneClock*> ZoneClock::first = nullptr;

ZoneClock::ZoneClock(std::string_view name) : name_(zone_target(name)) {
  using std::chrono::seconds;
  const tz::time_zone& zone = zone_of(name);
  const auto last = std::chrono::floor<seconds>(Time::max());
  for (auto at = std::chrono::floor<seconds>(Time::min()); at <= last;) {
    const auto info = zone.get_info(at);
    if (spans_.empty() || spans_.back().ahead != info.offset.count())
      spans_.push_back({at.time_since_epoch().count(), info.offset.count()});
    at = info.end;
  }
}

const ZoneClock* ZoneClock::find(std::string_view name) {
  const std::string_view target = zone_target(name);
  if (target == "UTC") return nullptr;
  for (const ZoneClock* known = first.load(std::memory_order_acquire); known; known = known->next_)
    if (known->name_ == target) return known;
  auto made = std::unique_ptr<ZoneClock>(new ZoneClock(name));
  made->next_ = first.load(std::memory_order_relaxed);
  while (!first.compare_exchange_weak(made->next_, made.get(), std::memory_order_release, std::memory_order_relaxed)) {
  }
  return made.release();
}

ZoneClock::Seconds ZoneClock::to_local(Seconds utc) const noexcept {
  const auto later =
      std::partition_point(spans_.begin() + 1, spans_.end(), [&](const Span& span) { return span.begin <= utc; });
  return utc + (later - 1)->ahead;
}

ZoneClock::Seconds ZoneClock::to_utc(Seconds local) const noexcept {
  // No clock is more than a day ahead or behind, so what begins two days before cannot come into question later.
  constexpr Seconds most = 2 * 86'400;
  auto span = std::partition_point(spans_.begin() + 1, spans_.end(),
                                   [&](const Span& one) { return one.begin <= local - most; }) -
              1;
  while (span + 1 != spans_.end() && local - span->ahead >= (span + 1)->begin) ++span;
  // Where its clocks begin with a later time, it was skipped.
  return span == spans_.begin() ? local - span->ahead : std::max(local - span->ahead, span->begin);
}

}  // namespace outlay::detail
