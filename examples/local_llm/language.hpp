#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What local_llm "says": a deterministic stand-in for a model. The words are fixed, the arithmetic is real:
// every count that the server reports is the number of pieces that it read or wrote.

namespace local_llm {

/// Cuts a text into pieces: a run of at most twelve letters or bytes above ASCII, at most three digits, or
/// one other character, each with the space before it. Joined they give the text back.
[[nodiscard]] std::vector<std::string> pieces(std::string_view text);
[[nodiscard]] std::int64_t count_pieces(std::string_view text);

/// How a request asked the server to behave, for tests and demonstrations. See help() in main.cpp for how to
/// ask.
struct Behaviour {
  std::optional<unsigned> status{};           ///< Answer with this HTTP status and an OpenAI error body.
  std::optional<unsigned> retry_after{};      ///< Seconds, sent as Retry-After with `status`.
  std::optional<std::int64_t> close_after{};  ///< Cut the connection after so many pieces.
  std::optional<std::int64_t> stall_after{};  ///< Fall silent after so many pieces, connection open.
  std::optional<std::int64_t> tokens{};       ///< How long the answer would like to be; -1 without an end.
  std::optional<std::uint64_t> first{};       ///< Only the first so many requests of this server are affected.
  bool silent = false;                        ///< Never answer.
  bool no_usage = false;                      ///< Leave the usage out, even where it was asked for.
  bool malformed = false;                     ///< Answer 200 with bytes that are not JSON.
};

/// Reads `status=429,retry_after=2`. False for an unknown word or a bad number.
[[nodiscard]] bool parse_behaviour(std::string_view text, Behaviour& behaviour);

/// The answer to a conversation: a text, or a call of the first tool.
struct Answer {
  std::vector<std::string> pieces{};  ///< Of the text, or of the tool's arguments.
  bool endless = false;               ///< Go on from the start when the pieces are used up.
  std::string tool{};                 ///< Set: the pieces are the arguments for this tool.
  std::string tool_call_id{};
};

/// Reads the whole request: messages and tools.
[[nodiscard]] std::int64_t count_input(const boost::json::object& request);
[[nodiscard]] std::string last_user_text(const boost::json::object& request);
[[nodiscard]] Answer answer(const boost::json::object& request, const Behaviour& behaviour);

/// The name that a reply carries: the dated snapshot of models that have one.
[[nodiscard]] std::string served_model(std::string_view model);

}  // namespace local_llm
