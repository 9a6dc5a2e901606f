#include <filesystem>
#include <string>

#include "json/prices/formats.hpp"
#include "json/prices/tape.hpp"
#include "price_files.hpp"
#include "support/catch.hpp"

using namespace outlay;

TEST_CASE("prices from JSON: a file that cannot be opened is refused by name", "[json][price]") {
  const std::filesystem::path missing = std::filesystem::temp_directory_path() / "outlay-no-such-prices.json";
  CHECK_THROWS_WITH(load_litellm_prices(missing),
                    ContainsSubstring("outlay-no-such-prices.json") && ContainsSubstring("cannot be opened"));
  CHECK_THROWS_AS(load_prices(missing), ConfigError);
  CHECK_THROWS_AS(load_litellm_prices(std::filesystem::temp_directory_path()), ConfigError);
}

TEST_CASE("prices from JSON: a file that is too large is refused before it is parsed", "[json][price]") {
  const std::string text(detail::max_price_file + 1, ' ');
  CHECK_THROWS_WITH(detail::read_litellm(text, "large"), ContainsSubstring(std::to_string(detail::max_price_file)));
}
