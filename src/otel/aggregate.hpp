#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/base/json_writer.hpp"
#include "otel/settings.hpp"
#include "outlay/record.hpp"

namespace outlay::detail {

/// The latest call that fell into a place of a metric.
struct Exemplar {
  std::uint64_t order = 0;  ///< Counts up over all exemplars of a sink; 0: there is none.
  std::int64_t time = 0;    ///< Nanoseconds since 1970.
  std::int64_t value = 0;
  std::array<char, 32> trace{};  ///< Hex; '\0' first: the call had no trace context.
  std::array<char, 16> span{};
};

inline constexpr std::size_t bound_count = 14;

/// Counts by buckets whose bounds the conventions name; both kinds have as many.
///
/// A bucket holds what is above its lower and up to its upper bound, that included. Durations are in nanoseconds.
struct Histogram {
  std::array<std::uint64_t, bound_count + 1> buckets{};
  std::uint64_t count = 0;
  std::int64_t sum = 0;
  std::unique_ptr<std::array<Exemplar, bound_count + 1>> exemplars{};
};

inline constexpr std::array<std::int64_t, bound_count> token_bounds{
    1, 4, 16, 64, 256, 1'024, 4'096, 16'384, 65'536, 262'144, 1'048'576, 4'194'304, 16'777'216, 67'108'864};
/// 0.01 s, doubled each time.
inline constexpr std::array<std::int64_t, bound_count> duration_bounds = [] {
  std::array<std::int64_t, bound_count> bounds{};
  std::int64_t bound = 10'000'000;
  for (std::int64_t& at : bounds) at = bound, bound *= 2;
  return bounds;
}();

/// Something that only grows, or, in the gauge's case, stands where it was put last.
struct Counter {
  std::int64_t value = 0;
  Exemplar exemplar{};
};

/// The counters of the coming conventions. The last three are parts of the first two.
enum class TokenKind : std::size_t { input, output, cache_read, cache_write, reasoning };
inline constexpr std::size_t token_kinds = 5;
enum class Modality : std::size_t { unknown, text, audio, image };
inline constexpr std::size_t modalities = 4;

/// Calls with the same operation, provider, models and listed tags.
struct CallSeries {
  struct Outcome {  // by `error.type`; empty for none
    std::string error{};
    Histogram duration{};
    Histogram input{}, output{};  // of the coming conventions: failed calls too
  };
  struct Cost {
    RecordStatus status{};
    CostSource source{};
    Counter total{};
  };
  struct Tokens {
    std::array<std::array<std::int64_t, modalities>, token_kinds> value{};
    std::array<std::array<bool, modalities>, token_kinds> seen{};
  };

  std::string attributes{};  ///< As JSON: the elements of the array, without its brackets.
  bool embeddings = false;
  Histogram input{}, output{};
  std::vector<Outcome> outcomes{};
  std::vector<Cost> costs{};
  std::unique_ptr<Tokens> tokens{};  ///< Of the coming conventions.
};

/// Events, or a gauge, with the same attributes.
struct EventSeries {
  std::string attributes{};
  Counter total{};
  std::int64_t time = 0;  ///< Of the gauge: when it was put there.
};

/// The series of one family of metrics, found by the values of their attributes.
///
/// Each attribute keeps its first `max_values` values apart, the whole its first `max_series` sets; what comes later is `other`.
template <class Series>
class SeriesMap {
 public:
  struct Field {
    std::string name{};  ///< The attribute's.
  };
  SeriesMap(std::vector<Field> fields, std::size_t max_values, std::size_t max_series)
      : fields_(std::move(fields)), known_(fields_.size()), max_values_(max_values), max_series_(max_series) {}

  /// \param values One for each field; null data: the attribute is absent.
  /// \param folded Set where a value became `other`.
  Series& at(const std::vector<std::string_view>& values, bool& folded);
  [[nodiscard]] const std::deque<Series>& all() const noexcept { return all_; }
  [[nodiscard]] std::deque<Series>& all() noexcept { return all_; }
  /// The one that at() has just made; null where it has found one.
  [[nodiscard]] Series* fresh() const noexcept { return fresh_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  using Words = std::unordered_set<std::string, Hash, std::equal_to<>>;

  void write_key(const std::vector<std::string_view>& values);
  Series& slow_at(const std::vector<std::string_view>& values, bool& folded);

  std::vector<Field> fields_;
  std::vector<Words> known_;
  std::size_t max_values_, max_series_;
  std::string key_{};  // of the last look-up; kept for its memory
  std::unordered_map<std::string, Series*, Hash, std::equal_to<>> by_key_{};
  std::deque<Series> all_{};  // in the order in which they came; addresses stay
  Series* fresh_ = nullptr;
};

/// What an otel sink sends: the sums over everything that it was given.
///
/// \par Thread safety
/// None.
class Aggregate {
 public:
  explicit Aggregate(const OtelSettings& settings);

  void add(const Record& record);
  void add(const BudgetEvent& event);

  [[nodiscard]] const std::deque<CallSeries>& calls() const noexcept { return calls_.all(); }
  [[nodiscard]] const std::deque<EventSeries>& events() const noexcept { return events_.all(); }
  [[nodiscard]] const std::deque<EventSeries>& remaining() const noexcept { return remaining_.all(); }
  /// Goes up with each record and event.
  [[nodiscard]] std::uint64_t version() const noexcept { return version_; }
  [[nodiscard]] std::uint64_t folded() const noexcept { return folded_; }
  /// The number of the latest exemplar.
  [[nodiscard]] std::uint64_t exemplar_order() const noexcept { return exemplar_order_; }
  /// Those up to this one have been sent.
  void forget_exemplars(std::uint64_t up_to);

 private:
  void add(Histogram& histogram, const std::array<std::int64_t, bound_count>& bounds, std::int64_t value);
  void add(Counter& counter, std::int64_t value);
  void add_tokens(CallSeries& series, const Usage& usage);
  void read_trace(std::string_view traceparent, Time time);

  std::vector<std::string> tags_;
  std::string operation_;
  bool coming_;
  ExemplarFilter filter_;
  SeriesMap<CallSeries> calls_;
  SeriesMap<EventSeries> events_, remaining_;
  std::vector<std::string_view> values_{};  // of the record being added
  Exemplar exemplar_{};                     // of the record being added; order 0: it leaves none
  std::uint64_t exemplar_order_ = 0;
  std::uint64_t version_ = 0;
  std::uint64_t folded_ = 0;
};

/// One attribute as OTLP has it in JSON: `{"key":"a","value":{"stringValue":"b"}}`.
void write_attribute(JsonWriter& json, std::string_view key, std::string_view value);

/// Valid UTF-8 of at most 1,024 bytes: what is none becomes U+FFFD, what is longer is cut.
[[nodiscard]] std::string clean_text(std::string_view text);

/// The conventions' name of a provider of the price table: `aws.bedrock` for `bedrock`.
[[nodiscard]] std::string_view provider_name(std::string_view provider) noexcept;

/// `error.type` of a record: the HTTP status in its reason, else `_OTHER`; empty for one that was settled.
[[nodiscard]] std::string_view error_type(const Record& record) noexcept;

}  // namespace outlay::detail
