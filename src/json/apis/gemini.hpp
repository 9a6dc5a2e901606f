#pragma once

#include "define.hpp"

namespace outlay::detail {

/// The spelling of a member that an object uses; camel case where it has neither.
[[nodiscard]] std::string_view gemini_spelling(const boost::json::object& object, std::string_view camel,
                                               std::string_view snake);
/// Books an entry of a list of modalities.
void gemini_modality(Facts& facts);

}  // namespace outlay::detail
