#include "outlay/detail/ambient.hpp"

#include <atomic>
#include <cstdint>
#include <new>
#include <utility>

#include "core/context/describe.hpp"
#include "core/context/home.hpp"
#include "core/context/misuse.hpp"
#include "core/context/node.hpp"

#if defined(__linux__)
#include <pthread.h>
#endif

#if defined(__linux__) && defined(__GNUC__)
// AddressSanitizer, in a program that has it, may keep locals on a stack of its own (detect_stack_use_after_return).
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
[[gnu::weak]] void* __asan_get_current_fake_stack();
[[gnu::weak]] void* __asan_addr_is_in_fake_stack(void* stack, void* address, void** begin, void** end);
}
// NOLINTEND(bugprone-reserved-identifier)
#endif

namespace outlay::detail {

namespace {

// A coroutine may go on on another thread, which has a state of its own, so no function that reads the thread's state is inlined.
#if defined(__GNUC__)
#define OUTLAY_OPAQUE [[gnu::noinline]]
#else
#define OUTLAY_OPAQUE
#endif

/// References of a run to one scope (mostly a coroutine's home, or its innermost one), taken from its count together: those that the run
/// makes come from here and go back here. An executor is copied often for each suspension, and every change of the count itself costs
/// nearly as much as an allocation.
struct Spare {
  static constexpr std::uint32_t batch = 16;
  Node* node = nullptr;     // null: none
  std::uint32_t count = 0;  // at least one, if there are any
};

struct Thread {
  Node* head = nullptr;    // owned
  std::uint32_t runs = 0;  // how many Installs are active
  bool reaped = false;     // a Reaper stands ready (or has been and gone)
  bool measured = false;
  std::uintptr_t stack_low = 0;
  std::uintptr_t stack_high = 0;
  Spare spares[2];  // none outside runs
};

// Trivially destructible, so that scopes may be closed by any other thread_local's destructor. Initial-exec:
// a few words, read with every scope and call.
#if defined(__GNUC__) && defined(__ELF__)
__attribute__((tls_model("initial-exec")))
#endif
constinit thread_local Thread this_thread_state;

// Only for functions that are opaque themselves.
Thread& here() noexcept {
#if defined(__GNUC__)
  asm volatile("" ::: "memory");
#endif
  return this_thread_state;
}

// A thread may end with scopes that it opened and never closed: what they hold is released then.
struct Reaper {
  OUTLAY_OPAQUE ~Reaper() {
    Thread& thread = here();
    Node* head = thread.head;
    thread.head = nullptr;
    if (head) release(head);
  }
};

void expect_reaper(Thread& thread) noexcept {
  thread.reaped = true;
  static thread_local const Reaper reaper;
  static_cast<void>(reaper);
}

std::atomic<bool (*)() noexcept> loop_probe{nullptr};

bool inside_loop() noexcept {
  const auto probe = loop_probe.load(std::memory_order_relaxed);
  return probe && probe();
}

// Is the object on the stack of this thread? True where that cannot be known.
bool on_stack(Thread& thread, const void* object) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(object);
#if defined(__linux__) && defined(__GNUC__)
  if (__asan_get_current_fake_stack != nullptr && __asan_addr_is_in_fake_stack != nullptr) {
    void* const fake = __asan_get_current_fake_stack();
    if (fake != nullptr && __asan_addr_is_in_fake_stack(fake, const_cast<void*>(object), nullptr, nullptr) != nullptr)
      return true;
  }
#endif
#if defined(__GNUC__)
  // A fiber's stack is not the thread's.
  const auto frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  constexpr std::uintptr_t near = 64 * 1024;
  if (address >= frame ? address - frame < near : frame - address < near) return true;
#endif
#if defined(__linux__)
  if (!thread.measured) {
    thread.measured = true;
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
      void* low = nullptr;
      std::size_t size = 0;
      if (pthread_attr_getstack(&attributes, &low, &size) == 0) {
        thread.stack_low = reinterpret_cast<std::uintptr_t>(low);
        thread.stack_high = thread.stack_low + size;
      }
      pthread_attr_destroy(&attributes);
    }
  }
#endif
  if (thread.stack_high == 0) return true;
  return address >= thread.stack_low && address < thread.stack_high;
}

