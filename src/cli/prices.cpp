#include <boost/json.hpp>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "core/base/decimal.hpp"
#include "core/base/json_writer.hpp"
#include "core/pricing/near_names.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/error.hpp"
#include "outlay/json.hpp"
#include "outlay/ledger.hpp"
#include "outlay/price.hpp"

namespace outlay::cli {

namespace {

constexpr std::size_t max_request = 64U << 20U;

// The library's messages name the ways out in a program; these are the command's.
constexpr const char* other_prices = "outlay: to look elsewhere, write --prices FILE or --litellm FILE\n";
constexpr const char* name_model = "outlay: where the request does not name the model, write --model MODEL\n";

}  // namespace

std::string read_all(const std::filesystem::path& path) {
  std::ifstream file;
  const bool standard_input = path == "-";
  if (!standard_input) {
    file.open(path, std::ios::binary);
    if (std::filesystem::is_directory(path))
      throw Error(errc::storage, "\"" + printable(path.native()) + "\" is a directory: name a file in it");
    if (!file)
      throw Error(errc::storage,
                  "\"" + printable(path.native()) + "\" cannot be read: check the path and its permissions");
  }
  std::istream& in = standard_input ? std::cin : file;
  std::string text;
  char block[65'536];
  while (in.read(block, sizeof block), in.gcount() > 0) {
    text.append(block, static_cast<std::size_t>(in.gcount()));
    if (text.size() > max_request)
      throw Error(errc::invalid_argument, "the input is larger than " + std::to_string(max_request >> 20U) + " MiB");
  }
  return text;
}

PriceTable table_of(const PricesArguments& arguments) {
  if (!arguments.prices.empty()) return load_prices(arguments.prices);
  if (!arguments.litellm.empty()) return load_litellm_prices(arguments.litellm);
  return PriceTable::bundled();
}

int explain(const std::string& model, const PricesArguments& arguments) {
  const PriceTable table = table_of(arguments);
  const bool known = table.find(model).has_value();
  const std::string text = table.explain(model);
  (known ? std::cout : std::cerr) << text << (text.empty() || text.back() == '\n' ? "" : "\n");
  if (!known) {
    const std::string near = detail::near_name(*detail::Access::book(table), model);
    if (!near.empty()) std::cerr << "outlay: Did you mean \"" << printable(near) << "\"?\n";
    std::cerr << other_prices;
  }
  return known ? success : not_found;
}

int estimate(const EstimateArguments& arguments) {
  Api api = Api::openai_chat;
  if (!arguments.api.empty()) {
    const std::optional<Api> named = Api::from_name(arguments.api);
    if (!named) {
      std::cerr << "outlay: --api: there is no \"" << printable(arguments.api) << "\"; write one of";
      for (const Api& known : Api::all()) std::cerr << ' ' << known.name();
      std::cerr << '\n';
      return usage;
    }
    api = *named;
  }
  const std::string text = read_all(arguments.file);
  boost::system::error_code error;
  const boost::json::value request = boost::json::parse(text, error);
  if (error || !request.is_object())
    throw Error(errc::invalid_argument, "\"" + printable(arguments.file.native()) + "\" is not a JSON object" +
                                            (error ? ": " + error.message() : std::string()));
  const Ledger ledger(LedgerOptions{.prices = table_of(arguments.prices)});
  const LedgerScope scope(ledger);
  GuardOptions options;
  options.model = arguments.model;
  Estimate result;
  try {
    result = outlay::estimate(api, request.as_object(), options);
  } catch (const Error& problem) {
    const bool unknown = problem.reason() == errc::price_unknown;
    const bool nameless = arguments.model.empty() && !request.as_object().contains("model");
    std::cerr << printable_lines(std::string("outlay: ") + problem.what()) << '\n'
              << (unknown    ? other_prices
                  : nameless ? name_model
                             : "");
    return unknown ? not_found : bad_input;
  }
  if (arguments.format == Format::json) {
    std::string out;
    detail::JsonWriter(out)
        .begin_object()
        .key("model")
        .text(result.model)
        .key("priced_as")
        .text(result.priced_as)
        .key("rule")
        .text(to_string(result.rule))
        .key("usd")
        .text(detail::decimal_usd(result.usd))
        .key("usd_nanos")
        .number(result.usd.nanos())
        .key("input")
        .number(result.usage.input_total())
        .key("input_upper")
        .number(result.input_upper)
        .key("output")
        .number(result.usage.output)
        .key("bounded")
        .boolean(result.bounded)
        .end_object();
    std::cout << out << '\n';
    return success;
  }
  std::cout << printable(result.model) << ": " << (result.bounded ? "at most " : "about ") << to_string(result.usd)
            << '\n'
            << "  input   about " << result.usage.input_total() << " tokens, at most " << result.input_upper << '\n'
            << "  output  " << (result.bounded ? "at most " : "counted as ") << result.usage.output << " tokens\n"
            << "  price   of " << printable(result.priced_as) << " (" << to_string(result.rule) << ")\n";
  if (!result.bounded)
    std::cout << "The request has no output ceiling, so this is not a bound: set max_tokens, or what the API "
                 "calls it\n";
  return success;
}

}  // namespace outlay::cli
