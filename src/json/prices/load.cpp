#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "formats.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/json/prices.hpp"
#include "tape.hpp"

namespace outlay {

namespace {

std::string read_file(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  std::ifstream in(path, std::ios::binary);
  std::error_code ec;
  if (!in || std::filesystem::is_directory(path, ec))
    detail::refuse_prices(name, "cannot be opened for reading; check the path");
  std::string text;
  const auto size = std::filesystem::file_size(path, ec);
  if (!ec) text.reserve(static_cast<std::size_t>(std::min<std::uintmax_t>(size, detail::max_price_file)) + 1);
  constexpr std::size_t piece = 1u << 18;
  while (in && text.size() <= detail::max_price_file) {
    const std::size_t had = text.size();
    text.resize(had + piece);
    in.read(text.data() + had, piece);
    text.resize(had + static_cast<std::size_t>(in.gcount()));
  }
  if (in.bad()) detail::refuse_prices(name, "cannot be read to its end");
  return text;  // one byte too many is refused by the parser
}

}  // namespace

PriceTable load_prices(const std::filesystem::path& path) {
  return detail::Access::price_table(detail::read_prices(read_file(path), path.filename().string()));
}

PriceTable load_litellm_prices(const std::filesystem::path& path) {
  return detail::Access::price_table(detail::read_litellm(read_file(path), path.filename().string()));
}

}  // namespace outlay
