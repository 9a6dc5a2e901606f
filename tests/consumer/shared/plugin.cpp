#include "plugin.hpp"

namespace {

class CountingSink : public outlay::Sink {
 public:
  void write(const outlay::Record&) override { ++records; }
  int records = 0;
};

}  // namespace

std::shared_ptr<outlay::Sink> plugin_sink() { return std::make_shared<CountingSink>(); }

int records_in(const std::shared_ptr<outlay::Sink>& sink) {
  const auto* counting = dynamic_cast<const CountingSink*>(sink.get());
  return counting ? counting->records : -1;
}

void refused_call() { outlay::Call call({.model = "gpt-4o-mini", .input_tokens = 1'000, .max_output_tokens = 1}); }

void wrong_configuration() { throw outlay::ConfigError("this is the plugin's"); }
