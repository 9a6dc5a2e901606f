#pragma once

// What each file of this folder is written with.
#include "../api.hpp"

namespace outlay::detail {

/// The one object of a Format. The file of an API instantiates it for its class, and the table refers to it by the class's name alone.
template <class F>
const Format& the_format() {
  static const F& format = *new F;
  return format;
}

}  // namespace outlay::detail
