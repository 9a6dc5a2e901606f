// Track, Attach and LedgerScope: the nodes that they put into the ambient chain, and what Context and Ledger read there.

#include "core/context/scopes.hpp"

#include <memory>
#include <span>
#include <utility>

#include "core/context/describe.hpp"
#include "core/context/misuse.hpp"
#include "outlay/budget_handle.hpp"
#include "outlay/context.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/track.hpp"

namespace outlay {

namespace detail {

namespace {

struct TrackNode final : AttributedNode {
  TrackNode() noexcept : AttributedNode(NodeKind::track) {}
};

struct AttachNode final : AttributedNode {
  AttachNode() noexcept : AttributedNode(NodeKind::attach) {}
};

struct LedgerNode final : AttributedNode {
  explicit LedgerNode(Ref<Books> of_ledger) noexcept : AttributedNode(NodeKind::ledger), own_(std::move(of_ledger)) {
    books = own_.get();
  }

 private:
  const Ref<Books> own_;
};

[[gnu::hot]] Node* open_track(const TagsView& tags, const void* scope) {
  const Node* outer = ambient();
  auto node = std::make_unique<TrackNode>();
  node->attribute(books_of(outer).dictionary.intern(outer ? outer->attribution : nullptr, {false, {}, {}, tags}));
  push(node.get(), scope);
  return node.release();
}

}  // namespace

}  // namespace detail

Ledger Ledger::current() { return Ledger(detail::Ref<detail::Books>::share(&detail::books_of(detail::ambient()))); }

// Opened in the body: to g++ 16 a `this` that a member's initialiser passes is a read of what is not there yet.
[[gnu::hot]] Track::Track(std::initializer_list<Tag> tags) : node_(nullptr) { node_ = detail::open_track(tags, this); }

[[gnu::hot]] Track::Track(const Tags& tags) : node_(nullptr) { node_ = detail::open_track(tags, this); }

[[gnu::hot]] Track::~Track() { detail::close(node_); }

bool Context::empty() const noexcept {
  for (const detail::Node* node = scope_.get(); node; node = node->parent)
    if (node->kind != detail::NodeKind::home) return false;
  return true;
}

std::optional<std::string> Context::tag(std::string_view key) const {
  const detail::Node* node = scope_.get();
  const std::string* value = node && node->attribution ? node->attribution->tags.find(key) : nullptr;
  return value ? std::optional(*value) : std::nullopt;
}

Tags Context::tags() const {
  const detail::Node* node = scope_.get();
  return node && node->attribution ? node->attribution->tags : Tags();
}

std::vector<std::string> Context::budgets() const {
  const detail::Node* node = scope_.get();
  return node && node->attribution ? node->attribution->path : std::vector<std::string>();
}

namespace detail {

namespace {

Node* open_attach(Node* attached, AttributionRef own, const void* scope) {
  auto node = std::make_unique<AttachNode>();
  if (attached) {
    acquire(attached);
    node->parent = attached;
    node->budget = attached->budget;
    node->attribution = attached->attribution;
    node->books = attached->books;
  }
  if (own) node->attribute(std::move(own));
  push(node.get(), scope);
  return node.release();
}

bool encloses(const BudgetNode* budget, const Node* inner) noexcept {
  while (inner && inner->budget != budget) inner = inner->parent;
  return inner != nullptr;
}

/// Attaches a handle's budget, with the tags of the task in front of its own.
Node* open_attach_over(Node* attached, const void* scope) {
  const Node* const outer = ambient();
  AttributionRef own;
  if (outer && outer->attribution && outer->attribution != attached->attribution && !outer->attribution->tags.empty()) {
    const TagsView tags(outer->attribution->tags);
    const AttributionRef of_handle = books_of(attached).dictionary.translate(attached->attribution);
    own = books_of(attached).dictionary.intern(of_handle.get(), {false, {}, {}, tags});
  }
  if (outer && outer->budget && !encloses(outer->budget, attached))
    report_misuse(Misuse::attached_apart, describe(attached) + " was attached inside " + describe(outer));
  return open_attach(attached, std::move(own), scope);
}

}  // namespace

}  // namespace detail

Attach::Attach(const Context& context) : node_(nullptr) {
  node_ = detail::open_attach(detail::Access::scope(context).get(), {}, this);
}

Attach::Attach(const BudgetHandle& handle) : node_(nullptr) {
  node_ = detail::open_attach_over(detail::Access::scope(handle.context()).get(), this);
}

Attach::~Attach() { detail::close(node_); }

LedgerScope::LedgerScope(const Ledger& ledger) {
  const detail::Node* outer = detail::ambient();
  auto node = std::make_unique<detail::LedgerNode>(detail::Ref<detail::Books>::share(&detail::Access::books(ledger)));
  node->attribute(detail::Access::books(ledger).dictionary.translate(outer ? outer->attribution : nullptr));
  detail::push(node.get(), this);
  node_ = node.release();
}

LedgerScope::~LedgerScope() { detail::close(node_); }

}  // namespace outlay
