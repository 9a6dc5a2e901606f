#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "outlay/detail/export.hpp"
#include "outlay/usage.hpp"

namespace outlay {

namespace detail {
struct Access;
struct PriceBook;
struct PricedModel;
}  // namespace detail

/// How a model's name was found in a price table.
enum class PriceRule : std::uint8_t {
  none,   ///< Not found.
  exact,  ///< The name itself.
  alias,  ///< Registered as a deployment or alias of another.
  /// After a provider's or region's prefix was taken off or put in front: `openai/gpt-4o`, `us.anthropic.claude-...`.
  provider_prefix,
  /// After a date was taken off: `gpt-4o-2024-08-06`. The rate is assumed to be that of the undated name.
  date_suffix,
  fine_tune,  ///< The base of a fine-tuned model: `ft:gpt-4o:org:name:id` is `ft:gpt-4o`.
};
/// The rule's name: `"exact"`, `"date_suffix"`.
[[nodiscard]] OUTLAY_EXPORT const char* to_string(PriceRule rule) noexcept;

/// An exact rate: pico-dollars (10^-12 USD) a token.
///
/// $2.50 per million tokens is 2,500,000 pico-dollars a token.
class Rate {
 public:
  /// $0
  constexpr Rate() noexcept = default;
  /// \par Units
  /// Pico-dollars a token.
  [[nodiscard]] static constexpr Rate from_picos(std::int64_t picos) noexcept {
    Rate rate;
    rate.picos_ = picos;
    return rate;
  }
  /// Rounded half to even where the price is finer than a pico-dollar a token.
  [[nodiscard]] static constexpr Rate per_million(Usd price) noexcept {
    std::int64_t picos = price.nanos() / 1000;
    const std::int64_t rest = price.nanos() % 1000;
    if (rest > 500 || (rest == 500 && picos % 2 != 0)) ++picos;
    return from_picos(picos);
  }
  /// \par Units
  /// Pico-dollars a token.
  [[nodiscard]] constexpr std::int64_t picos() const noexcept { return picos_; }
  /// By the amount.
  constexpr auto operator<=>(const Rate&) const noexcept = default;

 private:
  std::int64_t picos_ = 0;
};

/// What a model's tokens cost at one tier. An absent cache or modality rate is the rate of the bucket that it is a part of, never
/// zero.
struct Rates {
  /// Of a token of plain input.
  Rate input{};
  /// Of a token of plain output.
  Rate output{};
  std::optional<Rate> cache_read{};        ///< Absent: `input`.
  std::optional<Rate> cache_write{};       ///< Absent: `input`.
  std::optional<Rate> cache_write_1h{};    ///< Absent: `cache_write`.
  std::optional<Rate> reasoning{};         ///< Absent: `output`.
  std::optional<Rate> input_audio{};       ///< Absent: `input`.
  std::optional<Rate> output_audio{};      ///< Absent: `output`.
  std::optional<Rate> input_image{};       ///< Absent: `input`.
  std::optional<Rate> output_image{};      ///< Absent: `output`.
  std::optional<Rate> cache_read_audio{};  ///< Absent: `cache_read`.

  /// The same rates; an absent one is not the same as one that says what it stands for.
  bool operator==(const Rates&) const noexcept = default;
};

/// Everything known of one model's price.
struct Price {
  /// Of the default tier, at any size of the input.
  Rates rates{};
  /// Rates of a service tier as the provider names it (`"batch"`, `"flex"`, `"priority"`, `"fast"`), or of a region that is dearer
  /// (`"eu"`, `"us"`); large and small letters are the same. A call of a tier in a region (`"fast+us"`) costs what the tier does, raised as
  /// the region raises the default rates. A tier that is not listed, or has no entry for an input of that size, costs what the default tier
  /// does, `"batch"` half of it, and so `"flex"` of OpenAI, Google and Amazon; it is then assumed (Cost::assumed, CostSource::assumed).
  struct Tier {
    std::string service_tier{};         ///< Empty: the default tier.
    std::int64_t above_input_tokens{};  ///< Applies to the whole call when its input is above this. 0: always.
    bool inclusive{};                   ///< Applies at the threshold already.
    /// What tokens cost in it.
    Rates rates{};

