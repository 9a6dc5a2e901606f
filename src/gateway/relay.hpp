#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/answer.hpp"
#include "gateway/client.hpp"
#include "gateway/routes.hpp"
#include "gateway/server.hpp"
#include "http/exchange.hpp"
#include "outlay/json.hpp"

namespace outlay::gateway::detail {

/// Null for what is not JSON.
[[nodiscard]] boost::json::value parse_body(std::string_view body) noexcept;

/// Answers one request, by an upstream or by the gateway itself.
class Relay {
 public:
  /// Refers to all of them.
  ///
  /// \param admin It came to the port of `/outlay/`.
  Relay(Server& server, Client& client, const Request& request, bool admin);

  boost::asio::awaitable<void> run();
  /// After run(): the connection may be kept for the next request.
  [[nodiscard]] bool keeps_alive() const noexcept { return keep_alive_; }
  [[nodiscard]] const GatewayExchange& exchange() const noexcept { return seen_; }
  /// What the gateway itself has added to a request that went to an upstream, as far as that can be told apart.
  [[nodiscard]] const std::optional<std::chrono::nanoseconds>& added() const noexcept { return added_; }

 private:
  using Connection = http::detail::Connection;
  using Exchange = http::detail::Exchange;
  using Fault = http::detail::Fault;

  // relay.cpp
  boost::asio::awaitable<void> answer(Answer answer, const char* outcome);
  boost::asio::awaitable<void> pass();
  boost::asio::awaitable<Fault> send(std::unique_ptr<Exchange>& exchange, std::string_view target,
                                     std::string_view body, std::size_t most_bytes, Call* call);
  [[nodiscard]] std::string request_text(std::string_view target, std::string_view body) const;
  [[nodiscard]] std::string reply_head(const Exchange& exchange, std::optional<std::size_t> length,
                                       std::string_view more_fields);
  boost::asio::awaitable<void> write_piece(std::string_view piece);
  /// \param trailers Fields with their line ends, for a client that has asked for trailers.
  boost::asio::awaitable<void> write_end(std::string_view trailers = {});
  /// \param call The one that has ended by it, if it was metered.
  [[nodiscard]] Answer fault_answer(const Fault& fault, const GuardedCall* call = nullptr) const;
  void done_with(Exchange& exchange);

  // status.cpp
  /// What is below `/outlay/`.
  boost::asio::awaitable<void> status(std::string_view path, std::string_view query);
  [[nodiscard]] std::optional<Answer> status_refusal(std::string_view path) const;

  // tags.cpp
  [[nodiscard]] Tags tags() const;

  // metered.cpp
  /// \param model The one that the path names; empty where the body does.
  boost::asio::awaitable<void> metered(Api api, std::string model);
  boost::asio::awaitable<void> serve(GuardedCall& call, bool streamed);
  boost::asio::awaitable<void> stream(GuardedCall& call, Exchange& exchange);
  boost::asio::awaitable<void> whole(GuardedCall& call, Exchange& exchange);
  /// What is known of the call when it has ended, as fields.
  [[nodiscard]] std::string cost_fields(const GuardedCall& call) const;

  Server& server_;
  std::shared_ptr<const Settings> settings_;
  Client& client_;
  const Request& request_;
  Route route_{};
  const GatewayKey* key_ = nullptr;  // the client's, where clients have keys of the gateway's own
  GatewayExchange seen_{};
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::optional<std::chrono::nanoseconds> added_{};
  const bool admin_;
  bool keep_alive_;
  bool chunked_ = false;  // of the reply that is being written
};

}  // namespace outlay::gateway::detail
