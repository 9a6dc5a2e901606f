#pragma once

#include "outlay/call.hpp"

/// Exactly $0.01, no tokens.
inline constexpr outlay::CallRequest cent{.model = "priced by the call",
                                          .input_tokens = 0,
                                          .max_output_tokens = 0,
                                          .usd = outlay::Usd::from_nanos(10'000'000)};