    /// Member by member.
    bool operator==(const Tier&) const = default;
  };
  /// In any order.
  std::vector<Tier> tiers{};
  /// Per search of the web. Absent: not known, so that a call that searched counts as unpriced; a fee of $0 says that it is free.
  std::optional<Usd> web_search{};
  Usd request{};           ///< Per request.
  std::string provider{};  ///< `"openai"`; empty if not known.
  /// The model's largest output in tokens. Empty: not known.
  std::optional<std::int64_t> max_output_tokens{};
  /// The model's largest input in tokens. Empty: not known.
  std::optional<std::int64_t> max_input_tokens{};
  std::optional<Usd> file_search{};   ///< Per search of files. Absent as `web_search`.
  std::optional<Usd> code_session{};  ///< Per container in which the provider runs code. Absent as `web_search`.
  std::optional<Usd> other_tool{};    ///< Per use of another tool (Usage::other_tools). Absent as `web_search`.

  /// A model that costs nothing, its tools neither: a price, unlike a missing one.
  [[nodiscard]] static Price free() {
    Price price;
    price.web_search = price.file_search = price.code_session = price.other_tool = Usd{};
    return price;
  }
  /// Member by member.
  bool operator==(const Price&) const = default;
};

/// What a usage costs, and how that is known.
struct Cost {
  /// Rounded once, half to even, to a nano-dollar.
  Usd usd{};
  /// How the entry was found.
  PriceRule rule{};
  std::string model{};  ///< The table's entry that was used.
  /// The entry is not the model's own (PriceRule::date_suffix), does not list the tier, or a rate was rounded when it was read.
  bool assumed{};
  std::string service_tier{};  ///< The tier whose rates were used; empty for the default one.
  /// The usage has something that is billed by use and has no fee here; `usd` is the cost of the rest.
  bool incomplete{};
};

/// What a look-up may know beside the model's name.
struct CostOptions {
  std::string_view service_tier{};  ///< As the provider named it in its reply; empty for the default tier.
  /// Who serves the model, as the table names it in front of models (`"groq"`, `"vertex_ai"`), or the address that requests go to
  /// (`"https://api.groq.com/openai/v1"`). Its own price of the model comes first. Empty: not known.
  std::string_view provider{};
};

/// A table of prices: a value that copies cheaply and never changes behind a caller's back.
///
/// A Ledger holds one and can be given another at any time (Ledger::set_prices); calls already admitted keep theirs.
///
/// \par Thread safety
/// As a std::string: const members of a shared object are safe.
class OUTLAY_EXPORT PriceTable {
 public:
  PriceTable();  ///< Empty: every model is unknown.
  /// The table that is compiled into the library: nothing is read, nothing is fetched. See as_of() and source(). outlay::json has
  /// load_prices() for others.
  [[nodiscard]] static PriceTable bundled();

  /// Adds or replaces a model.
  ///
  /// \par Errors
  /// ConfigError for a negative rate, or an empty name.
  void register_model(std::string name, Price price);
  /// Makes `name` cost what `like` costs: an Azure deployment, a fine-tune, a gateway's name.
  ///
  /// \par Errors
  /// PriceUnknown if `like` is not found.
  void register_deployment(std::string name, std::string_view like);

  /// What a usage costs: the exact sum over the buckets, rounded once to a nano-dollar, half to even.
  ///
  /// \par Errors
  /// PriceUnknown; Error with errc::invalid_usage or errc::overflow.
  [[nodiscard]] Cost cost(std::string_view model, const Usage& usage, const CostOptions& options = {}) const;
  /// The price that a look-up finds; empty for an unknown model.
  [[nodiscard]] std::optional<Price> find(std::string_view model, std::string_view provider = {}) const;
  /// For people: the entry, the rule that matched, every rate, the table's version and age.
  [[nodiscard]] std::string explain(std::string_view model) const;

  /// How many names it has, those of deployments and aliases included.
  [[nodiscard]] std::size_t size() const noexcept;
  /// What the table calls its version, as in Record::price_version; empty where it has none.
  [[nodiscard]] const std::string& version() const noexcept;
  /// Where the table is from; empty where that is not known.
  [[nodiscard]] const std::string& source() const noexcept;
  /// The day of which its prices are; empty where that is not known.
  [[nodiscard]] std::optional<std::chrono::sys_days> as_of() const noexcept;
  /// Sets version(), source() and as_of().
  void describe(std::string version, std::string source, std::optional<std::chrono::sys_days> as_of);

 private:
  friend struct detail::Access;
  explicit PriceTable(std::shared_ptr<const detail::PriceBook> book) noexcept : book_(std::move(book)) {}

  std::shared_ptr<const detail::PriceBook> book_;
};

}  // namespace outlay
