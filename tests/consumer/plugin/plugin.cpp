#include <outlay/outlay.hpp>

bool spends_within_its_budget() {
  outlay::Budget budget({.name = "plugin", .calls = 1});
  outlay::Call call({.model = "gpt-4o-mini", .input_tokens = 8, .max_output_tokens = 4});
  call.sent();
  call.settle({.input = 8, .output = 4});
  return budget.spent().tokens == 12;
}
