#include "reply.hpp"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>

#include "api.hpp"
#include "apis/openai_shape.hpp"
#include "apis/table.hpp"
#include "batch_line.hpp"
#include "core/call/billing.hpp"
#include "core/call/settlement.hpp"
#include "core/pricing/name_rules.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/error.hpp"
#include "outlay/json/guard.hpp"
#include "outlay/tokens.hpp"
#include "reader.hpp"
#include "surrogates.hpp"
#include "text.hpp"
#include "vendor_rules.hpp"

namespace json = boost::json;

namespace outlay {

namespace {

// The ceiling that was sent, over all choices; empty without one.
std::optional<std::int64_t> most_output(const Call& call, const CallRequest& request) noexcept {
  const std::optional<std::int64_t> ceiling = call.max_output_tokens();
  if (!ceiling) return std::nullopt;
  const std::int64_t each = std::clamp<std::int64_t>(*ceiling, 0, Usage::max_count);
  return each * std::clamp<std::int64_t>(request.choices, 1, 1'024);
}

// The tokens of what a reply shows, for replies that report no usage: at most what the request allows, and that much where the answer ended
// because of it, however little of it is shown.
Usage count_visible(const detail::Reader& reader, std::optional<std::int64_t> most) {
  const Ledger ledger = Ledger::current();
  const std::int64_t frame = detail::tool_call_frame(reader.facts);
  std::int64_t output = 0, reasoning = 0;
  for (const detail::Piece& piece : reader.pieces) {
    std::int64_t tokens = 0;
    for (const detail::Piece::Range range : {piece.text, piece.tool_name})
      if (range.size != 0)
        tokens += std::clamp<std::int64_t>(ledger.tokenizer().upper(reader.text(range)), 1, Usage::max_count);
    if (piece.tool_name.size != 0) tokens += frame;
    output += tokens;
    if (piece.kind == StreamDelta::Kind::reasoning) reasoning += tokens;
  }
  if (most) output = std::min(reader.facts.reported() ? output : std::max(output, reader.facts.reached(*most)), *most);
  return {.output = output, .reasoning = std::min(reasoning, output)};
}

bool recognised(const detail::Reader& reader) noexcept {
  const detail::Facts& facts = reader.facts;
  return facts.reported() || facts.choices_now != 0 || facts.empty_choices || !reader.pieces.empty() ||
         facts.finished != 0 || facts.done;
}

/// Settles a call by what a reader has found in its reply.
///
/// \param body_of The reply as parsed, for the one that is an error.
template <class BodyOf>
Settled settle_read(GuardedCall& guarded, const detail::Reader& reader, const BodyOf& body_of) {
  Call& call = guarded.call();
  const Api api = guarded.api();
  const std::string name(api.name());
  const detail::Facts& facts = reader.facts;
  // A body may be an error although its transport gave no status. Some carry the status inside. What is counted beside it is billed all
  // the same, and an answer beside it may be.
  if (facts.error && !facts.used() && facts.invalid() == detail::Field::none) {
    if (facts.error_status >= 300 && reader.pieces.empty())
      return detail::end_refused(detail::Access::reservation(call), api, facts.error_status, body_of());
    return call.indeterminate("the provider reported an error");
  }
  if (facts.pending) return call.indeterminate("the answer is still being made: its usage is not known");
  if (facts.broken_off && !facts.used()) return call.indeterminate("the answer was broken off: its usage is not known");
  if (facts.invalid() != detail::Field::none)
    return call.indeterminate("the reported " + std::string(detail::to_string(facts.invalid())) +
                              " are not a valid count");
  if (!recognised(reader)) {
    call.indeterminate("the reply is not in the " + name + " format");
    throw Error(errc::bad_reply, name +
                                     ": the reply is not in this format: it has neither a usage nor an answer. The "
                                     "reservation was charged. Check that the request went to this API.");
  }

  Settlement settlement;
  const CallRequest asked = guarded.request().call_request();
  const std::int64_t estimate = asked.input_tokens.value_or(0);
  detail::Report report;
  report = detail::format(api).report(facts);
  if (!facts.reported()) report = {.usage = detail::tools_of(report.usage)};  // what it lists that is billed by use
  if (const char* const member = report.usage.first_invalid())
    return call.indeterminate("the reported counts add up to too large a number of " + std::string(member));
  settlement.usage = report.usage;
  settlement.parts = report.parts;
  bool doubt = report.doubt || !facts.reported();
  if (!facts.free && settlement.usage.output == 0 && (!reader.pieces.empty() || !facts.reported())) {
    const Usage counted = count_visible(reader, most_output(call, asked));
    settlement.usage.output = counted.output;
    settlement.usage.reasoning = counted.reasoning;
    doubt = true;
  }
  if (!facts.free && settlement.usage.input_total() == 0) {
    settlement.usage.input = estimate;
    doubt = true;
  }
  settlement.served_model = facts.model;
  settlement.service_tier = facts.service_tier;
  settlement.provider_cost = facts.provider_cost();
  settlement.estimated = doubt;
  if (!facts.unread.empty()) detail::note_unread_usage(*detail::Access::reservation(call), api.name(), facts.unread);
  Result<Settled> settled = call.try_settle(settlement);
  return settled ? *settled : Settled{};
}

[[noreturn]] void no_json(GuardedCall& guarded, int status) {
  guarded.failed(detail::status_text(status) + " without a JSON reply");
  throw Error(errc::bad_reply, std::string(guarded.api().name()) + ": " + detail::status_text(status) +
                                   " came without a JSON reply. The reservation was charged.");
}

}  // namespace

namespace detail {

std::string status_text(int status) { return "HTTP " + std::to_string(status); }

Settled end_refused(Reservation* call, Api api, int status, const json::value& body) {
  if (call == nullptr) return {};
  Reservation& reservation = *call;
  const std::string_view provider =
      reservation.under != nullptr ? std::string_view(reservation.under->text) : std::string_view();
  switch (judge_reply(api, status, body, provider)) {
    case ReplyVerdict::released:
      release_call(reservation, status_text(status));
      return {};
    case ReplyVerdict::input_charged: {
      Settlement settlement;
      settlement.usage.input = reservation.quote.input;
      settlement.estimated = true;
      Result<Settled> settled = try_settle(reservation, settlement);
      return settled ? *settled : Settled{};
    }
    case ReplyVerdict::paid:
    case ReplyVerdict::indeterminate:
      break;
  }
  return end_indeterminate(reservation, status_text(status));
}

}  // namespace detail

Settled GuardedCall::reply(const json::value& reply) {
  if (const json::value* const inner = detail::reply_in_line(reply))
    if (const int status = detail::status_in_line(reply); status != 0 && !detail::is_success(status))
      return detail::end_refused(detail::Access::reservation(call_), api(), status, *inner);
  detail::Reader reader(detail::format(api()));
  reader.facts.admitted_model = call_.model();
  reader.facts.geo = detail::place_of(request_.call_request().service_tier);
  try {
    reader.walk_reply(reply);
  } catch (...) {
    call_.indeterminate("the reply cannot be read");
    throw;
  }
  return settle_read(*this, reader, [&]() -> const json::value& {
    return reply; /* NOLINT(bugprone-return-const-ref-from-parameter) */
  });
}

Settled GuardedCall::reply(int status, const json::value& body) {
  if (!detail::is_success(status)) return detail::end_refused(detail::Access::reservation(call_), api(), status, body);
  if (!body.is_object() && !body.is_array()) no_json(*this, status);
  return reply(body);
}

Settled GuardedCall::reply_text(int status, std::string_view body) {
  if (!detail::is_success(status))
    return detail::end_refused(detail::Access::reservation(call_), api(), status, detail::parse_refusal(body));
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) no_json(*this, status);
  if (body.starts_with("\xEF\xBB\xBF")) body.remove_prefix(3);  // as streams may begin, too
  if (request_.streamed()) return Stream(call_, api(), {}).take_whole(body);
  if (body.size() > detail::most_reply_bytes) no_json(*this, status);
  std::optional<json::basic_parser<detail::Reader>> parser;
  const auto reads = [&](std::string_view text) {
    parser.emplace(detail::reply_options(), detail::format(api()));
    parser->handler().facts.admitted_model = call_.model();
    parser->handler().facts.geo = detail::place_of(request_.call_request().service_tier);
    parser->handler().begin_document();
    boost::system::error_code failed;
    return parser->write_some(false, text.data(), text.size(), failed) == text.size() && !failed;
  };
  std::optional<std::string> mended;
  if (!reads(body)) {
    mended = detail::without_lone_surrogates(body);
    if (!mended || !reads(*mended)) no_json(*this, status);
    body = *mended;
  }
  const detail::Reader& reader = parser->handler();
  if (!recognised(reader) && !reader.facts.error) {
    boost::system::error_code failed;
    if (const json::value line = json::parse(body, failed, {}, detail::reply_options());
        !failed && detail::reply_in_line(line) != nullptr)
      return reply(line);
  }
  return settle_read(*this, reader, [&] { return detail::parse_refusal(body); });
}

Result<Settled> GuardedCall::try_reply(int status, std::string_view body) noexcept {
  try {
    return reply_text(status, body);
  } catch (const Error& error) {
    return Failure(error.reason(), error.what());
  } catch (...) {  // out of memory: the reservation is the bound
    return call_.indeterminate();
  }
}

Stream GuardedCall::stream(int status, StreamMeterOptions options) {
  Stream stream(call_, api(), options);
  stream.answered(status);
  return stream;
}

ReplyVerdict judge_reply(Api api, int status, const json::value& body, std::string_view provider) {
  if (detail::is_success(status)) return ReplyVerdict::paid;
  const detail::ApiRow& row = detail::row_of(api);
  // Azure serves OpenAI's other APIs, too, and its filter refuses there in the same words.
  if (detail::provider_at(provider).starts_with("azure"))
    if (const auto verdict = detail::azure_judges(status, body)) return *verdict;
  if (const auto verdict = row.format().judge(status, body)) return *verdict;
  for (const detail::StatusVerdict& one : row.statuses)
    if (one.status == status) return one.verdict;
  return ReplyVerdict::indeterminate;
}

}  // namespace outlay