[[gnu::hot]] void release_many(Node* node, std::uint32_t references) noexcept {
  // A chain may be long and end all at once, so there is no recursion. An attach owns two references: it
  // waits, dead, in a list through `parent` while the first of its two chains is released.
  Node* waiting = nullptr;
  for (;;) {
    if (node && node->references.drop(references)) {
      Node* parent = node->parent;
      if (node->kind == NodeKind::attach) {
        node->parent = waiting;
        waiting = node;
      } else {
        delete node;
      }
      node = parent;
      references = 1;
      continue;
    }
    if (!waiting) return;
    Node* attach = waiting;
    waiting = attach->parent;
    node = attach->below;
    references = 1;
    delete attach;
  }
}

void give_back(Spare& spare) noexcept {
  if (Node* node = std::exchange(spare.node, nullptr)) release_many(node, std::exchange(spare.count, 0));
}

void acquire(Thread& thread, Node* node) noexcept {
  for (Spare& spare : thread.spares) {
    if (spare.node != node) continue;
    if (--spare.count == 0) spare.node = nullptr;
    return;
  }
  if (thread.runs != 0) {
    for (Spare& spare : thread.spares) {
      if (spare.node) continue;
      node->references.add(Spare::batch);
      spare = {node, Spare::batch - 1};
      return;
    }
  }
  node->references.add();
}

// Where a chain goes on: past the scopes that were closed while it was not the current one.
Node* next_open(const Thread& thread, Node* node) noexcept {
  // In a run a closed scope may be there by right: captured while it was open, for work that outlives it. A
  // plain thread's chain holds only what it opened itself.
  while (node && (node->stray.load(std::memory_order_relaxed) != Stray::no ||
                  (thread.runs == 0 && node->closed.load(std::memory_order_relaxed)))) {
    node = node->below;
  }
  return node;
}

bool stale(const Thread& thread, const Node* head) noexcept {
  return head->closed.load(std::memory_order_relaxed) &&
         (thread.runs == 0 || head->stray.load(std::memory_order_relaxed) == Stray::elsewhere);
}

#if defined(__GNUC__)
[[gnu::noinline, gnu::cold]]
#endif
void heal(Thread& thread) noexcept {
  Node* head = thread.head;
  Node* next = next_open(thread, head->below);
  if (next) acquire(next);
  thread.head = next;
  const bool told = head->stray.load(std::memory_order_relaxed) != Stray::no;
  if (!told) report_misuse(Misuse::closed_elsewhere, describe(head));
  release(head);
}

Node* current(Thread& thread) noexcept {
  if (thread.head && stale(thread, thread.head)) heal(thread);
  return thread.head;
}

OUTLAY_OPAQUE void close_other(Thread& thread, Node* node) noexcept {
  node->closed.store(true, std::memory_order_relaxed);
  if (node->home) node->home->leave(node);

  // Split homes are not scopes: what lies right under them is the innermost one.
  Node* top = thread.head;
  while (top && top->kind == NodeKind::home && top->home->split()) top = top->below;
  if (top == node) {
    Node* next = next_open(thread, node->below);
    if (next) acquire(next);
    Node* head = thread.head;
    thread.head = next;
    release(head);
    release(node);
    return;
  }

  Node* found = top;
  while (found && found != node) found = found->below;
  if (found) {
    node->stray.store(Stray::deeper, std::memory_order_relaxed);
    report_misuse(Misuse::closed_out_of_order, describe(node));
  } else if (thread.runs > 0) {
    node->stray.store(Stray::elsewhere, std::memory_order_relaxed);
    report_misuse(Misuse::closed_elsewhere, describe(node));
  } else if (inside_loop()) {
    // A handler on a plain executor ends a coroutine that had left its scope on another task's chain.
    node->stray.store(Stray::elsewhere, std::memory_order_relaxed);
  }
  // Otherwise a frame is being destroyed that was never resumed, and there is nothing to report.
  release(node);
}

}  // namespace

