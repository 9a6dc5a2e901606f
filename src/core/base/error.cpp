#include "outlay/error.hpp"

namespace outlay {

namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "outlay"; }
  [[nodiscard]] std::string message(int code) const override {
    switch (static_cast<errc>(code)) {
      case errc::ok:
        return "ok";
      case errc::budget_exceeded:
        return "the call does not fit its budgets";
      case errc::truncated:
        return "the call does not fit and its budget truncates";
      case errc::closed_to_new_calls:
        return "the budget is closed to new calls";
      case errc::outside_budget:
        return "no budget encloses the call";
      case errc::unbounded_refused:
        return "the request has no output ceiling";
      case errc::price_unknown:
        return "no price is known for the model";
      case errc::invalid_usage:
        return "a usage count is negative or too large";
      case errc::invalid_argument:
        return "an argument is malformed";
      case errc::config:
        return "an option is out of range or contradicts another";
      case errc::overflow:
        return "an amount of money is too large";
      case errc::over_limit:
        return "more was spent than asserted";
      case errc::incomplete:
        return "records were evicted";
      case errc::bad_reply:
        return "the provider's reply cannot be read";
      case errc::stream_broken:
        return "the stream ended early";
      case errc::provider_error:
        return "the provider answered with an error";
      case errc::network:
        return "the connection failed";
      case errc::timed_out:
        return "a deadline passed";
      case errc::store_unavailable:
        return "the shared store cannot be reached";
      case errc::sink_failed:
        return "a durable sink failed or dropped rows";
      case errc::bad_file:
        return "a file cannot be used";
      case errc::storage:
        return "a file cannot be opened, read or written";
      case errc::cancelled:
        return "the operation was cancelled";
      case errc::tag_required:
        return "a tag that a rule requires is missing";
    }
    return "unknown error " + std::to_string(code);
  }
};

}  // namespace

const char* to_string(errc code) noexcept {
  switch (code) {
    case errc::ok:
      return "ok";
    case errc::budget_exceeded:
      return "budget_exceeded";
    case errc::truncated:
      return "truncated";
    case errc::closed_to_new_calls:
      return "closed_to_new_calls";
    case errc::outside_budget:
      return "outside_budget";
    case errc::unbounded_refused:
      return "unbounded_refused";
    case errc::price_unknown:
      return "price_unknown";
    case errc::invalid_usage:
      return "invalid_usage";
    case errc::invalid_argument:
      return "invalid_argument";
    case errc::config:
      return "config";
    case errc::overflow:
      return "overflow";
    case errc::over_limit:
      return "over_limit";
    case errc::incomplete:
      return "incomplete";
    case errc::bad_reply:
      return "bad_reply";
    case errc::stream_broken:
      return "stream_broken";
    case errc::provider_error:
      return "provider_error";
    case errc::network:
      return "network";
    case errc::timed_out:
      return "timed_out";
    case errc::store_unavailable:
      return "store_unavailable";
    case errc::sink_failed:
      return "sink_failed";
    case errc::bad_file:
      return "bad_file";
    case errc::storage:
      return "storage";
    case errc::cancelled:
      return "cancelled";
    case errc::tag_required:
      return "tag_required";
  }
  return "unknown";
}

const std::error_category& outlay_category() noexcept {
  static const Category& category = *new Category;
  return category;
}

std::error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), outlay_category()}; }

namespace detail {

void throw_failure(Failure failure) {
  switch (failure.reason()) {
    case errc::budget_exceeded:
    case errc::truncated:
    case errc::closed_to_new_calls:
    case errc::outside_budget:
    case errc::unbounded_refused:
      throw BudgetExceeded(std::move(failure));
    case errc::price_unknown:
      throw PriceUnknown(failure);
    case errc::config:
      throw ConfigError(failure.message());
    case errc::store_unavailable:
      throw StoreUnavailable(failure.message());
    default:
      throw Error(failure.reason(), failure.message());
  }
}

}  // namespace detail

Error::Error(errc reason, const std::string& message) : std::system_error(make_error_code(reason)), message_(message) {}

BudgetExceeded::BudgetExceeded(Failure failure)
    : Error(failure.reason(), failure.message()), failure_(std::move(failure)) {}

PriceUnknown::PriceUnknown(const Failure& failure)
    : Error(errc::price_unknown, failure.message()), model_(failure.model()) {}
PriceUnknown::PriceUnknown(std::string model, const std::string& message)
    : Error(errc::price_unknown, message), model_(std::move(model)) {}

}  // namespace outlay
