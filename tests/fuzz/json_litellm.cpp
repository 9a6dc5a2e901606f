// Price tables in LiteLLM's format, written by others: read, or refused by a ConfigError.
#include "fuzz_prices.hpp"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  outlay_fuzz::say_nothing();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  outlay_fuzz::check_prices(outlay::detail::read_litellm, outlay_fuzz::Choices(data, size).remainder());
  return 0;
}
