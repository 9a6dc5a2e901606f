// Truncate: the work ends there, and that is no error. Links: outlay::core.
#include "policies/stream.hpp"

#include <optional>
#include <string>

using namespace outlay::literals;

int main() {
  std::cout << "A call that needs up to $0.0125:\n";
  const std::optional<std::string> answer =
      outlay::run({.name = "answers", .usd = 0.01_usd, .on_exceed = outlay::Truncate{}}, [] {
        outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
        return std::string("never reached");
      });
  std::cout << "  " << answer.value_or("no answer, and no exception") << '\n';

  std::cout << "A stream:\n";
  outlay::Budget budget({.name = "stream", .usd = 0.01_usd, .on_exceed = outlay::Truncate{}});
  read_stream();
}
