#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/decimal.hpp"
#include "core/base/json_writer.hpp"
#include "core/base/utf8.hpp"
#include "gateway/desk.hpp"
#include "gateway/server.hpp"
#include "gateway/totals.hpp"

namespace outlay::gateway::detail {

void Totals::write(const Record& record) {
  constexpr std::size_t most_models = 200;
  const std::lock_guard lock(mutex_);
  const bool room = sums_.size() < most_models || sums_.contains(record.model);
  Sum& sum = sums_[room ? record.model : "other"];
  ++sum.calls;
  // The ledger has checked that each fits; a sum beyond 9.2 billion dollars stays where it is.
  const auto add = [](std::int64_t& to, std::int64_t what) {
    if (__builtin_add_overflow(to, what, &to)) to = INT64_MAX;
  };
  add(sum.nanos, record.usd.nanos());
  add(sum.input, record.usage.input_total());
  add(sum.output, record.usage.output);
}

std::map<std::string, Totals::Sum> Totals::by_model() const {
  const std::lock_guard lock(mutex_);
  return sums_;
}

namespace {

/// A label's value in Prometheus' text format.
std::string label(std::string_view text) {
  std::string out;
  for (const char c : outlay::detail::well_formed(text)) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

/// A number as Prometheus reads it, whatever the locale.
std::string shortest(double value) {
  std::string text;
  outlay::detail::JsonWriter(text).number(value);
  return text;
}

void append_latency(std::string& out, const Latency& added) {
  constexpr std::size_t all = Latency::bounds.size();
  for (std::size_t i = 0; i < all; ++i)
    out.append("outlay_added_seconds_bucket{le=\"")
        .append(shortest(Latency::bounds[i]))
        .append("\"} ")
        .append(std::to_string(added.within(i)))
        .append("\n");
  const std::string count = std::to_string(added.within(all));
  out.append("outlay_added_seconds_bucket{le=\"+Inf\"} ").append(count);
  out.append("\noutlay_added_seconds_sum ").append(shortest(added.seconds()));
  out.append("\noutlay_added_seconds_count ").append(count).append("\n");
}

std::string value_text(std::size_t d, std::int64_t amount) {
  return static_cast<Dimension>(d) == Dimension::usd ? outlay::detail::decimal_usd(Usd::from_nanos(amount))
                                                     : std::to_string(amount);
}

/// One family over every capped dimension of every counter.
template <class Value>
void append_caps(std::string& out, const char* name, const std::vector<Counters::Reading>& counters,
                 const Value& value) {
  for (const Counters::Reading& one : counters)
    for (std::size_t d = 0; d < outlay::detail::dimension_count; ++d)
      if (one.counter.capped(d))
        out.append("outlay_")
            .append(name)
            .append("{budget=\"")
            .append(label(one.name))
            .append("\",window=\"")
            .append(label(one.window))
            .append("\",of=\"")
            .append(to_string(static_cast<Dimension>(d)))
            .append("\"} ")
            .append(value_text(d, value(one.counter, d)))
            .append("\n");
}

}  // namespace

std::string metrics_text(const Server& server, const Ledger& ledger) {
  std::string out;
  const auto family = [&](const char* name, const char* type, const char* help) {
    out.append("# HELP outlay_").append(name).append(" ").append(help);
    out.append("\n# TYPE outlay_").append(name).append(" ").append(type).append("\n");
  };
  const auto one = [&](const char* name, const char* type, const char* help, std::uint64_t value) {
    family(name, type, help);
    out.append("outlay_").append(name).append(" ").append(std::to_string(value)).append("\n");
  };
  one("requests_total", "counter", "Requests whose head was read.", server.requests);
  one("admitted_total", "counter", "Calls that were admitted.", server.admitted);
  one("refused_total", "counter", "Calls that were refused before they were sent.", server.refused);
  one("cut_total", "counter", "Streams that were ended because they did not fit any longer.", server.cut);
  one("connections", "gauge", "Connections of clients that are open.", server.connections);
  one("streams", "gauge", "Streams that are running.", server.streams);
  const auto sums = server.totals->by_model();
  const auto each = [&](const char* name, const char* help, const auto& value) {
    family(name, "counter", help);
    for (const auto& [model, sum] : sums)
      out.append("outlay_")
          .append(name)
          .append("{model=\"")
          .append(label(model))
          .append("\"} ")
          .append(value(sum))
          .append("\n");
  };
  each("calls_total", "Calls that were booked.", [](const Totals::Sum& sum) { return std::to_string(sum.calls); });
  each("cost_usd_total", "What was booked, in US dollars.",
       [](const Totals::Sum& sum) { return outlay::detail::decimal_usd(Usd::from_nanos(sum.nanos)); });
  each("input_tokens_total", "Tokens that were read.",
       [](const Totals::Sum& sum) { return std::to_string(sum.input); });
  each("output_tokens_total", "Tokens that were generated.",
       [](const Totals::Sum& sum) { return std::to_string(sum.output); });
  family("added_seconds", "histogram",
         "What the gateway itself adds to a request: on its way there, and of a whole reply on its way back.");
  append_latency(out, server.added);
  family("store_losses_total", "counter", "How often a store of the rules was found to have lost data that it had.");
  std::map<std::string, std::uint64_t> losses;  // stores may be described alike
  for (const std::shared_ptr<Store>& store : stores_of(ledger)) losses[store->description()] += store->losses().count;
  for (const auto& [store, count] : losses)
    out.append("outlay_store_losses_total{store=\"")
        .append(label(store))
        .append("\"} ")
        .append(std::to_string(count))
        .append("\n");
  const std::vector<Counters::Reading> counters = server.counters.read(ledger);
  family("cap", "gauge", "The cap of a rule's counter; of the counters that were used last, at most 1000.");
  append_caps(out, "cap", counters,
              [](const outlay::detail::Counter& counter, std::size_t d) { return counter.cap[d]; });
  family("cap_remaining", "gauge", "What is left of it, without what running calls hold.");
  append_caps(out, "cap_remaining", counters,
              [](const outlay::detail::Counter& counter, std::size_t d) { return counter.room(d); });
  return out;
}

}  // namespace outlay::gateway::detail
