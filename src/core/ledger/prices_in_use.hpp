#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/ledger/dictionary.hpp"
#include "core/ledger/thread_cache.hpp"
#include "core/pricing/price_book.hpp"

namespace outlay::detail {

/// A ledger's present price book, and the last that it replaced: calls that are under way keep the one that they were admitted by.
///
/// \par Thread safety
/// Every member is safe from any thread. A model that the thread's cache knows is resolved without a lock.
class PricesInUse {
 public:
  PricesInUse(std::uint64_t books_uid, LedgerDictionary& dictionary, std::shared_ptr<const PriceBook> first);
  PricesInUse(const PricesInUse&) = delete;
  PricesInUse& operator=(const PricesInUse&) = delete;

  /// The name and the price of a model, served by `under` where that is known. The slot belongs to the thread, and is safe only until it
  /// resolves again.
  [[nodiscard]] const ModelSlot& resolve(std::string_view model, std::string_view under = {},
                                         NameOrigin origin = NameOrigin::program);
  /// The same by a name of this dictionary, without reading the text; `text` where the dictionary was full.
  [[nodiscard]] const ModelSlot& resolve(const ModelName& model, const std::string& text,
                                         const ModelName* under = nullptr);

  /// The present book, held for the caller: a PricedModel of resolve() is safe only until this thread resolves again.
  [[nodiscard]] std::shared_ptr<const PriceBook> present() const;
  /// A book by its uid: the present one or one of the last that it replaced; null if it is long gone.
  [[nodiscard]] std::shared_ptr<const PriceBook> find(std::uint64_t uid) const;
  void replace(std::shared_ptr<const PriceBook> book);
  [[nodiscard]] std::unique_lock<std::mutex> lock() const { return std::unique_lock(mutex_); }

  [[nodiscard]] std::uint64_t uid() const noexcept { return uid_.load(std::memory_order_relaxed); }
  /// The version of the present book, as a name of the dictionary.
  [[nodiscard]] std::uint32_t version_id() const noexcept { return version_id_.load(std::memory_order_relaxed); }

 private:
  const ModelSlot& resolve_anew(std::string_view model, std::string_view under, NameOrigin origin, std::uint64_t prices,
                                ThreadCache& cache);

  void hold_for_good(std::shared_ptr<const PriceBook> book);

  const std::uint64_t books_uid_;
  LedgerDictionary& dictionary_;
  mutable std::mutex mutex_;
  std::shared_ptr<const PriceBook> present_;
  std::deque<std::shared_ptr<const PriceBook>> retired_;
  std::vector<std::shared_ptr<const PriceBook>> held_;  // used by threads that were about to end
  std::atomic<std::uint64_t> uid_{0};
  std::atomic<std::uint32_t> version_id_{0};
};

}  // namespace outlay::detail
