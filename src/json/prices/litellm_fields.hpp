#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace outlay::detail {

/// The rates that LiteLLM's file can name for a model.
enum class Bucket : std::uint8_t {
  input,
  output,
  cache_read,
  cache_write,
  cache_write_1h,
  reasoning,
  input_audio,
  output_audio,
  input_image,
  output_image,
  cache_read_audio,
  count,
};
inline constexpr std::size_t buckets = static_cast<std::size_t>(Bucket::count);

/// What a member of a model in LiteLLM's file means.
struct LiteLlmField {
  enum class Kind : std::uint8_t {
    ignored,
    rate,
    cache_hit,    // an older name of the cache_read rate
    request_fee,  // a call or query
    web_search,
    max_input,
    max_output,
    max_tokens,  // an older name of max_output_tokens
    provider,
    tiered_pricing,
    multipliers,    // provider_specific_entry
    multiplier_eu,  // regional_processing_uplift_multiplier_eu
    multiplier_us,
    other_cost,  // by the second, image, page: which token counts do not say
  };

  Kind kind = Kind::ignored;
  // Of a rate: which one, from which input size on, and for which service tier.
  Bucket bucket = Bucket::input;
  std::int64_t above = 0;
  std::string_view service_tier{};
};

/// Reads a member's name, such as `input_cost_per_token_above_200k_tokens_priority`.
[[nodiscard]] LiteLlmField litellm_field(std::string_view key) noexcept;

}  // namespace outlay::detail
