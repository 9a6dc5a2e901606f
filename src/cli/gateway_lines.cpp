// Rows of a running gateway, by HTTP.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <optional>
#include <utility>

#include "cli/lines.hpp"
#include "cli/terminal.hpp"
#include "http/exchange.hpp"
#include "outlay/error.hpp"
#include "outlay/version.hpp"

namespace outlay::cli {

namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using http::detail::Connection;
using http::detail::Exchange;
using http::detail::Fault;
using http::detail::within;

constexpr const char* token_variable = "OUTLAY_ADMIN_TOKEN";

struct Reply {
  Fault fault{};
  int status = 0;
  std::string body{};
};

/// A token is one word: what a file has behind it, its line's end above all, is not of it.
std::string read_token(const std::filesystem::path& file) {
  if (file.empty()) {
    const char* value = std::getenv(token_variable);  // NOLINT(concurrency-mt-unsafe): there is one thread
    return value ? value : "";
  }
  std::ifstream in(file);
  std::string token;
  if (!(in >> token))
    throw Error(errc::storage,
                "\"" + printable(file.native()) +
                    "\" has no token, or cannot be read. Write the gateway's admin token into it, on one "
                    "line.");
  return token;
}

class GatewayLines final : public LineInput {
 public:
  GatewayLines(const std::string& url, const ReportFilter& filter, const std::filesystem::path& token_file)
      : url_(outlay::detail::parse_http_url(url, "the gateway's URL")), name_(printable(url)) {
    if (url_.query) throw ConfigError("the gateway's URL \"" + name_ + "\" has a query. Leave it out.");
    while (url_.path.ends_with('/')) url_.path.pop_back();
    if (!url_.path.ends_with("/outlay")) url_.path += "/outlay";
    token_ = read_token(token_file);
    if (!token_.empty() && !url_.tls && !url_.loopback())
      say("the admin token goes to " + printable(url_.authority()) +
          " unencrypted, since the URL begins with http://. Use https:// where others share the network.");
    if (url_.tls) tls_ = http::detail::make_tls_context({});
    const auto add = [&](const char* name, const std::optional<Time>& time) {
      if (time)
        query_ +=
            (query_.empty() ? "?" : "&") + std::string(name) + '=' + std::to_string(time->time_since_epoch().count());
    };
    // Which budgets there are is seen in all rows; the others are left out here, too.
    if (!filter.tags.find("budget")) add("since", filter.since), add("until", filter.until);
  }

