#include <string>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "outlay/sqlite.hpp"
#include "support/catch.hpp"
#include "unit/cli/command.hpp"

namespace cli = outlay::cli;
using command::has;

namespace {

/// Two days of two providers.
class Books {
 public:
  Books() {
    const auto sink = outlay::sqlite_sink({.path = file()});
    std::uint64_t id = 0;
    const auto add = [&](const char* when, const char* provider, const char* model, std::int64_t nanos,
                         outlay::RecordStatus status = outlay::RecordStatus::settled,
                         outlay::CostSource source = outlay::CostSource::table) {
      outlay::Record record;
      record.call_id = ++id;
      record.started = record.ended = cli::parse_time(when, {}).value();
      record.provider = provider;
      record.model = model;
      record.usd = outlay::Usd::from_nanos(nanos);
      record.usage = {.input = 100, .cache_read = 10, .cache_write = 5, .output = 20};
      record.status = status;
      record.cost_source = source;
      sink->write(record);
    };
    add("2026-10-01T10:00:00Z", "openai", "gpt-4o-2024-08-06", 1'500'000'000);
    add("2026-10-01T11:00:00Z", "openai", "gpt-4o-mini", 250'000'000);
    add("2026-10-02T23:59:59Z", "openai", "gpt-4o-2024-08-06", 900'000'000, outlay::RecordStatus::indeterminate);
    add("2026-10-01T10:00:00Z", "anthropic", "claude-haiku-4-5-20251001", 2'000'000'000);
    add("2026-10-03T00:00:00Z", "openai", "gpt-4o-2024-08-06", 7'000'000'000);  // not on the bills
    add("2026-11-01T10:00:00Z", "openai", "gpt-new", 0, outlay::RecordStatus::settled, outlay::CostSource::none);
    for (int i = 0; i < 3; ++i)
      add("2026-12-01T10:00:00Z", "openai", ("gpt-" + std::to_string(i)).c_str(), 1'000'000'000);
    sink->close();
  }
  [[nodiscard]] std::string file() const { return directory_.file("spend.db"); }
  [[nodiscard]] command::Result against(const std::string& bill, const std::string& options = {}) const {
    command::write_file(directory_.file("bill.csv"), bill);
    return command::run_outlay("reconcile " + file() + " --bill " + directory_.file("bill.csv") + " " + options);
  }

 private:
  command::Directory directory_;
};

}  // namespace

TEST_CASE("reconcile: OpenAI's costs by line item, with the calls that could explain a difference",
          "[cli][reconcile]") {
  const Books books;
  const std::string head =
      "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id\n";
  const std::string day_1 = "1790812800,1790899200,2026-10-01T00:00:00+00:00,2026-10-02T00:00:00+00:00,";
  const std::string day_2 = "1790899200,1790985600,2026-10-02T00:00:00+00:00,2026-10-03T00:00:00+00:00,";
  const command::Result result =
      books.against("\xEF\xBB\xBF" + head + day_1 + "1.2000000000000000,usd,\"gpt-4o-2024-08-06, input\",p\r\n" +
                    day_1 + "0.3000000000000001,usd,\"gpt-4o-2024-08-06, output\",p\r\n" + day_1 +
                    "0.25,usd,\"gpt-4o-mini, input\",p\r\n" + day_2 + "0.4,usd,\"gpt-4o-2024-08-06, input\",p\r\n");
  INFO(result.out << result.err);
  CHECK(result.status == cli::differs);
  CHECK(has(result.out, "2026-10-02  gpt-4o   $0.40   $0.90      -$0.50  1 without a verdict (call 3)"));
  CHECK_FALSE(has(result.out, "2026-10-01  "));
  CHECK(has(result.out, "total                $2.15   $2.65      -$0.50"));
  CHECK(has(result.out, "1 of 3 differ, to $0.01."));

  // Without line items days are compared; a day without usage has empty cells.
  const command::Result days = books.against(head + day_1 + "1.755,usd,,p\n" + day_2 + ",,,\n", "--all");
  INFO(days.out);
  CHECK(days.status == cli::differs);
  CHECK(has(days.out, "2026-10-01  all    $1.755   $1.75      $0.005  agrees"));
  CHECK(has(days.out, "2026-10-02  all     $0.00   $0.90      -$0.90  not on the bill"));
}

TEST_CASE("reconcile: Anthropic's costs under the names of its console", "[cli][reconcile]") {
  const Books books;
  const std::string head =
      "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type\n";
  const std::string row = "2026-10-01,Claude Haiku 4.5,Default,key,message,\xE2\x89\xA4 200k,";
  const command::Result agrees =
      books.against(head + row + "input_no_cache,1.5,1.5,token\n" + row + "output,0.5,0.5,token\n");
  INFO(agrees.out << agrees.err);
  CHECK(agrees.status == cli::success);
  CHECK(has(agrees.out, "They agree, to $0.01."));
}

TEST_CASE("reconcile: exports of usage are compared by tokens", "[cli][reconcile]") {
  const Books books;
  CHECK(books
            .against("start_time,end_time,num_model_requests,model,input_tokens,output_tokens,input_cached_tokens\n"
                     "1790812800,1790899200,1,gpt-4o-2024-08-06,115,20,10\n"
                     "1790812800,1790899200,1,gpt-4o-mini-2024-07-18,115,20,10\n")
            .status == cli::success);
  const command::Result more = books.against(
      "usage_date_utc,model_version,api_key,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,"
      "usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens\n"
      "2026-10-01,claude-haiku-4-5-20251001,key,100,5,0,10,21\n");
  CHECK(more.status == cli::differs);
  CHECK(has(more.out, "output      21      20           1  no call of the books could"));
  CHECK(has(more.out, "1 of 4 differ."));
}

TEST_CASE("reconcile: a bill that cannot be read is refused, with what was expected", "[cli][reconcile]") {
  const Books books;
  const auto refused = [&](const std::string& bill, std::string_view part) {
    const command::Result result = books.against(bill);
    INFO(result.err);
    CHECK(result.status == cli::bad_input);
    CHECK(has(result.err, part));
    CHECK(result.out.empty());
  };
  refused("", "is empty");
  refused("usage_date_utc,model,token_type,cost_usd\n", "has no rows");
  refused("usage_date_utc,model,token_type,cost_usd\n2026-10-01,\"m,output,1\n", "ends within quotes");
  refused("date,product,price\n2026-10-01,x,1\n",
          "It has the columns date, product, price. Expected are those of one of:");
  refused("date\x1B,x\n", "usage_date_utc model token_type cost_usd");
  const std::string head = "usage_date_utc,model,token_type,cost_usd\n";
  refused(head + "2026-10-01,m,output\n", "row 2: has 3 cells, and there are 4 columns");
  refused(head + "2026-13-01,m,output,1\n", "row 2: \"2026-13-01\" is not a day");
  refused(head + "2026-10-01,m,output,1\n2026-10-01,m,output,1$\n", "row 3: \"1$\" is not a number");
  refused("start_time,line_item,amount_currency,amount_value\n1790812800,x,eur,1\n", "row 2: is in eur");
}

TEST_CASE("reconcile: a day of which the bill has no line is compared, between its first and its last",
          "[cli][reconcile]") {
  const Books books;
  const std::string head = "usage_date_utc,model,token_type,cost_usd\n";
  CHECK(books.against(head + "2026-10-01,Claude Haiku 4.5,output,2\n").status == cli::success);
  const command::Result gap =
      books.against(head + "2026-09-30,Claude Opus 4,output,0\n2026-10-02,Claude Opus 4,output,0\n");
  INFO(gap.out);
  CHECK(gap.status == cli::differs);
  CHECK(has(gap.out, "2026-10-01  claude-haiku-4-5   $0.00   $2.00      -$2.00  not on the bill"));
}

TEST_CASE("reconcile: a line without a model leaves the others compared by model", "[cli][reconcile]") {
  const Books books;
  const std::string head = "start_time,amount_value,amount_currency,line_item\n";
  // The sum of the day is right: 1.75.
  const command::Result swapped =
      books.against(head + "2026-10-01,0.25,usd,gpt-4o\n2026-10-01,1.25,usd,gpt-4o-mini\n2026-10-01,0.25,usd,\n");
  INFO(swapped.out);
  CHECK(swapped.status == cli::differs);
  CHECK(has(swapped.out, "2026-10-01  gpt-4o        $0.25   $1.50      -$1.25"));
  CHECK(has(swapped.out, "2026-10-01  gpt-4o-mini   $1.25   $0.25       $1.00"));
  // It stands for the models that no line names.
  const command::Result others = books.against(head + "2026-10-01,1.5,usd,gpt-4o\n2026-10-01,0.25,usd,\n", "--all");
  INFO(others.out);
  CHECK(others.status == cli::success);
  CHECK(has(others.out, "2026-10-01  others   $0.25   $0.25       $0.00  agrees"));
}

TEST_CASE("reconcile: the tolerance holds for the total, too", "[cli][reconcile]") {
  const Books books;
  std::string bill = "start_time,amount_value,amount_currency,line_item\n";
  for (int i = 0; i < 3; ++i) bill += "2026-12-01,1.01,usd,gpt-" + std::to_string(i) + "\n";
  const command::Result result = books.against(bill);
  INFO(result.out);
  CHECK(result.status == cli::differs);
  CHECK(has(result.out, "Each agrees, and the totals differ, to $0.01."));
  CHECK(books.against(bill, "--tolerance 0.03").status == cli::success);
  const command::Result negative = books.against(bill, "--tolerance -1");
  CHECK(negative.status == cli::usage);
  CHECK(has(negative.err, "--tolerance is below 0"));
}

TEST_CASE("reconcile: kinds of tokens are compared one by one", "[cli][reconcile]") {
  const Books books;
  const std::string head = "start_time,model,input_tokens,output_tokens";
  const std::string day = "1790812800,gpt-4o,", mini = "1790812800,gpt-4o-mini,115,20";
  // As many tokens in all.
  const command::Result swapped = books.against(head + "\n" + day + "105,30\n" + mini + "\n");
  INFO(swapped.out);
  CHECK(swapped.status == cli::differs);
  CHECK(has(swapped.out, "gpt-4o  input      105     115         -10"));
  CHECK(has(swapped.out, "gpt-4o  output      30      20          10"));
  const command::Result cached = books.against(head + ",input_cached_tokens\n" + day + "115,20,90\n" + mini + ",10\n");
  CHECK(cached.status == cli::differs);
  CHECK(has(cached.out, "gpt-4o  cache read      90      10          80"));
  CHECK(has(cached.out, " 270     270           0"));
}

TEST_CASE("reconcile: calls without a price explain what is missing in the books", "[cli][reconcile]") {
  const Books books;
  const command::Result result =
      books.against("start_time,amount_value,amount_currency,line_item\n2026-11-01,3,usd,gpt-new\n");
  INFO(result.out);
  CHECK(result.status == cli::differs);
  CHECK(has(result.out, "1 unpriced (call 6)"));
  CHECK_FALSE(has(result.out, "not in the books"));
}
