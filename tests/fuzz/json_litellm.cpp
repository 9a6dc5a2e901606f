// Price tables in LiteLLM's format, written by others: read, or refused by a ConfigError.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "json/prices/formats.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/error.hpp"
#include "outlay/log.hpp"
#include "outlay/price.hpp"

namespace {

/// A rate, a fee or a price below zero would give money back.
void check(bool holds) {
  if (!holds) std::abort();
}

void check_model(const outlay::PriceTable& table, std::string_view name) {
  const auto price = table.find(name);
  if (!price) return;
  check(price->web_search >= outlay::Usd{} && price->request >= outlay::Usd{});
  check(!table.explain(name).empty());
  const outlay::Usage little{.input = 1000, .cache_read = 1, .cache_write = 1, .output = 10};
  const outlay::Usage much{.input = 1'000'000, .cache_read = 1, .cache_write_1h = 1, .output = 10, .reasoning = 5};
  for (const outlay::Usage& usage : {little, much})
    for (const std::string_view tier : {"", "priority", "flex", "batch"}) {
      try {
        check(table.cost(name, usage, {.service_tier = tier}).usd >= outlay::Usd{});
      } catch (const outlay::Error& error) {
        check(error.code() == outlay::errc::overflow);  // rates may be as large as they can be held
      }
    }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  outlay::set_log_handler([](outlay::LogLevel, std::string_view) {});  // what is left out is not news here
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Of its own, exactly as long as it is, so that ASan sees a byte read too many and a view kept too long.
  auto text = std::make_unique<char[]>(size);
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(data[i]);
  std::shared_ptr<const outlay::detail::PriceBook> book;
  try {
    book = outlay::detail::read_litellm({text.get(), size}, "fuzzed.json");
  } catch (const outlay::ConfigError& error) {
    check(std::string_view(error.what()).size() < 1024);  // names the place, does not repeat the file
    return 0;
  }
  text.reset();
  check(book != nullptr && book->size() != 0);
  const outlay::PriceTable table = outlay::detail::Access::price_table(book);
  check(table.size() == book->size());
  for (const auto& entry : book->base->entries) check_model(table, entry.given.name);
  for (const std::string_view name : {"m", "openai/m", "m-2026-01-01", "basalt-1", "azure/eu/basalt-1"})
    check_model(table, name);
  return 0;
}
