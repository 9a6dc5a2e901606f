#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "outlay/error.hpp"
#include "support/catch.hpp"

using outlay::errc;
using outlay::Failure;
using outlay::Result;

namespace {

Result<std::string> answered() { return std::string("answer"); }
Result<std::string> failed(errc why) { return Failure(why, "it did not work"); }

// As std::expected: a value converts to a Result in silence, a Result to bool only where it is asked.
static_assert(std::is_convertible_v<std::string, Result<std::string>>);
static_assert(std::is_convertible_v<Failure, Result<std::string>>);
static_assert(!std::is_convertible_v<Result<std::string>, bool>);
static_assert(std::is_nothrow_move_constructible_v<Result<std::string>>);
static_assert(!std::is_copy_constructible_v<Result<std::unique_ptr<int>>>);
static_assert(std::is_nothrow_default_constructible_v<Result<void>>);
static_assert(noexcept(*std::declval<Result<std::string>&>()) &&
              noexcept(std::declval<Result<std::string>&>()->size()));

}  // namespace

TEST_CASE("result: a value is there by every way of access", "[core][result]") {
  Result<std::string> result = answered();
  REQUIRE(result.has_value());
  REQUIRE(static_cast<bool>(result));
  CHECK(result.value() == "answer");
  CHECK(*result == "answer");
  CHECK(result->size() == 6);
  *result += '!';
  CHECK(std::as_const(result).value() == "answer!");
  CHECK(*std::as_const(result) == "answer!");
  CHECK(std::as_const(result)->size() == 7);
  CHECK(result.value_or("other") == "answer!");
}

TEST_CASE("result: a failure is told by error()", "[core][result]") {
  const Result<std::string> result = failed(errc::network);
  REQUIRE(!result.has_value());
  REQUIRE(!result);
  CHECK(result.error().reason() == errc::network);
  CHECK(result.error().message() == "it did not work");
  CHECK(result.value_or("other") == "other");
  CHECK(failed(errc::network).value_or("other") == "other");
  CHECK(failed(errc::network).error().message() == "it did not work");
}

TEST_CASE("result: value() throws what the throwing form would have thrown", "[core][result]") {
  CHECK_THROWS_AS(failed(errc::budget_exceeded).value(), outlay::BudgetExceeded);
  CHECK_THROWS_AS(failed(errc::price_unknown).value(), outlay::PriceUnknown);
  CHECK_THROWS_AS(failed(errc::config).value(), outlay::ConfigError);
  CHECK_THROWS_AS(failed(errc::store_unavailable).value(), outlay::StoreUnavailable);
  const Result<std::string> result = failed(errc::network);
  try {
    static_cast<void>(result.value());
    FAIL("it did not throw");
  } catch (const outlay::Error& error) {
    CHECK(error.reason() == errc::network);
    CHECK(error.what() == std::string("it did not work"));
  }
}

TEST_CASE("result: a value that can only be moved is moved out", "[core][result]") {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  const std::unique_ptr<int> moved = *std::move(result);
  REQUIRE(moved);
  CHECK(*moved == 7);
  CHECK(*Result<std::unique_ptr<int>>(std::make_unique<int>(8)).value() == 8);
  CHECK(*Result<std::unique_ptr<int>>(std::make_unique<int>(9)).value_or(nullptr) == 9);
  CHECK(Result<std::unique_ptr<int>>(Failure(errc::network, "no")).value_or(nullptr) == nullptr);
}

TEST_CASE("result: of void, it says success or failure", "[core][result]") {
  const Result<void> done;
  REQUIRE(done.has_value());
  REQUIRE(done);
  CHECK_NOTHROW(done.value());
  const Result<void> refused = Failure(errc::store_unavailable, "no answer");
  REQUIRE(!refused);
  CHECK(refused.error().message() == "no answer");
  CHECK_THROWS_AS(refused.value(), outlay::StoreUnavailable);
}
