#pragma once

#include <cstdint>

#include "outlay/price.hpp"

namespace outlay_test {

constexpr outlay::Rate rate(std::int64_t picos) { return outlay::Rate::from_picos(picos); }

}  // namespace outlay_test
