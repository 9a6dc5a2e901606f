// Heads of requests: whatever the check lets pass, in whatever pieces it comes, a parser reads as one head that ends at the same place, with at
// most one length.
#include "gateway/head.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string>

#include "fuzz_input.hpp"

using outlay::gateway::detail::HeadCheck;
using outlay_fuzz::check;
namespace http = boost::beast::http;

namespace {

constexpr const char* lines[] = {"POST /v1/messages HTTP/1.1",
                                 "GET / HTTP/1.0",
                                 "Host: gateway",
                                 "Content-Length: 5",
                                 "Transfer-Encoding: chunked",
                                 "Connection: close",
                                 " folded",
                                 "X: a",
                                 "Expect: 100-continue",
                                 "",
                                 ":",
                                 "Content-Length : 5"};
constexpr const char* ends[] = {"\r\n", "\n", "\r", "\r\r\n", "", "\r\n\r\n"};

std::string head(outlay_fuzz::Choices& input) {
  if (input.flag()) return input.remainder();
  std::string text;
  while (!input.empty() && text.size() < 4'096) {
    text += input.flag() ? lines[input.below(std::size(lines))] : input.text(40);
    text += input.byte() < 200 ? "\r\n" : ends[input.below(std::size(ends))];
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  outlay_fuzz::Choices input(data, size);
  const std::size_t first = input.byte();
  const std::string text = head(input);
  HeadCheck whole, pieces;
  const HeadCheck::State state = whole.look(text);
  // In two pieces it is the same.
  HeadCheck::State split = pieces.look(std::string_view(text).substr(0, std::min(first, text.size())));
  if (split == HeadCheck::State::more) split = pieces.look(text);
  check(split == state);
  if (state != HeadCheck::State::whole) return 0;
  check(whole.size() == pieces.size() && whole.size() <= text.size());
  const std::string_view seen = std::string_view(text).substr(0, whole.size());
  check(seen.ends_with("\r\n\r\n") && seen.find("\r\n\r\n") == seen.size() - 4);

  http::request_parser<http::string_body> parser;
  parser.header_limit(1U << 20U);
  parser.body_limit(boost::none);
  boost::system::error_code error;
  const std::size_t read = parser.put(boost::asio::buffer(seen.data(), seen.size()), error);
  if (error && error != http::error::need_more) return 0;  // more than this check, a parser may refuse
  check(parser.is_header_done() && read == seen.size());
  const auto& fields = parser.get().base();
  check(fields.count(http::field::content_length) + fields.count(http::field::transfer_encoding) <= 1);
  check(fields.count(http::field::host) <= 1);
  check(parser.chunked() == (fields.count(http::field::transfer_encoding) == 1));
  return 0;
}
