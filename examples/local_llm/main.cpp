// A small language-model server: OpenAI's Chat Completions over HTTP/1.1 and SSE, on the loopback address
// alone.
//
// It stands where a provider would, so that the examples and tests of this library run without a key and
// without a bill. It knows no more than a few sentences, but counts what it reads and writes, takes its time,
// honours ceilings, and fails when asked to. Needs Boost alone (Asio, Beast, JSON).

#include <unistd.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <exception>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "language.hpp"

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace json = boost::json;
using local_llm::Answer;
using local_llm::Behaviour;
using Response = http::response<http::string_body>;
using Request = http::request<http::string_body>;

constexpr std::size_t most_body_bytes = 4 << 20;
constexpr std::uint32_t most_header_bytes = 16 << 10;
constexpr std::int64_t most_choices = 8;
constexpr std::int64_t endless_limit = 200'000;  // pieces; nothing here runs for ever
constexpr std::chrono::seconds idle_limit{60};

constexpr std::string_view help = R"(usage: local_llm [options]

  --port N             port on 127.0.0.1; 0 (default) takes a free one. The first line says which:
                       listening on 127.0.0.1:PORT
  --ms-per-token N     how long one piece of an answer takes; default 15
  --key KEY            ask for "Authorization: Bearer KEY"; anything else is answered 401
  --misbehave WORDS    do to every request what WORDS say (below)
  --exit-with-stdin    end when standard input reaches its end, as it does when the process that started this one ends
  --quiet              no line for each request
  --help

It answers POST /v1/chat/completions (also with stream and stream_options.include_usage, n, max_completion_tokens or max_tokens, tools),
GET /v1/models and GET /stats. SIGTERM and SIGINT end it; its last line then counts what it did.

WORDS, joined by commas, may also be sent in the header "x-local-llm" or as [[WORDS]] in the last user message:

  status=N             answer with HTTP status N (400..599); 429 and 503 carry Retry-After
  retry_after=S        its seconds; default 1
  close_after=N        cut the connection after N pieces of the answer
  stall_after=N        fall silent after N pieces, with the connection open
  silent               never answer
  no_usage             leave the usage out
  malformed            answer 200 with bytes that are no JSON
  tokens=N             an answer of N pieces; tokens=endless: until the ceiling, or until the client hangs up
  first=N              only for the first N requests; then behave
)";

struct Options {
  std::uint16_t port = 0;
  std::chrono::milliseconds per_token{15};
  std::string key{};
  Behaviour behaviour{};
  bool exit_with_stdin = false;
  bool quiet = false;
};

struct Stats {
  std::uint64_t connections = 0;
  std::uint64_t requests = 0;
  std::uint64_t streams = 0;
  std::uint64_t closed_by_client = 0;  // before the answer was complete
  std::uint64_t refused = 0;           // answered with 4xx or 5xx
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;

  [[nodiscard]] json::object to_json() const {
    return {{"connections", connections},
            {"requests", requests},
            {"streams", streams},
            {"refused", refused},
            {"closed_by_client", closed_by_client},
            {"input_tokens", input_tokens},
            {"output_tokens", output_tokens}};
  }
};

json::object error_body(unsigned status, std::string_view message, std::string_view code) {
  const char* type = status == 401   ? "authentication_error"
                     : status == 429 ? "rate_limit_error"
                     : status >= 500 ? "server_error"
                                     : "invalid_request_error";
  return {{"error", {{"message", message}, {"type", type}, {"param", nullptr}, {"code", code}}}};
}

/// What a request asks for, checked.
struct Wish {
  std::string model{};
  std::int64_t choices = 1;
  std::int64_t ceiling = std::numeric_limits<std::int64_t>::max();
  bool stream = false;
  bool include_usage = false;
};

/// The value of a positive integer member; nothing if it is absent or null. A bad one sets `problem`.
std::optional<std::int64_t> positive(const json::object& request, std::string_view key, std::string& problem) {
  const json::value* value = request.if_contains(key);
  if (!value || value->is_null()) return {};
  boost::system::error_code ignored;
  const auto number = value->is_number() ? value->to_number<std::int64_t>(ignored) : 0;
  if (ignored || number < 1) {
    problem = "'" + std::string(key) + "' must be an integer of at least 1.";
    return {};
  }
  return number;
}

