#include "gateway/routes.hpp"

#include <string>
#include <string_view>

#include "support/catch.hpp"

using namespace outlay::gateway::detail;

namespace {

/// Where a request goes: the upstream's name, and the path there.
std::string way(const Upstreams& upstreams, std::string_view path) {
  std::string why;
  const std::optional<Route> route = find_route(upstreams, "POST", path, why);
  return route ? route->upstream->options.name + " " + route->to : "nowhere";
}

}  // namespace

TEST_CASE("routes: every provider's SDK reaches its own provider under the usual paths", "[gateway][routes]") {
  const Upstreams usual = make_upstreams(outlay::usual_upstreams(), {}, 1);
  // A key that goes to another provider is lost to it.
  struct Way {
    const char* path;
    const char* to;
  };
  const Way ways[] = {
      {"/v1/chat/completions", "openai /v1/chat/completions"},
      {"/v1/completions", "openai /v1/completions"},
      {"/v1/responses", "openai /v1/responses"},
      {"/v1/responses/compact", "openai /v1/responses/compact"},
      {"/v1/embeddings", "openai /v1/embeddings"},
      {"/v1/models", "openai /v1/models"},
      {"/v1/messages", "anthropic /v1/messages"},
      {"/v1/messages/count_tokens", "anthropic /v1/messages/count_tokens"},
      {"/v1/complete", "anthropic /v1/complete"},
      {"/v1beta/models/gemini-2.5-pro:generateContent", "gemini /v1beta/models/gemini-2.5-pro:generateContent"},
      {"/v1/chat", "cohere /v1/chat"},
      {"/v1/embed", "cohere /v1/embed"},
      {"/v2/chat", "cohere /v2/chat"},
      {"/v2/embed", "cohere /v2/embed"},
      {"/api/chat", "ollama /api/chat"},
      {"/api/generate", "ollama /api/generate"},
      {"/to/mistral/v1/chat/completions", "mistral /v1/chat/completions"},
  };
  for (const Way& one : ways) {
    CAPTURE(one.path);
    CHECK(way(usual, one.path) == one.to);
  }
}

TEST_CASE("routes: a path belongs to an upstream by whole segments", "[gateway][routes]") {
  const Upstreams upstreams = make_upstreams({{.name = "all", .url = "http://127.0.0.1:1", .paths = {"/v1/"}},
                                              {.name = "one", .url = "http://127.0.0.1:2", .paths = {"/v1/models/m"}}},
                                             {}, 1);
  CHECK(way(upstreams, "/v1/models/m") == "one /v1/models/m");
  CHECK(way(upstreams, "/v1/models/m/x") == "one /v1/models/m/x");
  CHECK(way(upstreams, "/v1/models/m:generateContent") == "one /v1/models/m:generateContent");
  CHECK(way(upstreams, "/v1/models/mm") == "all /v1/models/mm");
  CHECK(way(upstreams, "/v1") == "nowhere");
}
