#include "outlay/jsonl_sink.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <string_view>
#include <system_error>

#include "core/base/json_text.hpp"
#include "outlay/error.hpp"

namespace outlay {

namespace {

using detail::append_json;
using detail::append_number;

/// One JSON object, member by member.
class Object {
 public:
  explicit Object(std::string& out) : out_(out) { out_ += '{'; }
  ~Object() { out_ += '}'; }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  template <class T>
  void number(std::string_view key, T value) {
    name(key);
    append_number(out_, value);
  }
  void count(std::string_view key, std::int64_t value) {
    if (value != 0) number(key, value);
  }
  void text(std::string_view key, std::string_view value) {
    if (value.empty()) return;
    name(key);
    append_json(out_, value);
  }
  void flag(std::string_view key, bool value) {
    name(key);
    out_ += value ? "true" : "false";
  }
  void time(std::string_view key, Time value) {
    name(key);
    out_ += '"';
    detail::append_time(out_, value);
    out_ += '"';
  }
  void tags(std::string_view key, const Tags& value) {
    if (value.empty()) return;
    name(key);
    append_json(out_, value);
  }
  void list(std::string_view key, const std::vector<std::string>& value) {
    if (value.empty()) return;
    name(key);
    append_json(out_, value);
  }
  std::string& member(std::string_view key) {
    name(key);
    return out_;
  }

 private:
  void name(std::string_view key) {
    if (!first_) out_ += ',';
    first_ = false;
    append_json(out_, key);
    out_ += ':';
  }
  std::string& out_;
  bool first_ = true;
};

void append_usage(std::string& out, const Usage& usage) {
  Object object(out);
  object.number("input", usage.input);
  object.number("cache_read", usage.cache_read);
  object.number("cache_write", usage.cache_write);
  object.number("cache_write_1h", usage.cache_write_1h);
  object.number("output", usage.output);
  object.number("reasoning", usage.reasoning);
  object.count("input_audio", usage.input_audio);
  object.count("input_image", usage.input_image);
  object.count("cache_read_audio", usage.cache_read_audio);
  object.count("output_audio", usage.output_audio);
  object.count("output_image", usage.output_image);
  object.count("web_searches", usage.web_searches);
}

class JsonlSink final : public Sink {
 public:
  explicit JsonlSink(const JsonlSinkOptions& options)
      : options_(options), name_(detail::well_formed(options.path.native())) {
    if (options_.path.empty())
      throw ConfigError("jsonl_sink: the path is empty: name the file, as in {.path = \"spend.jsonl\"}");
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
      fail("cannot be synchronised with the disk: what was written last may not survive a power cut", errno);
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
        fail("cannot be written: a line is lost", error);
      }
      rest.remove_prefix(static_cast<std::size_t>(written));
      torn_ = !rest.empty();
    }
  }
  [[noreturn]] void fail(const char* what, int error) const {
    throw Error(errc::storage, "jsonl_sink: \"" + name_ + "\" " + what + ": " + std::generic_category().message(error) +
                                   ". Check the directory, its permissions and the room on the disk");
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
  {
    Object object(line);
    object.text("type", "call");
    object.number("call_id", record.call_id);
    object.text("status", to_string(record.status));
    object.time("started", record.started);
    object.time("ended", record.ended);
    object.text("model", record.model);
    object.text("requested_model", record.requested_model);
    object.text("admitted_model", record.admitted_model);
    object.text("provider", record.provider);
    object.text("service_tier", record.service_tier);
    object.text("usd", detail::decimal_usd(record.usd));
    object.number("usd_nanos", record.usd.nanos());
    object.number("reserved_nanos", record.reserved.nanos());
    object.count("overrun_nanos", record.overrun.nanos());
    object.text("cost_source", to_string(record.cost_source));
    if (record.provider_cost) object.number("provider_cost_nanos", record.provider_cost->nanos());
    if (record.table_cost) object.number("table_cost_nanos", record.table_cost->nanos());
    object.text("price_version", record.price_version);
    if (record.unbounded) object.flag("unbounded", true);
    append_usage(object.member("usage"), record.usage);
    object.tags("tags", record.tags);
    object.list("budgets", record.budgets);
    object.text("reason", record.reason);
    object.text("traceparent", record.traceparent);
  }
  return line;
}

std::string to_json_line(const BudgetEvent& event) {
  std::string line;
  line.reserve(512);
  {
    Object object(line);
    object.text("type", "event");
    object.time("time", event.time);
    object.text("action", to_string(event.action));
    object.text("budget", event.budget);
    object.text("path", event.path);
    object.text("description", event.description);
    object.text("model", event.model);
    object.text("new_model", event.new_model);
    object.text("dimension", to_string(event.dimension));
    // In the dimension's unit: nano-dollars for usd.
    object.number("projected", event.projected);
    object.number("cap", event.cap);
    if (event.action == Action::threshold) object.number("threshold", event.threshold);
    if (event.max_output_tokens) object.number("max_output_tokens", *event.max_output_tokens);
    object.number("call_id", event.call_id);
    object.tags("tags", event.tags);
    object.list("budgets", event.budgets);
    object.text("reason", event.reason);
    object.text("traceparent", event.traceparent);
  }
  return line;
}

std::shared_ptr<Sink> jsonl_sink(const JsonlSinkOptions& options) { return std::make_shared<JsonlSink>(options); }

}  // namespace outlay
