// W3C trace context that programs pass on from their callers: what is one becomes an exemplar's ids, what is none becomes nothing, and in
// either case the body for the collector is JSON.
#include <array>
#include <boost/json.hpp>

#include "core/base/traceparent.hpp"
#include "fuzz_input.hpp"
#include "otel/aggregate.hpp"
#include "otel/encode.hpp"

using outlay_fuzz::check;
using outlay_fuzz::Choices;
namespace detail = outlay::detail;

namespace {

std::string digits(Choices& input, std::size_t count) {
  constexpr std::string_view hex = "0123456789abcdef", odd = "0ABg-/:@`";
  std::string text;
  const bool all_zeros = input.below(8) == 7;
  for (std::size_t i = 0; i < count; ++i) text += all_zeros ? '0' : hex[input.below(16)];
  if (input.below(4) == 3 && !text.empty()) text[input.below(count)] = odd[input.below(odd.size())];
  return text;
}

std::string traceparent(Choices& input) {
  if (input.below(4) == 3) return input.text(255);
  constexpr std::array<std::string_view, 5> versions{"00", "00", "01", "ff", "0"};
  constexpr std::array<std::string_view, 4> ends{"", "", "-", "-00"};
  std::string text(input.one_of(versions));
  text += '-' + digits(input, 32) + '-' + digits(input, 16) + '-' + digits(input, 2);
  return text.append(input.one_of(ends));
}

/// The recommendation, said once more: https://www.w3.org/TR/trace-context/#traceparent-header
bool is_one(std::string_view text) {
  // 0: other signs; 1: zeros alone; 2: digits.
  const auto hex = [&](std::size_t from, std::size_t count) {
    bool zeros = true;
    for (const char c : text.substr(from, count)) {
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return 0;
      zeros = zeros && c == '0';
    }
    return zeros ? 1 : 2;
  };
  return text.size() == 55 && text.substr(0, 3) == "00-" && hex(3, 32) == 2 && text[35] == '-' && hex(36, 16) == 2 &&
         text[52] == '-' && hex(53, 2) != 0;
}

/// Every exemplar of a body, wherever it is.
std::size_t exemplars(const boost::json::value& value, std::string_view trace, std::string_view span) {
  std::size_t found = 0;
  if (const auto* array = value.if_array()) {
    for (const auto& element : *array) found += exemplars(element, trace, span);
  } else if (const auto* object = value.if_object()) {
    if (const auto* id = object->if_contains("traceId")) {
      check(id->as_string() == boost::json::string_view(trace.data(), trace.size()));
      check(object->at("spanId").as_string() == boost::json::string_view(span.data(), span.size()));
      ++found;
    }
    for (const auto& member : *object) found += exemplars(member.value(), trace, span);
  }
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Choices input(data, size);
  const std::string text = traceparent(input);
  const auto trace = detail::read_traceparent(text);
  check(trace.has_value() == is_one(text));

  constexpr std::array filters{detail::ExemplarFilter::trace_based, detail::ExemplarFilter::always_on,
                               detail::ExemplarFilter::always_off};
  detail::OtelSettings settings;
  settings.exemplars = input.one_of(filters);
  settings.coming = input.flag();
  settings.usage_cost = input.flag();
  settings.operation = "chat";
  settings.tags = {"tenant"};
  settings.max_values = 2 + input.below(3);
  settings.max_series = 2 + input.below(3);
  detail::Aggregate aggregate(settings);
  const std::string model = input.text(40), tenant = input.text(40);
  outlay::Record record;
  record.traceparent = text;
  record.model = model;
  record.usage.input = static_cast<std::int64_t>(static_cast<std::uint64_t>(input.number()) % outlay::Usage::max_count);
  record.usage.output = input.byte();
  record.tags = {{"tenant", tenant}};
  for (int i = 0; i < 2; ++i) aggregate.add(record);
  outlay::BudgetEvent event;
  event.traceparent = text;
  event.model = model;
  aggregate.add(event);

  const bool leaves = settings.exemplars == detail::ExemplarFilter::always_on ||
                      (settings.exemplars == detail::ExemplarFilter::trace_based && trace && trace->sampled);
  check((aggregate.exemplar_order() != 0) == leaves);
  std::size_t found = 0;
  for (const std::string& body : detail::encode(aggregate, settings, {.start = 1, .time = 2}, 1 << 20))
    found += exemplars(boost::json::parse(body), trace ? trace->trace_id : "", trace ? trace->parent_id : "");
  check((found != 0) == (leaves && trace.has_value()));
  return 0;
}