OUTLAY_OPAQUE void acquire(Node* node) noexcept { acquire(here(), node); }

OUTLAY_OPAQUE void release(Node* node) noexcept {
  for (Spare& spare : here().spares) {
    if (spare.node != node) continue;
    ++spare.count;
    return;
  }
  release_many(node, 1);
}

[[gnu::hot]] OUTLAY_OPAQUE Node* ambient() noexcept { return current(here()); }

OUTLAY_OPAQUE NodeRef capture() noexcept { return NodeRef::share(current(here())); }

OUTLAY_OPAQUE Node* resolve(Node* home) noexcept {
  Thread& thread = here();
  HomeNode* own = static_cast<HomeNode*>(home)->root;
  Node* head = current(thread);
  if (!head || !head->home || head->home->root != own) return own->fall_back();
  acquire(thread, head);
  return head;
}

OUTLAY_OPAQUE Node* install(Node* scope) noexcept {
  Thread& thread = here();
  ++thread.runs;
  return std::exchange(thread.head, scope);
}

OUTLAY_OPAQUE void restore(Node* previous) noexcept {
  Thread& thread = here();
  Node* head = std::exchange(thread.head, previous);
  if (head) release(head);
  if (--thread.runs == 0) {
    for (Spare& spare : thread.spares) give_back(spare);
  }
}

[[gnu::hot]] OUTLAY_OPAQUE void push(Node* node, const void* scope) noexcept {
  Thread& thread = here();
  Node* head = current(thread);
  if (!head && !thread.reaped) [[unlikely]]
    expect_reaper(thread);

  node->below = head;
  if (node->kind != NodeKind::attach) node->parent = head;
  if (const Node* parent = node->parent) {
    if (!node->budget) node->budget = parent->budget;
    if (!node->attribution) node->attribution = parent->attribution;
    if (!node->books) node->books = parent->books;
  }
  node->references.set(2);

  // The node is complete by now, since a home shows it to other threads.
  HomeNode* home = head ? head->home : nullptr;
  node->home = home;
  if (home && !home->enter(head, node)) [[unlikely]] {
    // Another thread of execution lives in this home, too, and its scope is the innermost one. Without memory for a split home, this
    // scope is just not found by operations that resume the coroutine from outside.
    if (auto* split = new (std::nothrow) HomeNode(head, home)) {
      split->last = node;
      if (node->kind != NodeKind::attach) node->parent = split;
      node->below = split;
      node->home = split;
    }
  }
  thread.head = node;

  // In a run it may be a coroutine's local.
  if (thread.runs == 0 && !on_stack(thread, scope)) [[unlikely]]
    report_misuse(inside_loop() ? Misuse::no_context_executor : Misuse::scope_off_stack, describe(node));
}

[[gnu::hot]] OUTLAY_OPAQUE void close(Node* node) noexcept {
  Thread& thread = here();
  if (thread.head != node) [[unlikely]]
    return close_other(thread, node);

  if (node->home) node->home->leave(node);  // first: from then on no other thread makes new references
  Node* below = node->below;
  if (node->references.count() == 2 && (!below || !below->closed.load(std::memory_order_relaxed))) {
    // The node was never captured, so no other thread refers to it: this thread takes over the reference that the node holds.
    thread.head = below;
    Node* attached = node->kind == NodeKind::attach ? node->parent : nullptr;
    delete node;
    if (attached) release(attached);
    return;
  }

  node->closed.store(true, std::memory_order_relaxed);
  Node* next = next_open(thread, below);
  if (next) acquire(next);
  thread.head = next;
  release_many(node, 2);
}

bool set_loop_probe(bool (*inside)() noexcept) noexcept {
  loop_probe.store(inside, std::memory_order_relaxed);
  return true;
}

}  // namespace outlay::detail
