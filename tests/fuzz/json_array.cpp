// One JSON array that is delivered in pieces, as Gemini does without alt=sse.
#include "fuzz_meter.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string stream = "[" + std::string(reinterpret_cast<const char*>(data), size);
  outlay_fuzz::check(outlay::Api::gemini, stream, data[size - 1]);
  return 0;
}
