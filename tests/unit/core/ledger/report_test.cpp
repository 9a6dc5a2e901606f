#include <numeric>

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

errc failure_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.reason();
  }
  return errc::ok;
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
  report.assert_under(0_usd, {{"feature", "nobody"}});
  REQUIRE(failure_of([&] { report.assert_under(0.029_usd, {{"feature", "a"}}); }) == errc::over_limit);
  REQUIRE(failure_of([&] { report.assert_under(0.02_usd, {{"model", "cent"}}); }) == errc::over_limit);
  REQUIRE(failure_of([&] { report.assert_under(0.03_usd); }) == errc::over_limit);
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
  REQUIRE(failure_of([&] { after.assert_under(1_usd); }) == errc::incomplete);
  REQUIRE(failure_of([&] { before.assert_under(1_usd, {{"model", "cent"}}); }) == errc::incomplete);
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
