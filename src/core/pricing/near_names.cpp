#include "core/pricing/near_names.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace outlay::detail {

namespace {

constexpr std::size_t most_letters = 64;
constexpr int most_changes = 3;

bool is_numeral(char c) noexcept { return c >= '0' && c <= '9'; }

/// A name without its signs, in lower case.
struct Folded {
  explicit Folded(std::string_view name) noexcept {
    for (const char c : name) {
      const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      if (!is_numeral(lower) && (lower < 'a' || lower > 'z')) continue;
      if (size == most_letters) break;
      text[size++] = lower;
    }
  }
  [[nodiscard]] std::string_view view() const noexcept { return {text.data(), size}; }
  std::array<char, most_letters> text{};
  std::size_t size = 0;
};

/// How many letters are to be changed, put in, taken out or swapped with the next to make one name of the other; more than `limit` is as good
/// as any more. Another digit makes another model of a name, and is never near.
int distance(std::string_view a, std::string_view b, int limit) noexcept {
  const auto weight = [](char c) { return is_numeral(c) ? most_changes + 1 : 1; };
  std::array<std::array<int, most_letters + 1>, 3> rows{};  // the two before, and the present one
  std::size_t before = 0, last = 1, now = 2;
  for (std::size_t j = 0; j < b.size(); ++j) rows[last][j + 1] = rows[last][j] + weight(b[j]);
  for (std::size_t i = 0; i < a.size(); ++i) {
    rows[now][0] = rows[last][0] + weight(a[i]);
    int least = rows[now][0];
    for (std::size_t j = 0; j < b.size(); ++j) {
      const int change = a[i] == b[j] ? 0 : std::max(weight(a[i]), weight(b[j]));
      int best = std::min({rows[last][j] + change, rows[last][j + 1] + weight(a[i]), rows[now][j] + weight(b[j])});
      if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] && a[i] != b[j])
        best = std::min(best, rows[before][j - 1] + 1);
      rows[now][j + 1] = best;
      least = std::min(least, best);
    }
    if (least > limit) return limit + 1;
    const std::size_t freed = before;
    before = last;
    last = now;
    now = freed;
  }
  return rows[last][b.size()];
}

/// The best so far: the fewest changes, then the shortest name, then the first of the alphabet.
struct Best {
  std::string_view name{};
  int changes = 0;

  void offer(std::string_view other, int needed) noexcept {
    const auto better = [&] {
      if (name.empty() || needed != changes) return name.empty() || needed < changes;
      return other.size() != name.size() ? other.size() < name.size() : other < name;
    };
    if (!better()) return;
    name = other;
    changes = needed;
  }
};

}  // namespace

std::string near_name(const PriceBook& book, std::string_view model) {
  const Folded asked(model);
  if (asked.size < 3 || model.size() > most_letters) return {};
  const int limit = std::clamp(static_cast<int>(asked.size) / 5, 1, most_changes);
  Best near, longer, shorter;
  const auto consider = [&](std::string_view name) {
    // Names of hosts are offered to those who wrote one.
    if (name == model || name.size() > most_letters ||
        (name.find('/') == std::string_view::npos) != (model.find('/') == std::string_view::npos))
      return;
    const Folded known(name);
    if (known.size == 0 || known.text[0] != asked.text[0]) return;
    const std::string_view a = asked.view(), b = known.view();
    const auto apart = static_cast<int>(std::max(a.size(), b.size()) - std::min(a.size(), b.size()));
    if (apart <= limit)
      if (const int changes = distance(a, b, limit); changes <= limit) return near.offer(name, changes);
    if (a.size() >= 6 && b.starts_with(a)) longer.offer(name, apart);
    if (b.size() >= 5 && a.starts_with(b)) shorter.offer(name, apart);
  };
  if (book.base)
    for (const PriceBook::Entry& entry : book.base->entries) consider(entry.given.name);
  for (const auto& [name, entry] : book.registered) consider(name);
  for (const auto& [name, alias] : book.aliases) consider(name);
  for (const Best* const one : {&near, &longer, &shorter})
    if (!one->name.empty()) return std::string(one->name);
  return {};
}

std::string did_you_mean(const PriceBook& book, std::string_view model, std::string step) {
  const std::string near = near_name(book, model);
  if (!near.empty()) return "Did you mean \"" + printable_name(near) + "\"? If not, " + step;
  step.front() = static_cast<char>(step.front() - 'a' + 'A');
  return step;
}

}  // namespace outlay::detail
