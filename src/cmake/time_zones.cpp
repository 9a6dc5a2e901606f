// Asked at configure time: 0 where every zone of <chrono> has the C library's offset from UTC, 1 where one has not, or where <chrono> has
// no time zones that can be trusted.
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <string>

// The first libstdc++ whose zones are right.
#if defined(_GLIBCXX_RELEASE) && _GLIBCXX_RELEASE < 15
int main() { return 1; }
#else

namespace {

/// Every 19 hours of 17 years, which is at each hour of the day: some 7,800 instants a zone.
bool agrees(const std::chrono::time_zone& zone) {
  using namespace std::chrono;
  if (setenv("TZ", (":" + std::string(zone.name())).c_str(), 1) != 0) return false;
  tzset();
  const sys_seconds end = sys_days(2037y / January / 1);
  for (sys_seconds at = sys_days(2020y / January / 1); at < end; at += hours(19)) {
    const std::time_t seconds = at.time_since_epoch().count();
    std::tm local{};
    if (localtime_r(&seconds, &local) == nullptr || zone.get_info(at).offset.count() != local.tm_gmtoff) return false;
  }
  return true;
}

}  // namespace

int main() {
  try {
    for (const std::chrono::time_zone& zone : std::chrono::get_tzdb().zones)
      if (zone.name() != "Factory" && !agrees(zone)) return 1;
    return std::chrono::get_tzdb().zones.empty() ? 1 : 0;
  } catch (const std::exception&) {
    return 1;
  }
}
#endif
