#include "plugin.hpp"

#include <iostream>
#include <system_error>

namespace {

int failures = 0;

void check(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "not so: " << what << '\n';
  ++failures;
}

/// Which handler catches it: 1 of the type itself, 2 of outlay::Error, 3 of std::system_error, 4 none of them.
template <class Exception, class F>
int caught(F&& f) {
  try {
    f();
  } catch (const Exception&) {
    return 1;
  } catch (const outlay::Error&) {
    return 2;
  } catch (const std::system_error&) {
    return 3;
  } catch (...) {
    return 4;
  }
  return 0;
}

}  // namespace

int main() {
  outlay::Ledger ledger;
  const auto sink = plugin_sink();
  ledger.add_sink(sink);
  const outlay::LedgerScope scope(ledger);
  const outlay::Budget budget({.name = "shared", .tokens = 100});

  check(caught<outlay::BudgetExceeded>(refused_call) == 1, "the plugin's refused call is caught as BudgetExceeded");
  check(caught<outlay::ConfigError>(wrong_configuration) == 1, "what the plugin throws is caught as ConfigError");
  check(caught<outlay::StoreUnavailable>(refused_call) == 2, "it is an outlay::Error, and no StoreUnavailable");
  check(caught<outlay::ConfigError>([] { outlay::Budget empty({}); }) == 1,
        "what the library throws is caught as ConfigError");

  outlay::Call({.model = "gpt-4o-mini", .input_tokens = 10, .max_output_tokens = 10}).settle({.input = 10});
  ledger.flush();
  check(records_in(sink) == 1, "the plugin's sink was given the record");
  return failures;
}
