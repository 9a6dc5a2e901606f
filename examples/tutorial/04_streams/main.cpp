// A streamed answer is counted while it arrives: one that ends, one that a budget cuts, one that the program drops.
#include <iostream>
#include <outlay/json.hpp>
#include <string>
#include <string_view>

using namespace outlay::literals;

// Gets the text, piece by piece, after there is room for it.
struct Printer : outlay::StreamConsumer {
  void on_delta(const outlay::StreamDelta& delta) override { std::cout << delta.text; }
};

// Stands for the socket: the bytes of an answer as OpenAI streams them.
std::string event_with(std::string_view text) {
  return R"(data: {"choices":[{"index":0,"delta":{"content":")" + std::string(text) + R"("}}]})" + "\n\n";
}
const std::string usage_event = R"(data: {"choices":[],"usage":{"prompt_tokens":50,"completion_tokens":6}})"
                                "\n\ndata: [DONE]\n\n";

int main() {
  outlay::Budget budget({.name = "stream", .tokens = 600});
  Printer printer;

  {  // The answer ends, and the provider says what it used: that is what is booked.
    outlay::Call call({.model = "gpt-4o", .input_tokens = 50, .max_output_tokens = 100});
    outlay::Stream stream(call, outlay::Api::openai_chat);
    const std::string bytes = event_with("Your refund is ") + event_with("on its way.") + usage_event;
    const std::size_t step = 7;  // as they come off the socket, cut anywhere
    for (std::size_t at = 0; at < bytes.size(); at += step)
      stream.feed(std::string_view(bytes).substr(at, step), printer);
    const outlay::Settled settled = stream.finish();
    std::cout << "\n  booked: " << settled.usage << '\n';
  }
  {  // No ceiling in the request, and an answer without an end: room is reserved piece by piece, until there is none.
    outlay::Call call({.model = "gpt-4o", .input_tokens = 50});
    outlay::Stream stream(call, outlay::Api::openai_chat);
    int pieces = 0;
    try {
      while (stream.open()) {
        stream.feed(event_with("and on and on "));
        ++pieces;
      }
    } catch (const outlay::BudgetExceeded& cut) {  // close the connection now
      std::cout << "cut after " << pieces << " pieces: " << cut.what() << '\n';
    }
    std::cout << "  " << budget.state() << '\n';
  }
  {  // The user has gone: what was shown was written, and will be billed.
    budget.raise_cap(outlay::Dimension::tokens, 200, "one more");
    outlay::Call call({.model = "gpt-4o", .input_tokens = 50, .max_output_tokens = 100});
    outlay::Stream stream(call, outlay::Api::openai_chat);
    stream.feed(event_with("Let me see"));
  }
  const outlay::Record last = outlay::Ledger::current().records().back();
  std::cout << "dropped, and booked: " << last.usage << " (" << outlay::to_string(last.status) << ")\n";
}
