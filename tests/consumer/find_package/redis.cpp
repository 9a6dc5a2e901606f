#include <outlay/outlay.hpp>
#include <outlay/redis.hpp>

using namespace outlay::literals;

int main() {
  // Nobody listens there: the call is refused, which is what deny() says.
  const auto store =
      outlay::redis_store({.url = "unix:///nowhere/redis.sock", .on_unreachable = outlay::OnUnreachable::deny()});
  outlay::Budget budget({.name = "consumer", .usd = 1_usd, .window = outlay::Window::day(), .store = store});
  const auto call = outlay::try_call({.model = "gpt-4o-mini", .input_tokens = 10, .max_output_tokens = 10});
  return !call && call.error().reason() == outlay::errc::store_unavailable ? 0 : 1;
}
