// `outlay serve` under load: killed at random moments, and for long.
//
//   outlay_gateway_proof --kills <n> [--seed <n>]
//   outlay_gateway_proof --soak <requests> [--seed <n>]
//   outlay_gateway_proof --hostile <clients of each kind>
//
// --kills: clients ask without a pause, whole replies and streams, while the gateway is killed and started again. Of every call that its
// upstream has served there is one in the counter of the store, and there are no more in it than calls that were answered or in doubt; after
// the last lease nothing is reserved. What was answered between the last kill and an orderly stop is in the records, to the call.
// --soak: as many requests, with the faults of an upstream among them. Memory and descriptors do not grow, and counter and records
// agree.
// --hostile: clients that send what no server should read in two ways, more than they may, too slowly, or never to an end. Each is answered
// by its status and its connection closed, memory and descriptors do not grow, and upstream hears of none of them.
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "outlay/outlay.hpp"
#include "outlay/sqlite.hpp"
#include "outlay/testing/clock.hpp"
#include "support/fault_server.hpp"
#include "unit/cli/served.hpp"

namespace {

namespace asio = boost::asio;
using command::Directory;
using command::Served;
using test::FaultServer;
using test::Plan;
using namespace std::chrono_literals;
using namespace outlay::literals;

constexpr int clients = 4;

[[noreturn]] void wrong(const std::string& what) { throw std::runtime_error(what); }
void need(bool holds, const std::string& what) {
  if (!holds) wrong(what);
}

constexpr std::string_view reply_body =
    R"({"id":"c","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant",)"
    R"("content":"It rains."},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25}})";

Plan streamed() {
  Plan plan;
  std::vector<std::string> events;
  for (const char* word : {"It", " rains", "."})
    events.push_back(R"(data: {"model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{"content":")" +
                     std::string(word) + "\"}}]}\n\n");
  events.push_back(
      "data: "
      "{\"model\":\"gpt-4o-2024-08-06\",\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":5}}\n\n");
  events.push_back("data: [DONE]\n\n");
  plan.bytes = test::chunked_reply(events);
  plan.per_write = 200;
  plan.pause = 1ms;
  return plan;
}

Plan whole() {
  Plan plan;
  plan.bytes = test::http_reply(200, reply_body);
  return plan;
}

std::string request(bool stream) {
  const std::string body = std::string(R"({"model":"gpt-4o","max_completion_tokens":100,)") +
                           (stream ? R"("stream":true,)" : "") + R"("messages":[{"role":"user","content":"Hi"}]})";
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// Asks once. Empty: there was no connection, so nothing was asked.
std::optional<std::string> ask(std::uint16_t port, bool stream) {
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  boost::system::error_code error;
  socket.connect({asio::ip::address_v4::loopback(), port}, error);
  if (error) return std::nullopt;
  asio::write(socket, asio::buffer(request(stream)), error);
  std::string reply;
  asio::read(socket, asio::dynamic_buffer(reply), error);
  return reply;
}

bool answered(const std::string& reply, bool stream) {
  if (!reply.starts_with("HTTP/1.1 200")) return false;
  return stream ? reply.ends_with("0\r\n\r\n") : reply.ends_with("}}");
}

std::string config_of(const Directory& directory, const std::string& upstream) {
  return R"({"listen":{"port":0},"log":false,"upstreams":[{"name":"openai","url":")" + upstream +
         R"(/v1","paths":["/v1/"]}],"rules":[{"window":"forever","calls":1000000000}],"store":"sqlite:)" +
         directory.file("caps.db") + R"(","records":")" + directory.file("spend.db") + "\"}";
}

/// The counter of all calls, when every lease of a gateway that was killed has run out.
outlay::StoreReply::State counter_of(const Directory& directory) {
  const auto clock = std::make_shared<outlay::testing::ManualClock>(
      std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now()) + 10min);
  const outlay::LedgerScope books(outlay::Ledger(outlay::LedgerOptions{.clock = clock}));
  const auto store = outlay::sqlite_store(
      {.path = directory.file("caps.db"), .on_unreachable = outlay::OnUnreachable::deny(), .timeout = 30s});
  return store->state("global", outlay::Window::forever());
}

struct Records {
  std::int64_t rows = 0, charged = 0;
};
Records records_of(const Directory& directory) {
  Records all;
  outlay::SqliteReader reader(directory.file("spend.db"));
  reader.read(
      [&](const outlay::Record& record) {
        ++all.rows;
        all.charged += record.status != outlay::RecordStatus::rejected ? 1 : 0;
      },
      [](const outlay::BudgetEvent&) {});
  return all;
}

