#include "litellm_fields.hpp"

#include <utility>

namespace outlay::detail {

namespace {

using FieldKind = LiteLlmField::Kind;

LiteLlmField rate_field(std::string_view key) noexcept {
  static constexpr std::pair<std::string_view, Bucket> roots[] = {
      {"input_cost_per_token", Bucket::input},
      {"output_cost_per_token", Bucket::output},
      {"cache_read_input_token_cost", Bucket::cache_read},
      {"cache_creation_input_token_cost", Bucket::cache_write},
      {"output_cost_per_reasoning_token", Bucket::reasoning},
      {"input_cost_per_audio_token", Bucket::input_audio},
      {"output_cost_per_audio_token", Bucket::output_audio},
      {"input_cost_per_image_token", Bucket::input_image},
      {"output_cost_per_image_token", Bucket::output_image},
      {"cache_read_input_audio_token_cost", Bucket::cache_read_audio},
  };
  static constexpr std::pair<std::string_view, std::string_view> service_tiers[] = {
      {"", ""},          {"_batches", "batch"},       {"_flex", "flex"}, {"_priority", "priority"},
      {"_fast", "fast"}, {"_ultrafast", "ultrafast"},
  };
  for (const auto& [root, bucket] : roots) {
    if (!key.starts_with(root)) continue;
    LiteLlmField field{FieldKind::rate, bucket, 0, {}};
    std::string_view rest = key.substr(root.size());
    if (bucket == Bucket::cache_write && rest.starts_with("_above_1hr")) {
      field.bucket = Bucket::cache_write_1h;
      rest.remove_prefix(10);
    }
    if (rest.starts_with("_above_")) {
      std::size_t at = 7;
      std::int64_t thousands = 0;
      for (; at < rest.size() && at < 14 && rest[at] >= '0' && rest[at] <= '9'; ++at)
        thousands = thousands * 10 + (rest[at] - '0');
      if (at == 7 || !rest.substr(at).starts_with("k_tokens")) return {FieldKind::other_cost, bucket, 0, {}};
      field.above = thousands * 1000;
      rest.remove_prefix(at + 8);
    }
    for (const auto& [suffix, name] : service_tiers)
      if (rest == suffix) {
        field.service_tier = name;
        return field;
      }
    return {FieldKind::other_cost, bucket, 0, {}};
  }
  return {FieldKind::other_cost, Bucket::input, 0, {}};
}

}  // namespace

LiteLlmField litellm_field(std::string_view key) noexcept {
  static constexpr std::pair<std::string_view, FieldKind> names[] = {
      {"litellm_provider", FieldKind::provider},
      {"max_input_tokens", FieldKind::max_input},
      {"max_output_tokens", FieldKind::max_output},
      {"max_tokens", FieldKind::max_tokens},
      {"tiered_pricing", FieldKind::tiered_pricing},
      {"provider_specific_entry", FieldKind::multipliers},
      {"regional_processing_uplift_multiplier_eu", FieldKind::multiplier_eu},
      {"regional_processing_uplift_multiplier_us", FieldKind::multiplier_us},
      {"search_context_cost_per_query", FieldKind::web_search},
      {"input_cost_per_token_cache_hit", FieldKind::cache_hit},
      {"input_cost_per_request", FieldKind::request_fee},
      {"input_cost_per_query", FieldKind::request_fee},
      // In Databricks' own units, beside the same rates in dollars.
      {"input_dbu_cost_per_token", FieldKind::ignored},
      {"output_dbu_cost_per_token", FieldKind::ignored},
  };
  for (const auto& [name, kind] : names)
    if (key == name) return {kind, Bucket::input, 0, {}};
  if (key.find("cost") == std::string_view::npos) return {};
  return rate_field(key);
}

}  // namespace outlay::detail
