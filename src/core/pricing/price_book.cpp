#include "core/pricing/price_book.hpp"

#include <algorithm>
#include <mutex>

#include "core/base/at_fork.hpp"
#include "core/base/hash.hpp"
#include "core/base/iso_time.hpp"
#include "core/pricing/name_rules.hpp"
#include "outlay/error.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

std::uint64_t next_uid() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

/// Of all books' caches of names. Threads have caches of their own before these, so that few meet here.
std::mutex& names_mutex() {
  struct Names {
    std::mutex mutex;
    const AtFork at_fork{AtFork::Order::price_books, [this] { mutex.lock(); }, [this](bool) { mutex.unlock(); }};
  };
  static Names& names = *new Names;
  return names.mutex;
}

}  // namespace

std::string printable_name(std::string_view name) {
  constexpr std::size_t most = 120;
  std::string shown;
  for (const char c : name.substr(0, most)) shown += c >= ' ' && c <= '~' ? c : '?';
  if (name.size() > most) shown += "...";
  return shown;
}

void check_price(std::string_view name, const Price& price) {
  if (name.empty()) throw ConfigError("a price has an empty model name. Name its model.");
  const auto refuse = [&](const char* what, std::int64_t value) {
    throw ConfigError("price of \"" + printable_name(name) + "\": " + what + " is " + std::to_string(value) +
                      ", and must not be negative. Use Price::free() for a model that costs nothing.");
  };
  const auto check = [&](const char* what, std::int64_t value) {
    if (value < 0) refuse(what, value);
  };
  const auto check_rates = [&](const Rates& rates) {
    check("the input rate in pico-dollars", rates.input.picos());
    check("the output rate in pico-dollars", rates.output.picos());
    const std::pair<const char*, const std::optional<Rate>*> others[] = {
        {"the cache_read rate in pico-dollars", &rates.cache_read},
        {"the cache_write rate in pico-dollars", &rates.cache_write},
        {"the cache_write_1h rate in pico-dollars", &rates.cache_write_1h},
        {"the reasoning rate in pico-dollars", &rates.reasoning},
        {"the input_audio rate in pico-dollars", &rates.input_audio},
        {"the output_audio rate in pico-dollars", &rates.output_audio},
        {"the input_image rate in pico-dollars", &rates.input_image},
        {"the output_image rate in pico-dollars", &rates.output_image},
        {"the cache_read_audio rate in pico-dollars", &rates.cache_read_audio},
    };
    for (const auto& [what, rate] : others)
      if (*rate) check(what, (*rate)->picos());
  };
  check_rates(price.rates);
  for (const auto& tier : price.tiers) {
    check("a tier's above_input_tokens", tier.above_input_tokens);
    check_rates(tier.rates);
  }
  check("the web_search fee in nano-dollars", price.web_search.value_or(Usd{}).nanos());
  check("the file_search fee in nano-dollars", price.file_search.value_or(Usd{}).nanos());
  check("the code_session fee in nano-dollars", price.code_session.value_or(Usd{}).nanos());
  check("the other_tool fee in nano-dollars", price.other_tool.value_or(Usd{}).nanos());
  check("the request fee in nano-dollars", price.request.nanos());
  check("max_output_tokens", price.max_output_tokens.value_or(0));
  check("max_input_tokens", price.max_input_tokens.value_or(0));
}

std::size_t PriceBook::VariantHash::operator()(const VariantKey& key) const noexcept {
  return static_cast<std::size_t>(mix(reinterpret_cast<std::uintptr_t>(key.entry),
                                      static_cast<std::uint64_t>(key.rule) << 1U | (key.assumed ? 1U : 0U)));
}

PriceBook::PriceBook() : uid(next_uid()) {}

std::size_t PriceBook::size() const noexcept {
  std::size_t total = (base ? base->by_name.size() : 0) + aliases.size();
  for (const auto& one : registered)
    if (!base || !base->by_name.contains(one.first)) ++total;
  for (const auto& one : aliases)
    if (entry(one.first)) --total;
  return total;
}

const PriceBook::Entry* PriceBook::entry(std::string_view name) const {
  if (!registered.empty())
    if (const auto at = registered.find(name); at != registered.end()) return at->second.get();
  if (base)
    if (const auto at = base->by_name.find(name); at != base->by_name.end()) return at->second;
  return nullptr;
}

