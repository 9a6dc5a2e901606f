// The table of APIs. Api's functions, the guard, the meter and the HTTP client derive from it what they know of one.
//
// To add an API:
//   1. Write its file in this folder: a class derived from Format (api.hpp), or from OpenAiShape where it copied Chat Completions, and the
//      last line `template const Format& the_format<ItsClass>();`. The build finds the file by itself.
//   2. Add its row below. The order is that of detection: a row that detects what others do, too, comes after them.
//   3. Name it for users in include/outlay/json/api.hpp: a constant whose number is the row's position.
// The tests go over all rows: name, number, paths and verdicts. Streams and replies of the new API belong into tests/unit/json.
#include "table.hpp"

#include <boost/json/object.hpp>
#include <utility>

#include "../api.hpp"

namespace outlay::detail {

namespace {

constexpr Service openai{
    "https://api.openai.com/v1", {"OPENAI_BASE_URL"}, {"OPENAI_API_KEY"}, KeyField::bearer, "openai"};
constexpr Service openai_compatible{nullptr, {"OPENAI_BASE_URL"}, {"OPENAI_API_KEY"}, KeyField::bearer};
constexpr Service anthropic{
    "https://api.anthropic.com", {"ANTHROPIC_BASE_URL"}, {"ANTHROPIC_API_KEY"}, KeyField::x_api_key, "anthropic"};
constexpr Service gemini{"https://generativelanguage.googleapis.com",
                         {"GOOGLE_GEMINI_BASE_URL"},
                         {"GEMINI_API_KEY", "GOOGLE_API_KEY"},
                         KeyField::x_goog_api_key,
                         "gemini"};
constexpr Service bedrock{
    nullptr, {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME"}, {"AWS_BEARER_TOKEN_BEDROCK"}, KeyField::bearer, "bedrock"};
constexpr Service ollama{"http://127.0.0.1:11434", {"OLLAMA_HOST"}, {"OLLAMA_API_KEY"}, KeyField::bearer, "ollama"};
constexpr Service mistral{
    "https://api.mistral.ai", {"MISTRAL_BASE_URL"}, {"MISTRAL_API_KEY"}, KeyField::bearer, "mistral"};
constexpr Service deepseek{
    "https://api.deepseek.com", {"DEEPSEEK_BASE_URL"}, {"DEEPSEEK_API_KEY"}, KeyField::bearer, "deepseek"};
constexpr Service xai{"https://api.x.ai/v1", {"XAI_BASE_URL"}, {"XAI_API_KEY"}, KeyField::bearer, "xai"};
constexpr Service cohere{
    "https://api.cohere.com", {"CO_API_URL"}, {"CO_API_KEY", "COHERE_API_KEY"}, KeyField::bearer, "cohere"};
constexpr Service openrouter{
    "https://openrouter.ai/api/v1", {"OPENROUTER_BASE_URL"}, {"OPENROUTER_API_KEY"}, KeyField::bearer, "openrouter"};
constexpr Service azure{nullptr, {"AZURE_OPENAI_ENDPOINT"}, {"AZURE_OPENAI_API_KEY"}, KeyField::api_key, "azure"};

}  // namespace

// Not in an unnamed namespace, where `class OpenAiChat` would name another class than the one in its file.
constexpr std::array<ApiRow, 17> rows{{
    {.api = Api::openai_chat,
     .name = "openai_chat",
     .format = the_format<class OpenAiChat>,
     .detects = [](const Target& to) { return to.host_is("api.openai.com") && to.path_ends("/completions"); },
     .service = openai,
     .path = "/chat/completions"},
    {.api = Api::openai_responses,
     .name = "openai_responses",
     .format = the_format<class OpenAiResponses>,
     .detects = [](const Target& to) { return to.path_ends("/responses") || to.path_ends("/responses/compact"); },
     .service = openai,
     .path = "/responses"},
    {.api = Api::openai_embeddings,
     .name = "openai_embeddings",
     .format = the_format<class OpenAiEmbeddings>,
     .detects = [](const Target& to) { return to.path_ends("/embeddings") && to.body_has("input"); },
     .service = openai,
     .path = "/embeddings",
     .streaming = Streaming::none},
    {.api = Api::anthropic_messages,
     .name = "anthropic_messages",
     .format = the_format<class AnthropicMessages>,
     // At Vertex AI and Bedrock, which pass the vendor's own body through, the path names the vendor.
     .detects =
         [](const Target& to) {
           const bool passed_on = to.path_ends(":rawPredict") || to.path_ends(":streamRawPredict") ||
                                  to.path_ends("/invoke") || to.path_ends("/invoke-with-response-stream");
           return to.path_ends("/v1/messages") ||
                  (passed_on && (to.path_has("anthropic") || to.body_has("anthropic_version")));
         },
     .service = anthropic,
     .path = "/v1/messages"},
    {.api = Api::gemini,
     .name = "gemini",
     .format = the_format<class Gemini>,
     .detects =
         [](const Target& to) {
           return to.path_ends(":generateContent") || to.path_ends(":streamGenerateContent") ||
                  to.path_ends("/interactions");
         },
     .service = gemini,
     .path = "/v1beta/models/{model}:generateContent",
     .stream_path = "/v1beta/models/{model}:streamGenerateContent?alt=sse",
     .model_in_path = true,
     .streaming = Streaming::path},
    {.api = Api::gemini_embeddings,
     .name = "gemini_embeddings",
     .format = the_format<class GeminiEmbeddings>,
     .detects = [](const Target& to) { return to.path_ends(":embedContent") || to.path_ends(":batchEmbedContents"); },
     .service = gemini,
     .path = "/v1beta/models/{model}:embedContent",
     .batch_path = "/v1beta/models/{model}:batchEmbedContents",
     .model_in_path = true,
     .streaming = Streaming::none},
    {.api = Api::bedrock_converse,
     .name = "bedrock_converse",
     .format = the_format<class BedrockConverse>,
     .detects =
         [](const Target& to) {
           return to.path_has("/model/") && (to.path_ends("/converse") || to.path_ends("/converse-stream"));
         },
     .service = bedrock,
     .path = "/model/{model}/converse",
     .stream_path = "/model/{model}/converse-stream",
     .model_in_path = true,
     .streaming = Streaming::path,
     .framing = Framing::event_stream},
    {.api = Api::ollama_chat,
     .name = "ollama_chat",
     .format = the_format<class OllamaChat>,
     .detects = [](const Target& to) { return to.path_ends("/api/chat"); },
     .service = ollama,
     .path = "/api/chat",
     .streaming = Streaming::unasked,
     .framing = Framing::lines},
    {.api = Api::ollama_generate,
     .name = "ollama_generate",
     .format = the_format<class OllamaGenerate>,
     .detects =
         [](const Target& to) {
           return to.path_ends("/api/generate") || to.path_ends("/api/embed") || to.path_ends("/api/embeddings");
         },
     .service = ollama,
     .path = "/api/generate",
     .streaming = Streaming::unasked,
     .framing = Framing::lines},
    {.api = Api::mistral_chat,
     .name = "mistral_chat",
     .format = the_format<class MistralChat>,
     .detects =
         [](const Target& to) {
           return (to.host_is("api.mistral.ai") && to.path_ends("/completions")) ||
                  (to.path_has("/publishers/mistralai/") && to.path_has("awPredict"));
         },
     .service = mistral,
     .path = "/v1/chat/completions"},
    {.api = Api::deepseek_chat,
     .name = "deepseek_chat",
     .format = the_format<class DeepSeekChat>,
     .detects = [](const Target& to) { return to.host_is("api.deepseek.com") && to.path_ends("/completions"); },
     .service = deepseek,
     .path = "/chat/completions"},
    {.api = Api::xai_chat,
     .name = "xai_chat",
     .format = the_format<class XaiChat>,
     .detects = [](const Target& to) { return to.host_is("api.x.ai") && to.path_ends("/completions"); },
     .service = xai,
     .path = "/chat/completions"},
    {.api = Api::cohere_chat,
     .name = "cohere_chat",
     .format = the_format<class CohereChat>,
     .detects = [](const Target& to) { return to.path_ends("/v2/chat") || to.path_ends("/v1/chat"); },
     .service = cohere,
     .path = "/v2/chat"},
    {.api = Api::cohere_embed,
     .name = "cohere_embed",
     .format = the_format<class CohereEmbed>,
     .detects = [](const Target& to) { return to.path_ends("/v2/embed"); },
     .service = cohere,
     .path = "/v2/embed",
     .streaming = Streaming::none},
    {.api = Api::openrouter_chat,
     .name = "openrouter_chat",
     .format = the_format<class OpenRouterChat>,
     .detects =
         [](const Target& to) {
           return (to.host_is("openrouter.ai") || to.path_starts("/api/v1/")) && to.path_ends("/completions");
         },
     .service = openrouter,
     .path = "/chat/completions"},
    {.api = Api::azure_chat,
     .name = "azure_chat",
     .format = the_format<class AzureChat>,
     .detects =
         [](const Target& to) {
           return to.path_ends("/completions") &&
                  (to.path_has("/openai/deployments/") || to.host_is("openai.azure.com") ||
                   to.host_is("services.ai.azure.com") || to.host_is("cognitiveservices.azure.com"));
         },
     .service = azure,
     .path = "/openai/deployments/{model}/chat/completions?api-version={version}"},
    // The last, because it takes what speaks Chat Completions at a host that no other row knows.
    {.api = Api::openai_compatible,
     .name = "openai_compatible",
     .format = the_format<class OpenAiCompatible>,
     .detects =
         [](const Target& to) {
           return to.path_ends("/chat/completions") || to.path_ends("/v1/completions") ||
                  (to.host_is("api.perplexity.ai") && to.path_ends("/v1/sonar"));
         },
     .service = openai_compatible,
     .path = "/chat/completions"},
}};

namespace {

constexpr bool in_order() {
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i].api.index() != i) return false;
  return true;
}
static_assert(in_order(), "the number of an Api is the position of its row");

template <std::size_t... I>
constexpr std::array<Api, sizeof...(I)> apis_of(std::index_sequence<I...>) {
  return {rows[I].api...};
}
constexpr std::array<Api, rows.size()> all_apis = apis_of(std::make_index_sequence<rows.size()>{});

}  // namespace

std::span<const ApiRow> api_rows() noexcept { return rows; }

const ApiRow& row_of(Api api) noexcept { return rows[api.index()]; }

bool Target::host_is(std::string_view domain) const noexcept {
  if (!host.ends_with(domain)) return false;
  return host.size() == domain.size() || host[host.size() - domain.size() - 1] == '.';
}

bool Target::body_has(std::string_view member) const noexcept { return body != nullptr && body->contains(member); }

}  // namespace outlay::detail

namespace outlay {

std::span<const Api> Api::all() noexcept { return detail::all_apis; }

}  // namespace outlay
