// Whose spend a request is.
#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "gateway/head.hpp"
#include "gateway/relay.hpp"

namespace outlay::gateway::detail {

namespace json = boost::json;

namespace {

constexpr std::string_view tag_field = "x-outlay-tag-";

/// A key that no tag can have is left out, since no cap asks for it; a value that is too long is not, since a cap may ask for it.
void set_member(Tags& tags, std::string_view key, const json::value& value) {
  constexpr std::size_t most_key = 128;
  const json::string* text = value.if_string();
  const bool reserved = key == "model" || key == "provider" || key == "budget" || key == "day";
  if (!text || text->empty() || key.empty() || key.size() > most_key || reserved) return;
  tags.set(key, {text->data(), text->size()});
}

/// More than a call may have: it is refused then, and the rest need not be read.
bool too_many(const Tags& tags) noexcept { return tags.size() > 32; }

/// From the members of the body that are trusted: `"user": "alice"` is a tag, and each text of `metadata` and of `labels` is one.
void add_members(Tags& tags, std::string_view body, const std::vector<std::string>& trusted) {
  const json::value value = parse_body(body);
  const json::object* whole = value.if_object();
  if (!whole) return;
  for (const std::string& name : trusted) {
    const json::value* member = whole->if_contains(name);
    if (!member) continue;
    if (const json::object* many = member->if_object())
      for (const auto& one : *many) {
        set_member(tags, {one.key().data(), one.key().size()}, one.value());
        if (too_many(tags)) return;
      }
    else
      set_member(tags, name, *member);
  }
}

}  // namespace

Tags Relay::tags() const {
  Tags tags;
  const GatewayOptions& options = settings_->options;
  if (!options.trust_members.empty()) add_members(tags, request_.body, options.trust_members);
  const bool trusted = options.trust_tags;
  if (const std::string_view session = request_.field("x-outlay-session"); trusted && !session.empty())
    tags.set("session", session);
  for (const auto& field : request_.fields) {
    if (!trusted) break;
    const std::string_view name(field.name_string().data(), field.name_string().size());
    if (name.size() <= tag_field.size() || !same_word(name.substr(0, tag_field.size()), tag_field)) continue;
    std::string key(name.substr(tag_field.size()));
    // Names of fields have no case, those of tags do.
    std::transform(key.begin(), key.end(), key.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c == '-' ? '_' : c;
    });
    tags.set(key, std::string_view(field.value().data(), field.value().size()));
  }
  // The key's own go before what its owner says.
  if (key_)
    for (const auto& [name, value] : key_->tags) tags.set(name, value);
  return tags;
}

}  // namespace outlay::gateway::detail
