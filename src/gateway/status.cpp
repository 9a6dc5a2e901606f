#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/decimal.hpp"
#include "core/base/json_writer.hpp"
#include "core/base/percent.hpp"
#include "gateway/desk.hpp"
#include "gateway/head.hpp"
#include "gateway/relay.hpp"
#include "outlay/ledger.hpp"
#include "outlay/report.hpp"

namespace outlay::gateway::detail {

namespace asio = boost::asio;
using outlay::detail::JsonWriter;

namespace {

Answer text_answer(std::string body, const char* type) {
  Answer answer{.status = 200, .body = std::move(body)};
  answer.fields.emplace_back("Content-Type", type);
  answer.fields.emplace_back("Cache-Control", "no-store");
  answer.fields.emplace_back("X-Content-Type-Options", "nosniff");
  return answer;
}

void write_row(JsonWriter& json, const ReportRow& row) {
  json.begin_object().key("tags").tags(row.tags).key("usd").text(outlay::detail::decimal_usd(row.usd));
  json.key("calls").number(row.calls).key("input_tokens").number(row.usage.input_total());
  json.key("output_tokens").number(row.usage.output).key("refused_calls").number(row.blocked_calls).end_object();
}

std::string report_json(const Ledger& ledger, std::string_view query) {
  std::vector<std::string> by;
  if (query.starts_with("?by=")) {
    std::string_view list = query.substr(4);
    while (!list.empty() && by.size() < 8) {
      const std::string_view word = list.substr(0, list.find(','));
      list.remove_prefix(std::min(list.size(), word.size() + 1));
      if (!word.empty()) by.push_back(outlay::detail::percent_decoded(word).value_or(std::string(word)));
    }
  }
  const Report report = ledger.report(by);
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("complete").boolean(report.complete()).key("total");
  write_row(json, report.total());
  json.key("rows").begin_array();
  for (const ReportRow& row : report) write_row(json, row);
  json.end_array().end_object();
  return out + "\n";
}

/// Not ready is a gateway that stops, and one whose calls are refused since a store does not answer, or has lost what was spent.
Answer ready_json(Server& server, const Ledger& ledger) {
  const LedgerScope books(ledger);  // whose clock says whether what was lost would count any more
  const std::string missing = server.readiness.missing_store(ledger);  // it asks them: so a loss is found, too
  const char* status = missing.empty() ? "ready" : "store_unavailable";
  std::string lost;
  JsonWriter list(lost);
  list.begin_array();
  bool any = false;
  for (const std::shared_ptr<Store>& store : stores_of(ledger)) {
    const std::optional<Time> until = store->losses().until;
    if (!until) continue;
    any = true;
    if (missing.empty() && store->options().on_unreachable.kind() == OnUnreachable::Kind::deny)
      status = "store_lost_data";
    list.begin_object().key("store").text(store->description()).key("until");
    if (*until == Time::max())
      list.raw("null");
    else
      list.text(to_iso8601(*until));
    list.end_object();
  }
  list.end_array();
  if (server.stopping) status = "stopping";
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("status").text(status);
  if (!missing.empty()) json.key("store").text(missing);
  if (any) json.key("lost_data").raw(lost);
  json.end_object();
  Answer answer = json_answer(out + "\n");
  if (status != std::string_view("ready")) answer.status = 503;
  return answer;
}

Answer call_json(const Ledger& ledger, std::string_view id) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  const bool valid = error == std::errc() && end == id.data() + id.size();
  const std::optional<Record> found = valid ? ledger.record(number) : std::nullopt;
  if (!found)
    return error_answer(std::nullopt, 404, "not_found",
                        "No call of this number has ended, or its record is no longer in memory.");
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("call").number(found->call_id).key("status").text(to_string(found->status));
  json.key("model").text(found->model).key("usd").text(outlay::detail::decimal_usd(found->usd));
  json.key("input_tokens").number(found->usage.input_total()).key("output_tokens").number(found->usage.output);
  json.key("tags").tags(found->tags).key("budgets").texts(found->budgets).end_object();
  return json_answer(out + "\n");
}

/// The password of `Authorization: Basic`, which a browser asks its user for; empty where there is none.
std::string basic_password(std::string_view field) {
  constexpr std::string_view basic = "Basic ";
  constexpr std::size_t most = 1'024;
  if (field.size() < basic.size() || field.size() > most || !same_word(field.substr(0, basic.size()), basic)) return {};
  const std::string text(field.substr(basic.size()));
  std::string plain(text.size() / 4 * 3 + 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(plain.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return {};
  plain.resize(static_cast<std::size_t>(size));
  // The padding is decoded as zeros.
  while (!plain.empty() && plain.back() == '\0') plain.pop_back();
  const std::size_t colon = plain.find(':');
  return colon == plain.npos ? std::string() : plain.substr(colon + 1);
}

/// Whether a Host names this machine by what no name server has said: an address, or localhost. Any other may be a web site's, whose name has been
/// made to lead here.
bool is_address(std::string_view host) {
  if (const std::size_t colon = host.rfind(':'); colon != host.npos && host.find(']', colon) == host.npos)
    host = host.substr(0, colon);
  if (same_word(host, "localhost")) return true;
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  boost::system::error_code error;
  asio::ip::make_address(std::string(host), error);
  return !error;
}

constexpr std::string_view calls_path = "/outlay/calls/", caps_path = "/outlay/caps";

bool is_change(std::string_view path) {
  for (const char* verb : {"raise", "lower", "close", "reopen", "adjust"})
    if (path == std::string(caps_path) + "/" + verb) return true;
  return false;
}

}  // namespace

Answer json_answer(std::string body) { return text_answer(std::move(body), "application/json"); }

std::optional<Answer> Relay::status_refusal(std::string_view path) const {
  const bool changes = is_change(path);
  if (request_.method != (changes ? "POST" : "GET") && (changes || request_.method != "HEAD")) {
    Answer wrong =
        error_answer(std::nullopt, 405, "invalid_request", changes ? "Send it by POST." : "Only GET is answered here.");
    wrong.fields.emplace_back("Allow", changes ? "POST" : "GET");
    return wrong;
  }
  if (path == "/outlay/health" || path == "/outlay/ready") return std::nullopt;
  if (settings_->options.admin_port && !admin_)
    return error_answer(std::nullopt, 404, "not_found",
                        "Here are /outlay/health and /outlay/ready; the rest of /outlay/ has a port of its own.");
  const std::string& token = settings_->options.admin_sha256;
  if (token.empty() && (changes || !settings_->keys.empty()))
    return error_answer(std::nullopt, 403, "forbidden", "Set admin_sha256 in the configuration to be answered here.");
  if (token.empty() && !is_address(request_.field("host")))
    return error_answer(
        std::nullopt, 403, "forbidden",
        "Without admin_sha256 this is answered to localhost and to an address alone, since a web site could "
        "read it by a name of its own. Ask for 127.0.0.1, or set admin_sha256.");
  if (token.empty()) return std::nullopt;
  // What a browser sends by itself changes nothing: another site may have told it to.
  const std::string password = changes ? std::string() : basic_password(request_.field("authorization"));
  if (hash_of_key(password.empty() ? presented_key(request_, {}) : password) == token) return std::nullopt;
  Answer refused =
      error_answer(std::nullopt, 401, "unauthorized", "Send the admin token as \"Authorization: Bearer TOKEN\".");
  if (path == "/outlay/") refused.fields.emplace_back("WWW-Authenticate", "Basic realm=\"outlay\", charset=\"UTF-8\"");
  return refused;
}

asio::awaitable<void> Relay::status(std::string_view path, std::string_view query) {
  if (std::optional<Answer> refused = status_refusal(path)) {
    co_await answer(std::move(*refused), "refused");
    co_return;
  }
  if (path == "/outlay/health") {
    co_await answer(json_answer("{\"status\":\"ok\"}\n"), "answered");
    co_return;
  }
  // By value: the work may outlive this request, but not the server.
  const Desk::Work work = [&server = server_, settings = settings_, ledger = Ledger::current(),
                           asked = std::string(path), details = std::string(query), body = request_.body] {
    return status_answer(server, settings->options, ledger, asked, details, body);
  };
  Answer made = co_await server_.desk.run(work);
  co_await answer(std::move(made), "answered");
}

Answer status_answer(Server& server, const GatewayOptions& options, const Ledger& ledger, std::string_view path,
                     std::string_view query, std::string_view body) {
  if (path == "/outlay/ready") return ready_json(server, ledger);
  if (path == "/outlay/metrics")
    return text_answer(metrics_text(server, ledger), "text/plain; version=0.0.4; charset=utf-8");
  if (path == "/outlay/report") return json_answer(report_json(ledger, query));
  if (path == caps_path) return list_caps(server.counters, ledger);
  if (is_change(path)) return change_cap(server.counters, ledger, path.substr(caps_path.size() + 1), body);
  if (path.starts_with(calls_path)) return call_json(ledger, path.substr(calls_path.size()));
  if (path == "/outlay/" && options.page) return text_answer(options.page(), "text/html; charset=utf-8");
  if (path == "/outlay/rows" && options.rows) return text_answer(options.rows(query), "application/x-ndjson");
  return error_answer(
      std::nullopt, 404, "not_found",
      std::string("Below /outlay/ there are ") + (options.page ? "the page at /outlay/, " : "") +
          (options.rows ? "rows, " : "") +
          "health, ready, metrics, report?by=..., calls/<id>, and caps with raise, lower, close, reopen "
          "and adjust.");
}

}  // namespace outlay::gateway::detail
