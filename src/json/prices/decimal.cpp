#include "decimal.hpp"

namespace outlay::detail {

namespace {

__extension__ using Wide = unsigned __int128;

}  // namespace

std::optional<std::int64_t> scaled(std::int64_t a, std::int64_t b, std::int64_t c) noexcept {
  const Wide product = static_cast<Wide>(static_cast<std::uint64_t>(a)) * static_cast<std::uint64_t>(b);
  const auto divisor = static_cast<std::uint64_t>(c);
  Wide quotient = product / divisor;
  const auto rest = static_cast<std::uint64_t>(product % divisor);
  const std::uint64_t other = divisor - rest;
  if (rest != 0 && (rest > other || (rest == other && (quotient & 1) != 0))) ++quotient;
  if (quotient > static_cast<Wide>(INT64_MAX)) return std::nullopt;
  return static_cast<std::int64_t>(quotient);
}

}  // namespace outlay::detail
