// Track, Attach and LedgerScope: the nodes that they put into the ambient chain, and what Context and Ledger read there.

#include "core/context/scopes.hpp"

#include <memory>
#include <span>
#include <utility>

#include "outlay/context.hpp"
#include "outlay/detail/access.hpp"
#include "outlay/track.hpp"

namespace outlay {

namespace detail {

namespace {

struct TrackNode final : AttributedNode {
  TrackNode() noexcept : AttributedNode(NodeKind::track) {}
};

struct AttachNode final : Node {
  AttachNode() noexcept : Node(NodeKind::attach) {}
};

struct LedgerNode final : AttributedNode {
  explicit LedgerNode(Ref<Books> of_ledger) noexcept : AttributedNode(NodeKind::ledger), own_(std::move(of_ledger)) {
    books = own_.get();
  }

 private:
  const Ref<Books> own_;
};

Node* open_track(const TagsView& tags, const void* scope) {
  const Node* outer = ambient();
  const Attribution* around = outer ? outer->attribution : nullptr;
  validate_tags(tags, around);
  auto node = std::make_unique<TrackNode>();
  node->attribute(books_of(outer).dictionary.intern(around, {false, {}, {}, tags}));
  push(node.get(), scope);
  return node.release();
}

}  // namespace

}  // namespace detail

Ledger Ledger::current() { return Ledger(detail::Ref<detail::Books>::share(&detail::books_of(detail::ambient()))); }

Track::Track(std::initializer_list<Tag> tags) : node_(detail::open_track(tags, this)) {}

Track::Track(const Tags& tags) : node_(detail::open_track(tags, this)) {}

Track::~Track() { detail::close(node_); }

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

Attach::Attach(const Context& context) {
  auto node = std::make_unique<detail::AttachNode>();
  detail::Node* attached = detail::Access::scope(context).get();
  if (attached) {
    detail::acquire(attached);
    node->parent = attached;
    node->budget = attached->budget;
    node->attribution = attached->attribution;
    node->books = attached->books;
  }
  detail::push(node.get(), this);
  node_ = node.release();
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
