#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/json.hpp"

namespace outlay_fuzz {

struct Counted final : outlay::StreamConsumer {
  std::size_t bytes = 0;
  void on_delta(const outlay::StreamDelta& delta) override { bytes += delta.text.size() + delta.tool_name.size(); }
};

struct Outcome {
  outlay::Usage usage;
  std::int64_t counted = 0;
  bool estimated = false;
  bool complete = false;
  bool refused = false;
  std::size_t bytes = 0;
  bool operator==(const Outcome&) const = default;
};

inline Outcome run(outlay::Api api, std::string_view stream, const std::vector<std::size_t>& pieces) {
  outlay::StreamMeter meter(api, {.max_event_bytes = 1 << 16});
  Counted counted;
  Outcome outcome;
  std::size_t next = 0;
  try {
    while (!stream.empty()) {
      const std::size_t size = pieces.empty() ? stream.size() : std::min(stream.size(), pieces[next++ % pieces.size()]);
      const std::string copy(stream.substr(0, size));  // of its own, so that ASan sees views kept too long
      meter.feed(copy, counted);
      stream.remove_prefix(size);
    }
  } catch (const outlay::Error&) {
    outcome.refused = true;
  }
  meter.finish(counted);
  outcome.usage = meter.usage();
  outcome.counted = meter.counted_output();
  outcome.estimated = meter.estimated();
  outcome.complete = meter.complete();
  outcome.bytes = counted.bytes;
  return outcome;
}

/// However a stream is cut, the same must be read from it; and what is believed must be believable.
inline void check(outlay::Api api, std::string_view stream, std::uint8_t seed) {
  const Outcome whole = run(api, stream, {});
  const Outcome bytes = run(api, stream, {1});
  const Outcome mixed = run(api, stream, {1 + seed % 7U, 3, 1 + seed % 61U});
  if (!(bytes == mixed)) std::abort();
  // The limit on an event is looked at after a piece of JSON: only a stream below it must agree with its whole.
  if (stream.size() < (1 << 16) && !(whole == bytes)) std::abort();
  if (whole.usage.first_invalid() != nullptr && whole.counted < outlay::Usage::max_count) std::abort();
}

}  // namespace outlay_fuzz
