// Callback: the program decides. Links: outlay::core.
#include "policies/stream.hpp"

using namespace outlay::literals;

int main() {
  const auto decide = [](const outlay::Exceeded& call) {
    std::cout << "  asked about " << call.model() << (call.streaming() ? " (a stream)" : "") << ": it needs "
              << call.requested() << " of " << call.limit() << '\n';
    if (call.streaming()) return outlay::Decision::allow();  // a paying user sees the end of the answer
    if (call.model() == "gpt-4o") return outlay::Decision::reroute("gpt-4o-mini");
    return outlay::Decision::block();
  };
  outlay::Budget budget({.name = "answers", .usd = 0.01_usd, .on_exceed = outlay::Callback{decide}});

  std::cout << "A call that needs up to $0.0125:\n";
  outlay::Call call({.model = "gpt-4o", .input_tokens = 1'000, .max_output_tokens = 1'000});
  std::cout << "  send it to " << call.model() << '\n';
  call.release("not sent, in this example");

  std::cout << "A stream:\n";
  read_stream();
}
