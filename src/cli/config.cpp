#include "cli/config.hpp"

#include <array>
#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "core/base/decimal.hpp"
#include "core/base/json_writer.hpp"
#include "json/apis/table.hpp"
#include "json/rules.hpp"
#include "json/settings.hpp"
#include "outlay/ledger.hpp"
#include "outlay/sqlite.hpp"
#ifdef OUTLAY_COMMAND_HAS_REDIS
#include "outlay/redis.hpp"
#endif

namespace outlay::cli {

using detail::JsonWriter;
using detail::Setting;
using detail::SettingMembers;

namespace {

constexpr std::string_view in_a_file = "sqlite:";  // how `store` begins
constexpr std::int64_t most_bytes = std::int64_t{1} << 40;
constexpr std::int64_t most_ms = std::int64_t{365} * 24 * 3'600'000;

struct Size {
  const char* name;
  std::size_t GatewayLimits::* member;
};
constexpr Size sizes[] = {{"head_bytes", &GatewayLimits::head_bytes},
                          {"body_bytes", &GatewayLimits::body_bytes},
                          {"reply_bytes", &GatewayLimits::reply_bytes},
                          {"stream_bytes", &GatewayLimits::stream_bytes},
                          {"connections", &GatewayLimits::connections},
                          {"idle_upstream_connections", &GatewayLimits::idle_upstream_connections}};
struct Span {
  const char* name;
  std::chrono::milliseconds GatewayLimits::* member;
};
constexpr Span spans[] = {{"head_ms", &GatewayLimits::head},
                          {"idle_ms", &GatewayLimits::idle},
                          {"body_ms", &GatewayLimits::body},
                          {"connect_ms", &GatewayLimits::connect},
                          {"first_byte_ms", &GatewayLimits::first_byte},
                          {"upstream_idle_ms", &GatewayLimits::upstream_idle},
                          {"total_ms", &GatewayLimits::total}};

std::string from_environment(const char* variable) {
  const char* value = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): nothing here sets one
  return value ? value : "";
}

/// The variable that the provider's own SDK reads its key from, if it is set.
std::string usual_key_variable(const Upstream& upstream) {
  const std::string& provider = upstream.like.empty() ? upstream.name : upstream.like;
  for (const detail::ApiRow& row : detail::api_rows())
    if (provider == row.service.provider)
      for (const char* variable : row.service.key_variables)
        if (variable && !from_environment(variable).empty()) return variable;
  return {};
}

void read_upstreams(const Setting& setting, Config& config) {
  config.gateway.upstreams.clear();
  for (const Setting& one : setting.list()) {
    SettingMembers members(one);
    Upstream upstream;
    const auto name = members.take("name"), url = members.take("url");
    if (!name || !url) one.bad("must have a name and a url.");
    upstream.name = name->text();
    upstream.url = url->text();
    if (const auto member = members.take("paths")) upstream.paths = member->texts();
    if (const auto member = members.take("like")) upstream.like = member->text();
    if (const auto member = members.take("ca_file")) upstream.ca_file = member->text();
    std::string variable;
    if (const auto member = members.take("key_env")) {
      variable = member->text();
      if (!variable.empty() && from_environment(variable.c_str()).empty())
        member->bad("the variable " + variable + " is not set. Set it to the provider's key.");
    }
    members.done();
    config.gateway.upstreams.push_back(std::move(upstream));
    config.key_variables.push_back(std::move(variable));
  }
}

void read_keys(const Setting& setting, GatewayOptions& options) {
  for (const Setting& one : setting.list()) {
    SettingMembers members(one);
    GatewayKey key;
    const auto name = members.take("name"), hash = members.take("sha256");
    if (!name || !hash) one.bad("must have a name and a sha256. \"outlay keys new\" makes both.");
    key.name = name->text();
    key.sha256 = hash->text();
    if (const auto tags = members.take("tags")) {
      if (!tags->value().is_object()) tags->bad("must be an object: {\"user_id\": \"alice\"}.");
      for (const auto& tag : tags->value().get_object()) {
        const std::string tag_name(tag.key().data(), tag.key().size());
        key.tags.set(tag_name, Setting(tag.value(), tags->place() + "." + tag_name).text());
      }
    }
    if (const auto models = members.take("models")) key.models = models->texts();
    members.done();
    options.keys.push_back(std::move(key));
  }
}

void read_limits(const Setting& setting, GatewayLimits& limits) {
  SettingMembers members(setting);
  for (const Size& size : sizes)
    if (const auto one = members.take(size.name))
      limits.*size.member = static_cast<std::size_t>(one->count(1, most_bytes));
  for (const Span& span : spans)
    if (const auto one = members.take(span.name))
      limits.*span.member = std::chrono::milliseconds(one->count(1, most_ms));
  members.done();
}

OnUnreachable read_on_unreachable(const Setting& setting) {
  if (setting.value().is_object()) {
    SettingMembers members(setting);
    const auto usd = members.take("local_usd");
    members.done();
    if (usd) return OnUnreachable::local(usd->money());
  } else if (setting.value().is_string()) {
    const std::string word = setting.text();
    if (word == "deny") return OnUnreachable::deny();
    if (word == "allow_and_mark") return OnUnreachable::allow_and_mark();
  }
  setting.bad("must be \"deny\", \"allow_and_mark\" or {\"local_usd\": 5}.");
}

void read_store(SettingMembers& members, Config& config) {
  if (const auto one = members.take("on_unreachable")) config.on_unreachable = read_on_unreachable(*one);
  const auto store = members.take("store");
  if (!store) return;
  config.store = store->text();
  const bool redis = config.store.starts_with("redis://") || config.store.starts_with("unix://");
  if (config.store != "memory" && !config.store.starts_with(in_a_file) && !redis)
    store->bad("must be \"memory\", \"sqlite:FILE\" or \"redis://HOST\".");
#ifndef OUTLAY_COMMAND_HAS_REDIS
  if (redis) store->bad("is on Redis, which this command was built without. Build it with OUTLAY_WITH_REDIS.");
#endif
  if (redis && !config.on_unreachable)
    store->bad(
        "may be out of reach: say in on_unreachable what holds then (\"deny\", \"allow_and_mark\" or {\"local_usd\": "
        "5}).");
}

bool same(const std::optional<OnUnreachable>& a, const std::optional<OnUnreachable>& b) {
  const OnUnreachable one = a.value_or(OnUnreachable::deny()), other = b.value_or(OnUnreachable::deny());
  return one.kind() == other.kind() && one.at_most() == other.at_most();
}

/// The same with the file's name in front.
[[noreturn]] void named(const std::string& who, const ConfigError& error) {
  const std::string what = error.what();
  throw ConfigError(what.starts_with(who) ? what : who + ": " + what);
}

}  // namespace

