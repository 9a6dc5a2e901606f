#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/iso_time.hpp"
#include "decimal.hpp"
#include "formats.hpp"
#include "tape.hpp"

namespace outlay::detail {

namespace {

using Kind = Tape::Kind;

class PriceReader {
 public:
  PriceReader(const Tape& tape, std::string_view file) : tape_(tape), file_(file) {}

  std::shared_ptr<const PriceBook> read() {
    std::string format, version, source;
    std::optional<std::chrono::sys_days> as_of;
    std::uint32_t models = 0, deployments = 0;
    for (const auto [key, value] : Members(tape_, 0)) {
      if (key == "format")
        format = text("format", value);
      else if (key == "version")
        version = text("version", value);
      else if (key == "source")
        source = text("source", value);
      else if (key == "as_of")
        as_of = date(value);
      else if (key == "models")
        models = object("models", value);
      else if (key == "deployments")
        deployments = object("deployments", value);
      else if (key != "$schema")
        unknown("the table", key);
    }
    if (format != "outlay-prices-1")
      refuse_prices(file_, "\"format\" is \"" + printable_name(format) + "\"; this library reads \"outlay-prices-1\"");
    if (models == 0) refuse_prices(file_, "\"models\" is missing");

    std::vector<PriceEntry> entries;
    for (const auto [name, value] : Members(tape_, models)) {
      where_ = "model \"" + printable_name(name) + "\"";
      if (name.empty()) refuse_prices(file_, "a model has an empty name");
      entries.push_back(model(name, object("the model", value)));
    }
    auto book = make_price_book(std::move(entries), std::move(version), std::move(source), as_of);
    if (deployments != 0)
      for (const auto [name, value] : Members(tape_, deployments)) {
        where_ = "deployment \"" + printable_name(name) + "\"";
        if (name.empty()) refuse_prices(file_, "a deployment has an empty name");
        const auto like = text("its model", value);
        if (!book->deploy(std::string(name), like))
          refuse_prices(file_, where_ + ": its model \"" + printable_name(like) + "\" is not in the table");
      }
    return book;
  }

 private:
  PriceEntry model(std::string_view name, std::uint32_t members) {
    PriceEntry entry{std::string(name), {}, false};
    Price& price = entry.price;
    RateReader rates(*this, entry, price.rates);
    for (const auto [key, value] : Members(tape_, members)) {
      if (rates.read(key, value)) continue;
      if (key == "provider")
        price.provider = text(key, value);
      else if (key == "web_search")
        price.web_search = dollars(entry, key, value);
      else if (key == "file_search")
        price.file_search = dollars(entry, key, value);
      else if (key == "code_session")
        price.code_session = dollars(entry, key, value);
      else if (key == "other_tool")
        price.other_tool = dollars(entry, key, value);
      else if (key == "request")
        price.request = dollars(entry, key, value);
      else if (key == "max_input_tokens")
        price.max_input_tokens = count(key, value);
      else if (key == "max_output_tokens")
        price.max_output_tokens = count(key, value);
      else if (key == "tiers")
        tiers(entry, value);
      else
        unknown(where_, key);
    }
    rates.finish();
    return entry;
  }

  void tiers(PriceEntry& entry, std::uint32_t list) {
    if (tape_.events[list].kind != Kind::array) refuse_prices(file_, where_ + ": \"tiers\" is not an array");
    for (std::uint32_t i = list + 1; i < tape_.events[list].next; i = tape_.events[i].next) {
      Price::Tier tier;
      RateReader rates(*this, entry, tier.rates);
      for (const auto [key, value] : Members(tape_, object("a tier", i))) {
        if (rates.read(key, value)) continue;
        if (key == "service_tier")
          tier.service_tier = text(key, value);
        else if (key == "above_input_tokens")
          tier.above_input_tokens = count(key, value);
        else if (key == "inclusive")
          tier.inclusive = boolean(key, value);
        else
          unknown(where_ + ", a tier", key);
      }
      rates.finish();
      if (tier.service_tier.empty() && tier.above_input_tokens == 0)
        refuse_prices(
            file_,
            where_ + ": a tier has neither \"service_tier\" nor \"above_input_tokens\", so it would always apply");
      entry.price.tiers.push_back(std::move(tier));
    }
  }

  /// The members that are rates, in dollars a million tokens.
  class RateReader {
   public:
    RateReader(PriceReader& reader, PriceEntry& entry, Rates& rates) : reader_(reader), entry_(entry), rates_(rates) {}

