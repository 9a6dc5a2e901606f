#include <outlay/outlay.hpp>

int main() {
  outlay::Budget budget({.name = "consumer", .calls = 1});
  outlay::Call call({.model = "gpt-4o-mini", .input_tokens = 10, .max_output_tokens = 10});
  call.settle({.input = 10, .output = 5});
  const auto refused = outlay::try_call({.model = "gpt-4o-mini", .input_tokens = 10});
  return !refused && outlay::report().total().calls == 1 ? 0 : 1;
}
