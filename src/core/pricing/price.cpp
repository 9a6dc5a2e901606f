#include "outlay/price.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "core/pricing/price_book.hpp"
#include "outlay/error.hpp"
#include "outlay/log.hpp"

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

namespace detail {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::int64_t picos_per_nano = 1000;
// Five buckets of Usage::max_count at most, at this rate, and a request fee of at most max_flat_request:
// below 2^63.
constexpr std::int64_t max_narrow_rate = 400'000'000;
constexpr std::int64_t max_short_request_nanos = 1'000'000'000'000'000;
constexpr std::int64_t max_narrow_count = 4'000'000'000;

/// Half to even; `picos` is not negative.
constexpr std::int64_t to_nanos(std::uint64_t picos) noexcept {
  std::uint64_t nanos = picos / picos_per_nano;
  const std::uint64_t rest = picos % picos_per_nano;
  nanos += static_cast<std::uint64_t>(rest > 500 || (rest == 500 && (nanos & 1) != 0));
  return static_cast<std::int64_t>(nanos);
}

std::optional<Usd> to_usd(Wide picos) noexcept {
  Wide nanos = picos / picos_per_nano;
  const auto rest = static_cast<unsigned>(picos % picos_per_nano);
  if (rest > 500 || (rest == 500 && (nanos & 1) != 0)) ++nanos;
  if (nanos > static_cast<Wide>(INT64_MAX)) return std::nullopt;
  return Usd::from_nanos(static_cast<std::int64_t>(nanos));
}

Wide times(std::int64_t count, std::int64_t each) noexcept {
  return static_cast<Wide>(static_cast<std::uint64_t>(count)) * static_cast<std::uint64_t>(each);
}

bool same_name(std::string_view a, std::string_view b) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return lower(x) == lower(y); });
}

// Providers' words for the same thing.
std::string_view other_name_of_tier(std::string_view tier) noexcept {
  if (same_name(tier, "fast")) return "priority";
  if (same_name(tier, "batches")) return "batch";
  return {};
}

const PricedModel::ServiceTier* service_tier_of(const PricedModel& model, std::string_view tier) noexcept {
  for (const std::string_view name : {tier, other_name_of_tier(tier)}) {
    if (name.empty()) continue;
    for (const auto& one : model.tiers)
      if (same_name(one.name, name)) return &one;
  }
  return nullptr;
}

const FlatRates* step_of(const std::vector<PricedModel::Step>& steps, std::int64_t input) noexcept {
  for (const auto& step : steps)
    if (input >= step.from) return &step.rates;
  return nullptr;
}

const FlatRates& rates_for(const PricedModel& model, std::int64_t input, std::string_view service_tier) noexcept {
  if (!service_tier.empty() && !model.tiers.empty())
    if (const auto* tier = service_tier_of(model, service_tier))
      if (const auto* rates = step_of(tier->steps, input)) return *rates;
  const auto* rates = step_of(model.steps, input);
  return rates ? *rates : model.base;
}

/// Takes up to `part` out of what is left of a whole, so that parts that overlap never add up to more than
/// it.
std::int64_t take(std::int64_t part, std::int64_t& left) noexcept {
  const std::int64_t taken = std::min(part, left);
  left -= taken;
  return taken;
}

Wide sum(const FlatRates& r, const Usage& u) noexcept {
  std::int64_t input = u.input, cached = u.cache_read, output = u.output;
  Wide picos = 0;
  picos += times(take(u.input_audio, input), r.input_audio);
  picos += times(take(u.input_image, input), r.input_image);
  picos += times(input, r.input);
  picos += times(take(u.cache_read_audio, cached), r.cache_read_audio);
  picos += times(cached, r.cache_read);
  picos += times(u.cache_write, r.cache_write);
  picos += times(u.cache_write_1h, r.cache_write_1h);
  picos += times(take(u.output_audio, output), r.output_audio);
  picos += times(take(u.output_image, output), r.output_image);
  picos += times(take(u.reasoning, output), r.reasoning);
  picos += times(output, r.output);
  return picos;
}

