#include "request.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>

#include "framing.hpp"
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

// Names under which the formats carry media: their strings are not text.
bool is_media_key(std::string_view key) noexcept {
  return key == "data" || key == "bytes" || key == "file_data" || key == "image_url" || key == "url" ||
         key == "fileUri" || key == "file_uri" || key == "uri" || key == "images";
}

// Names of strings that steer and are not rendered, or not as text.
bool is_silent_key(std::string_view key) noexcept {
  return key == "type" || key == "role" || key == "id" || key == "file_id" || key == "detail" || key == "format" ||
         key == "mimeType" || key == "mime_type" || key == "media_type" || key == "filename" || key == "ttl" ||
         key == "status";
}

// OpenAI runs a shell in a container of its own unless the tool's environment is the caller's (developers.openai.com, "Shell").
bool is_hosted_shell(const json::object& tool) noexcept {
  const json::value* const type = tool.if_contains("type");
  if (type == nullptr || *type != "shell") return false;
  const json::value* const environment = tool.if_contains("environment");
  const json::value* const where =
      environment != nullptr && environment->is_object() ? environment->get_object().if_contains("type") : nullptr;
  return where == nullptr || *where != "local";
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
    run_by_provider |= !run_here || is_hosted_shell(tool.get_object());
  }
  return run_by_provider;
}

void InputCount::media(Media media, std::string_view payload, bool low_detail) {
  bool base64 = true;
  if (is_data_url(payload)) {
    const DataUrl url = split_data_url(payload);
    payload = url.data;
    base64 = url.base64;
    if (!url.mime.empty()) media = media_of(url.mime);
  }
  // Providers count pixels and seconds, which are not looked at here. Images are bounded by the model's own rule. Sound: 10 to 32 tokens a
  // second, at 4 kB at least where it is not compressed. Nothing bounds compressed sound, video and documents, of which providers read the
  // text and pictures of the pages: theirs are guesses.
  const auto bytes = static_cast<std::int64_t>(payload.size() / 4 * 3);
  open_ |=
      payload.empty() ? media != Media::image : media != Media::image && media != Media::wave && media != Media::text;
  switch (media) {
    case Media::image:
      range(low_detail ? rules_->image_low : std::min<std::int64_t>(800, rules_->image),
            low_detail ? rules_->image_low : rules_->image);
      break;
    case Media::text:
      if (!base64)
        text(payload);
      else if (const std::optional<std::string> decoded = from_base64(payload))
        text(*decoded);
      else  // whatever a decoder makes of it, it is no longer than this
        range(bytes / 4, static_cast<std::int64_t>(payload.size()));
      break;
    case Media::wave:
    case Media::audio:
      range(bytes / 1'500 + 1, bytes / 125 + 1);
      break;
    case Media::video:
      range(bytes / 1'000 + 300, bytes / 250 + 300);
      break;
    case Media::file:
      range(bytes / 40 + 1, bytes / 4 + 1);
      break;
  }
}

void InputCount::sealed(std::string_view base64) {
  // Text of which only the provider has the key. Its bytes bound its tokens as they do those of text, and most take three bytes and more.
  const auto bytes = static_cast<std::int64_t>(base64.size() / 4 * 3);
  range(bytes / 5, bytes / 2 + 1);
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

void InputCount::content(const json::value& value) { content(value, {}, std::nullopt, 0); }

void InputCount::content(const json::value& value, std::string_view key, std::optional<Media> around, int depth) {
  if (depth > max_depth) throw Error(errc::invalid_argument, "request: nested deeper than 128 levels. Flatten it.");
  switch (value.kind()) {
    case json::kind::object: {
      const json::object& object = value.get_object();
      const std::optional<Media> media = media_of(object, key, around);
      for (const auto& [name, inner] : object) {
        if (inner.is_string()) {
          const std::string_view string = inner.get_string();
          if (is_silent_key(name)) continue;
          if (name == "encrypted_content") {
            sealed(string);
            continue;
          }
          // Anthropic's documents of plain text have it under the name of bytes.
          const json::value* const type = object.if_contains("type");
          const bool plain = name == "data" && type != nullptr && type->is_string() && type->get_string() == "text";
          // An address of which nothing says what is there stands in the text, as that of a citation.
          const bool address = (name == "url" || name == "uri") && !media && !is_data_url(string);
          if (!plain && !address && (is_media_key(name) || is_data_url(string))) {
            const bool inlined = is_data_url(string) || name == "data" || name == "bytes" ||
                                 (name == "file_data" && !string.starts_with("http"));
            const json::value* const detail = object.if_contains("detail");
            const bool low = detail != nullptr && detail->is_string() && detail->get_string() == "low";
            this->media(name == "image_url" ? Media::image : media.value_or(Media::file),
                        inlined ? string : std::string_view{}, low);
            continue;
          }
        }
        // A tool's input and result are rendered with their names.
        if (name == "input" || name == "args" || name == "response" || name == "json" || name == "arguments") {
          rendered(inner, depth + 1);
          continue;
        }
        content(inner, name, media, depth + 1);
      }
      break;
    }
    case json::kind::array:
      for (const json::value& inner : value.get_array()) content(inner, key, around, depth + 1);
      break;
    case json::kind::string:
      if (key == "images")
        media(Media::image, {});
      else if (is_data_url(value.get_string()))
        media(around.value_or(Media::file), value.get_string());
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

bool refers_elsewhere(const json::value& value, int depth) {
  if (depth > max_depth) return true;
  if (value.is_array()) {
    for (const json::value& inner : value.get_array())
      if (refers_elsewhere(inner, depth + 1)) return true;
  } else if (value.is_object()) {
    const json::object& object = value.get_object();
    // An item of an earlier answer (Responses).
    if (const json::value* const type = object.if_contains("type"); type != nullptr && *type == "item_reference")
      return true;
    for (const auto& [key, inner] : object) {
      if (inner.is_string() && !inner.get_string().empty() &&
          (key == "file_id" || key == "file_url" || key == "fileUri" || key == "file_uri" || key == "document_url"))
        return true;
      // What a tool was called with is text, whatever its members are called.
      if ((key == "input" || key == "args" || key == "arguments") && object.contains("name")) continue;
      if (inner.is_object()) {
        // The sound of an earlier answer (Chat Completions).
        if (key == "audio" && object.contains("role") && inner.get_object().contains("id")) return true;
        // A document by its address; an image's tokens are bounded by its model.
        const json::value* const type = inner.get_object().if_contains("type");
        if (key == "source" && type != nullptr && *type == "url" && object.contains("type") &&
            object.at("type") == "document")
          return true;
      }
      if (inner.is_structured() && refers_elsewhere(inner, depth + 1)) return true;
    }
  }
  return false;
}

void add_place(std::string_view geo, RequestFacts& facts) {
  if (geo.empty() || geo == "global" || geo == "not_available") return;
  std::string& tier = facts.service_tier;
  if (tier == "auto" || tier == "standard_only" || tier == "default") tier.clear();
  if (!tier.empty()) tier += '+';
  tier += geo;
}

std::string_view place_of(std::string_view tier) noexcept {
  const std::size_t plus = tier.rfind('+');
  if (plus != tier.npos) tier.remove_prefix(plus + 1);
  return tier == "us" || tier == "eu" ? tier : std::string_view();
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
