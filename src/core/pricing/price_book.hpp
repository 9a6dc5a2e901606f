#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/pricing/rates.hpp"
#include "outlay/clock.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/price.hpp"

namespace outlay::detail {

/// An entry as a loader hands it over.
struct PriceEntry {
  std::string name;
  Price price;
  bool rounded = false;  // a rate was finer than a pico-dollar
  bool own = false;      // the program registered it
  bool tool = false;     // no model: what a use of a tool costs
};

/// What a PriceTable refers to. Immutable but for the cache of look-ups, which has a lock of its own.
struct PriceBook {
  PriceBook();
  PriceBook(const PriceBook&) = delete;
  PriceBook& operator=(const PriceBook&) = delete;

  /// Null if unknown. Safe from any thread; allocates only the first time that a name needs more than an
  /// exact match.
  const PricedModel* find(std::string_view model) const;
  /// The price of the model at the provider that serves it: what the program registered under the name, then the provider's own entry, then,
  /// where the provider sells at the vendors' prices, what find() finds. `provider` as provider_at() gives it; empty: not known.
  const PricedModel* find(std::string_view model, std::string_view provider) const;
  /// The price of a tool that the table lists beside its models, at that provider. No model has its name: its tokens have no price.
  const PricedModel* tool(std::string_view name, std::string_view provider) const;
  [[nodiscard]] std::size_t size() const noexcept;

  /// Makes `name` cost what `like` costs. Only before the book is shared. False if `like` is not found.
  OUTLAY_EXPORT bool deploy(std::string name, std::string_view like);

  const std::uint64_t uid;  // unique per book in the process, never reused
  std::string version, source;
  std::optional<std::chrono::sys_days> as_of;

  // Built before the book is shared, never changed afterwards.
  struct Entry {
    Entry(const Entry&) = delete;  // `exact` points into `given`
    Entry& operator=(const Entry&) = delete;

    PriceEntry given;
    PricedModel exact;
    explicit Entry(PriceEntry entry)
        : given(std::move(entry)), exact(given.name, given.price, PriceRule::exact, given.rounded, given.own) {}
  };
  struct Layer {
    std::deque<Entry> entries;
    std::unordered_map<std::string_view, const Entry*> by_name;  // views into entries
    std::deque<Entry> tools;
    void add(PriceEntry entry);
  };
  std::shared_ptr<const Layer> base;  // what was loaded, shared by all tables made from it
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
  };
  template <class T>
  using ByName = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;
  ByName<std::shared_ptr<const Entry>> registered;
  struct Alias {
    std::string entry;
    bool assumed = false;
  };
  ByName<Alias> aliases;

 private:
  struct Match {
    const Entry* entry = nullptr;
    PriceRule rule = PriceRule::none;
    bool assumed = false;
  };
  const Entry* entry(std::string_view name) const;
  Match exact_or_alias(std::string_view name) const;
  Match resolve(std::string_view model) const;
  Match resolve_by_rules(std::string_view model) const;
  const PricedModel* variant_of(const Match& match) const;  // under mutex_

  static constexpr std::size_t max_cached_names = 4096;
  mutable ByName<const PricedModel*> cache_;  // bounded by max_cached_names
  struct VariantKey {
    const Entry* entry;
    PriceRule rule;
    bool assumed;
    bool operator==(const VariantKey&) const noexcept = default;
  };
  struct VariantHash {
    std::size_t operator()(const VariantKey& key) const noexcept;
  };
  // One for each entry and way to it, so bounded by the table; never dropped, since callers hold their
  // addresses.
  mutable std::unordered_map<VariantKey, std::unique_ptr<const PricedModel>, VariantHash> variants_;
};

/// A book that may still be changed, until it is shared. A later entry of the same name replaces an earlier one.
OUTLAY_EXPORT std::shared_ptr<PriceBook> make_price_book(std::vector<PriceEntry> entries, std::string version,
                                                         std::string source,
                                                         std::optional<std::chrono::sys_days> as_of);

/// A book like `from` that may still be changed: what was loaded is shared, what was registered is copied.
std::shared_ptr<PriceBook> copy_of(const PriceBook& from);

/// ConfigError for an empty name or a negative rate, fee, threshold or maximum.
void check_price(std::string_view name, const Price& price);

/// How long after its as-of date a table is called stale. Providers change the price of a model that they go on selling about once or twice
/// a year; what is newer than a table is unknown to it, and says so by itself.
inline constexpr std::chrono::days stale_after{180};
/// Logs once per process that the table is older than stale_after; never for an undated one.
void warn_if_stale(const PriceBook& book, Time now) noexcept;
/// The same with a flag of the caller's in place of the process's.
void warn_if_stale(const PriceBook& book, Time now, std::atomic<bool>& said) noexcept;

/// A name from outside, fit for a message: printable ASCII, at most 120 characters.
OUTLAY_EXPORT std::string printable_name(std::string_view name);

}  // namespace outlay::detail
