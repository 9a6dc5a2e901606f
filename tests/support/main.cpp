// The main of every test executable. After each test case the ambient context must be empty: a scope that leaks out of one case would
// make the outcome of the next depend on the order in which they run.
#define CATCH_CONFIG_RUNNER
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <unistd.h>

#include <iostream>

#include "outlay/context.hpp"
#include "support/catch.hpp"

namespace {

#if __has_include(<catch2/catch_all.hpp>)
using ListenerBase = Catch::EventListenerBase;
#else
using ListenerBase = Catch::TestEventListenerBase;
#endif

int cases_that_leaked = 0;

class EmptyContextListener final : public ListenerBase {
 public:
  using ListenerBase::ListenerBase;

  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    ListenerBase::testCaseEnded(stats);
    if (outlay::Context::current().empty()) return;
    ++cases_that_leaked;
#if __has_include(<catch2/catch_all.hpp>)
    const std::string& name = stats.testInfo->name;
#else
    const std::string& name = stats.testInfo.name;
#endif
    std::cerr << "FAILED: the ambient context is not empty after \"" << name << "\"\n";
  }
};

CATCH_REGISTER_LISTENER(EmptyContextListener)

const pid_t first_process = ::getpid();

}  // namespace

// LeakSanitizer asks it at exit(). In a forked child what the parent's threads held on their stacks looks lost.
extern "C" int __lsan_is_turned_off();  // NOLINT(bugprone-reserved-identifier)
extern "C" int __lsan_is_turned_off() { return ::getpid() != first_process; }

int main(int argc, char** argv) {
  const int result = Catch::Session().run(argc, argv);
  if (result != 0) return result;
  return cases_that_leaked == 0 ? 0 : 1;
}
