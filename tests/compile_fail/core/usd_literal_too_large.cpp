// refused: throw_bad_money|not a constant expression
// The range ends at about 9.2 billion dollars.
#include <outlay/usd.hpp>

using namespace outlay::literals;

#ifdef MUST_FAIL
outlay::Usd amount = 9'300'000'000_usd;
#else
outlay::Usd amount = 9'200'000'000_usd;
#endif
