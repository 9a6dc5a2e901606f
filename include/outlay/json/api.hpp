#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "outlay/detail/export.hpp"
#include "outlay/usage.hpp"
#include "outlay/usd.hpp"

namespace outlay {

/// Which provider's wire format a request, a reply or a stream has.
///
/// \par Thread safety
/// A value of one byte.
class OUTLAY_EXPORT Api {
 public:
  static const Api openai_chat;         ///< OpenAI Chat Completions.
  static const Api openai_responses;    ///< OpenAI Responses; also at xAI and Azure.
  static const Api openai_embeddings;   ///< OpenAI Embeddings, and what copies it.
  static const Api anthropic_messages;  ///< Anthropic Messages.
  static const Api gemini;              ///< Gemini generateContent and streamGenerateContent. The model is in the URL.
  static const Api gemini_embeddings;   ///< Gemini embedContent and batchEmbedContents. The model is in the URL.
  static const Api bedrock_converse;    ///< Bedrock Converse and ConverseStream. The model is in the URL.
  /// Ollama `/api/chat`.
  static const Api ollama_chat;
  /// Ollama `/api/generate`.
  static const Api ollama_generate;
  /// Mistral Chat Completions.
  static const Api mistral_chat;
  /// DeepSeek Chat Completions.
  static const Api deepseek_chat;
  /// xAI Chat Completions.
  static const Api xai_chat;
  static const Api cohere_chat;   ///< Cohere v2.
  static const Api cohere_embed;  ///< Cohere v2.
  /// OpenRouter Chat Completions.
  static const Api openrouter_chat;
  static const Api azure_chat;         ///< Azure OpenAI: Chat Completions at a deployment.
  static const Api openai_compatible;  ///< Servers that speak Chat Completions: vLLM, llama.cpp and others.

  /// Every API, in a fixed order.
  [[nodiscard]] static std::span<const Api> all() noexcept;
  /// By name(); empty for an unknown one.
  [[nodiscard]] static std::optional<Api> from_name(std::string_view name) noexcept;
  /// Which API a request is for, for proxies, which pass requests through.
  ///
  /// \param target The path, with or without a query, or the whole URL: then the host tells providers of one format apart.
  /// \param body The request; only looked at where paths are ambiguous. May be null.
  /// \return Empty where nothing fits. An unknown host with a path of Chat Completions is Api::openai_compatible.
  [[nodiscard]] static std::optional<Api> detect(std::string_view target, const boost::json::value& body) noexcept;

  /// `"openai_chat"`.
  [[nodiscard]] std::string_view name() const noexcept;
  /// The model is part of the URL's path, not of the body.
  [[nodiscard]] bool model_in_path() const noexcept;
  /// The same API.
  constexpr bool operator==(const Api&) const noexcept = default;

  /// For components.
  [[nodiscard]] constexpr std::uint8_t index() const noexcept { return index_; }  // for components

 private:
  constexpr explicit Api(std::uint8_t index) noexcept : index_(index) {}
  std::uint8_t index_;
};

// The position of each one's row in the library's table of APIs, src/json/apis/table.cpp.
inline constexpr Api Api::openai_chat{0};
inline constexpr Api Api::openai_responses{1};
inline constexpr Api Api::openai_embeddings{2};
inline constexpr Api Api::anthropic_messages{3};
inline constexpr Api Api::gemini{4};
inline constexpr Api Api::gemini_embeddings{5};
inline constexpr Api Api::bedrock_converse{6};
inline constexpr Api Api::ollama_chat{7};
inline constexpr Api Api::ollama_generate{8};
inline constexpr Api Api::mistral_chat{9};
inline constexpr Api Api::deepseek_chat{10};
inline constexpr Api Api::xai_chat{11};
inline constexpr Api Api::cohere_chat{12};
inline constexpr Api Api::cohere_embed{13};
inline constexpr Api Api::openrouter_chat{14};
inline constexpr Api Api::azure_chat{15};
inline constexpr Api Api::openai_compatible{16};

/// What a reply says of its own cost.
struct ReplyUsage {
  /// In disjoint buckets, whatever the provider's own convention; never empty.
  Usage usage{};
  /// Of which of `usage`: what other models than `model` took, as an advisor or a tool that makes pictures.
  std::vector<UsagePart> parts{};
  std::string model{};  ///< That answered; empty where the reply does not say.
  std::string
      service_tier{};  ///< That was served, with the place where that is dearer (`"flex"`, `"fast+us"`); empty where it does not say.
  /// What the provider says that it charges, rounded half to even to a nano-dollar.
  std::optional<Usd> provider_cost{};
  std::string finish{};  ///< Why the first answer ended, as the provider writes it.
  /// The counts contradict one another or leave something out; `usage` is the dearer reading.
  bool doubtful{};
  /// A member of the usage that the library does not know and that is neither 0 nor empty; empty if none. See Ledger::unread_usage().
  std::string unread_member{};

  /// `usage`
  operator const Usage&() const noexcept { return usage; }  // NOLINT: implicit by design
};

/// Reads the usage that a reply reports.
///
/// \param reply The whole reply, as parsed. Of a reply that is wrapped (`response`, a stream's event) the API's own places are read.
/// \par Errors
/// Error with errc::bad_reply for a reply without a usage, with an empty one, or that is still being made; errc::invalid_usage for a negative,
/// fractional or too large count, or such a sum of counts: all name the API, the last the member.
[[nodiscard]] OUTLAY_EXPORT ReplyUsage read_usage(Api api, const boost::json::value& reply);

}  // namespace outlay
