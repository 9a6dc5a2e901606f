#include "gateway/events.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "core/base/json_writer.hpp"
#include "gateway/answer.hpp"
#include "json/apis/table.hpp"

namespace outlay::gateway::detail {

namespace json = boost::json;
using outlay::detail::Framing;
using outlay::detail::JsonWriter;

namespace {

constexpr std::size_t most_kept = std::size_t{64} << 10;

/// The JSON of an event's data; null if it is none.
json::value data_of(std::string_view event) {
  const std::size_t at = event.find("data:");
  if (at == event.npos) return {};
  std::string_view data = event.substr(at + 5);
  data = data.substr(0, data.find_first_of("\r\n"));
  boost::system::error_code failed;
  json::value value = json::parse({data.data(), data.size()}, failed);
  return failed ? json::value() : value;
}

std::string text_of(const json::value& value, const char* member) {
  const json::object* object = value.if_object();
  const json::value* found = object ? object->if_contains(member) : nullptr;
  return found && found->is_string() ? std::string(found->get_string()) : std::string();
}

std::int64_t number_of(const json::value& value, const char* member) {
  const json::object* object = value.if_object();
  const json::value* found = object ? object->if_contains(member) : nullptr;
  return found && found->is_int64() ? found->get_int64() : 0;
}

std::string sse(std::string_view type, std::string_view data) {
  std::string event;
  if (!type.empty()) event.append("event: ").append(type).append("\n");
  return event.append("data: ").append(data).append("\n\n");
}

/// The chunk that a stream of chat completions ends with, in the name of its first one.
void begin_chunk(JsonWriter& writer, const json::value& first, std::string_view choices) {
  writer.begin_object().key("id").text(text_of(first, "id")).key("object").text("chat.completion.chunk");
  writer.key("created").number(number_of(first, "created")).key("model").text(text_of(first, "model"));
  writer.key("choices").raw(choices);
}

}  // namespace

void Events::on_event(const StreamEvent& event) {
  if (event.bytes.empty()) return;
  sse_ = true;
  seen_ += event.bytes.size();
  if (drop_usage_ && event.usage_only) return;
  kept_ += event.bytes;
  note(event.bytes);
}

void Events::note(std::string_view event) {
  const bool data = event.find("data:") != event.npos;
  if (!data) return;
  ++events_;
  if (first_.empty() && event.size() <= most_kept) first_ = event;
  if (api_ != Api::anthropic_messages) return;
  if (event.find("content_block_start\"") != event.npos)
    open_block_ = number_of(data_of(event), "index");
  else if (event.find("content_block_stop\"") != event.npos)
    open_block_ = -1;
}

void Events::arrived(std::string_view piece) {
  const bool only_blanks = piece.find_first_not_of(" \t\r\n") == piece.npos;
  if (blank_ && only_blanks) {
    kept_ += piece;  // the meter skips what comes before the first event
    return;
  }
  blank_ = false;
  held_ += piece;
}

std::string_view Events::take(std::size_t size) {
  out_.swap(kept_);
  kept_.clear();
  if (!sse_) out_.append(held_, 0, size);
  held_.erase(0, size);
  seen_ = 0;
  return out_;
}

std::string_view Events::ready(bool open) {
  if (!open) {
    // The meter looks at nothing behind the end: what is left is passed on as it came.
    if (sse_) kept_.append(held_, std::min(seen_, held_.size()));
    return take(held_.size());
  }
  if (sse_) return take(std::min(seen_, held_.size()));
  const Framing framing = outlay::detail::row_of(api_).framing;
  // Lines are passed on whole, and of server-sent events nothing before the first is complete. Other formats cannot be ended between.
  if (framing == Framing::lines) {
    const std::size_t end = held_.rfind('\n');
    return take(end == held_.npos ? 0 : end + 1);
  }
  const std::size_t first = held_.find_first_not_of(" \t\r\n");
  const bool document = first != held_.npos && (held_[first] == '{' || held_[first] == '[');
  return take(framing == Framing::sse && !document ? 0 : held_.size());
}

std::string_view Events::ready_before_cut() { return take(sse_ ? std::min(seen_, held_.size()) : 0); }

std::string Events::ending() const {
  const json::value first = data_of(first_);
  std::string out;
  JsonWriter writer(out);
  if (api_ == Api::anthropic_messages) {
    std::string text;
    if (open_block_ >= 0)
      text = sse("content_block_stop", R"({"type":"content_block_stop","index":)" + std::to_string(open_block_) + "}");
    text += sse(
        "message_delta",
        R"({"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"output_tokens":0}})");
    return text + sse("message_stop", R"({"type":"message_stop"})");
  }
  if (api_ == Api::openai_responses) {
    const json::object* event = first.if_object();
    const json::value* response = event ? event->if_contains("response") : nullptr;
    json::object whole = response && response->is_object() ? response->get_object() : json::object();
    whole["status"] = "incomplete";
    whole["incomplete_details"] = json::object{{"reason", "max_output_tokens"}};
    const json::object ended{{"type", "response.incomplete"}, {"sequence_number", events_}, {"response", whole}};
    return sse("response.incomplete", json::serialize(ended));
  }
  if (api_ == Api::gemini)
    return sse_
               ? sse({},
                     R"({"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"MAX_TOKENS","index":0}]})")
               : std::string();
  if (api_ == Api::cohere_chat)
    return sse("message-end", R"({"type":"message-end","delta":{"finish_reason":"MAX_TOKENS"}})");
  if (api_ == Api::ollama_chat)
    return R"({"message":{"role":"assistant","content":""},"done":true,"done_reason":"length"})"
           "\n";
  if (api_ == Api::ollama_generate)
    return R"({"response":"","done":true,"done_reason":"length"})"
           "\n";
  if (!sse_) return {};
  begin_chunk(writer, first, R"([{"index":0,"delta":{},"finish_reason":"length"}])");
  writer.end_object();
  return sse({}, out) + "data: [DONE]\n\n";
}

std::string Events::error_ending(int status, std::string_view code, std::string_view message) const {
  const std::string body = error_body(api_, status, code, message);
  if (api_ == Api::anthropic_messages) return sse("error", body);
  if (api_ == Api::openai_responses) {
    std::string out;
    JsonWriter(out)
        .begin_object()
        .key("type")
        .text("error")
        .key("sequence_number")
        .number(events_)
        .key("code")
        .text(code)
        .key("message")
        .text(message)
        .key("param")
        .raw("null")
        .end_object();
    return sse("error", out);
  }
  if (outlay::detail::row_of(api_).framing == Framing::lines) return body + "\n";
  if (api_ == Api::cohere_chat) {
    std::string out;
    JsonWriter(out)
        .begin_object()
        .key("type")
        .text("message-end")
        .key("delta")
        .begin_object()
        .key("finish_reason")
        .text("ERROR")
        .key("error")
        .text(message)
        .end_object()
        .end_object();
    return sse("message-end", out);
  }
  if (!sse_) return {};
  if (api_ == Api::mistral_chat) {
    // Its SDKs read each event as a chunk, and would fail at another object with a message about their own types.
    std::string out;
    JsonWriter writer(out);
    begin_chunk(writer, data_of(first_), R"([{"index":0,"delta":{"content":""},"finish_reason":"error"}])");
    writer.key("error").raw(body).end_object();
    return sse({}, out) + "data: [DONE]\n\n";
  }
  return sse({}, body) + (api_ == Api::gemini ? "" : "data: [DONE]\n\n");
}

}  // namespace outlay::gateway::detail
