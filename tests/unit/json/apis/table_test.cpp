#include "json/apis/table.hpp"

#include <boost/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "outlay/json.hpp"
#include "support/catch.hpp"

using namespace outlay;
namespace json = boost::json;

namespace {

// A path of the table below its service's address, as it goes over the wire.
std::string url(const detail::ApiRow& row, std::string_view path) {
  std::string text = row.service.address != nullptr ? row.service.address : "https://service.example";
  text += path;
  for (const std::string_view name : {"{model}", "{version}"})
    if (const std::size_t at = text.find(name); at != text.npos) text.replace(at, name.size(), "m-1");
  return text;
}

}  // namespace

TEST_CASE("apis: every row has a name of its own, which leads back to its API", "[json][api]") {
  std::set<std::string_view> names;
  for (const detail::ApiRow& row : detail::api_rows()) {
    INFO(row.name);
    CHECK_FALSE(row.name.empty());
    CHECK(names.insert(row.name).second);
    CHECK(row.api.name() == row.name);
    CHECK(Api::from_name(row.name) == row.api);
    CHECK(&detail::row_of(row.api) == &row);
  }
  REQUIRE(Api::all().size() == detail::api_rows().size());
  for (std::size_t i = 0; i < Api::all().size(); ++i) CHECK(Api::all()[i] == detail::api_rows()[i].api);
}

TEST_CASE("apis: every API's own paths are detected as its own", "[json][api]") {
  const json::value body = json::object{{"model", "m-1"}, {"input", "x"}};
  for (const detail::ApiRow& row : detail::api_rows()) {
    for (const char* path : {row.path, row.stream_path, row.batch_path}) {
      if (path == nullptr) continue;
      INFO(row.name << " at " << url(row, path));
      CHECK(Api::detect(url(row, path), body) == row.api);
    }
  }
}

TEST_CASE("apis: every row says how it streams", "[json][api]") {
  for (const detail::ApiRow& row : detail::api_rows()) {
    INFO(row.name);
    CHECK((row.stream_path != nullptr) == (row.streaming == detail::Streaming::path));
    if (row.api.model_in_path()) CHECK(std::string_view(row.path).find("{model}") != std::string_view::npos);
    CHECK(row.service.key_variables[0] != nullptr);
    CHECK(row.service.address_variables[0] != nullptr);
  }
}

TEST_CASE("apis: every status has a verdict", "[json][api]") {
  for (const detail::ApiRow& row : detail::api_rows()) {
    std::set<int> listed;
    for (const detail::StatusVerdict& one : row.statuses) {
      CHECK(listed.insert(one.status).second);
      CHECK(one.verdict != ReplyVerdict::paid);
    }
    for (int status = 100; status < 600; ++status) {
      INFO(row.name << " " << status);
      const ReplyVerdict verdict = judge_reply(row.api, status, nullptr);
      CHECK((verdict == ReplyVerdict::paid) == (status >= 200 && status < 300));
      if (status < 400) CHECK(verdict != ReplyVerdict::released);
      CHECK((verdict == ReplyVerdict::indeterminate) == (verdict != ReplyVerdict::paid && !listed.contains(status)));
    }
    // What the providers document as refused free of charge.
    for (const int status : {400, 401, 402, 403, 404, 405, 413, 415, 422, 429, 503, 529})
      CHECK(judge_reply(row.api, status, json::object{}) == ReplyVerdict::released);
    for (const int status : {408, 499, 500, 502, 504, 524})
      CHECK(judge_reply(row.api, status, json::object{}) == ReplyVerdict::indeterminate);
  }
}
