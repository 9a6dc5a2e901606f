#include "support/tcp_gate.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <list>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

namespace test {

namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

}  // namespace

struct TcpGate::State {
  enum class Mode { pass, stall, stall_replies, close, answer };
  struct Pair {
    int client = -1, server = -1;
    std::string to_client{}, to_server{};
    ~Pair() {
      if (client >= 0) ::close(client);
      if (server >= 0) ::close(server);
    }
  };

  std::uint16_t server_port = 0, port = 0;
  int listener = -1;
  std::array<int, 2> wake{-1, -1};
  mutable std::mutex mutex;
  Mode mode = Mode::pass;
  std::string garbage;
  bool cutting = false;
  std::size_t cut_after = 0, accepted = 0;
  bool stopping = false;
  std::list<Pair> pairs;
  std::thread thread;

  void set(Mode next, std::string text = {}) {
    {
      const std::lock_guard lock(mutex);
      mode = next, garbage = std::move(text), cutting = false;
      if (mode == Mode::close) pairs.clear();
    }
    poke();
  }
  void poke() {
    if (::write(wake[1], "x", 1) != 1) throw std::runtime_error("a pipe is broken");
  }

  void accept_one() {
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    ++accepted;
    if (mode == Mode::close) {
      ::close(client);
      return;
    }
    Pair& pair = pairs.emplace_back();
    pair.client = client;
    pair.server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in to = loopback(server_port);
    if (::connect(pair.server, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) pairs.pop_back();
  }

  /// False when the pair is over.
  static bool read(int from, std::string& to) {
    std::array<char, 65'536> buffer;
    const ssize_t got = ::recv(from, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) to.append(buffer.data(), static_cast<std::size_t>(got));
    return got > 0;
  }
  static bool write(int to, std::string& bytes) {
    const ssize_t sent = ::send(to, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) bytes.erase(0, static_cast<std::size_t>(sent));
    return sent > 0;
  }

  /// What a pair waits for, on its client's and its server's side.
  [[nodiscard]] std::array<short, 2> wanted(const Pair& pair) const {
    if (mode == Mode::stall) return {0, 0};
    int client = POLLIN, server = mode == Mode::stall_replies ? 0 : POLLIN;
    if (!pair.to_client.empty() && mode != Mode::stall_replies) client |= POLLOUT;
    if (!pair.to_server.empty()) server |= POLLOUT;
    return {static_cast<short>(client), static_cast<short>(server)};
  }

  bool move(Pair& pair, short client, short server) {
    if (mode == Mode::stall) return true;
    if ((client & (POLLIN | POLLHUP | POLLERR)) != 0 && !read(pair.client, pair.to_server)) return false;
    if (mode == Mode::answer) {
      if (!pair.to_server.empty()) pair.to_client += garbage;
      pair.to_server.clear();
    }
    if (mode != Mode::stall_replies && (server & (POLLIN | POLLHUP | POLLERR)) != 0 &&
        !read(pair.server, pair.to_client))
      return false;
    if (!pair.to_server.empty() && (server & POLLOUT) != 0 && !write(pair.server, pair.to_server)) return false;
    if (!pair.to_client.empty() && (client & POLLOUT) != 0) {
      if (cutting && pair.to_client.size() > cut_after) {
        pair.to_client.resize(cut_after);
        cutting = false;
        if (cut_after > 0) write(pair.client, pair.to_client);
        return false;
      }
      const std::size_t before = pair.to_client.size();
      if (!write(pair.client, pair.to_client)) return false;
      if (cutting) cut_after -= before - pair.to_client.size();
    }
    return true;
  }

  void run() {
    std::unique_lock lock(mutex);
    while (!stopping) {
      std::vector<pollfd> entries{{wake[0], POLLIN, 0}, {listener, POLLIN, 0}};
      for (const Pair& pair : pairs) {
        const auto events = wanted(pair);
        // A negative descriptor is not looked at, not even for hang-ups.
        entries.push_back({events[0] != 0 ? pair.client : -1, events[0], 0});
        entries.push_back({events[1] != 0 ? pair.server : -1, events[1], 0});
      }
      lock.unlock();
      ::poll(entries.data(), entries.size(), -1);
      std::array<char, 64> drained;
      if (entries[0].revents != 0 && ::read(wake[0], drained.data(), drained.size()) < 0) return;
      lock.lock();
      if (entries[0].revents != 0) continue;  // the mode, and with it the pairs, may have changed
      std::size_t at = 2;
      for (auto pair = pairs.begin(); pair != pairs.end(); at += 2)
        pair = move(*pair, entries[at].revents, entries[at + 1].revents) ? std::next(pair) : pairs.erase(pair);
      if (entries[1].revents != 0) accept_one();
    }
  }
};

TcpGate::TcpGate(std::uint16_t server_port) : state_(std::make_unique<State>()) {
  state_->server_port = server_port;
  state_->listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(state_->listener, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(state_->listener, 64) != 0 ||
      ::getsockname(state_->listener, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      ::pipe(state_->wake.data()) != 0)
    throw std::runtime_error("a gate cannot be opened");
  state_->port = ntohs(address.sin_port);
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

TcpGate::~TcpGate() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->poke();
  state_->thread.join();
  ::close(state_->listener), ::close(state_->wake[0]), ::close(state_->wake[1]);
}

std::uint16_t TcpGate::port() const noexcept { return state_->port; }
void TcpGate::pass() { state_->set(State::Mode::pass); }
void TcpGate::stall() { state_->set(State::Mode::stall); }
void TcpGate::stall_replies() { state_->set(State::Mode::stall_replies); }
void TcpGate::close() { state_->set(State::Mode::close); }
void TcpGate::answer(std::string garbage) { state_->set(State::Mode::answer, std::move(garbage)); }

void TcpGate::cut_replies_after(std::size_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->mode = State::Mode::pass;
  state_->cutting = true;
  state_->cut_after = bytes;
}

std::size_t TcpGate::accepted() const {
  const std::lock_guard lock(state_->mutex);
  return state_->accepted;
}

}  // namespace test
