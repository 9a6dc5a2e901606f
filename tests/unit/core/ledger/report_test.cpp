#include <algorithm>
#include <numeric>

#include "support/reason_of.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay_test;
using namespace outlay;

namespace {

void spend(std::initializer_list<Tag> tags, int calls, const char* model = "cent") {
  Track track(tags);
  for (int i = 0; i < calls; ++i) {
    Call call({.model = model, .input_tokens = 10, .max_output_tokens = 10});
    call.settle({.input = 10, .output = 5});
  }
}

}  // namespace

TEST_CASE("report: grouped by tags, dearest first, then by tags", "[core][report]") {
  const Fixture fixture;
  spend({{"feature", "support"}, {"user_id", "b"}}, 1);
  spend({{"feature", "support"}, {"user_id", "a"}}, 1);
  spend({{"feature", "billing"}, {"user_id", "a"}}, 3);
  const Report by_both = outlay::report({"feature", "user_id"});
  REQUIRE(by_both.size() == 3);
  REQUIRE(by_both.at(0).tags.at("feature") == "billing");
  REQUIRE(by_both.at(1).tags.at("user_id") == "a");
  REQUIRE(by_both.at(2).tags.at("user_id") == "b");
  const Report by_feature = outlay::report({"feature"});
  REQUIRE(by_feature.size() == 2);
  REQUIRE(by_feature.at(0).usd == 0.03_usd);
  REQUIRE(by_feature.at(0).calls == 3);
  REQUIRE(by_feature.at(0).usage.total() == 45);
  REQUIRE(by_feature.total().usd == 0.05_usd);
  REQUIRE(outlay::report().size() == 1);
  REQUIRE(outlay::report(std::vector<std::string>{"feature"}).size() == 2);
}

TEST_CASE("report: a record without the tag is a row of its own, in which the key is absent", "[core][report]") {
  const Fixture fixture;
  spend({{"feature", "x"}}, 2);
  spend({{"other", "y"}}, 1);
  const Report report = outlay::report({"feature"});
  REQUIRE(report.size() == 2);
  REQUIRE(!report.at(1).tags.contains("feature"));
  REQUIRE_THROWS_AS(report.at(1).tags.at("feature"), std::out_of_range);
  REQUIRE_THROWS_AS(report.at(2), std::out_of_range);
}

TEST_CASE("report: by model, provider, budget and day", "[core][report]") {
  const Fixture fixture;
  {
    Budget run({.name = "run", .usd = 1_usd});
    spend({{"f", "x"}}, 1, "gpt-4o");
    Budget answer({.name = "answer", .usd = 1_usd});
    spend({{"f", "x"}}, 2, "gpt-4o-mini");
  }
  fixture.clock->advance(std::chrono::hours(30));
  spend({{"f", "x"}}, 1, "unit");
  REQUIRE(outlay::report({"model"}).size() == 3);
  const Report providers = outlay::report({"provider"});
  REQUIRE(providers.size() == 2);
  REQUIRE(!providers.at(1).tags.contains("provider"));
  const Report days = outlay::report({"day"});
  REQUIRE(days.size() == 2);
  REQUIRE(days.at(0).tags.at("day") == "2026-01-01");
  REQUIRE(days.at(1).tags.at("day") == "2026-01-02");
  const Report budgets = outlay::report({"budget", "model"});
  REQUIRE(budgets.at(0).tags == Tags({{"budget", "run"}, {"model", "gpt-4o"}}));
  REQUIRE(budgets.at(1).tags.at("model") == "unit");
  REQUIRE(budgets.at(2).tags == Tags({{"budget", "run/answer"}, {"model", "gpt-4o-mini"}}));
}

