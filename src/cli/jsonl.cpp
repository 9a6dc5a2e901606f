// What a JSONL sink writes, line by line. Its lines are what to_json_line() writes; members that are missing have their default.
#include <array>
#include <boost/json.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "cli/lines.hpp"
#include "cli/terminal.hpp"
#include "core/base/iso_time.hpp"
#include "core/base/utf8.hpp"
#include "core/ledger/budget_path.hpp"
#include "outlay/error.hpp"

namespace outlay::cli {

namespace json = boost::json;

namespace {

constexpr std::size_t longest_line = std::size_t{1} << 20;

/// A line is not what a sink writes.
struct BadLine : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// `2026-11-22T01:40:59.123456789Z`
Time parse_nanoseconds(std::string_view text) {
  const std::size_t point = text.find('.');
  std::int64_t nanos = 0;
  std::string seconds(text);
  if (point != text.npos && text.ends_with('Z')) {
    const std::string_view digits = text.substr(point + 1, text.size() - point - 2);
    if (digits.empty() || digits.size() > 9) throw BadLine("time");
    for (std::size_t i = 0; i < 9; ++i) {
      const char digit = i < digits.size() ? digits[i] : '0';
      if (digit < '0' || digit > '9') throw BadLine("time");
      nanos = nanos * 10 + (digit - '0');
    }
    seconds = std::string(text.substr(0, point)) + 'Z';
  }
  const std::optional<Time> time = detail::parse_iso_time(seconds);
  if (!time) throw BadLine("time");
  return *time + std::chrono::nanoseconds(nanos);
}

/// The members of an object, each of one type or absent.
class Members {
 public:
  explicit Members(const json::value& value) : object_(value.if_object()) {
    if (!object_) throw BadLine("object");
  }
  [[nodiscard]] const json::value* find(std::string_view key) const { return object_->if_contains(key); }
  void read(std::string_view key, std::string& out) const {
    out.clear();
    if (const json::value* value = find(key)) out = text(*value);
  }
  void read(std::string_view key, std::int64_t& out) const {
    out = 0;
    if (const json::value* value = find(key)) out = integer(*value);
  }
  void read(std::string_view key, Usd& out) const {
    std::int64_t nanos = 0;
    read(key, nanos);
    out = Usd::from_nanos(nanos);
  }
  void read(std::string_view key, Time& out) const {
    const json::value* value = find(key);
    out = value ? parse_nanoseconds(text(*value)) : Time{};
  }
  void read(std::string_view key, std::uint64_t& out) const {
    const json::value* value = find(key);
    if (!value)
      out = 0;
    else if (value->is_uint64())
      out = value->get_uint64();
    else
      out = static_cast<std::uint64_t>(integer(*value));
  }
  template <class Value>
  void read(std::string_view key, std::optional<Value>& out) const {
    out.reset();
    if (find(key)) read(key, out.emplace());
  }
  void read(std::string_view key, Tags& out) const {
    out = Tags();
    const json::value* value = find(key);
    if (!value) return;
    if (!value->is_object()) throw BadLine("tags");
    for (const auto& tag : value->get_object()) out.set(tag.key(), text(tag.value()));
  }
  void read(std::string_view key, std::vector<std::string>& out) const {
    out.clear();
    const json::value* value = find(key);
    if (!value) return;
    if (!value->is_array()) throw BadLine("list");
    for (const json::value& one : value->get_array()) out.emplace_back(text(one));
  }
  /// By the name of an enumerator, of which there are `count`.
  template <class Enum>
  void read(std::string_view key, Enum& out, int count) const {
    const json::value* value = find(key);
    const std::string_view name = value ? text(*value) : std::string_view();
    for (int i = 0; i < count; ++i)
      if (name == to_string(static_cast<Enum>(i))) {
        out = static_cast<Enum>(i);
        return;
      }
    throw BadLine("name");
  }