    bool read(std::string_view key, std::uint32_t value) {
      if (key == "input" || key == "output") {
        (key == "input" ? has_input_ : has_output_) = true;
        (key == "input" ? rates_.input : rates_.output) = rate(key, value);
        return true;
      }
      const std::pair<std::string_view, std::optional<Rate>*> others[] = {
          {"cache_read", &rates_.cache_read},
          {"cache_write", &rates_.cache_write},
          {"cache_write_1h", &rates_.cache_write_1h},
          {"reasoning", &rates_.reasoning},
          {"input_audio", &rates_.input_audio},
          {"output_audio", &rates_.output_audio},
          {"input_image", &rates_.input_image},
          {"output_image", &rates_.output_image},
          {"cache_read_audio", &rates_.cache_read_audio},
      };
      for (const auto& [name, member] : others)
        if (key == name) {
          *member = rate(key, value);
          return true;
        }
      return false;
    }
    /// A rate that was forgotten must not be zero.
    void finish() const {
      if (!has_input_ || !has_output_)
        refuse_prices(reader_.file_, reader_.where_ + ": \"" + (has_input_ ? "output" : "input") +
                                         "\" is missing; write \"0\" for what costs nothing");
    }

   private:
    Rate rate(std::string_view key, std::uint32_t value) {
      return Rate::from_picos(reader_.decimal(entry_, key, value, picos_per_dollar_a_million));
    }
    PriceReader& reader_;
    PriceEntry& entry_;
    Rates& rates_;
    bool has_input_ = false, has_output_ = false;
  };

  std::int64_t decimal(PriceEntry& entry, std::string_view key, std::uint32_t value, int scale) {
    const Tape::Event& event = tape_.events[value];
    const bool fits = event.kind == Kind::number || event.kind == Kind::string;
    const auto number = fits ? scaled_decimal(event.text, scale) : std::nullopt;
    if (!number)
      refuse_prices(file_, where_ + ": \"" + printable_name(key) +
                               "\" must be dollars as a decimal number or string, not negative and not beyond what "
                               "can be held");
    entry.rounded |= number->rounded;
    return number->value;
  }
  Usd dollars(PriceEntry& entry, std::string_view key, std::uint32_t value) {
    return Usd::from_nanos(decimal(entry, key, value, nanos_per_dollar));
  }
  std::int64_t count(std::string_view key, std::uint32_t value) const {
    const Tape::Event& event = tape_.events[value];
    const auto number = event.kind == Kind::number ? scaled_decimal(event.text, 0) : std::nullopt;
    if (!number || number->rounded)
      refuse_prices(file_, where_ + ": \"" + printable_name(key) + "\" must be a whole number of tokens, 0 or more");
    return number->value;
  }
  bool boolean(std::string_view key, std::uint32_t value) const {
    const Tape::Event& event = tape_.events[value];
    if (event.kind != Kind::boolean)
      refuse_prices(file_, where_ + ": \"" + printable_name(key) + "\" must be true or false");
    return event.text == "true";
  }
  std::string text(std::string_view key, std::uint32_t value) const {
    if (tape_.events[value].kind != Kind::string)
      refuse_prices(file_, where_ + ": \"" + printable_name(key) + "\" must be a string");
    return std::string(tape_.events[value].text);
  }
  std::uint32_t object(std::string_view key, std::uint32_t value) const {
    if (tape_.events[value].kind != Kind::object)
      refuse_prices(file_, where_ + ": \"" + printable_name(key) + "\" must be an object");
    return value;
  }
  std::chrono::sys_days date(std::uint32_t value) const {
    const std::string day = text("as_of", value);
    const std::optional<std::chrono::sys_days> date = parse_iso_date(day);
    if (!date) refuse_prices(file_, "\"as_of\" is \"" + printable_name(day) + "\"; write a date such as 2026-08-01");
    return *date;
  }
  [[noreturn]] void unknown(const std::string& where, std::string_view key) const {
    refuse_prices(
        file_, where + ": \"" + printable_name(key) + "\" is not a member of the format (see price_table.schema.json)");
  }

  const Tape& tape_;
  std::string_view file_;
  std::string where_ = "the table";
};

}  // namespace

std::shared_ptr<const PriceBook> read_prices(std::string_view text, std::string_view file) {
  Tape tape;
  read_tape(text, file, tape);
  return PriceReader(tape, file).read();
}

}  // namespace outlay::detail
