#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "command.hpp"
#include "support/catch.hpp"
#include "support/fault_server.hpp"

namespace asio = boost::asio;
using namespace command;
using test::FaultServer;
using test::Plan;

namespace {

FaultServer chat_upstream() {
  return FaultServer([](std::size_t, std::string_view) {
    Plan plan;
    plan.bytes = test::http_reply(
        200,
        R"({"id":"c","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant",)"
        R"("content":"It rains."},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25}})");
    return plan;
  });
}

/// `outlay serve --config FILE`, until it is stopped.
class Served {
 public:
  explicit Served(const std::string& config) {
    std::array<int, 2> err{};
    if (::pipe(err.data()) != 0) throw std::runtime_error("pipe failed");
    out_ = config + ".log";
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(err[1], STDERR_FILENO);
      ::close(err[0]);
      ::close(err[1]);
      const int out = ::open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(out, STDOUT_FILENO);
      ::execl(OUTLAY_COMMAND, OUTLAY_COMMAND, "serve", "--config", config.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(err[1]);
    err_ = ::fdopen(err[0], "r");
    const std::string line = next_line();
    const std::size_t colon = line.rfind(':');
    if (line.find("listening on http://127.0.0.1:") == line.npos) throw std::runtime_error("it says: " + line);
    port_ = static_cast<std::uint16_t>(std::stoi(line.substr(colon + 1)));
  }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;
  ~Served() {
    if (pid_ > 0) static_cast<void>(stop(SIGKILL));
    std::fclose(err_);
  }
  void signal(int number) const { ::kill(pid_, number); }
  /// The next line on standard error.
  std::string next_line() {
    std::array<char, 1024> line{};
    return std::fgets(line.data(), line.size(), err_) ? line.data() : "";
  }
  int stop(int number = SIGTERM) {
    signal(number);
    int status = -1;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  [[nodiscard]] std::string log() const { return read_file(out_); }
  /// The status of what is answered to a chat completion.
  [[nodiscard]] int chat(const std::string& fields) const {
    const std::string body =
        R"({"model":"gpt-4o","max_completion_tokens":100,"messages":[{"role":"user","content":"A private matter."}]})";
    return ask("POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nConnection: close\r\n" + fields +
               "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  [[nodiscard]] int ask(const std::string& text) const {
    asio::io_context io;
    asio::ip::tcp::socket socket(io);
    socket.connect({asio::ip::address_v4::loopback(), port_});
    asio::write(socket, asio::buffer(text));
    std::string reply;
    boost::system::error_code ignored;
    asio::read(socket, asio::dynamic_buffer(reply), ignored);
    return reply.size() > 12 ? std::stoi(reply.substr(9, 3)) : 0;
  }

 private:
  pid_t pid_ = 0;
  std::FILE* err_ = nullptr;
  std::string out_{};
  std::uint16_t port_ = 0;
};

constexpr const char* alices_key = "outlay-aaaa";

std::string hash(const std::string& key) { return outlay("keys hash <<END\n" + key + "\nEND\n").out.substr(0, 64); }

}  // namespace

TEST_CASE("serve: a new key is shown once, and its hash is what keys hash prints", "[cli][serve]") {
  const Result made = outlay("keys new --name alice");
  CHECK(made.status == 0);
  const std::string key = made.out.substr(0, made.out.find('\n'));
  CHECK(key.size() == 7 + 64);
  CHECK(key.starts_with("outlay-"));
  CHECK(made.out == key + "\n{\"name\":\"alice\",\"sha256\":\"" + hash(key) + "\"}\n");
  CHECK(outlay("keys new").out.substr(0, 71) != key);
  CHECK(outlay("keys hash </dev/null").status == 2);
}

TEST_CASE("serve: --print-config writes every setting, and what it writes is read again", "[cli][serve]") {
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  const Result all = outlay("serve --print-config");
  CHECK(all.status == 0);
  for (const char* part :
       {"\"address\":\"127.0.0.1\",\"port\":8787", "\"name\":\"anthropic\",\"url\":\"https://api.anthropic.com\"",
        "\"body_bytes\":67108864", "\"first_byte_ms\":600000", "\"drain_ms\":30000", "\"store\":\"memory\"",
        "\"on_unreachable\":\"deny\""})
    CHECK_THAT(all.out, ContainsSubstring(part));
  write_file(file, all.out);
  CHECK(outlay("serve --config " + file + " --check").out == file + " is valid\n");
  CHECK(outlay("serve --config " + file + " --print-config").out == all.out);
  // And so is one with something in every place.
  write_file(
      file,
      R"({"listen":{"address":"0.0.0.0","port":1},"upstreams":[{"name":"here","url":"http://127.0.0.1:1","paths":["/v1/"],"like":"openai"}],
    "keys":[{"name":"a","sha256":")" +
          hash("a") + R"(","tags":{"user_id":"alice"},"models":["gpt-4o*"]}],"trust_tags":true,"admin_sha256":")" +
          hash("b") + R"(",
    "pass":["POST /v1/audio/*"],"refusal_status":402,"limits":{"head_bytes":1000,"total_ms":5},"drain_ms":0,"rules":[{"match":{"user_id":"*"},"usd":1}],
    "store":"sqlite:caps.db","on_unreachable":{"local_usd":5},"records":"spend.db","log":false})");
  const Result second = outlay("serve --config " + file + " --print-config");
  CHECK(second.status == 0);
  write_file(file, second.out);
  CHECK(outlay("serve --config " + file + " --print-config").out == second.out);
}

TEST_CASE("serve: what is wrong with a configuration is named by its place", "[cli][serve]") {
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  const auto error = [&](const std::string& text) {
    write_file(file, text);
    const Result result = outlay("serve --config " + file + " --check");
    CHECK(result.status == 3);
    CHECK(result.err.starts_with("outlay: " + file + ": "));
    return result.err.substr(10 + file.size());
  };
  CHECK_THAT(error("{\n\"port\" 1}"), ContainsSubstring("line 2 is not valid JSON"));
  CHECK_THAT(error(R"({"lisen":{}})"), ContainsSubstring("lisen: is not known. Write one of listen, upstreams"));
  CHECK_THAT(error(R"({"listen":{"port":70000}})"),
             ContainsSubstring("listen.port: must be a whole number from 0 to 65535"));
  CHECK_THAT(error(R"({"listen":{"address":"0.0.0.0"}})"), ContainsSubstring("so keys are needed"));
  CHECK_THAT(error(R"({"upstreams":[{"name":"a"}]})"), ContainsSubstring("upstreams[0]: must have a name and a url"));
  CHECK_THAT(error(R"({"upstreams":[{"name":"a","url":"http://x","key_env":"OUTLAY_NO_SUCH"}]})"),
             ContainsSubstring("the variable OUTLAY_NO_SUCH is not set"));
  CHECK_THAT(error(R"({"keys":[{"name":"a","sha256":"short"}]})"), ContainsSubstring("key \"a\": sha256 must be 64"));
  CHECK_THAT(error(R"({"rules":[{"usd":1},{"match":{"day":"1"},"usd":1}]})"), ContainsSubstring("day"));
  CHECK_THAT(error(R"({"rules":[{"usd":-1}]})"), ContainsSubstring("rules[0].usd: must be an amount"));
  CHECK_THAT(error(R"({"store":"paper"})"), ContainsSubstring("store: must be \"memory\""));
  CHECK_THAT(error(R"({"limits":{"body_bytes":0}})"),
             ContainsSubstring("limits.body_bytes: must be a whole number from 1"));
  CHECK(outlay("serve --config " + directory.file("missing.json")).status == 3);
}

TEST_CASE("serve: keys, rules, records and log of a configuration, read again on SIGHUP, all or nothing",
          "[cli][serve]") {
  const FaultServer upstream = chat_upstream();
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  const std::string records = directory.file("spend.db");
  const auto config = [&](int calls, const std::string& more = {}) {
    return R"({"listen":{"port":0},"upstreams":[{"name":"openai","url":")" + upstream.url() +
           R"(/v1","paths":["/v1/"]}],"keys":[{"name":"alice","sha256":")" + hash(alices_key) +
           R"(","tags":{"user_id":"alice"}}],"rules":[{"match":{"user_id":"*"},"calls":)" + std::to_string(calls) +
           R"(}],"records":")" + records + "\"" + more + "}";
  };
  write_file(file, config(2));
  Served served(file);
  const std::string key = std::string("Authorization: Bearer ") + alices_key + "\r\n";
  CHECK(served.chat("") == 401);
  CHECK(served.chat(key) == 200);
  CHECK(served.chat(key) == 200);
  CHECK(served.chat(key) == 429);
  write_file(file, config(3, R"(,"drain_ms":-1)"));
  served.signal(SIGHUP);
  CHECK_THAT(served.next_line(),
             ContainsSubstring("the configuration was not changed: " + file + ": drain_ms: must be"));
  CHECK(served.chat(key) == 429);
  write_file(file, config(3));
  served.signal(SIGHUP);
  CHECK(served.next_line() == "outlay: the configuration was read again\n");
  CHECK(served.chat(key) == 200);
  CHECK(served.chat(key) == 429);
  CHECK(served.stop() == 0);
  const std::string log = served.log();
  CHECK_THAT(
      log,
      ContainsSubstring(
          R"("path":"/v1/chat/completions","status":200,"outcome":"answered","upstream":"openai","api":"openai_chat","model":"gpt-4o","key":"alice")"));
  CHECK_THAT(log, ContainsSubstring(R"("status":429,"outcome":"refused")"));
  CHECK(log.find("private") == std::string::npos);
  CHECK(log.find(alices_key) == std::string::npos);
  CHECK_THAT(outlay("report " + records + " --by user_id --format csv").out, ContainsSubstring("alice,0.0003"));
}

