// Budget, Track, Attach and LedgerScope: the nodes that they put into the ambient chain.

#include <utility>

#include "core/budget/tree.hpp"
#include "core/call/admission.hpp"
#include "core/context/misuse.hpp"
#include "core/context/node.hpp"
#include "core/ledger/attribution.hpp"
#include "core/ledger/books.hpp"
#include "core/pricing/price_book.hpp"
#include "core/shared/store.hpp"
#include "outlay/budget.hpp"
#include "outlay/context.hpp"
#include "outlay/ledger.hpp"
#include "outlay/run.hpp"
#include "outlay/track.hpp"

namespace outlay {

namespace detail {

namespace {

struct TrackNode final : Node {
  TrackNode() noexcept : Node(NodeKind::track) {}
};

struct AttachNode final : Node {
  AttachNode() noexcept : Node(NodeKind::attach) {}
};

struct LedgerNode final : Node {
  LedgerNode() noexcept : Node(NodeKind::ledger) {}
};

Books& books_of(const Node* scope) noexcept { return scope && scope->books ? *scope->books : Books::default_books(); }

Node* open_track(std::span<const Tag> tags, const void* scope) {
  const Node* outer = ambient();
  const Attribution* around = outer ? outer->attribution : nullptr;
  validate_tags(tags, around);
  auto node = std::make_unique<TrackNode>();
  node->attribution = intern(books_of(outer), around, {false, {}, {}, tags});
  push(node.get(), scope);
  return node.release();
}

}  // namespace

void destroy_node(Node* node) noexcept {
  switch (node->kind) {
    case NodeKind::budget:
      unpin(node->attribution);
      delete static_cast<BudgetNode*>(node);
      break;
    case NodeKind::track:
      unpin(node->attribution);
      delete static_cast<TrackNode*>(node);
      break;
    case NodeKind::ledger:
      unpin(node->attribution);
      release(node->books);
      delete static_cast<LedgerNode*>(node);
      break;
    case NodeKind::attach:
      delete static_cast<AttachNode*>(node);
      break;
    case NodeKind::home:
      break;  // ambient.cpp's own
  }
}

namespace {

std::atomic<bool> any_budget_opened{false};

}  // namespace

void note_budget_opened() noexcept {
  if (!any_budget_opened.load(std::memory_order_relaxed)) any_budget_opened.store(true, std::memory_order_relaxed);
}

void note_call_outside_budgets(const std::string& model) noexcept try {
  if (!any_budget_opened.load(std::memory_order_relaxed)) return;
  static const std::string place =
      '"' + printable_name(model) + '"';  // the first one's: it is said once, and the others are counted
  report_misuse(Misuse::call_outside_budgets, place);
} catch (...) {
}

bool truncated_a_call(const Budget& budget) noexcept { return budget.node_->truncated.load(std::memory_order_relaxed); }

}  // namespace detail

Budget::Budget(BudgetOptions options) {
  using namespace detail;
  const Node* outer = ambient();
  Books& books = books_of(outer);
  validate(options, books, outer ? outer->budget : nullptr);
  if (options.usd) books.warn_if_prices_are_stale();
  auto node = std::make_unique<BudgetNode>(std::move(options), outer ? outer->budget : nullptr);
  node->budget = node.get();
  node->attribution = intern(books, outer ? outer->attribution : nullptr, {true, node->name, node->description, {}});
  push(node.get(), this);
  node_ = node.release();
  note_budget_opened();
}

Budget::~Budget() { detail::close(node_); }

const std::string& Budget::name() const noexcept { return node_->name; }

BudgetState Budget::state() const {
  detail::Vector used, held, cap;
  if (node_->shared) {
    const Time now = node_->chain_store->now(detail::books_of(node_).time());
    node_->chain_store->look(node_->shared, now);
    const detail::SharedCounter::View view = node_->chain_store->view(*node_->shared, now);
    used = view.used;
    held = view.held;
    const auto lock = node_->lock_tree();
    cap = node_->cap;
  } else {
    const auto lock = node_->lock_tree();
    used = node_->used;
    held = node_->held;
    cap = node_->cap;
  }
  detail::Vector spent, remaining;
  for (std::size_t d = 0; d < detail::dimension_count; ++d) {
    spent[d] = used[d] - held[d];
    remaining[d] = cap[d] - used[d];
  }
  return {detail::to_limits(cap, cap), detail::to_amounts(spent), detail::to_amounts(held),
          detail::to_limits(remaining, cap)};
}

Amounts Budget::spent() const { return state().spent; }
Amounts Budget::reserved() const { return state().reserved; }

Limits Budget::limits() const {
  const auto lock = node_->lock_tree();
  return detail::to_limits(node_->cap, node_->cap);
}

std::optional<Time> Budget::window_end() const {
  if (!node_->shared) return {};
  return node_->window.at(node_->chain_store->now(detail::books_of(node_).time())).end;
}

void Budget::raise_cap(Usd amount, std::string_view reason) { raise_cap(Dimension::usd, amount.nanos(), reason); }

void Budget::raise_cap(Dimension dimension, std::int64_t amount, std::string_view reason) {
  using namespace detail;
  const std::size_t d = index(dimension);
  if (amount <= 0)
    throw ConfigError("budget \"" + node_->shown_name() + "\": raise_cap was given " +
                      format_amount(dimension, amount) +
                      ", which raises nothing: the amount is what is added to the cap");
  std::vector<std::shared_ptr<Waiter>> wakes;
  std::int64_t cap = 0;
  {
    const auto lock = node_->lock_tree();
    if (node_->cap[d] == no_cap)
      throw ConfigError("budget \"" + node_->shown_name() + "\" has no cap on " + to_string(dimension) + " to raise");
    cap = node_->cap[d];
    if (__builtin_add_overflow(cap, amount, &cap) || cap == no_cap)
      throw Error(errc::overflow, "budget \"" + node_->shown_name() + "\": the raised cap is too large");
    node_->cap[d] = cap;
    node_->recompute_threshold_amounts();
    for (BudgetNode* at = node_; at; at = at->outer) signal_first(*at, wakes);
  }
  for (const auto& waiter : wakes) waiter->wake();
  Books& books = books_of(node_);
  PinnedEvent event(books, *node_, Action::cap_raised, dimension);
  event.row.projected = amount;
  event.row.cap = cap;
  event.row.reason = reason.substr(0, max_reason);
  event.book();
}

void Budget::close_to_new_calls(std::string_view reason) {
  using namespace detail;
  std::vector<std::shared_ptr<Waiter>> wakes;
  {
    const auto lock = node_->lock_tree();
    if (node_->gate & BudgetNode::gate_closed) return;
    node_->gate |= BudgetNode::gate_closed;
    // Waiting calls below judge anew and are refused; a call waits in one line only, and those below are found through it.
    for (Ticket* ticket = node_->root->first_ticket; ticket; ticket = ticket->next_in_tree)
      if (!ticket->signalled) {
        wakes.push_back(ticket->waiter);
        ticket->signalled = true;
      }
  }
  for (const auto& waiter : wakes) waiter->wake();
  PinnedEvent event(books_of(node_), *node_, Action::closed, Dimension::usd);
  event.row.reason = reason.substr(0, max_reason);
  event.book();
}

Track::Track(std::initializer_list<Tag> tags) : node_(detail::open_track({tags.begin(), tags.size()}, this)) {}

Track::Track(const Tags& tags) {
  std::vector<Tag> views;
  views.reserve(tags.size());
  for (const auto& [key, value] : tags) views.push_back({key, value});
  node_ = detail::open_track(views, this);
}

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
  detail::Node* attached = context.scope().get();
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
  auto node = std::make_unique<detail::LedgerNode>();
  node->attribution = detail::intern_in(ledger.books(), outer ? outer->attribution : nullptr);
  node->books = &ledger.books();
  detail::acquire(node->books);
  detail::push(node.get(), this);
  node_ = node.release();
}

LedgerScope::~LedgerScope() { detail::close(node_); }

}  // namespace outlay