bool Config::same_place(const Config& other) const {
  return gateway.address == other.gateway.address && gateway.port == other.gateway.port &&
         gateway.admin_address == other.gateway.admin_address && gateway.admin_port == other.gateway.admin_port &&
         gateway.tls_certificate.empty() == other.gateway.tls_certificate.empty() && store == other.store &&
         same(on_unreachable, other.on_unreachable) && records == other.records && prices == other.prices;
}

Config read_config(std::string_view text, const std::string& who) try {
  const boost::json::value value = detail::parse_settings(text, who);
  const Setting whole(value, "");
  if (!value.is_object()) throw ConfigError(who + ": must be an object: { ... }.");
  SettingMembers members(whole);
  static_cast<void>(members.take("$schema"));  // for editors
  Config config;
  GatewayOptions& gateway = config.gateway;
  if (const auto listen = members.take("listen")) {
    SettingMembers parts(*listen);
    if (const auto one = parts.take("address")) gateway.address = one->text();
    if (const auto one = parts.take("port")) gateway.port = static_cast<std::uint16_t>(one->count(0, 65'535));
    parts.done();
  }
  if (const auto admin = members.take("admin")) {
    SettingMembers parts(*admin);
    if (const auto one = parts.take("address")) gateway.admin_address = one->text();
    if (const auto one = parts.take("port")) {
      gateway.admin_port = static_cast<std::uint16_t>(one->count(0, 65'535));
      if (*gateway.admin_port != 0 && *gateway.admin_port == gateway.port && gateway.admin_address == gateway.address)
        one->bad("is the port of listen, too. Choose another, or leave admin out.");
    }
    parts.done();
  }
  if (const auto tls = members.take("tls")) {
    SettingMembers parts(*tls);
    if (const auto one = parts.take("certificate")) gateway.tls_certificate = one->text();
    if (const auto one = parts.take("key")) gateway.tls_key = one->text();
    parts.done();
  }
  if (const auto one = members.take("upstreams"))
    read_upstreams(*one, config);
  else
    config.key_variables.resize(gateway.upstreams.size());
  if (const auto one = members.take("keys")) read_keys(*one, gateway);
  gateway.trust_tags = gateway.keys.empty();
  if (const auto one = members.take("trust_tags")) gateway.trust_tags = one->flag();
  if (const auto one = members.take("trust_members")) gateway.trust_members = one->texts();
  if (const auto one = members.take("admin_sha256")) gateway.admin_sha256 = one->text();
  if (const auto one = members.take("pass")) gateway.pass = one->texts();
  if (const auto one = members.take("refusal_status")) gateway.refusal_status = static_cast<int>(one->count(402, 429));
  if (const auto one = members.take("limits")) read_limits(*one, gateway.limits);
  if (const auto one = members.take("drain_ms")) gateway.drain = std::chrono::milliseconds(one->count(0, most_ms));
  if (const auto one = members.take("rules")) {
    config.rules = detail::rules_of(*one, nullptr);
    config.rules_text = boost::json::serialize(one->value());
  }
  read_store(members, config);
  if (const auto one = members.take("records")) config.records = one->text();
  if (const auto one = members.take("prices")) config.prices = one->text();
  if (const auto one = members.take("log")) config.log = one->flag();
  members.done();

  for (std::size_t i = 0; i < gateway.upstreams.size() && !gateway.keys.empty(); ++i) {
    std::string& variable = config.key_variables[i];
    if (variable.empty()) variable = usual_key_variable(gateway.upstreams[i]);
    if (!variable.empty()) gateway.upstreams[i].api_key = from_environment(variable.c_str());
  }
  Gateway::check(gateway);
  Ledger().set_rules(config.rules);
  return config;
} catch (const ConfigError& error) {
  named(who, error);
}

std::string print_config(const Config& config) {
  const GatewayOptions& gateway = config.gateway;
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.line()
      .key("listen")
      .begin_object()
      .key("address")
      .text(gateway.address)
      .key("port")
      .number(std::int64_t{gateway.port})
      .end_object();
  json.line().key("admin").begin_object().key("address").text(gateway.admin_address);
  if (gateway.admin_port) json.key("port").number(std::int64_t{*gateway.admin_port});
  json.end_object();
  json.line().key("tls").begin_object().key("certificate").text(gateway.tls_certificate);
  json.key("key").text(gateway.tls_key).end_object();
  json.line().key("upstreams").begin_array();
  for (std::size_t i = 0; i < gateway.upstreams.size(); ++i) {
    const Upstream& one = gateway.upstreams[i];
    json.line().begin_object().key("name").text(one.name).key("url").text(one.url).key("paths").texts(one.paths);
    json.key("like")
        .text(one.like)
        .key("ca_file")
        .text(one.ca_file)
        .key("key_env")
        .text(config.key_variables[i])
        .end_object();
  }
  json.end_array();
  json.line().key("keys").begin_array();
  for (const GatewayKey& key : gateway.keys)
    json.line()
        .begin_object()
        .key("name")
        .text(key.name)
        .key("sha256")
        .text(key.sha256)
        .key("tags")
        .tags(key.tags)
        .key("models")
        .texts(key.models)
        .end_object();
  json.end_array();
  json.line().key("trust_tags").boolean(gateway.trust_tags);
  json.line().key("trust_members").texts(gateway.trust_members);
  json.line().key("admin_sha256").text(gateway.admin_sha256);
  json.line().key("pass").texts(gateway.pass);
  json.line().key("refusal_status").number(std::int64_t{gateway.refusal_status});
  json.line().key("limits").begin_object();
  for (const Size& size : sizes) json.key(size.name).number(static_cast<std::uint64_t>(gateway.limits.*size.member));
  for (const Span& span : spans) json.key(span.name).number(std::int64_t{(gateway.limits.*span.member).count()});
  json.end_object();
  json.line().key("drain_ms").number(std::int64_t{gateway.drain.count()});
  json.line().key("rules").raw(config.rules_text);
  json.line().key("store").text(config.store);
  json.line().key("on_unreachable");
  const OnUnreachable how = config.on_unreachable.value_or(OnUnreachable::deny());
  if (how.kind() == OnUnreachable::Kind::local)
    json.begin_object().key("local_usd").text(detail::decimal_usd(how.at_most())).end_object();
  else
    json.text(how.kind() == OnUnreachable::Kind::deny ? "deny" : "allow_and_mark");
  json.line().key("records").text(config.records);
  json.line().key("prices").text(config.prices);
  json.line().key("log").boolean(config.log);
  out += '\n';
  json.end_object();
  return out += '\n';
}

void check_files(const Config& config, const std::string& who) {
  if (!config.prices.empty()) {
    try {
      static_cast<void>(table_of({.prices = config.prices}));
    } catch (const Error& error) {
      throw ConfigError(who + ": prices: " + error.what());
    }
  }
  const auto check = [&](const char* member, const std::filesystem::path& file) {
    std::error_code ignored;
    const std::filesystem::path directory = file.has_parent_path() ? file.parent_path() : ".";
    if (!std::filesystem::is_directory(directory, ignored))
      throw ConfigError(who + ": " + member + ": the directory " + printable(directory.native()) +
                        " does not exist. Make it, or name another.");
  };
  if (!config.records.empty()) check("records", config.records);
  if (config.store.starts_with(in_a_file)) check("store", config.store.substr(in_a_file.size()));
}

std::shared_ptr<Store> open_store(const Config& config) {
  const OnUnreachable how = config.on_unreachable.value_or(OnUnreachable::deny());
  if (config.store.starts_with(in_a_file))
    return sqlite_store({.path = config.store.substr(in_a_file.size()), .on_unreachable = how});
#ifdef OUTLAY_COMMAND_HAS_REDIS
  if (config.store != "memory") return redis_store({.url = config.store, .on_unreachable = how});
#endif
  return nullptr;
}

std::shared_ptr<Sink> gateway_records(const std::filesystem::path& file) {
  // What a gateway that is killed has not committed is lost. Rows gather in the ledger's queue (SinkOptions::max_delay), and wait no second time
  // here: that takes about 1 % more of the processor at saturation. A shorter wait there as well would take 3 %.
  return sqlite_sink({.path = file, .max_delay = std::chrono::milliseconds(1)});
}

}  // namespace outlay::cli
