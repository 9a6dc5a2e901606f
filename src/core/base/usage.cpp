#include "outlay/usage.hpp"

#include <ostream>

#include "core/base/vector.hpp"
#include "outlay/error.hpp"

namespace outlay {

namespace {

struct Member {
  const char* name;
  std::int64_t Usage::* count;
  std::int64_t Usage::* whole;  // that it is a part of; null: it stands for itself
};

constexpr Member members[] = {
    {"input", &Usage::input, nullptr},
    {"cache_read", &Usage::cache_read, nullptr},
    {"cache_write", &Usage::cache_write, nullptr},
    {"cache_write_1h", &Usage::cache_write_1h, nullptr},
    {"output", &Usage::output, nullptr},
    {"reasoning", &Usage::reasoning, &Usage::output},
    {"input_audio", &Usage::input_audio, &Usage::input},
    {"input_image", &Usage::input_image, &Usage::input},
    {"cache_read_audio", &Usage::cache_read_audio, &Usage::cache_read},
    {"output_audio", &Usage::output_audio, &Usage::output},
    {"output_image", &Usage::output_image, &Usage::output},
    {"web_searches", &Usage::web_searches, nullptr},
    {"file_searches", &Usage::file_searches, nullptr},
    {"code_sessions", &Usage::code_sessions, nullptr},
    {"other_tools", &Usage::other_tools, nullptr},
};

}  // namespace

[[gnu::hot]] const char* Usage::first_invalid() const noexcept {
  // Nearly every usage is small and has no modalities and tools: one comparison for all of its counts.
  const auto all = static_cast<std::uint64_t>(input | cache_read | cache_write | cache_write_1h | output | reasoning);
  if (all < (1ULL << 30) && reasoning <= output &&
      (input_audio | input_image | cache_read_audio | output_audio | output_image | web_searches | file_searches |
       code_sessions | other_tools) == 0)
    return nullptr;
  for (const Member& member : members) {
    const std::int64_t count = this->*member.count;
    if (count < 0 || count > (member.whole == nullptr ? max_count : this->*member.whole)) return member.name;
  }
  return nullptr;
}

std::string to_string(const Usage& usage) {
  std::string text;
  for (const Member& member : members) {
    if (usage.*member.count == 0) continue;
    if (!text.empty()) text += ' ';
    text.append(member.name).append("=").append(std::to_string(usage.*member.count));
  }
  return text.empty() ? "nothing" : text;
}

std::ostream& operator<<(std::ostream& out, const Usage& usage) { return out << to_string(usage); }

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

namespace {

/// The dimensions whose value is not `absent`; `none` where there are none.
std::string listed(const detail::Vector& values, std::int64_t absent, const char* none) {
  std::string text;
  for (std::size_t d = 0; d < values.size(); ++d) {
    if (values[d] == absent) continue;
    if (!text.empty()) text += ' ';
    const Amount amount(static_cast<Dimension>(d), values[d]);
    text.append(to_string(amount.dimension())).append("=").append(to_string(amount));
  }
  return text.empty() ? none : text;
}

}  // namespace

std::string to_string(const Amounts& amounts) { return listed(detail::to_vector(amounts), 0, "nothing"); }

std::ostream& operator<<(std::ostream& out, const Amounts& amounts) { return out << to_string(amounts); }

std::string to_string(const Limits& limits) { return listed(detail::to_vector(limits), detail::no_cap, "none"); }

std::ostream& operator<<(std::ostream& out, const Limits& limits) { return out << to_string(limits); }

}  // namespace outlay
