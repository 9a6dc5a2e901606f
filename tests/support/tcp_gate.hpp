#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace test {

/// A door in front of a server on the loopback address: lets everything through, or does what networks do. Runs on a thread of its own.
class TcpGate {
 public:
  explicit TcpGate(std::uint16_t server_port);
  TcpGate(const TcpGate&) = delete;
  TcpGate& operator=(const TcpGate&) = delete;
  ~TcpGate();

  [[nodiscard]] std::uint16_t port() const noexcept;

  void pass();                       ///< Everything goes through, as at first.
  void stall();                      ///< Connections are accepted and stay; nothing goes through, in either direction.
  void stall_replies();              ///< Only what the server says is kept back.
  void close();                      ///< Connections are closed, those that are open and those that come.
  void answer(std::string garbage);  ///< Whatever is asked is answered so, and does not reach the server.
  /// Closes the connection in place of the byte that follows the next `bytes` of replies; then lets everything through again.
  void cut_replies_after(std::size_t bytes);

  [[nodiscard]] std::size_t accepted() const;  ///< Connections so far.

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace test
