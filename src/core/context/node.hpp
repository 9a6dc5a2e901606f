#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "core/ledger/attribution.hpp"
#include "outlay/detail/ambient.hpp"

namespace outlay::detail {

class Books;
struct BudgetNode;
struct HomeNode;

enum class NodeKind : std::uint8_t { budget, track, ledger, attach, home };

/// How a scope was closed other than as the innermost one. A chain that comes back to such a scope goes past
/// it.
enum class Stray : std::uint8_t {
  no,
  deeper,     ///< While scopes inside it were open.
  elsewhere,  ///< Where it was not in the current chain at all: the chain that holds it does not know.
};

/// A scope. Immutable once it is open, but for the count and the flags; everything that a call needs to know of its context is one load
/// away.
///
/// Budget, attribution and books are plain pointers, since most scopes have them from an enclosing one, which the parents keep alive: an
/// inherited one is not counted again. A scope with one of its own holds it beside (AttributedNode).
struct Node {
  explicit Node(NodeKind node_kind) noexcept : kind(node_kind) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  /// Must not touch the references in `parent` and `below`: release() follows them afterwards.
  virtual ~Node() = default;

  Counted references;
  const NodeKind kind;
  std::atomic<bool> closed{false};  // the scope object is gone
  std::atomic<Stray> stray{Stray::no};
  Node* parent = nullptr;        // owned: the enclosing scope
  Node* below = nullptr;         // what the ambient goes back to at the close: `parent`, but for an attach (owned then)
  HomeNode* home = nullptr;      // the coroutine home it was opened in; an ancestor of the ambient it was pushed on
  BudgetNode* budget = nullptr;  // innermost budget, this one included
  const Attribution* attribution = nullptr;  // null: nothing is tagged and no budget is named
  Books* books = nullptr;                    // innermost ledger; null: the default one
};

/// A scope with an attribution of its own.
struct AttributedNode : Node {
  using Node::Node;
  void attribute(AttributionRef own) noexcept {
    own_ = std::move(own);
    attribution = own_.get();
  }

 private:
  AttributionRef own_;
};

/// Makes a fresh `node` (one reference) the ambient one; afterwards it has two references, the ambient's and
/// the handle's.
///
/// Fills in parent, below, home, and whatever of budget, attribution and books the node has not set itself.
/// An attach has set `parent` (owned) to the scope that it attaches and takes all three from there.
///
/// \param scope The address of the scope object (`this`): tells a scope in a coroutine frame from one on the stack, so that one in a
/// coroutine without a context executor is reported when it opens.
void push(Node* node, const void* scope) noexcept;

/// Closes the scope of a handle and drops the handle's reference: the ambient goes back to what is below, if
/// the scope is its head.
void close(Node* node) noexcept;

}  // namespace outlay::detail
