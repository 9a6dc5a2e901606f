// Boost.Asio counts the references to an executor that does not fit any_io_executor's own storage (a strand, say) with a release
// decrement and an acquire fence, which ThreadSanitizer does not model; it then reports the last owner's delete. outlay's own executors
// always fit.
extern "C" const char* __tsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier): the sanitizer's name
extern "C" const char* __tsan_default_suppressions() {
  return "race:boost::asio::execution::detail::shared_target_executor\n";
}