TEST_CASE("report: confidence is said apart: exact, estimated, indeterminate, unpriced, rejected, blocked",
          "[core][report]") {
  const Fixture fixture;
  Track track({{"feature", "x"}});
  Call(cent_request()).settle(Usage{});
  Call(cent_request()).settle(Settlement{.usage = {}, .estimated = true});
  {
    Call call(cent_request());
    call.sent();
  }
  {
    Call call(cent_request());
    call.sent();
    call.release("503");
  }
  {
    Budget tokens({.tokens = 100});
    Call({.model = "mystery", .input_tokens = 1, .max_output_tokens = 1}).settle({.input = 1});
    static_cast<void>(try_call({.model = "free", .input_tokens = 1'000, .max_output_tokens = 1}));
  }
  const Report report = outlay::report({"feature"});
  REQUIRE(report.size() == 1);
  const ReportRow& row = report.at(0);
  REQUIRE(row.usd == 0.03_usd);
  REQUIRE(row.exact == 0.01_usd);
  REQUIRE(row.estimated == 0.01_usd);
  REQUIRE(row.indeterminate == 0.01_usd);
  REQUIRE(row.calls == 5);
  REQUIRE(row.estimated_calls == 1);
  REQUIRE(row.indeterminate_calls == 1);
  REQUIRE(row.rejected_calls == 1);
  REQUIRE(row.unpriced_calls == 1);
  REQUIRE(row.blocked_calls == 1);
}

TEST_CASE("report: every bucket of a usage is summed", "[core][report]") {
  const Fixture fixture;
  const Usage usage{.input = 10,
                    .cache_read = 2,
                    .cache_write = 3,
                    .cache_write_1h = 4,
                    .output = 9,
                    .reasoning = 5,
                    .input_audio = 6,
                    .output_audio = 1,
                    .web_searches = 2};
  for (int i = 0; i < 2; ++i) Call(large_request()).settle(usage);
  Usage twice = usage;
  twice += usage;
  REQUIRE(outlay::report().total().usage == twice);
  REQUIRE(fixture.ledger.records().back().usage == usage);
}

TEST_CASE("report: assert_under passes, fails with the numbers, and filters by any tag", "[core][report]") {
  const Fixture fixture;
  spend({{"feature", "a"}, {"user_id", "x"}}, 3);
  spend({{"feature", "b"}, {"user_id", "x"}}, 1, "gpt-4o");
  const Report report = outlay::report({"feature"});
  report.assert_under(0.03_usd, {{"feature", "a"}});
  report.assert_under(0.03_usd, {{"feature", "a"}, {"user_id", "x"}});
  report.assert_under(0.03_usd, {{"model", "cent"}});
  REQUIRE(reason_of([&] { report.assert_under(0.029_usd, {{"feature", "a"}}); }) == errc::over_limit);
  REQUIRE(reason_of([&] { report.assert_under(0.02_usd, {{"model", "cent"}}); }) == errc::over_limit);
  REQUIRE(reason_of([&] { report.assert_under(0.03_usd); }) == errc::over_limit);
  try {
    report.assert_under(0.02_usd, {{"user_id", "x"}});
  } catch (const Error& error) {
    const std::string text = error.what();
    REQUIRE(text.find("$0.030075") != std::string::npos);
    REQUIRE(text.find("$0.02") != std::string::npos);
    REQUIRE(text.find("user_id=x") != std::string::npos);
  }
}

TEST_CASE("report: it keeps what it was made from, whatever is spent afterwards", "[core][report]") {
  const Fixture fixture;
  spend({{"feature", "a"}}, 1);
  const Report report = outlay::report();
  spend({{"feature", "a"}}, 100);
  report.assert_under(0.01_usd, {{"feature", "a"}});
  report.assert_under(0.01_usd, {{"model", "cent"}});
}

TEST_CASE("report: over an evicted FIFO an assertion fails rather than pass by mistake", "[core][report]") {
  const Fixture fixture({.max_records = 2});
  spend({{"feature", "a"}}, 2);
  const Report before = outlay::report();
  REQUIRE(before.complete());
  before.assert_under(1_usd);
  spend({{"feature", "a"}}, 1);
  const Report after = outlay::report();
  REQUIRE(!after.complete());
  REQUIRE(reason_of([&] { after.assert_under(1_usd); }) == errc::incomplete);
  REQUIRE(reason_of([&] { before.assert_under(1_usd, {{"model", "cent"}}); }) == errc::incomplete);
}

TEST_CASE("report: an audit that cannot tell says why", "[core][report]") {
  const Fixture fixture;
  // Ten calls of the most that one may cost are beyond 64 bits of nano-dollars.
  for (int i = 0; i < 10; ++i)
    Call({.model = "free", .input_tokens = 0, .max_output_tokens = 0, .usd = 1'000'000'000_usd}).settle(Usage{});
  const Audit audit = fixture.ledger.audit();
  REQUIRE(audit.verdict == Audit::Verdict::cannot_tell);
  REQUIRE(!audit.findings.empty());
}

TEST_CASE("report: a sum that is no number is an error, not a wrong number", "[core][report]") {
  const Fixture fixture;
  // Ten calls of the most that one may cost are beyond 64 bits of nano-dollars, whatever their costs are taken for.
  const auto most = [&](const std::string& feature, bool estimated) {
    for (int i = 0; i < 10; ++i) {
      Call call({.model = "free", .input_tokens = 0, .max_output_tokens = 0, .tags = {{"feature", feature}}});
      call.settle({.usage = {}, .provider_cost = 1'000'000'000_usd, .estimated = estimated});
    }
  };
  spend({{"feature", "small"}}, 1);
  SECTION("of exact costs") { most("large", false); }
  SECTION("of estimated costs") { most("large", true); }
  CHECK((reason_of([] { static_cast<void>(outlay::report({"feature"})); }) == errc::overflow));
  CHECK((reason_of([] { static_cast<void>(outlay::report()); }) == errc::overflow));
}

TEST_CASE("report: a budget in an assertion means it and everything inside it", "[core][report]") {
  const Fixture fixture;
  {
    Budget session({.name = "session", .usd = 1_usd});
    spend({}, 1);
    Budget step({.name = "step", .usd = 1_usd});
    spend({{"f", "x"}}, 2);
  }
  Budget other({.name = "other", .usd = 1_usd});
  Budget step({.name = "step", .usd = 1_usd});
  spend({}, 5);
  for (const Report& report : {outlay::report(), outlay::report({"model"}), outlay::report({"budget"})}) {
    const auto fails = [&](Usd limit, const Tags& tags) {
      return reason_of([&] { report.assert_under(limit, tags); });
    };
    CHECK((fails(0.03_usd, {{"budget", "session"}}) == errc::ok));
    CHECK((fails(0.029_usd, {{"budget", "session"}}) == errc::over_limit));
    CHECK((fails(0.069_usd, {{"budget", "step"}}) == errc::over_limit));  // wherever it was opened
    CHECK((fails(0.07_usd, {{"budget", "step"}}) == errc::ok));
    CHECK((fails(0.02_usd, {{"budget", "session/step"}}) == errc::ok));
    CHECK((fails(0.019_usd, {{"budget", "session/step"}}) == errc::over_limit));
    CHECK((fails(0.019_usd, {{"budget", "session"}, {"f", "x"}, {"model", "cent"}}) == errc::over_limit));
  }
}

TEST_CASE("report: a budget that never was, or tags that nothing ever had, are an error in an assertion",
          "[core][report]") {
  const Fixture fixture;
  {
    Budget session({.name = "session", .usd = 1_usd});
    spend({{"feature", "search"}, {"user_id", "a"}}, 1);
    const Budget idle({.name = "idle", .usd = 1_usd});
    const Track quiet({{"feature", "quiet"}});
  }
  Budget full({.name = "full", .usd = 0.001_usd});
  CHECK_FALSE(try_call({.model = "gpt-4o-mini", .input_tokens = 1'000'000, .max_output_tokens = 1}));
  const Report report = outlay::report();
  const auto fails = [&](const Tags& tags) { return reason_of([&] { report.assert_under(1_usd, tags); }); };
  CHECK((fails({}) == errc::ok));
  CHECK((fails({{"budget", "sesion"}}) == errc::invalid_argument));
  CHECK((fails({{"budget", "session/sub"}}) == errc::invalid_argument));
  CHECK((fails({{"budget", ""}}) == errc::invalid_argument));
  CHECK((fails({{"feature", "serch"}}) == errc::invalid_argument));
  CHECK((fails({{"featur", "search"}}) == errc::invalid_argument));
  CHECK((fails({{"feature", "quiet"}, {"user_id", "a"}}) == errc::invalid_argument));
  CHECK((fails({{"model", "gpt-5"}}) == errc::invalid_argument));
  CHECK((fails({{"day", "2025-12-31"}}) == errc::invalid_argument));
  // Open, or asked for and refused, and nothing was spent.
  CHECK((fails({{"budget", "idle"}}) == errc::ok));
  CHECK((fails({{"feature", "quiet"}}) == errc::ok));
  CHECK((fails({{"budget", "full"}}) == errc::ok));
  CHECK((fails({{"model", "gpt-4o-mini"}, {"budget", "full"}}) == errc::ok));
  CHECK((reason_of([] { Report({}, true).assert_under(1_usd, {{"feature", "x"}}); }) == errc::invalid_argument));
  CHECK((reason_of([] { Report({}, true).assert_under(1_usd); }) == errc::ok));
}

TEST_CASE("report: a slash in a budget's name is no step of a path", "[core][report]") {
  const Fixture fixture;
  {
    Budget outer({.name = "a", .usd = 1_usd});
    Budget inner({.name = "b", .usd = 1_usd});
    spend({}, 2);
  }
  {
    Budget one({.name = "a/b", .usd = 1_usd});
    spend({}, 1);
  }
  {
    Budget one({.name = "a\\", .usd = 1_usd});
    Budget inner({.name = "b", .usd = 1_usd});
    spend({}, 4);
  }
  const Report report = outlay::report({"budget"});
  REQUIRE(report.size() == 3);
  CHECK(report.at(0).tags.at("budget") == R"(a\\/b)");
  CHECK(report.at(1).tags.at("budget") == "a/b");
  CHECK(report.at(2).tags.at("budget") == R"(a\/b)");
  const auto fails = [&](Usd limit, const char* budget) {
    return reason_of([&] { report.assert_under(limit, {{"budget", budget}}); });
  };
  // The name first, since that is what the program wrote.
  CHECK((fails(0.01_usd, "a/b") == errc::ok));
  CHECK((fails(0.009_usd, "a/b") == errc::over_limit));
  CHECK((fails(0.01_usd, R"(a\/b)") == errc::ok));
  CHECK((fails(0.009_usd, R"(a\/b)") == errc::over_limit));
  CHECK((fails(0.039_usd, R"(a\\/b)") == errc::over_limit));
}

TEST_CASE("report: a day is the day of admission", "[core][report]") {
  const Fixture fixture;
  fixture.clock->set(Time(std::chrono::sys_days(std::chrono::year(2026) / 8 / 31)) + std::chrono::hours(23));
  Call call(cent_request());
  fixture.clock->advance(std::chrono::hours(2));
  call.settle(Usage{});
  const Report days = outlay::report({"day"});
  REQUIRE(days.size() == 1);
  CHECK(days.at(0).tags.at("day") == "2026-08-31");
  CHECK_NOTHROW(outlay::report().assert_under(0.01_usd, {{"day", "2026-08-31"}}));
  CHECK((reason_of([] { outlay::report().assert_under(1_usd, {{"day", "2026-09-01"}}); }) == errc::invalid_argument));
}

TEST_CASE("report: a tag that no record has is named by the report, and once in the log", "[core][report]") {
  const Fixture fixture;
  std::vector<std::string> lines;
  const LogHandler previous = set_log_handler([&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  CHECK(outlay::report({"feature"}).missing_keys().empty());  // no records
  spend({{"feature", "x"}}, 1);
  spend({{"user_id", "a"}}, 1);
  CHECK(outlay::report({"feature", "user_id", "model", "budget", "day"}).missing_keys().empty());
  CHECK(lines.empty());
  for (int i = 0; i < 2; ++i) {
    const Report report = outlay::report({"feature", "user"});
    CHECK(report.missing_keys() == std::vector<std::string>{"user"});
    CHECK(report.size() == 2);
  }
  set_log_handler(previous);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("\"user\"") != std::string::npos);
}

TEST_CASE("report: tags that differ only in bytes that are no UTF-8 are one group, and blocked calls have a provider",
          "[core][report]") {
  const Fixture fixture;
  spend({{"user_id", "a\xFF"}}, 1);
  spend({{"user_id", "a\xFE"}}, 1);
  const Report users = outlay::report({"user_id"});
  REQUIRE(users.size() == 1);
  CHECK(users.at(0).tags.at("user_id") == "a\xEF\xBF\xBD");
  CHECK((reason_of([&] { users.assert_under(0.01_usd, {{"user_id", "a\xFE"}}); }) == errc::over_limit));

  Budget full({.name = "full", .usd = 0.0001_usd});
  CHECK_FALSE(try_call(large_request()));
  REQUIRE(fixture.ledger.events().size() == 1);
  CHECK(fixture.ledger.events()[0].provider == "openai");
  const Report providers = outlay::report({"provider"});
  const auto openai = std::find_if(providers.begin(), providers.end(),
                                   [](const ReportRow& row) { return row.tags.contains("provider"); });
  REQUIRE(openai != providers.end());
  CHECK(openai->tags.at("provider") == "openai");
  CHECK(openai->blocked_calls == 1);
}
