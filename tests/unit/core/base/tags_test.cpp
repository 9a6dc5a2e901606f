#include "outlay/tags.hpp"

#include <array>
#include <string>
#include <type_traits>
#include <vector>

#include "outlay/call.hpp"
#include "support/catch.hpp"

using outlay::Tag;
using outlay::Tags;
using outlay::TagsView;

namespace {

// g++ 12 destroys some temporaries of a co_await expression twice.
static_assert(std::is_trivially_destructible_v<TagsView> && std::is_trivially_copyable_v<TagsView>);
static_assert(std::is_trivially_destructible_v<outlay::CallRequest>);
static_assert(sizeof(TagsView) <= 8 * 24 + 16);  // every call clears one, with or without tags
static_assert(std::forward_iterator<TagsView::iterator>);
constexpr outlay::CallRequest constant{.model = "gpt-4o", .tags = {{"feature", "chat"}, {"turn", "7"}}};
static_assert(constant.tags.size() == 2 && outlay::CallRequest{}.tags.empty());

/// What a function sees that takes tags.
std::string text_of(TagsView tags) {
  std::string text;
  for (const Tag& tag : tags) text.append(tag.key).append("=").append(tag.value).append(" ");
  return text + std::to_string(tags.size());
}

}  // namespace

TEST_CASE("tags: a function takes them in braces", "[core][tags]") {
  const std::string user = "alice";
  CHECK(text_of({}) == "0");
  CHECK(text_of({{"feature", "chat"}}) == "feature=chat 1");
  CHECK(text_of({{"feature", "chat"}, {"user_id", user}, {"turn", std::to_string(7)}}) ==
        "feature=chat user_id=alice turn=7 3");
  CHECK(text_of({{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}, {"e", "5"}, {"f", "6"}, {"g", "7"}, {"h", "8"}}) ==
        "a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8 8");
  CHECK(text_of({{"", ""}, {"", ""}}) == "= = 2");  // refused elsewhere, with its reason
}

TEST_CASE("tags: a function takes every container of them", "[core][tags]") {
  const Tags tags{{"feature", "chat"}, {"user_id", "alice"}};
  const std::string expected = "feature=chat user_id=alice 2";
  CHECK(text_of(tags) == expected);
  CHECK(text_of(std::vector<Tag>{{"feature", "chat"}, {"user_id", "alice"}}) == expected);
  const std::array<Tag, 2> array{{{"feature", "chat"}, {"user_id", "alice"}}};
  CHECK(text_of(array) == expected);
  const Tag plain[] = {{"feature", "chat"}, {"user_id", "alice"}};
  CHECK(text_of(plain) == expected);
  CHECK(text_of(std::span(plain)) == expected);
  CHECK(text_of({plain}) == expected);
  CHECK(Tags(TagsView(array)) == tags);
  CHECK(text_of(Tags()) == "0");
  CHECK(text_of(std::vector<Tag>()) == "0");
}

TEST_CASE("tags: a named request keeps what it was given in braces, and so does its copy", "[core][tags]") {
  const outlay::CallRequest request{.model = "gpt-4o", .tags = {{"feature", "chat"}, {"turn", "7"}}};
  const outlay::CallRequest copy = request;
  CHECK(text_of(request.tags) == "feature=chat turn=7 2");
  CHECK(text_of(copy.tags) == "feature=chat turn=7 2");
}
