// refused: deleted (function|operator)|overload resolution selected deleted operator
// A factor that is not whole would be cut to a whole one, in silence: 0.5 to nothing.
#include <outlay/usd.hpp>

using namespace outlay::literals;

outlay::Usd half() {
#ifdef MUST_FAIL
  return 1_usd * 0.5;
#else
  return 1_usd * 5;
#endif
}