PriceBook::Match PriceBook::exact_or_alias(std::string_view name) const {
  if (!aliases.empty())
    if (const auto at = aliases.find(name); at != aliases.end())
      if (const Entry* found = entry(at->second.entry))
        return {found, PriceRule::alias, at->second.assumed || found->given.rounded};
  if (const Entry* found = entry(name)) return {found, PriceRule::exact, found->given.rounded};
  return {};
}

PriceBook::Match PriceBook::resolve(std::string_view model) const {
  if (const Match match = exact_or_alias(model); match.entry) return match;
  if (model.empty() || model.size() > max_ruled_name) return {};
  if (const Match match = resolve_by_rules(model); match.entry) return match;
  if (const auto plain = without_variant(model); !plain.empty()) model = plain;
  const std::string spelt = vendors_spelling(model);
  if (spelt.empty()) return {};
  Match match = exact_or_alias(spelt);
  if (match.entry)
    match.rule = match.rule == PriceRule::alias ? PriceRule::alias : PriceRule::provider_prefix;
  else
    match = resolve_by_rules(spelt);
  match.assumed = true;
  return match;
}

PriceBook::Match PriceBook::resolve_by_rules(std::string_view model) const {
  const NameCandidates candidates(model);
  const auto with = [](Match match, PriceRule rule, bool assumed) {
    match.rule = match.rule == PriceRule::alias ? PriceRule::alias : rule;
    match.assumed |= assumed;
    return match;
  };
  const auto look = [&](std::string_view name) -> Match {
    if (const Match match = exact_or_alias(name); match.entry) return match;
    if (name.find('/') == std::string_view::npos)
      for (const auto party : first_parties)
        if (const Match match = exact_or_alias(std::string(party).append(name)); match.entry) return match;
    return {};
  };
  for (const auto& candidate : candidates)
    if (const Match match = look(candidate.name); match.entry)
      return with(match, PriceRule::provider_prefix, candidate.assumed);
  for (const auto& candidate : candidates) {
    const auto base_name = fine_tuned_base(candidate.name);
    if (base_name.empty()) continue;
    if (const Match match = look(base_name); match.entry) return with(match, PriceRule::fine_tune, candidate.assumed);
    if (const Match match = look(without_date(base_name)); match.entry)
      return with(match, PriceRule::date_suffix, true);
  }
  for (const auto& candidate : candidates) {
    const auto bare = without_date(candidate.name);
    if (bare.empty()) continue;
    if (const Match match = look(bare); match.entry) return with(match, PriceRule::date_suffix, true);
  }
  return {};
}

const PricedModel* PriceBook::find(std::string_view model) const {
  if (const Match match = exact_or_alias(model); match.entry && match.rule == PriceRule::exact)
    return &match.entry->exact;

  const std::lock_guard lock(names_mutex());
  if (const auto at = cache_.find(model); at != cache_.end()) return at->second;
  const Match match = resolve(model);
  if (!match.entry) return nullptr;  // not cached, since there is no bound on unknown names
  const PricedModel* const variant = variant_of(match);
  if (model.size() <= max_ruled_name) {
    if (cache_.size() >= max_cached_names) cache_.clear();
    cache_.emplace(model, variant);
  }
  return variant;
}

const PricedModel* PriceBook::variant_of(const Match& match) const {
  auto& variant = variants_[VariantKey{match.entry, match.rule, match.assumed}];
  if (!variant)
    variant =
        std::make_unique<const PricedModel>(match.entry->given.name, match.entry->given.price, match.rule,
                                            match.assumed, match.entry->given.own || match.rule == PriceRule::alias);
  return variant.get();
}

const PricedModel* PriceBook::find(std::string_view model, std::string_view provider) const {
  if (provider.empty() || registered.contains(model) || aliases.contains(model)) return find(model);
  const bool named = model.size() > provider.size() && model.starts_with(provider) && model[provider.size()] == '/';
  if (named) return find(model);
  if (const Entry* const exact = entry(model); exact && exact->given.price.provider == provider) return &exact->exact;
  if (const PricedModel* const found = find(std::string(provider).append("/").append(model))) return found;
  // Tables list first parties and clouds under bare names, too; other hosts' names only with their prefix.
  const PricedModel* const found = find(model);
  return found && (sells_as_vendor(provider) || found->own || found->price->provider == provider) ? found : nullptr;
}

