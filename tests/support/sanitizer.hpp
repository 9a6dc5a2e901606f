#pragma once

// OUTLAY_TEST_SANITIZER is defined where the tests are built for AddressSanitizer or ThreadSanitizer.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define OUTLAY_TEST_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define OUTLAY_TEST_SANITIZER 1
#endif
#endif

namespace outlay_test {

/// How often a test repeats something at random, or to find a race: under a sanitizer, which takes ten times as long and looks at each
/// step by itself, a fifth.
constexpr int rounds(int plain) {
#ifdef OUTLAY_TEST_SANITIZER
  return plain > 5 ? plain / 5 : plain;
#else
  return plain;
#endif
}

}  // namespace outlay_test
