#pragma once

#include <zlib.h>

#include <boost/json.hpp>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "otel/settings.hpp"
#include "outlay/log.hpp"
#include "outlay/otel.hpp"
#include "outlay/outlay.hpp"
#include "outlay/testing/clock.hpp"
#include "support/fault_server.hpp"
#include "support/log_capture.hpp"

namespace test {

using namespace std::chrono_literals;

using Variables = std::map<std::string, std::string>;

/// OTEL_* variables for a test case: all others are unset meanwhile.
class Environment {
 public:
  explicit Environment(const Variables& variables = {}) {
    for (char** at = environ; *at; ++at) {
      const std::string entry = *at;
      if (entry.starts_with("OTEL_"))
        before_.emplace_back(entry.substr(0, entry.find('=')), entry.substr(entry.find('=') + 1));
    }
    for (const auto& [name, value] : before_) unsetenv(name.c_str());
    for (const auto& [name, value] : variables) {
      setenv(name.c_str(), value.c_str(), 1);
      set_.push_back(name);
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() {
    for (const std::string& name : set_) unsetenv(name.c_str());
    for (const auto& [name, value] : before_) setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::vector<std::pair<std::string, std::string>> before_;
  std::vector<std::string> set_;
};

using Log = outlay_test::LogCapture;

inline std::string gunzipped(std::string_view packed) {
  z_stream stream{};
  if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK) throw std::runtime_error("inflateInit2");
  const std::unique_ptr<z_stream, int (*)(z_streamp)> ended(&stream, inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string text;
  char piece[4096];
  int status = Z_OK;
  while (status == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = sizeof piece;
    status = inflate(&stream, Z_NO_FLUSH);
    text.append(piece, sizeof piece - stream.avail_out);
  }
  if (status != Z_STREAM_END || stream.avail_in != 0) throw std::runtime_error("no whole gzip stream");
  return text;
}

inline std::string head_of(const std::string& request) { return request.substr(0, request.find("\r\n\r\n") + 2); }

/// A request's body as it was before compression.
inline std::string body_of(const std::string& request) {
  const std::string body = request.substr(request.find("\r\n\r\n") + 4);
  return head_of(request).find("Content-Encoding: gzip\r\n") != std::string::npos ? gunzipped(body) : body;
}

/// Settings for tests: a clock that stands still, no waiting between retries, nothing of the machine in the resource.
inline outlay::detail::OtelSettings settings_for(const std::string& endpoint, outlay::OtelOptions options = {}) {
  const Environment none;
  options.endpoint = endpoint;
  if (!options.clock) options.clock = std::make_shared<outlay::testing::ManualClock>();
  if (options.service_name.empty()) options.service_name = "golden";
  if (!options.resource.contains("service.instance.id")) options.resource.set("service.instance.id", "1");
  if (options.interval.count() == 0) options.interval = 1h;
  outlay::detail::OtelSettings settings = outlay::detail::resolve(options);
  settings.first_retry_delay = 1ms;
  settings.max_retry_delay = 2ms;
  return settings;
}

inline outlay::Time at(std::chrono::nanoseconds after_start) {
  return outlay::testing::ManualClock().now() + after_start;
}

inline outlay::Record record(std::int64_t input = 100, std::int64_t output = 20, std::int64_t nanos = 27'000) {
  outlay::Record made;
  made.status = outlay::RecordStatus::settled;
  made.started = at(1s);
  made.ended = at(1s + 250ms);
  made.requested_model = made.admitted_model = made.model = "gpt-4o-mini";
  made.provider = "openai";
  made.usage.input = input;
  made.usage.output = output;
  made.usd = outlay::Usd::from_nanos(nanos);
  made.cost_source = outlay::CostSource::table;
  return made;
}

/// One data point, flattened: its attributes by key, and what it says.
struct Point {
  std::map<std::string, std::string> attributes{};
  boost::json::object json{};

  [[nodiscard]] std::string attribute(const std::string& key) const {
    const auto found = attributes.find(key);
    return found == attributes.end() ? "(absent)" : found->second;
  }
  [[nodiscard]] std::int64_t integer(const char* member) const {
    return std::stoll(std::string(json.at(member).as_string()));
  }
};

/// The points of a metric in a body; empty where it has none of that name.
inline std::vector<Point> points(const std::string& body, std::string_view metric) {
  std::vector<Point> found;
  const boost::json::value request = boost::json::parse(body);
  for (const auto& resource : request.at("resourceMetrics").as_array())
    for (const auto& scope : resource.at("scopeMetrics").as_array())
      for (const auto& one : scope.at("metrics").as_array()) {
        if (one.at("name").as_string() != boost::json::string_view(metric.data(), metric.size())) continue;
        for (const char* kind : {"sum", "gauge", "histogram"}) {
          const boost::json::value* data = one.as_object().if_contains(kind);
          if (!data) continue;
          for (const auto& point : data->at("dataPoints").as_array()) {
            Point made;
            made.json = point.as_object();
            for (const auto& attribute : point.at("attributes").as_array())
              made.attributes[std::string(attribute.at("key").as_string())] =
                  std::string(attribute.at("value").at("stringValue").as_string());
            found.push_back(std::move(made));
          }
        }
      }
  return found;
}

/// The sum over a counter's points.
inline std::int64_t total(const std::string& body, std::string_view counter) {
  std::int64_t sum = 0;
  for (const Point& point : points(body, counter)) sum += point.integer("asInt");
  return sum;
}

inline Plan ok() { return {.bytes = http_reply(200, "{}")}; }

inline std::chrono::steady_clock::time_point soon(std::chrono::milliseconds time = 10s) {
  return std::chrono::steady_clock::now() + time;
}

/// Waits for something that another thread brings about; false after ten seconds.
inline bool poll_until(const std::function<bool()>& done) {
  const auto limit = soon();
  while (!done()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

inline std::string data_file(const std::string& name) {
  std::ifstream file(std::string(OUTLAY_TEST_DATA) + "/otel/" + name, std::ios::binary);
  if (!file) throw std::runtime_error("tests/data/otel/" + name + " cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace test
