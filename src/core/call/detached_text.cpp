// What a detached call is written as: `outlay-call-1 key=value ... end=<checksum>`, where a value is one text or several behind commas.

#include <charconv>
#include <functional>
#include <map>

#include "core/base/percent.hpp"
#include "core/base/vector.hpp"
#include "core/call/detached.hpp"
#include "core/pricing/price_book.hpp"
#include "core/pricing/pricing.hpp"
#include "outlay/error.hpp"

namespace outlay::detail {

namespace {

constexpr std::string_view head = "outlay-call-1";
constexpr std::size_t most_bytes = 256 * 1024;
constexpr std::size_t most_budgets = 64;
constexpr std::size_t max_counter_name = 256;

constexpr std::optional<Rate> Rates::* optional_rates[] = {
    &Rates::cache_read,   &Rates::cache_write, &Rates::cache_write_1h, &Rates::reasoning,       &Rates::input_audio,
    &Rates::output_audio, &Rates::input_image, &Rates::output_image,   &Rates::cache_read_audio};

/// FNV-1a, which stays the same in every version, unlike the hashes of tables in memory.
std::uint64_t checksum(std::string_view text) noexcept {
  std::uint64_t sum = 0xcbf29ce484222325ULL;
  for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return sum;
}

[[noreturn]] void malformed(const std::string& what) {
  throw Error(errc::invalid_argument,
              "Call::resume: the text is not what Call::detach returned: " + what + ". Pass it as it was, wholly.");
}

// --- writing ---

class Writer {
 public:
  Writer& field(std::string_view key) {
    text_.append(" ").append(key).append("=");
    first_ = true;
    return *this;
  }
  Writer& item(std::string_view text) {
    if (!std::exchange(first_, false)) text_ += ',';
    text_ += percent_encoded(text, "-_.:/@+");
    return *this;
  }
  Writer& item(std::int64_t number) { return item(std::to_string(number)); }
  Writer& item(std::optional<std::int64_t> number) { return number ? item(*number) : item(std::string_view()); }
  Writer& item(std::optional<Usd> usd) { return usd ? item(usd->nanos()) : item(std::string_view()); }
  Writer& item(double number) {
    char bytes[32];
    const char* const end = std::to_chars(bytes, bytes + sizeof bytes, number).ptr;
    return item(std::string_view(bytes, static_cast<std::size_t>(end - bytes)));
  }
  Writer& item(const Rates& rates) {
    item(rates.input.picos()).item(rates.output.picos());
    for (const auto member : optional_rates)
      item(rates.*member ? std::optional((rates.*member)->picos()) : std::nullopt);
    return *this;
  }
  Writer& items(const Vector& vector) {
    for (const std::int64_t number : vector) item(number);
    return *this;
  }
  [[nodiscard]] std::string take() {
    const std::uint64_t sum = checksum(text_);
    return field("end").item(std::to_string(sum)), std::move(text_);
  }

 private:
  std::string text_{head};
  bool first_ = true;
};

// --- reading ---

/// The items of one value, in their order.
class Items {
 public:
  explicit Items(std::string_view value) : rest_(value) {}

  std::string text() {
    if (over_) malformed("a value is too short");
    const std::size_t comma = rest_.find(',');
    const std::optional<std::string> item = percent_decoded(rest_.substr(0, comma));
    if (!item) malformed("a character is not encoded");
    over_ = comma == std::string_view::npos;
    rest_ = over_ ? std::string_view() : rest_.substr(comma + 1);
    return *item;
  }
  std::int64_t number(std::int64_t least = 0) {
    const std::string item = text();
    return number_of(item, least);
  }
  std::optional<std::int64_t> optional_number() {
    const std::string item = text();
    return item.empty() ? std::nullopt : std::optional(number_of(item, 0));
  }
  std::optional<Usd> optional_usd() {
    const auto nanos = optional_number();
    return nanos ? std::optional(Usd::from_nanos(*nanos)) : std::nullopt;
  }
  double fraction() {
    const std::string item = text();
    double number = 0;
    const auto [end, wrong] = std::from_chars(item.data(), item.data() + item.size(), number);
    if (wrong != std::errc() || end != item.data() + item.size()) malformed("a fraction is no number");
    return number;
  }
  Rates rates() {
    Rates rates;
    rates.input = Rate::from_picos(number());
    rates.output = Rate::from_picos(number());
    for (const auto member : optional_rates)
      if (const auto picos = optional_number()) rates.*member = Rate::from_picos(*picos);
    return rates;
  }
  Vector vector() {
    Vector vector;
    for (std::int64_t& number_of_dimension : vector) number_of_dimension = number();
    return vector;
  }
  [[nodiscard]] bool over() const noexcept { return over_; }

