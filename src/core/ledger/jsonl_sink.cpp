#include "outlay/jsonl_sink.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <string_view>
#include <system_error>

#include "core/base/decimal.hpp"
#include "core/base/iso_time.hpp"
#include "core/base/json_writer.hpp"
#include "core/base/utf8.hpp"
#include "outlay/error.hpp"

namespace outlay {

namespace {

/// The members of a record or an event. Those that say nothing are left out: empty texts and lists, and special counts of 0.
class Members {
 public:
  explicit Members(detail::JsonWriter& json) noexcept : json_(json) {}

  template <class T>
  void number(std::string_view key, T value) {
    json_.key(key).number(value);
  }
  void count(std::string_view key, std::int64_t value) {
    if (value != 0) number(key, value);
  }
  void text(std::string_view key, std::string_view value) {
    if (!value.empty()) json_.key(key).text(value);
  }
  void time(std::string_view key, Time value) { json_.key(key).text(detail::iso_nanoseconds(value)); }
  void tags(const Tags& value) {
    if (!value.empty()) json_.key("tags").tags(value);
  }
  void budgets(const std::vector<std::string>& value) {
    if (!value.empty()) json_.key("budgets").texts(value);
  }
  void usage(const Usage& usage) {
    json_.key("usage").begin_object();
    number("input", usage.input);
    number("cache_read", usage.cache_read);
    number("cache_write", usage.cache_write);
    number("cache_write_1h", usage.cache_write_1h);
    number("output", usage.output);
    number("reasoning", usage.reasoning);
    count("input_audio", usage.input_audio);
    count("input_image", usage.input_image);
    count("cache_read_audio", usage.cache_read_audio);
    count("output_audio", usage.output_audio);
    count("output_image", usage.output_image);
    count("web_searches", usage.web_searches);
    count("file_searches", usage.file_searches);
    count("code_sessions", usage.code_sessions);
    count("other_tools", usage.other_tools);
    json_.end_object();
  }

 private:
  detail::JsonWriter& json_;
};

class JsonlSink final : public Sink {
 public:
  explicit JsonlSink(const JsonlSinkOptions& options)
      : options_(options), name_(detail::well_formed(options.path.native())) {
    if (options_.path.empty())
      throw ConfigError("jsonl_sink: the path is empty. Name the file, as in {.path = \"spend.jsonl\"}.");
    fd_ = ::open(options_.path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd_ < 0) fail("cannot be opened", errno);
    struct stat info{};
    char last = '\n';
    if (::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0)
      torn_ = ::pread(fd_, &last, 1, info.st_size - 1) == 1 && last != '\n';
  }
  JsonlSink(const JsonlSink&) = delete;
  JsonlSink& operator=(const JsonlSink&) = delete;
  ~JsonlSink() override { ::close(fd_); }

  void write(const Record& record) override { append(to_json_line(record)); }
  void event(const BudgetEvent& budget_event) override { append(to_json_line(budget_event)); }
  void flush(std::chrono::steady_clock::time_point /*deadline*/) override {
    // Pipes and terminals cannot be synchronised, and need not.
    if (options_.sync && ::fdatasync(fd_) != 0 && errno != EINVAL && errno != EROFS)
      fail("cannot be synchronised with the disk, so its last lines may not survive a power cut", errno);
  }
  void close() override { flush({}); }
  [[nodiscard]] bool durable() const noexcept override { return true; }

 private:
  void append(std::string line) {
    const std::lock_guard lock(mutex_);
    line += '\n';
    if (torn_) line.insert(line.begin(), '\n');
    std::string_view rest = line;
    while (!rest.empty()) {
      const ssize_t written = ::write(fd_, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        const int error = written < 0 ? errno : EIO;
        torn_ = torn_ || rest.size() != line.size();
        fail("cannot be written, so a line is lost", error);
      }
      rest.remove_prefix(static_cast<std::size_t>(written));
      torn_ = !rest.empty();
    }
  }
  [[noreturn]] void fail(const char* what, int error) const {
    throw Error(errc::storage, "jsonl_sink: \"" + name_ + "\" " + what + ": " + std::generic_category().message(error) +
                                   ". Check the directory, its permissions and the room on the disk.");
  }

  const JsonlSinkOptions options_;
  const std::string name_;
  std::mutex mutex_;
  int fd_ = -1;
  bool torn_ = false;  // the file does not end in a line's end
};

}  // namespace

std::string to_json_line(const Record& record) {
  std::string line;
  line.reserve(640);
  detail::JsonWriter json(line);
  json.begin_object();
  Members members(json);
  members.text("type", "call");
  members.number("call_id", record.call_id);
  members.text("status", to_string(record.status));
  members.time("started", record.started);
  members.time("ended", record.ended);
  members.text("model", record.model);
  members.text("requested_model", record.requested_model);
  members.text("admitted_model", record.admitted_model);
  members.text("provider", record.provider);
  members.text("service_tier", record.service_tier);
  members.text("usd", detail::decimal_usd(record.usd));
  members.number("usd_nanos", record.usd.nanos());
  members.number("reserved_nanos", record.reserved.nanos());
  members.count("overrun_nanos", record.overrun.nanos());
  members.text("cost_source", to_string(record.cost_source));
  if (record.provider_cost) members.number("provider_cost_nanos", record.provider_cost->nanos());
  if (record.table_cost) members.number("table_cost_nanos", record.table_cost->nanos());
  members.text("price_version", record.price_version);
  if (record.unbounded) json.key("unbounded").boolean(true);
  members.usage(record.usage);
  if (!record.parts.empty()) {
    json.key("parts").begin_array();
    for (const RecordPart& part : record.parts) {
      json.begin_object();
      members.text("model", part.model);
      members.number("usd_nanos", part.usd.nanos());
      members.usage(part.usage);
      json.end_object();
    }
    json.end_array();
  }
  members.tags(record.tags);
  members.budgets(record.budgets);
  members.text("reason", record.reason);
  members.text("traceparent", record.traceparent);
  json.end_object();
  return line;
}

std::string to_json_line(const BudgetEvent& event) {
  std::string line;
  line.reserve(512);
  detail::JsonWriter json(line);
  json.begin_object();
  Members members(json);
  members.text("type", "event");
  members.time("time", event.time);
  members.text("action", to_string(event.action));
  members.text("budget", event.budget);
  members.text("path", event.path);
  members.text("description", event.description);
  members.text("model", event.model);
  members.text("provider", event.provider);
  members.text("new_model", event.new_model);
  members.text("dimension", to_string(event.dimension));
  // In the dimension's unit: nano-dollars for usd.
  members.number("projected", event.projected);
  members.number("cap", event.cap);
  if (event.action == Action::threshold) members.number("threshold", event.threshold);
  if (event.max_output_tokens) members.number("max_output_tokens", *event.max_output_tokens);
  members.number("call_id", event.call_id);
  members.tags(event.tags);
  members.budgets(event.budgets);
  members.text("reason", event.reason);
  members.text("traceparent", event.traceparent);
  json.end_object();
  return line;
}

std::shared_ptr<Sink> jsonl_sink(const JsonlSinkOptions& options) { return std::make_shared<JsonlSink>(options); }

}  // namespace outlay
