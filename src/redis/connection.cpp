#include "redis/connection.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <system_error>
#include <vector>

namespace outlay::detail {

namespace {

/// More elements than any reply here has. A damaged length must not lead to a large allocation.
constexpr std::size_t most_elements = 65'536;

std::string reason_of(int error) { return std::generic_category().message(error); }

/// The functions with which hiredis makes replies, copied from the first connection.
const redisReplyObjectFunctions& plain_functions(const redisReplyObjectFunctions* seen) {
  static const redisReplyObjectFunctions functions = *seen;
  return functions;
}

// A template: the number is an int before hiredis 1.0, a size_t since.
template <class Number>
void* create_bounded_array(const redisReadTask* task, Number elements) {
  if (static_cast<std::size_t>(elements) > most_elements) return nullptr;
  return plain_functions(nullptr).createArray(task, elements);
}

redisReplyObjectFunctions bounded(const redisReplyObjectFunctions* seen) {
  redisReplyObjectFunctions functions = plain_functions(seen);
  functions.createArray = create_bounded_array;
  return functions;
}

}  // namespace

void append_command(std::string& bytes, std::span<const std::string_view> words) {
  bytes.append("*").append(std::to_string(words.size())).append("\r\n");
  for (const std::string_view word : words)
    bytes.append("$").append(std::to_string(word.size())).append("\r\n").append(word).append("\r\n");
}

void append_command(std::string& bytes, std::initializer_list<std::string_view> words) {
  append_command(bytes, std::span(words.begin(), words.size()));
}

RedisConnection::RedisConnection(const RedisAddress& address, Deadline deadline)
    : address_(address),
      context_(address.path.empty() ? redisConnectNonBlock(address.host.c_str(), address.port)
                                    : redisConnectUnixNonBlock(address.path.c_str())) {
  if (!context_) throw ConnectionLost("cannot be connected to: out of memory");
  if (context_->err != 0) throw ConnectionLost(std::string("cannot be connected to: ") + context_->errstr);
  static const redisReplyObjectFunctions functions = bounded(context_->reader->fn);
  context_->reader->fn = const_cast<redisReplyObjectFunctions*>(&functions);  // read only, in every version
  ::fcntl(context_->fd, F_SETFD, FD_CLOEXEC);
  short ready = 0;
  wait(POLLOUT, deadline, ready);
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(context_->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) throw ConnectionLost("cannot be connected to: " + reason_of(error));
  if (address.path.empty()) redisEnableKeepAlive(context_.get());
}

void RedisConnection::wait(short events, Deadline deadline, short& ready) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd entry{context_->fd, events, 0};
    const int count = ::poll(&entry, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, INT_MAX)));
    ready = entry.revents;
    if (count > 0) return;
    if (count == 0) throw ConnectionLost("did not answer in time", true);
    if (errno != EINTR) throw ConnectionLost("cannot be polled: " + reason_of(errno));
  }
}

void RedisConnection::exchange(std::string_view bytes, std::size_t count, Deadline deadline, const Take& take) {
  std::array<char, 16'384> buffer;
  for (std::size_t taken = 0; taken < count || !bytes.empty();) {
    void* reply = nullptr;
    if (redisReaderGetReply(context_->reader, &reply) != REDIS_OK)
      throw ConnectionLost(std::string("sent a reply that is not in the Redis protocol: ") + context_->reader->errstr);
    if (reply) {
      const std::unique_ptr<void, decltype(&freeReplyObject)> owner(reply, freeReplyObject);
      if (taken == count) throw ConnectionLost("sent more replies than there were commands");
      take(taken++, *static_cast<const redisReply*>(reply));
      continue;
    }
    short ready = 0;
    wait(static_cast<short>(bytes.empty() ? POLLIN : POLLIN | POLLOUT), deadline, ready);
    if ((ready & POLLOUT) != 0) {
      // Not through hiredis, whose write raises SIGPIPE: a program that does not handle it would end.
      const ssize_t sent = ::send(context_->fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN && errno != EINTR)
        throw ConnectionLost("broke the connection: " + reason_of(errno));
      if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    if ((ready & ~POLLOUT) == 0) continue;
    const ssize_t got = ::recv(context_->fd, buffer.data(), buffer.size(), 0);
    if (got == 0) throw ConnectionLost("closed the connection");
    if (got < 0 && errno != EAGAIN && errno != EINTR) throw ConnectionLost("broke the connection: " + reason_of(errno));
    if (got > 0) redisReaderFeed(context_->reader, buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace outlay::detail
