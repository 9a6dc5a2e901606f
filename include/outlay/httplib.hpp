#pragma once

// Calls over cpp-httplib (0.11 and newer), plain or streamed, inside budgets. Header-only.
#include <httplib.h>

#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "outlay/json.hpp"

namespace outlay {

/// What httplib_post() does beside the transfer. The order of the members is part of the interface, for designated
/// initialisers.
struct HttplibOptions {
  /// How the request is read and admitted.
  GuardOptions guard{};
  httplib::Headers headers{};  ///< Beside the client's own; `Content-Type: application/json` where they name none.
  /// Gets the reply's bytes as they come; false aborts. Without one HttplibResult::body keeps the reply.
  httplib::ContentReceiver receiver{};
  /// Called once the call is admitted, before it is sent: sets what depends on its model, as the path where Api::model_in_path().
  std::function<void(httplib::Request& request, const GuardedCall& call)> prepare{};
  /// How the reply is taken.
  TransferOptions transfer{};
};

/// What became of a transfer over cpp-httplib.
struct HttplibResult : TransferResult {
  httplib::Error error{
      httplib::Error::Success};  ///< Error::Canceled where a budget cut the stream, or `receiver` refused bytes.
  httplib::Headers headers{};    ///< Of the reply.
};

namespace detail {

/// How cpp-httplib says that nothing has left.
template <class E>
bool httplib_not_sent(E error) noexcept {
  // Later than 0.11.
  if constexpr (requires { E::SSLServerHostnameVerification; })
    if (error == E::SSLServerHostnameVerification) return true;
  if constexpr (requires { E::ProxyConnection; })
    if (error == E::ProxyConnection) return true;
  switch (error) {
    case httplib::Error::Connection:
    case httplib::Error::BindIPAddress:
    case httplib::Error::SSLConnection:
    case httplib::Error::SSLLoadingCerts:
    case httplib::Error::SSLServerVerification:
    case httplib::Error::ConnectionTimeout:
      return true;
    default:
      return false;
  }
}

/// cpp-httplib may have sent the request again, with a digest.
inline bool httplib_challenged(const httplib::Response& response) {
  if (response.status != 401 && response.status != 407) return false;
  const char* const name = response.status == 401 ? "WWW-Authenticate" : "Proxy-Authenticate";
  return response.get_header_value(name).rfind("Digest", 0) == 0;
}

}  // namespace detail

/// Posts a request inside the budgets around: admits it, sends it as the policies left it, plain or streamed as the body says, and settles it
/// by what comes.
///
/// No address, no connection, no TLS: released. A status other than 2xx: by the API's table. A time-out or a break once a connection was
/// there: charged. A stream that a budget cuts aborts the transfer.
///
/// \param client With its address, time-outs, TLS. What cpp-httplib does not tell from a break counts as one: a connection that it keeps
/// alive and that the server has closed, a proxy that closes without an answer, and in 0.11 an answer that comes before the request has left
/// and a plain reply with trailers. What it does not hand on is not in the books: later versions, as 0.41, read a chunk's last bytes (16 KiB at
/// most) together with the line that ends them, and lose them where the answer breaks off in between; a stream that had shown nothing before
/// is then charged what was reserved.
/// \param path `"/v1/chat/completions"`.
/// \param body The request as in GuardedCall.
/// \return What came; look at `error`, `status` and `failure`.
/// \par Errors
/// As GuardedCall's constructor, before anything is sent. What `prepare`, `receiver` or a consumer throws, after the call has been booked.
/// \par Thread safety
/// As httplib::Client::send.
/// \par Blocking
/// As Call's constructor, and as long as the transfer takes.
/// \par Example
/// \snippet tests/unit/httplib/httplib_test.cpp httplib_example
template <class Client>
HttplibResult httplib_post(Client& client, Api api, const std::string& path, std::string_view body,
                           const HttplibOptions& options = {}) {
  GuardedCall call(api, body, options.guard);
  httplib::Request request;
  request.method = "POST";
  request.path = path;
  request.headers = options.headers;
  if (!request.has_header("Content-Type")) request.set_header("Content-Type", "application/json");
  request.body = call.body_text();
  if (options.prepare) options.prepare(request, call);

  Transfer::Deliver deliver;
  if (options.receiver)
    deliver = [&options](std::string_view bytes) { return options.receiver(bytes.data(), bytes.size()); };
  Transfer transfer(call, std::move(deliver), options.transfer);
  HttplibResult result;
  bool shown = false, challenged = false;
  request.response_handler = [&](const httplib::Response& response) {
    shown = true;
    challenged = detail::httplib_challenged(response);
    transfer.head(response.status);
    result.headers = response.headers;
    return true;
  };
  request.content_receiver = [&](const char* data, std::size_t size, auto, auto) {
    return transfer.body({data, size});
  };
  httplib::Response last;
  result.error = httplib::Error::Success;
  const bool sent = client.send(request, last, result.error);
  if (!sent) {
    // A redirect that the client has followed is not shown to the handler. Where nothing else was shown, or a challenge last, which the client
    // may have answered, what became of the later request is not known.
    if (!shown && last.status >= 300 && last.status <= 399) transfer.head(last.status);
    if (challenged) transfer.head(0);
  }
  // Later versions call the refusal of a proxy to connect an answer.
  const bool left = shown || !detail::httplib_not_sent(result.error);
  const TransferEnd how = !left ? TransferEnd::not_sent : sent ? TransferEnd::complete : TransferEnd::broken;
  static_cast<TransferResult&>(result) = transfer.end(how, httplib::to_string(result.error));
  if (result.thrown) std::rethrow_exception(result.thrown);
  return result;
}

}  // namespace outlay