struct Counts {
  std::atomic<std::int64_t> answered{0}, in_doubt{0};
};

/// Asks until it is told to stop, whatever becomes of the gateway.
void keep_asking(const std::atomic<std::uint16_t>& port, const std::atomic<bool>& stop, Counts& counts, unsigned seed) {
  std::mt19937 dice(seed);
  while (!stop) {
    const bool stream = dice() % 3 == 0;
    const std::optional<std::string> reply = ask(port, stream);
    if (!reply)
      std::this_thread::yield();
    else
      ++(answered(*reply, stream) ? counts.answered : counts.in_doubt);
  }
}

void kills(int count, unsigned seed) {
  std::mt19937 dice(seed);
  const Directory directory;
  const FaultServer upstream([](std::size_t, std::string_view asked) {
    return asked.find("\"stream\":true") != asked.npos ? streamed() : whole();
  });
  const std::string config = directory.file("outlay.json");
  command::write_file(config, config_of(directory, upstream.url()));
  Counts counts;
  std::atomic<bool> stop = false;
  std::atomic<std::uint16_t> port = test::closed_port();
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < clients; ++i) threads.emplace_back([&, i] { keep_asking(port, stop, counts, seed + i); });
  const auto end = [&] {
    stop = true;
    for (std::thread& thread : threads)
      if (thread.joinable()) thread.join();
  };
  try {
    for (int i = 0; i < count; ++i) {
      Served gateway(config);
      port = gateway.port();
      // From "has just begun" to "is busy": counted in calls, since machines differ.
      const std::int64_t until = counts.answered + static_cast<std::int64_t>(dice() % 40);
      const auto late = std::chrono::steady_clock::now() + 30s;
      while (counts.answered < until && std::chrono::steady_clock::now() < late) std::this_thread::yield();
      need(counts.answered >= until, "the gateway answers no more");
      gateway.stop(SIGKILL);
    }
  } catch (...) {
    end();
    throw;
  }
  end();

  const std::int64_t before = records_of(directory).rows;
  constexpr std::int64_t last = 25;
  {
    Served gateway(config);
    for (std::int64_t i = 0; i < last; ++i) {
      const std::optional<std::string> reply = ask(gateway.port(), false);
      need(reply && answered(*reply, false), "a call after the last kill was not answered");
      ++counts.answered;
    }
    need(gateway.stop() == 0, "the gateway did not stop in order");
  }
  const std::int64_t rows = records_of(directory).rows;
  const outlay::StoreReply::State counter = counter_of(directory);
  const auto served = static_cast<std::int64_t>(upstream.requests().size());
  std::printf("%d kills: %lld answered, %lld in doubt; upstream served %lld, the counter has %lld, the records %lld\n",
              count, static_cast<long long>(counts.answered), static_cast<long long>(counts.in_doubt),
              static_cast<long long>(served), static_cast<long long>(counter.spent.calls),
              static_cast<long long>(rows));
  need(counter.reserved == outlay::Amounts{}, "something is reserved after the last lease");
  need(counter.spent.calls >= served, "a call that was served is not in the counter");
  need(counter.spent.calls <= counts.answered + counts.in_doubt, "the counter has a call that was not asked for");
  need(counter.spent.usd.nanos() >= served * 100'000, "a call that was served was charged too little");
  need(rows <= served, "the records have a call that was not served");
  need(rows == before + last, "a call that was confirmed is not in the records");
}

/// Of a line of /proc/<pid>/status, in kB.
std::int64_t kilobytes(pid_t pid, std::string_view name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(name)) return std::atoll(line.c_str() + name.size());
  return 0;
}
std::int64_t descriptors(pid_t pid) {
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/fd");
  return std::distance(begin(all), end(all));
}

/// One in ten answers is a fault.
Plan with_faults(std::size_t number, std::string_view asked) {
  Plan plan = asked.find("\"stream\":true") != asked.npos ? streamed() : whole();
  plan.pause = 0ms;
  plan.per_write = std::string::npos;
  switch (number % 40) {
    case 0:
      plan.bytes = test::http_reply(429, R"({"error":{"message":"slow down"}})");
      break;
    case 10:
      plan.bytes = test::http_reply(500, "{}");
      break;
    case 20:
      plan.stop_at = plan.bytes.size() / 2;
      plan.then = Plan::Then::close;
      break;
    case 30:
      plan.then = Plan::Then::reset;
      break;
    default:
      break;
  }
  return plan;
}