 private:
  static std::string_view text(const json::value& value) {
    if (!value.is_string()) throw BadLine("text");
    return value.get_string();
  }
  static std::int64_t integer(const json::value& value) {
    if (!value.is_int64()) throw BadLine("number");
    return value.get_int64();
  }
  const json::object* object_;
};

struct Count {
  const char* name;
  std::int64_t Usage::* member;
};
constexpr Count counts[] = {{"input", &Usage::input},
                            {"cache_read", &Usage::cache_read},
                            {"cache_write", &Usage::cache_write},
                            {"cache_write_1h", &Usage::cache_write_1h},
                            {"output", &Usage::output},
                            {"reasoning", &Usage::reasoning},
                            {"input_audio", &Usage::input_audio},
                            {"input_image", &Usage::input_image},
                            {"cache_read_audio", &Usage::cache_read_audio},
                            {"output_audio", &Usage::output_audio},
                            {"output_image", &Usage::output_image},
                            {"web_searches", &Usage::web_searches},
                            {"file_searches", &Usage::file_searches},
                            {"code_sessions", &Usage::code_sessions},
                            {"other_tools", &Usage::other_tools}};

void read_record(const Members& members, Record& record) {
  members.read("call_id", record.call_id);
  members.read("status", record.status, static_cast<int>(RecordStatus::rejected) + 1);
  members.read("started", record.started);
  members.read("ended", record.ended);
  members.read("model", record.model);
  members.read("requested_model", record.requested_model);
  members.read("admitted_model", record.admitted_model);
  members.read("provider", record.provider);
  members.read("service_tier", record.service_tier);
  members.read("usd_nanos", record.usd);
  members.read("reserved_nanos", record.reserved);
  members.read("overrun_nanos", record.overrun);
  members.read("cost_source", record.cost_source, static_cast<int>(CostSource::none) + 1);
  members.read("provider_cost_nanos", record.provider_cost);
  members.read("table_cost_nanos", record.table_cost);
  members.read("price_version", record.price_version);
  record.unbounded = members.find("unbounded") != nullptr;
  record.usage = {};
  if (const json::value* usage = members.find("usage"))
    for (const Members used(*usage); const Count& count : counts) used.read(count.name, record.usage.*count.member);
  if (record.usage.first_invalid()) throw BadLine("usage");
  members.read("tags", record.tags);
  members.read("budgets", record.budgets);
  members.read("reason", record.reason);
  members.read("traceparent", record.traceparent);
}

void read_event(const Members& members, BudgetEvent& event) {
  members.read("time", event.time);
  members.read("action", event.action, static_cast<int>(Action::expired) + 1);
  members.read("budget", event.budget);
  members.read("path", event.path);
  members.read("description", event.description);
  members.read("model", event.model);
  members.read("provider", event.provider);
  members.read("new_model", event.new_model);
  members.read("dimension", event.dimension, static_cast<int>(Dimension::concurrent) + 1);
  members.read("projected", event.projected);
  members.read("cap", event.cap);
  const json::value* threshold = members.find("threshold");
  event.threshold = threshold && threshold->is_number() ? threshold->to_number<double>() : 0;
  members.read("max_output_tokens", event.max_output_tokens);
  members.read("call_id", event.call_id);
  members.read("tags", event.tags);
  members.read("budgets", event.budgets);
  members.read("reason", event.reason);
  members.read("traceparent", event.traceparent);
}

/// The lines of a file.
class FileLines final : public LineInput {
 public:
  explicit FileLines(const std::filesystem::path& path) : path_(path), name_(detail::well_formed(path.native())) {}

  void read(const OnLine& on_line) override {
    std::ifstream file(path_, std::ios::binary | std::ios::ate);
    if (file && file.tellg() < offset_) {
      say("\"" + name_ + "\" is shorter than it was: it is read from its begin again.");
      offset_ = 0;
    }
    if (offset_ == 0) lines_ = 0;
    file.seekg(offset_);
    if (!file) throw Error(errc::storage, "\"" + name_ + "\" cannot be read. Check the path and its permissions.");
    std::array<char, 65'536> block{};
    std::string line;
    bool too_long = false;
    std::streamoff pending = 0;  // bytes of a line whose end has not been seen
    for (;;) {
      file.read(block.data(), static_cast<std::streamsize>(block.size()));
      std::string_view rest(block.data(), static_cast<std::size_t>(file.gcount()));
      if (rest.empty()) break;
      while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        const std::string_view part = rest.substr(0, end);
        too_long = too_long || line.size() + part.size() > longest_line;
        if (!too_long) line += part;
        pending += static_cast<std::streamoff>(part.size());
        if (end == rest.npos) break;
        rest.remove_prefix(end + 1);
        offset_ += pending + 1;
        pending = 0;
        on_line(too_long ? nullptr : &line, ++lines_);
        line.clear();
        too_long = false;
      }
    }
    torn_ = pending != 0;
  }
  void restart() override { offset_ = 0; }
  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] bool torn() const override { return torn_; }

 private:
  const std::filesystem::path path_;
  const std::string name_;
  std::streamoff offset_ = 0;  // behind the last complete line
  std::uint64_t lines_ = 0;
  bool torn_ = false;
};

