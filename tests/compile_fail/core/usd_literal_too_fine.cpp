// refused: throw_bad_money|not a constant expression
// A tenth of a nano-dollar cannot be held exactly.
#include <outlay/usd.hpp>

using namespace outlay::literals;

#ifdef MUST_FAIL
outlay::Usd amount = 0.0000000001_usd;
#else
outlay::Usd amount = 0.000000001_usd;
#endif
