#include "reader.hpp"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <functional>
#include <utility>

namespace json = boost::json;

namespace outlay::detail {

json::parse_options reply_options() {
  json::parse_options options;
  options.max_depth = Reader::max_depth;
  // A broken character in a text must not cost the usage report behind it. Texts are delivered as they came.
  options.allow_invalid_utf8 = true;
  return options;
}

namespace {

// Codes and types of errors are shown; anything that is not a plain word might carry text of the request.
std::string plain_word(std::string_view text) {
  constexpr std::size_t longest = 64;
  if (text.size() > longest) return {};
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
  return plain ? std::string(text) : std::string{};
}

// The providers' finish reasons for it: OpenAI's and who copied it, Anthropic's and Bedrock's, Gemini's and Cohere's.
constexpr bool is_ceiling(std::string_view reason) noexcept {
  return reason == "length" || reason == "max_tokens" || reason == "MAX_TOKENS";
}

constexpr bool is_cost(Field field) noexcept {
  return field == Field::cost || field == Field::cost_ticks || field == Field::upstream_cost ||
         field == Field::upstream_input_cost || field == Field::upstream_output_cost;
}

constexpr bool is_count(Field field) noexcept {
  return field < Field::counts_end || (field >= Field::entry_count && field <= Field::entry_output);
}

// Remembers a text by its hash, once. As many as a reply can have; more are counted together.
void see(std::vector<std::uint64_t>& seen, std::string_view text, std::uint64_t kind = 0) {
  constexpr std::size_t most = 1'024;
  const std::uint64_t hash = std::hash<std::string_view>()(text) + kind;
  if (!text.empty() && seen.size() < most && std::find(seen.begin(), seen.end(), hash) == seen.end())
    seen.push_back(hash);
}

}  // namespace

void Reader::begin_event() noexcept {
  facts.begin_event();
  tool_ = -1;
  pieces.clear();
  text_.clear();
}

void Reader::begin_document() noexcept {
  depth_ = skip_ = raw_ = usage_depth_ = error_depth_ = unread_ = 0;
  scratch_.clear();
}

Piece::Range Reader::keep(std::string_view text) {
  const Piece::Range range{static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(text.size())};
  text_.append(text);
  return range;
}

std::string_view Reader::whole(std::string_view last_part) {
  if (scratch_.empty()) return last_part;
  scratch_.append(last_part);
  return scratch_;
}

Piece& Reader::new_piece(StreamDelta::Kind kind) {
  Piece& piece = pieces.emplace_back();
  piece.kind = kind;
  piece.tool = -1;  // until the event names it
  return piece;
}

bool Reader::begin(bool array) {
  if (skip_ != 0) {
    ++skip_;
    return true;
  }
  if (raw_ != 0) {
    raw_separator();
    text_ += array ? '[' : '{';
    raw_comma_ = false;
    ++raw_;
    return true;
  }
  if (unread_ != 0) {
    ++unread_;
    return true;
  }
  if (depth_ == 0 && array) {
    return true;  // a stream of one array: each element is a root of its own
  }
  const Paths::NodeId node = place();
  if (node == Paths::nowhere || (depth_ == 0 && over_)) {
    (usage_depth_ != 0 ? unread_ : skip_) = 1;
    return true;
  }
  const Field field = paths_->field(node);
  if (field == Field::tool_arguments) {
    Piece& piece = new_piece(StreamDelta::Kind::tool_arguments);
    piece.text.begin = static_cast<std::uint32_t>(text_.size());
    text_ += array ? '[' : '{';
    raw_comma_ = false;
    raw_ = 1;
    return true;
  }
  frames_[depth_] = {node, array};
  ++depth_;
  if (field >= Field::choices && field != Field::none)
    scope_begins(field);
  else if (field == Field::error)
    note_error(array);
  return true;
}

bool Reader::end(bool array) {
  if (skip_ != 0) {
    --skip_;
    return true;
  }
  if (raw_ != 0) {
    text_ += array ? ']' : '}';
    raw_comma_ = true;
    if (--raw_ == 0) pieces.back().text.size = static_cast<std::uint32_t>(text_.size()) - pieces.back().text.begin;
    return true;
  }
  if (unread_ != 0) {
    --unread_;
    return true;
  }
  if (depth_ == 0) return true;
  if (depth_ == error_depth_) error_depth_ = 0;
  --depth_;
  const Field field = paths_->field(frames_[depth_].node);
  if (field >= Field::choices && field != Field::none) scope_ends(field);
  if (depth_ == 0) {
    for (Piece& piece : pieces)
      if (piece.tool < 0) piece.tool = std::max(tool_, 0);
    if (facts.done_now) facts.done = true;
    if (facts.saw_delta && saw_whole_) std::erase_if(pieces, [](const Piece& piece) { return piece.whole; });
    saw_whole_ = false;
    const auto is_first = [](const Piece& piece) { return piece.kind == StreamDelta::Kind::reasoning && !piece.again; };
    if (pieces.size() > 1 && std::any_of(pieces.begin(), pieces.end(), is_first))
      std::erase_if(pieces, [](const Piece& piece) { return piece.again; });
    format_->event(facts, pieces);
    if (tier_changed_) facts.compose_tier();
    tier_changed_ = false;
    if (facts.usage_now && facts.empty_choices) facts.final_usage = true;
    if (sink_ != nullptr) over_ = !sink_->event_read();
  }
  return true;
}

void Reader::key(std::string_view text) {
  const std::string_view name = whole(text);
  if (raw_ != 0) {
    if (raw_ == 1) raw_queries_ = name == "queries";
    raw_separator();
    text_ += json::serialize(json::string_view(name.data(), name.size()));
    text_ += ':';
    raw_comma_ = false;
  } else if (depth_ != 0 && unread_ == 0) {
    if (depth_ == error_depth_) facts.error = true;
    pending_ = paths_->member(frames_[depth_ - 1].node, name);
    if (pending_ == Paths::nowhere && usage_depth_ != 0) unread_name_ = name.substr(0, 64);
  }
  scratch_.clear();
}

void Reader::string(std::string_view last_part) {
  const std::string_view text = whole(last_part);
  if (raw_ != 0) {
    if (raw_ == 2 && raw_queries_) see(facts.entry_queries, text);
    raw_value(json::serialize(json::string_view(text.data(), text.size())));
    scratch_.clear();
    return;
  }
  switch (field_) {
    case Field::text:
    case Field::reasoning_text:
    case Field::reasoning_again:
    case Field::tool_arguments:
      if (!text.empty()) {
        Piece& piece = new_piece(field_ == Field::text             ? StreamDelta::Kind::text
                                 : field_ == Field::tool_arguments ? StreamDelta::Kind::tool_arguments
                                                                   : StreamDelta::Kind::reasoning);
        piece.text = keep(text);
        piece.again = field_ == Field::reasoning_again;
      }
      break;
    case Field::tool_id:
      tool_id_ = keep(text);
      break;
    case Field::tool_name:
      tool_name_ = keep(text);
      facts.called = text.substr(0, 64);
      break;
    case Field::model:
      // Each chunk of a stream repeats it.
      if (!text.empty() && text.size() <= 256 && facts.model != text) facts.model = text;
      break;
    case Field::service_tier:
      if (!text.empty() && text.size() <= 32 && facts.tier != text) facts.tier = text, tier_changed_ = true;
      break;
    case Field::speed:
      if (!text.empty() && text.size() <= 15) facts.speed = text, tier_changed_ = true;
      break;
    case Field::geo:
      if (!text.empty() && text.size() <= 15) facts.geo = text, tier_changed_ = true;
      break;
    case Field::tool_model:
      if (!text.empty() && text.size() <= 256) facts.tool_model = text;
      break;
    case Field::tool_type:
      facts.preview_search |= text.starts_with("web_search_preview");
      break;
    case Field::entry_model:
      facts.entry_model = text.substr(0, 256);
      break;
    case Field::search_size:
      if (!text.empty()) facts.set(Field::search_items, 1);
      break;
    case Field::query:
    case Field::image_query:
      see(facts.queries, text, field_ == Field::image_query ? 1 : 0);
      facts.set(Field::web_searches, static_cast<std::int64_t>(facts.queries.size()));
      break;
    case Field::entry_query:
      see(facts.entry_queries, text);
      break;
    case Field::container:
      see(facts.containers, text);
      break;
    case Field::type:
      facts.type = text.substr(0, 128);
      tier_changed_ = true;  // Vertex AI's traffic type
      break;
    case Field::label:
      facts.label = text.substr(0, 64);
      break;
    case Field::action:
      facts.action = text.substr(0, 64);
      break;
    case Field::finish:
      if (text.empty()) break;
      if (facts.finish.empty()) facts.finish = text.substr(0, 64);
      if (in_choice_)
        choice_finished_ = true, choice_at_ceiling_ = is_ceiling(text);
      else
        facts.finished |= 1, facts.at_ceiling |= is_ceiling(text) ? 1U : 0U;
      break;
    case Field::status:
      facts.pending = text == "queued" || text == "in_progress";
      facts.broken_off = text == "cancelled" || text == "incomplete" || text == "failed";
      facts.finish = text.substr(0, 64);
      if (!facts.pending) facts.finished |= 1;
      break;
    case Field::error:
      if (!text.empty()) facts.error = true;
      break;
    case Field::error_code:
    case Field::error_type:
      if (std::string word = plain_word(text); !word.empty()) {
        std::string& place = field_ == Field::error_type ? facts.error_type : facts.error_word;
        if (place.empty()) place = std::move(word);
      }
      break;
    default:
      if (is_cost(field_)) {
        cost(text);
        break;
      }
      // A count in quotes is not a number: some gateways send them, and a wrong reading would be a wrong bill.
      if (is_count(field_)) static_cast<void>(facts.believes(field_, -1));
      break;
  }
  scratch_.clear();
}

void Reader::count(std::int64_t number) {
  std::int64_t* const place = field_ == Field::entry_count    ? &facts.entry_count
                              : field_ == Field::entry_5m     ? &facts.entry_5m
                              : field_ == Field::entry_1h     ? &facts.entry_1h
                              : field_ == Field::entry_input  ? &facts.entry_input
                              : field_ == Field::entry_cached ? &facts.entry_cached
                              : field_ == Field::entry_output ? &facts.entry_output
                                                              : nullptr;
  if (place == nullptr)
    facts.set(field_, number);
  else if (facts.believes(field_, number))
    *place = number;
}

void Reader::cost(std::string_view text) {
  // A negative or unreadable cost is ignored: the cost by the price table is booked then.
  if (const auto usd = read_cost(text, field_ == Field::cost_ticks ? 10 : 0)) facts.add_cost(field_, *usd);
}

void Reader::integer(std::int64_t number, std::string_view last_part) {
  const std::string_view digits = whole(last_part);
  if (raw_ != 0) {
    raw_value(digits);
  } else if (is_cost(field_)) {
    cost(digits);
  } else if (is_count(field_)) {
    count(number);
  } else if (field_ == Field::heard) {
    facts.heard |= number > 0;
  } else if (field_ == Field::choice_index) {
    if (number >= 0 && number < 1'024) choice_ = static_cast<std::int32_t>(number);
  } else if (field_ == Field::tool_index) {
    if (number >= 0 && number < 65'536) tool_ = static_cast<std::int32_t>(number);
  } else if (field_ == Field::error_code) {
    if (number >= 100 && number < 600) facts.error_status = static_cast<int>(number);
    if (facts.error_number.empty()) facts.error_number = std::to_string(number);
  } else if (number > 0 && (field_ == Field::finish || field_ == Field::label || field_ == Field::type)) {
    // Enumerators, as Vertex writes them where it is asked to; 0 is the unspecified one.
    const std::string name(digits);
    scratch_.clear();
    string(name);
  }
  scratch_.clear();
}

void Reader::real(double number, std::string_view last_part) {
  if (raw_ != 0) {
    raw_value(whole(last_part));
  } else if (is_cost(field_)) {
    cost(whole(last_part));
  } else if (is_count(field_)) {
    // Whole counts arrive as 12.0 from some gateways. Compared as a double before it is made an integer, which might not hold it.
    const bool whole_number = std::nearbyint(number) == number && number >= 0 && number <= 4e9;
    count(whole_number ? static_cast<std::int64_t>(number) : -1);
  } else if (field_ == Field::heard) {
    facts.heard |= number > 0;
  }
  scratch_.clear();
}

void Reader::note_unread() {
  if (facts.unread.empty()) facts.unread = unread_name_;
}

void Reader::boolean(bool value) {
  if (raw_ != 0) {
    raw_value(value ? "true" : "false");
  } else if (field_ == Field::done) {
    facts.done_now = value;  // not the end before the whole event is read
  } else if (field_ == Field::byok) {
    facts.byok = value;
  } else if (field_ == Field::thought) {
    thought_ = value;
  }
}

void Reader::scope_begins(Field field) {
  switch (field) {
    case Field::choices:
      facts.empty_choices = true;
      break;
    case Field::choice:
      facts.empty_choices = false;
      in_choice_ = true;
      choice_finished_ = choice_at_ceiling_ = choice_usage_ = false;
      choice_ = facts.choices_now++;
      choice_begin_ = pieces.size();
      break;
    case Field::tool:
      tool_begin_ = pieces.size();
      outer_tool_ = std::exchange(tool_, -1);  // some APIs number the call outside of it
      tool_id_ = tool_name_ = {};
      break;
    case Field::part:
      part_begin_ = pieces.size();
      thought_ = false;
      break;
    case Field::delta:
      facts.saw_delta = true;
      break;
    case Field::whole:
      whole_begin_ = pieces.size();
      break;
    case Field::usage:
      if (usage_depth_ == 0) usage_depth_ = depth_;
      if (in_choice_ && !choice_usage_) {
        choice_usage_ = true;
        facts.begin_choice_usage();
      }
      break;
    case Field::maps:
      facts.set(Field::other_tools, 1);
      break;
    case Field::modalities_input:
    case Field::modalities_cached:
    case Field::modalities_output:
    case Field::cache_details:
    case Field::iterations:
    case Field::output_items:
    case Field::tool_counts:
      facts.begin_list(field);
      break;
    case Field::entry:
      facts.label.clear();
      facts.action.clear();
      facts.entry_model.clear();
      facts.entry_queries.clear();
      facts.entry_5m = facts.entry_1h = 0;
      facts.entry_count = facts.entry_input = facts.entry_cached = facts.entry_output = 0;
      break;
    default:
      break;
  }
}

void Reader::scope_ends(Field field) {
  switch (field) {
    case Field::choice:
      for (std::size_t i = choice_begin_; i < pieces.size(); ++i) pieces[i].choice = choice_;
      facts.choices_seen = std::max(facts.choices_seen, choice_ + 1);
      if (choice_finished_) facts.finished |= std::uint64_t{1} << std::min(choice_, 63);
      if (choice_at_ceiling_) facts.at_ceiling |= std::uint64_t{1} << std::min(choice_, 63);
      if (choice_usage_) facts.end_choice_usage(choice_);
      in_choice_ = false;
      break;
    case Field::tool: {
      if (tool_begin_ == pieces.size() && (tool_name_.size != 0 || tool_id_.size != 0))
        static_cast<void>(new_piece(StreamDelta::Kind::tool_arguments));
      for (std::size_t i = tool_begin_; i < pieces.size(); ++i) {
        pieces[i].tool = tool_;
        pieces[i].tool_id = tool_id_;
        pieces[i].tool_name = tool_name_;
      }
      tool_id_ = tool_name_ = {};
      tool_ = outer_tool_;
      break;
    }
    case Field::part:
      if (thought_) {
        for (std::size_t i = part_begin_; i < pieces.size(); ++i)
          if (pieces[i].kind == StreamDelta::Kind::text) pieces[i].kind = StreamDelta::Kind::reasoning;
      }
      break;
    case Field::entry:
      format_->entry(facts);
      break;
    case Field::modalities_input:
    case Field::modalities_cached:
    case Field::modalities_output:
    case Field::cache_details:
    case Field::iterations:
    case Field::output_items:
    case Field::tool_counts:
      facts.end_list();
      break;
    case Field::whole:
      saw_whole_ = true;
      for (std::size_t i = whole_begin_; i < pieces.size(); ++i) pieces[i].whole = true;
      break;
    case Field::usage:
      if (depth_ < usage_depth_) usage_depth_ = 0;
      break;
    default:
      break;
  }
}

void Reader::raw_separator() {
  if (raw_comma_) text_ += ',';
}

void Reader::raw_value(std::string_view json) {
  raw_separator();
  text_ += json;
  raw_comma_ = true;
}

}  // namespace outlay::detail