 private:
  static std::int64_t number_of(const std::string& item, std::int64_t least) {
    std::int64_t number = 0;
    const auto [end, wrong] = std::from_chars(item.data(), item.data() + item.size(), number);
    if (wrong != std::errc() || end != item.data() + item.size() || number < least)
      malformed("a number is none, or too small");
    return number;
  }

  std::string_view rest_;
  bool over_ = false;
};

using Fields = std::map<std::string_view, std::function<void(DetachedCall&, Items&)>>;

const Fields& fields() {
  using D = DetachedCall;
  static const Fields& all = *new Fields{
      {"id", [](D& to, Items& from) { to.hold.id = from.text(); }},
      {"epoch", [](D& to, Items& from) { to.hold.epoch = from.text(); }},
      {"at", [](D& to, Items& from) { to.hold.admitted = Time(std::chrono::nanoseconds(from.number())); }},
      {"held", [](D& to, Items& from) { to.hold.amount = from.vector(); }},
      {"model",
       [](D& to, Items& from) {
         to.requested = from.text(), to.model = from.text(), to.tier = from.text(), to.under = from.text();
       }},
      {"trace", [](D& to, Items& from) { to.traceparent = from.text(); }},
      {"started", [](D& to, Items& from) { to.started = from.number(); }},
      {"size",
       [](D& to, Items& from) {
         to.input = from.number(), to.choices = from.number(1), to.ceiling = from.number(-1), to.output = from.number();
         to.unbounded = from.number() != 0;
       }},
      {"tag",
       [](D& to, Items& from) {
         const std::string key = from.text();
         to.tags.set(key, from.text());
       }},
      {"price",
       [](D& to, Items& from) {
         Price& price = to.price.emplace();
         price.rates = from.rates();
         price.web_search = from.optional_usd();
         price.request = Usd::from_nanos(from.number());
         price.provider = from.text();
         price.max_output_tokens = from.optional_number(), price.max_input_tokens = from.optional_number();
         price.file_search = from.optional_usd(), price.code_session = from.optional_usd();
         price.other_tool = from.optional_usd();
         to.price_is_assumed = from.number() != 0;
         to.prices = from.text();
       }},
      {"tier",
       [](D& to, Items& from) {
         if (!to.price) malformed("a tier stands before its price");
         Price::Tier& tier = to.price->tiers.emplace_back();
         tier.service_tier = from.text();
         tier.above_input_tokens = from.number();
         tier.inclusive = from.number() != 0;
         tier.rates = from.rates();
       }},
      {"flat", [](D& to, Items& from) { to.flat = from.number(); }},
      {"assumed", [](D& to, Items& from) { to.assumed = from.number(); }},
      {"budget",
       [](D& to, Items& from) {
         if (to.budgets.size() == most_budgets) malformed("it has more than 64 budgets");
         DetachedCall::CountedBy& budget = to.budgets.emplace_back();
         budget.name = from.text(), budget.description = from.text(), budget.window = from.text();
         Vector caps = no_caps;
         for (std::int64_t& cap : caps) cap = from.optional_number().value_or(no_cap);
         budget.caps = to_limits(caps, caps);
         while (!from.over()) budget.notify_at.push_back(from.fraction());
       }},
  };
  return all;
}

/// What no call can have held, asked for or been counted by is not taken from a text, which another program may have written.
void check_bounds(const DetachedCall& call) {
  constexpr std::int64_t most_tokens = Usage::max_count * 1'024;
  const Vector& held = call.hold.amount;
  if (held[index(Dimension::usd)] > max_call_cost.nanos() || held[index(Dimension::calls)] > 1 ||
      held[index(Dimension::concurrent)] > 1)
    malformed("it holds more than a call does");
  for (const Dimension tokens : {Dimension::tokens, Dimension::input_tokens, Dimension::output_tokens})
    if (held[index(tokens)] > 2 * most_tokens) malformed("it holds more tokens than a call does");
  if (call.input > Usage::max_count || call.choices > 1'024 || call.ceiling > Usage::max_count ||
      call.output > most_tokens)
    malformed("it asks for more tokens than a call does");
  if (call.hold.epoch.empty()) malformed("a field is missing");
  for (const DetachedCall::CountedBy& budget : call.budgets) {
    if (budget.name.empty() || budget.name.size() > max_counter_name) malformed("a budget's name is none");
    for (const double fraction : budget.notify_at)
      if (!(fraction > 0 && fraction <= 1)) malformed("a threshold is none");
    try {
      if (Window::parse(budget.window).kind() == Window::Kind::scope) malformed("a budget has no window");
    } catch (const ConfigError&) {
      malformed("a budget's window is none");
    }
  }
  try {
    if (call.price) check_price(call.model, *call.price);
  } catch (const ConfigError&) {
    malformed("a price is none");
  }
}

}  // namespace

std::string to_text(const DetachedCall& call) {
  Writer line;
  line.field("id").item(call.hold.id);
  line.field("epoch").item(call.hold.epoch);
  line.field("at").item(call.hold.admitted.time_since_epoch().count());
  line.field("held").items(call.hold.amount);
  line.field("model").item(call.requested).item(call.model).item(call.tier).item(call.under);
  if (!call.traceparent.empty()) line.field("trace").item(call.traceparent);
  line.field("started").item(call.started);
  line.field("size").item(call.input).item(call.choices).item(call.ceiling).item(call.output);
  line.item(std::int64_t{call.unbounded});
  for (const auto& [key, value] : call.tags) line.field("tag").item(key).item(value);
  if (call.price) {
    const Price& price = *call.price;
    line.field("price").item(price.rates).item(price.web_search).item(price.request.nanos()).item(price.provider);
    line.item(price.max_output_tokens).item(price.max_input_tokens);
    line.item(price.file_search).item(price.code_session).item(price.other_tool);
    line.item(std::int64_t{call.price_is_assumed}).item(call.prices);
    for (const Price::Tier& tier : price.tiers)
      line.field("tier")
          .item(tier.service_tier)
          .item(tier.above_input_tokens)
          .item(std::int64_t{tier.inclusive})
          .item(tier.rates);
  }
  if (call.flat) line.field("flat").item(*call.flat);
  if (call.assumed) line.field("assumed").item(*call.assumed);
  for (const DetachedCall::CountedBy& budget : call.budgets) {
    line.field("budget").item(budget.name).item(budget.description).item(budget.window);
    for (const std::int64_t cap : to_vector(budget.caps)) line.item(cap == no_cap ? std::nullopt : std::optional(cap));
    for (const double fraction : budget.notify_at) line.item(fraction);
  }
  return line.take();
}

DetachedCall read_detached(std::string_view text) {
  constexpr std::string_view last = " end=";
  if (text.size() > most_bytes) malformed("it has " + std::to_string(text.size()) + " bytes");
  if (!text.starts_with(head)) malformed("it does not begin with " + std::string(head));
  const std::size_t end = text.rfind(last);
  if (end == text.npos || text.substr(end + last.size()) != std::to_string(checksum(text.substr(0, end))))
    malformed("its checksum is wrong");
  DetachedCall call;
  std::string_view rest = text.substr(head.size(), end - head.size());
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the space
    const std::string_view field = rest.substr(0, rest.find(' '));
    const std::size_t equals = field.find('=');
    const auto known = fields().find(field.substr(0, equals));
    if (equals == field.npos || known == fields().end()) malformed("a field of it is not known to this version");
    Items items(field.substr(equals + 1));
    known->second(call, items);
    rest.remove_prefix(field.size());
  }
  if (call.hold.id.size() != 32 || call.model.empty() || call.requested.empty() || call.budgets.empty())
    malformed("a field is missing");
  check_bounds(call);
  return call;
}

}  // namespace outlay::detail
