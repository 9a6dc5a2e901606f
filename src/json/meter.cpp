#include "meter.hpp"

#include <algorithm>

#include "apis/table.hpp"
#include "outlay/error.hpp"
#include "vendor_rules.hpp"

namespace json = boost::json;

namespace outlay {

namespace {

// A chunk is read in slices, so that the limit is looked at within it.
constexpr std::size_t slice = std::size_t{1} << 20;

constexpr std::string_view end_line = "[DONE]";
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

bool is_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

StreamMeter::Impl::Impl(Api which, StreamMeterOptions with)
    : api(which),
      options{std::min(with.max_event_bytes, detail::most_reply_bytes), with.max_output_tokens},
      format(detail::format(which)),
      parser(detail::reply_options(), format),
      reader(parser.handler()),
      max_output(with.max_output_tokens),
      sse_(options.max_event_bytes),
      event_stream_(options.max_event_bytes) {}

void StreamMeter::Impl::feed(std::string_view bytes, StreamConsumer* to, Gate* gate) {
  if (ended() || bytes.empty()) return;
  saw_bytes = true;
  to_ = to;
  gate_ = gate;
  try {
    if (wire_ == Wire::unknown) pass_mark(bytes);
    if (bytes.empty()) return;
    if (wire_ == Wire::unknown) see_wire(bytes);
    switch (wire_) {
      case Wire::unknown:
        break;
      case Wire::sse:
        sse_.feed(bytes);
        feed_sse();
        break;
      case Wire::json:
        feed_json(bytes);
        break;
      case Wire::event_stream:
        event_stream_.feed(bytes);
        feed_event_stream();
        break;
    }
  } catch (...) {
    torn();  // the rest of these bytes is gone
    throw;
  }
}

// A byte order mark may stand before all else. A part of one says nothing either.
void StreamMeter::Impl::pass_mark(std::string_view& bytes) noexcept {
  while (mark_ < byte_order_mark.size() && bytes.starts_with(byte_order_mark[mark_])) {
    bytes.remove_prefix(1);
    ++mark_;
  }
  if (!bytes.empty()) mark_ = byte_order_mark.size();
}

void StreamMeter::Impl::see_wire(std::string_view bytes) {
  if (bytes.front() == '\0' || bytes.front() == '\1') {
    wire_ = Wire::event_stream;  // its first byte is the highest of a length, which the limit keeps below 2^25
    return;
  }
  const auto first = std::find_if_not(bytes.begin(), bytes.end(), is_space);
  if (first == bytes.end()) return;  // blank lines before a reply, as DeepSeek sends them
  wire_ = *first == '{' || *first == '[' ? Wire::json : Wire::sse;
  reader.sink(wire_ == Wire::json ? this : nullptr);
}

void StreamMeter::Impl::feed_sse() {
  while (!ended() && sse_.next()) sse_event();
}

void StreamMeter::Impl::torn() noexcept {
  broken = true;
  reader.facts.undo_event();
}

void StreamMeter::Impl::sse_event() {
  std::string_view data = trimmed(sse_.data());
  // An error may follow the events as it is, as a reply of its own.
  if (data.empty())
    if (const std::string_view raw = trimmed(sse_.bytes()); raw.starts_with('{')) data = raw;
  reader.begin_event();
  if (data == end_line) {
    detail::Facts& facts = reader.facts;
    facts.done = true;
    if (facts.reported()) facts.final_usage = true;
  } else if (!data.empty()) {
    parse(data);
    event_is_read();
  }
  deliver({.bytes = sse_.bytes(),
           .usage_only = facts().usage_now && facts().empty_choices && reader.pieces.empty(),
           .last = facts().done});
}

void StreamMeter::Impl::parse(std::string_view document) {
  const auto failed = [&](std::string_view text) {
    parser.reset();
    reader.begin_document();
    boost::system::error_code reason;
    const std::size_t read = parser.write_some(false, text.data(), text.size(), reason);
    if (!reason.failed() && read != text.size()) reason = json::error::extra_data;
    return reason;
  };
  boost::system::error_code reason = failed(document);
  if (reason.failed())
    if (const auto mended = detail::without_lone_surrogates(document)) {
      reader.facts.undo_event();
      reader.begin_event();
      reason = failed(*mended);
    }
  if (reason.failed()) bad_json(reason);
}

void StreamMeter::Impl::feed_json(std::string_view bytes) {
  bytes = mend_(bytes);
  while (!bytes.empty() && !ended()) {
    if (!document_open_) {
      while (!bytes.empty() && is_space(bytes.front())) bytes.remove_prefix(1);
      if (bytes.empty()) return;
      parser.reset();
      reader.begin_document();
      reader.begin_event();
      document_open_ = true;
      document_bytes_ = 0;
    }
    event_seen_ = false;
    boost::system::error_code reason;
    const std::size_t read = parser.write_some(true, bytes.data(), std::min(bytes.size(), slice), reason);
    if (ended()) return;  // what is behind the end, in the same array, is not looked at
    if (reason.failed()) bad_json(reason);
    bytes.remove_prefix(read);
    document_bytes_ = event_seen_ ? 0 : document_bytes_ + read;
    if (document_bytes_ > options.max_event_bytes)
      throw Error(errc::bad_reply,
                  std::string(api.name()) + ": a JSON document is over the limit of " +
                      std::to_string(options.max_event_bytes) +
                      " bytes. Raise StreamMeterOptions::max_event_bytes if such documents are expected.");
    if (parser.done()) document_open_ = false;
  }
}

bool StreamMeter::Impl::event_read() {
  event_seen_ = true;
  event_is_read();
  deliver({.last = facts().done});
  reader.begin_event();
  return !ended();
}

void StreamMeter::Impl::feed_event_stream() {
  while (!ended() && event_stream_.next()) {
    reader.begin_event();
    if (event_stream_.exception()) {
      error.emplace();
      if (event_stream_.type().size() <= 64) error->code = event_stream_.type();
      if (error->code == "throttlingException") error->status = 429;
      if (error->code == "validationException") error->status = 400;
      if (error->code == "serviceUnavailableException") error->status = 503;
    } else if (const std::string_view payload = trimmed(event_stream_.payload()); !payload.empty()) {
      // Bedrock's InvokeModel wraps the vendor's own events.
      const std::string event = detail::row_of(api).framing == detail::Framing::event_stream
                                    ? std::string()
                                    : detail::unwrapped_chunk(payload);
      parse(event.empty() ? payload : std::string_view(event));
      event_is_read();
    }
    deliver({.last = facts().done});
  }
}

void StreamMeter::Impl::bad_json(boost::system::error_code reason) const {
  throw Error(errc::bad_reply, std::string(api.name()) + ": an event is not valid JSON (" + reason.message() + ")");
}

void StreamMeter::Impl::count_pieces() {
  constexpr std::size_t most_texts = 256;  // more are counted as one
  const auto says_more = [](const detail::Piece& piece) { return piece.text.size != 0; };
  if (facts().usage_now)
    outdated = false;
  else if (facts().reported() && std::any_of(reader.pieces.begin(), reader.pieces.end(), says_more))
    outdated = true;
  for (const detail::Piece& piece : reader.pieces) {
    const auto same = [&](const Counted& one) {
      return one.kind == piece.kind && one.choice == piece.choice && one.tool == piece.tool;
    };
    // Nearly always the one that was counted last.
    auto at = !counted_.empty() && same(counted_.back()) ? counted_.end() - 1
                                                         : std::find_if(counted_.begin(), counted_.end(), same);
    if (at == counted_.end()) {
      if (counted_.size() == most_texts)
        --at;
      else
        at = counted_.insert(at, Counted{piece.kind, piece.choice, piece.tool, {}, {}, 0, {}});
    }
    const std::string_view text = reader.text(piece.text);
    // Some hosts repeat a call's name and id in every piece of it, and some number all of their calls alike or not at all. One that names
    // none by an id sends each as a whole.
    if (piece.tool_name.size != 0) {
      const std::string_view name = reader.text(piece.tool_name), id = reader.text(piece.tool_id);
      const bool whole = id.empty() && text.starts_with('{') && text.ends_with('}');
      if (name != at->name || id != at->id || whole) {
        at->name = name;
        at->id = id;
        ++at->calls;
        at->text.add(name);
        at->text.add(" ");
      }
    }
    at->text.add(text);
  }
}

StreamMeter::Impl::Visible StreamMeter::Impl::visible() const {
  Visible visible;
  const std::int64_t frame = detail::tool_call_frame(facts());
  for (const Counted& one : counted_) {
    const std::int64_t tokens = one.text.upper() + frame * one.calls;
    visible.output += tokens;
    if (one.kind == StreamDelta::Kind::reasoning) visible.reasoning += tokens;
  }
  if (max_output) visible.output = std::min(visible.output, *max_output);
  visible.reasoning = std::min(visible.reasoning, visible.output);
  return visible;
}

void StreamMeter::Impl::event_is_read() {
  count_pieces();
  if (facts().error && !error) error = StreamError{facts().error_code(), facts().error_status};
  began |= !error;
}

bool StreamMeter::Impl::deliver(const StreamEvent& event) {
  if (gate_ != nullptr && !gate_->pass()) {
    stopped = true;
    return false;
  }
  if (to_ == nullptr) return true;
  for (const detail::Piece& piece : reader.pieces)
    to_->on_delta({.kind = piece.kind,
                   .choice = piece.choice,
                   .tool = piece.tool,
                   .text = reader.text(piece.text),
                   .tool_id = reader.text(piece.tool_id),
                   .tool_name = reader.text(piece.tool_name)});
  if (facts().usage_now) to_->on_delta({.kind = StreamDelta::Kind::usage});
  to_->on_event(event);
  return true;
}

void StreamMeter::Impl::finish(StreamConsumer* to, Gate* gate) {
  if (finished) return;
  to_ = to;
  gate_ = gate;
  // A torn event is not used, nor is what a JSON document had said when it broke off.
  if (!ended() && wire_ == Wire::sse && sse_.last()) {
    const std::string_view rest = trimmed(sse_.data());
    try {
      // A piece of the end's own line says nothing, and tears nothing.
      if (rest.empty() || rest == end_line || !end_line.starts_with(rest)) sse_event();
    } catch (const Error&) {
      torn();
    }
  }
  if (!ended() && wire_ == Wire::json && document_open_ && reader.inside()) torn();
  finished = true;
}

StreamMeter::Impl::Reading StreamMeter::Impl::read() const {
  Reading reading;
  bool believed = facts().reported() && facts().invalid() == detail::Field::none;
  if (believed) {
    reading.report = format.report(facts());
    believed = reading.report.usage.first_invalid() == nullptr;
    if (!believed) reading.report = {};
  }
  Usage& usage = reading.report.usage;
  // Behind the last answer its usage may have been torn, but nothing is reported behind a usage of its own.
  const bool last_word = !outdated && (facts().final_usage || facts().done || (facts().all_finished() && !broken));
  reading.estimated = !believed || reading.report.doubt || !last_word;
  if (believed && last_word && (usage.output != 0 || facts().free)) return reading;
  const Visible visible = this->visible();
  if (!believed) {
    usage = detail::tools_of(format.report(facts()).usage);
    // An answer that ended at its ceiling has taken all of it, however little of it was shown.
    usage.output = std::max(visible.output, facts().reached(max_output.value_or(0)));
    usage.reasoning = visible.reasoning;
  } else if (usage.output < visible.output) {
    usage.output = visible.output;
    reading.estimated = true;
  }
  return reading;
}

std::string_view StreamMeter::Impl::invalid_member() const {
  if (facts().invalid() != detail::Field::none) return detail::to_string(facts().invalid());
  const char* const sum = facts().reported() ? format.report(facts()).usage.first_invalid() : nullptr;
  return sum == nullptr ? std::string_view() : sum;
}

bool StreamMeter::Impl::complete() const noexcept { return !error && (facts().done || facts().all_finished()); }

StreamMeter::StreamMeter(Api api, StreamMeterOptions options) : impl_(std::make_unique<Impl>(api, options)) {}
StreamMeter::StreamMeter(StreamMeter&&) noexcept = default;
StreamMeter& StreamMeter::operator=(StreamMeter&&) noexcept = default;
StreamMeter::~StreamMeter() = default;

void StreamMeter::feed(std::string_view bytes) { impl_->feed(bytes, nullptr, nullptr); }
void StreamMeter::feed(std::string_view bytes, StreamConsumer& consumer) { impl_->feed(bytes, &consumer, nullptr); }
void StreamMeter::finish() noexcept {
  try {
    impl_->finish(nullptr, nullptr);
  } catch (...) {  // out of memory over the last event: what was read before stays
    impl_->reader.facts.undo_event();
    impl_->broken = impl_->finished = true;
  }
}
void StreamMeter::finish(StreamConsumer& consumer) { impl_->finish(&consumer, nullptr); }

Usage StreamMeter::usage() const { return impl_->read().report.usage; }
std::vector<UsagePart> StreamMeter::parts() const { return impl_->read().report.parts; }
bool StreamMeter::estimated() const { return impl_->read().estimated; }
bool StreamMeter::reported() const noexcept { return impl_->facts().reported(); }
bool StreamMeter::input_reported() const noexcept {
  const detail::Facts& facts = impl_->facts();
  return facts.has(detail::Field::input) || facts.has(detail::Field::server_input) ||
         facts.has(detail::Field::metered_input) || facts.has(detail::Field::total);
}
std::int64_t StreamMeter::counted_output() const noexcept { return impl_->visible().output; }
bool StreamMeter::complete() const noexcept { return impl_->complete(); }
bool StreamMeter::ended() const noexcept { return impl_->ended(); }
const std::optional<StreamError>& StreamMeter::error() const noexcept { return impl_->error; }
std::string_view StreamMeter::invalid_member() const { return impl_->invalid_member(); }
std::string_view StreamMeter::unread_member() const noexcept { return impl_->facts().unread; }
std::string_view StreamMeter::finish_reason() const noexcept { return impl_->facts().finish; }
std::string_view StreamMeter::served_model() const noexcept { return impl_->facts().model; }
std::string_view StreamMeter::service_tier() const noexcept { return impl_->facts().service_tier; }
std::optional<Usd> StreamMeter::provider_cost() const noexcept { return impl_->facts().provider_cost(); }
Api StreamMeter::api() const noexcept { return impl_->api; }

}  // namespace outlay
