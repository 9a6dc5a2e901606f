#include "language.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace local_llm {

namespace {

namespace json = boost::json;

enum class Kind { letters, digits, other };

Kind kind_of(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return Kind::letters;
  if (c >= '0' && c <= '9') return Kind::digits;
  return Kind::other;
}

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

/// Calls `take` with each piece.
template <class F>
void cut(std::string_view text, F take) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    std::size_t end = begin;
    if (text[end] == ' ' && end + 1 < text.size() && text[end + 1] != ' ') ++end;
    const Kind kind = kind_of(text[end]);
    std::size_t most = kind == Kind::letters ? 12 : kind == Kind::digits ? 3 : 1;
    ++end, --most;
    while (end < text.size() && most > 0 && kind_of(text[end]) == kind) ++end, --most;
    while (end < text.size() && continues_character(text[end])) ++end;  // never inside a UTF-8 character
    take(text.substr(begin, end - begin));
    begin = end;
  }
}

/// What people ask a shop, and what it says. The first entry with a keyword in the question answers.
struct Topic {
  std::string_view keyword;
  std::string_view answer;
};
constexpr std::array topics{
    Topic{"refund",
          "Your refund left our bank this morning. It reaches your account within three working days, "
          "depending on your bank. "
          "If it has not arrived by Friday, reply to this message and we will trace the payment for you."},
    Topic{"password",
          "Open the sign-in page, choose \"Forgot password\", and enter the address of your account. We send "
          "a link that is valid "
          "for one hour. Check your spam folder if nothing arrives, and never share the link with anybody."},
    Topic{"invoice",
          "You find every invoice under Account, Billing, History. Choose a month and press Download to get "
          "it as a PDF. "
          "The address on it can be corrected for ninety days."},
    Topic{"deliver",
          "Your parcel was handed to the carrier yesterday and is due tomorrow between nine and noon. You "
          "can still redirect it to a "
          "pick-up point from the tracking page until this evening."},
    Topic{"cancel",
          "You can cancel at any time under Account, Subscription, Cancel. The subscription then runs until "
          "the end of the month that "
          "you have paid for, and nothing is charged afterwards."},
    Topic{"haiku", "Coins fall one by one. The ledger counts every drop. The cap holds the rain."},
    Topic{"hello", "Hello! How can I help you today?"},
};
constexpr std::string_view general =
    "Thank you for your question. I have looked at your account and everything is in order. If you tell me a "
    "little more about what "
    "happened and when, I can find the right colleague for you.";

/// Ends never: what a model that has lost its thread goes on saying.
constexpr std::string_view ramble =
    " And there is more to say about that, since every point leads to the next one, and each of them "
    "deserves a paragraph of its own.";

std::string text_of(const json::value& content) {
  if (const json::string* text = content.if_string()) return std::string(*text);
  std::string joined;
  if (const json::array* parts = content.if_array())
    for (const json::value& part : *parts)
      if (const json::object* object = part.if_object())
        if (const json::value* text = object->if_contains("text"); text && text->is_string())
          joined.append(text->get_string().data(), text->get_string().size());
  return joined;
}

const json::array* array_in(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value ? value->if_array() : nullptr;
}

std::string role_of(const json::value& message) {
  if (const json::object* object = message.if_object())
    if (const json::value* role = object->if_contains("role"); role && role->is_string())
      return std::string(role->get_string());
  return {};
}

std::string content_of(const json::value& message) {
  if (const json::object* object = message.if_object())
    if (const json::value* content = object->if_contains("content")) return text_of(*content);
  return {};
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

template <class T>
bool number(std::string_view text, std::optional<T>& out) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return false;
  out = value;
  return true;
}

/// The name of the first tool; empty without tools or where `tool_choice` is "none".
std::string first_tool(const json::object& request) {
  if (const json::value* choice = request.if_contains("tool_choice"); choice && *choice == "none") return {};
  const json::array* tools = array_in(request, "tools");
  if (!tools || tools->empty()) return {};
  const json::object* tool = tools->front().if_object();
  const json::value* function = tool ? tool->if_contains("function") : nullptr;
  if (!function || !function->is_object()) return {};
  const json::value* name = function->get_object().if_contains("name");
  return name && name->is_string() ? std::string(name->get_string()) : std::string();
}

}  // namespace

std::vector<std::string> pieces(std::string_view text) {
  std::vector<std::string> all;
  cut(text, [&](std::string_view piece) { all.emplace_back(piece); });
  return all;
}

