#include "core/base/decimal.hpp"

namespace outlay::detail {

std::string decimal_usd(Usd usd) {
  std::string text = to_string(usd);
  text.erase(text.find('$'), 1);
  return text;
}

std::string billionths(std::int64_t amount) {
  std::string text = decimal_usd(Usd::from_nanos(amount));
  text.erase(text.find_last_not_of('0') + 1);  // at least two decimals are shown of money, none of a number
  if (text.back() == '.') text.pop_back();
  return text;
}

}  // namespace outlay::detail
