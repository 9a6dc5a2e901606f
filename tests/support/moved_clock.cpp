#include "support/moved_clock.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace test {

MovedClock::MovedClock() {
  std::string name = (std::filesystem::temp_directory_path() / "outlay-clock-XXXXXX").native();
  const int fd = ::mkstemp(name.data());
  if (fd < 0 || ::ftruncate(fd, sizeof *nanos_) != 0) throw std::runtime_error("no file for a clock");
  file_ = name;
  void* const memory = ::mmap(nullptr, sizeof *nanos_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (memory == MAP_FAILED) throw std::runtime_error("no memory for a clock");
  nanos_ = static_cast<std::int64_t*>(memory);
  set(std::chrono::system_clock::now());
}
MovedClock::~MovedClock() {
  ::munmap(nanos_, sizeof *nanos_);
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
}

std::map<std::string, std::string> MovedClock::environment() const {
  return {{"LD_PRELOAD", OUTLAY_MOVED_CLOCK}, {"OUTLAY_MOVED_CLOCK", file_.native()}};
}
void MovedClock::set(outlay::Time time) noexcept { std::atomic_ref(*nanos_).store(time.time_since_epoch().count()); }

}  // namespace test
