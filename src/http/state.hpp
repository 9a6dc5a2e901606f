#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "connection.hpp"
#include "core/base/back_off.hpp"
#include "exchange.hpp"
#include "outlay/http/client.hpp"
#include "outlay/http/options.hpp"
#include "outlay/json/guard.hpp"
#include "provider.hpp"

namespace outlay::http::detail {

/// Counts failures in a row, by feature and model, and says when they have become a storm.
///
/// \par Thread safety
/// Safe from any thread.
class Storms {
 public:
  /// \return How many in a row with this one.
  int failed(const std::string& feature, const std::string& model);
  void succeeded(const std::string& feature, const std::string& model) noexcept;

 private:
  static constexpr std::size_t most = 1'024;  // features may be made from user input
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, int> failures_{};
};

/// What all copies of a Client share.
struct ClientState {
  ClientState(boost::asio::any_io_executor ex, const ClientOptions& opts);

  boost::asio::any_io_executor executor;
  ClientOptions options;  // without the key, which is in endpoint.head
  Endpoint endpoint;
  std::shared_ptr<boost::asio::ssl::context> tls;  // null for http://
  Pool pool;
  Storms storms{};

  /// A random time between nothing and the n-th delay, doubled each time.
  [[nodiscard]] std::chrono::milliseconds jitter(int attempt);

 private:
  std::mutex mutex_;
  outlay::detail::BackOff back_off_;
};

/// A request with everything that its views referred to.
struct OwnedRequest {
  OwnedRequest(Api api, const boost::json::object& request, const RequestOptions& options, bool is_stream);

  boost::json::object body;
  bool stream;
  std::string model;
  std::string traceparent;
  Tags tags;
};

/// An attempt whose reply has begun, with 2xx.
struct Reply {
  GuardedCall call;
  std::unique_ptr<Exchange> exchange;
};

/// Admits and sends, and tries again where that may help, until a reply begins.
[[nodiscard]] boost::asio::awaitable<Reply> begin(std::shared_ptr<ClientState> state,
                                                  std::shared_ptr<const OwnedRequest> request);

/// Throws the error that belongs to a fault.
[[noreturn]] void throw_fault(const ClientState& state, const std::string& model, const Fault& fault,
                              std::string_view booked);

/// Throws system_error(operation_aborted) if the coroutine that awaits this has been cancelled.
[[nodiscard]] boost::asio::awaitable<void> throw_if_cancelled();

}  // namespace outlay::http::detail
