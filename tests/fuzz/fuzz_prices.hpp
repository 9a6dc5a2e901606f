#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "fuzz_input.hpp"
#include "json/prices/formats.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/error.hpp"
#include "outlay/log.hpp"
#include "outlay/price.hpp"

namespace outlay_fuzz {

/// A rate, a fee or a price below zero would give money back.
inline void check_model(const outlay::PriceTable& table, std::string_view name) {
  const auto price = table.find(name);
  if (!price) return;
  for (const auto& fee : {price->web_search, price->file_search, price->code_session, price->other_tool})
    check(fee.value_or(outlay::Usd{}) >= outlay::Usd{});
  check(price->request >= outlay::Usd{});
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

/// Reads a price file, which is refused by a ConfigError or makes a table whose prices are none below zero.
inline void check_prices(decltype(outlay::detail::read_litellm)& read, std::string_view file) {
  // Of its own, exactly as long as it is, so that ASan sees a byte read too many and a view kept too long.
  auto text = std::make_unique<char[]>(file.size());
  std::memcpy(text.get(), file.data(), file.size());
  std::shared_ptr<const outlay::detail::PriceBook> book;
  try {
    book = read({text.get(), file.size()}, "fuzzed.json");
  } catch (const outlay::ConfigError& error) {
    check(std::string_view(error.what()).size() < 1024);  // names the place, does not repeat the file
    return;
  }
  text.reset();
  check(book != nullptr);
  const outlay::PriceTable table = outlay::detail::Access::price_table(book);
  check(table.size() == book->size());
  for (const auto& entry : book->base->entries) check_model(table, entry.given.name);
  for (const std::string_view name : {"m", "openai/m", "m-2026-01-01", "basalt-1", "azure/eu/basalt-1"})
    check_model(table, name);
}

inline void say_nothing() {
  outlay::set_log_handler([](outlay::LogLevel, std::string_view) {});  // what is left out is not news here
}

}  // namespace outlay_fuzz
