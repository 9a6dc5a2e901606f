// Server-sent events, of whichever API the first byte says.
#include <array>

#include "fuzz_meter.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using outlay::Api;
  constexpr std::array apis{Api::openai_chat,   Api::anthropic_messages, Api::openai_responses,  Api::gemini,
                            Api::cohere_chat,   Api::openrouter_chat,    Api::openai_compatible, Api::mistral_chat,
                            Api::deepseek_chat, Api::xai_chat,           Api::azure_chat,        Api::ollama_chat};
  if (size < 2) return 0;
  const std::string stream = ":\n" + std::string(reinterpret_cast<const char*>(data) + 1, size - 1);
  outlay_fuzz::check(apis[data[0] % apis.size()], stream, data[size - 1]);
  return 0;
}