bool PriceBook::deploy(std::string name, std::string_view like) {
  const Match match = resolve(like);
  if (!match.entry) return false;
  aliases.insert_or_assign(std::move(name), Alias{match.entry->given.name, match.assumed});
  return true;
}

const PricedModel* PriceBook::tool(std::string_view name, std::string_view provider) const {
  if (base)
    for (const Entry& one : base->tools)
      if (one.given.name == name &&
          (provider.empty() || one.given.price.provider == provider || sells_as_vendor(provider)))
        return &one.exact;
  return nullptr;
}

void PriceBook::Layer::add(PriceEntry given) {
  if (given.tool) {
    tools.emplace_back(std::move(given));
    return;
  }
  const Entry& entry = entries.emplace_back(std::move(given));
  by_name.insert_or_assign(entry.given.name, &entry);
}

namespace {

/// A dated snapshot is sold at the tiers of its family, which tables often list for the undated name alone.
void complete_snapshots(std::vector<PriceEntry>& entries) {
  std::unordered_map<std::string_view, const PriceEntry*> by_name;
  by_name.reserve(entries.size());
  for (const PriceEntry& entry : entries) by_name.insert_or_assign(entry.name, &entry);
  for (PriceEntry& entry : entries) {
    const std::string_view family = without_date(entry.name);
    const auto at = family.empty() ? by_name.end() : by_name.find(family);
    if (at == by_name.end()) continue;
    const Price& other = at->second->price;
    Price& price = entry.price;
    const bool same_rates = price.rates.input == other.rates.input && price.rates.output == other.rates.output;
    if (!same_rates || price.provider != other.provider) continue;
    const std::size_t own = price.tiers.size();
    for (const Price::Tier& tier : other.tiers) {
      const auto listed = [&](const Price::Tier& one) { return one.service_tier == tier.service_tier; };
      const auto end = price.tiers.begin() + static_cast<std::ptrdiff_t>(own);
      if (!tier.service_tier.empty() && std::none_of(price.tiers.begin(), end, listed)) price.tiers.push_back(tier);
    }
    for (auto fee : {&Price::web_search, &Price::file_search, &Price::code_session, &Price::other_tool})
      if (!(price.*fee)) price.*fee = other.*fee;
  }
}

}  // namespace

std::shared_ptr<PriceBook> make_price_book(std::vector<PriceEntry> entries, std::string version, std::string source,
                                           std::optional<std::chrono::sys_days> as_of) {
  complete_snapshots(entries);
  auto layer = std::make_shared<PriceBook::Layer>();
  layer->by_name.reserve(entries.size());
  for (auto& entry : entries) layer->add(std::move(entry));
  auto book = std::make_shared<PriceBook>();
  book->base = std::move(layer);
  book->version = std::move(version);
  book->source = std::move(source);
  book->as_of = as_of;
  return book;
}

std::shared_ptr<PriceBook> copy_of(const PriceBook& from) {
  auto book = std::make_shared<PriceBook>();
  book->version = from.version;
  book->source = from.source;
  book->as_of = from.as_of;
  book->base = from.base;
  book->registered = from.registered;
  book->aliases = from.aliases;
  return book;
}

void warn_if_stale(const PriceBook& book, Time now, std::atomic<bool>& said) noexcept {
  if (!book.as_of || said.load(std::memory_order_relaxed)) return;
  const auto age = std::chrono::floor<std::chrono::days>(now) - *book.as_of;
  if (age <= stale_after || said.exchange(true, std::memory_order_relaxed)) return;
  try {
    log(LogLevel::warning,
        "the price table" + (book.version.empty() ? std::string() : " " + printable_name(book.version)) +
            " dates from " + iso_date(*book.as_of) + " and is " + std::to_string(age.count()) +
            " days old, so prices may have changed. Give the ledger a newer one with Ledger::set_prices "
            "(outlay::json reads one with load_prices or load_litellm_prices).");
  } catch (...) {  // out of memory: the warning is lost, the call is not
  }
}

void warn_if_stale(const PriceBook& book, Time now) noexcept {
  static std::atomic<bool> said{false};
  warn_if_stale(book, now, said);
}

}  // namespace outlay::detail
