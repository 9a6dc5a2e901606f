#include "gateway/routes.hpp"

#include <algorithm>
#include <utility>

#include "core/base/percent.hpp"

namespace outlay::gateway::detail {

namespace {

/// No segment that a server might resolve to another path than the one that is looked at here.
bool plain_path(std::string_view path) {
  if (!path.starts_with('/') || path.find("//") != path.npos || path.find('\\') != path.npos) return false;
  for (std::size_t begin = 1; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::optional<std::string> segment = outlay::detail::percent_decoded(path.substr(begin, end - begin));
    if (!segment || *segment == "." || *segment == ".." || segment->find('\\') != segment->npos) return false;
    begin = end + 1;
  }
  return true;
}

/// What costs nothing at every provider that has it.
bool is_free(std::string_view method, std::string_view path) {
  const bool reads = method == "GET" || method == "HEAD";
  std::string decoded;
  if (reads && path.find('%') != path.npos) {
    // The slash of a model's name, say. What a server may then read as another path is none of these.
    std::optional<std::string> whole = outlay::detail::percent_decoded(path);
    if (!whole || !plain_path(*whole)) return false;
    path = decoded = std::move(*whole);
  }
  const bool simple = std::all_of(path.begin(), path.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/-._:@").find(c) != std::string_view::npos;
  });
  if (!simple) return false;
  const auto ends = [&](std::string_view tail) { return path.ends_with(tail); };
  const auto below = [&](std::string_view part) { return path.find(part) != path.npos; };
  // Ollama says at its root that it runs, and its own program asks for the head of that before each command (Heartbeat in api/client.go of
  // github.com/ollama/ollama).
  if (reads)
    return path.empty() || path == "/" || ends("/models") || below("/models/") || ends("/files") || below("/files/") ||
           below("/responses/") || ends("/api/tags") || ends("/api/ps") || ends("/api/version");
  if (method == "DELETE") return below("/files/") || below("/responses/");
  if (method == "POST")
    return ends("/count_tokens") || ends(":countTokens") || ends("/input_tokens") || ends("/files") ||
           ends("/moderations") || ends("/api/show") || (below("/responses/") && ends("/cancel"));
  return false;
}

/// Whole segments of the path: `/v1/embed` is not the beginning of `/v1/embeddings`.
bool begins_with(std::string_view path, std::string_view beginning) {
  if (!path.starts_with(beginning)) return false;
  if (beginning.ends_with('/') || path.size() == beginning.size()) return true;
  const char next = path[beginning.size()];
  return next == '/' || next == ':';
}

struct Range {
  std::size_t begin = 0;
  std::size_t size = 0;
};

/// Where the path names its model.
Range model_range(Api api, std::string_view path) {
  const auto between = [&](std::string_view head, std::string_view tail) -> Range {
    const std::size_t at = path.rfind(head);
    if (at == path.npos) return {};
    const std::size_t begin = at + head.size();
    const std::size_t end = path.find(tail, begin);
    return end == path.npos ? Range{} : Range{begin, end - begin};
  };
  if (api == Api::gemini || api == Api::gemini_embeddings) return between("/models/", ":");
  if (api == Api::bedrock_converse) return between("/model/", "/");
  if (api == Api::azure_chat) return between("/deployments/", "/");
  return {};
}

}  // namespace

std::optional<Route> find_route(const Upstreams& upstreams, std::string_view method, std::string_view target,
                                std::string& why) {
  Route route;
  const std::size_t question = target.find('?');
  route.path = target.substr(0, question);
  if (question != target.npos) route.query = target.substr(question);
  if (!plain_path(route.path)) {
    why = "The path must begin with one /, without empty, \".\" or \"..\" segments.";
    return std::nullopt;
  }
  std::string_view rest = route.path;
  if (rest.starts_with("/to/")) {
    rest.remove_prefix(4);
    const std::string_view name = rest.substr(0, rest.find('/'));
    for (const auto& one : upstreams)
      if (one->options.name == name) route.upstream = one.get();
    rest.remove_prefix(name.size());
  } else {
    std::size_t longest = 0;
    for (const auto& one : upstreams)
      for (const std::string& path : one->options.paths)
        if (path.size() > longest && begins_with(rest, path)) {
          longest = path.size();
          route.upstream = one.get();
        }
  }
  if (!route.upstream) {
    why = "No upstream has this path. Write /to/<name>/... with one of";
    for (const auto& one : upstreams) why += ' ' + one->options.name;
    why += '.';
    return std::nullopt;
  }
  route.to = route.upstream->path_of(rest);
  route.free = is_free(method, route.to);
  return route;
}

std::optional<Api> api_of(const Route& route, std::string_view method, const boost::json::value& body) {
  if (method != "POST") return std::nullopt;
  return Api::detect(route.upstream->origin + route.to, body);
}

std::string model_in_path(Api api, std::string_view path) {
  const Range range = model_range(api, path);
  return outlay::detail::percent_decoded(path.substr(range.begin, range.size)).value_or(std::string());
}

std::string Route::target(std::optional<Api> api, std::string_view model) const {
  std::string asked = to;
  if (api)
    if (const Range range = model_range(*api, asked);
        range.size != 0 && !model.empty() && model_in_path(*api, asked) != model)
      asked.replace(range.begin, range.size, outlay::detail::percent_encoded(model, "-._~"));
  return (asked.empty() ? "/" : asked) + query;
}

bool listed(const std::vector<std::string>& patterns, std::string_view method, std::string_view path) {
  return std::any_of(patterns.begin(), patterns.end(), [&](std::string_view pattern) {
    if (!pattern.starts_with(method) || pattern.substr(method.size(), 1) != " ") return false;
    pattern.remove_prefix(method.size() + 1);
    if (!pattern.ends_with('*')) return pattern == path;
    return path.starts_with(pattern.substr(0, pattern.size() - 1));
  });
}

}  // namespace outlay::gateway::detail
