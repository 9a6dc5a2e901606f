#pragma once

#include <initializer_list>
#include <string_view>

#include "outlay/detail/ambient.hpp"
#include "outlay/detail/export.hpp"
#include "outlay/tags.hpp"

namespace outlay {

/// Tags everything that is spent inside a scope.
///
/// Tags of enclosing scopes stay; for the same key the inner value wins. A call keeps the tags of the scopes that were open when it
/// was admitted, however late it settles.
///
/// \par Errors
/// ConfigError for an empty key, a reserved one (`model`, `provider`, `budget`, `day`), a key over 128 bytes, a value over 1,024
/// bytes, or more than 32 tags in all.
/// \par Thread safety
/// Opened and closed by one task.
/// \par Suspension
/// As Budget: it follows a coroutine that runs on outlay's context executor.
/// \par Example
/// \snippet tests/unit/core/context/track_test.cpp nested_track
class OUTLAY_EXPORT Track final {
 public:
  /// Adds the tags to those of the current task. Of two with one key the later wins.
  [[nodiscard]] explicit Track(std::initializer_list<Tag> tags);
  /// The same of tags that were put together before.
  [[nodiscard]] explicit Track(const Tags& tags);
  Track(const Track&) = delete;
  Track& operator=(const Track&) = delete;
  ~Track();

 private:
  detail::Node* node_;
};

}  // namespace outlay
