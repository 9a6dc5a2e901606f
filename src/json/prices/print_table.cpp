// Prints the rows of the bundled table out of LiteLLM's file: what src/core/pricing/renew runs.
//
//   outlay_print_table FILE
//
// The models of the providers that the present table has, as load_litellm_prices() reads them; models of one price share a row.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/pricing/price_book.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/json/prices.hpp"

namespace {

using namespace outlay;

/// A decimal of `scale` digits behind the point, without those that are zero.
std::string decimal(std::int64_t number, std::size_t scale) {
  std::string digits = std::to_string(number);
  if (digits.size() <= scale) digits.insert(0, scale + 1 - digits.size(), '0');
  std::string text = digits.substr(0, digits.size() - scale) + '.' + digits.substr(digits.size() - scale);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string cells(const Rates& rates) {
  std::string text;
  const auto cell = [&](const char* name, const std::optional<Rate>& rate) {
    if (rate)
      text.append(text.empty() ? "{." : ", .").append(name).append(" = ").append(decimal(rate->picos(), 6)) += "_m";
  };
  cell("in", rates.input);
  cell("out", rates.output);
  cell("read", rates.cache_read);
  cell("write", rates.cache_write);
  cell("write_1h", rates.cache_write_1h);
  cell("reasoning", rates.reasoning);
  cell("audio_in", rates.input_audio);
  cell("audio_out", rates.output_audio);
  cell("image_in", rates.input_image);
  cell("image_out", rates.output_image);
  cell("audio_read", rates.cache_read_audio);
  return text + "}";
}

std::string rows(const std::string& names, const Price& price) {
  std::string text = "    model(\"" + names + "\", \"" + price.provider + "\", " + cells(price.rates) + ", {" +
                     std::to_string(price.max_input_tokens.value_or(0)) + ", " +
                     std::to_string(price.max_output_tokens.value_or(0)) + "}";
  if (price.web_search) text += ", " + decimal(price.web_search->nanos(), 9) + "_usd";
  text += "),\n";
  for (const Price::Tier& tier : price.tiers) {
    const std::string quoted = "\"" + tier.service_tier + "\"";
    const std::string above = std::to_string(tier.above_input_tokens);
    if (tier.service_tier.empty())
      text += (tier.inclusive ? "    from(" : "    above(") + above;
    else if (tier.above_input_tokens == 0)
      text += "    tier(" + quoted;
    else
      text += (tier.inclusive ? "    tier_from(" : "    tier_above(") + quoted + ", " + above;
    text += ", " + cells(tier.rates) + "),\n";
  }
  return text;
}

/// A row has no place for what is larger or finer than any price so far.
bool fits(const detail::PriceEntry& entry) {
  const auto small = [](const Rates& rates) {
    for (const auto& rate : {std::optional(rates.input), std::optional(rates.output), rates.cache_read,
                             rates.cache_write, rates.cache_write_1h, rates.reasoning, rates.input_audio,
                             rates.output_audio, rates.input_image, rates.output_image, rates.cache_read_audio})
      if (rate && rate->picos() > INT32_MAX) return false;
    return true;
  };
  return !entry.rounded && entry.price.request == Usd{} && small(entry.price.rates) &&
         entry.name.find_first_of(" \"\\") == std::string::npos &&
         std::all_of(entry.price.tiers.begin(), entry.price.tiers.end(),
                     [&](const Price::Tier& tier) { return small(tier.rates); });
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: outlay_print_table FILE\n";
    return 2;
  }
  std::set<std::string> providers;
  for (const auto& entry : detail::Access::book(PriceTable::bundled())->base->entries)
    providers.insert(entry.given.price.provider);
  // By provider, and by what a row says beside the names; names in the file's order, which is nearly by age.
  std::map<std::string, std::vector<std::pair<std::string, const Price*>>> by_provider;
  const PriceTable table = load_litellm_prices(argv[1]);
  for (const auto& entry : detail::Access::book(table)->base->entries) {
    if (!providers.contains(entry.given.price.provider) || !fits(entry.given)) continue;
    auto& list = by_provider[entry.given.price.provider];
    const auto same =
        std::find_if(list.begin(), list.end(), [&](const auto& one) { return *one.second == entry.given.price; });
    if (same == list.end())
      list.emplace_back(entry.given.name, &entry.given.price);
    else
      same->first += ' ' + entry.given.name;
  }
  for (const auto& [provider, list] : by_provider) {
    std::cout << "    // " << provider << '\n';
    for (const auto& [names, price] : list) std::cout << rows(names, *price);
  }
  return std::cout.flush() ? 0 : 1;
} catch (const std::exception& problem) {
  std::cerr << "outlay_print_table: " << problem.what() << '\n';
  return 1;
}
