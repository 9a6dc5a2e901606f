#include "api.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

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

ReplyUsage read_usage(Api api, const json::value& reply) {
  const detail::Format& format = detail::format(api);
  detail::Reader reader(format);
  reader.walk_reply(reply);
  const std::string name(api.name());
  const detail::Facts& facts = reader.facts;
  if (facts.invalid() != detail::Field::none)
    throw Error(
        errc::invalid_usage,
        name + ": the reply's " + std::string(detail::to_string(facts.invalid())) +
            " are negative, fractional, not a number or above 2,000,000,000. Count the reply's text, or end the call "
            "as indeterminate.");
  detail::Report report = format.report(facts);
  if (const char* const member = report.usage.first_invalid())
    throw Error(errc::invalid_usage, name + ": the reply's counts add up to more than 2,000,000,000 (" + member +
                                         "). Count the reply's text, or end the call as indeterminate.");
  if (facts.pending || report.usage == Usage{})
    throw Error(errc::bad_reply,
                name + (facts.pending ? ": the answer is still being made and reports no usage yet. Ask for it again."
                                      : ": the reply reports no usage. Check that it is in this format."));
  return {.usage = report.usage,
          .parts = std::move(report.parts),
          .model = facts.model,
          .service_tier = facts.service_tier,
          .provider_cost = facts.provider_cost(),
          .finish = facts.finish,
          .doubtful = report.doubt,
          .unread_member = facts.unread};
}

namespace detail {

Usage tools_of(const Usage& usage) noexcept {
  return {.web_searches = usage.web_searches,
          .file_searches = usage.file_searches,
          .code_sessions = usage.code_sessions,
          .other_tools = usage.other_tools};
}

const Format& format(Api api) noexcept { return row_of(api).format(); }

}  // namespace detail
}  // namespace outlay
