#include "outlay/price.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/pricing/price_book.hpp"

// The prices that come with the library; `src/core/pricing/renew` builds the rows anew. Facts, not code, carried over from LiteLLM's model_prices_and_context_window.json
// (https://github.com/BerriAI/litellm, MIT licence), snapshot of 2026-08-01. Names that a provider prices alike share a row; a
// first party's models stand under their bare names, and a name with a prefix stands here only where its price differs. A dated snapshot has
// the service tiers of its family, and Claude the batch discount that the file lists for the same models on Vertex AI.
// Left out: the file's priority rate of gpt-5-nano, which is fifty times the standard one and cannot be right.

namespace outlay {

namespace {

/// A rate in a row; kept small, since there are thousands.
struct Cell {
  std::int32_t picos = -1;  // a token; -1: not given
};

/// Dollars a million tokens, read from the literal's text. A finer or larger rate does not compile.
consteval Cell operator""_m(const char* text) {
  const detail::Decimal picos = detail::read_decimal(text, 6, {.separators = true});
  if (picos.error != detail::DecimalError::none || picos.rounded || picos.value > INT32_MAX)
    detail::throw_bad_money(text);
  return {static_cast<std::int32_t>(picos.value)};
}

struct Cells {
  Cell in{}, out{};
  Cell read{}, write{}, write_1h{};
  Cell reasoning{};
  Cell audio_in{}, audio_out{};
  Cell image_in{}, image_out{};
  Cell audio_read{};
};

struct Most {
  std::int32_t input = 0, output = 0;  // tokens; 0: not known
};

/// A model, or a tier of the model above it.
struct Row {
  const char* names = nullptr;  // of a model, separated by spaces; null: a tier
  const char* provider = "";
  const char* service_tier = "";
  std::int32_t threshold = 0;
  bool inclusive = false;
  Most most{};
  std::int64_t web_search_nanos = 0;
  Cells cells{};
};

consteval Row model(const char* names, const char* provider, Cells cells, Most most, Usd web_search = {}) {
  return {.names = names, .provider = provider, .most = most, .web_search_nanos = web_search.nanos(), .cells = cells};
}
consteval Row tier(const char* service_tier, Cells cells) { return {.service_tier = service_tier, .cells = cells}; }
consteval Row tier_above(const char* service_tier, std::int32_t threshold, Cells cells) {
  return {.service_tier = service_tier, .threshold = threshold, .cells = cells};
}
consteval Row above(std::int32_t threshold, Cells cells) { return tier_above("", threshold, cells); }
/// As above() and tier_above(), but at the threshold already.
consteval Row tier_from(const char* service_tier, std::int32_t threshold, Cells cells) {
  return {.service_tier = service_tier, .threshold = threshold, .inclusive = true, .cells = cells};
}
consteval Row from(std::int32_t threshold, Cells cells) { return tier_from("", threshold, cells); }

constexpr std::chrono::sys_days as_of = std::chrono::year(2026) / 8 / 1;
constexpr char version[] = "2026-08-01";
constexpr char source[] = "BerriAI/litellm model_prices_and_context_window.json (MIT), snapshot 2026-08-01";

constexpr Row rows[] = {
    // OpenAI
    model("babbage-002", "openai", {.in = 0.4_m, .out = 0.4_m}, {16'384, 4'096}),
    model("chatgpt-4o-latest", "openai", {.in = 5_m, .out = 15_m}, {128'000, 4'096}),
    model("codex-mini-latest", "openai", {.in = 1.5_m, .out = 6_m, .read = 0.375_m}, {200'000, 100'000}),
    model("davinci-002", "openai", {.in = 2_m, .out = 2_m}, {16'384, 4'096}),
    model("ft:babbage-002", "openai", {.in = 1.6_m, .out = 1.6_m}, {16'384, 4'096}),
    tier("batch", {.in = 0.2_m, .out = 0.2_m}),
    model("ft:davinci-002", "openai", {.in = 12_m, .out = 12_m}, {16'384, 4'096}),
    tier("batch", {.in = 1_m, .out = 1_m}),
    model("ft:gpt-3.5-turbo", "openai", {.in = 3_m, .out = 6_m}, {16'385, 4'096}),
    tier("batch", {.in = 1.5_m, .out = 3_m}),
    model("gpt-3.5-turbo gpt-3.5-turbo-0125", "openai", {.in = 0.5_m, .out = 1.5_m}, {16'385, 4'096}),
    model("gpt-3.5-turbo-16k", "openai", {.in = 3_m, .out = 4_m}, {16'385, 4'096}),
    model("gpt-3.5-turbo-instruct", "openai", {.in = 1.5_m, .out = 2_m}, {8'192, 4'096}),
    model("gpt-4 ft:gpt-4-0613 gpt-4-0314 gpt-4-0613", "openai", {.in = 30_m, .out = 60_m}, {8'192, 4'096}),
    model("gpt-4-turbo gpt-4-turbo-preview gpt-4-0125-preview gpt-4-1106-preview gpt-4-turbo-2024-04-09", "openai",
          {.in = 10_m, .out = 30_m}, {128'000, 4'096}),
    model("gpt-4.1 gpt-4.1-2025-04-14", "openai", {.in = 2_m, .out = 8_m, .read = 0.5_m}, {1'047'576, 32'768}),
    tier("batch", {.in = 1_m, .out = 4_m}),
    tier("priority", {.in = 3.5_m, .out = 14_m, .read = 0.875_m}),
    model("gpt-4.1-mini gpt-4.1-mini-2025-04-14", "openai", {.in = 0.4_m, .out = 1.6_m, .read = 0.1_m},
          {1'047'576, 32'768}),
    tier("batch", {.in = 0.2_m, .out = 0.8_m}),
    tier("priority", {.in = 0.7_m, .out = 2.8_m, .read = 0.175_m}),
    model("gpt-4.1-nano gpt-4.1-nano-2025-04-14", "openai", {.in = 0.1_m, .out = 0.4_m, .read = 0.025_m},
          {1'047'576, 32'768}),
    tier("batch", {.in = 0.05_m, .out = 0.2_m}),
    tier("priority", {.in = 0.2_m, .out = 0.8_m, .read = 0.05_m}),
    model("gpt-4o gpt-4o-2024-08-06 gpt-4o-2024-11-20", "openai", {.in = 2.5_m, .out = 10_m, .read = 1.25_m},
          {128'000, 16'384}),
    tier("batch", {.in = 1.25_m, .out = 5_m}),
    tier("priority", {.in = 4.25_m, .out = 17_m, .read = 2.125_m}),
    model("gpt-4o-audio-preview gpt-4o-audio-preview-2024-12-17 gpt-4o-audio-preview-2025-06-03", "openai",
          {.in = 2.5_m, .out = 10_m, .audio_in = 40_m, .audio_out = 80_m}, {128'000, 16'384}),
    model("gpt-audio gpt-audio-1.5 gpt-audio-2025-08-28", "openai",
          {.in = 2.5_m, .out = 10_m, .audio_in = 32_m, .audio_out = 64_m}, {128'000, 16'384}),
    model("gpt-audio-mini gpt-audio-mini-2025-10-06 gpt-audio-mini-2025-12-15", "openai",
          {.in = 0.6_m, .out = 2.4_m, .audio_in = 10_m, .audio_out = 20_m}, {128'000, 16'384}),
    model("gpt-4o-mini gpt-4o-mini-2024-07-18", "openai", {.in = 0.15_m, .out = 0.6_m, .read = 0.075_m},
          {128'000, 16'384}, 0.0275_usd),
    tier("batch", {.in = 0.075_m, .out = 0.3_m}),
    tier("priority", {.in = 0.25_m, .out = 1_m, .read = 0.125_m}),
    model("gpt-4o-mini-audio-preview gpt-4o-mini-audio-preview-2024-12-17", "openai",
          {.in = 0.15_m, .out = 0.6_m, .audio_in = 10_m, .audio_out = 20_m}, {128'000, 16'384}),
    model("gpt-4o-mini-search-preview gpt-4o-mini-search-preview-2025-03-11", "openai",
          {.in = 0.15_m, .out = 0.6_m, .read = 0.075_m}, {128'000, 16'384}, 0.0275_usd),
    tier("batch", {.in = 0.075_m, .out = 0.3_m}),
    model("gpt-4o-search-preview gpt-4o-search-preview-2025-03-11", "openai",
          {.in = 2.5_m, .out = 10_m, .read = 1.25_m}, {128'000, 16'384}, 0.035_usd),
    tier("batch", {.in = 1.25_m, .out = 5_m}),
    model("gpt-5 gpt-5-2025-08-07", "openai", {.in = 1.25_m, .out = 10_m, .read = 0.125_m}, {272'000, 128'000}),
    tier("flex", {.in = 0.625_m, .out = 5_m, .read = 0.0625_m}),
    tier("priority", {.in = 2.5_m, .out = 20_m, .read = 0.25_m}),
    model("gpt-5.1 gpt-5.1-codex gpt-5.1-2025-11-13", "openai", {.in = 1.25_m, .out = 10_m, .read = 0.125_m},
          {272'000, 128'000}),
    tier("priority", {.in = 2.5_m, .out = 20_m, .read = 0.25_m}),
    model("gpt-5.1-chat-latest", "openai", {.in = 1.25_m, .out = 10_m, .read = 0.125_m}, {128'000, 16'384}),
    tier("priority", {.in = 2.5_m, .out = 20_m, .read = 0.25_m}),
    model("gpt-5.2 gpt-5.2-codex gpt-5.3-codex gpt-5.2-2025-12-11", "openai",
          {.in = 1.75_m, .out = 14_m, .read = 0.175_m}, {272'000, 128'000}),
    tier("priority", {.in = 3.5_m, .out = 28_m, .read = 0.35_m}),
    model("gpt-5.2-chat-latest gpt-5.3-chat-latest", "openai", {.in = 1.75_m, .out = 14_m, .read = 0.175_m},
          {128'000, 16'384}),
    tier("priority", {.in = 3.5_m, .out = 28_m, .read = 0.35_m}),
    model("gpt-5.2-pro gpt-5.2-pro-2025-12-11", "openai", {.in = 21_m, .out = 168_m}, {272'000, 128'000}),
    model("gpt-5.6 gpt-5.6-sol", "openai", {.in = 5_m, .out = 30_m, .read = 0.5_m, .write = 6.25_m},
          {1'050'000, 128'000}),
    above(272'000, {.in = 10_m, .out = 45_m, .read = 1_m, .write = 12.5_m}),
    tier("batch", {.in = 2.5_m, .out = 15_m, .write = 3.125_m}),
    tier_above("batch", 272'000, {.in = 5_m, .out = 22.5_m, .write = 6.25_m}),
    tier("flex", {.in = 2.5_m, .out = 15_m, .read = 0.25_m, .write = 3.125_m}),
    tier_above("flex", 272'000, {.in = 5_m, .out = 22.5_m, .read = 0.5_m, .write = 6.25_m}),
    tier("priority", {.in = 10_m, .out = 60_m, .read = 1_m, .write = 12.5_m}),
    tier_above("priority", 272'000, {.in = 20_m, .out = 90_m, .read = 2_m, .write = 25_m}),
    tier("eu", {.in = 5.5_m, .out = 33_m, .read = 0.55_m, .write = 6.875_m}),
    tier_above("eu", 272'000, {.in = 11_m, .out = 49.5_m, .read = 1.1_m, .write = 13.75_m}),
    tier("us", {.in = 5.5_m, .out = 33_m, .read = 0.55_m, .write = 6.875_m}),
    tier_above("us", 272'000, {.in = 11_m, .out = 49.5_m, .read = 1.1_m, .write = 13.75_m}),
    model("gpt-5.6-terra", "openai", {.in = 2_m, .out = 12_m, .read = 0.2_m, .write = 2.5_m}, {1'050'000, 128'000}),
    above(272'000, {.in = 4_m, .out = 18_m, .read = 0.4_m, .write = 5_m}),
    tier("batch", {.in = 1_m, .out = 6_m, .write = 1.25_m}),
    tier_above("batch", 272'000, {.in = 2_m, .out = 9_m, .write = 2.5_m}),
    tier("flex", {.in = 1_m, .out = 6_m, .read = 0.1_m, .write = 1.25_m}),
    tier_above("flex", 272'000, {.in = 2_m, .out = 9_m, .read = 0.2_m, .write = 2.5_m}),
    tier("priority", {.in = 4_m, .out = 24_m, .read = 0.4_m, .write = 5_m}),
    tier_above("priority", 272'000, {.in = 8_m, .out = 36_m, .read = 0.8_m, .write = 10_m}),
    tier("eu", {.in = 2.2_m, .out = 13.2_m, .read = 0.22_m, .write = 2.75_m}),
    tier_above("eu", 272'000, {.in = 4.4_m, .out = 19.8_m, .read = 0.44_m, .write = 5.5_m}),
    tier("us", {.in = 2.2_m, .out = 13.2_m, .read = 0.22_m, .write = 2.75_m}),
    tier_above("us", 272'000, {.in = 4.4_m, .out = 19.8_m, .read = 0.44_m, .write = 5.5_m}),
    model("gpt-5.6-luna", "openai", {.in = 0.2_m, .out = 1.2_m, .read = 0.02_m, .write = 0.25_m}, {1'050'000, 128'000}),
    above(272'000, {.in = 0.4_m, .out = 1.8_m, .read = 0.04_m, .write = 0.5_m}),
    tier("batch", {.in = 0.1_m, .out = 0.6_m, .write = 0.125_m}),
    tier_above("batch", 272'000, {.in = 0.2_m, .out = 0.9_m, .write = 0.25_m}),
    tier("flex", {.in = 0.1_m, .out = 0.6_m, .read = 0.01_m, .write = 0.125_m}),
    tier_above("flex", 272'000, {.in = 0.2_m, .out = 0.9_m, .read = 0.02_m, .write = 0.25_m}),
    tier("priority", {.in = 0.4_m, .out = 2.4_m, .read = 0.04_m, .write = 0.5_m}),
    tier_above("priority", 272'000, {.in = 0.8_m, .out = 3.6_m, .read = 0.08_m, .write = 1_m}),
    tier("eu", {.in = 0.22_m, .out = 1.32_m, .read = 0.022_m, .write = 0.275_m}),
    tier_above("eu", 272'000, {.in = 0.44_m, .out = 1.98_m, .read = 0.044_m, .write = 0.55_m}),
    tier("us", {.in = 0.22_m, .out = 1.32_m, .read = 0.022_m, .write = 0.275_m}),
    tier_above("us", 272'000, {.in = 0.44_m, .out = 1.98_m, .read = 0.044_m, .write = 0.55_m}),
    model("gpt-5.5 gpt-5.5-2026-04-23", "openai", {.in = 5_m, .out = 30_m, .read = 0.5_m}, {1'050'000, 128'000}),
    above(272'000, {.in = 10_m, .out = 45_m, .read = 1_m}),
    tier("batch", {.in = 2.5_m, .out = 15_m}),
    tier_above("batch", 272'000, {.in = 5_m, .out = 22.5_m}),
    tier("flex", {.in = 2.5_m, .out = 15_m, .read = 0.25_m}),
    tier_above("flex", 272'000, {.in = 5_m, .out = 22.5_m, .read = 0.5_m}),
    tier("priority", {.in = 10_m, .out = 60_m, .read = 1_m}),
    tier_above("priority", 272'000, {.in = 20_m, .out = 90_m, .read = 2_m}),
    tier("eu", {.in = 5.5_m, .out = 33_m, .read = 0.55_m}),
    tier_above("eu", 272'000, {.in = 11_m, .out = 49.5_m, .read = 1.1_m}),
    tier("us", {.in = 5.5_m, .out = 33_m, .read = 0.55_m}),
    tier_above("us", 272'000, {.in = 11_m, .out = 49.5_m, .read = 1.1_m}),
    model("gpt-5.5-pro gpt-5.4-pro gpt-5.5-pro-2026-04-23 gpt-5.4-pro-2026-03-05", "openai",
          {.in = 30_m, .out = 180_m, .read = 3_m}, {1'050'000, 128'000}),
    above(272'000, {.in = 60_m, .out = 270_m, .read = 6_m}),
    tier("batch", {.in = 15_m, .out = 90_m}),
    tier_above("batch", 272'000, {.in = 30_m, .out = 135_m}),
    tier("flex", {.in = 15_m, .out = 90_m, .read = 3_m}),
    tier_above("flex", 272'000, {.in = 30_m, .out = 135_m, .read = 6_m}),
    tier("eu", {.in = 33_m, .out = 198_m, .read = 3.3_m}),
    tier_above("eu", 272'000, {.in = 66_m, .out = 297_m, .read = 6.6_m}),
    tier("us", {.in = 33_m, .out = 198_m, .read = 3.3_m}),
    tier_above("us", 272'000, {.in = 66_m, .out = 297_m, .read = 6.6_m}),
    model("gpt-5.4 gpt-5.4-2026-03-05", "openai", {.in = 2.5_m, .out = 15_m, .read = 0.25_m}, {1'050'000, 128'000}),
    above(272'000, {.in = 5_m, .out = 22.5_m, .read = 0.5_m}),
    tier("batch", {.in = 1.25_m, .out = 7.5_m}),
    tier_above("batch", 272'000, {.in = 2.5_m, .out = 11.25_m}),
    tier("flex", {.in = 1.25_m, .out = 7.5_m, .read = 0.13_m}),
    tier_above("flex", 272'000, {.in = 2.5_m, .out = 11.25_m, .read = 0.26_m}),
    tier("priority", {.in = 5_m, .out = 30_m, .read = 0.5_m}),
    tier_above("priority", 272'000, {.in = 10_m, .out = 45_m, .read = 1_m}),
    tier("eu", {.in = 2.75_m, .out = 16.5_m, .read = 0.275_m}),
    tier_above("eu", 272'000, {.in = 5.5_m, .out = 24.75_m, .read = 0.55_m}),
    tier("us", {.in = 2.75_m, .out = 16.5_m, .read = 0.275_m}),
    tier_above("us", 272'000, {.in = 5.5_m, .out = 24.75_m, .read = 0.55_m}),
    model("gpt-5.4-mini gpt-5.4-mini-2026-03-17", "openai", {.in = 0.75_m, .out = 4.5_m, .read = 0.075_m},
          {272'000, 128'000}),
    tier("batch", {.in = 0.375_m, .out = 2.25_m}),
    tier("flex", {.in = 0.375_m, .out = 2.25_m, .read = 0.0375_m}),
    tier("priority", {.in = 1.5_m, .out = 9_m, .read = 0.15_m}),
    tier("eu", {.in = 0.825_m, .out = 4.95_m, .read = 0.0825_m}),
    tier("us", {.in = 0.825_m, .out = 4.95_m, .read = 0.0825_m}),
    model("gpt-5.4-nano gpt-5.4-nano-2026-03-17", "openai", {.in = 0.2_m, .out = 1.25_m, .read = 0.02_m},
          {272'000, 128'000}),
    tier("batch", {.in = 0.1_m, .out = 0.625_m}),
    tier("flex", {.in = 0.1_m, .out = 0.625_m, .read = 0.01_m}),
    tier("eu", {.in = 0.22_m, .out = 1.375_m, .read = 0.022_m}),
    tier("us", {.in = 0.22_m, .out = 1.375_m, .read = 0.022_m}),
    model("gpt-5-pro gpt-5-pro-2025-10-06", "openai", {.in = 15_m, .out = 120_m}, {400'000, 128'000}),
    tier("batch", {.in = 7.5_m, .out = 60_m}),
    model("gpt-5-chat gpt-5-chat-latest", "openai", {.in = 1.25_m, .out = 10_m, .read = 0.125_m}, {128'000, 16'384}),
    model("gpt-5-codex gpt-5.1-codex-max gpt-5-search-api gpt-5-search-api-2025-10-14", "openai",
          {.in = 1.25_m, .out = 10_m, .read = 0.125_m}, {272'000, 128'000}),
    model("gpt-5.1-codex-mini", "openai", {.in = 0.25_m, .out = 2_m, .read = 0.025_m}, {272'000, 128'000}),
    tier("priority", {.in = 0.45_m, .out = 3.6_m, .read = 0.045_m}),
    model("gpt-5-mini gpt-5-mini-2025-08-07", "openai", {.in = 0.25_m, .out = 2_m, .read = 0.025_m},
          {272'000, 128'000}),
    tier("flex", {.in = 0.125_m, .out = 1_m, .read = 0.0125_m}),
    tier("priority", {.in = 0.45_m, .out = 3.6_m, .read = 0.045_m}),
    model("gpt-5-nano gpt-5-nano-2025-08-07", "openai", {.in = 0.05_m, .out = 0.4_m, .read = 0.005_m},
          {272'000, 128'000}),
    tier("flex", {.in = 0.025_m, .out = 0.2_m, .read = 0.0025_m}),
    model("o1 o1-2024-12-17", "openai", {.in = 15_m, .out = 60_m, .read = 7.5_m}, {200'000, 100'000}),
    model("o1-pro o1-pro-2025-03-19", "openai", {.in = 150_m, .out = 600_m}, {200'000, 100'000}),
    tier("batch", {.in = 75_m, .out = 300_m}),
    model("o3 o3-2025-04-16", "openai", {.in = 2_m, .out = 8_m, .read = 0.5_m}, {200'000, 100'000}),
    tier("flex", {.in = 1_m, .out = 4_m, .read = 0.25_m}),
    tier("priority", {.in = 3.5_m, .out = 14_m, .read = 0.875_m}),
    model("o3-deep-research o3-deep-research-2025-06-26", "openai", {.in = 10_m, .out = 40_m, .read = 2.5_m},
          {200'000, 100'000}),
    tier("batch", {.in = 5_m, .out = 20_m}),
    model("o3-mini o3-mini-2025-01-31", "openai", {.in = 1.1_m, .out = 4.4_m, .read = 0.55_m}, {200'000, 100'000}),
    model("o3-pro o3-pro-2025-06-10", "openai", {.in = 20_m, .out = 80_m}, {200'000, 100'000}),
    tier("batch", {.in = 10_m, .out = 40_m}),
    model("o4-mini o4-mini-2025-04-16", "openai", {.in = 1.1_m, .out = 4.4_m, .read = 0.275_m}, {200'000, 100'000}),
    tier("flex", {.in = 0.55_m, .out = 2.2_m, .read = 0.1375_m}),
    tier("priority", {.in = 2_m, .out = 8_m, .read = 0.5_m}),
    model("o4-mini-deep-research o4-mini-deep-research-2025-06-26", "openai", {.in = 2_m, .out = 8_m, .read = 0.5_m},
          {200'000, 100'000}),
    tier("batch", {.in = 1_m, .out = 4_m}),
    model("text-embedding-3-large", "openai", {.in = 0.13_m, .out = 0_m}, {8'191, 8'191}),
    tier("batch", {.in = 0.065_m, .out = 0_m}),
    model("text-embedding-3-small", "openai", {.in = 0.02_m, .out = 0_m}, {8'191, 8'191}),
    tier("batch", {.in = 0.01_m, .out = 0_m}),
    model("text-embedding-ada-002", "openai", {.in = 0.1_m, .out = 0_m}, {8'191, 8'191}),
    model("text-embedding-ada-002-v2", "openai", {.in = 0.1_m, .out = 0_m}, {8'191, 8'191}),
    tier("batch", {.in = 0.05_m, .out = 0_m}),
    model("ft:gpt-3.5-turbo-0125 ft:gpt-3.5-turbo-1106", "openai", {.in = 3_m, .out = 6_m}, {16'385, 4'096}),
    model("ft:gpt-3.5-turbo-0613", "openai", {.in = 3_m, .out = 6_m}, {4'096, 4'096}),
    model("ft:gpt-4o-2024-08-06", "openai", {.in = 3.75_m, .out = 15_m, .read = 1.875_m}, {128'000, 16'384}),
    tier("batch", {.in = 1.875_m, .out = 7.5_m}),
    model("ft:gpt-4o-2024-11-20", "openai", {.in = 3.75_m, .out = 15_m, .write = 1.875_m}, {128'000, 16'384}),
    model("ft:gpt-4o-mini-2024-07-18", "openai", {.in = 0.3_m, .out = 1.2_m, .read = 0.15_m}, {128'000, 16'384}),
    tier("batch", {.in = 0.15_m, .out = 0.6_m}),
    model("ft:gpt-4.1-2025-04-14", "openai", {.in = 3_m, .out = 12_m, .read = 0.75_m}, {1'047'576, 32'768}),
    tier("batch", {.in = 1.5_m, .out = 6_m}),
    model("ft:gpt-4.1-mini-2025-04-14", "openai", {.in = 0.8_m, .out = 3.2_m, .read = 0.2_m}, {1'047'576, 32'768}),
    tier("batch", {.in = 0.4_m, .out = 1.6_m}),
    model("ft:gpt-4.1-nano-2025-04-14", "openai", {.in = 0.2_m, .out = 0.8_m, .read = 0.05_m}, {1'047'576, 32'768}),
    tier("batch", {.in = 0.1_m, .out = 0.4_m}),
    model("ft:o4-mini-2025-04-16", "openai", {.in = 4_m, .out = 16_m, .read = 1_m}, {200'000, 100'000}),
    tier("batch", {.in = 2_m, .out = 8_m}),
    model("gpt-3.5-turbo-1106", "openai", {.in = 1_m, .out = 2_m}, {16'385, 4'096}),
    model("gpt-3.5-turbo-instruct-0914", "openai", {.in = 1.5_m, .out = 2_m}, {8'192, 4'097}),
    model("gpt-4o-2024-05-13", "openai", {.in = 5_m, .out = 15_m}, {128'000, 4'096}),
    tier("batch", {.in = 2.5_m, .out = 7.5_m}),
    tier("priority", {.in = 8.75_m, .out = 26.25_m}),

    // Anthropic
    model("claude-haiku-4-5 claude-haiku-4-5-20251001", "anthropic",
          {.in = 1_m, .out = 5_m, .read = 0.1_m, .write = 1.25_m, .write_1h = 2_m}, {200'000, 64'000}),
    model("claude-sonnet-4-5 claude-sonnet-4-5-20250929", "anthropic",
          {.in = 3_m, .out = 15_m, .read = 0.3_m, .write = 3.75_m, .write_1h = 6_m}, {200'000, 64'000}, 0.01_usd),
    above(200'000, {.in = 6_m, .out = 22.5_m, .read = 0.6_m, .write = 7.5_m, .write_1h = 12_m}),
    tier("batch", {.in = 1.5_m, .out = 7.5_m, .read = 0.15_m, .write = 1.875_m, .write_1h = 3_m}),
    tier_above("batch", 200'000, {.in = 3_m, .out = 11.25_m, .read = 0.3_m, .write = 3.75_m}),
    model("claude-sonnet-5", "anthropic", {.in = 2_m, .out = 10_m, .read = 0.2_m, .write = 2.5_m, .write_1h = 4_m},
          {1'000'000, 128'000}, 0.01_usd),
    tier("us", {.in = 2.2_m, .out = 11_m, .read = 0.22_m, .write = 2.75_m, .write_1h = 4.4_m}),
    model("claude-sonnet-4-6", "anthropic", {.in = 3_m, .out = 15_m, .read = 0.3_m, .write = 3.75_m, .write_1h = 6_m},
          {1'000'000, 64'000}, 0.01_usd),
    model("claude-opus-4-1 claude-opus-4-1-20250805", "anthropic",
          {.in = 15_m, .out = 75_m, .read = 1.5_m, .write = 18.75_m, .write_1h = 30_m}, {200'000, 32'000}, 0.01_usd),
    tier("batch", {.in = 7.5_m, .out = 37.5_m, .read = 0.75_m, .write = 9.375_m, .write_1h = 15_m}),
    model("claude-opus-4-5 claude-opus-4-5-20251101", "anthropic",
          {.in = 5_m, .out = 25_m, .read = 0.5_m, .write = 6.25_m, .write_1h = 10_m}, {200'000, 64'000}, 0.01_usd),
    model("claude-opus-4-6 claude-opus-4-7 claude-opus-4-6-20260205 claude-opus-4-7-20260416", "anthropic",
          {.in = 5_m, .out = 25_m, .read = 0.5_m, .write = 6.25_m, .write_1h = 10_m}, {1'000'000, 128'000}, 0.01_usd),
    tier("us", {.in = 5.5_m, .out = 27.5_m, .read = 0.55_m, .write = 6.875_m, .write_1h = 11_m}),
    tier("fast", {.in = 30_m, .out = 150_m, .read = 3_m, .write = 37.5_m, .write_1h = 60_m}),
    model("claude-fable-5", "anthropic", {.in = 10_m, .out = 50_m, .read = 1_m, .write = 12.5_m, .write_1h = 20_m},
          {1'000'000, 128'000}, 0.01_usd),
    tier("us", {.in = 11_m, .out = 55_m, .read = 1.1_m, .write = 13.75_m, .write_1h = 22_m}),
    model("claude-opus-5 claude-opus-4-8", "anthropic",
          {.in = 5_m, .out = 25_m, .read = 0.5_m, .write = 6.25_m, .write_1h = 10_m}, {1'000'000, 128'000}, 0.01_usd),
    tier("us", {.in = 5.5_m, .out = 27.5_m, .read = 0.55_m, .write = 6.875_m, .write_1h = 11_m}),
    tier("fast", {.in = 10_m, .out = 50_m, .read = 1_m, .write = 12.5_m, .write_1h = 20_m}),
    model("claude-3-7-sonnet-20250219", "anthropic",
          {.in = 3_m, .out = 15_m, .read = 0.3_m, .write = 3.75_m, .write_1h = 6_m}, {200'000, 64'000}, 0.01_usd),
    model("claude-3-haiku-20240307", "anthropic",
          {.in = 0.25_m, .out = 1.25_m, .read = 0.03_m, .write = 0.3_m, .write_1h = 6_m}, {200'000, 4'096}),
    model("claude-3-opus-20240229", "anthropic",
          {.in = 15_m, .out = 75_m, .read = 1.5_m, .write = 18.75_m, .write_1h = 6_m}, {200'000, 4'096}),
    model("claude-4-opus-20250514", "anthropic", {.in = 15_m, .out = 75_m, .read = 1.5_m, .write = 18.75_m},
          {200'000, 32'000}, 0.01_usd),
    model("claude-4-sonnet-20250514", "anthropic", {.in = 3_m, .out = 15_m, .read = 0.3_m, .write = 3.75_m},
          {1'000'000, 64'000}, 0.01_usd),
    above(200'000, {.in = 6_m, .out = 22.5_m, .read = 0.6_m, .write = 7.5_m}),
    model("claude-opus-4-20250514", "anthropic",
          {.in = 15_m, .out = 75_m, .read = 1.5_m, .write = 18.75_m, .write_1h = 30_m}, {200'000, 32'000}, 0.01_usd),
    model("claude-sonnet-4-20250514", "anthropic",
          {.in = 3_m, .out = 15_m, .read = 0.3_m, .write = 3.75_m, .write_1h = 6_m}, {1'000'000, 64'000}, 0.01_usd),
    above(200'000, {.in = 6_m, .out = 22.5_m, .read = 0.6_m, .write = 7.5_m}),

    // Google
    model("vertex_ai/gemini-3-pro-preview", "vertex_ai", {.in = 2_m, .out = 12_m, .read = 0.2_m}, {1'048'576, 65'535},
          0.014_usd),
    above(200'000, {.in = 4_m, .out = 18_m, .read = 0.4_m, .write = 0.25_m}),
    tier("batch", {.in = 1_m, .out = 6_m}),
    tier_above("batch", 200'000, {.in = 2_m, .out = 9_m}),
    tier("priority", {.in = 3.6_m, .out = 21.6_m, .read = 0.36_m}),
    tier_above("priority", 200'000, {.in = 7.2_m, .out = 32.4_m, .read = 0.72_m}),
    model("vertex_ai/gemini-3-flash-preview", "vertex_ai", {.in = 0.5_m, .out = 3_m, .read = 0.05_m, .audio_in = 1_m},
          {1'048'576, 65'535}, 0.014_usd),
    tier("priority", {.in = 0.9_m, .out = 5.4_m, .read = 0.09_m, .audio_in = 1.8_m}),
    model("vertex_ai/gemini-3.5-flash", "vertex_ai", {.in = 1.5_m, .out = 9_m, .read = 0.15_m, .audio_in = 1_m},
          {1'048'576, 65'535}, 0.014_usd),
    tier("priority", {.in = 2.7_m, .out = 16.2_m, .read = 0.27_m, .audio_in = 1.8_m}),
    model("vertex_ai/gemini-3.6-flash", "vertex_ai", {.in = 1.5_m, .out = 7.5_m, .read = 0.15_m}, {1'048'576, 65'536},
          0.014_usd),
    tier("batch", {.in = 0.75_m, .out = 3.75_m}),
    tier("flex", {.in = 0.75_m, .out = 3.75_m, .read = 0.075_m}),
    tier("priority", {.in = 2.7_m, .out = 13.5_m, .read = 0.27_m}),
    model("vertex_ai/gemini-3.1-pro-preview vertex_ai/gemini-3.1-pro-preview-customtools", "vertex_ai",
          {.in = 2_m, .out = 12_m, .read = 0.2_m}, {1'048'576, 65'536}, 0.014_usd),
    above(200'000, {.in = 4_m, .out = 18_m, .read = 0.4_m, .write = 0.25_m}),
    tier("batch", {.in = 1_m, .out = 6_m}),
    tier_above("batch", 200'000, {.in = 2_m, .out = 9_m}),
    tier("priority", {.in = 3.6_m, .out = 21.6_m, .read = 0.36_m}),
    tier_above("priority", 200'000, {.in = 7.2_m, .out = 32.4_m, .read = 0.72_m}),
    model("gemini-robotics-er-1.5-preview", "gemini", {.in = 0.3_m, .out = 2.5_m, .read = 0_m, .audio_in = 1_m},
          {1'048'576, 65'535}, 0.035_usd),
    model("vertex_ai/gemini-embedding-2-preview vertex_ai/gemini-embedding-2", "vertex_ai", {.in = 0.2_m, .out = 0_m},
          {8'192, 8'192}),
    model("gemini-embedding-001", "gemini", {.in = 0.15_m, .out = 0_m}, {2'048, 2'048}),
    model("gemini-embedding-2-preview gemini-embedding-2", "gemini", {.in = 0.2_m, .out = 0_m}, {8'192, 8'192}),
    model("gemini-1.5-flash", "gemini", {.in = 0.075_m, .out = 0_m}, {8'192, 8'192}),
    above(128'000, {.in = 0.15_m, .out = 0_m}),
    model("gemini-2.0-flash gemini-2.0-flash-001", "gemini",
          {.in = 0.1_m, .out = 0.4_m, .read = 0.025_m, .audio_in = 0.7_m}, {1'048'576, 8'192}, 0.035_usd),
    model("gemini-2.0-flash-lite gemini-2.0-flash-lite-001", "gemini", {.in = 0.075_m, .out = 0.3_m, .read = 0.01875_m},
          {1'048'576, 8'192}, 0.035_usd),
    model("gemini-2.5-flash vertex_ai/gemini-flash-latest", "gemini",
          {.in = 0.3_m, .out = 2.5_m, .read = 0.03_m, .audio_in = 1_m}, {1'048'576, 65'535}, 0.035_usd),
    model("gemini-2.5-flash-lite gemini-2.5-flash-lite-preview-09-2025 vertex_ai/gemini-flash-lite-latest", "gemini",
          {.in = 0.1_m, .out = 0.4_m, .read = 0.01_m, .audio_in = 0.3_m}, {1'048'576, 65'535}, 0.035_usd),
    model("gemini-flash-latest gemini-2.5-flash-preview-09-2025", "gemini",
          {.in = 0.3_m, .out = 2.5_m, .read = 0.075_m, .audio_in = 1_m}, {1'048'576, 65'535}, 0.035_usd),
    model("gemini-flash-lite-latest", "gemini", {.in = 0.1_m, .out = 0.4_m, .read = 0.025_m, .audio_in = 0.3_m},
          {1'048'576, 65'535}, 0.035_usd),
    model("gemini-2.5-flash-lite-preview-06-17", "gemini",
          {.in = 0.1_m, .out = 0.4_m, .read = 0.025_m, .audio_in = 0.5_m}, {1'048'576, 65'535}, 0.035_usd),
    model("gemini-2.5-pro gemini-pro-latest", "gemini", {.in = 1.25_m, .out = 10_m, .read = 0.125_m},
          {1'048'576, 65'535}, 0.035_usd),
    above(200'000, {.in = 2.5_m, .out = 15_m, .read = 0.25_m}),
    model("gemini-3-pro-preview", "gemini", {.in = 2_m, .out = 12_m, .read = 0.2_m}, {1'048'576, 65'535}, 0.014_usd),
    above(200'000, {.in = 4_m, .out = 18_m, .read = 0.4_m}),
    tier("batch", {.in = 1_m, .out = 6_m}),
    tier_above("batch", 200'000, {.in = 2_m, .out = 9_m}),
    tier("priority", {.in = 3.6_m, .out = 21.6_m, .read = 0.36_m}),
    tier_above("priority", 200'000, {.in = 7.2_m, .out = 32.4_m, .read = 0.72_m}),
    model("gemini-3.1-flash-lite-preview", "gemini", {.in = 0.25_m, .out = 1.5_m, .read = 0.025_m, .audio_in = 0.5_m},
          {1'048'576, 65'536}, 0.014_usd),
    model("gemini-3.1-flash-lite", "gemini", {.in = 0.25_m, .out = 1.5_m, .read = 0.025_m, .audio_in = 0.5_m},
          {1'048'576, 65'536}, 0.014_usd),
    tier("batch", {.in = 0.125_m, .out = 0.75_m, .audio_in = 0.5_m}),
    tier("flex", {.in = 0.125_m, .out = 0.75_m, .read = 0.0125_m, .audio_in = 0.5_m}),
    tier("priority", {.in = 0.45_m, .out = 2.7_m, .read = 0.045_m, .audio_in = 0.5_m}),
    model("gemini-3.5-flash-lite", "gemini", {.in = 0.3_m, .out = 2.5_m, .read = 0.03_m}, {1'048'576, 65'536},
          0.014_usd),
    tier("batch", {.in = 0.15_m, .out = 1.25_m}),
    tier("flex", {.in = 0.15_m, .out = 1.25_m, .read = 0.02_m}),
    tier("priority", {.in = 0.54_m, .out = 4.5_m, .read = 0.05_m}),
    model("gemini-3-flash-preview", "gemini", {.in = 0.5_m, .out = 3_m, .read = 0.05_m, .audio_in = 1_m},
          {1'048'576, 65'535}, 0.014_usd),
    tier("priority", {.in = 0.9_m, .out = 5.4_m, .read = 0.09_m, .audio_in = 1.8_m}),
    model("gemini-3.5-flash", "gemini", {.in = 1.5_m, .out = 9_m, .read = 0.15_m, .audio_in = 1_m}, {1'048'576, 65'535},
          0.014_usd),
    tier("priority", {.in = 2.7_m, .out = 16.2_m, .read = 0.27_m, .audio_in = 1.8_m}),
    model("gemini-3.6-flash", "gemini", {.in = 1.5_m, .out = 7.5_m, .read = 0.15_m}, {1'048'576, 65'536}, 0.014_usd),
    tier("batch", {.in = 0.75_m, .out = 3.75_m}),
    tier("flex", {.in = 0.75_m, .out = 3.75_m, .read = 0.075_m}),
    tier("priority", {.in = 2.7_m, .out = 13.5_m, .read = 0.27_m}),
    model("gemini-omni-flash-preview", "gemini", {.in = 1.5_m, .out = 9_m}, {1'048'576, 65'535}),
    model("gemini-3.1-pro-preview gemini-3.1-pro-preview-customtools", "gemini",
          {.in = 2_m, .out = 12_m, .read = 0.2_m}, {1'048'576, 65'536}, 0.014_usd),
    above(200'000, {.in = 4_m, .out = 18_m, .read = 0.4_m}),
    tier("batch", {.in = 1_m, .out = 6_m}),
    tier_above("batch", 200'000, {.in = 2_m, .out = 9_m}),
    tier("priority", {.in = 3.6_m, .out = 21.6_m, .read = 0.36_m}),
    tier_above("priority", 200'000, {.in = 7.2_m, .out = 32.4_m, .read = 0.72_m}),
    model("gemini-2.5-pro-preview-tts", "gemini", {.in = 1.25_m, .out = 10_m, .read = 0.125_m, .audio_in = 0.7_m},
          {1'048'576, 65'535}, 0.035_usd),
    above(200'000, {.in = 2.5_m, .out = 15_m, .read = 0.25_m, .audio_in = 0.7_m}),
    model("gemini-2.5-flash-native-audio-latest gemini-2.5-flash-native-audio-preview-09-2025 "
          "gemini-2.5-flash-native-audio-preview-12-2025",
          "gemini", {.in = 0.3_m, .out = 2.5_m, .audio_in = 1_m}, {1'048'576, 8'192}),
    model("gemini-3.1-flash-live-preview", "gemini",
          {.in = 0.75_m, .out = 4.5_m, .audio_in = 3_m, .audio_out = 12_m, .image_in = 1_m}, {131'072, 65'536}),
    model("gemini-2.5-computer-use-preview-10-2025", "gemini", {.in = 1.25_m, .out = 10_m}, {128'000, 64'000}),
    above(200'000, {.in = 2.5_m, .out = 15_m}),
    model("vertex_ai/gemini-2.0-flash-001", "vertex_ai",
          {.in = 0.15_m, .out = 0.6_m, .read = 0.0375_m, .audio_in = 1_m}, {1'048'576, 8'192}, 0.035_usd),
    model("vertex_ai/gemini-2.5-pro", "vertex_ai", {.in = 1.25_m, .out = 10_m, .read = 0.125_m}, {1'048'576, 65'535},
          0.035_usd),
    above(200'000, {.in = 2.5_m, .out = 15_m, .read = 0.25_m, .write = 0.25_m}),
    model("multimodalembedding multimodalembedding@001", "vertex_ai", {.in = 0.8_m, .out = 0_m}, {2'048, 2'048}),
    model("text-embedding-004 text-embedding-005 text-multilingual-embedding-002", "vertex_ai",
          {.in = 0.1_m, .out = 0_m}, {2'048, 2'048}),
    model("text-embedding-large-exp-03-07", "vertex_ai", {.in = 0.1_m, .out = 0_m}, {8'192, 8'192}),
    model("text-unicorn text-unicorn@001", "vertex_ai", {.in = 10_m, .out = 28_m}, {8'192, 1'024}),
    model("text-embedding-preview-0409", "vertex_ai", {.in = 0.00625_m, .out = 0_m}, {3'072, 3'072}),

    // xAI
    model("grok-2 grok-2-latest grok-2-1212", "xai", {.in = 2_m, .out = 10_m}, {131'072, 131'072}),
    model("grok-2-vision grok-2-vision-latest grok-2-vision-1212", "xai", {.in = 2_m, .out = 10_m}, {32'768, 32'768}),
    model("grok-3 grok-3-beta grok-3-latest", "xai", {.in = 3_m, .out = 15_m, .read = 0.75_m}, {131'072, 131'072}),
    model("grok-3-fast-beta grok-3-fast-latest", "xai", {.in = 5_m, .out = 25_m, .read = 1.25_m}, {131'072, 131'072}),
    model("grok-3-mini grok-3-mini-beta grok-3-mini-latest", "xai", {.in = 0.3_m, .out = 0.5_m, .read = 0.075_m},
          {131'072, 131'072}),
    model("grok-3-mini-fast grok-3-mini-fast-beta grok-3-mini-fast-latest", "xai",
          {.in = 0.6_m, .out = 4_m, .read = 0.15_m}, {131'072, 131'072}),
    model("grok-4", "xai", {.in = 3_m, .out = 15_m}, {256'000, 256'000}),
    model("grok-4-fast-reasoning grok-4-fast-non-reasoning grok-4-1-fast grok-4-1-fast-reasoning "
          "grok-4-1-fast-reasoning-latest grok-4-1-fast-non-reasoning grok-4-1-fast-non-reasoning-latest",
          "xai", {.in = 0.2_m, .out = 0.5_m, .read = 0.05_m}, {2'000'000, 2'000'000}),
    from(128'000, {.in = 0.4_m, .out = 1_m, .read = 0.05_m}),
    model("grok-4-latest grok-4-0709", "xai", {.in = 3_m, .out = 15_m}, {256'000, 256'000}),
    from(128'000, {.in = 6_m, .out = 30_m}),
    model("grok-4.3 grok-4.3-latest", "xai", {.in = 1.25_m, .out = 2.5_m, .read = 0.2_m}, {1'000'000, 1'000'000}),
    from(200'000, {.in = 2.5_m, .out = 5_m, .read = 0.4_m}),
    model("grok-4.5 grok-4.5-latest", "xai", {.in = 2_m, .out = 6_m, .read = 0.5_m}, {500'000, 500'000}),
    from(200'000, {.in = 4_m, .out = 12_m, .read = 1_m}),
    model("grok-beta", "xai", {.in = 5_m, .out = 15_m}, {131'072, 131'072}),
    model("grok-code-fast grok-code-fast-1 grok-code-fast-1-0825", "xai", {.in = 0.2_m, .out = 1.5_m, .read = 0.02_m},
          {256'000, 256'000}),
    model("grok-vision-beta", "xai", {.in = 5_m, .out = 15_m}, {8'192, 8'192}),
    model("grok-4.20-multi-agent-beta-0309 grok-4.20-beta-0309-reasoning grok-4.20-0309-reasoning "
          "grok-4.20-beta-0309-non-reasoning",
          "xai", {.in = 2_m, .out = 6_m, .read = 0.2_m}, {2'000'000, 2'000'000}),

    // DeepSeek
    model("deepseek-chat", "deepseek", {.in = 0.28_m, .out = 0.42_m, .read = 0.028_m, .write = 0_m}, {131'072, 8'192}),
    model("deepseek-coder", "deepseek", {.in = 0.14_m, .out = 0.28_m, .read = 0.014_m}, {128'000, 4'096}),
    model("deepseek-r1", "deepseek", {.in = 0.55_m, .out = 2.19_m, .read = 0.14_m}, {65'536, 8'192}),
    model("deepseek-reasoner", "deepseek", {.in = 0.28_m, .out = 0.42_m, .read = 0.028_m}, {131'072, 65'536}),
    model("deepseek-v3", "deepseek", {.in = 0.27_m, .out = 1.1_m, .read = 0.07_m, .write = 0_m}, {65'536, 8'192}),
    model("deepseek-v3.2", "deepseek", {.in = 0.28_m, .out = 0.4_m, .read = 0.028_m}, {163'840, 163'840}),
    model("deepseek-v4-flash", "deepseek", {.in = 0.14_m, .out = 0.28_m, .read = 0.0028_m, .write = 0_m},
          {1'000'000, 8'192}),
    model("deepseek-v4-pro", "deepseek", {.in = 0.435_m, .out = 0.87_m, .read = 0.003625_m, .write = 0_m},
          {1'000'000, 8'192}),

    // Mistral
    model("codestral-latest codestral-2405", "mistral", {.in = 1_m, .out = 3_m}, {32'000, 8'191}),
    model("codestral-mamba-latest open-codestral-mamba", "mistral", {.in = 0.25_m, .out = 0.25_m}, {256'000, 256'000}),
    model("devstral-small-latest labs-devstral-small-2512", "mistral", {.in = 0.1_m, .out = 0.3_m}, {256'000, 256'000}),
    model("devstral-latest devstral-medium-latest devstral-2512", "mistral", {.in = 0.4_m, .out = 2_m},
          {256'000, 256'000}),
    model("magistral-medium-latest magistral-medium-2506 magistral-medium-2509 magistral-medium-1-2-2509", "mistral",
          {.in = 2_m, .out = 5_m}, {40'000, 40'000}),
    model("magistral-small-latest magistral-small-2506 magistral-small-1-2-2509", "mistral",
          {.in = 0.5_m, .out = 1.5_m}, {40'000, 40'000}),
    model("mistral-embed", "mistral", {.in = 0.1_m, .out = 0.1_m}, {8'192, 8'192}),
    model("codestral-embed codestral-embed-2505", "mistral", {.in = 0.15_m, .out = 0.15_m}, {8'192, 8'192}),
    model("mistral-large-latest mistral-large-3 mistral-large-2512", "mistral", {.in = 0.5_m, .out = 1.5_m},
          {262'144, 262'144}),
    model("mistral-medium mistral-medium-2312", "mistral", {.in = 2.7_m, .out = 8.1_m}, {32'000, 8'191}),
    model("mistral-medium-latest mistral-medium-3-5 mistral-medium-2604", "mistral", {.in = 1.5_m, .out = 7.5_m},
          {262'144, 262'144}),
    model("mistral-small", "mistral", {.in = 0.1_m, .out = 0.3_m}, {32'000, 8'191}),
    model("mistral-small-latest mistral-small-3-2-2506", "mistral", {.in = 0.06_m, .out = 0.18_m}, {131'072, 131'072}),
    model("ministral-8b-latest ministral-3-8b-2512 ministral-8b-2512", "mistral", {.in = 0.15_m, .out = 0.15_m},
          {262'144, 262'144}),
    model("mistral-tiny open-mistral-7b", "mistral", {.in = 0.25_m, .out = 0.25_m}, {32'000, 8'191}),
    model("open-mistral-nemo open-mistral-nemo-2407", "mistral", {.in = 0.3_m, .out = 0.3_m}, {128'000, 128'000}),
    model("open-mixtral-8x22b", "mistral", {.in = 2_m, .out = 6_m}, {65'336, 8'191}),
    model("open-mixtral-8x7b", "mistral", {.in = 0.7_m, .out = 0.7_m}, {32'000, 8'191}),
    model("pixtral-large-latest mistral-large-2411 pixtral-large-2411", "mistral", {.in = 2_m, .out = 6_m},
          {128'000, 128'000}),
    model("codestral-2508", "mistral", {.in = 0.3_m, .out = 0.9_m}, {256'000, 256'000}),
    model("devstral-medium-2507", "mistral", {.in = 0.4_m, .out = 2_m}, {128'000, 128'000}),
    model("devstral-small-2505 devstral-small-2507", "mistral", {.in = 0.1_m, .out = 0.3_m}, {128'000, 128'000}),
    model("mistral-large-2402", "mistral", {.in = 4_m, .out = 12_m}, {32'000, 8'191}),
    model("mistral-large-2407", "mistral", {.in = 3_m, .out = 9_m}, {128'000, 128'000}),
    model("mistral-medium-2505", "mistral", {.in = 0.4_m, .out = 2_m}, {131'072, 8'191}),
    model("mistral-medium-2508 mistral-medium-3-1-2508", "mistral", {.in = 0.4_m, .out = 2_m}, {131'072, 131'072}),
    model("ministral-3-3b-2512", "mistral", {.in = 0.1_m, .out = 0.1_m}, {131'072, 131'072}),
    model("ministral-3-14b-2512", "mistral", {.in = 0.2_m, .out = 0.2_m}, {262'144, 262'144}),
    model("pixtral-12b-2409", "mistral", {.in = 0.15_m, .out = 0.15_m}, {128'000, 128'000}),

    // Cohere
    model("command command-nightly", "cohere", {.in = 1_m, .out = 2_m}, {4'096, 4'096}),
    model("command-light", "cohere", {.in = 0.3_m, .out = 0.6_m}, {4'096, 4'096}),
    model("command-r command-r-08-2024", "cohere", {.in = 0.15_m, .out = 0.6_m}, {128'000, 4'096}),
    model("command-r-plus command-r-plus-08-2024", "cohere", {.in = 2.5_m, .out = 10_m}, {128'000, 4'096}),
    model("embed-english-light-v2.0 embed-english-light-v3.0 embed-english-v3.0 embed-multilingual-v3.0", "cohere",
          {.in = 0.1_m, .out = 0_m}, {1'024, 1'024}),
    model("embed-english-v2.0", "cohere", {.in = 0.1_m, .out = 0_m}, {4'096, 4'096}),
    model("embed-multilingual-v2.0", "cohere", {.in = 0.1_m, .out = 0_m}, {768, 768}),
    model("embed-multilingual-light-v3.0", "cohere", {.in = 100_m, .out = 0_m}, {1'024, 1'024}),
    model("command-a-03-2025", "cohere", {.in = 2.5_m, .out = 10_m}, {256'000, 8'000}),
    model("command-r7b-12-2024", "cohere", {.in = 0.0375_m, .out = 0.15_m}, {128'000, 4'096}),
    model("embed-v4.0", "cohere", {.in = 0.12_m, .out = 0_m}, {128'000, 128'000}),

    // Amazon Bedrock
    model("amazon.nova-lite-v1:0 us.amazon.nova-lite-v1:0", "bedrock", {.in = 0.06_m, .out = 0.24_m},
          {300'000, 10'000}),
    model("amazon.nova-2-lite-v1:0", "bedrock", {.in = 0.3_m, .out = 2.5_m, .read = 0.075_m}, {1'000'000, 64'000}),
    model("apac.amazon.nova-2-lite-v1:0 eu.amazon.nova-2-lite-v1:0 us.amazon.nova-2-lite-v1:0", "bedrock",
          {.in = 0.33_m, .out = 2.75_m, .read = 0.0825_m}, {1'000'000, 64'000}),
    model("amazon.nova-2-multimodal-embeddings-v1:0", "bedrock", {.in = 0.135_m, .out = 0_m}, {8'172, 8'172}),
    model("amazon.nova-micro-v1:0 us.amazon.nova-micro-v1:0", "bedrock", {.in = 0.035_m, .out = 0.14_m},
          {128'000, 10'000}),
    model("amazon.nova-pro-v1:0 us.amazon.nova-pro-v1:0", "bedrock", {.in = 0.8_m, .out = 3.2_m}, {300'000, 10'000}),
    model("amazon.titan-embed-image-v1", "bedrock", {.in = 0.8_m, .out = 0_m}, {128, 128}),
    model("amazon.titan-embed-text-v1 amazon.titan-embed-g1-text-02 "
          "bedrock/us-gov-east-1/amazon.titan-embed-text-v1 "
          "bedrock/us-gov-west-1/amazon.titan-embed-text-v1",
          "bedrock", {.in = 0.1_m, .out = 0_m}, {8'192, 8'192}),
    model("amazon.titan-embed-text-v2:0", "bedrock", {.in = 0.02_m, .out = 0_m}, {8'192, 8'192}),
    model("anthropic.claude-instant-v1", "bedrock", {.in = 0.8_m, .out = 2.4_m}, {100'000, 8'191}),
    model("us.anthropic.claude-opus-4-6-v1 eu.anthropic.claude-opus-4-6-v1 au.anthropic.claude-opus-4-6-v1 "
          "us.anthropic.claude-opus-4-7 eu.anthropic.claude-opus-4-7 au.anthropic.claude-opus-4-7 "
          "us.anthropic.claude-opus-5 eu.anthropic.claude-opus-5 au.anthropic.claude-opus-5 "
          "jp.anthropic.claude-opus-5 us.anthropic.claude-opus-4-8 eu.anthropic.claude-opus-4-8 "
          "au.anthropic.claude-opus-4-8 jp.anthropic.claude-opus-4-8",
          "bedrock", {.in = 5.5_m, .out = 27.5_m, .read = 0.55_m, .write = 6.875_m, .write_1h = 11_m},
          {1'000'000, 128'000}, 0.01_usd),
    model("us.anthropic.claude-fable-5 eu.anthropic.claude-fable-5", "bedrock",
          {.in = 11_m, .out = 55_m, .read = 1.1_m, .write = 13.75_m, .write_1h = 22_m}, {1'000'000, 128'000}, 0.01_usd),
    model("jp.anthropic.claude-opus-4-7", "bedrock", {.in = 5.5_m, .out = 27.5_m, .read = 0.55_m, .write = 6.875_m},
          {1'000'000, 128'000}, 0.01_usd),
    model("us.anthropic.claude-sonnet-5 eu.anthropic.claude-sonnet-5 au.anthropic.claude-sonnet-5 "
          "jp.anthropic.claude-sonnet-5",
          "bedrock", {.in = 2.2_m, .out = 11_m, .read = 0.22_m, .write = 2.75_m, .write_1h = 4.4_m},
          {1'000'000, 128'000}, 0.01_usd),
    model("us.anthropic.claude-sonnet-4-6 eu.anthropic.claude-sonnet-4-6 au.anthropic.claude-sonnet-4-6 "
          "jp.anthropic.claude-sonnet-4-6",
          "bedrock", {.in = 3.3_m, .out = 16.5_m, .read = 0.33_m, .write = 4.125_m, .write_1h = 6.6_m},
          {1'000'000, 64'000}, 0.01_usd),
    model("anthropic.claude-v1 anthropic.claude-v2:1", "bedrock", {.in = 8_m, .out = 24_m}, {100'000, 8'191}),
    model("apac.amazon.nova-lite-v1:0", "bedrock", {.in = 0.063_m, .out = 0.252_m}, {300'000, 10'000}),
    model("apac.amazon.nova-micro-v1:0", "bedrock", {.in = 0.037_m, .out = 0.148_m}, {128'000, 10'000}),
    model("apac.amazon.nova-pro-v1:0", "bedrock", {.in = 0.84_m, .out = 3.36_m}, {300'000, 10'000}),
    model("cohere.command-light-text-v14", "bedrock", {.in = 0.3_m, .out = 0.6_m}, {4'096, 4'096}),
    model("cohere.command-r-plus-v1:0", "bedrock", {.in = 3_m, .out = 15_m}, {128'000, 4'096}),
    model("cohere.command-r-v1:0", "bedrock", {.in = 0.5_m, .out = 1.5_m}, {128'000, 4'096}),
    model("cohere.command-text-v14", "bedrock", {.in = 1.5_m, .out = 2_m}, {4'096, 4'096}),
    model("cohere.embed-english-v3 cohere.embed-multilingual-v3", "bedrock", {.in = 0.1_m, .out = 0_m}, {512, 512}),
    model("cohere.embed-v4:0", "bedrock", {.in = 0.12_m, .out = 0_m}, {128'000, 128'000}),
    model("deepseek.v3-v1:0", "bedrock", {.in = 0.58_m, .out = 1.68_m}, {163'840, 81'920}),
    model("deepseek.v3.2 us.deepseek.v3.2", "bedrock", {.in = 0.62_m, .out = 1.85_m}, {163'840, 163'840}),
    model("eu.amazon.nova-lite-v1:0", "bedrock", {.in = 0.078_m, .out = 0.312_m}, {300'000, 10'000}),
    model("eu.amazon.nova-micro-v1:0", "bedrock", {.in = 0.046_m, .out = 0.184_m}, {128'000, 10'000}),
    model("eu.amazon.nova-pro-v1:0", "bedrock", {.in = 1.05_m, .out = 4.2_m}, {300'000, 10'000}),
    model("eu.meta.llama3-2-1b-instruct-v1:0", "bedrock", {.in = 0.13_m, .out = 0.13_m}, {128'000, 4'096}),
    model("eu.meta.llama3-2-3b-instruct-v1:0", "bedrock", {.in = 0.19_m, .out = 0.19_m}, {128'000, 4'096}),
    model("meta.llama3-1-405b-instruct-v1:0 us.meta.llama3-1-405b-instruct-v1:0", "bedrock",
          {.in = 5.32_m, .out = 16_m}, {128'000, 4'096}),
    model("meta.llama3-1-70b-instruct-v1:0 us.meta.llama3-1-70b-instruct-v1:0", "bedrock",
          {.in = 0.99_m, .out = 0.99_m}, {128'000, 2'048}),
    model("meta.llama3-1-8b-instruct-v1:0 us.meta.llama3-1-8b-instruct-v1:0", "bedrock", {.in = 0.22_m, .out = 0.22_m},
          {128'000, 2'048}),
    model("meta.llama3-2-11b-instruct-v1:0 us.meta.llama3-2-11b-instruct-v1:0", "bedrock",
          {.in = 0.35_m, .out = 0.35_m}, {128'000, 4'096}),
    model("meta.llama3-2-1b-instruct-v1:0 us.meta.llama3-2-1b-instruct-v1:0", "bedrock", {.in = 0.1_m, .out = 0.1_m},
          {128'000, 4'096}),
    model("meta.llama3-2-3b-instruct-v1:0 us.meta.llama3-2-3b-instruct-v1:0", "bedrock", {.in = 0.15_m, .out = 0.15_m},
          {128'000, 4'096}),
    model("meta.llama3-2-90b-instruct-v1:0 us.meta.llama3-2-90b-instruct-v1:0", "bedrock", {.in = 2_m, .out = 2_m},
          {128'000, 4'096}),
    model("meta.llama3-3-70b-instruct-v1:0 us.meta.llama3-3-70b-instruct-v1:0", "bedrock",
          {.in = 0.72_m, .out = 0.72_m}, {128'000, 4'096}),
    model("meta.llama3-70b-instruct-v1:0", "bedrock", {.in = 2.65_m, .out = 3.5_m}, {8'192, 8'192}),
    model("meta.llama3-8b-instruct-v1:0", "bedrock", {.in = 0.3_m, .out = 0.6_m}, {8'192, 8'192}),
    model("meta.llama4-maverick-17b-instruct-v1:0 us.meta.llama4-maverick-17b-instruct-v1:0", "bedrock",
          {.in = 0.24_m, .out = 0.97_m}, {128'000, 4'096}),
    tier("batch", {.in = 0.12_m, .out = 0.485_m}),
    model("meta.llama4-scout-17b-instruct-v1:0 us.meta.llama4-scout-17b-instruct-v1:0", "bedrock",
          {.in = 0.17_m, .out = 0.66_m}, {128'000, 4'096}),
    tier("batch", {.in = 0.085_m, .out = 0.33_m}),
    model("mistral.devstral-2-123b", "bedrock", {.in = 0.4_m, .out = 2_m}, {256'000, 8'192}),
    model("mistral.ministral-3-14b-instruct", "bedrock", {.in = 0.2_m, .out = 0.2_m}, {128'000, 8'192}),
    model("mistral.ministral-3-3b-instruct", "bedrock", {.in = 0.1_m, .out = 0.1_m}, {128'000, 8'192}),
    model("mistral.ministral-3-8b-instruct", "bedrock", {.in = 0.15_m, .out = 0.15_m}, {128'000, 8'192}),
    model("mistral.mistral-7b-instruct-v0:2", "bedrock", {.in = 0.15_m, .out = 0.2_m}, {32'000, 8'191}),
    model("mistral.mistral-large-3-675b-instruct mistral.magistral-small-2509", "bedrock", {.in = 0.5_m, .out = 1.5_m},
          {128'000, 8'192}),
    model("mistral.mixtral-8x7b-instruct-v0:1", "bedrock", {.in = 0.45_m, .out = 0.7_m}, {32'000, 8'191}),
    model("openai.gpt-oss-120b-1:0", "bedrock", {.in = 0.15_m, .out = 0.6_m}, {128'000, 128'000}),
    model("openai.gpt-oss-20b-1:0", "bedrock", {.in = 0.07_m, .out = 0.3_m}, {128'000, 128'000}),
    model("openai.gpt-oss-safeguard-120b", "bedrock", {.in = 0.15_m, .out = 0.6_m}, {128'000, 8'192}),
    model("openai.gpt-oss-safeguard-20b", "bedrock", {.in = 0.07_m, .out = 0.2_m}, {128'000, 8'192}),
    model("qwen.qwen3-coder-480b-a35b-v1:0", "bedrock", {.in = 0.22_m, .out = 1.8_m}, {262'000, 65'536}),
    model("qwen.qwen3-coder-30b-a3b-v1:0", "bedrock", {.in = 0.15_m, .out = 0.6_m}, {262'144, 131'072}),
    model("qwen.qwen3-32b-v1:0", "bedrock", {.in = 0.15_m, .out = 0.6_m}, {131'072, 16'384}),
    model("qwen.qwen3-next-80b-a3b", "bedrock", {.in = 0.15_m, .out = 1.2_m}, {128'000, 8'192}),
    model("qwen.qwen3-vl-235b-a22b", "bedrock", {.in = 0.53_m, .out = 2.66_m}, {128'000, 8'192}),
    model("qwen.qwen3-coder-next", "bedrock", {.in = 0.5_m, .out = 1.2_m}, {262'144, 8'192}),
    model("us.amazon.nova-premier-v1:0", "bedrock", {.in = 2.5_m, .out = 12.5_m}, {1'000'000, 10'000}),
    model("us.deepseek.r1-v1:0", "bedrock", {.in = 1.35_m, .out = 5.4_m}, {128'000, 4'096}),
    model("eu.deepseek.v3.2 bedrock/ap-northeast-1/deepseek.v3.2 bedrock/ap-south-1/deepseek.v3.2 "
          "bedrock/ap-southeast-3/deepseek.v3.2 bedrock/eu-north-1/deepseek.v3.2 "
          "bedrock/sa-east-1/deepseek.v3.2",
          "bedrock", {.in = 0.74_m, .out = 2.22_m}, {163'840, 163'840}),
    model("amazon.nova-2-pro-preview-20251202-v1:0 apac.amazon.nova-2-pro-preview-20251202-v1:0 "
          "eu.amazon.nova-2-pro-preview-20251202-v1:0 us.amazon.nova-2-pro-preview-20251202-v1:0",
          "bedrock", {.in = 2.1875_m, .out = 17.5_m, .read = 0.546875_m}, {1'000'000, 64'000}),
    model("anthropic.claude-3-5-haiku-20241022-v1:0 us.anthropic.claude-3-5-haiku-20241022-v1:0", "bedrock",
          {.in = 0.8_m, .out = 4_m, .read = 0.08_m, .write = 1_m}, {200'000, 8'192}),
    model("anthropic.claude-haiku-4-5@20251001", "anthropic",
          {.in = 1_m, .out = 5_m, .read = 0.1_m, .write = 1.25_m, .write_1h = 2_m}, {200'000, 64'000}),
    model("anthropic.claude-3-5-sonnet-20240620-v1:0", "bedrock",
          {.in = 3_m, .out = 15_m, .read = 0.3_m, .write = 3.75_m}, {1'000'000, 4'096}),
    above(200'000, {.in = 6_m, .out = 30_m, .read = 0.6_m, .write = 7.5_m}),
    model("anthropic.claude-3-5-sonnet-20241022-v2:0", "bedrock",
          {.in = 3_m, .out = 15_m, .read = 0.3_m, .write = 3.75_m}, {1'000'000, 8'192}),
    above(200'000, {.in = 6_m, .out = 30_m, .read = 0.6_m, .write = 7.5_m}),
    model("anthropic.claude-3-7-sonnet-20240620-v1:0 "
          "bedrock/us-gov-east-1/anthropic.claude-3-5-sonnet-20240620-v1:0 "
          "bedrock/us-gov-west-1/anthropic.claude-3-7-sonnet-20250219-v1:0 "
          "bedrock/us-gov-west-1/anthropic.claude-3-5-sonnet-20240620-v1:0",
          "bedrock", {.in = 3.6_m, .out = 18_m, .read = 0.36_m, .write = 4.5_m}, {200'000, 8'192}),
    model("anthropic.claude-3-7-sonnet-20250219-v1:0 apac.anthropic.claude-3-5-sonnet-20241022-v2:0 "
          "eu.anthropic.claude-3-5-sonnet-20241022-v2:0 eu.anthropic.claude-3-7-sonnet-20250219-v1:0 "
          "us.anthropic.claude-3-5-sonnet-20241022-v2:0 us.anthropic.claude-3-7-sonnet-20250219-v1:0",
          "bedrock", {.in = 3_m, .out = 15_m, .read = 0.3_m, .write = 3.75_m}, {200'000, 8'192}),
    model("anthropic.claude-3-haiku-20240307-v1:0 apac.anthropic.claude-3-haiku-20240307-v1:0 "
          "eu.anthropic.claude-3-haiku-20240307-v1:0 us.anthropic.claude-3-haiku-20240307-v1:0",
          "bedrock", {.in = 0.25_m, .out = 1.25_m, .read = 0.025_m, .write = 0.3125_m}, {200'000, 4'096}),
    model("anthropic.claude-3-opus-20240229-v1:0 eu.anthropic.claude-3-opus-20240229-v1:0 "
          "us.anthropic.claude-3-opus-20240229-v1:0",
          "bedrock", {.in = 15_m, .out = 75_m, .read = 1.5_m, .write = 18.75_m}, {200'000, 4'096}),
    model("anthropic.claude-3-sonnet-20240229-v1:0 apac.anthropic.claude-3-5-sonnet-20240620-v1:0 "
          "apac.anthropic.claude-3-sonnet-20240229-v1:0 eu.anthropic.claude-3-5-sonnet-20240620-v1:0 "
          "eu.anthropic.claude-3-sonnet-20240229-v1:0 us.anthropic.claude-3-5-sonnet-20240620-v1:0 "
          "us.anthropic.claude-3-sonnet-20240229-v1:0 bedrock/invoke/anthropic.claude-3-5-sonnet-20240620-v1:0",
          "bedrock", {.in = 3_m, .out = 15_m, .read = 0.3_m, .write = 3.75_m}, {200'000, 4'096}),
    model("anthropic.claude-opus-4-1-20250805-v1:0 anthropic.claude-opus-4-20250514-v1:0 "
          "eu.anthropic.claude-opus-4-1-20250805-v1:0 eu.anthropic.claude-opus-4-20250514-v1:0 "
          "us.anthropic.claude-opus-4-1-20250805-v1:0 us.anthropic.claude-opus-4-20250514-v1:0",
          "bedrock", {.in = 15_m, .out = 75_m, .read = 1.5_m, .write = 18.75_m}, {200'000, 32'000}, 0.01_usd),
    model("anthropic.claude-sonnet-4-20250514-v1:0 apac.anthropic.claude-sonnet-4-20250514-v1:0 "
          "eu.anthropic.claude-sonnet-4-20250514-v1:0 us.anthropic.claude-sonnet-4-20250514-v1:0",
          "bedrock", {.in = 3_m, .out = 15_m, .read = 0.3_m, .write = 3.75_m}, {1'000'000, 64'000}, 0.01_usd),
    above(200'000, {.in = 6_m, .out = 22.5_m, .read = 0.6_m, .write = 7.5_m}),
    model("apac.anthropic.claude-haiku-4-5-20251001-v1:0", "bedrock",
          {.in = 1.1_m, .out = 5.5_m, .read = 0.11_m, .write = 1.375_m}, {200'000, 64'000}),
    model("au.anthropic.claude-sonnet-4-5-20250929-v1:0 eu.anthropic.claude-sonnet-4-5-20250929-v1:0 "
          "jp.anthropic.claude-sonnet-4-5-20250929-v1:0 us.anthropic.claude-sonnet-4-5-20250929-v1:0",
          "bedrock", {.in = 3.3_m, .out = 16.5_m, .read = 0.33_m, .write = 4.125_m, .write_1h = 6.6_m},
          {200'000, 64'000}, 0.01_usd),
    above(200'000, {.in = 6.6_m, .out = 24.75_m, .read = 0.66_m, .write = 8.25_m, .write_1h = 13.2_m}),
    model("eu.anthropic.claude-3-5-haiku-20241022-v1:0", "bedrock",
          {.in = 0.25_m, .out = 1.25_m, .read = 0.025_m, .write = 0.3125_m}, {200'000, 8'192}),
    model("eu.anthropic.claude-haiku-4-5-20251001-v1:0 jp.anthropic.claude-haiku-4-5-20251001-v1:0 "
          "us.anthropic.claude-haiku-4-5-20251001-v1:0 au.anthropic.claude-haiku-4-5-20251001-v1:0",
          "bedrock", {.in = 1.1_m, .out = 5.5_m, .read = 0.11_m, .write = 1.375_m, .write_1h = 2.2_m},
          {200'000, 64'000}),
    model("eu.mistral.pixtral-large-2502-v1:0 us.mistral.pixtral-large-2502-v1:0", "bedrock", {.in = 2_m, .out = 6_m},
          {128'000, 4'096}),
    model("mistral.mistral-large-2402-v1:0", "bedrock", {.in = 8_m, .out = 24_m}, {32'000, 8'191}),
    model("mistral.mistral-large-2407-v1:0", "bedrock", {.in = 3_m, .out = 9_m}, {128'000, 8'191}),
    model("mistral.mistral-small-2402-v1:0", "bedrock", {.in = 1_m, .out = 3_m}, {32'000, 8'191}),
    model("mistral.voxtral-mini-3b-2507", "bedrock", {.in = 0.04_m, .out = 0.04_m}, {128'000, 8'192}),
    model("mistral.voxtral-small-24b-2507", "bedrock", {.in = 0.1_m, .out = 0.3_m}, {128'000, 8'192}),
    model("qwen.qwen3-235b-a22b-2507-v1:0", "bedrock", {.in = 0.22_m, .out = 0.88_m}, {262'144, 131'072}),
    model("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock",
          {.in = 3.6_m, .out = 18_m, .read = 0.36_m, .write = 4.5_m, .write_1h = 7.2_m}, {200'000, 64'000}),
    above(200'000, {.in = 7.2_m, .out = 27_m, .read = 0.72_m, .write = 9_m, .write_1h = 14.4_m}),
    model("us.anthropic.claude-opus-4-5-20251101-v1:0", "bedrock",
          {.in = 5.5_m, .out = 27.5_m, .read = 0.55_m, .write = 6.875_m, .write_1h = 11_m}, {200'000, 64'000},
          0.01_usd),
    model("eu.anthropic.claude-opus-4-5-20251101-v1:0", "bedrock",
          {.in = 5_m, .out = 25_m, .read = 0.5_m, .write = 6.25_m}, {200'000, 64'000}, 0.01_usd),
    model("bedrock/us-gov-east-1/amazon.nova-pro-v1:0 bedrock/us-gov-west-1/amazon.nova-pro-v1:0", "bedrock",
          {.in = 0.96_m, .out = 3.84_m}, {300'000, 10'000}),
    model("bedrock/us-gov-east-1/amazon.titan-embed-text-v2:0 "
          "bedrock/us-gov-west-1/amazon.titan-embed-text-v2:0",
          "bedrock", {.in = 0.2_m, .out = 0_m}, {8'192, 8'192}),
    model("bedrock/us-gov-east-1/meta.llama3-70b-instruct-v1:0 "
          "bedrock/us-gov-west-1/meta.llama3-70b-instruct-v1:0",
          "bedrock", {.in = 2.65_m, .out = 3.5_m}, {8'000, 2'048}),
    model("bedrock/us-gov-east-1/meta.llama3-8b-instruct-v1:0 "
          "bedrock/us-gov-west-1/meta.llama3-8b-instruct-v1:0",
          "bedrock", {.in = 0.3_m, .out = 2.65_m}, {8'000, 2'048}),
    model("bedrock/us-gov-east-1/anthropic.claude-3-haiku-20240307-v1:0 "
          "bedrock/us-gov-west-1/anthropic.claude-3-haiku-20240307-v1:0",
          "bedrock", {.in = 0.3_m, .out = 1.5_m, .read = 0.03_m, .write = 0.375_m}, {200'000, 4'096}),
    model("bedrock/us-gov-east-1/anthropic.claude-sonnet-4-5-20250929-v1:0 "
          "bedrock/us-gov-west-1/anthropic.claude-sonnet-4-5-20250929-v1:0",
          "bedrock", {.in = 3.6_m, .out = 18_m, .read = 0.36_m, .write = 4.5_m, .write_1h = 7.2_m}, {200'000, 8'192}),
    model("bedrock/us-gov-east-1/anthropic.claude-haiku-4-5-20251001-v1:0 "
          "bedrock/us-gov-west-1/anthropic.claude-haiku-4-5-20251001-v1:0",
          "bedrock", {.in = 1.2_m, .out = 6_m, .read = 0.12_m, .write = 1.5_m, .write_1h = 2.4_m}, {200'000, 64'000}),
    model("bedrock/ap-northeast-1/anthropic.claude-instant-v1", "bedrock", {.in = 2.23_m, .out = 7.55_m},
          {100'000, 8'191}),
    model("bedrock/ap-northeast-1/qwen.qwen3-coder-next bedrock/ap-south-1/qwen.qwen3-coder-next "
          "bedrock/ap-southeast-3/qwen.qwen3-coder-next bedrock/eu-central-1/qwen.qwen3-coder-next "
          "bedrock/eu-west-1/qwen.qwen3-coder-next bedrock/eu-south-1/qwen.qwen3-coder-next "
          "bedrock/sa-east-1/qwen.qwen3-coder-next",
          "bedrock", {.in = 0.6_m, .out = 1.44_m}, {262'144, 8'192}),
    model("bedrock/ap-south-1/meta.llama3-70b-instruct-v1:0", "bedrock", {.in = 3.18_m, .out = 4.2_m}, {8'192, 8'192}),
    model("bedrock/ap-south-1/meta.llama3-8b-instruct-v1:0", "bedrock", {.in = 0.36_m, .out = 0.72_m}, {8'192, 8'192}),
    model("bedrock/ca-central-1/meta.llama3-70b-instruct-v1:0", "bedrock", {.in = 3.05_m, .out = 4.03_m},
          {8'192, 8'192}),
    model("bedrock/ca-central-1/meta.llama3-8b-instruct-v1:0", "bedrock", {.in = 0.35_m, .out = 0.69_m},
          {8'192, 8'192}),
    model("bedrock/eu-central-1/anthropic.claude-instant-v1", "bedrock", {.in = 2.48_m, .out = 8.38_m},
          {100'000, 8'191}),
    model("bedrock/eu-west-1/meta.llama3-70b-instruct-v1:0", "bedrock", {.in = 2.86_m, .out = 3.78_m}, {8'192, 8'192}),
    model("bedrock/eu-west-1/meta.llama3-8b-instruct-v1:0", "bedrock", {.in = 0.32_m, .out = 0.65_m}, {8'192, 8'192}),
    model("bedrock/eu-west-2/meta.llama3-70b-instruct-v1:0", "bedrock", {.in = 3.45_m, .out = 4.55_m}, {8'192, 8'192}),
    model("bedrock/eu-west-2/meta.llama3-8b-instruct-v1:0", "bedrock", {.in = 0.39_m, .out = 0.78_m}, {8'192, 8'192}),
    model("bedrock/eu-west-2/qwen.qwen3-coder-next", "bedrock", {.in = 0.78_m, .out = 1.86_m}, {262'144, 8'192}),
    model("bedrock/eu-west-3/mistral.mistral-7b-instruct-v0:2", "bedrock", {.in = 0.2_m, .out = 0.26_m},
          {32'000, 8'191}),
    model("bedrock/eu-west-3/mistral.mistral-large-2402-v1:0", "bedrock", {.in = 10.4_m, .out = 31.2_m},
          {32'000, 8'191}),
    model("bedrock/eu-west-3/mistral.mixtral-8x7b-instruct-v0:1", "bedrock", {.in = 0.59_m, .out = 0.91_m},
          {32'000, 8'191}),
    model("bedrock/sa-east-1/meta.llama3-70b-instruct-v1:0", "bedrock", {.in = 4.45_m, .out = 5.88_m}, {8'192, 8'192}),
    model("bedrock/sa-east-1/meta.llama3-8b-instruct-v1:0", "bedrock", {.in = 0.5_m, .out = 1.01_m}, {8'192, 8'192}),

    // Groq, Perplexity, Moonshot, and OpenRouter's and others' own rates
    model("groq/llama-3.1-8b-instant", "groq", {.in = 0.05_m, .out = 0.08_m}, {128'000, 8'192}),
    model("groq/llama-3.3-70b-versatile", "groq", {.in = 0.59_m, .out = 0.79_m}, {128'000, 32'768}),
    model("groq/gemma-7b-it", "groq", {.in = 0.05_m, .out = 0.08_m}, {8'192, 8'192}),
    model("groq/meta-llama/llama-guard-4-12b", "groq", {.in = 0.2_m, .out = 0.2_m}, {8'192, 8'192}),
    model("groq/meta-llama/llama-4-maverick-17b-128e-instruct", "groq", {.in = 0.2_m, .out = 0.6_m}, {131'072, 8'192}),
    model("groq/meta-llama/llama-4-scout-17b-16e-instruct", "groq", {.in = 0.11_m, .out = 0.34_m}, {131'072, 8'192}),
    model("groq/openai/gpt-oss-120b", "groq", {.in = 0.15_m, .out = 0.6_m, .read = 0.075_m}, {131'072, 32'766}),
    model("groq/openai/gpt-oss-20b", "groq", {.in = 0.075_m, .out = 0.3_m, .read = 0.0375_m}, {131'072, 32'768}),
    model("groq/openai/gpt-oss-safeguard-20b", "groq", {.in = 0.075_m, .out = 0.3_m, .read = 0.037_m},
          {131'072, 65'536}),
    model("groq/qwen/qwen3-32b", "groq", {.in = 0.29_m, .out = 0.59_m}, {131'000, 131'000}),
    model("groq/moonshotai/kimi-k2-instruct-0905", "groq", {.in = 1_m, .out = 3_m, .read = 0.5_m}, {262'144, 16'384}),
    // A search at Perplexity's medium size of context; citations are input.
    model("perplexity/sonar", "perplexity", {.in = 1_m, .out = 1_m}, {128'000, 0}, 0.008_usd),
    model("perplexity/sonar-pro", "perplexity", {.in = 3_m, .out = 15_m}, {200'000, 8'000}, 0.01_usd),
    model("perplexity/sonar-reasoning", "perplexity", {.in = 1_m, .out = 5_m}, {128'000, 0}, 0.008_usd),
    model("perplexity/sonar-reasoning-pro", "perplexity", {.in = 2_m, .out = 8_m}, {128'000, 0}, 0.01_usd),
    model("perplexity/sonar-deep-research", "perplexity", {.in = 2_m, .out = 8_m, .reasoning = 3_m}, {128'000, 0},
          0.005_usd),
    model("moonshot/kimi-k2.5", "moonshot", {.in = 0.6_m, .out = 3_m, .read = 0.1_m}, {262'144, 262'144}),
    model("moonshot/kimi-k2.6", "moonshot", {.in = 0.95_m, .out = 4_m, .read = 0.16_m}, {262'144, 262'144}),
    model("moonshot/kimi-k2-0711-preview", "moonshot", {.in = 0.6_m, .out = 2.5_m, .read = 0.15_m}, {131'072, 131'072}),
    model("moonshot/kimi-k2-0905-preview moonshot/kimi-k2-thinking", "moonshot",
          {.in = 0.6_m, .out = 2.5_m, .read = 0.15_m}, {262'144, 262'144}),
    model("moonshot/kimi-k2-turbo-preview moonshot/kimi-k2-thinking-turbo", "moonshot",
          {.in = 1.15_m, .out = 8_m, .read = 0.15_m}, {262'144, 262'144}),
    model("moonshot/kimi-latest moonshot/kimi-latest-128k", "moonshot", {.in = 2_m, .out = 5_m, .read = 0.15_m},
          {131'072, 131'072}),
    model("moonshot/moonshot-v1-8k", "moonshot", {.in = 0.2_m, .out = 2_m}, {8'192, 8'192}),
    model("moonshot/moonshot-v1-32k", "moonshot", {.in = 1_m, .out = 3_m}, {32'768, 32'768}),
    model("moonshot/moonshot-v1-128k moonshot/moonshot-v1-auto", "moonshot", {.in = 2_m, .out = 5_m},
          {131'072, 131'072}),
    model("openrouter/anthropic/claude-sonnet-4.5", "openrouter",
          {.in = 3_m, .out = 15_m, .read = 0.3_m, .write = 3.75_m}, {1'000'000, 1'000'000}),
    above(200'000, {.in = 6_m, .out = 22.5_m, .read = 0.6_m, .write = 7.5_m}),
    model("openrouter/deepseek/deepseek-chat", "openrouter", {.in = 0.14_m, .out = 0.28_m}, {65'536, 8'192}),
    model("openrouter/google/gemini-2.5-flash", "openrouter", {.in = 0.3_m, .out = 2.5_m, .audio_in = 0.7_m},
          {1'048'576, 8'192}),
    model("openrouter/google/gemini-2.5-pro", "openrouter", {.in = 1.25_m, .out = 10_m, .audio_in = 0.7_m},
          {1'048'576, 8'192}),
    model("openrouter/google/gemini-3-pro-preview", "openrouter", {.in = 2_m, .out = 12_m, .read = 0.2_m},
          {1'048'576, 65'535}),
    above(200'000, {.in = 4_m, .out = 18_m, .read = 0.4_m, .write = 0.25_m}),
    tier("batch", {.in = 1_m, .out = 6_m}),
    tier_above("batch", 200'000, {.in = 2_m, .out = 9_m}),
    model("openrouter/google/gemini-3.1-pro-preview", "openrouter", {.in = 2_m, .out = 12_m, .read = 0.2_m},
          {1'048'576, 65'536}),
    above(200'000, {.in = 4_m, .out = 18_m, .read = 0.4_m, .write = 0.25_m}),
    model("openrouter/mistralai/devstral-2512", "openrouter", {.in = 0.15_m, .out = 0.6_m}, {262'144, 65'536}),
    model("openrouter/openai/gpt-3.5-turbo", "openrouter", {.in = 1.5_m, .out = 2_m}, {16'385, 4'096}),

    // Azure: what differs from OpenAI
    model("computer-use-preview", "azure", {.in = 3_m, .out = 12_m}, {8'192, 1'024}),
    model("azure/ada", "azure", {.in = 0.1_m, .out = 0_m}, {8'191, 8'191}),
    model("azure/codex-mini", "azure", {.in = 1.5_m, .out = 6_m, .read = 0.375_m}, {200'000, 100'000}),
    model("azure/command-r-plus", "azure", {.in = 3_m, .out = 15_m}, {128'000, 4'096}),
    model("azure/eu/gpt-5.1 azure/eu/gpt-5.1-codex azure/us/gpt-5.1 azure/us/gpt-5.1-codex", "azure",
          {.in = 1.38_m, .out = 11_m, .read = 0.14_m}, {272'000, 128'000}),
    model("azure/eu/gpt-5.1-chat azure/us/gpt-5.1-chat", "azure", {.in = 1.38_m, .out = 11_m, .read = 0.14_m},
          {128'000, 128'000}),
    model("azure/eu/gpt-5.1-codex-mini azure/us/gpt-5.1-codex-mini", "azure",
          {.in = 0.275_m, .out = 2.2_m, .read = 0.028_m}, {272'000, 128'000}),
    model("azure/global-standard/gpt-4o-mini", "azure", {.in = 0.15_m, .out = 0.6_m}, {128'000, 16'384}),
    model("azure/global/gpt-5.1-chat azure/gpt-5.1-chat", "azure", {.in = 1.25_m, .out = 10_m, .read = 0.125_m},
          {128'000, 128'000}),
    model("azure/gpt-35-turbo", "azure", {.in = 0.5_m, .out = 1.5_m}, {4'097, 4'096}),
    model("azure/gpt-35-turbo-16k azure/gpt-35-turbo-16k-0613", "azure", {.in = 3_m, .out = 4_m}, {16'385, 4'096}),
    model("azure/gpt-4-32k azure/gpt-4-32k-0613", "azure", {.in = 60_m, .out = 120_m}, {32'768, 4'096}),
    model("azure/gpt-4-turbo-vision-preview", "azure", {.in = 10_m, .out = 30_m}, {128'000, 4'096}),
    model("azure/gpt-4.5-preview", "azure", {.in = 75_m, .out = 150_m, .read = 37.5_m}, {128'000, 16'384}),
    tier("batch", {.in = 37.5_m, .out = 75_m}),
    model("azure/gpt-4o-mini azure/gpt-4o-mini-2024-07-18", "azure", {.in = 0.165_m, .out = 0.66_m, .read = 0.075_m},
          {128'000, 16'384}),
    model("azure/gpt-5.2-chat azure/gpt-5.3-chat azure/gpt-5.2-chat-2025-12-11", "azure",
          {.in = 1.75_m, .out = 14_m, .read = 0.175_m}, {128'000, 16'384}),
    tier("priority", {.in = 3.5_m, .out = 28_m, .read = 0.35_m}),
    model("azure/us/gpt-5.4 azure/eu/gpt-5.4 azure/us/gpt-5.4-2026-03-05 azure/eu/gpt-5.4-2026-03-05", "azure",
          {.in = 2.75_m, .out = 16.5_m, .read = 0.28_m}, {1'050'000, 128'000}),
    tier("priority", {.in = 5.5_m, .out = 33_m, .read = 0.55_m}),
    model("azure/gpt-5.6 azure/gpt-5.6-sol", "azure", {.in = 5_m, .out = 30_m, .read = 0.5_m}, {1'050'000, 128'000}),
    above(272'000, {.in = 10_m, .out = 45_m, .read = 1_m}),
    tier("priority", {.in = 10_m, .out = 60_m, .read = 1_m}),
    tier_above("priority", 272'000, {.in = 20_m, .out = 90_m, .read = 2_m}),
    model("azure/gpt-5.6-terra", "azure", {.in = 2.5_m, .out = 15_m, .read = 0.25_m}, {1'050'000, 128'000}),
    above(272'000, {.in = 5_m, .out = 22.5_m, .read = 0.5_m}),
    tier("priority", {.in = 5_m, .out = 30_m, .read = 0.5_m}),
    tier_above("priority", 272'000, {.in = 10_m, .out = 45_m, .read = 1_m}),
    model("azure/gpt-5.6-luna", "azure", {.in = 1_m, .out = 6_m, .read = 0.1_m}, {1'050'000, 128'000}),
    above(272'000, {.in = 2_m, .out = 9_m, .read = 0.2_m}),
    tier("priority", {.in = 2_m, .out = 12_m, .read = 0.2_m}),
    tier_above("priority", 272'000, {.in = 4_m, .out = 18_m, .read = 0.4_m}),
    model("azure/us/gpt-5.6 azure/us/gpt-5.6-sol azure/eu/gpt-5.6 azure/eu/gpt-5.6-sol", "azure",
          {.in = 5.5_m, .out = 33_m, .read = 0.55_m}, {1'050'000, 128'000}),
    above(272'000, {.in = 11_m, .out = 49.5_m, .read = 1.1_m}),
    tier("priority", {.in = 13.75_m, .out = 82.5_m, .read = 1.375_m}),
    tier_above("priority", 272'000, {.in = 27.5_m, .out = 123.75_m, .read = 2.75_m}),
    model("azure/us/gpt-5.6-terra azure/eu/gpt-5.6-terra", "azure", {.in = 2.75_m, .out = 16.5_m, .read = 0.275_m},
          {1'050'000, 128'000}),
    above(272'000, {.in = 5.5_m, .out = 24.75_m, .read = 0.55_m}),
    tier("priority", {.in = 6.875_m, .out = 41.25_m, .read = 0.6875_m}),
    tier_above("priority", 272'000, {.in = 13.75_m, .out = 61.875_m, .read = 1.375_m}),
    model("azure/us/gpt-5.6-luna azure/eu/gpt-5.6-luna", "azure", {.in = 1.1_m, .out = 6.6_m, .read = 0.11_m},
          {1'050'000, 128'000}),
    above(272'000, {.in = 2.2_m, .out = 9.9_m, .read = 0.22_m}),
    tier("priority", {.in = 2.75_m, .out = 16.5_m, .read = 0.275_m}),
    tier_above("priority", 272'000, {.in = 5.5_m, .out = 24.75_m, .read = 0.55_m}),
    model("azure/us/gpt-5.5 azure/eu/gpt-5.5 azure/us/gpt-5.5-2026-04-23 azure/eu/gpt-5.5-2026-04-23", "azure",
          {.in = 5.5_m, .out = 33_m, .read = 0.55_m}, {1'050'000, 128'000}),
    above(272'000, {.in = 11_m, .out = 49.5_m, .read = 1.1_m}),
    tier("priority", {.in = 13.75_m, .out = 82.5_m, .read = 1.38_m}),
    tier_above("priority", 272'000, {.in = 27.5_m, .out = 123.75_m, .read = 2.76_m}),
    model("azure/mistral-large-latest azure/mistral-large-2402", "azure", {.in = 8_m, .out = 24_m}, {32'000, 32'000}),
    model("azure/o1-mini", "azure", {.in = 1.21_m, .out = 4.84_m, .read = 0.605_m}, {128'000, 65'536}),
    model("azure/o1-preview azure/o1-preview-2024-09-12", "azure", {.in = 15_m, .out = 60_m, .read = 7.5_m},
          {128'000, 32'768}),
    model("azure/eu/gpt-4o-2024-08-06 azure/us/gpt-4o-2024-08-06", "azure",
          {.in = 2.75_m, .out = 11_m, .read = 1.375_m}, {128'000, 16'384}),
    model("azure/eu/gpt-4o-2024-11-20 azure/us/gpt-4o-2024-11-20", "azure",
          {.in = 2.75_m, .out = 11_m, .write = 1.38_m}, {128'000, 16'384}),
    model("azure/eu/gpt-4o-mini-2024-07-18 azure/us/gpt-4o-mini-2024-07-18", "azure",
          {.in = 0.165_m, .out = 0.66_m, .read = 0.083_m}, {128'000, 16'384}),
    model("azure/eu/gpt-5-2025-08-07 azure/us/gpt-5-2025-08-07", "azure",
          {.in = 1.375_m, .out = 11_m, .read = 0.1375_m}, {272'000, 128'000}),
    model("azure/eu/gpt-5-mini-2025-08-07 azure/us/gpt-5-mini-2025-08-07", "azure",
          {.in = 0.275_m, .out = 2.2_m, .read = 0.0275_m}, {272'000, 128'000}),
    model("azure/eu/gpt-5-nano-2025-08-07 azure/us/gpt-5-nano-2025-08-07", "azure",
          {.in = 0.055_m, .out = 0.44_m, .read = 0.0055_m}, {272'000, 128'000}),
    model("azure/eu/o1-2024-12-17 azure/us/o1-2024-12-17", "azure", {.in = 16.5_m, .out = 66_m, .read = 8.25_m},
          {200'000, 100'000}),
    model("azure/eu/o1-mini-2024-09-12 azure/us/o1-mini-2024-09-12", "azure",
          {.in = 1.21_m, .out = 4.84_m, .read = 0.605_m}, {128'000, 65'536}),
    tier("batch", {.in = 0.605_m, .out = 2.42_m}),
    model("azure/eu/o1-preview-2024-09-12 azure/us/o1-preview-2024-09-12", "azure",
          {.in = 16.5_m, .out = 66_m, .read = 8.25_m}, {128'000, 32'768}),
    model("azure/eu/o3-mini-2025-01-31 azure/us/o3-mini-2025-01-31", "azure",
          {.in = 1.21_m, .out = 4.84_m, .read = 0.605_m}, {200'000, 100'000}),
    tier("batch", {.in = 0.605_m, .out = 2.42_m}),
    model("azure/gpt-35-turbo-0125", "azure", {.in = 0.5_m, .out = 1.5_m}, {16'384, 4'096}),
    model("azure/gpt-35-turbo-1106", "azure", {.in = 1_m, .out = 2_m}, {16'384, 4'096}),
    model("azure/gpt-4o-2024-11-20", "azure", {.in = 2.75_m, .out = 11_m, .read = 1.25_m}, {128'000, 16'384}),
    model("azure/gpt-audio-2025-08-28 azure/gpt-audio-1.5-2026-02-23 "
          "azure/gpt-4o-mini-audio-preview-2024-12-17",
          "azure", {.in = 2.5_m, .out = 10_m, .audio_in = 40_m, .audio_out = 80_m}, {128'000, 16'384}),
    model("azure/gpt-5.1-chat-2025-11-13", "azure", {.in = 1.25_m, .out = 10_m, .read = 0.125_m}, {128'000, 16'384}),
    tier("priority", {.in = 2.5_m, .out = 20_m, .read = 0.25_m}),
    model("azure/gpt-5.1-codex-2025-11-13", "openai", {.in = 1.25_m, .out = 10_m, .read = 0.125_m}, {272'000, 128'000}),
    tier("priority", {.in = 2.5_m, .out = 20_m, .read = 0.25_m}),
    model("azure/gpt-5.1-codex-mini-2025-11-13", "openai", {.in = 0.25_m, .out = 2_m, .read = 0.025_m},
          {272'000, 128'000}),
    tier("priority", {.in = 0.45_m, .out = 3.6_m, .read = 0.045_m}),
    model("azure/o1-mini-2024-09-12", "azure", {.in = 1.1_m, .out = 4.4_m, .read = 0.55_m}, {128'000, 65'536}),
    model("azure/us/gpt-4.1-2025-04-14", "azure", {.in = 2.2_m, .out = 8.8_m, .read = 0.55_m}, {1'047'576, 32'768}),
    tier("batch", {.in = 1.1_m, .out = 4.4_m}),
    model("azure/us/gpt-4.1-mini-2025-04-14", "azure", {.in = 0.44_m, .out = 1.76_m, .read = 0.11_m},
          {1'047'576, 32'768}),
    tier("batch", {.in = 0.22_m, .out = 0.88_m}),
    model("azure/us/gpt-4.1-nano-2025-04-14", "azure", {.in = 0.11_m, .out = 0.44_m, .read = 0.025_m},
          {1'047'576, 32'768}),
    tier("batch", {.in = 0.06_m, .out = 0.22_m}),
    model("azure/us/o3-2025-04-16", "azure", {.in = 2.2_m, .out = 8.8_m, .read = 0.55_m}, {200'000, 100'000}),
    model("azure/us/o4-mini-2025-04-16", "azure", {.in = 1.21_m, .out = 4.84_m, .read = 0.31_m}, {200'000, 100'000}),
    model("azure_ai/claude-sonnet-4-5", "azure_ai",
          {.in = 3_m, .out = 15_m, .read = 0.3_m, .write = 3.75_m, .write_1h = 6_m}, {200'000, 64'000}),
    model("azure_ai/deepseek-v3.2", "azure_ai", {.in = 0.58_m, .out = 1.68_m}, {163'840, 163'840}),
    model("azure_ai/deepseek-r1", "azure_ai", {.in = 1.35_m, .out = 5.4_m}, {128'000, 8'192}),
    model("azure_ai/deepseek-v3", "azure_ai", {.in = 1.14_m, .out = 4.56_m}, {128'000, 8'192}),
    model("azure_ai/deepseek-v4-pro", "azure_ai", {.in = 1.74_m, .out = 3.48_m}, {1'000'000, 384'000}),
    model("azure_ai/deepseek-v4-flash", "azure_ai", {.in = 0.19_m, .out = 0.51_m}, {1'000'000, 384'000}),
    model("azure_ai/global/grok-3-mini azure_ai/grok-3-mini", "azure_ai", {.in = 0.25_m, .out = 1.27_m},
          {131'072, 131'072}),
    model("azure_ai/grok-4-fast-non-reasoning azure_ai/grok-4-fast-reasoning "
          "azure_ai/grok-4-1-fast-non-reasoning "
          "azure_ai/grok-4-1-fast-reasoning",
          "azure_ai", {.in = 0.2_m, .out = 0.5_m}, {131'072, 131'072}),
    model("azure_ai/mistral-large-2407 azure_ai/mistral-large-latest", "azure_ai", {.in = 2_m, .out = 6_m},
          {128'000, 4'096}),
    model("azure_ai/mistral-small", "azure_ai", {.in = 1_m, .out = 3_m}, {32'000, 8'191}),
};

Rates to_rates(const Cells& cells) {
  const auto rate = [](Cell cell) {
    return cell.picos < 0 ? std::nullopt : std::optional(Rate::from_picos(cell.picos));
  };
  return {.input = Rate::from_picos(cells.in.picos),
          .output = Rate::from_picos(cells.out.picos),
          .cache_read = rate(cells.read),
          .cache_write = rate(cells.write),
          .cache_write_1h = rate(cells.write_1h),
          .reasoning = rate(cells.reasoning),
          .input_audio = rate(cells.audio_in),
          .output_audio = rate(cells.audio_out),
          .input_image = rate(cells.image_in),
          .output_image = rate(cells.image_out),
          .cache_read_audio = rate(cells.audio_read)};
}

/// What providers charge for a use of their tools, whichever model uses them, as they publish it. Where a row has a fee, that one counts.
struct ToolFees {
  std::string_view provider;
  std::string_view models;  // whose name has this; empty: any
  Usd web_search{}, file_search{}, code_session{}, other_tool{};
};
constexpr ToolFees tool_fees[] = {
    // openai.com/api/pricing, "Built-in tools": web search $10 and file search $2.50 a thousand calls, a container of 1 GB $0.03.
    {"openai", {}, 0.01_usd, 0.0025_usd, 0.03_usd, {}},
    // platform.claude.com/docs, "Pricing": web search $10 a thousand. Containers are billed by time, which a reply does not say.
    {"anthropic", {}, 0.01_usd, {}, {}, {}},
    // ai.google.dev/gemini-api/docs/pricing, and Vertex AI's: Google Search $35 a thousand requests up to 2.x, $14 a thousand queries from
    // 3 on; Google Maps $25 a thousand requests.
    {"gemini", "gemini-3", 0.014_usd, {}, {}, 0.025_usd},
    {"gemini", {}, 0.035_usd, {}, {}, 0.025_usd},
    {"vertex_ai", "gemini-3", 0.014_usd, {}, {}, 0.025_usd},
    {"vertex_ai", "gemini", 0.035_usd, {}, {}, 0.025_usd},
    // docs.x.ai, "Tools pricing": web and X search $5, code $5, collections $2.50 a thousand calls.
    {"xai", {}, 0.005_usd, 0.0025_usd, 0.005_usd, 0.005_usd},
};

// A tool that costs otherwise than its provider's others: a search by `web_search_preview` of a model that does not reason ("Built-in tools":
// web search preview, non-reasoning models, $25 a thousand calls).
constexpr ToolFees named_tools[] = {{"openai", "web_search_preview", 0.025_usd, {}, {}, {}}};

void add_tool_fees(std::string_view names, Price& price) {
  for (const ToolFees& fees : tool_fees) {
    if (fees.provider != price.provider || names.find(fees.models) == names.npos) continue;
    const std::pair<std::optional<Usd>&, Usd> each[] = {{price.web_search, fees.web_search},
                                                        {price.file_search, fees.file_search},
                                                        {price.code_session, fees.code_session},
                                                        {price.other_tool, fees.other_tool}};
    for (const auto& [place, fee] : each)
      if (!place && fee != Usd{}) place = fee;
    return;
  }
}

/// "US-only inference" costs 1.1 times every price of a token, for each model that has it (platform.claude.com/docs, "Data residency");
/// the rows list it for some.
void add_places(Price& price) {
  const auto listed = [](const Price::Tier& tier) { return tier.service_tier == "us"; };
  if (price.provider != "anthropic" || std::any_of(price.tiers.begin(), price.tiers.end(), listed)) return;
  const auto dearer = [](Rates rates) {
    const auto raise = [](Rate rate) { return Rate::from_picos(rate.picos() + (rate.picos() + 5) / 10); };
    rates.input = raise(rates.input), rates.output = raise(rates.output);
    for (std::optional<Rate>* const rate :
         {&rates.cache_read, &rates.cache_write, &rates.cache_write_1h, &rates.reasoning, &rates.input_audio,
          &rates.output_audio, &rates.input_image, &rates.output_image, &rates.cache_read_audio})
      if (*rate) *rate = raise(**rate);
    return rates;
  };
  std::vector<Price::Tier> us{{"us", 0, false, dearer(price.rates)}};
  for (const Price::Tier& step : price.tiers)
    if (step.service_tier.empty()) us.push_back({"us", step.above_input_tokens, step.inclusive, dearer(step.rates)});
  price.tiers.insert(price.tiers.end(), us.begin(), us.end());
}

std::shared_ptr<const detail::PriceBook> build() {
  std::vector<detail::PriceEntry> entries;
  for (const Row* row = std::begin(rows); row != std::end(rows);) {
    const auto positive = [](std::int32_t count) {
      return count > 0 ? std::optional<std::int64_t>(count) : std::nullopt;
    };
    Price price{
        .rates = to_rates(row->cells),
        .web_search = row->web_search_nanos == 0 ? std::nullopt : std::optional(Usd::from_nanos(row->web_search_nanos)),
        .provider = row->provider,
        .max_output_tokens = positive(row->most.output),
        .max_input_tokens = positive(row->most.input)};
    std::string_view names = row->names;
    add_tool_fees(names, price);
    for (++row; row != std::end(rows) && !row->names; ++row)
      price.tiers.push_back({row->service_tier, row->threshold, row->inclusive, to_rates(row->cells)});
    add_places(price);
    while (!names.empty()) {
      const auto end = names.find(' ');
      entries.push_back({std::string(names.substr(0, end)), price, false});
      names.remove_prefix(end == std::string_view::npos ? names.size() : end + 1);
    }
  }
  for (const ToolFees& tool : named_tools)
    entries.push_back({.name = std::string(tool.models),
                       .price = {.web_search = tool.web_search, .provider = std::string(tool.provider)},
                       .tool = true});
  return detail::make_price_book(std::move(entries), version, source, as_of);
}

}  // namespace

PriceTable PriceTable::bundled() {
  static const auto& book = *new std::shared_ptr<const detail::PriceBook>(build());
  PriceTable table;
  table.book_ = book;
  return table;
}

}  // namespace outlay