class LinesSource final : public Source {
 public:
  LinesSource(std::unique_ptr<LineInput> input, const ReportFilter& filter)
      : input_(std::move(input)), filter_(filter) {
    const std::string* budget = filter_.tags.find("budget");
    if (!budget) return;
    // Which budgets a name means is known when all have been seen.
    budget_.emplace(*budget);
    const auto show = [this](const auto& row) { budget_->show(row.budgets); };
    each_row(show, show);
    if (!budget_->known())
      throw Error(errc::invalid_argument, "no budget in \"" + input_->name() + "\" was ever called \"" +
                                              detail::well_formed(*budget) +
                                              "\". Check its name: report by budget lists them.");
    input_->restart();
    bad_ = 0;
  }

  void read(const OnRecord& on_record, const OnEvent& on_event) override {
    each_row(
        [&](const Record& record) {
          if (passes(record, record.ended, record.started)) on_record(record);
        },
        [&](const BudgetEvent& event) {
          if (passes(event, event.time, event.time)) on_event(event);
        });
  }
  [[nodiscard]] bool complete() const override { return input_->complete(); }
  [[nodiscard]] std::chrono::milliseconds pause() const override { return input_->pause(); }
  [[nodiscard]] std::string remark() const override {
    if (bad_ == 0 && !input_->torn()) return {};
    const std::string lines = std::to_string(bad_) + (bad_ == 1 ? " line" : " lines");
    return "\"" + input_->name() + "\" has " +
           (bad_ == 0 ? "a last line that is not complete: it is left out."
                      : lines + " that a jsonl_sink does not write, the first is line " + std::to_string(first_bad_) +
                            ": left out. Check what else writes the file.");
  }

 private:
  template <class OnRecord, class OnEvent>
  void each_row(const OnRecord& on_record, const OnEvent& on_event) {
    input_->read([&](const std::string* line, std::uint64_t number) {
      if (line && take(*line, on_record, on_event))
        any_good_ = true;
      else if (bad_++ == 0)
        first_bad_ = number;
    });
    if (bad_ != 0 && !any_good_)
      throw Error(errc::bad_file, "\"" + input_->name() +
                                      "\" has no line that a jsonl_sink writes: it is a file of another program. Check "
                                      "the path.");
  }

  /// \return It is a line of a sink, or empty.
  template <class OnRecord, class OnEvent>
  bool take(const std::string& line, const OnRecord& on_record, const OnEvent& on_event) {
    if (line.empty()) return true;  // before a line that follows a torn one
    bool is_call = false;
    try {
      json::monotonic_resource memory(buffer_.data(), buffer_.size());
      boost::system::error_code no_json;
      const json::value value = json::parse(line, no_json, &memory);
      if (no_json) return false;
      const Members members(value);
      std::string type;
      members.read("type", type);
      is_call = type == "call";
      if (is_call)
        read_record(members, record_);
      else if (type == "event")
        read_event(members, event_);
      else
        return false;
    } catch (const BadLine&) {
      return false;
    }
    if (is_call)
      on_record(record_);
    else
      on_event(event_);
    return true;
  }

  template <class Row>
  [[nodiscard]] bool passes(const Row& row, Time ended, Time admitted) const {
    if ((filter_.since && ended < *filter_.since) || (filter_.until && ended >= *filter_.until)) return false;
    for (const auto& [key, value] : filter_.tags) {
      const std::string* tag = row.tags.find(key);
      const bool has = key == "model"      ? !value.empty() && row.model == value
                       : key == "provider" ? !value.empty() && row.provider == value
                       : key == "day"      ? detail::iso_date(admitted) == value
                       : key == "budget"   ? budget_->matches(row.budgets)
                                           : tag && *tag == value;
      if (!has) return false;
    }
    return true;
  }

  const std::unique_ptr<LineInput> input_;
  const ReportFilter filter_;
  std::optional<detail::BudgetFilter> budget_;
  Record record_;
  BudgetEvent event_;
  std::array<unsigned char, 16'384> buffer_{};
  std::uint64_t bad_ = 0, first_bad_ = 0;
  bool any_good_ = false;
};

}  // namespace

std::unique_ptr<Source> open_lines(std::unique_ptr<LineInput> input, const ReportFilter& filter) {
  return std::make_unique<LinesSource>(std::move(input), filter);
}

std::unique_ptr<Source> open_jsonl(const std::filesystem::path& path, const ReportFilter& filter) {
  return open_lines(std::make_unique<FileLines>(path), filter);
}

}  // namespace outlay::cli