std::int64_t count_pieces(std::string_view text) {
  std::int64_t count = 0;
  cut(text, [&](std::string_view) { ++count; });
  return count;
}

bool parse_behaviour(std::string_view text, Behaviour& behaviour) {
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view word = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    std::string_view value;
    if (const std::size_t equals = word.find('='); equals != word.npos) {
      value = word.substr(equals + 1);
      word = word.substr(0, equals);
    }
    bool good = value.empty();
    if (word == "silent") {
      behaviour.silent = true;
    } else if (word == "no_usage") {
      behaviour.no_usage = true;
    } else if (word == "malformed") {
      behaviour.malformed = true;
    } else if (word == "status") {
      good = number(value, behaviour.status) && *behaviour.status >= 400 && *behaviour.status <= 599;
    } else if (word == "retry_after") {
      good = number(value, behaviour.retry_after);
    } else if (word == "close_after") {
      good = number(value, behaviour.close_after) && *behaviour.close_after >= 0;
    } else if (word == "stall_after") {
      good = number(value, behaviour.stall_after) && *behaviour.stall_after >= 0;
    } else if (word == "tokens") {
      good = value == "endless" || (number(value, behaviour.tokens) && *behaviour.tokens >= 0);
      if (value == "endless") behaviour.tokens = -1;
    } else if (word == "first") {
      good = number(value, behaviour.first);
    } else {
      good = false;
    }
    if (!good) return false;
  }
  return true;
}

std::int64_t count_input(const json::object& request) {
  std::int64_t count = 3;  // the frame around the conversation, as chat formats have one
  if (const json::array* messages = array_in(request, "messages"))
    for (const json::value& message : *messages) {
      count += 3 + count_pieces(content_of(message));
      if (const json::object* object = message.if_object())
        if (const json::array* calls = array_in(*object, "tool_calls")) count += count_pieces(json::serialize(*calls));
    }
  if (const json::array* tools = array_in(request, "tools")) count += count_pieces(json::serialize(*tools));
  return count;
}

std::string last_user_text(const json::object& request) {
  if (const json::array* messages = array_in(request, "messages"))
    for (auto message = messages->rbegin(); message != messages->rend(); ++message)
      if (role_of(*message) == "user") return content_of(*message);
  return {};
}

Answer answer(const json::object& request, const Behaviour& behaviour) {
  Answer answer;
  const json::array* messages = array_in(request, "messages");
  const std::string tool = first_tool(request);
  if (!tool.empty() && messages) {
    // An agent's model: it looks things up, and looks again for as long as the last result speaks of a next
    // page.
    const bool fresh = role_of(messages->back()) != "tool";
    const std::string result = fresh ? std::string() : lower(content_of(messages->back()));
    if (fresh || result.find("next page") != result.npos) {
      const auto page = 1 + std::count_if(messages->begin(), messages->end(),
                                          [](const json::value& message) { return role_of(message) == "tool"; });
      const json::object arguments{{"query", last_user_text(request).substr(0, 80)}, {"page", page}};
      answer.tool = tool;
      answer.tool_call_id = "call_" + std::to_string(page);
      answer.pieces = pieces(json::serialize(arguments));
      return answer;
    }
    answer.pieces = pieces("I have read every page that there is, and found what you asked for.");
    return answer;
  }

  const std::string question = lower(last_user_text(request));
  std::string_view text = general;
  for (const Topic& topic : topics)
    if (question.find(topic.keyword) != question.npos) {
      text = topic.answer;
      break;
    }
  answer.pieces = pieces(text);
  if (behaviour.tokens) {
    const std::vector<std::string> more = pieces(ramble);
    if (*behaviour.tokens < 0) {
      answer.pieces.insert(answer.pieces.end(), more.begin(), more.end());
      answer.endless = true;
    } else {
      const auto wanted = static_cast<std::size_t>(std::min<std::int64_t>(*behaviour.tokens, 1'000'000));
      while (answer.pieces.size() < wanted) answer.pieces.insert(answer.pieces.end(), more.begin(), more.end());
      answer.pieces.resize(wanted);
    }
  }
  return answer;
}

std::string served_model(std::string_view model) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> snapshots{
      {{"gpt-4o", "gpt-4o-2024-08-06"}, {"gpt-4o-mini", "gpt-4o-mini-2024-07-18"}}};
  for (const auto& [name, snapshot] : snapshots)
    if (model == name) return std::string(snapshot);
  return std::string(model);
}

}  // namespace local_llm
