#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "outlay/json/stream.hpp"

namespace outlay::gateway::detail {

/// Follows a stream's events on their way to the client: what of the bytes may be passed on, and how the stream is ended by the gateway.
///
/// An event is passed on when it is complete and room for it has been reserved, so that a cut falls between two events.
class Events final : public StreamConsumer {
 public:
  /// \param drop_usage Leave out events that carry nothing but a usage that only the gateway has asked for.
  Events(Api api, bool drop_usage) : api_(api), drop_usage_(drop_usage) {}

  void on_delta(const StreamDelta&) override {}
  void on_event(const StreamEvent& event) override;

  /// Before a piece is metered.
  void arrived(std::string_view piece);
  /// What may be passed on after it has been; valid until the next call.
  ///
  /// \param open The meter expects more events: otherwise all is passed on.
  [[nodiscard]] std::string_view ready(bool open);
  /// The same, where the stream was cut: complete events alone.
  [[nodiscard]] std::string_view ready_before_cut();

  /// Ends the stream as the provider ends one that has reached its ceiling. Empty where the format does not allow to end it here.
  [[nodiscard]] std::string ending() const;
  /// Ends it with an error in the provider's shape.
  [[nodiscard]] std::string error_ending(int status, std::string_view code, std::string_view message) const;

 private:
  void note(std::string_view event);
  std::string_view take(std::size_t size);

  Api api_;
  bool drop_usage_;
  bool sse_ = false;    // the meter names events by their bytes
  bool blank_ = true;   // nothing but blanks has come, which the meter skips
  std::string held_{};  // arrived, not passed on
  std::string out_{};
  std::size_t seen_ = 0;  // of held_, what complete events have taken
  std::string kept_{};    // of those events, what is to be passed on
  std::string first_{};   // the first event with data
  std::string line_end_ = "\n";
  std::int64_t open_block_ = -1;  // of Anthropic's
  std::int64_t events_ = 0;       // with data
};

}  // namespace outlay::gateway::detail
