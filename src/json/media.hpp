#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string_view>

namespace outlay::detail {

/// What a request carries besides text.
enum class Media : std::uint8_t { image, wave, audio, video, text, file };

/// What an object of a request carries, by its own members, its name in the request, or what is around it; empty if nothing says so.
[[nodiscard]] std::optional<Media> media_of(const boost::json::object& object, std::string_view name,
                                            std::optional<Media> around) noexcept;
/// The same of a type as MIME has it.
[[nodiscard]] Media media_of(std::string_view mime) noexcept;

/// A `data:` address in its parts.
struct DataUrl {
  std::string_view mime;
  std::string_view data;
  bool base64 = false;
};
[[nodiscard]] inline bool is_data_url(std::string_view text) noexcept { return text.starts_with("data:"); }
/// \param text A `data:` address.
[[nodiscard]] DataUrl split_data_url(std::string_view text) noexcept;

}  // namespace outlay::detail
