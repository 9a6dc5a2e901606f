#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "facts.hpp"
#include "outlay/json/api.hpp"
#include "outlay/json/guard.hpp"
#include "outlay/json/stream.hpp"
#include "outlay/usage.hpp"
#include "paths.hpp"
#include "request.hpp"

namespace outlay::detail {

/// A piece of an answer as the reader collects it; the texts are ranges of the reader's buffer.
struct Piece {
  struct Range {
    std::uint32_t begin = 0;
    std::uint32_t size = 0;
  };
  StreamDelta::Kind kind{};
  std::int32_t choice = 0;
  std::int32_t tool = 0;
  Range text;
  Range tool_id;
  Range tool_name;
  bool again = false;  // says once more what another piece of the event says, if there is one
  bool whole = false;  // of an answer as a whole, which a stream's deltas have shown
};

/// What a reply reports, in disjoint buckets.
struct Report {
  Usage usage{};                   // `parts` included
  std::vector<UsagePart> parts{};  // what other models than the reply's own took
  bool doubt = false;              // the counts contradict one another; the dearer reading was taken
};

/// What is billed by use alone.
[[nodiscard]] Usage tools_of(const Usage& usage) noexcept;

/// How an API writes its requests, replies and streams. Stateless; one file each in apis/. What else an API is stands in its ApiRow.
class Format {
 public:
  virtual ~Format() = default;

  /// Where a reply and a stream's events say what.
  [[nodiscard]] virtual const Paths& paths() const = 0;
  /// Disjoint buckets from the provider's counts.
  [[nodiscard]] virtual Report report(const Facts& facts) const = 0;
  /// An entry of a list that the paths name as Field::entry is complete: facts.list, facts.label, facts.entry_*.
  virtual void entry(Facts& facts) const { static_cast<void>(facts); }
  /// An event is complete: facts.type, the pieces. May rename pieces and set facts.done and facts.final_usage.
  virtual void event(Facts& facts, std::vector<Piece>& pieces) const {
    static_cast<void>(facts), static_cast<void>(pieces);
  }

  /// What a request asks for. `facts.input` counts its text.
  virtual void read_request(const boost::json::object& request, RequestFacts& facts) const = 0;
  /// Writes an output ceiling per choice, and touches nothing else. Only called with at least facts.min_output of the same request, and
  /// not where facts.fixed_ceiling.
  virtual void write_ceiling(boost::json::object& request, std::int64_t ceiling) const = 0;
  virtual void write_model(boost::json::object& request, std::string_view model) const { request["model"] = model; }
  /// Makes a streamed request ask for its usage, where the API must be asked.
  virtual void ask_for_usage(boost::json::object& request) const { static_cast<void>(request); }
  /// What an answer with another status than 2xx means by its body, where that says more than the status: ApiRow::statuses otherwise.
  /// `body` is null where it was not JSON.
  [[nodiscard]] virtual std::optional<ReplyVerdict> judge(int status, const boost::json::value& body) const {
    static_cast<void>(status), static_cast<void>(body);
    return std::nullopt;
  }
};

[[nodiscard]] const Format& format(Api api) noexcept;

/// A Format by its class, which is only known where it is defined: see apis/define.hpp.
template <class F>
[[nodiscard]] const Format& the_format();

}  // namespace outlay::detail
