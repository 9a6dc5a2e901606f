#include <outlay/outlay.hpp>

int main() {
  outlay::Budget budget({.name = "test", .usd = outlay::Usd::parse("1")});
  outlay::Call call({.model = "gpt-4o", .input_tokens = 100, .max_output_tokens = 100});
  call.release();
  return budget.spent().usd == outlay::Usd{} ? 0 : 1;
}
