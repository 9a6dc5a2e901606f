#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "outlay/detail/export.hpp"
#include "outlay/error.hpp"
#include "outlay/tags.hpp"

namespace outlay {

// What a budget does when a call does not fit: BudgetOptions::on_exceed. The first sentence of each is about a call that is to be
// admitted, the second about a stream without a ceiling that is running and no longer fits.

/// Refused before it is sent. Cut; the stream throws. The default, and implied at the end of every chain.
struct Block {};

/// Where money is in the way, rerouted to the first model along `map` that is cheaper for this call and fits. Skipped.
struct Downgrade {
  /// One step from a model to a cheaper one.
  struct Route {
    /// The model that is left.
    std::string from;
    /// The model that is tried in its place.
    std::string to;
  };
  /// Followed from the call's model on: `{{"big", "middle"}, {"middle", "small"}}` tries middle, then small.
  std::vector<Route> map;
};

/// Sets the largest output ceiling that fits every enforcing budget around; a tighter one of the caller stays. Skipped.
///
/// Asked also when an enclosing budget is in the way. A request without a ceiling gets one in any case.
struct Clamp {
  /// Below this many tokens a choice the call is not worth making: the next policy decides. At least 1.
  std::int64_t min_output_tokens = 16;
  /// The largest ceiling a choice that it writes; without one the model's maximum. A ceiling of the caller that fits stays.
  std::optional<std::int64_t> max_output_tokens{};
};

/// Does not run: the function under outlay::run yields nothing, quietly; elsewhere refused like Block (errc::truncated). Cut
/// quietly: what arrived is kept.
struct Truncate {};

/// Admitted while anything is left, so at most one call crosses; the settle that takes `spent` over the cap throws after booking.
/// Cut; the stream throws.
struct Raise {};

/// Admitted and booked, with an event and a log line. Goes on.
struct Warn {};

/// Waits, first come first served, for running calls to release room. Skipped.
///
/// Blocks the thread; in coroutines use async_call. Passes the decision to the next policy after `timeout`, or at once if the
/// call could not fit even after all others ended.
struct Wait {
  /// How long a call waits at most. 30 s by default.
  std::chrono::nanoseconds timeout = std::chrono::seconds(30);
};

/// What a Callback receives.
class OUTLAY_EXPORT Exceeded : public Failure {
 public:
  /// For components, and for tests of callbacks.
  Exceeded(Failure failure, std::string requested_model, std::string model, std::optional<std::int64_t> ceiling,
           Tags tags, bool streaming)
      : Failure(std::move(failure)),
        requested_model_(std::move(requested_model)),
        model_(std::move(model)),
        ceiling_(ceiling),
        tags_(std::move(tags)),
        streaming_(streaming) {}
  /// The model as the policies before this one left it.
  [[nodiscard]] const std::string& model() const noexcept { return model_; }
  /// The model as the request named it.
  [[nodiscard]] const std::string& requested_model() const noexcept { return requested_model_; }
  /// The output ceiling per choice, if the request carries one.
  [[nodiscard]] std::optional<std::int64_t> max_output_tokens() const noexcept { return ceiling_; }
  /// The call's tags, those of the enclosing Track scopes included.
  [[nodiscard]] const Tags& tags() const noexcept { return tags_; }
  /// True for a running stream: reroute and clamp then count as block.
  [[nodiscard]] bool streaming() const noexcept { return streaming_; }

 private:
  std::string requested_model_;
  std::string model_;
  std::optional<std::int64_t> ceiling_;
  Tags tags_;
  bool streaming_;
};

/// What a Callback answers.
class Decision {
 public:
  /// Which of the answers it is.
  enum class Kind : std::uint8_t {
    allow,     ///< Decision::allow()
    block,     ///< Decision::block()
    reroute,   ///< Decision::reroute()
    clamp,     ///< Decision::clamp()
    truncate,  ///< Decision::truncate()
    next,      ///< Decision::next()
  };

  /// Admit although it does not fit.
  [[nodiscard]] static Decision allow() { return Decision(Kind::allow); }
  /// Refuse the call; end the stream, which throws.
  [[nodiscard]] static Decision block() { return Decision(Kind::block); }
  /// Try again with another model. A model without a price is refused under a USD cap like any other.
  [[nodiscard]] static Decision reroute(std::string model) { return Decision(Kind::reroute, std::move(model)); }
  /// Try again with this output ceiling per choice (at least 1), if it is lower than the present one.
  [[nodiscard]] static Decision clamp(std::int64_t max_output_tokens) {
    return Decision(Kind::clamp, {}, max_output_tokens);
  }
  /// Refuse the call quietly (errc::truncated); end the stream quietly.
  [[nodiscard]] static Decision truncate() { return Decision(Kind::truncate); }
  /// Let the next policy of the chain decide.
  [[nodiscard]] static Decision next() { return Decision(Kind::next); }

  /// Which answer it is.
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  /// Of reroute(): the model; empty for the others.
  [[nodiscard]] const std::string& model() const noexcept { return model_; }
  /// Of clamp(): the ceiling in tokens per choice; 0 for the others.
  [[nodiscard]] std::int64_t max_output_tokens() const noexcept { return max_output_tokens_; }

 private:
  explicit Decision(Kind kind, std::string model = {}, std::int64_t max_output_tokens = 0)
      : kind_(kind), model_(std::move(model)), max_output_tokens_(max_output_tokens) {}
  Kind kind_;
  std::string model_;
  std::int64_t max_output_tokens_;
};

/// Asks the program, once for each model and ceiling of a call, and once about a running stream: what it answers then holds until the
/// stream ends. Two pieces of it that come at once may both ask; the first answer holds.
///
/// Called outside every lock, on the thread that makes the call; may itself open budgets and make calls, for which its own budget
/// acts as Block. One that throws counts as Decision::block().
struct Callback {
  /// Not empty: otherwise the Budget is a ConfigError.
  std::function<Decision(const Exceeded&)> decide;
};

/// One policy of a chain.
using Policy = std::variant<Block, Downgrade, Clamp, Truncate, Raise, Callback, Warn, Wait>;

/// A chain of policies: each is tried in turn, and one that cannot help passes the decision to the next.
///
/// Validated when a Budget is made. Immutable; copies share.
class Policies {
 public:
  Policies() noexcept = default;  ///< Block.
  /// In this order.
  Policies(std::initializer_list<Policy> chain)  // NOLINT: implicit by design
      : chain_(std::make_shared<const std::vector<Policy>>(chain)) {}
  /// A chain of one.
  template <class P>
    requires std::constructible_from<Policy, P> && (!std::same_as<std::decay_t<P>, Policies>)
  Policies(P&& policy)  // NOLINT: implicit by design
      : chain_(std::is_same_v<std::decay_t<P>, Block>
                   ? nullptr
                   : std::make_shared<const std::vector<Policy>>(1, Policy(std::forward<P>(policy)))) {}

  /// The policies in their order; null for Block alone.
  [[nodiscard]] const std::vector<Policy>* chain() const noexcept { return chain_.get(); }

 private:
  std::shared_ptr<const std::vector<Policy>> chain_;  // null: Block alone
};

}  // namespace outlay