  void read(const OnLine& on_line) override {
    for (bool more = true; more;) {
      const std::string body = get(url_.path + "/rows" + (next_.empty() ? query_ : "?next=" + next_));
      std::string line;
      std::size_t begin = 0;
      bool ended = false;
      for (std::size_t end = 0; (end = body.find('\n', begin)) != body.npos; begin = end + 1) {
        line.assign(body, begin, end - begin);
        if (end + 1 == body.size() && read_end(line, more)) {
          ended = true;
          break;
        }
        on_line(&line, ++lines_);
      }
      if (!ended) fail("what it answers is no page of rows. Check that the URL is a gateway's, of this version.");
    }
  }
  void restart() override {
    next_.clear();
    lines_ = 0;
  }
  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] bool complete() const override { return complete_; }
  // A gateway without a file looks through all that it has in memory.
  [[nodiscard]] std::chrono::milliseconds pause() const override { return std::chrono::seconds(2); }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw Error(errc::storage, "the gateway at \"" + name_ + "\" cannot be read: " + why);
  }

  bool read_end(const std::string& line, bool& more) {
    boost::system::error_code failed;
    const json::value value = json::parse(line, failed);
    const json::object* page = failed ? nullptr : value.if_object();
    const auto* type = page ? page->if_contains("type") : nullptr;
    if (!type || *type != "page") return false;
    const auto* next = page->if_contains("next");
    const auto* rest = page->if_contains("more");
    const auto* complete = page->if_contains("complete");
    if (!next || !next->is_string() || !rest || !rest->is_bool() || !complete || !complete->is_bool()) return false;
    next_ = next->get_string();
    more = rest->get_bool();
    complete_ = complete->get_bool();
    return true;
  }

  std::string get(const std::string& target) {
    Reply reply;
    std::exception_ptr error;
    // A connection that was kept may have been closed meanwhile. The same `next` is the same page, wherever the first answer to it broke.
    for (bool kept = connection_ != nullptr;; kept = false) {
      asio::co_spawn(io_, ask(target, reply), [&](std::exception_ptr thrown) { error = thrown; });
      io_.restart();
      io_.run();
      if (error) std::rethrow_exception(error);
      if (!kept || !reply.fault) break;
      reply = {};
    }
    if (reply.fault)
      fail(printable(reply.fault.what) + ". Check that the gateway runs, and the host and port of the URL.");
    if (reply.status != 200) refused(reply);
    return std::move(reply.body);
  }

  asio::awaitable<void> ask(const std::string& target, Reply& reply) {
    using std::chrono::seconds;
    const http::Timeouts timeouts{
        .connect = seconds(10), .first_byte = seconds(60), .idle = seconds(30), .total = seconds(300)};
    const http::SizeLimits limits{};
    std::unique_ptr<Connection> connection = std::move(connection_);
    if (!connection) {
      connection = std::make_unique<Connection>(io_.get_executor());
      reply.fault = co_await connection->connect(url_, tls_.get(), within(timeouts.connect));
      if (reply.fault) co_return;
    }
    namespace beast_http = boost::beast::http;
    beast_http::request<beast_http::empty_body> head(beast_http::verb::get, target, 11);
    head.set(beast_http::field::host, url_.authority());
    head.set(beast_http::field::user_agent, "outlay/" OUTLAY_VERSION_STRING);
    if (!token_.empty()) head.set(beast_http::field::authorization, "Bearer " + token_);
    Exchange exchange(std::move(connection), timeouts, limits, within(timeouts.total, "in all"));
    reply.fault = co_await exchange.send(http::detail::wire_text(std::move(head), {}));
    if (!reply.fault) reply.fault = co_await exchange.read_head();
    if (reply.fault) co_return;
    reply.status = exchange.head().status;
    for (std::string_view piece;;) {
      reply.fault = co_await exchange.read_some(piece);
      if (reply.fault) co_return;
      if (piece.empty()) break;
      reply.body += piece;
    }
    connection_ = exchange.finish();
  }

  [[noreturn]] void refused(const Reply& reply) const {
    if (reply.status == 401)
      fail(token_.empty() ? std::string("it asks for its admin token. Put it into the variable ") + token_variable +
                                ", or into a file for --token-file."
                          : "it does not know the admin token that it was sent. Check the variable or file that has "
                            "it: the gateway's admin_sha256 is its hash, as outlay keys hash prints it.");
    if (reply.status == 400 && !next_.empty())
      fail(
          "it does not know any more how far it was read, since it was started again, was not asked for over 10 "
          "minutes, or was read by many. Run the command again.");
    boost::system::error_code failed;
    const json::value body = json::parse(reply.body, failed);
    const json::value* message = failed ? nullptr : body.find_pointer("/error/message", failed);
    const std::string said = message && message->is_string() ? std::string(message->get_string()) : std::string();
    if (reply.status == 404 && said.find("rows") == said.npos)
      fail("there are no rows at its " + printable(url_.path) +
           "/rows. Check the URL: it is that of /outlay/, on the port of its own where there is one, of a gateway of "
           "this "
           "version that outlay serve has started." +
           (said.empty() ? "" : " It says: " + printable(shortened(said, 300))));
    fail("it answers " + std::to_string(reply.status) + (said.empty() ? "." : ": " + printable(shortened(said, 500))));
  }

  outlay::detail::Url url_;
  const std::string name_;
  std::string token_, query_, next_;
  asio::io_context io_{1};
  std::shared_ptr<asio::ssl::context> tls_;
  std::unique_ptr<Connection> connection_;
  std::uint64_t lines_ = 0;
  bool complete_ = true;
};

}  // namespace

std::unique_ptr<LineInput> open_gateway(const std::string& url, const ReportFilter& filter,
                                        const std::filesystem::path& token_file) {
  return std::make_unique<GatewayLines>(url, filter, token_file);
}

}  // namespace outlay::cli