Wide fees(const Price& price, std::int64_t web_searches) noexcept {
  return times(price.request.nanos(), picos_per_nano) +
         times(price.web_search.nanos(), picos_per_nano) * static_cast<std::uint64_t>(web_searches);
}

std::uint64_t next_uid() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

FlatRates::FlatRates(const Rates& rates) noexcept
    : input(rates.input.picos()),
      output(rates.output.picos()),
      cache_read(rates.cache_read.value_or(rates.input).picos()),
      cache_write(rates.cache_write.value_or(rates.input).picos()),
      cache_write_1h(rates.cache_write_1h ? rates.cache_write_1h->picos() : cache_write),
      reasoning(rates.reasoning.value_or(rates.output).picos()),
      input_audio(rates.input_audio.value_or(rates.input).picos()),
      input_image(rates.input_image.value_or(rates.input).picos()),
      cache_read_audio(rates.cache_read_audio ? rates.cache_read_audio->picos() : cache_read),
      output_audio(rates.output_audio.value_or(rates.output).picos()),
      output_image(rates.output_image.value_or(rates.output).picos()),
      worst_input(std::max(input, cache_write)),
      worst_input_long(std::max(worst_input, cache_write_1h)),
      worst_output(std::max({output, reasoning, output_audio, output_image})) {
  narrow = std::max({worst_input_long, cache_read, input_audio, input_image, cache_read_audio, worst_output}) <=
           max_narrow_rate;
}

PricedModel::PricedModel(std::string entry_name, const Price& entry_price, PriceRule matched, bool is_assumed)
    : name(std::move(entry_name)), price(&entry_price), rule(matched), assumed(is_assumed), base(entry_price.rates) {
  for (const auto& tier : entry_price.tiers) {
    auto* into = &steps;
    if (!tier.service_tier.empty()) {
      auto at = std::find_if(tiers.begin(), tiers.end(),
                             [&](const ServiceTier& one) { return same_name(one.name, tier.service_tier); });
      if (at == tiers.end()) at = tiers.insert(at, ServiceTier{tier.service_tier, {}});
      into = &at->steps;
    }
    const std::int64_t threshold = tier.above_input_tokens;
    // "0: always" includes a call without any input.
    const std::int64_t from = threshold == 0 || tier.inclusive || threshold == INT64_MAX ? threshold : threshold + 1;
    // Highest first; of two for the same input, the later one.
    auto before = std::find_if(into->begin(), into->end(), [&](const Step& one) { return one.from <= from; });
    if (before != into->end() && before->from == from)
      before->rates = FlatRates(tier.rates);
    else
      into->insert(before, Step{from, FlatRates(tier.rates)});
  }
  if (entry_price.request.nanos() <= max_short_request_nanos)
    request_picos = entry_price.request.nanos() * picos_per_nano;
}

std::optional<Usd> cost(const PricedModel& model, const Usage& usage, std::string_view service_tier) noexcept {
  const FlatRates& r = rates_for(model, usage.input_total(), service_tier);
  const bool plain = (usage.input_audio | usage.input_image | usage.cache_read_audio | usage.output_audio |
                      usage.output_image | usage.web_searches) == 0;
  if (plain && r.narrow && model.request_picos >= 0) {
    const std::int64_t picos = usage.input * r.input + usage.cache_read * r.cache_read +
                               usage.cache_write * r.cache_write + usage.cache_write_1h * r.cache_write_1h +
                               (usage.output - usage.reasoning) * r.output + usage.reasoning * r.reasoning +
                               model.request_picos;
    return Usd::from_nanos(to_nanos(static_cast<std::uint64_t>(picos)));
  }
  return to_usd(sum(r, usage) + fees(*model.price, usage.web_searches));
}

