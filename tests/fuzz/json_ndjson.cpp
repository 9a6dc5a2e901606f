// Newline-delimited JSON, and a plain reply in place of a stream.
#include <array>

#include "fuzz_meter.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using outlay::Api;
  constexpr std::array apis{Api::ollama_chat, Api::ollama_generate,  Api::openai_chat,
                            Api::gemini,      Api::bedrock_converse, Api::anthropic_messages};
  if (size < 2) return 0;
  const std::string stream = "{}\n" + std::string(reinterpret_cast<const char*>(data) + 1, size - 1);
  outlay_fuzz::check(apis[data[0] % apis.size()], stream, data[size - 1]);
  return 0;
}
