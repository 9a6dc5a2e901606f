// Asio's stackful coroutines. They need Boost.Context.
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/asio/strand.hpp>

#include "coroutine_support.hpp"

namespace {

/// walk(), on a stack of its own.
void walk_on_stack(Checks& checks, const asio::yield_context& yield, const std::string& name, const std::string& base) {
  checks.is(who(), base);
  {
    Track outer({{"who", name}});
    for (int i = 0; i < 5; ++i) {
      asio::post(yield.get_executor(), yield);
      checks.is(who(), name);
      const std::string inner_name = name + "/" + std::to_string(i);
      Track inner({{"who", inner_name}});
      asio::post(yield.get_executor(), yield);
      checks.is(who(), inner_name);
    }
  }
  asio::post(yield.get_executor(), yield);
  checks.is(who(), base);
}

template <class ExecutionContext>
void spawn_some(Checks& checks, ExecutionContext& where) {
  Track track({{"who", "spawner"}});
  for (int i = 0; i < 50; ++i)
    asio::spawn(
        asio::any_io_executor(outlay::on(asio::make_strand(where))),
        [&checks, i](const asio::yield_context& yield) { walk_on_stack(checks, yield, std::to_string(i), "spawner"); },
        asio::detached);
}

}  // namespace

TEST_CASE("spawn: stackful coroutines on one thread keep their scopes apart", "[asio][context][spawn]") {
  Checks checks;
  asio::io_context io;
  spawn_some(checks, io);
  io.run();
  checks.report(50 * 12);
  CHECK(Context::current().empty());
}

TEST_CASE("spawn: stackful coroutines migrate over a pool of four threads with their scopes",
          "[asio][context][spawn]") {
  Checks checks;
  asio::thread_pool pool(4);
  spawn_some(checks, pool);
  pool.join();
  checks.report(50 * 12);
}