std::optional<Usd> worst_cost(const PricedModel& model, std::int64_t input, std::int64_t output,
                              std::string_view service_tier, bool long_cache) noexcept {
  input = std::max<std::int64_t>(input, 0);
  output = std::max<std::int64_t>(output, 0);
  const FlatRates& r = rates_for(model, input, service_tier);
  const std::int64_t each = long_cache ? r.worst_input_long : r.worst_input;
  if (r.narrow && model.request_picos >= 0 && input <= max_narrow_count && output <= max_narrow_count) {
    const std::int64_t picos = input * each + output * r.worst_output + model.request_picos;
    return Usd::from_nanos(to_nanos(static_cast<std::uint64_t>(picos)));
  }
  return to_usd(times(input, each) + times(output, r.worst_output) + fees(*model.price, 0));
}

std::int64_t affordable_output(const PricedModel& model, std::int64_t input, Usd room, std::string_view service_tier,
                               bool long_cache) noexcept {
  if (room.nanos() < 0) return -1;
  input = std::max<std::int64_t>(input, 0);
  const FlatRates& r = rates_for(model, input, service_tier);
  const Wide fixed = times(input, long_cache ? r.worst_input_long : r.worst_input) + fees(*model.price, 0);
  // The most pico-dollars that still round to `room`: a tie goes to the even neighbour.
  const Wide most = times(room.nanos(), picos_per_nano) + (room.nanos() % 2 == 0 ? 500 : 499);
  if (fixed > most) return -1;
  if (r.worst_output == 0) return INT64_MAX;
  const Wide count = (most - fixed) / static_cast<std::uint64_t>(r.worst_output);
  return count > static_cast<Wide>(INT64_MAX) ? INT64_MAX : static_cast<std::int64_t>(count);
}

std::string_view tier_used(const PricedModel& model, std::int64_t input, std::string_view service_tier) noexcept {
  if (service_tier.empty() || model.tiers.empty()) return {};
  const auto* tier = service_tier_of(model, service_tier);
  return tier && step_of(tier->steps, input) ? std::string_view(tier->name) : std::string_view();
}

std::string printable_name(std::string_view name) {
  constexpr std::size_t most = 120;
  std::string shown;
  for (const char c : name.substr(0, most)) shown += c >= ' ' && c <= '~' ? c : '?';
  if (name.size() > most) shown += "...";
  return shown;
}