void soak(std::int64_t requests, unsigned seed) {
  const Directory directory;
  const std::string config = directory.file("outlay.json");
  auto upstream = std::make_unique<FaultServer>(with_faults);
  command::write_file(config, config_of(directory, upstream->url()));
  Served gateway(config);
  struct Size {
    std::int64_t memory, descriptors;
  };
  std::vector<Size> sizes;
  std::int64_t asked = 0;
  constexpr int rounds = 10;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < clients; ++i)
      threads.emplace_back([&, i] {
        std::mt19937 dice(seed + 100 * static_cast<unsigned>(round) + i);
        for (std::int64_t n = requests / rounds / clients; n > 0; --n) {
          static_cast<void>(ask(gateway.port(), dice() % 3 == 0));
        }
      });
    for (std::thread& thread : threads) thread.join();
    asked += static_cast<std::int64_t>(upstream->requests().size());
    // A new one forgets what it has been asked; the gateway hears of it as of any change.
    upstream = std::make_unique<FaultServer>(with_faults);
    command::write_file(config, config_of(directory, upstream->url()));
    gateway.signal(SIGHUP);
    need(gateway.says("the configuration was read again"), "the configuration was not read again");
    sizes.push_back({kilobytes(gateway.pid(), "VmRSS:"), descriptors(gateway.pid())});
    std::printf("%lld requests: %lld kB, %lld descriptors\n", static_cast<long long>(asked),
                static_cast<long long>(sizes.back().memory), static_cast<long long>(sizes.back().descriptors));
    std::fflush(stdout);
  }
  need(gateway.stop() == 0, "the gateway did not stop in order");
  const outlay::StoreReply::State counter = counter_of(directory);
  const Records records = records_of(directory);
  std::printf("upstream was asked %lld times, the counter has %lld calls, the records %lld and %lld of them charged\n",
              static_cast<long long>(asked), static_cast<long long>(counter.spent.calls),
              static_cast<long long>(records.rows), static_cast<long long>(records.charged));
  need(counter.reserved == outlay::Amounts{}, "something is reserved at the end");
  need(records.rows >= asked, "a call that was sent is not in the records");
  need(counter.spent.calls == records.charged, "counter and records differ");
  // Records in memory fill up to 100,000, of 400 bytes each at most, and are most of what grows until then: the second half is compared
  // with itself.
  const Size middle = sizes[rounds / 2], last = sizes.back();
  const auto kept = [](std::int64_t records_made) {
    return std::min<std::int64_t>(records_made, 100'000) * 2 / 5;
  };  // kB
  const std::int64_t filled = kept(asked) - kept(asked * (rounds / 2 + 1) / rounds);
  need(last.memory <= middle.memory + middle.memory / 10 + filled, "memory grows");
  need(last.descriptors <= middle.descriptors + 8, "descriptors are lost");
}

/// What a client sends: first `begin`, then `more` again and again, until it is answered or the connection is closed.
struct Hostile {
  const char* what;
  int status;  // that it is answered with
  std::string begin{};
  std::string more{};
  std::chrono::milliseconds pause{0};
};

