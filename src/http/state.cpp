#include "state.hpp"

#include <algorithm>

#include "outlay/error.hpp"

namespace outlay::http::detail {

int Storms::failed(const std::string& feature, const std::string& model) {
  const std::lock_guard lock(mutex_);
  if (failures_.size() >= most) failures_.clear();
  return ++failures_[{feature, model}];
}

void Storms::succeeded(const std::string& feature, const std::string& model) noexcept {
  const std::lock_guard lock(mutex_);
  if (failures_.empty()) return;
  failures_.erase({feature, model});
}

namespace {

ClientOptions checked(const ClientOptions& options) {
  const auto bad = [](const char* what) { throw ConfigError(std::string("http client: ") + what); };
  const Timeouts& t = options.timeouts;
  if (std::min({t.connect.count(), t.first_byte.count(), t.idle.count(), t.total.count()}) < 0)
    bad("a time-out is negative. Use 0 for none.");
  if (options.limits.request_bytes == 0 || options.limits.reply_bytes == 0 || options.limits.header_bytes == 0)
    bad("a size limit is 0, which would refuse everything. Use 1 byte or more.");
  const Retries& r = options.retries;
  if (r.max_attempts < 1) bad("Retries::max_attempts must be at least 1. 1 means no retry.");
  if (std::min({r.first_delay.count(), r.max_delay.count(), r.max_retry_after.count()}) < 0 || r.storm_after < 0)
    bad("a member of Retries is negative. Use 0 or more.");
  ClientOptions copy = options;
  copy.api_key.clear();
  copy.headers.clear();
  return copy;
}

}  // namespace

ClientState::ClientState(boost::asio::any_io_executor ex, const ClientOptions& opts)
    : executor(std::move(ex)),
      options(checked(opts)),
      endpoint(make_endpoint(opts)),
      tls(!endpoint.url.tls ? nullptr
          : opts.tls        ? opts.tls
                            : make_tls_context(opts.ca_file)),
      pool(opts.max_idle_connections, opts.max_idle_time),
      back_off_(options.retries.first_delay, options.retries.max_delay, {0, 100}) {}

std::chrono::milliseconds ClientState::jitter(int attempt) {
  const std::lock_guard lock(mutex_);
  return back_off_.wait(attempt);
}

OwnedRequest::OwnedRequest(Api api, const boost::json::object& request, const RequestOptions& opts, bool is_stream)
    : body(request),
      stream(is_stream),
      model(api.model_in_path() ? opts.model : std::string_view()),
      traceparent(opts.traceparent),
      tags(opts.tags) {
  if (!stream_in_body(api)) return;
  if (stream) {
    body["stream"] = true;
  } else if (const boost::json::value* asked = body.if_contains("stream"); asked && *asked == true) {
    throw Error(errc::invalid_argument,
                "http client: the request asks for a stream. Use Client::stream, or leave \"stream\" out.");
  } else if (!asked && streams_unasked(api)) {
    body["stream"] = false;
  }
}

}  // namespace outlay::http::detail
