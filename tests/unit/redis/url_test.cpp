#include "redis/address.hpp"

#include <cstdlib>
#include <string>

#include "fixture.hpp"
#include "outlay/error.hpp"
#include "outlay/redis.hpp"

using outlay::detail::parse_redis_url;
using outlay_test::contains;

TEST_CASE("redis url: host, port and database, with defaults", "[redis]") {
  const auto plain = parse_redis_url("redis://cache.internal");
  CHECK(plain.address.host == "cache.internal");
  CHECK(plain.address.port == 6379);
  CHECK(plain.database == 0);
  CHECK(plain.user.empty());
  CHECK(plain.password.empty());
  const auto full = parse_redis_url("redis://alice:secret@127.0.0.1:6380/7");
  CHECK(full.address.text() == "127.0.0.1:6380");
  CHECK(full.user == "alice");
  CHECK(full.password == "secret");
  CHECK(full.database == 7);
  CHECK(parse_redis_url("redis://host/").database == 0);
}

TEST_CASE("redis url: an IPv6 address stands in brackets", "[redis]") {
  const auto url = parse_redis_url("redis://[::1]:6380");
  CHECK(url.address.host == "::1");
  CHECK(url.address.text() == "[::1]:6380");
}

TEST_CASE("redis url: a password without a user, and any byte as %XX", "[redis]") {
  const auto url = parse_redis_url("redis://:p%40ss%2Fw%3Ard%00@host");
  CHECK(url.user.empty());
  CHECK(url.password == std::string("p@ss/w:rd\0", 10));
}

TEST_CASE("redis url: a Unix socket, with a database and a password", "[redis]") {
  const auto url = parse_redis_url("unix:///run/redis.sock?db=3");
  CHECK(url.address.path == "/run/redis.sock");
  CHECK(url.address.host.empty());
  CHECK(url.database == 3);
  const auto with = parse_redis_url("unix://alice:secret@/run/redis%20x.sock");
  CHECK(with.address.path == "/run/redis x.sock");
  CHECK(with.user == "alice");
  CHECK(with.password == "secret");
}

TEST_CASE("redis url: one that makes no sense is refused without being repeated", "[redis]") {
  for (const std::string url : {"",
                                "host:6379",
                                "http://hunter2@host",
                                "redis://",
                                "redis://user:hunter2@",
                                "redis://hunter2@host",
                                "redis://user:@host",
                                "redis://user:hunter2@host:0",
                                "redis://user:hunter2@host:65536",
                                "redis://user:hunter2@host:1x",
                                "redis://user:hunter2@host/x",
                                "redis://user:hunter2@host/-1",
                                "redis://user:hunter2@host/65536",
                                "redis://user:hunter2@host?x=1",
                                "redis://user:hunter2@ho st",
                                "redis://user:hunter2%4@host",
                                "redis://user:hunter2%zz@host",
                                "redis://user:hunter2@[::1",
                                "redis://[::1]x",
                                "unix://",
                                "unix://hunter2",
                                "unix://user:hunter2/run/x",
                                "unix:///run/x?hunter2=1",
                                "unix:///run/x?db=",
                                "unix:///",
                                "rediss://user:hunter2@host",
                                "redis://\xC3\xA4"}) {
    INFO(url);
    try {
      static_cast<void>(parse_redis_url(url));
      FAIL("it was taken");
    } catch (const outlay::ConfigError& error) {
      CHECK_FALSE(contains(error.what(), "hunter2"));
      CHECK(contains(error.what(), "redis://"));
    }
  }
  CHECK_THROWS_AS(parse_redis_url("redis://" + std::string(3'000, 'x')), outlay::ConfigError);
  CHECK_THROWS_AS(parse_redis_url("unix:///" + std::string(107, 'x')), outlay::ConfigError);
}

TEST_CASE("redis url: TLS is refused with what to do instead", "[redis]") {
  try {
    static_cast<void>(parse_redis_url("rediss://host"));
    FAIL("it was taken");
  } catch (const outlay::ConfigError& error) {
    CHECK(contains(error.what(), "TLS tunnel"));
  }
}

TEST_CASE("redis url: a prefix that could leave its hash slot is refused", "[redis]") {
  for (const std::string prefix : {"", "a}b", "a{b", "a b", "a\n"})
    CHECK_THROWS_AS(outlay_test::RedisBackend("redis://host", prefix), outlay::ConfigError);
  CHECK_THROWS_AS(outlay_test::RedisBackend("redis://host", std::string(65, 'x')), outlay::ConfigError);
  CHECK_NOTHROW(outlay_test::RedisBackend("redis://host", "team-a.caps:v1_x"));
}

TEST_CASE("redis url: the environment may name the store, or none", "[redis]") {
  using outlay::OnUnreachable;
  ::unsetenv("OUTLAY_REDIS_URL");
  CHECK(outlay::redis_store_from_environment(OnUnreachable::deny()) == nullptr);
  ::setenv("OUTLAY_REDIS_URL", "redis://caps.example:6380", 1);
  CHECK(contains(outlay::redis_store_from_environment(OnUnreachable::deny())->description(), "caps.example"));
  ::setenv("OUTLAY_REDIS_URL", "http://caps.example", 1);
  CHECK_THROWS_AS(outlay::redis_store_from_environment(OnUnreachable::deny()), outlay::ConfigError);
  ::unsetenv("OUTLAY_REDIS_URL");
}