std::vector<Hostile> hostile_clients() {
  const std::string line = "POST /v1/chat/completions HTTP/1.1\r\n", head = line + "Host: g\r\n";
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  std::string fields;
  for (int i = 0; i < 100; ++i) fields += "X-Y: z\r\n";
  return {
      {"a length and chunks", 400, head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"},
      {"two lengths", 400, head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"},
      {"a length with a sign", 400, head + "Content-Length: +2\r\n\r\n{}"},
      {"a bare LF", 400, head + "Content-Length: 2\n\r\n{}"},
      {"a folded field", 400, head + "X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}"},
      {"a blank before the colon", 400, head + "Transfer-Encoding : chunked\r\n\r\n"},
      {"a zero byte", 400, head + std::string("X: a\0b\r\n\r\n", 10)},
      {"two hosts", 400, head + "Host: h\r\n\r\n"},
      {"no host", 400, line + "\r\n"},
      {"TLS to a port without it", 400, std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03\r\n\r\n", 15)},
      {"a chunk without a size", 400, chunked + "zz\r\n"},
      {"a chunk whose size overflows", 400, chunked + "fffffffffffffffff\r\n"},
      {"a field without end", 431, head + "X: ", std::string(1'000, 'x')},
      {"fields without end", 431, head, fields},
      {"a line without end", 431, "POST /", std::string(1'000, 'a')},
      {"a body that is too long", 413, head + "Content-Length: 100000000\r\n\r\n"},
      {"chunks without end", 413, chunked, "400\r\n" + std::string(1'024, ' ') + "\r\n"},
      {"a head that stops", 408, head},
      {"a head byte by byte", 408, "POST /", "a", 5ms},
      {"a body that stops", 408, head + "Content-Length: 10\r\n\r\n{"},
  };
}

/// \return The status that it is answered with; 0: none, or the connection was not closed.
int meet(std::uint16_t port, const Hostile& hostile) {
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  socket.connect({asio::ip::address_v4::loopback(), port});
  const timeval limit{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  boost::system::error_code error;
  asio::write(socket, asio::buffer(hostile.begin), error);
  std::string reply;
  std::array<char, 4'096> piece{};
  while (!hostile.more.empty() && !error) {
    asio::write(socket, asio::buffer(hostile.more), error);
    pollfd readable{.fd = socket.native_handle(), .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, static_cast<int>(hostile.pause.count())) > 0) break;
  }
  for (;;) {
    const ssize_t size = ::recv(socket.native_handle(), piece.data(), piece.size(), 0);
    if (size > 0)
      reply.append(piece.data(), static_cast<std::size_t>(size));
    else if (size == 0 || errno == ECONNRESET)
      return Served::status_of(reply);
    else
      return 0;
  }
}

void hostile(std::int64_t each) {
  const Directory directory;
  const std::string config = directory.file("outlay.json");
  const FaultServer upstream([](std::size_t, std::string_view) { return whole(); });
  std::string text = config_of(directory, upstream.url());
  text.insert(1, R"("limits":{"head_ms":1500,"body_ms":1500,"body_bytes":1000000},)");
  command::write_file(config, text);
  Served gateway(config);
  std::int64_t first = 0;
  for (int round = 0; round < 2; ++round) {
    for (const Hostile& kind : hostile_clients()) {
      std::atomic<std::int64_t> left = each, wrong_status = -1;
      std::vector<std::thread> threads;
      for (int i = 0; i < 16; ++i)
        threads.emplace_back([&] {
          while (left-- > 0)
            if (const int status = meet(gateway.port(), kind); status != kind.status) wrong_status = status;
        });
      for (std::thread& thread : threads) thread.join();
      std::printf("%d, closed: %s (%lld clients, %lld kB, %lld descriptors)\n", kind.status, kind.what,
                  static_cast<long long>(each), static_cast<long long>(kilobytes(gateway.pid(), "VmRSS:")),
                  static_cast<long long>(descriptors(gateway.pid())));
      std::fflush(stdout);
      need(wrong_status == -1,
           std::string(kind.what) + ": answered with " + std::to_string(wrong_status) + "; 0: not, or not closed");
      const std::optional<std::string> reply = ask(gateway.port(), false);
      need(reply && answered(*reply, false), std::string("a proper request is not answered beside ") + kind.what);
    }
    const std::int64_t now = kilobytes(gateway.pid(), "VmRSS:");
    if (round == 0) first = now;
    need(now <= first + first / 10, "memory grows");
  }
  need(upstream.requests().size() == 2 * hostile_clients().size(), "upstream has heard of a hostile client");
  need(gateway.stop() == 0, "the gateway did not stop in order");
}

std::int64_t number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    wrong("not a number: " + std::string(text));
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  try {
    std::int64_t to_kill = 0, to_soak = 0, to_meet = 0, seed = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
      const std::string_view option = argv[i];
      (option == "--kills"     ? to_kill
       : option == "--soak"    ? to_soak
       : option == "--hostile" ? to_meet
       : option == "--seed"    ? seed
                               : (wrong("unknown option " + std::string(option)), seed)) = number(argv[i + 1]);
    }
    if (argc < 3 || argc % 2 == 0)
      wrong("usage: outlay_gateway_proof --kills <n> | --soak <n> | --hostile <n> [--seed <n>]");
    if (to_kill != 0) kills(static_cast<int>(to_kill), static_cast<unsigned>(seed));
    if (to_meet != 0) hostile(to_meet);
    if (to_soak != 0) soak(to_soak, static_cast<unsigned>(seed));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
