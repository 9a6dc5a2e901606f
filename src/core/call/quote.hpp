#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/vector.hpp"
#include "core/budget/terms.hpp"
#include "core/ledger/dictionary.hpp"
#include "core/pricing/pricing.hpp"
#include "outlay/call.hpp"

namespace outlay::detail {

/// A model as a ledger knows it: its name in the dictionary, and what the ledger's table says of it.
struct Model {
  const ModelName* name = nullptr;
  const PricedModel* priced = nullptr;  // null: unknown; alive as long as the price book that it was found in
  std::int64_t usual_output = 0;        // what it lately wrote without a ceiling, of tokens a choice

  /// The dictionary has a place for the name: one that has none cannot be admitted.
  [[nodiscard]] bool named() const noexcept { return name->id != ModelName::overflow_id; }
};

/// What a call would hold in every budget around it, and why: the model, its price, the tokens.
///
/// Never changed once it is made; with_model() and with_ceiling() make another one. An *open* ceiling is ours to choose (the request has
/// none, and a budget clamps): it lies between lower() and upper().
struct Quote {
  static constexpr std::int64_t no_ceiling = -1;

  const Terms* terms = nullptr;  // of the innermost budget
  const ModelName* requested = nullptr;
  Model model{};
  Pricing pricing{};
  PriceTerms price_terms{};
  std::int64_t input = 0;  // tokens
  std::int64_t choices = 1;
  std::int64_t ceiling = no_ceiling;  // output tokens a choice
  std::int64_t min_ceiling = 1;       // the smallest that the provider takes
  const char* ceiling_name = "max_output_tokens";
  std::int64_t output = 0;     // tokens over all choices
  bool fixed_ceiling = false;  // no ceiling but the request's can be sent
  bool open_ceiling = false;
  bool ceiling_stated = false;  // by the request
  bool unbounded = false;       // the model may write more than `output`
  Vector amounts{};

  /// The quote of a valid request for `model`. Where `observing`, the call goes as it came, so that no ceiling is written into it.
  ///
  /// \return errc::ok; errc::overflow, and then `quote` is of no use; errc::unbounded_refused or errc::price_unknown where the terms
  /// refuse such a request, and then `quote` is what observe mode holds.
  [[nodiscard]] static errc of(const CallRequest& request, std::int64_t input, const Model& model, const Terms& terms,
                               bool observing, Quote& quote) noexcept;

  /// Empty where the worst case does not fit 64 bits.
  [[nodiscard]] std::optional<Quote> with_model(Model other) const noexcept;
  [[nodiscard]] std::optional<Quote> with_ceiling(std::int64_t tokens) const noexcept;
  /// The same with another choice of an open ceiling, which stays open.
  [[nodiscard]] std::optional<Quote> with_open_ceiling(std::int64_t tokens) const noexcept;
  /// Of a running stream: room for so much output in all, at least as much money as before.
  [[nodiscard]] std::optional<Quote> with_output(std::int64_t tokens) const noexcept;

  /// What so many tokens, over all choices, would hold.
  ///
  /// \return False: it does not fit 64 bits.
  [[nodiscard]] bool price_up(std::int64_t input_tokens, std::int64_t output_tokens, Vector& held) const noexcept;

  /// Whether the terms allow a model: one without a price needs leave under a cap on money.
  [[nodiscard]] bool allows(const Model& other) const noexcept;
  /// Bounds of an open ceiling.
  [[nodiscard]] std::int64_t upper() const noexcept;
  [[nodiscard]] std::int64_t lower() const noexcept;
  [[nodiscard]] bool bounded_above() const noexcept { return upper() != INT64_MAX; }
  /// The most that the model writes for a choice, where the table knows.
  [[nodiscard]] std::optional<std::int64_t> model_maximum() const noexcept;
  [[nodiscard]] bool holds_as(const Quote& other) const noexcept {
    return model.name == other.model.name && ceiling == other.ceiling && amounts == other.amounts;
  }

 private:
  void take_model(const Model& other) noexcept;
  /// Whether some budget counts what the model writes: at a flat price, a cap on money does not.
  [[nodiscard]] bool output_counts() const noexcept;
  [[nodiscard]] bool fill_in() noexcept;  // output and amounts; false: overflow
};

}  // namespace outlay::detail
