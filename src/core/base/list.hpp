#pragma once

namespace outlay::detail {

/// Where an object stands in a List; null ends: in none, or at an end.
template <class T>
struct Link {
  T* previous = nullptr;
  T* next = nullptr;
};

/// A list of objects that live elsewhere and know their neighbours by a member: nothing is allocated, and leaving takes one step.
template <class T, Link<T> T::* link>
class List {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] T* first() const noexcept { return first_; }
  [[nodiscard]] static T* after(const T& object) noexcept { return (object.*link).next; }

  void push_back(T& object) noexcept {
    (object.*link) = {last_, nullptr};
    (last_ ? (last_->*link).next : first_) = &object;
    last_ = &object;
  }
  void push_front(T& object) noexcept {
    (object.*link) = {nullptr, first_};
    (first_ ? (first_->*link).previous : last_) = &object;
    first_ = &object;
  }
  void erase(T& object) noexcept {
    const Link<T> at = object.*link;
    (at.previous ? (at.previous->*link).next : first_) = at.next;
    (at.next ? (at.next->*link).previous : last_) = at.previous;
    (object.*link) = {};
  }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
};

}  // namespace outlay::detail
