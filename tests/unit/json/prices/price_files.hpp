#pragma once

// Price tables read from files that hold a test's text.
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <string_view>

#include "outlay/error.hpp"
#include "outlay/json/prices.hpp"

namespace outlay {

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    std::random_device random;
    path_ = std::filesystem::temp_directory_path() / ("outlay-prices-" + std::to_string(random()) + ".json");
    std::ofstream(path_, std::ios::binary) << text;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    std::error_code ec;
    std::filesystem::remove(path_, ec);
  }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

inline PriceTable litellm(const std::string& text) { return load_litellm_prices(TemporaryFile(text).path()); }
inline PriceTable own(const std::string& text) { return load_prices(TemporaryFile(text).path()); }

inline std::string refused(const std::string& text, bool own_format = false) {
  try {
    (void)(own_format ? own(text) : litellm(text));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "was read";
}

inline Usd cost(const PriceTable& table, std::string_view model, const Usage& usage, std::string_view tier = {}) {
  return table.cost(model, usage, {.service_tier = tier}).usd;
}

}  // namespace outlay
