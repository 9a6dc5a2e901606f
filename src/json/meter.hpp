#pragma once

#include <boost/json/basic_parser_impl.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/pricing/joined_count.hpp"
#include "framing.hpp"
#include "outlay/json/stream.hpp"
#include "reader.hpp"
#include "surrogates.hpp"

namespace outlay {

/// What a StreamMeter is made of; Stream steps in between the reading of an event and its delivery.
struct StreamMeter::Impl final : private detail::EventSink {
  Impl(Api which, StreamMeterOptions with);

  /// Called for each event before its pieces are delivered. What it throws leaves feed().
  class Gate {
   public:
    /// \return False: do not deliver it, and read no further.
    virtual bool pass() = 0;

   protected:
    ~Gate() = default;
  };

  void feed(std::string_view bytes, StreamConsumer* to, Gate* gate);
  void finish(StreamConsumer* to, Gate* gate);
  /// What the stream has used so far.
  struct Reading {
    detail::Report report;
    bool estimated = false;  // not, or not wholly, the provider's final word
  };
  [[nodiscard]] Reading read() const;
  /// The visible output over every choice, at most the request's ceiling; `reasoning` is an of-which.
  struct Visible {
    std::int64_t output = 0;
    std::int64_t reasoning = 0;
  };
  [[nodiscard]] Visible visible() const;
  /// The member of the report that cannot be; empty if none.
  [[nodiscard]] std::string_view invalid_member() const;
  [[nodiscard]] bool complete() const noexcept;
  [[nodiscard]] bool ended() const noexcept { return broken || stopped || finished || facts().done || error; }
  [[nodiscard]] const detail::Facts& facts() const noexcept { return reader.facts; }

  const Api api;
  const StreamMeterOptions options;
  const detail::Format& format;
  boost::json::basic_parser<detail::Reader> parser;
  detail::Reader& reader;                  // the parser's handler
  std::optional<std::int64_t> max_output;  // over every choice
  bool saw_bytes = false;
  bool began = false;  // an event has come that is no error
  bool saw_done_line = false;
  bool broken = false;    // feed has thrown
  bool outdated = false;  // more of the answer has come since the last report
  bool stopped = false;   // a gate has closed
  bool finished = false;  // finish() was called
  std::optional<StreamError> error;

 private:
  enum class Wire : std::uint8_t { unknown, sse, json, event_stream };

  bool event_read() override;
  void pass_mark(std::string_view& bytes) noexcept;
  void see_wire(std::string_view bytes);
  void feed_sse();
  void sse_event();
  void feed_json(std::string_view bytes);
  void feed_event_stream();
  void parse(std::string_view document);
  void torn() noexcept;
  void count_pieces();
  void event_is_read();
  bool deliver(const StreamEvent& event);
  [[noreturn]] void bad_json(boost::system::error_code reason) const;

  // One text of the answer: each is joined by itself.
  struct Counted {
    StreamDelta::Kind kind;
    std::int32_t choice, tool;
    std::string name;  // of the tool, which is counted with its arguments
    std::string id;    // of its last call
    std::int64_t calls = 0;
    detail::JoinedCount text;
  };
  std::vector<Counted> counted_;

  detail::SseFraming sse_;
  detail::EventStreamFraming event_stream_;
  detail::SurrogateMender mend_;  // of JSON without framing
  Wire wire_ = Wire::unknown;
  std::size_t mark_ = 0;            // bytes of the mark that have come
  std::size_t document_bytes_ = 0;  // of the JSON document that is being read
  bool document_open_ = false;
  bool event_seen_ = false;
  StreamConsumer* to_ = nullptr;
  Gate* gate_ = nullptr;
};

}  // namespace outlay
