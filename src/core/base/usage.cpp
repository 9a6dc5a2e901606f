#include "outlay/usage.hpp"

#include <ostream>

#include "outlay/error.hpp"

namespace outlay {

const char* Usage::first_invalid() const noexcept {
  // Nearly every usage is small and has no modalities: one comparison for all of its counts.
  const auto all =
      static_cast<std::uint64_t>(input | cache_read | cache_write | cache_write_1h | output | reasoning | web_searches);
  if (all < (1ULL << 30) && reasoning <= output &&
      (input_audio | input_image | cache_read_audio | output_audio | output_image) == 0)
    return nullptr;
  const struct {
    const char* name;
    std::int64_t count;
    std::int64_t whole;
  } members[] = {
      {"input", input, max_count},
      {"cache_read", cache_read, max_count},
      {"cache_write", cache_write, max_count},
      {"cache_write_1h", cache_write_1h, max_count},
      {"output", output, max_count},
      {"reasoning", reasoning, output},
      {"input_audio", input_audio, input},
      {"input_image", input_image, input},
      {"cache_read_audio", cache_read_audio, cache_read},
      {"output_audio", output_audio, output},
      {"output_image", output_image, output},
      {"web_searches", web_searches, max_count},
  };
  for (const auto& member : members)
    if (member.count < 0 || member.count > member.whole) return member.name;
  return nullptr;
}

const char* to_string(Dimension dimension) noexcept {
  switch (dimension) {
    case Dimension::usd:
      return "usd";
    case Dimension::tokens:
      return "tokens";
    case Dimension::input_tokens:
      return "input_tokens";
    case Dimension::output_tokens:
      return "output_tokens";
    case Dimension::calls:
      return "calls";
    case Dimension::concurrent:
      return "concurrent";
  }
  return "unknown";
}

void Amount::throw_wrong_kind() const {
  if (dimension_ == Dimension::usd)
    throw Error(errc::invalid_argument, to_string(*this) + " is money and has no count. Use usd().");
  throw Error(errc::invalid_argument,
              to_string(*this) + ' ' + to_string(dimension_) + " are a count and not money. Use count().");
}

std::string to_string(Amount amount) {
  return amount.dimension() == Dimension::usd ? to_string(amount.usd()) : std::to_string(amount.count());
}

std::ostream& operator<<(std::ostream& out, Amount amount) { return out << to_string(amount); }

}  // namespace outlay