/// Empty, or what is wrong with the request.
std::string read_wish(const json::object& request, Wish& wish) {
  const json::value* model = request.if_contains("model");
  if (!model || !model->is_string() || model->get_string().empty()) return "'model' must be a string.";
  wish.model = model->get_string();
  const json::value* messages = request.if_contains("messages");
  if (!messages || !messages->is_array() || messages->get_array().empty())
    return "'messages' must be an array with a message.";
  std::string problem;
  const auto modern = positive(request, "max_completion_tokens", problem);
  const auto legacy = positive(request, "max_tokens", problem);
  if (modern && legacy) return "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
  if (modern || legacy) wish.ceiling = modern ? *modern : *legacy;
  wish.choices = positive(request, "n", problem).value_or(1);
  if (wish.choices > most_choices) return "'n' must be at most 8.";
  if (const json::value* stream = request.if_contains("stream")) wish.stream = *stream == true;
  if (const json::value* options = request.if_contains("stream_options"); options && options->is_object()) {
    if (!wish.stream) return "'stream_options' is only allowed with 'stream'.";
    const json::value* usage = options->get_object().if_contains("include_usage");
    wish.include_usage = usage && *usage == true;
  }
  return problem;
}

/// Tells when the peer hangs up while we are busy writing, or waiting.
class Hangup : public std::enable_shared_from_this<Hangup> {
 public:
  Hangup(asio::ip::tcp::socket& socket, asio::steady_timer& wake) : socket_(socket), wake_(wake) {}
  void watch() {
    socket_.async_wait(asio::ip::tcp::socket::wait_read,
                       [self = shared_from_this()](const boost::system::error_code& error) {
                         if (error || self->done_) return;
                         char byte{};
                         boost::system::error_code gone;
                         const std::size_t got =
                             self->socket_.receive(asio::buffer(&byte, 1), asio::ip::tcp::socket::message_peek, gone);
                         if (got > 0) return;  // the next request, sent early: the client is still there
                         self->seen_ = true;
                         self->wake_.cancel();
                       });
  }
  [[nodiscard]] bool seen() const noexcept { return seen_; }
  void stop() noexcept { done_ = true; }

 private:
  asio::ip::tcp::socket& socket_;
  asio::steady_timer& wake_;
  bool seen_ = false;
  bool done_ = false;
};

class Server {
 public:
  Server(asio::io_context& io, Options options)
      : io_(io), options_(std::move(options)), acceptor_(io, {asio::ip::address_v4::loopback(), options_.port}) {}

  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  [[nodiscard]] const Stats& stats() const noexcept { return stats_; }

  asio::awaitable<void> run() {
    for (;;) {
      boost::system::error_code error;
      asio::ip::tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
      if (error == asio::error::operation_aborted) co_return;
      if (error) {  // out of descriptors, mostly: give the running connections time to end
        asio::steady_timer breath(io_, std::chrono::milliseconds(50));
        co_await breath.async_wait(asio::use_awaitable);
        continue;
      }
      ++stats_.connections;
      asio::co_spawn(io_, serve(beast::tcp_stream(std::move(socket))), asio::detached);
    }
  }

