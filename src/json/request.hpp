#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "media.hpp"
#include "outlay/tokens.hpp"
#include "vendor_rules.hpp"

namespace outlay::detail {

/// Adds up what a request's input may come to: a bound and a guess, side by side.
class InputCount {
 public:
  /// From here on by the rules of this model's vendor; an empty name changes nothing.
  void count_for(std::string_view model) noexcept {
    if (!model.empty()) rules_ = &vendor_rules(model);
  }
  void text(std::string_view text);
  /// Tokens that the provider adds around what it is given.
  void overhead(std::int64_t tokens) noexcept { typical_ += tokens, upper_ += tokens; }
  /// What the model's template writes by itself.
  void own_prompt() noexcept { range(rules_->own_prompt / 2, rules_->own_prompt); }
  void range(std::int64_t typical, std::int64_t upper) noexcept { typical_ += typical, upper_ += upper; }
  /// A value that providers render as text: its names, strings and numbers.
  void rendered(const boost::json::value& value);
  /// The same of tool definitions and schemas, which some vendors' models see as JSON.
  void schema(const boost::json::value& value);
  /// A list of tools and what explains tools to the model.
  ///
  /// \return Whether one of them is run by the provider, so that what it finds becomes input.
  bool tools(const boost::json::value& tools);
  /// Media or a file, given by its base64 text or `data:` address, or empty: by reference.
  void media(Media media, std::string_view payload, bool low_detail = false);
  /// What a provider gave in a form that it alone can read, and reads again.
  void sealed(std::string_view base64);
  /// Every string of a value as text, but media recognised by their shape: for contents whose parts vary by provider.
  void content(const boost::json::value& value);

  [[nodiscard]] std::int64_t typical() const noexcept { return typical_; }
  [[nodiscard]] std::int64_t upper() const noexcept { return upper_; }
  /// Something was counted whose size bounds nothing: upper() is a guess.
  [[nodiscard]] bool open() const noexcept { return open_; }

 private:
  void content(const boost::json::value& value, std::string_view key, std::optional<Media> around, int depth);
  void rendered(const boost::json::value& value, int depth);

  const VendorRules* rules_ = &vendor_rules({});
  std::int64_t typical_ = 0;
  std::int64_t upper_ = 0;
  bool open_ = false;
};

/// What a request asks for, whatever its format.
struct RequestFacts {
  std::string model;
  std::optional<std::int64_t> ceiling;  // per choice
  std::int64_t choices = 1;
  std::int64_t min_output = 1;  // the smallest ceiling that can be written
  bool fixed_ceiling = false;   // none can be written
  const char* ceiling_name = "max_output_tokens";
  bool stream = false;
  bool asks_for_usage = false;
  bool cache_write = false;  // it marks something for the provider's cache
  bool long_cache = false;   // for its longer-lived one
  /// The input may be larger than what the request shows: earlier answers, stored files, what tools of the provider find.
  bool open_input = false;
  std::int64_t web_searches = 0;  // that the provider may run at the most; of those that nothing bounds: one
  std::string service_tier;
  InputCount input;
};

// Members that may be absent or null. A member of another type is an Error with errc::invalid_argument that names it.
[[nodiscard]] const boost::json::value* member(const boost::json::object& object, std::string_view key) noexcept;
[[nodiscard]] const boost::json::object* object_member(const boost::json::object& object, std::string_view key);
[[nodiscard]] std::string_view string_member(const boost::json::object& object, std::string_view key);
[[nodiscard]] std::optional<std::int64_t> integer_member(const boost::json::object& object, std::string_view key);
[[nodiscard]] bool bool_member(const boost::json::object& object, std::string_view key, bool otherwise = false);

/// Sets a number and keeps the member's place, and its type where it was a double.
void write_number(boost::json::object& object, std::string_view key, std::int64_t number);
/// A nested object, made where it is absent or null.
[[nodiscard]] boost::json::object& nested(boost::json::object& object, std::string_view key);
/// Lowers a thinking budget below the ceiling.
void lower_thinking(boost::json::object& thinking, std::int64_t ceiling);
/// Reads what an Anthropic thinking object means for the ceiling.
void read_thinking(const boost::json::object* thinking, RequestFacts& facts);
/// Notes the first of some members that the request has and that brings input which it does not show.
void find_open_input(const boost::json::object& request, std::initializer_list<std::string_view> keys,
                     RequestFacts& facts);
/// Whether a list of tools has one whose type begins like this.
[[nodiscard]] bool has_tool(const boost::json::value& tools, std::string_view type);
/// Whether the request names stored or distant documents, or parts of earlier answers, whose size it does not show.
[[nodiscard]] bool refers_elsewhere(const boost::json::value& value, int depth = 0);
/// Notes where a request is to be computed, as Facts::compose_tier() says it of a reply: a place that is dearer, on top of a tier that has
/// a price of its own.
void add_place(std::string_view geo, RequestFacts& facts);
/// The place that a tier names, alone or on top of another; empty if none.
[[nodiscard]] std::string_view place_of(std::string_view tier) noexcept;
/// Notes marks for the provider's cache, wherever they are in the request.
void find_cache_marks(const boost::json::value& value, RequestFacts& facts, int depth = 0);

}  // namespace outlay::detail