TEST_CASE("serve: four gateways on one store answer 100 of 200 calls under a cap of 100", "[cli][serve]") {
  const FaultServer upstream = chat_upstream();
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  write_file(file, R"({"listen":{"port":0},"log":false,"upstreams":[{"name":"openai","url":")" + upstream.url() +
                       R"(/v1","paths":["/v1/"]}],"rules":[{"calls":100}],"store":"sqlite:)" +
                       directory.file("caps.db") + "\"}");
  std::vector<std::unique_ptr<Served>> gateways;
  for (int i = 0; i < 4; ++i) gateways.push_back(std::make_unique<Served>(file));
  std::atomic<int> answered = 0, refused = 0, other = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i)
    clients.emplace_back([&, i] {
      for (int call = 0; call < 25; ++call) {
        const int status = gateways[static_cast<std::size_t>(i % 4)]->chat("");
        ++(status == 200 ? answered : status == 429 ? refused : other);
      }
    });
  for (std::thread& client : clients) client.join();
  CHECK(answered == 100);
  CHECK(refused == 100);
  CHECK(other == 0);
  CHECK(upstream.requests().size() == 100);
}

TEST_CASE("serve: caps in a file hold over a restart", "[cli][serve]") {
  const FaultServer upstream = chat_upstream();
  const Directory directory;
  const std::string file = directory.file("outlay.json");
  write_file(file, R"({"listen":{"port":0},"upstreams":[{"name":"openai","url":")" + upstream.url() +
                       R"(/v1","paths":["/v1/"]}],"rules":[{"calls":2}],"store":"sqlite:)" + directory.file("caps.db") +
                       "\"}");
  {
    Served served(file);
    CHECK(served.chat("") == 200);
    CHECK(served.stop() == 0);
  }
  Served served(file);
  CHECK(served.chat("") == 200);
  CHECK(served.chat("") == 429);
}
