#pragma once

#include <utility>

#include "outlay/call.hpp"
#include "outlay/context.hpp"
#include "outlay/ledger.hpp"
#include "outlay/price.hpp"
#include "outlay/store.hpp"

namespace outlay::detail {

/// What core and the components need of the public classes, and programs do not.
struct Access {
  [[nodiscard]] static Call call(Ref<Reservation> reservation) noexcept { return Call(std::move(reservation)); }
  /// Null for a moved-from call.
  [[nodiscard]] static Reservation* reservation(const Call& call) noexcept { return call.reservation_.get(); }

  /// Takes over the facts.
  [[nodiscard]] static Failure failure(const FailureFacts* facts) noexcept {
    return Failure(Ref<const FailureFacts>::adopt(facts));
  }

  [[nodiscard]] static Ledger ledger(Ref<Books> books) noexcept { return Ledger(std::move(books)); }
  [[nodiscard]] static Books& books(const Ledger& ledger) noexcept { return *ledger.books_; }

  [[nodiscard]] static PriceTable price_table(std::shared_ptr<const PriceBook> book) noexcept {
    return PriceTable(std::move(book));
  }
  [[nodiscard]] static const std::shared_ptr<const PriceBook>& book(const PriceTable& table) noexcept {
    return table.book_;
  }

  [[nodiscard]] static StoreQueue& queue(const Store& store) noexcept { return *store.queue_; }

  [[nodiscard]] static Context context(NodeRef scope) noexcept { return Context(std::move(scope)); }
  [[nodiscard]] static const NodeRef& scope(const Context& context) noexcept { return context.scope_; }
};

}  // namespace outlay::detail
