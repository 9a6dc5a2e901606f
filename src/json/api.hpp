#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "facts.hpp"
#include "outlay/json/api.hpp"
#include "outlay/json/stream.hpp"
#include "outlay/usage.hpp"
#include "paths.hpp"
#include "request.hpp"

namespace outlay::detail {

/// A piece of an answer as the reader collects it; the texts are ranges of the reader's buffer.
struct Piece {
  struct Range {
    std::uint32_t begin = 0;
    std::uint32_t size = 0;
  };
  StreamDelta::Kind kind{};
  std::int32_t choice = 0;
  std::int32_t tool = 0;
  Range text;
  Range tool_id;
  Range tool_name;
};

/// Where a request goes, for Format::detects.
struct Target {
  std::string_view host;            // lower case, without port; empty if unknown
  std::string_view path;            // without query
  const boost::json::object* body;  // null if it is no object

  [[nodiscard]] bool host_is(std::string_view domain) const noexcept;  // the domain or one below it
  [[nodiscard]] bool path_ends(std::string_view tail) const noexcept { return path.ends_with(tail); }
};

/// What a refusal means for the call.
enum class Verdict : std::uint8_t { paid, released, input_charged, indeterminate };

/// One provider's wire. All that an API is, but for its row in the table of api.cpp; stateless.
class Format {
 public:
  virtual ~Format() = default;

  /// Where a reply and a stream's events say what.
  [[nodiscard]] virtual const Paths& paths() const = 0;
  /// Disjoint buckets from the provider's counts.
  ///
  /// \param doubt Set where the counts contradict one another; the dearer reading is returned then.
  [[nodiscard]] virtual Usage usage(const Facts& facts, bool& doubt) const = 0;
  /// An entry of a list that the paths name as Field::entry is complete: facts.list, facts.label, facts.entry_*.
  virtual void entry(Facts& facts) const { static_cast<void>(facts); }
  /// An event is complete: facts.type, the pieces. May rename pieces and set facts.done and facts.final_usage.
  virtual void event(Facts& facts, std::vector<Piece>& pieces) const {
    static_cast<void>(facts), static_cast<void>(pieces);
  }

  /// What a request asks for. `facts.input` counts its text.
  virtual void read_request(const boost::json::object& request, RequestFacts& facts) const = 0;
  /// Writes an output ceiling per choice, and touches nothing else. Only called with at least facts.min_output of the same request, and
  /// not where facts.fixed_ceiling.
  virtual void write_ceiling(boost::json::object& request, std::int64_t ceiling) const = 0;
  virtual void write_model(boost::json::object& request, std::string_view model) const;
  /// Makes a streamed request ask for its usage, where the API must be asked.
  virtual void ask_for_usage(boost::json::object& request) const { static_cast<void>(request); }
  [[nodiscard]] virtual bool model_in_path() const { return false; }

  [[nodiscard]] virtual bool detects(const Target& target) const = 0;
  /// What an answer with another status than 2xx means. `body` is null where it is no JSON.
  [[nodiscard]] virtual Verdict verdict(int status, const boost::json::value& body) const;
};

[[nodiscard]] const Format& format(Api api) noexcept;

/// The verdict that every API shares, by status alone; see api.cpp for the sources.
[[nodiscard]] Verdict common_verdict(int status) noexcept;

// One a file, in apis/.
[[nodiscard]] const Format& openai_chat_format();
[[nodiscard]] const Format& openai_responses_format();
[[nodiscard]] const Format& openai_embeddings_format();
[[nodiscard]] const Format& anthropic_messages_format();
[[nodiscard]] const Format& gemini_format();
[[nodiscard]] const Format& gemini_embeddings_format();
[[nodiscard]] const Format& bedrock_converse_format();
[[nodiscard]] const Format& ollama_chat_format();
[[nodiscard]] const Format& ollama_generate_format();
[[nodiscard]] const Format& mistral_chat_format();
[[nodiscard]] const Format& deepseek_chat_format();
[[nodiscard]] const Format& xai_chat_format();
[[nodiscard]] const Format& cohere_chat_format();
[[nodiscard]] const Format& cohere_embed_format();
[[nodiscard]] const Format& openrouter_chat_format();
[[nodiscard]] const Format& azure_chat_format();
[[nodiscard]] const Format& openai_compatible_format();

}  // namespace outlay::detail
