// How a price is found, and how a program brings its own. Links: outlay::json.
#include <outlay/json.hpp>
#include <outlay/outlay.hpp>

#include <iostream>
#include <string_view>

using namespace outlay::literals;

namespace {

void look_up() {
  outlay::PriceTable prices = outlay::PriceTable::bundled();
  prices.register_deployment("eu-prod-chat", "gpt-4o");
  for (const std::string_view name : {"gpt-4o", "eu-prod-chat", "openai/gpt-4o", "openrouter/openai/gpt-4o-mini",
                                      "gpt-4o-2031-02-03", "ft:gpt-4o-2024-08-06:acme:support:8xYz", "mystery-1"}) {
    std::cout << name << ": ";
    try {
      const outlay::Cost cost = prices.cost(name, {.input = 1'000'000});
      std::cout << cost.usd << ", entry " << cost.model << ", rule " << outlay::to_string(cost.rule)
                << (cost.assumed ? ", assumed" : "") << '\n';
    } catch (const outlay::PriceUnknown&) {
      std::cout << "unknown\n";
    }
  }
}

void own_file() {
  const outlay::PriceTable prices = outlay::load_prices(OUTLAY_GUIDE_DIR "/prices/own.json");
  const auto print = [&prices](std::string_view what, const outlay::Usage& usage, std::string_view tier = {}) {
    const outlay::Cost cost = prices.cost("team-a-prod", usage, {.service_tier = tier});
    std::cout << what << ": " << cost.usd << (cost.assumed ? ", assumed" : "")
              << (cost.incomplete ? ", without what has no price" : "") << '\n';
  };
  std::cout << "Version " << prices.version() << '\n';
  print("100,000 tokens in, 1,000 out", {.input = 100'000, .output = 1'000});
  print("the same, of which 90,000 from the cache", {.input = 10'000, .cache_read = 90'000, .output = 1'000});
  print("the same in a batch", {.input = 10'000, .cache_read = 90'000, .output = 1'000}, "batch");
  print("the same, and a tier that is not listed", {.input = 10'000, .cache_read = 90'000, .output = 1'000}, "flex");
  print("200,001 tokens in, 1,000 out", {.input = 200'001, .output = 1'000});
  print("two searches of the web", {.web_searches = 2});
  print("two searches of files, which have no fee here", {.file_searches = 2});
}

void in_code() {
  outlay::PriceTable prices = outlay::PriceTable::bundled();
  // In dollars a million tokens; whatever is left out costs what Rates says.
  prices.register_model("house-small", {.rates = {.input = outlay::Rate::per_million(0.20_usd),
                                                  .output = outlay::Rate::per_million(0.80_usd)},
                                        .max_output_tokens = 4'096});
  prices.register_model("llama-on-our-gpu", outlay::Price::free());
  outlay::Ledger::current().set_prices(prices);  // from the next call on
  std::cout << "house-small: " << prices.cost("house-small", {.input = 1'000, .output = 1'000}).usd << '\n';
  std::cout << "llama-on-our-gpu: " << prices.cost("llama-on-our-gpu", {.input = 1'000, .output = 1'000}).usd << '\n';
}

void unpriced() {
  outlay::Ledger ledger;
  outlay::LedgerScope scope(ledger);
  const auto try_with = [](outlay::Unpriced choice) {
    outlay::Budget budget({.name = "answers", .usd = 1_usd, .unpriced = choice});
    outlay::Result<outlay::Call> call =
        outlay::try_call({.model = "mystery-1", .input_tokens = 1'000, .max_output_tokens = 1'000});
    if (!call) {
      std::cout << call.error().message() << '\n';
      return;
    }
    call->sent();
    const outlay::Settled end = call->settle({.input = 1'000, .output = 1'000});
    std::cout << end.usd << ", source " << outlay::to_string(end.cost_source) << '\n';
  };
  try_with(outlay::Unpriced::refuse());  // the default
  try_with(outlay::Unpriced::assume(15_usd));
  try_with(outlay::Unpriced::ignore());
  std::cout << "Calls without a price: " << ledger.unpriced_calls() << '\n';
}

}  // namespace

int main() {
  std::cout << "-- look-up\n";
  look_up();
  std::cout << "-- a file of one's own\n";
  own_file();
  std::cout << "-- in code\n";
  in_code();
  std::cout << "-- a model without a price\n";
  unpriced();
}
