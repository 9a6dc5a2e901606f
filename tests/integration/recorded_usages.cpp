// Reads usage objects that providers really sent, and compares what this library makes of them with what another one did.
//
//   recorded_usages [FILE]     or OUTLAY_RECORDED_USAGES=FILE
//
// The file is an array of {body, model?, extracted: [{usage, extractors: [{provider_id, api_flavor, input_price?, output_price?}]}]}, as
// the data set tests/dataset/usages.json of pydantic/genai-prices (MIT). It is not part of this project: without it the program says so
// and ends with 77, which ctest reports as skipped. Ends with 1 if fewer than 97 of 100 of the supported ones agree.
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/facts.hpp"
#include "outlay/json.hpp"

namespace {

namespace json = boost::json;
using outlay::Api;
using outlay::Usage;
using outlay::Usd;

struct Kind {
  Api api;
  std::vector<std::string_view> extractors;  // "provider:flavor", of which the first that is there is the oracle
};

const json::object* object_at(const json::object& object, std::string_view key) {
  const json::value* const found = object.if_contains(key);
  return found != nullptr && found->is_object() ? &found->get_object() : nullptr;
}
std::string text_at(const json::object& object, std::string_view key) {
  const json::value* const found = object.if_contains(key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

// Whose reply it is, by its shape and by where it was recorded.
std::optional<Kind> kind_of(const json::object& body) {
  const std::string file = text_at(body, "file");
  const std::string model = text_at(body, "model");
  const auto in_file = [&](std::string_view word) { return file.find(word) != std::string::npos; };
  if (object_at(body, "usageMetadata") != nullptr)
    return Kind{in_file("embeddings") ? Api::gemini_embeddings : Api::gemini, {"google:default"}};
  const json::object* const usage = object_at(body, "usage");
  if (usage == nullptr) return std::nullopt;
  if (usage->contains("inputTokens")) return Kind{Api::bedrock_converse, {"aws:default"}};
  if (usage->contains("billed_units")) return Kind{Api::cohere_chat, {"cohere:default"}};
  if (usage->contains("input_tokens_details")) return Kind{Api::openai_responses, {"openai:responses"}};
  if (usage->contains("input_tokens")) return Kind{Api::anthropic_messages, {"anthropic:default"}};
  if (usage->contains("prompt_tokens")) {
    if (!usage->contains("completion_tokens")) return Kind{Api::openai_embeddings, {"openai:embeddings"}};
    if (usage->contains("prompt_cache_hit_tokens")) return Kind{Api::deepseek_chat, {"deepseek:chat"}};
    if (in_file("openrouter")) return Kind{Api::openrouter_chat, {"openrouter:chat"}};
    if (in_file("mistral")) return Kind{Api::mistral_chat, {"mistral:default"}};
    if (model.starts_with("gpt-") || model.starts_with("o3")) return Kind{Api::openai_chat, {"openai:chat"}};
    return Kind{Api::openai_compatible, {"groq:default", "cerebras:chat", "openai:chat"}};
  }
  return std::nullopt;
}

std::int64_t count_at(const json::object& usage, std::string_view key) {
  const json::value* const found = usage.if_contains(key);
  return found == nullptr ? 0 : found->to_number<std::int64_t>();
}

struct Oracle {
  const json::object* usage = nullptr;
  std::optional<Usd> price;
};

std::optional<Oracle> oracle_of(const json::array& extracted, const Kind& kind) {
  for (const std::string_view wanted : kind.extractors)
    for (const json::value& group : extracted)
      for (const json::value& extractor : group.at("extractors").as_array()) {
        const json::object& object = extractor.as_object();
        if (text_at(object, "provider_id") + ":" + text_at(object, "api_flavor") != wanted) continue;
        Oracle oracle{&group.at("usage").as_object(), {}};
        const std::string input = text_at(object, "input_price"), output = text_at(object, "output_price");
        // Finer than a nano-dollar, some of them, and with exponents.
        const auto parse = [](const std::string& text) { return outlay::detail::read_cost(text).value(); };
        if (!input.empty() && !output.empty()) oracle.price = parse(input) + parse(output);
        return oracle;
      }
  return std::nullopt;
}

std::string difference(const Usage& ours, const json::object& theirs) {
  std::string text;
  const auto compare = [&](const char* what, std::int64_t a, std::int64_t b) {
    if (a != b)
      text += std::string(text.empty() ? "" : ", ") + what + " " + std::to_string(a) + " for " + std::to_string(b);
  };
  compare("input", ours.input_total(), count_at(theirs, "input_tokens"));
  compare("cache read", ours.cache_read, count_at(theirs, "cache_read_tokens"));
  compare("cache write", ours.cache_write + ours.cache_write_1h, count_at(theirs, "cache_write_tokens"));
  compare("output", ours.output, count_at(theirs, "output_tokens"));
  compare("reasoning", ours.reasoning, count_at(theirs, "output_reasoning_tokens"));
  compare("audio", ours.input_audio + ours.cache_read_audio, count_at(theirs, "input_audio_tokens"));
  return text;
}

struct Row {
  int agreed = 0, differed = 0, priced = 0, other_rates = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const char* const from_environment = std::getenv("OUTLAY_RECORDED_USAGES");
  const char* const path = argc > 1 ? argv[1] : from_environment;
  if (path == nullptr) {
    std::puts(
        "SKIPPED: recorded_usages needs a data set that is not part of this project; name it in "
        "OUTLAY_RECORDED_USAGES.");
    return 77;
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::printf("SKIPPED: recorded_usages cannot read %s\n", path);
    return 77;
  }
  const json::value data = json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
  const outlay::PriceTable prices = outlay::PriceTable::bundled();
  std::map<std::string, Row> rows;
  std::map<std::string, int> reasons;
  int unsupported = 0;

  for (const json::value& entry : data.as_array()) {
    const json::object& body = entry.at("body").as_object();
    const std::optional<Kind> kind = kind_of(body);
    const std::optional<Oracle> oracle = kind ? oracle_of(entry.at("extracted").as_array(), *kind) : std::nullopt;
    if (!oracle) {
      ++unsupported;
      continue;
    }
    const std::string name(kind->api.name());
    Row& row = rows[name];
    std::string model = text_at(body, "model");
    if (model.empty()) model = text_at(body, "modelVersion");
    try {
      const Usage usage = outlay::read_usage(kind->api, body);
      std::string differs = difference(usage, *oracle->usage);
      if (differs.empty() && oracle->price) {
        try {
          // Searches are not in the set's prices.
          Usage tokens = usage;
          tokens.web_searches = 0;
          const Usd cost = prices.cost(model, tokens).usd;
          if (std::max(cost, *oracle->price) - std::min(cost, *oracle->price) <= Usd::from_nanos(2))
            ++row.priced;
          else {
            ++row.other_rates;
            ++reasons[name + ": other rates for " + model];
          }
        } catch (const outlay::PriceUnknown&) {
          ++reasons[name + ": the table has no " + model];
        }
      }
      if (differs.empty()) {
        ++row.agreed;
      } else {
        ++row.differed;
        ++reasons[name + ": " + differs + " (" + text_at(body, "file") + ")"];
      }
    } catch (const outlay::Error& error) {
      ++row.differed;
      ++reasons[name + ": " + error.what()];
    }
  }

  std::printf("%-20s %8s %8s %12s %12s\n", "API", "agreed", "differed", "price agreed", "other rates");
  Row all;
  for (const auto& [name, row] : rows) {
    std::printf("%-20s %8d %8d %12d %12d\n", name.c_str(), row.agreed, row.differed, row.priced, row.other_rates);
    all.agreed += row.agreed, all.differed += row.differed;
    all.priced += row.priced, all.other_rates += row.other_rates;
  }
  const int supported = all.agreed + all.differed;
  std::printf("%-20s %8d %8d %12d %12d\n", "all supported", all.agreed, all.differed, all.priced, all.other_rates);
  std::printf("%-20s %8d\n", "unsupported", unsupported);
  for (const auto& [reason, times] : reasons) std::printf("  %d x %s\n", times, reason.c_str());
  std::printf("%d of %d supported agree\n", all.agreed, supported);
  return supported > 0 && all.agreed * 100 >= supported * 97 ? EXIT_SUCCESS : EXIT_FAILURE;
}
