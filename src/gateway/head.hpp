#pragma once

#include <boost/beast/core/string_type.hpp>
#include <cstddef>
#include <string_view>

namespace outlay::gateway::detail {

/// Checks the head of a request as its bytes arrive, more strictly than a parser does.
///
/// Two servers that find the end of one request in different places can be made to see different requests (request smuggling). So a head
/// that leaves room for two readings is refused here, where RFC 9112 allows a server to repair it.
class HeadCheck {
 public:
  enum class State { more, whole, bad };

  /// \param bytes All that has arrived of this request, from its first byte on. Looked at once: the next call goes on behind it.
  State look(std::string_view bytes);
  /// What is wrong: a phrase for a message, without anything that was sent.
  [[nodiscard]] const char* why() const noexcept { return why_; }
  /// Of a whole head, the blank line included.
  [[nodiscard]] std::size_t size() const noexcept { return line_; }

 private:
  bool line(std::string_view text);
  bool field(std::string_view text);
  bool bad(const char* why) noexcept;

  std::size_t line_ = 0;  // where the line begins that is not complete yet
  std::size_t seen_ = 0;
  bool first_ = true;
  bool http10_ = false;
  bool ended_ = false;
  int hosts_ = 0;
  int lengths_ = 0;
  int encodings_ = 0;
  const char* why_ = "";
};

/// Beast's view as the standard's.
[[nodiscard]] inline std::string_view view(boost::beast::string_view text) noexcept {
  return {text.data(), text.size()};
}
/// The same text, but for the case of ASCII letters.
[[nodiscard]] bool same_word(std::string_view a, std::string_view b) noexcept;

}  // namespace outlay::gateway::detail
