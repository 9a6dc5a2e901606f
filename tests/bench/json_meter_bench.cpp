// Metering an OpenAI stream against the floor: a reused Boost.JSON parser that parses the same data lines.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/json.hpp"

namespace {

namespace json = boost::json;

constexpr int chunks = 1'000;

// As OpenAI sends it: ids, a fingerprint and padding around a few letters of text.
std::string make_stream() {
  static constexpr std::array<const char*, 8> words{" The", " budget", " holds",  ",",
                                                    " and", " the",    " stream", " ends."};
  std::string stream;
  for (int i = 0; i < chunks; ++i) {
    stream +=
        R"(data: {"id":"chatcmpl-BxQm3k0Zq7yT1r9Vd2LwP8sF","object":"chat.completion.chunk","created":1795300000,)"
        R"("model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_50cad350e4",)"
        R"("choices":[{"index":0,"delta":{"content":")";
    stream += words[static_cast<std::size_t>(i) % words.size()];
    stream += R"("},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"a8Kx2mQ0p"})"
              "\n\n";
  }
  stream +=
      R"(data: {"id":"chatcmpl-BxQm3k0Zq7yT1r9Vd2LwP8sF","object":"chat.completion.chunk","created":1795300000,)"
      R"("model":"gpt-4o-2024-08-06","choices":[],"usage":{"prompt_tokens":900,"completion_tokens":1000,"total_tokens":1900,)"
      R"("prompt_tokens_details":{"cached_tokens":512},"completion_tokens_details":{"reasoning_tokens":0}}})"
      "\n\ndata: [DONE]\n\n";
  return stream;
}

const std::string& stream() {
  static const std::string bytes = make_stream();
  return bytes;
}

std::vector<std::string_view> data_lines() {
  std::vector<std::string_view> lines;
  for (std::string_view rest = stream(); !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.starts_with("data: {")) lines.push_back(line.substr(6));
  }
  return lines;
}

std::int64_t parse_lines(json::parser& parser, const std::vector<std::string_view>& lines) {
  std::int64_t keys = 0;
  for (const std::string_view line : lines) {
    parser.reset();
    parser.write(line.data(), line.size());
    const json::value value = parser.release();
    keys += static_cast<std::int64_t>(value.get_object().size());
  }
  return keys;
}

std::int64_t meter_pieces(std::size_t piece) {
  outlay::StreamMeter meter(outlay::Api::openai_chat);
  for (std::string_view rest = stream(); !rest.empty(); rest.remove_prefix(std::min(piece, rest.size())))
    meter.feed(rest.substr(0, piece));
  meter.finish();
  return meter.usage().output + meter.counted_output();
}

void floor_parse(benchmark::State& state) {
  const std::vector<std::string_view> lines = data_lines();
  json::parser parser;
  for (auto _ : state) benchmark::DoNotOptimize(parse_lines(parser, lines));
  state.SetItemsProcessed(state.iterations() * chunks);
}
BENCHMARK(floor_parse);

void meter(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(meter_pieces(static_cast<std::size_t>(state.range(0))));
  state.SetItemsProcessed(state.iterations() * chunks);
}
BENCHMARK(meter)->Arg(290)->Arg(1'400)->Arg(16'384);

// The two side by side, so that a busy machine slows both: the median of the rounds' ratios.
void meter_to_floor(benchmark::State& state) {
  using clock = std::chrono::steady_clock;
  const std::vector<std::string_view> lines = data_lines();
  json::parser parser;
  std::vector<double> ratios;
  for (auto _ : state) {
    const auto start = clock::now();
    benchmark::DoNotOptimize(parse_lines(parser, lines));
    const auto middle = clock::now();
    benchmark::DoNotOptimize(meter_pieces(static_cast<std::size_t>(state.range(0))));
    const auto end = clock::now();
    ratios.push_back(std::chrono::duration<double>(end - middle) / std::chrono::duration<double>(middle - start));
  }
  std::nth_element(ratios.begin(), ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2), ratios.end());
  state.counters["ratio"] = ratios[ratios.size() / 2];
  state.counters["at_most"] = 0.7;
}
BENCHMARK(meter_to_floor)->Arg(290)->Arg(1'400)->Arg(16'384);

}  // namespace

BENCHMARK_MAIN();
