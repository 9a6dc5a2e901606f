// A batch is submitted by one process, and its bill comes to another one, hours later.
//
// usage: 10_batches submit | collect
#include <chrono>
#include <fstream>
#include <iostream>
#include <outlay/outlay.hpp>
#include <outlay/sqlite.hpp>
#include <string>

using namespace outlay::literals;
using namespace std::chrono_literals;

void submit(const std::shared_ptr<outlay::Store>& store) {
  outlay::Budget night({.name = "night", .usd = 2_usd, .window = outlay::Window::forever(), .store = store});
  outlay::Track track({{"feature", "summaries"}});
  outlay::Call call({.model = "gpt-4o",
                     .input_tokens = 200'000,
                     .max_output_tokens = 100'000,
                     .service_tier = "batch",
                     .lease = 24h});  // the cap keeps room for it that long, also when this process ends
  call.sent();                        // here the batch is uploaded
  std::ofstream("batch.txt") << call.detach() << '\n';
  std::cout << "submitted. " << night.state() << '\n';
}

void collect(const std::shared_ptr<outlay::Store>& store) {
  outlay::Budget night({.name = "night", .usd = 2_usd, .window = outlay::Window::forever(), .store = store});
  std::string text;
  std::getline(std::ifstream("batch.txt"), text);
  outlay::Call call = outlay::Call::resume(text, store);
  const outlay::Settled settled = call.settle({.input = 200'000, .output = 41'000});  // what the provider reports
  if (settled.first)
    std::cout << "booked " << settled.usd << ". ";
  else
    std::cout << "booked before. ";
  store->flush();
  std::cout << night.state() << '\n';
}

int main(int argc, char** argv) {
  const auto store = outlay::sqlite_store({.path = "caps.db"});
  if (argc > 1 && argv[1] == std::string("submit")) {
    submit(store);
  } else {
    collect(store);
  }
}
