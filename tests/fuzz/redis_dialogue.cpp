// What a Redis server may answer, and what is no answer at all: every command gets exactly one result, whatever comes.
//
// The server is a thread at a Unix socket, which sends the next piece of an input for each command that it reads, and at the end closes
// the connection. No other address is reached, whatever a redirection names: connect() is this file's.
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "fuzz_input.hpp"
#include "outlay/error.hpp"
#include "outlay/log.hpp"
#include "redis/backend.hpp"

using outlay::StoreCommand;
using outlay_fuzz::check;
using outlay_fuzz::Choices;

/// For hiredis: its Unix sockets are connected, its TCP sockets refused.
extern "C" int connect(int socket, const sockaddr* address, socklen_t size) {
  if (address->sa_family == AF_UNIX) return static_cast<int>(::syscall(SYS_connect, socket, address, size));
  errno = ECONNREFUSED;
  return -1;
}

namespace {

/// What a server says at one connection: a piece for each command.
using Dialogue = std::vector<std::string>;

/// Takes a whole command from the front of what the library sent: an array of bulk strings.
bool take_command(std::string& sent) {
  std::size_t at = 0;
  const auto number_behind = [&](char sign) -> std::optional<std::size_t> {
    const std::size_t end = sent.find("\r\n", at);
    if (end == sent.npos) return std::nullopt;
    check(sent[at] == sign);
    const std::size_t number = std::stoul(sent.substr(at + 1, end - at - 1));
    at = end + 2;
    return number;
  };
  const auto words = number_behind('*');
  if (!words) return false;
  for (std::size_t i = 0; i < *words; ++i) {
    const auto length = number_behind('$');
    if (!length || sent.size() < at + *length + 2) return false;
    at += *length + 2;
  }
  sent.erase(0, at);
  return true;
}

class Server {
 public:
  Server()
      : path_("/tmp/outlay-fuzz-" + std::to_string(::getpid()) + ".sock"),
        listener_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size());
    ::unlink(path_.c_str());
    check(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
          ::listen(listener_, 16) == 0);
    std::thread([this] { serve(); }).detach();
    std::atexit([] { ::unlink(server().path_.c_str()); });
  }

  static Server& server() {
    static Server& one = *new Server;  // its thread runs until the process ends
    return one;
  }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Each connection gets the next; the last one is repeated.
  void answer_with(std::vector<Dialogue> dialogues) {
    const std::lock_guard lock(mutex_);
    dialogues_ = std::move(dialogues);
    next_ = 0;
  }

 private:
  [[noreturn]] void serve() {
    for (;;) {
      const int client = ::accept(listener_, nullptr, nullptr);
      if (client < 0) continue;
      Dialogue dialogue;
      {
        const std::lock_guard lock(mutex_);
        if (!dialogues_.empty()) dialogue = dialogues_[std::min(next_++, dialogues_.size() - 1)];
      }
      speak(client, dialogue);
      ::close(client);
    }
  }
  static void speak(int client, const Dialogue& dialogue) {
    std::string sent;
    std::array<char, 65'536> buffer;
    for (const std::string& piece : dialogue) {
      while (!take_command(sent)) {
        const ssize_t got = ::recv(client, buffer.data(), buffer.size(), 0);
        if (got <= 0) return;
        sent.append(buffer.data(), static_cast<std::size_t>(got));
      }
      if (::send(client, piece.data(), piece.size(), MSG_NOSIGNAL) < 0) return;
    }
  }

  std::string path_;
  int listener_;
  std::mutex mutex_;
  std::vector<Dialogue> dialogues_;
  std::size_t next_ = 0;
};

std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

void put(std::string& to, std::uint64_t value) {
  for (int byte = 0; byte < 8; ++byte) to += static_cast<char>(value >> (8 * byte) & 0xFFU);
}

/// An answer of the script to these commands: right in its form, or nearly.
std::string answer(Choices& input, const std::vector<StoreCommand>& commands) {
  std::string text(1, input.flag() ? '\1' : '\0');
  put(text, input.below(8) == 7 ? static_cast<std::uint64_t>(input.number()) : std::bit_cast<std::uint64_t>(1.7e15));
  put(text, input.below(8) == 7 ? static_cast<std::uint64_t>(input.number()) : std::bit_cast<std::uint64_t>(7.0));
  text += std::string(32, 'a');
  for (const StoreCommand& command : commands) {
    const std::uint8_t flags = input.byte();
    const bool near = input.below(8) != 7;
    text += static_cast<char>(near ? (flags & 0x30U) | (flags % 5U) : flags);
    for (std::size_t i = 0; i < command.counters.size(); ++i) {
      for (int number = 0; number < 12; ++number) put(text, static_cast<std::uint64_t>(input.number()));
      for (const double usual : {0.0, 5.0})  // when it fits, and which life it is
        put(text, near ? std::bit_cast<std::uint64_t>(usual) : static_cast<std::uint64_t>(input.number()));
      const std::size_t caps = input.below(near ? 3 : 256);
      text += static_cast<char>(caps);
      for (std::size_t cap = 0; cap < std::min<std::size_t>(caps, 3); ++cap) {
        text += static_cast<char>(1 + input.below(near ? 6 : 255));
        put(text, static_cast<std::uint64_t>(input.number()));
      }
    }
    if ((flags & 0x20U) == 0) continue;
    const std::size_t crossed = input.below(3);
    text += static_cast<char>(crossed);
    text += '\0';
    for (std::size_t i = 0; i < 2 * crossed; ++i) text += static_cast<char>(input.below(near ? 2 : 256));
  }
  if (input.below(8) == 7) text += input.text(20);
  if (input.below(8) == 7) text.resize(text.size() - std::min<std::size_t>(text.size(), input.byte()));
  return bulk(text);
}

