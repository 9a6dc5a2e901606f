#include "core/base/at_fork.hpp"

#include <pthread.h>

#include <array>
#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

namespace outlay::detail {

struct ForkRegistry {
  std::mutex mutex;  // held from before a fork until after it
  std::array<AtFork*, AtFork::orders> first{};
  std::vector<std::shared_ptr<const void>> abandoned;
  std::atomic<std::uint64_t> generation{0};

  ForkRegistry() noexcept { static_cast<void>(pthread_atfork(&before, &after_in_parent, &after_in_child)); }

  static ForkRegistry& get() noexcept {
    static ForkRegistry& registry = *new ForkRegistry;  // a process may fork, and end, during static destruction
    return registry;
  }

  void add(AtFork& entry) noexcept {
    AtFork*& head = first[static_cast<std::size_t>(entry.order_)];
    const std::lock_guard lock(mutex);
    entry.next_ = head;
    if (head) head->previous_ = &entry;
    head = &entry;
  }
  void remove(AtFork& entry) noexcept {
    AtFork*& head = first[static_cast<std::size_t>(entry.order_)];
    const std::lock_guard lock(mutex);
    (entry.previous_ ? entry.previous_->next_ : head) = entry.next_;
    if (entry.next_) entry.next_->previous_ = entry.previous_;
  }

 private:
  static void before() noexcept {
    ForkRegistry& all = get();
    all.mutex.lock();
    for (AtFork* entry : all.first)
      for (; entry; entry = entry->next_) entry->before_();
  }
  static void after(bool in_child) noexcept {
    ForkRegistry& all = get();
    for (auto head = all.first.rbegin(); head != all.first.rend(); ++head)
      for (AtFork* entry = *head; entry; entry = entry->next_) entry->after_(in_child);
    all.mutex.unlock();
  }
  static void after_in_parent() noexcept { after(false); }
  static void after_in_child() noexcept {
    get().generation.fetch_add(1, std::memory_order_relaxed);
    after(true);
  }
};

AtFork::AtFork(Order order, std::function<void()> before, std::function<void(bool in_child)> after)
    : order_(order), before_(std::move(before)), after_(std::move(after)) {
  ForkRegistry::get().add(*this);
}

AtFork::~AtFork() { ForkRegistry::get().remove(*this); }

std::uint64_t fork_generation() noexcept { return ForkRegistry::get().generation.load(std::memory_order_relaxed); }

void abandon(std::shared_ptr<const void> of_parent) noexcept {
  static std::mutex& mutex = *new std::mutex;
  const std::lock_guard lock(mutex);
  ForkRegistry::get().abandoned.push_back(std::move(of_parent));
}

}  // namespace outlay::detail
