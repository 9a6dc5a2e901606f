#include "http/provider.hpp"

#include <string>
#include <vector>

#include "outlay/error.hpp"
#include "support/catch.hpp"

using outlay::detail::Url;
using outlay::http::detail::encode_segment;
using outlay::http::detail::parse_base_url;

TEST_CASE("url: the parts of a base URL are read", "[http][url]") {
  const Url plain = parse_base_url("http://LocalHost:8080/v1/");
  CHECK_FALSE(plain.tls);
  CHECK(plain.host == "localhost");
  CHECK(plain.port == 8080);
  CHECK(plain.path == "/v1");
  CHECK(plain.authority() == "localhost:8080");
  CHECK(plain.loopback());

  const Url secure = parse_base_url("https://api.openai.com");
  CHECK(secure.tls);
  CHECK(secure.port == 443);
  CHECK(secure.path.empty());
  CHECK(secure.authority() == "api.openai.com");
  CHECK_FALSE(secure.loopback());

  const Url six = parse_base_url("http://[::1]:80/x");
  CHECK(six.host == "::1");
  CHECK(six.authority() == "[::1]");
  CHECK(six.loopback());
}

TEST_CASE("url: what only looks like the loopback address is not", "[http][url]") {
  CHECK(parse_base_url("http://127.0.0.1").loopback());
  CHECK_FALSE(parse_base_url("http://127.example.com").loopback());
  CHECK_FALSE(parse_base_url("http://localhost.example.com").loopback());
}

TEST_CASE("url: a bad base URL is refused without repeating it", "[http][url]") {
  const std::string secret = "hunter2";
  const std::vector<std::string> texts{"ftp://host/" + secret,
                                       secret,
                                       "http://",
                                       "http://:80/" + secret,
                                       "http://user:" + secret + "@host",
                                       "http://host:0/" + secret,
                                       "http://host:65536/" + secret,
                                       "http://host:1x/" + secret,
                                       "http://host:/" + secret,
                                       "http://host/a?key=" + secret,
                                       "http://host/#" + secret,
                                       "http://ho st/" + secret,
                                       "http://host/\r\nX: " + secret,
                                       "http://[::1/" + secret,
                                       "http://" + std::string(300, 'a') + "/" + secret,
                                       "http://h/" + std::string(3000, 'a') + secret};
  for (const std::string& text : texts) {
    CAPTURE(text);
    try {
      static_cast<void>(parse_base_url(text));
      FAIL("accepted");
    } catch (const outlay::ConfigError& error) {
      CHECK(std::string(error.what()).find(secret) == std::string::npos);
    }
  }
}

TEST_CASE("url: a model's name cannot leave its segment of the path", "[http][url]") {
  CHECK(encode_segment("anthropic.claude-v2:0") == "anthropic.claude-v2%3A0");
  CHECK(encode_segment("../../admin?x=1#y z") == "..%2F..%2Fadmin%3Fx%3D1%23y%20z");
  CHECK(encode_segment("\xc3\xa4\r\n") == "%C3%A4%0D%0A");
}
