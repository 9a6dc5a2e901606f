#pragma once

#include <outlay/outlay.hpp>

#include <cstdint>
#include <iostream>

/// A stream without an output ceiling, which would write 1,500 tokens, 300 at a time. It asks for room before it passes each piece on, as
/// every client of the library does by itself.
inline void read_stream() {
  outlay::Call stream({.model = "gpt-4o", .input_tokens = 100});
  stream.sent();
  std::int64_t shown = 0;
  while (shown < 1'500) {
    const outlay::ExtensionResult room = stream.extend_output(shown + 300);
    if (room.extension == outlay::Extension::cut) std::cout << "  cut: " << room.failure->message() << '\n';
    if (room.extension == outlay::Extension::cut_quietly) std::cout << "  cut quietly\n";
    if (room.extension != outlay::Extension::granted) break;
    shown += 300;
  }
  const outlay::Settled end = stream.settle({.usage = {.input = 100, .output = shown}, .estimated = shown < 1'500});
  std::cout << "  " << shown << " of 1500 tokens were shown, for " << end.usd << '\n';
}