 private:
  asio::awaitable<void> serve(beast::tcp_stream stream) {
    stream.socket().set_option(asio::ip::tcp::no_delay(true));
    beast::flat_buffer buffer;
    for (;;) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(most_body_bytes);
      parser.header_limit(most_header_bytes);
      stream.expires_after(idle_limit);
      boost::system::error_code error;
      co_await http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
      if (error == http::error::body_limit || error == http::error::header_limit) {
        Response reply = failure(413, "The request is too large.", "request_too_large");
        reply.keep_alive(false);
        co_await send(stream, reply, error);
      } else if (error == http::error::bad_method || error == http::error::bad_version ||
                 error == http::error::bad_target || error == http::error::bad_line_ending ||
                 error == http::error::bad_field || error == http::error::bad_value) {
        Response reply = failure(400, "This is not HTTP.", "bad_request");
        reply.keep_alive(false);
        co_await send(stream, reply, error);
      } else if (!error) {
        stream.expires_never();
        Request request = parser.release();
        const bool keep = co_await answer(stream, request);
        if (keep && request.keep_alive()) continue;
      }
      boost::system::error_code ignored;
      stream.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
      co_return;
    }
  }

  /// False when the connection is to be closed.
  asio::awaitable<bool> answer(beast::tcp_stream& stream, const Request& request) {
    boost::system::error_code error;
    const std::string_view target(request.target().data(), request.target().size());
    const std::string_view path = target.substr(0, target.find('?'));
    if (path == "/stats" || path == "/v1/models") {
      Response reply = request.method() == http::verb::get
                           ? (path == "/stats" ? success(stats_.to_json()) : success(models()))
                           : failure(405, "Only GET is allowed here.", "method_not_allowed");
      co_await send(stream, reply, error);
      co_return !error;
    }
    const std::uint64_t number = ++stats_.requests;
    Response refusal;
    if (path != "/v1/chat/completions") {
      refusal = failure(404, "Unknown path. This server has POST /v1/chat/completions.", "not_found");
    } else if (request.method() != http::verb::post) {
      refusal = failure(405, "Only POST is allowed here.", "method_not_allowed");
    } else if (!options_.key.empty() && request[http::field::authorization] != "Bearer " + options_.key) {
      refusal = failure(401, "Incorrect API key provided.", "invalid_api_key");
    }
    if (refusal.result_int() != 200) {
      log(number, "", refusal.result_int(), "");
      co_await send(stream, refusal, error);
      co_return !error;
    }

    boost::system::error_code malformed;
    const json::value parsed = json::parse(request.body(), malformed);
    const json::object* body = malformed ? nullptr : parsed.if_object();
    Wish wish;
    const std::string problem = body ? read_wish(*body, wish) : "The body is not a JSON object.";
    Behaviour behaviour = options_.behaviour;
    bool understood = true;
    if (problem.empty()) {
      if (const auto header = request.find("x-local-llm"); header != request.end())
        understood = local_llm::parse_behaviour({header->value().data(), header->value().size()}, behaviour);
      const std::string text = local_llm::last_user_text(*body);
      const std::size_t open = text.find("[[");
      const std::size_t close = open == text.npos ? text.npos : text.find("]]", open);
      if (close != text.npos)
        understood = understood &&
                     local_llm::parse_behaviour(std::string_view(text).substr(open + 2, close - open - 2), behaviour);
    }
    if (!problem.empty() || !understood) {
      refusal =
          failure(400, problem.empty() ? "Unknown words in x-local-llm or [[...]]; see local_llm --help." : problem,
                  "invalid_value");
      log(number, wish.model, 400, "");
      co_await send(stream, refusal, error);
      co_return !error;
    }
    if (behaviour.first && number > *behaviour.first) {
      const std::optional<std::int64_t> tokens = behaviour.tokens;
      behaviour = {};
      behaviour.tokens = tokens;
    }
    if (behaviour.status) {
      Response reply = failure(*behaviour.status, "This server was asked to fail.", "asked_to_fail");
      if (behaviour.retry_after || *behaviour.status == 429 || *behaviour.status == 503)
        reply.set(http::field::retry_after, std::to_string(behaviour.retry_after.value_or(1)));
      log(number, wish.model, *behaviour.status, "asked to");
      co_await send(stream, reply, error);
      co_return !error;
    }
    Generation generation(*this, stream, wish, *body, behaviour, number);
    const bool keep = co_await generation.run();
    co_return keep;
  }

  /// The making of one answer.
  class Generation {
   public:
    Generation(Server& server, beast::tcp_stream& stream, const Wish& wish, const json::object& request,
               const Behaviour& behaviour, std::uint64_t number)
        : server_(server),
          stream_(stream),
          wish_(wish),
          behaviour_(behaviour),
          number_(number),
          answer_(local_llm::answer(request, behaviour)),
          input_tokens_(local_llm::count_input(request)),
          id_("chatcmpl-local-" + std::to_string(number)),
          created_(static_cast<std::int64_t>(std::time(nullptr))),
          timer_(server.io_),
          hangup_(std::make_shared<Hangup>(stream.socket(), timer_)) {
      length_ = answer_.endless ? endless_limit : static_cast<std::int64_t>(answer_.pieces.size());
      finish_reason_ = answer_.tool.empty() ? "stop" : "tool_calls";
      if (answer_.endless || wish.ceiling < length_) finish_reason_ = "length";
      length_ = std::min(length_, wish.ceiling);
    }

    asio::awaitable<bool> run() {
      server_.stats_.input_tokens += input_tokens_;
      hangup_->watch();
      bool keep = false;
      if (behaviour_.silent) {
        co_await silence();
      } else if (wish_.stream) {
        ++server_.stats_.streams;
        keep = co_await stream();
      } else {
        keep = co_await whole();
      }
      hangup_->stop();
      if (keep) {
        boost::system::error_code ignored;
        stream_.socket().cancel(ignored);  // the wait for a hang-up; the next request is read anew
      }
      const bool cut = !keep && hangup_->seen();
      if (cut) ++server_.stats_.closed_by_client;
      server_.log(number_, wish_.model, 200,
                  std::to_string(input_tokens_) + " in, " + std::to_string(written_) + " out" +
                      (cut    ? ", the client hung up"
                       : keep ? ""
                              : ", cut off as asked"));
      co_return keep;
    }

   private:
    /// Waits for the next piece. False when the client has gone.
    asio::awaitable<bool> pause(std::chrono::milliseconds time) {
      if (hangup_->seen()) co_return false;
      timer_.expires_after(time);
      boost::system::error_code error;
      co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, error));
      co_return !hangup_->seen();
    }
    asio::awaitable<void> silence() {
      bool there = true;  // not in the loop's condition: g++ 12 at -O0 makes a trap of `while (co_await ...) {}`
      while (there) there = co_await pause(std::chrono::hours(1));
    }
    asio::awaitable<bool> write(std::string text, bool chunked) {
      boost::system::error_code error;
      if (chunked) {
        const asio::const_buffer bytes = asio::buffer(text);
        const auto chunk = http::make_chunk(bytes);
        co_await asio::async_write(stream_, chunk, asio::redirect_error(asio::use_awaitable, error));
      } else {
        const asio::const_buffer bytes = asio::buffer(text);
        co_await asio::async_write(stream_, bytes, asio::redirect_error(asio::use_awaitable, error));
      }
      if (error) hung_up();
      co_return !error;
    }
    void hung_up() {
      if (!hangup_->seen()) ++server_.stats_.closed_by_client;
    }

    const std::string& piece(std::int64_t index) const {
      return answer_.pieces[static_cast<std::size_t>(index) % answer_.pieces.size()];
    }
    json::object usage() const {
      return {{"prompt_tokens", input_tokens_},
              {"completion_tokens", written_},
              {"total_tokens", input_tokens_ + written_},
              {"prompt_tokens_details", {{"cached_tokens", 0}}},
              {"completion_tokens_details", {{"reasoning_tokens", 0}}}};
    }
    json::object frame(const char* object, json::array choices) const {
      return {{"id", id_},
              {"object", object},
              {"created", created_},
              {"model", local_llm::served_model(wish_.model)},
              {"service_tier", "default"},
              {"choices", std::move(choices)}};
    }
    std::string event(json::array choices, json::value usage) const {
      json::object chunk = frame("chat.completion.chunk", std::move(choices));
      if (wish_.include_usage && !behaviour_.no_usage) chunk["usage"] = std::move(usage);
      return "data: " + json::serialize(chunk) + "\n\n";
    }
    json::object delta(std::int64_t choice, json::object content, json::value finish = nullptr) const {
      return {{"index", choice},
              {"delta", std::move(content)},
              {"logprobs", nullptr},
              {"finish_reason", std::move(finish)}};
    }
    json::object text_delta(std::int64_t index) const {
      if (answer_.tool.empty()) return {{"content", piece(index)}};
      json::object call{{"index", 0}, {"function", {{"arguments", piece(index)}}}};
      if (index == 0) {
        call["id"] = answer_.tool_call_id;
        call["type"] = "function";
        call["function"].as_object()["name"] = answer_.tool;
      }
      return {{"tool_calls", json::array{std::move(call)}}};
    }
    bool stop_here(std::int64_t index) const {
      return (behaviour_.close_after && index >= *behaviour_.close_after) ||
             (behaviour_.stall_after && index >= *behaviour_.stall_after);
    }
    /// Cuts the connection, or says nothing more.
    asio::awaitable<bool> break_off() {
      if (behaviour_.close_after) {
        hangup_->stop();
        boost::system::error_code ignored;
        stream_.socket().close(ignored);
      } else {
        co_await silence();
      }
      co_return false;
    }

    asio::awaitable<bool> stream() {
      http::response<http::empty_body> head{http::status::ok, 11};
      head.set(http::field::content_type, "text/event-stream; charset=utf-8");
      head.set(http::field::cache_control, "no-cache");
      head.set("x-request-id", id_);
      head.chunked(true);
      http::response_serializer<http::empty_body> serializer(head);
      boost::system::error_code error;
      co_await http::async_write_header(stream_, serializer, asio::redirect_error(asio::use_awaitable, error));
      if (error) {
        hung_up();
        co_return false;
      }
      if (behaviour_.malformed) {
        if (!co_await write("data: {\"choices\": [{\"delta\": {\"content\": \"Hel\n\n", true)) co_return false;
      }
      for (std::int64_t choice = 0; choice < wish_.choices; ++choice) {
        std::string text = event({delta(choice, {{"role", "assistant"}, {"content", ""}})}, nullptr);
        if (!co_await write(std::move(text), true)) co_return false;
      }
      for (std::int64_t index = 0; index <= length_; ++index) {
        if (stop_here(index)) co_return co_await break_off();
        if (index == length_) break;
        if (!co_await pause(server_.options_.per_token)) co_return false;
        for (std::int64_t choice = 0; choice < wish_.choices; ++choice) {
          std::string text = event({delta(choice, text_delta(index))}, nullptr);
          ++written_, ++server_.stats_.output_tokens;
          if (!co_await write(std::move(text), true)) co_return false;
        }
      }
      std::string tail;
      for (std::int64_t choice = 0; choice < wish_.choices; ++choice)
        tail += event({delta(choice, {}, json::value(finish_reason_))}, nullptr);
      if (wish_.include_usage && !behaviour_.no_usage) tail += event({}, usage());
      tail += "data: [DONE]\n\n";
      if (!co_await write(std::move(tail), true)) co_return false;
      co_return co_await write("0\r\n\r\n", false);
    }

    asio::awaitable<bool> whole() {
      for (std::int64_t index = 0; index <= length_; ++index) {
        if (stop_here(index)) {
          if (behaviour_.close_after && index > 0) {  // a head that promises more than will come
            if (!co_await write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                                "4096\r\n\r\n{\"id\":",
                                false))
              co_return false;
          }
          co_return co_await break_off();
        }
        if (index == length_) break;
        if (!co_await pause(server_.options_.per_token)) co_return false;
        written_ += wish_.choices;
        server_.stats_.output_tokens += wish_.choices;
      }
      std::string text;
      for (std::int64_t index = 0; index < length_; ++index) text += piece(index);
      json::object message{{"role", "assistant"}, {"content", nullptr}, {"refusal", nullptr}};
      if (answer_.tool.empty()) {
        message["content"] = text;
      } else {
        message["tool_calls"] = json::array{{{"id", answer_.tool_call_id},
                                             {"type", "function"},
                                             {"function", {{"name", answer_.tool}, {"arguments", text}}}}};
      }
      json::array choices;
      for (std::int64_t choice = 0; choice < wish_.choices; ++choice)
        choices.push_back(
            {{"index", choice}, {"message", message}, {"logprobs", nullptr}, {"finish_reason", finish_reason_}});
      json::object reply = frame("chat.completion", std::move(choices));
      if (!behaviour_.no_usage) reply["usage"] = usage();
      Response response = success(reply);
      if (behaviour_.malformed) response.body() = "{\"id\": \"" + id_ + "\", \"usage\": {\"prompt_tok";
      response.set("x-request-id", id_);
      boost::system::error_code error;
      co_await server_.send(stream_, response, error);
      if (error) hung_up();
      co_return !error;
    }

    Server& server_;
    beast::tcp_stream& stream_;
    const Wish& wish_;
    const Behaviour& behaviour_;
    std::uint64_t number_;
    Answer answer_;
    std::int64_t input_tokens_;
    std::string id_;
    std::int64_t created_;
    asio::steady_timer timer_;
    std::shared_ptr<Hangup> hangup_;
    std::int64_t length_ = 0;
    std::int64_t written_ = 0;
    std::string finish_reason_{};
  };

  asio::awaitable<void> send(beast::tcp_stream& stream, Response& reply, boost::system::error_code& error) {
    if (reply.result_int() >= 400) ++stats_.refused;
    reply.prepare_payload();
    stream.expires_after(idle_limit);
    co_await http::async_write(stream, reply, asio::redirect_error(asio::use_awaitable, error));
    stream.expires_never();
  }

  static Response success(const json::object& body) {
    Response reply{http::status::ok, 11};
    reply.set(http::field::content_type, "application/json");
    reply.body() = json::serialize(body);
    return reply;
  }
  static Response failure(unsigned status, std::string_view message, std::string_view code) {
    Response reply{static_cast<http::status>(status), 11};
    reply.set(http::field::content_type, "application/json");
    reply.body() = json::serialize(error_body(status, message, code));
    return reply;
  }
  static json::object models() {
    json::array list;
    for (const char* name : {"gpt-4o", "gpt-4o-mini"})
      list.push_back({{"id", name}, {"object", "model"}, {"created", 0}, {"owned_by", "local_llm"}});
    return {{"object", "list"}, {"data", std::move(list)}};
  }

  void log(std::uint64_t number, const std::string& model, unsigned status, const std::string& rest) const {
    if (options_.quiet) return;
    std::cout << '#' << number << ' ' << status << (model.empty() ? "" : " ") << model << (rest.empty() ? "" : ": ")
              << rest << '\n'
              << std::flush;
  }

  asio::io_context& io_;
  Options options_;
  asio::ip::tcp::acceptor acceptor_;
  Stats stats_;
};

