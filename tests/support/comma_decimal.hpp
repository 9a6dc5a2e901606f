#pragma once

#include <locale>
#include <string>

namespace outlay_test {

/// Writes numbers as Germans do: 1.234,5.
struct CommaDecimal : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

}  // namespace outlay_test
