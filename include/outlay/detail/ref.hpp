#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

// Shared ownership of the library's own objects. Not for programs.

namespace outlay::detail {

/// The count of an object that Ref shares; the code that makes the object has the first reference.
class Counted {
 public:
  void add(std::uint32_t references = 1) const noexcept { count_.fetch_add(references, std::memory_order_relaxed); }
  /// \return True: these were the last references, and the caller destroys the object.
  [[nodiscard]] bool drop(std::uint32_t references = 1) const noexcept {
    // The only owner needs no read-modify-write: no other thread can make a reference out of nothing.
    if (count_.load(std::memory_order_acquire) == references) return true;
    return count_.fetch_sub(references, std::memory_order_acq_rel) == references;
  }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_.load(std::memory_order_acquire); }
  /// For an object that is taken from a pool, before it is shared.
  void set(std::uint32_t references) const noexcept { count_.store(references, std::memory_order_relaxed); }

 private:
  mutable std::atomic<std::uint32_t> count_{1};
};

/// An owning reference to a counted object; empty owns nothing.
///
/// The namespace of T has `acquire(T*)` and `release(T*)`, both noexcept; the last release destroys the object.
/// \par Thread safety
/// Distinct references to one object: safe. A shared reference: unsafe, but for const members.
template <class T>
class Ref {
 public:
  constexpr Ref() noexcept = default;
  constexpr Ref(std::nullptr_t) noexcept {}  // NOLINT: as for any pointer
  /// Makes a reference of its own; empty for null.
  [[nodiscard]] static Ref share(T* object) noexcept {
    if (object) acquire(object);
    return adopt(object);
  }
  /// Takes over a reference that the caller has.
  [[nodiscard]] static Ref adopt(T* object) noexcept {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  Ref(const Ref& other) noexcept : object_(other.object_) {
    if (object_) acquire(object_);
  }
  // The other one last: a compiler then knows that nothing is left in it to destroy.
  Ref(Ref&& other) noexcept : object_(other.object_) { other.object_ = nullptr; }
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_) release(object_);
  }

  [[nodiscard]] T* get() const noexcept { return object_; }
  /// Hands the reference over to the caller; afterwards this one is empty.
  [[nodiscard]] T* detach() noexcept { return std::exchange(object_, nullptr); }
  [[nodiscard]] T* operator->() const noexcept { return object_; }
  [[nodiscard]] T& operator*() const noexcept { return *object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  friend bool operator==(const Ref& a, const Ref& b) noexcept { return a.object_ == b.object_; }

 private:
  T* object_ = nullptr;
};

}  // namespace outlay::detail
