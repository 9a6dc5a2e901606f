#include "request.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>

#include "outlay/error.hpp"
#include "outlay/ledger.hpp"

namespace json = boost::json;

namespace outlay::detail {

namespace {

// Values nested deeper than this are counted by their serialised text, so that hostile ones cannot exhaust the stack here.
constexpr int max_depth = 128;

[[noreturn]] void bad_member(std::string_view key, const char* expected) {
  throw Error(errc::invalid_argument,
              "request: member \"" + std::string(key) + "\" must be " + expected + ". Correct the request.");
}

bool is_data_url(std::string_view text) noexcept { return text.starts_with("data:"); }

// Names under which the formats carry media: their strings are not text.
bool is_media_key(std::string_view key) noexcept {
  return key == "data" || key == "bytes" || key == "file_data" || key == "image_url" || key == "url" ||
         key == "fileUri" || key == "file_uri" || key == "uri" || key == "images";
}

// Names of strings that steer and are not rendered, or not as text.
bool is_silent_key(std::string_view key) noexcept {
  return key == "type" || key == "role" || key == "id" || key == "file_id" || key == "detail" || key == "format" ||
         key == "mimeType" || key == "mime_type" || key == "media_type" || key == "filename" || key == "ttl" ||
         key == "status" || key == "encrypted_content";
}

std::string_view media_kind(const json::object& object) noexcept {
  for (const std::string_view key : {"media_type", "mimeType", "mime_type", "type", "format"}) {
    const auto* const found = object.if_contains(key);
    if (found == nullptr || !found->is_string()) continue;
    const std::string_view text = found->get_string();
    for (const std::string_view kind : {"image", "audio", "video", "pdf", "document", "file"})
      if (text.find(kind) != std::string_view::npos) return kind;
    if (text == "wav" || text == "mp3") return "audio";
    if (text == "png" || text == "jpeg" || text == "gif" || text == "webp") return "image";
  }
  return "file";
}

}  // namespace

void InputCount::text(std::string_view text) {
  if (text.empty()) return;
  const Ledger ledger = Ledger::current();
  const Tokenizer& tokenizer = ledger.tokenizer();
  const auto count = [](std::int64_t said) { return std::clamp<std::int64_t>(said, 0, Usage::max_count); };
  const std::int64_t upper = count(tokenizer.upper(text));
  typical_ += count(tokenizer.typical(text));
  // The built-in one counts as OpenAI's vocabularies do, and never more tokens than bytes.
  upper_ += &tokenizer == &built_in_tokenizer()
                ? std::min((upper * rules_->text_64ths + 63) / 64, static_cast<std::int64_t>(text.size()))
                : upper;
}

void InputCount::schema(const json::value& value) {
  const std::int64_t before = upper_;
  rendered(value);
  if (!rules_->tools_as_json) return;
  InputCount as_json;
  as_json.rules_ = rules_;
  as_json.text(json::serialize(value));
  upper_ = std::max(upper_, before + as_json.upper_);
}

bool InputCount::tools(const json::value& tools) {
  range(rules_->tools_prompt / 2, rules_->tools_prompt);
  schema(tools);
  bool run_by_provider = false;
  if (!tools.is_array()) return false;
  for (const json::value& tool : tools.get_array()) {
    if (!tool.is_object()) continue;
    const json::value* const type = tool.get_object().if_contains("type");
    if (type == nullptr || !type->is_string()) continue;
    const std::string_view name = type->get_string();
    if (name == "function" || name == "custom") continue;
    range(rules_->tool_built_in / 2, rules_->tool_built_in);
    bool run_here = false;
    for (const std::string_view word : {"bash", "text_editor", "computer", "memory", "shell", "apply_patch"})
      run_here |= name.find(word) != std::string_view::npos;
    run_by_provider |= !run_here;
  }
  return run_by_provider;
}

void InputCount::media(std::string_view kind, std::string_view base64, bool low_detail) {
  // Providers count pixels and seconds, which are not looked at here. Images are bounded by the model's own rule. Sound: 10 to 32 tokens a
  // second at 4 to 48 kB. Documents: text and pictures of pages, a bound for ordinary ones only.
  const auto bytes = static_cast<std::int64_t>(base64.size() / 4 * 3);
  if (kind == "image")
    range(low_detail ? rules_->image_low : std::min<std::int64_t>(800, rules_->image),
          low_detail ? rules_->image_low : rules_->image);
  else if (kind == "audio")
    range(bytes / 1'500 + 1, bytes / 125 + 1);
  else if (kind == "video")
    range(bytes / 1'000 + 300, bytes / 250 + 300);
  else
    range(bytes / 40 + 1, bytes / 4 + 1);
}

void InputCount::rendered(const json::value& value) { rendered(value, 0); }

void InputCount::rendered(const json::value& value, int depth) {
  if (depth > max_depth) throw Error(errc::invalid_argument, "request: nested deeper than 128 levels. Flatten it.");
  switch (value.kind()) {
    case json::kind::object:
      overhead(1);
      for (const auto& [key, inner] : value.get_object()) {
        text(key);
        overhead(1);
        rendered(inner, depth + 1);
      }
      break;
    case json::kind::array:
      overhead(1);
      for (const json::value& inner : value.get_array()) rendered(inner, depth + 1);
      break;
    case json::kind::string:
      text(value.get_string());
      overhead(1);
      break;
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_:
      text(json::serialize(value));
      break;
    case json::kind::bool_:
    case json::kind::null:
      overhead(1);
      break;
  }
}

void InputCount::content(const json::value& value) { content(value, {}, 0); }

void InputCount::content(const json::value& value, std::string_view key, int depth) {
  if (depth > max_depth) throw Error(errc::invalid_argument, "request: nested deeper than 128 levels. Flatten it.");
  switch (value.kind()) {
    case json::kind::object: {
      const json::object& object = value.get_object();
      for (const auto& [name, inner] : object) {
        if (inner.is_string()) {
          const std::string_view string = inner.get_string();
          if (is_silent_key(name)) continue;
          if (is_media_key(name) || is_data_url(string)) {
            const std::string_view kind =
                name == "image_url" || key == "image_url" || key == "source" ? "image" : media_kind(object);
            const bool inlined = is_data_url(string) || name == "data" || name == "bytes" || name == "file_data";
            const json::value* const detail = object.if_contains("detail");
            const bool low = detail != nullptr && detail->is_string() && detail->get_string() == "low";
            media(key == "image" ? "image" : kind, inlined ? string : std::string_view{}, low);
            continue;
          }
        }
        // A tool's input and result are rendered with their names.
        if (name == "input" || name == "args" || name == "response" || name == "json" || name == "arguments") {
          rendered(inner, depth + 1);
          continue;
        }
        content(inner, name, depth + 1);
      }
      break;
    }
    case json::kind::array:
      for (const json::value& inner : value.get_array()) content(inner, key, depth + 1);
      break;
    case json::kind::string:
      if (key == "images")
        media("image", {});
      else if (is_data_url(value.get_string()))
        media("file", value.get_string());
      else
        text(value.get_string());
      break;
    default:
      break;
  }
}

const json::value* member(const json::object& object, std::string_view key) noexcept {
  const json::value* const found = object.if_contains(key);
  return found == nullptr || found->is_null() ? nullptr : found;
}

const json::object* object_member(const json::object& object, std::string_view key) {
  const json::value* const found = member(object, key);
  if (found == nullptr) return nullptr;
  if (!found->is_object()) bad_member(key, "an object");
  return &found->get_object();
}

std::string_view string_member(const json::object& object, std::string_view key) {
  const json::value* const found = member(object, key);
  if (found == nullptr) return {};
  if (!found->is_string()) bad_member(key, "a string");
  return found->get_string();
}

std::optional<std::int64_t> integer_member(const json::object& object, std::string_view key) {
  const json::value* const found = member(object, key);
  if (found == nullptr) return std::nullopt;
  if (found->is_int64()) return found->get_int64();
  if (found->is_uint64())
    return static_cast<std::int64_t>(std::min(found->get_uint64(), static_cast<std::uint64_t>(INT64_MAX)));
  if (found->is_double()) {
    const double number = found->get_double();
    if (std::nearbyint(number) == number && std::abs(number) < 9e15) return static_cast<std::int64_t>(number);
  }
  bad_member(key, "a whole number");
}

bool bool_member(const json::object& object, std::string_view key, bool otherwise) {
  const json::value* const found = member(object, key);
  if (found == nullptr) return otherwise;
  if (!found->is_bool()) bad_member(key, "true or false");
  return found->get_bool();
}

void write_number(json::object& object, std::string_view key, std::int64_t number) {
  json::value& place = object[key];
  if (place.is_double())
    place = static_cast<double>(number);
  else
    place = number;
}

json::object& nested(json::object& object, std::string_view key) {
  json::value& place = object[key];
  if (place.is_null()) place.emplace_object();
  if (!place.is_object()) bad_member(key, "an object");
  return place.get_object();
}

void lower_thinking(json::object& thinking, std::int64_t ceiling) {
  if (const auto budget = integer_member(thinking, "budget_tokens"); budget && *budget >= ceiling)
    write_number(thinking, "budget_tokens", ceiling - 1);
}

void read_thinking(const json::object* thinking, RequestFacts& facts) {
  // "Must be >= 1024 and less than max_tokens": @anthropic-ai/sdk, resources/messages/messages.d.ts.
  if (thinking != nullptr && string_member(*thinking, "type") == "enabled") facts.min_output = 1'025;
}

void find_open_input(const json::object& request, std::initializer_list<std::string_view> keys, RequestFacts& facts) {
  for (const std::string_view key : keys) facts.open_input |= member(request, key) != nullptr;
}

bool has_tool(const json::value& tools, std::string_view type) {
  if (!tools.is_array()) return false;
  for (const json::value& tool : tools.get_array())
    if (tool.is_object() && string_member(tool.get_object(), "type").starts_with(type)) return true;
  return false;
}

bool refers_to_files(const json::value& value, int depth) {
  if (depth > max_depth) return true;
  if (value.is_array()) {
    for (const json::value& inner : value.get_array())
      if (refers_to_files(inner, depth + 1)) return true;
  } else if (value.is_object()) {
    for (const auto& [key, inner] : value.get_object()) {
      if (inner.is_string() && !inner.get_string().empty() &&
          (key == "file_id" || key == "file_url" || key == "fileUri" || key == "file_uri"))
        return true;
      // A document by its address; an image's tokens are bounded by its model.
      if (key == "source" && inner.is_object() && string_member(inner.get_object(), "type") == "url" &&
          value.get_object().if_contains("type") != nullptr && value.get_object().at("type") == "document")
        return true;
      if (inner.is_structured() && refers_to_files(inner, depth + 1)) return true;
    }
  }
  return false;
}

void find_cache_marks(const json::value& value, RequestFacts& facts, int depth) {
  if (depth > max_depth) return;
  if (value.is_array()) {
    for (const json::value& inner : value.get_array()) find_cache_marks(inner, facts, depth + 1);
  } else if (value.is_object()) {
    for (const auto& [key, inner] : value.get_object()) {
      if ((key == "cache_control" || key == "cachePoint") && inner.is_object()) {
        facts.cache_write = true;
        const json::value* const ttl = inner.get_object().if_contains("ttl");
        if (ttl != nullptr && ttl->is_string() && ttl->get_string() == "1h") facts.long_cache = true;
        continue;
      }
      find_cache_marks(inner, facts, depth + 1);
    }
  }
}

}  // namespace outlay::detail
