#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "command.hpp"

namespace command {

/// `outlay serve --config FILE`, until it is stopped.
class Served {
 public:
  /// \param out Where its standard output goes, in place of a file; the caller's.
  explicit Served(const std::string& config, int out = -1) {
    std::array<int, 2> err{};
    if (::pipe(err.data()) != 0) throw std::runtime_error("pipe failed");
    out_ = config + ".log";
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(err[1], STDERR_FILENO);
      ::close(err[0]);
      ::close(err[1]);
      ::signal(SIGPIPE, SIG_DFL);
      ::dup2(out >= 0 ? out : ::open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
      ::execl(OUTLAY_COMMAND, OUTLAY_COMMAND, "serve", "--config", config.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(err[1]);
    err_ = ::fdopen(err[0], "r");
    std::array<char, 1024> first{};
    const ssize_t size = ::read(err[0], first.data(), first.size());
    const std::string line(first.data(), static_cast<std::size_t>(std::max(size, ssize_t{0})));
    if (!line.ends_with('\n')) throw std::runtime_error("it says in pieces: " + line);
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
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  void signal(int number) const { ::kill(pid_, number); }
  /// The next line on standard error.
  std::string next_line() {
    std::array<char, 1024> line{};
    return std::fgets(line.data(), line.size(), err_) ? line.data() : "";
  }
  /// One of the next lines has this in it.
  bool says(const std::string& part) {
    for (int most = 20; most > 0; --most)
      if (next_line().find(part) != std::string::npos) return true;
    return false;
  }
  int stop(int number = SIGTERM) {
    signal(number);
    int status = -1;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  [[nodiscard]] std::string log() const { return command::read_file(out_); }
  /// The status of what is answered to a chat completion.
  [[nodiscard]] int chat(const std::string& fields) const {
    const std::string body =
        R"({"model":"gpt-4o","max_completion_tokens":100,"messages":[{"role":"user","content":"A private matter."}]})";
    return ask("POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nConnection: close\r\n" + fields +
               "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  [[nodiscard]] int ask(const std::string& text) const { return status_of(whole(text)); }
  static int status_of(const std::string& reply) { return reply.size() > 12 ? std::stoi(reply.substr(9, 3)) : 0; }
  /// What is answered to a GET below /outlay/.
  [[nodiscard]] std::string page(const std::string& path) const {
    return whole("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
  }
  [[nodiscard]] std::string whole(const std::string& text) const {
    boost::asio::io_context io;
    boost::asio::ip::tcp::socket socket(io);
    socket.connect({boost::asio::ip::address_v4::loopback(), port_});
    boost::asio::write(socket, boost::asio::buffer(text));
    std::string reply;
    boost::system::error_code ignored;
    boost::asio::read(socket, boost::asio::dynamic_buffer(reply), ignored);
    return reply;
  }

 private:
  pid_t pid_ = 0;
  std::FILE* err_ = nullptr;
  std::string out_{};
  std::uint16_t port_ = 0;
};

}  // namespace command