void check_price(std::string_view name, const Price& price) {
  if (name.empty()) throw ConfigError("a price needs the name of its model; the name given is empty");
  const auto refuse = [&](const char* what, std::int64_t value) {
    throw ConfigError("price of \"" + printable_name(name) + "\": " + what + " is " + std::to_string(value) +
                      "; it must not be negative. A model that costs nothing is Price::free()");
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
  check("the web_search fee in nano-dollars", price.web_search.nanos());
  check("the request fee in nano-dollars", price.request.nanos());
  check("max_output_tokens", price.max_output_tokens.value_or(0));
  check("max_input_tokens", price.max_input_tokens.value_or(0));
}

// ---- look-up

namespace {

constexpr std::size_t max_name = 512;  // longer names match exactly or not at all

struct Prefix {
  std::string_view text;
  bool other_rates;  // regions and resellers that may charge otherwise: the rate is then assumed
};

// What a name may carry in front without meaning another model. Providers that host other people's models at
// rates of their own (groq, together_ai, fireworks_ai ...) are not among them: a name of theirs that the
// table does not list is unknown.
constexpr Prefix prefixes[] = {
    {"openai/", false},
    {"azure/", false},
    {"azure_ai/", false},
    {"anthropic/", false},
    {"gemini/", false},
    {"google/", false},
    {"vertex_ai/", false},
    {"xai/", false},
    {"x-ai/", false},
    {"deepseek/", false},
    {"mistral/", false},
    {"mistralai/", false},
    {"cohere/", false},
    {"cohere_chat/", false},
    {"bedrock/", false},
    {"bedrock_converse/", false},
    {"converse/", false},
    {"invoke/", false},
    {"amazon/", false},
    {"models/", false},
    {"publishers/", false},
    {"text-completion-openai/", false},
    {"openrouter/", true},

    {"litellm_proxy/", true},
    {"eu/", true},
    {"us/", true},
    {"global/", false},
    {"global-standard/", false},
    {"us.", true},
    {"eu.", true},
    {"apac.", true},
    {"jp.", true},
    {"au.", true},
    {"ca.", true},
    {"us-gov.", true},
    {"global.", false},
    {"anthropic.", false},
};

// Tried in front of a bare name, for tables that list first parties under their own prefix.
constexpr std::string_view first_parties[] = {"openai/",   "anthropic/", "gemini/", "xai/",
                                              "deepseek/", "mistral/",   "cohere/"};

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

int number(std::string_view digits) noexcept {
  int value = 0;
  for (const char c : digits) {
    if (!is_digit(c)) return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

bool is_date(int year, int month, int day) noexcept {
  return year >= 2018 && year <= 2099 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/// `name` without a date at its end: `-2024-08-06`, `-20240806`, `@20240806`, `-08-2024`. Empty if it ends in
/// none.
std::string_view without_date(std::string_view name) noexcept {
  const auto tail = [&](std::size_t n) { return name.substr(name.size() - n); };
  if (name.size() > 11) {
    const auto t = tail(11);
    if (t[0] == '-' && t[5] == '-' && t[8] == '-' &&
        is_date(number(t.substr(1, 4)), number(t.substr(6, 2)), number(t.substr(9, 2))))
      return name.substr(0, name.size() - 11);
  }
  if (name.size() > 9) {
    const auto t = tail(9);
    if ((t[0] == '-' || t[0] == '@') && is_date(number(t.substr(1, 4)), number(t.substr(5, 2)), number(t.substr(7, 2))))
      return name.substr(0, name.size() - 9);
  }
  if (name.size() > 8) {
    const auto t = tail(8);
    if (t[0] == '-' && t[3] == '-' && is_date(number(t.substr(4, 4)), number(t.substr(1, 2)), 1))
      return name.substr(0, name.size() - 8);
  }
  return {};
}

/// `name` without Bedrock's version at its end: `-v1:0`, `-v1`. Empty if it ends in none.
std::string_view without_version(std::string_view name) noexcept {
  std::size_t at = name.size();
  const auto digits = [&] {
    const std::size_t end = at;
    while (at > 0 && is_digit(name[at - 1])) --at;
    return at != end;
  };
  if (!digits()) return {};
  if (at > 0 && name[at - 1] == ':') {
    --at;
    if (!digits()) return {};
  }
  if (at < 3 || name[at - 1] != 'v' || name[at - 2] != '-') return {};
  return name.substr(0, at - 2);
}

/// A cloud region as one segment of a path: `us-east-1/`, `europe-west4/`. Returns its length, 0 if there is
/// none.
std::size_t region_segment(std::string_view name) noexcept {
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos || slash < 6 || slash > 20) return 0;
  const auto region = name.substr(0, slash);
  if (!is_digit(region.back()) || region.find('-') == std::string_view::npos) return 0;
  for (const char c : region)
    if (!(c >= 'a' && c <= 'z') && !is_digit(c) && c != '-') return 0;
  for (const std::string_view area : {"us-", "eu-", "ap-", "ca-", "sa-", "me-", "af-", "il-", "mx-", "europe-", "asia-",
                                      "australia-", "northamerica-", "southamerica-"})
    if (region.starts_with(area)) return slash + 1;
  return 0;
}

/// `ft:gpt-4o:org:name:id` without what is the tuner's own: `ft:gpt-4o`. Empty for other names.
std::string_view fine_tuned_base(std::string_view name) noexcept {
  if (!name.starts_with("ft:")) return {};
  const std::size_t colon = name.find(':', 3);
  if (colon == std::string_view::npos || colon == 3) return {};
  return name.substr(0, colon);
}

struct Candidate {
  std::string_view name;
  bool assumed = false;
};

/// The name and what is left of it after each prefix, longest first.
struct Candidates {
  std::array<Candidate, 12> list{};
  std::size_t count = 0;

  explicit Candidates(std::string_view name) noexcept {
    add({name, false});
    // Prefixes come in a row (`bedrock/us-east-1/anthropic.`), so each is looked for behind the last.
    Candidate rest = list[0];
    while (count < list.size() && strip(rest)) add(rest);
    for (std::size_t i = 0, n = count; i < n; ++i)
      if (const auto bare = without_version(list[i].name); !bare.empty()) add({bare, list[i].assumed});
  }
  [[nodiscard]] const Candidate* begin() const noexcept { return list.data(); }
  [[nodiscard]] const Candidate* end() const noexcept { return list.data() + count; }

 private:
  void add(Candidate candidate) noexcept {
    if (count < list.size()) list[count++] = candidate;
  }
  static bool strip(Candidate& rest) noexcept {
    for (const auto& prefix : prefixes) {
      if (rest.name.size() <= prefix.text.size() || !rest.name.starts_with(prefix.text)) continue;
      rest.name.remove_prefix(prefix.text.size());
      // Vertex writes publishers/google/models/gemini-2.5-pro.
      if (prefix.text == "publishers/")
        if (const auto slash = rest.name.find('/'); slash != std::string_view::npos && slash + 1 < rest.name.size())
          rest.name.remove_prefix(slash + 1);
      rest.assumed |= prefix.other_rates;
      return true;
    }
    if (const std::size_t region = region_segment(rest.name); region != 0 && region < rest.name.size()) {
      rest.name.remove_prefix(region);
      rest.assumed = true;
      return true;
    }
    return false;
  }
};

}  // namespace

std::size_t PriceBook::VariantHash::operator()(const VariantKey& key) const noexcept {
  return std::hash<const void*>()(key.entry) ^ (static_cast<std::size_t>(key.rule) << 1 | (key.assumed ? 1 : 0));
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
  if (model.empty() || model.size() > max_name) return {};

  const Candidates candidates(model);
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

  const std::lock_guard lock(mutex_);
  if (const auto at = cache_.find(model); at != cache_.end()) return at->second;
  const Match match = resolve(model);
  if (!match.entry) return nullptr;  // not cached: names that nobody knows are without number
  auto& variant = variants_[VariantKey{match.entry, match.rule, match.assumed}];
  if (!variant)
    variant = std::make_unique<const PricedModel>(match.entry->given.name, match.entry->given.price, match.rule,
                                                  match.assumed);
  if (model.size() <= max_name) {
    if (cache_.size() >= max_cached_names) cache_.clear();
    cache_.emplace(model, variant.get());
  }
  return variant.get();
}

bool PriceBook::deploy(std::string name, std::string_view like) {
  const Match match = resolve(like);
  if (!match.entry) return false;
  aliases.insert_or_assign(std::move(name), Alias{match.entry->given.name, match.assumed});
  return true;
}

void PriceBook::Layer::add(PriceEntry given) {
  const Entry& entry = entries.emplace_back(std::move(given));
  by_name.insert_or_assign(entry.given.name, &entry);
}

std::shared_ptr<PriceBook> make_price_book(std::vector<PriceEntry> entries, std::string version, std::string source,
                                           std::optional<std::chrono::sys_days> as_of) {
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

namespace {

/// A book like `from` that may still be changed: what was loaded is shared, what was registered is copied.
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

std::string date_text(std::chrono::sys_days day) { return to_iso8601(day).substr(0, 10); }

}  // namespace

void warn_if_stale(const PriceBook& book, Time now, std::atomic<bool>& said) noexcept {
  if (!book.as_of || said.load(std::memory_order_relaxed)) return;
  const auto age = std::chrono::floor<std::chrono::days>(now) - *book.as_of;
  if (age <= stale_after || said.exchange(true, std::memory_order_relaxed)) return;
  try {
    log(LogLevel::warning,
        "the price table" + (book.version.empty() ? std::string() : " " + printable_name(book.version)) + " is of " +
            date_text(*book.as_of) + ", " + std::to_string(age.count()) +
            " days old; prices may have changed. Give the ledger a newer one with Ledger::set_prices "
            "(PriceTable::load or PriceTable::load_litellm)");
  } catch (...) {  // out of memory: the warning is lost, the call is not
  }
}

void warn_if_stale(const PriceBook& book, Time now) noexcept {
  static std::atomic<bool> said{false};
  warn_if_stale(book, now, said);
}

}  // namespace detail

// ---- PriceTable

PriceTable::PriceTable() {
  static const std::shared_ptr<const detail::PriceBook> empty = std::make_shared<detail::PriceBook>();
  book_ = empty;
}

void PriceTable::register_model(std::string name, Price price) {
  detail::check_price(name, price);
  auto book = detail::copy_of(*book_);
  book->aliases.erase(name);
  auto entry = std::make_shared<const detail::PriceBook::Entry>(detail::PriceEntry{name, std::move(price), false});
  book->registered.insert_or_assign(std::move(name), std::move(entry));
  book_ = std::move(book);
}

namespace {

[[noreturn]] void throw_unknown(const detail::PriceBook& book, std::string_view model) {
  const std::string name = detail::printable_name(model);
  throw PriceUnknown(name, "no price for model \"" + name + "\" in a table of " + std::to_string(book.size()) +
                               " models" + (book.version.empty() ? std::string() : " (" + book.version + ")") +
                               "; add one with PriceTable::register_model or PriceTable::register_deployment");
}

const detail::PricedModel& look_up(const detail::PriceBook& book, std::string_view model) {
  const auto* found = book.find(model);
  if (!found) throw_unknown(book, model);
  return *found;
}

}  // namespace

void PriceTable::register_deployment(std::string name, std::string_view like) {
  if (name.empty()) throw ConfigError("a deployment needs a name; the name given is empty");
  auto book = detail::copy_of(*book_);
  if (!book->deploy(std::move(name), like)) throw_unknown(*book_, like);
  book_ = std::move(book);
}

Cost PriceTable::cost(std::string_view model, const Usage& usage, const CostOptions& options) const {
  if (const char* member = usage.first_invalid())
    throw Error(errc::invalid_usage, "usage of model \"" + detail::printable_name(model) + "\": " + member +
                                         " is negative, above " + std::to_string(Usage::max_count) +
                                         ", or more than what it is a part of");
  const auto& found = look_up(*book_, model);
  const auto usd = detail::cost(found, usage, options.service_tier);
  if (!usd)
    throw Error(errc::overflow, "the cost of a call to \"" + detail::printable_name(model) +
                                    "\" is beyond $9.2 billion; check the registered rates and the usage");
  return {*usd, found.rule, found.name, found.assumed,
          std::string(detail::tier_used(found, usage.input_total(), options.service_tier))};
}

std::optional<Price> PriceTable::find(std::string_view model) const {
  const auto* found = book_->find(model);
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
    if (price.web_search.nanos() != 0) out += "  per web search: " + to_string(price.web_search) + '\n';
    if (price.request.nanos() != 0) out += "  per request: " + to_string(price.request) + '\n';
    if (price.max_input_tokens) out += "  input at most " + std::to_string(*price.max_input_tokens) + " tokens\n";
    if (price.max_output_tokens) out += "  output at most " + std::to_string(*price.max_output_tokens) + " tokens\n";
  }
  out += "  table: " + (version().empty() ? std::string("no version") : version());
  if (!source().empty()) out += ", from " + source();
  if (const auto day = as_of()) {
    const auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
    out += ", as of " + detail::date_text(*day) + " (" + std::to_string((today - *day).count()) + " days ago)";
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
