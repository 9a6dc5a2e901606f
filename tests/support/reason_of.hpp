#pragma once

#include <utility>

#include "outlay/error.hpp"

namespace outlay_test {

/// Why `call` failed; errc::ok if it did not.
template <class F>
outlay::errc reason_of(F&& call) {
  try {
    std::forward<F>(call)();
  } catch (const outlay::Error& error) {
    return error.reason();
  }
  return outlay::errc::ok;
}

}  // namespace outlay_test
