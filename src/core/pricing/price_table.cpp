#include "outlay/price.hpp"

#include <algorithm>

#include "core/base/iso_time.hpp"
#include "core/pricing/name_rules.hpp"
#include "core/pricing/near_names.hpp"
#include "core/pricing/price_book.hpp"
#include "core/pricing/pricing.hpp"
#include "outlay/error.hpp"

namespace outlay {

const char* to_string(PriceRule rule) noexcept {
  switch (rule) {
    case PriceRule::none:
      return "none";
    case PriceRule::exact:
      return "exact";
    case PriceRule::alias:
      return "alias";
    case PriceRule::provider_prefix:
      return "provider_prefix";
    case PriceRule::date_suffix:
      return "date_suffix";
    case PriceRule::fine_tune:
      return "fine_tune";
  }
  return "unknown";
}

PriceTable::PriceTable() {
  static const auto& empty = *new std::shared_ptr<const detail::PriceBook>(std::make_shared<detail::PriceBook>());
  book_ = empty;
}

void PriceTable::register_model(std::string name, Price price) {
  detail::check_price(name, price);
  auto book = detail::copy_of(*book_);
  book->aliases.erase(name);
  auto entry =
      std::make_shared<const detail::PriceBook::Entry>(detail::PriceEntry{name, std::move(price), false, true});
  book->registered.insert_or_assign(std::move(name), std::move(entry));
  book_ = std::move(book);
}

namespace {

[[noreturn]] void throw_unknown(const detail::PriceBook& book, std::string_view model) {
  const std::string name = detail::printable_name(model);
  throw PriceUnknown(
      name, "no price is known for model \"" + name + "\" in a table of " + std::to_string(book.size()) + " models" +
                (book.version.empty() ? std::string() : " (" + book.version + ")") + ". " +
                detail::did_you_mean(book, model,
                                     "add one with PriceTable::register_model or PriceTable::register_deployment."));
}

const detail::PricedModel& look_up(const detail::PriceBook& book, std::string_view model, std::string_view provider) {
  const auto* found = book.find(model, detail::provider_at(provider));
  if (!found) throw_unknown(book, model);
  return *found;
}

}  // namespace

void PriceTable::register_deployment(std::string name, std::string_view like) {
  if (name.empty()) throw ConfigError("a deployment has an empty name. Name it as requests do.");
  auto book = detail::copy_of(*book_);
  if (!book->deploy(std::move(name), like)) throw_unknown(*book_, like);
  book_ = std::move(book);
}

Cost PriceTable::cost(std::string_view model, const Usage& usage, const CostOptions& options) const {
  if (const char* member = usage.first_invalid())
    throw Error(errc::invalid_usage,
                "usage of model \"" + detail::printable_name(model) + "\": " + member +
                    " is invalid. Pass counts between 0 and 2,000,000,000, and no part larger than its whole.");
  const auto& found = look_up(*book_, model, options.provider);
  const auto usd = detail::Pricing::table(found).cost(usage, options.service_tier);
  if (!usd)
    throw Error(errc::overflow, "the cost of a call to \"" + detail::printable_name(model) +
                                    "\" is above $9.2 billion. Check the registered rates and the usage.");
  const detail::PricedModel::Rating rating = found.rating(usage.input_total(), options.service_tier);
  return {*usd,
          found.rule,
          found.name,
          found.assumed || !rating.listed,
          std::string(rating.tier),
          !found.prices_tools(usage)};
}

std::optional<Price> PriceTable::find(std::string_view model, std::string_view provider) const {
  const auto* found = book_->find(model, detail::provider_at(provider));
  return found ? std::optional<Price>(*found->price) : std::nullopt;
}

namespace {

/// Dollars a million tokens, exactly: `$2.50`, `$0.003625`.
std::string per_million(std::int64_t picos) {
  std::int64_t nanos = 0;
  if (__builtin_mul_overflow(picos, std::int64_t{1000}, &nanos)) return std::to_string(picos) + " pico-dollars a token";
  return to_string(Usd::from_nanos(nanos));
}

void print_rates(std::string& out, const Rates& rates) {
  const auto print = [&](const char* name, const std::optional<Rate>& rate) {
    if (rate) out.append(", ").append(name).append(" ").append(per_million(rate->picos()));
  };
  out.append("input ").append(per_million(rates.input.picos()));
  print("cache_read", rates.cache_read);
  print("cache_write", rates.cache_write);
  print("cache_write_1h", rates.cache_write_1h);
  out.append(", output ").append(per_million(rates.output.picos()));
  print("reasoning", rates.reasoning);
  print("input_audio", rates.input_audio);
  print("output_audio", rates.output_audio);
  print("input_image", rates.input_image);
  print("output_image", rates.output_image);
  print("cache_read_audio", rates.cache_read_audio);
}

}  // namespace

std::string PriceTable::explain(std::string_view model) const {
  std::string out = detail::printable_name(model);
  const auto* found = book_->find(model);
  if (!found) {
    out +=
        ": no price (tried the name, registered deployments, the name without provider prefix and without "
        "date)\n";
  } else {
    const Price& price = *found->price;
    out += ": entry \"" + detail::printable_name(found->name) + "\", rule " + to_string(found->rule);
    if (found->assumed) out += ", rate assumed";
    if (!price.provider.empty()) out += ", provider " + detail::printable_name(price.provider);
    out += "\n  per million tokens: ";
    print_rates(out, price.rates);
    out += '\n';
    for (const auto& tier : price.tiers) {
      out += "  ";
      if (!tier.service_tier.empty()) out += "service tier " + detail::printable_name(tier.service_tier);
      if (tier.above_input_tokens > 0) {
        if (!tier.service_tier.empty()) out += ", ";
        out += (tier.inclusive ? "from " : "above ") + std::to_string(tier.above_input_tokens) + " input tokens";
      }
      out += ": ";
      print_rates(out, tier.rates);
      out += '\n';
    }
    const std::pair<const char*, std::optional<Usd>> fees[] = {{"web search", price.web_search},
                                                               {"file search", price.file_search},
                                                               {"code session", price.code_session},
                                                               {"use of another tool", price.other_tool}};
    for (const auto& [what, fee] : fees)
      if (fee) out.append("  per ").append(what).append(": ").append(to_string(*fee)).append("\n");
    if (price.request.nanos() != 0) out += "  per request: " + to_string(price.request) + '\n';
    if (price.max_input_tokens) out += "  input at most " + std::to_string(*price.max_input_tokens) + " tokens\n";
    if (price.max_output_tokens) out += "  output at most " + std::to_string(*price.max_output_tokens) + " tokens\n";
  }
  out += "  table: " + (version().empty() ? std::string("no version") : version());
  if (!source().empty()) out += ", from " + source();
  if (const auto day = as_of()) {
    const auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
    out += ", as of " + detail::iso_date(*day) + " (" + std::to_string((today - *day).count()) + " days ago)";
  } else {
    out += ", undated";
  }
  return out;
}

std::size_t PriceTable::size() const noexcept { return book_->size(); }
const std::string& PriceTable::version() const noexcept { return book_->version; }
const std::string& PriceTable::source() const noexcept { return book_->source; }
std::optional<std::chrono::sys_days> PriceTable::as_of() const noexcept { return book_->as_of; }

void PriceTable::describe(std::string version, std::string source, std::optional<std::chrono::sys_days> as_of) {
  auto book = detail::copy_of(*book_);
  book->version = std::move(version);
  book->source = std::move(source);
  book->as_of = as_of;
  book_ = std::move(book);
}

}  // namespace outlay
