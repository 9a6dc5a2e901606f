#include "api.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "apis/table.hpp"
#include "outlay/error.hpp"
#include "reader.hpp"

namespace json = boost::json;

namespace outlay {

std::optional<Api> Api::from_name(std::string_view name) noexcept {
  for (const detail::ApiRow& row : detail::api_rows())
    if (row.name == name) return row.api;
  return std::nullopt;
}

std::string_view Api::name() const noexcept { return detail::row_of(*this).name; }

bool Api::model_in_path() const noexcept { return detail::row_of(*this).model_in_path; }

std::optional<Api> Api::detect(std::string_view target, const json::value& body) noexcept {
  std::array<char, 256> host{};
  detail::Target at{{}, target, body.is_object() ? &body.get_object() : nullptr};
  if (const std::size_t scheme = target.find("://"); scheme != std::string_view::npos) {
    std::string_view authority = target.substr(scheme + 3);
    const std::size_t slash = authority.find_first_of("/?#");
    at.path = slash == std::string_view::npos ? std::string_view("/") : authority.substr(slash);
    authority = authority.substr(0, slash);
    if (const std::size_t user = authority.rfind('@'); user != std::string_view::npos)
      authority.remove_prefix(user + 1);
    authority = authority.substr(0, authority.find(':'));
    if (authority.size() <= host.size()) {
      std::transform(authority.begin(), authority.end(), host.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
      at.host = {host.data(), authority.size()};
    }
  }
  at.path = at.path.substr(0, at.path.find_first_of("?#"));
  while (at.path.size() > 1 && at.path.ends_with('/')) at.path.remove_suffix(1);
  for (const detail::ApiRow& row : detail::api_rows())
    if (row.detects(at)) return row.api;
  return std::nullopt;
}

Usage read_usage(Api api, const json::value& reply) {
  const detail::Format& format = detail::format(api);
  detail::Reader reader(format);
  reader.walk(reply);
  const std::string name(api.name());
  if (reader.facts.invalid != detail::Field::none)
    throw Error(
        errc::invalid_usage,
        name + ": the reply's " + std::string(detail::to_string(reader.facts.invalid)) +
            " are negative, fractional, not a number or above 2,000,000,000. Count the reply's text, or end the call "
            "as indeterminate.");
  bool doubt = false;
  Usage usage = format.usage(reader.facts, doubt);
  if (usage == Usage{} && !reader.facts.reported() && reader.facts.present == 0)
    throw Error(errc::bad_reply, name + ": the reply reports no usage. Check that it is in this format.");
  return usage;
}

namespace detail {

const Format& format(Api api) noexcept { return row_of(api).format(); }

}  // namespace detail
}  // namespace outlay
