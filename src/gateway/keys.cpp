#include "gateway/keys.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "core/base/percent.hpp"
#include "gateway/head.hpp"
#include "json/apis/table.hpp"
#include "outlay/error.hpp"

namespace outlay {

std::string hash_of_key(std::string_view key) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(key.data(), key.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    throw Error(errc::config, "gateway: SHA-256 is not available in this OpenSSL.");
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += "0123456789abcdef"[digest[i] >> 4U];
    text += "0123456789abcdef"[digest[i] & 15U];
  }
  return text;
}

namespace gateway::detail {

namespace {

using outlay::detail::ApiRow;
using outlay::detail::KeyField;

constexpr std::array<std::string_view, 4> fields{"authorization", "x-api-key", "x-goog-api-key", "api-key"};
constexpr std::string_view bearer = "Bearer ";

/// The parts of a query, its question mark left out.
template <class F>
void each_part(std::string_view query, const F& f) {
  if (query.starts_with('?')) query.remove_prefix(1);
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    f(part);
  }
}

}  // namespace

bool is_hash(std::string_view text) noexcept {
  return text.size() == 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Keys::Keys(const std::vector<GatewayKey>& keys) {
  for (const GatewayKey& key : keys) {
    if (key.name.empty() || key.name.size() > 128) throw ConfigError("gateway: a key's name must have 1 to 128 bytes.");
    const std::string about = "gateway: key \"" + key.name + "\"";
    if (!is_hash(key.sha256))
      throw ConfigError(about +
                        ": sha256 must be 64 hexadecimal digits in lower case, as \"outlay keys hash\" prints them.");
    for (const auto& [hash, other] : by_hash_) {
      if (other.name == key.name) throw ConfigError(about + ": there are two keys of this name.");
      if (hash == key.sha256) throw ConfigError(about + " is the same key as \"" + other.name + "\".");
    }
    by_hash_.emplace(key.sha256, key);
  }
}

const GatewayKey* Keys::find(std::string_view presented) const {
  if (presented.empty()) return nullptr;
  const auto found = by_hash_.find(hash_of_key(presented));
  return found == by_hash_.end() ? nullptr : &found->second;
}

bool carries_key(std::string_view field) noexcept {
  return std::any_of(fields.begin(), fields.end(), [&](std::string_view one) { return same_word(one, field); });
}

std::string presented_key(const Request& request, std::string_view query) {
  const std::string_view authorization = request.field("authorization");
  if (authorization.size() > bearer.size() && same_word(authorization.substr(0, bearer.size()), bearer))
    return std::string(authorization.substr(bearer.size()));
  for (const std::string_view name : {"x-api-key", "x-goog-api-key", "api-key"})
    if (const std::string_view value = request.field(name); !value.empty()) return std::string(value);
  std::string key;
  each_part(query, [&](std::string_view part) {
    if (part.starts_with("key=")) key = outlay::detail::percent_decoded(part.substr(4)).value_or(std::string());
  });
  return key;
}

std::string without_key(std::string_view query) {
  std::string rest;
  each_part(query, [&](std::string_view part) {
    if (!part.starts_with("key=")) rest.append(rest.empty() ? "?" : "&").append(part);
  });
  return rest;
}

KeyHeader key_header(const UpstreamState& upstream) {
  KeyField how = KeyField::bearer;
  for (const ApiRow& row : outlay::detail::api_rows())
    if (upstream.provider == row.service.provider && !upstream.provider.empty()) how = row.service.key;
  const std::string& key = upstream.options.api_key;
  switch (how) {
    case KeyField::x_api_key:
      return {"x-api-key", key};
    case KeyField::x_goog_api_key:
      return {"x-goog-api-key", key};
    case KeyField::api_key:
      return {"api-key", key};
    case KeyField::bearer:
      break;
  }
  return {"Authorization", "Bearer " + key};
}

}  // namespace gateway::detail

}  // namespace outlay