std::string reply(Choices& input, const std::vector<StoreCommand>& commands, int depth = 0) {
  constexpr std::array<std::string_view, 12> errors{
      "NOSCRIPT No matching script", "MOVED 7 :1",   "ASK 7 :1",    "TRYAGAIN",    "READONLY x", "LOADING x",
      "MOVED 7 [::1]:6379",          "ASK 7 host:0", "MOVED 7 x:y", "NOAUTH none", "OOM x",      "MISCONF x"};
  constexpr std::array<std::string_view, 6> lengths{"-1", "0", "3", "2147483647", "-7", "9223372036854775807"};
  switch (input.below(12)) {
    case 0:
      return "+" + input.text(30) + "\r\n";
    case 1:
      return "-" + std::string(input.one_of(errors)) + "\r\n";
    case 2:
      return ":" + std::to_string(input.number()) + "\r\n";
    case 3:
      return bulk(input.flag() ? "LARGE" : input.text(60));
    case 4:
      return "$-1\r\n";
    case 5: {
      std::string text;
      const std::size_t count = depth < 4 ? input.below(4) : 0;
      for (std::size_t i = 0; i < count; ++i) text += reply(input, commands, depth + 1);
      return "*" + std::to_string(count) + "\r\n" + text;
    }
    case 6:
      return (input.flag() ? "*" : "$") + std::string(input.one_of(lengths)) + "\r\n" + input.text(20);
    case 7:
      return input.text(100);  // anything
    case 8:                    // of CLUSTER SLOTS
      return "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n" + bulk(input.text(20)) + ":" + std::to_string(input.number()) +
             "\r\n";
    default:
      return answer(input, commands);
  }
}

/// What a server says to a new connection: three settings, its place in a Cluster, two scripts.
Dialogue greeting(Choices& input) {
  Dialogue pieces;
  for (const std::string_view name : {"maxmemory-policy", "appendonly", "save"})
    pieces.push_back("*2\r\n" + bulk(name) + bulk(input.below(4) == 3 ? input.text(30) : "yes"));
  pieces.push_back("-ERR This instance has cluster support disabled\r\n");
  for (int i = 0; i < 2; ++i) pieces.push_back(bulk(std::string(40, 'f')));
  return pieces;
}

std::vector<StoreCommand> commands(Choices& input) {
  constexpr std::array ops{StoreCommand::Op::reserve, StoreCommand::Op::settle,   StoreCommand::Op::extend,
                           StoreCommand::Op::release, StoreCommand::Op::snapshot, StoreCommand::Op::adjust};
  std::vector<StoreCommand> all(1 + input.below(3));
  for (StoreCommand& command : all) {
    command.op = input.one_of(ops);
    if (command.op != StoreCommand::Op::snapshot) command.id = std::string(32, '7');
    command.counters.resize(1 + input.below(2));
    for (auto& counter : command.counters) {
      counter.name = "x";
      counter.window = "forever";
      counter.end = outlay::Time::max();
      counter.thresholds.resize(input.below(3));
    }
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  outlay::set_log_handler([](outlay::LogLevel, std::string_view) {});
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Choices input(data, size);
  const std::vector<StoreCommand> asked = commands(input);
  std::vector<Dialogue> dialogues(1 + input.below(3));
  for (Dialogue& dialogue : dialogues) {
    if (input.below(4) != 3) dialogue = greeting(input);
    for (std::size_t replies = input.below(9); replies > 0; --replies) dialogue.push_back(reply(input, asked));
  }
  Server& server = Server::server();
  server.answer_with(std::move(dialogues));
  outlay::detail::RedisBackend backend("unix://" + server.path(), "outlay");
  for (int round = 0; round < 2; ++round) {
    const auto results = backend.execute(asked, std::chrono::milliseconds(500));
    check(results.size() == asked.size());
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (!results[i]) {
        const std::string message(results[i].error().message());
        check(message.size() < 1'024);
        for (const char c : message) check(c >= 0x20 && c < 0x7F);
        continue;
      }
      check(results[i]->states.size() == asked[i].counters.size());
      for (const auto& crossed : results[i]->crossed) check(crossed.counter < asked[i].counters.size());
    }
  }
  return 0;
}
