// Both forms of price files, built along their own members: names that belong together, numbers at the ends of what can be held, and here and
// there a value of another kind.
#include "fuzz_prices.hpp"

namespace {

using outlay_fuzz::Choices;

constexpr std::array<std::string_view, 18> numbers{
    "0",     "1",       "2.5",    "1e-6",  "0.0000025", "9.2e12", "9223372036854775807",
    "1e19",  "-1",      "1e-9",   "1e-40", "1E+2",      "0.1e-5", "1e400",
    "3e-07", "1000000", "128000", "00"};

std::string quoted(std::string_view text) {
  std::string all = "\"";
  for (const char c : text)
    if (c != '"' && c != '\\' && c >= 0x20 && c < 0x7F) all += c;
  return all + '"';
}

std::string number(Choices& input) {
  switch (input.below(8)) {
    case 0:
      return std::to_string(input.number());
    case 1:
      return std::to_string(input.number()) + 'e' + std::to_string(static_cast<int>(input.byte()) - 128);
    case 2:
      return quoted(input.one_of(numbers));
    default:
      return std::string(input.one_of(numbers));
  }
}

std::string odd(Choices& input) {
  constexpr std::array<std::string_view, 6> values{"null", "true", "[]", "{}", "\"\"", "[0,1]"};
  return std::string(input.one_of(values));
}

std::string name(Choices& input) {
  constexpr std::array<std::string_view, 12> names{
      "m",     "openai/m", "m-2026-01-01", "basalt-1", "azure/eu/basalt-1", "vertex_ai/m",
      "m@001", "us.m",     "m-v1:0",       "fallback", "sample_spec",       "m:batch"};
  return quoted(input.below(8) == 7 ? input.text(40) : std::string(input.one_of(names)));
}

/// Members until the input says that it is enough: `one` writes each.
template <class One>
std::string object(Choices& input, One one) {
  std::string text = "{";
  while (!input.empty() && input.below(16) != 15) {
    if (text.size() > 1) text += ',';
    text += one();
  }
  return text + '}';
}

std::string rates(Choices& input) {
  constexpr std::array<std::string_view, 11> keys{"input",          "output",       "cache_read",      "cache_write",
                                                  "cache_write_1h", "reasoning",    "input_audio",     "output_audio",
                                                  "input_image",    "output_image", "cache_read_audio"};
  return quoted(input.one_of(keys)) + ':' + number(input);
}

std::string own_tier(Choices& input) {
  const std::string both = R"("input":)" + number(input) + R"(,"output":)" + number(input) + ',';
  std::string text = object(input, [&] {
    switch (input.below(6)) {
      case 0:
        return R"("service_tier":)" + quoted(input.flag() ? "batch" : input.text(20));
      case 1:
        return R"("above_input_tokens":)" + number(input);
      case 2:
        return std::string(R"("inclusive":)") + (input.flag() ? "true" : odd(input));
      default:
        return rates(input);
    }
  });
  if (text == "{}") text = R"({"service_tier":"flex"})";
  return input.below(8) == 7 ? text : "{" + both + text.substr(1);
}

std::string own(Choices& input) {
  const auto model = [&] {
    return name(input) + R"(:{"input":)" + number(input) + R"(,"output":)" + number(input) + ',' +
           object(input, [&] {
             switch (input.below(8)) {
               case 0:
                 return R"("provider":)" + quoted(input.text(20));
               case 1:
                 return R"("web_search":)" + number(input);
               case 2:
                 return R"("request":)" + number(input);
               case 3:
                 return R"("max_output_tokens":)" + number(input);
               case 4:
                 return R"("tiers":[)" + own_tier(input) + (input.flag() ? "," + own_tier(input) : "") + ']';
               case 5:
                 return R"("max_input_tokens":)" + odd(input);
               default:
                 return rates(input);
             }
           }).substr(1);
  };
  std::string text = R"({"format":"outlay-prices-1","as_of":)" + quoted(input.flag() ? "2026-08-01" : input.text(12)) +
                     R"(,"models":)" + object(input, model);
  if (input.flag()) text += R"(,"deployments":)" + object(input, [&] { return name(input) + ':' + name(input); });
  // A member that is left off leaves its comma behind.
  std::size_t comma;
  while ((comma = text.find(",}")) != text.npos) text.erase(comma, 1);
  return text + '}';
}

std::string litellm(Choices& input) {
  constexpr std::array<std::string_view, 20> costs{"input_cost_per_token",
                                                   "output_cost_per_token",
                                                   "cache_read_input_token_cost",
                                                   "cache_creation_input_token_cost",
                                                   "output_cost_per_reasoning_token",
                                                   "input_cost_per_audio_token",
                                                   "output_cost_per_audio_token",
                                                   "input_cost_per_image_token",
                                                   "output_cost_per_image_token",
                                                   "cache_read_input_audio_token_cost",
                                                   "input_cost_per_token_cache_hit",
                                                   "input_cost_per_request",
                                                   "input_cost_per_query",
                                                   "input_dbu_cost_per_token",
                                                   "max_tokens",
                                                   "max_input_tokens",
                                                   "max_output_tokens",
                                                   "regional_processing_uplift_multiplier_eu",
                                                   "regional_processing_uplift_multiplier_us",
                                                   "output_cost_per_second"};
  constexpr std::array<std::string_view, 12> suffixes{"",
                                                      "",
                                                      "_batches",
                                                      "_flex",
                                                      "_priority",
                                                      "_fast",
                                                      "_above_1hr",
                                                      "_above_200k_tokens",
                                                      "_above_128k_tokens",
                                                      "_above_200k_tokens_priority",
                                                      "_above_k_tokens",
                                                      "_above_99999999999999999999k_tokens"};
  constexpr std::array<std::string_view, 8> providers{"openai", "anthropic", "bedrock", "vertex_ai",
                                                      "azure",  "gemini",    "xai",     "cohere"};
  const auto cost = [&] {
    return quoted(std::string(input.one_of(costs)) + std::string(input.one_of(suffixes))) + ':' + number(input);
  };
  return object(input, [&] {
    return name(input) + ':' + object(input, [&] {
             switch (input.below(10)) {
               case 0:
                 return R"("mode":)" + quoted(input.flag() ? "chat" : "embedding");
               case 1:
                 return R"("litellm_provider":)" + quoted(input.one_of(providers));
               case 2:
                 return R"("search_context_cost_per_query":{"search_context_size_medium":)" + number(input) + '}';
               case 3:
                 return R"("tiered_pricing":[{"range":[)" + number(input) + ',' + number(input) + "]," + cost() + "," +
                        cost() + "}]";
               case 4:
                 return R"("provider_specific_entry":{)" + quoted(input.flag() ? "us" : "fast") + ':' + number(input) +
                        '}';
               case 5:
                 return quoted(input.one_of(costs)) + ':' + odd(input);
               default:
                 return cost();
             }
           });
  });
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  outlay_fuzz::say_nothing();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Choices input(data, size);
  if (input.flag())
    outlay_fuzz::check_prices(outlay::detail::read_prices, own(input));
  else
    outlay_fuzz::check_prices(outlay::detail::read_litellm, litellm(input));
  return 0;
}