[[noreturn]] void usage_error(const std::string& problem) {
  std::cerr << "local_llm: " << problem << "\n\n" << help;
  std::exit(2);
}

template <class T>
T read_number(const std::string& option, std::string_view text, T most) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > most)
    usage_error(option + " needs a number of at most " + std::to_string(most));
  return value;
}

Options read_options(const std::vector<std::string>& words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 == words.size()) usage_error(word + " needs a value");
      return words[++i];
    };
    if (word == "--help") {
      std::cout << help;
      std::exit(0);
    } else if (word == "--port") {
      options.port = read_number<std::uint16_t>(word, value(), 65'535);
    } else if (word == "--ms-per-token") {
      options.per_token = std::chrono::milliseconds(read_number<unsigned>(word, value(), 60'000U));
    } else if (word == "--key") {
      options.key = value();
    } else if (word == "--misbehave") {
      if (!local_llm::parse_behaviour(value(), options.behaviour)) usage_error("unknown words after --misbehave");
    } else if (word == "--exit-with-stdin") {
      options.exit_with_stdin = true;
    } else if (word == "--quiet") {
      options.quiet = true;
    } else {
      usage_error("unknown option " + word);
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) try {
  const Options options = read_options({argv + 1, argv + argc});
  std::signal(SIGPIPE, SIG_IGN);
  asio::io_context io(1);
  Server server(io, options);
  std::cout << "listening on 127.0.0.1:" << server.port() << '\n' << std::flush;

  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int) {
    if (!error) io.stop();
  });
  std::optional<asio::posix::stream_descriptor> input;
  char byte{};
  std::function<void()> watch_input = [&] {
    input->async_read_some(asio::buffer(&byte, 1), [&](const boost::system::error_code& error, std::size_t) {
      if (error) {
        io.stop();
      } else {
        watch_input();
      }
    });
  };
  if (options.exit_with_stdin) {
    input.emplace(io, ::dup(STDIN_FILENO));
    watch_input();
  }

  asio::co_spawn(io, server.run(), asio::detached);
  io.run();
  const Stats& stats = server.stats();
  std::cout << "served " << stats.requests << " requests on " << stats.connections << " connections: " << stats.streams
            << " streams, " << stats.refused << " refused, " << stats.closed_by_client << " closed by the client, "
            << stats.input_tokens << " tokens in, " << stats.output_tokens << " out\n";
  return 0;
} catch (const std::exception& error) {
  std::cerr << "local_llm: " << error.what() << '\n';
  return 1;
}
