#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "cli/page.hpp"
#include "cli/terminal.hpp"

namespace outlay::cli {

namespace {

constexpr double width = 960, height = 300, left = 80, right = 8, above = 12, bottom = 28;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  std::string result(text);
  result.erase(result.find_last_not_of('0') + 1);
  if (result.back() == '.') result.pop_back();
  return result;
}

/// 1, 2 or 5 times a power of ten, so that about four lines reach `most`.
std::int64_t step_for(std::int64_t most) {
  std::int64_t power = 1;
  while (most / 10 >= power * 4) power *= 10;
  for (const std::int64_t factor : {1, 2, 5})
    if (most / (power * factor) <= 5) return power * factor;
  return power * 10;
}

/// With as many decimals as lines `step` apart need: `$30`, `$0.05`.
std::string tick_label(std::int64_t tick, std::int64_t step) {
  constexpr std::int64_t dollar = 1'000'000'000;
  std::string text = money(Usd::from_nanos(tick / dollar * dollar));
  text.erase(text.find('.'));
  if (step >= dollar) return text;
  std::string part = std::to_string(dollar + tick % dollar).substr(1);
  std::size_t digits = 9;
  for (std::int64_t rest = step; digits > 2 && rest % 10 == 0; rest /= 10) --digits;
  return text + '.' + part.substr(0, digits);
}

}  // namespace

std::string Chart::render() const {
  std::vector<Usd> sums;
  std::int64_t most = 1;
  for (const std::vector<Usd>& stack : amounts) {
    Usd sum;
    for (const Usd usd : stack) sum += std::max(usd, Usd{});
    most = std::max(most, sum.nanos());
    sums.push_back(sum);
  }
  const double plot_width = width - left - right, plot_height = height - above - bottom;
  const std::int64_t step = step_for(most);
  // The highest line is above the highest bar, but at the end of the range, where there is none.
  if (most % step != 0 && most <= std::numeric_limits<std::int64_t>::max() - step) most += step - most % step;
  const auto y_of = [&](double nanos) { return above + plot_height * (1 - nanos / static_cast<double>(most)); };
  std::string out = "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"" + html(title) +
                    ", a chart\"><svg class=\"chart\" viewBox=\"0 0 " + number(width) + ' ' + number(height) +
                    "\" role=\"group\" aria-label=\"" + html(title) + "\">";
  for (std::int64_t tick = 0; tick <= most; tick += step) {
    const std::string y = number(y_of(static_cast<double>(tick)));
    out += "<line class=\"grid\" x1=\"" + number(left) + "\" x2=\"" + number(width - right) + "\" y1=\"" + y +
           "\" y2=\"" + y + "\"/><text class=\"axis end\" x=\"" + number(left - 8) + "\" y=\"" + y + "\" dy=\"4\">" +
           html(tick_label(tick, step)) + "</text>";
    if (tick > most - step) break;  // no overflow at the end of the range
  }
  const double label_width = times.empty() ? 0 : 9 * static_cast<double>(times.front().size()) + 12;
  const double slot = plot_width / static_cast<double>(std::max<std::size_t>(1, times.size()));
  const std::size_t every = std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(label_width / slot)));
  for (std::size_t i = 0; i < times.size(); ++i) {
    const double x = left + slot * static_cast<double>(i);
    std::string label = times[i] + ": " + money(sums[i]), parts;
    double base = 0;
    for (std::size_t j = 0; j < amounts[i].size(); ++j) {
      const std::int64_t nanos = amounts[i][j].nanos();
      if (nanos <= 0) continue;
      label += (base == 0 ? "; " : ", ") + shortened(series[j].name, 60) + ' ' + money(amounts[i][j]);
      const double y = y_of(base + static_cast<double>(nanos));
      parts += "<rect class=\"s" + std::to_string(j) + "\" x=\"" + number(x + slot * 0.1) + "\" y=\"" + number(y) +
               "\" width=\"" + number(slot * 0.8) + "\" height=\"" + number(std::max(0.5, y_of(base) - y)) + "\"/>";
      base += static_cast<double>(nanos);
    }
    out += "<g class=\"bar\" role=\"img\" tabindex=\"" + std::string(i == 0 ? "0" : "-1") + "\" aria-label=\"" +
           html(label) + "\"><rect class=\"hit\" x=\"" + number(x) + "\" y=\"" + number(above) + "\" width=\"" +
           number(slot) + "\" height=\"" + number(plot_height) + "\"/>" + parts + "</g>";
    if (i % every == 0 && x + label_width < width + 12)
      out +=
          "<text class=\"axis\" x=\"" + number(x) + "\" y=\"" + number(height - 8) + "\">" + html(times[i]) + "</text>";
  }
  out +=
      "</svg></div><p class=\"detail needs-script\" role=\"status\">Point at a bar, or use the arrow keys, for its "
      "numbers.</p>";
  out += "<ul class=\"legend\">";
  for (std::size_t j = 0; j < series.size(); ++j)
    out += "<li><button type=\"button\" aria-pressed=\"false\" data-series=\"s" + std::to_string(j) +
           "\"><svg class=\"swatch\" viewBox=\"0 0 1 1\" aria-hidden=\"true\"><rect class=\"s" + std::to_string(j) +
           "\" width=\"1\" height=\"1\"/></svg><bdi class=\"name\">" + html(series[j].name) +
           "</bdi> <span class=\"num\">" + html(money(series[j].total)) + "</span></button></li>";
  return out + "</ul>";
}

}  // namespace outlay::cli
