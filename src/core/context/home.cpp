#include "core/context/home.hpp"

#include <thread>

#include "core/context/describe.hpp"
#include "core/context/misuse.hpp"

namespace outlay::detail {

void SpinLock::lock() noexcept {
  for (int spins = 0; held_.exchange(true, std::memory_order_acquire); ++spins) {
    if (spins > 64) std::this_thread::yield();  // the holder was preempted
  }
}

HomeNode::HomeNode(Node* enclosing, HomeNode* split_from) noexcept
    : Node(NodeKind::home), root(split_from ? split_from->root : this), last(this) {
  parent = enclosing;
  below = enclosing;
  home = this;
  if (enclosing) {
    budget = enclosing->budget;
    attribution = enclosing->attribution;
    books = enclosing->books;
  }
  if (split()) root->splits.fetch_add(1, std::memory_order_relaxed);
}

HomeNode::~HomeNode() {
  if (split()) root->splits.fetch_sub(1, std::memory_order_relaxed);
}

bool HomeNode::enter(const Node* head, Node* node) noexcept {
  lock.lock();
  const bool innermost = last == head;
  if (innermost) last = node;
  lock.unlock();
  return innermost;
}

void HomeNode::leave(const Node* node) noexcept {
  lock.lock();
  if (last == node) {
    // Closed ones are passed over even where the ambient would not: only an open scope is sure to stay alive.
    Node* open = node->below;
    while (open != this && open->closed.load(std::memory_order_relaxed)) open = open->below;
    last = open;
  }
  lock.unlock();
}

Node* HomeNode::fall_back() noexcept {
  if (splits.load(std::memory_order_relaxed) > 0) {
    report_misuse(Misuse::ambiguous_home, describe(parent));
    acquire(this);
    return this;
  }
  lock.lock();
  Node* innermost = last;
  acquire(innermost);
  lock.unlock();
  return innermost;
}

NodeRef make_home(NodeRef enclosing) {
  Node* node = enclosing.get();
  auto* home = new HomeNode(node, nullptr);
  static_cast<void>(enclosing.detach());
  return NodeRef::adopt(home);
}

NodeRef current_home() {
  if (const Node* head = ambient(); head && head->home) return NodeRef::share(head->home->root);
  return make_home(capture());
}

}  // namespace outlay::detail
