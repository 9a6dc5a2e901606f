#include "vendor_rules.hpp"

#include "facts.hpp"

namespace outlay::detail {

namespace {

struct Vendor {
  std::string_view word;  // that the name has
  VendorRules rules;
};

constexpr std::int64_t tiles(std::int64_t base, std::int64_t tile) { return base + 8 * tile; }

// Of rows that fit, the first. Images by the vendors' pages:
// - OpenAI ("Images and vision", calculating costs): a base and so much for each tile of 512 pixels, 8 at most after scaling to 2,048 by 768;
//   or patches of 32 pixels, 1,536 at most, times a factor; from GPT-5.4 on 10,000 patches at original detail.
// - Anthropic ("Vision"): 1,600 up to Claude 4.6, and 4,784 from 4.7 on. Its tool-use prompt has 290 to 804 tokens ("Tool use", pricing),
//   the tools that it defines up to 735 more.
// - Google ("Understand images"): 258 for each tile of 768 pixels, of which large pictures have two dozen; 2,240 at Gemini 3's ultra high
//   resolution.
// - xAI ("Image understanding"): 256 for each tile, 6 at most, and one more.
// What frames a call of a tool was measured on recorded replies: Claude takes up to 45 tokens more than its name and arguments have, Gemini
// none, all others up to 10.
// Open models' templates begin with a prompt of their own: gpt-oss's takes 65 tokens (cookbook.openai.com, "OpenAI harmony response
// format"), Llama's and Qwen's some 25.
// The factors on text are no vendor's: Claude's vocabularies take up to a half more tokens than OpenAI's for the same text, older ones of
// 32,000 entries about a quarter more.
constexpr std::int64_t patches = 1'536;
constexpr VendorRules openai(std::int64_t low, std::int64_t image) { return {64, false, 32, 1'600, low, image, 0, 4}; }
constexpr VendorRules claude(std::int64_t image) { return {96, true, 900, 1'000, image, image, 0, 50}; }
constexpr Vendor vendors[] = {
    {"gpt-4o-mini", openai(2'833, tiles(2'833, 5'667))},
    {"gpt-4.1-mini", openai(patches * 162 / 100 + 1, patches * 162 / 100 + 1)},
    {"gpt-4.1-nano", openai(patches * 246 / 100 + 1, patches * 246 / 100 + 1)},
    {"o4-mini", openai(patches * 172 / 100 + 1, patches * 172 / 100 + 1)},
    {"gpt-5-mini", openai(patches * 162 / 100 + 1, patches * 162 / 100 + 1)},
    {"gpt-5-nano", openai(patches * 246 / 100 + 1, patches * 246 / 100 + 1)},
    {"gpt-5.4-mini", openai(10'000 * 162 / 100, 10'000 * 162 / 100)},
    {"gpt-5.4-nano", openai(10'000 * 246 / 100, 10'000 * 246 / 100)},
    {"gpt-5.", openai(10'000, 10'000)},
    {"gpt-6", openai(10'000, 10'000)},
    {"gpt-5", openai(70, tiles(70, 140))},
    {"gpt-image", openai(7'000, 7'000)},
    {"computer-use", openai(65, tiles(65, 129))},
    {"gpt-oss", {64, false, 96, 1'600, 0, 0, 80, 12}},
    {"gpt-", openai(85, tiles(85, 170))},
    {"chatgpt", openai(85, tiles(85, 170))},
    {"text-embedding", openai(0, 0)},
    {"o1", openai(75, tiles(75, 150))},
    {"o3", openai(75, tiles(75, 150))},
    {"claude-3", claude(1'600)},
    {"claude-opus-4-1", claude(1'600)},
    {"claude-opus-4-5", claude(1'600)},
    {"claude-opus-4-6", claude(1'600)},
    {"claude-sonnet-4-5", claude(1'600)},
    {"claude-sonnet-4-6", claude(1'600)},
    {"claude-haiku-4-5", claude(1'600)},
    {"claude", claude(4'784)},
    {"gemini-3", {64, true, 300, 1'000, 2'240, 2'240, 0, 0}},
    {"gemini", {64, true, 300, 1'000, 24 * 258, 24 * 258, 0, 0}},
    {"grok", {80, true, 500, 1'000, 7 * 256, 7 * 256, 0, 12}},
    {"mistral", {80, true, 500, 1'000, 4'200, 4'200, 0, 12}},
    {"pixtral", {80, true, 500, 1'000, 4'200, 4'200, 0, 12}},
    {"qwen", {80, true, 500, 1'000, 16'384, 16'384, 32, 12}},
};
// A name may be a deployment's or an alias: the dearest rules that are common, without the few models whose images are far dearer.
constexpr VendorRules unknown{96, true, 900, 1'600, 6'200, 6'200, 32, 12};

}  // namespace

const VendorRules& vendor_rules(std::string_view model) noexcept {
  for (const Vendor& vendor : vendors)
    if (model.find(vendor.word) != std::string_view::npos) return vendor.rules;
  return unknown;
}

std::int64_t tool_call_frame(const Facts& facts) noexcept {
  const std::string& model = facts.model.empty() ? facts.admitted_model : facts.model;
  return model.empty() ? 0 : vendor_rules(model).tool_call;
}

}  // namespace outlay::detail
