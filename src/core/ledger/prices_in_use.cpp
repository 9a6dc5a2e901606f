#include "core/ledger/prices_in_use.hpp"

#include <algorithm>
#include <utility>

#include "core/base/hash.hpp"

namespace outlay::detail {

PricesInUse::PricesInUse(std::uint64_t books_uid, LedgerDictionary& dictionary, std::shared_ptr<const PriceBook> first)
    : books_uid_(books_uid), dictionary_(dictionary) {
  replace(std::move(first));
}

[[gnu::hot]] const ModelSlot& PricesInUse::resolve(std::string_view model, std::string_view under, NameOrigin origin) {
  ThreadCache& cache = thread_cache();
  const ModelSlot& slot = cache.models[hash_text(model) % ThreadCache::model_slots];
  const std::uint64_t prices = uid_.load(std::memory_order_acquire);
  if (slot.books_uid == books_uid_ && slot.prices_uid == prices && same_text(slot.name->text, model) &&
      (slot.under ? same_text(slot.under->text, under) : under.empty())) [[likely]]
    return slot;
  return resolve_anew(model, under, origin, prices, cache);
}

[[gnu::hot]] const ModelSlot& PricesInUse::resolve(const ModelName& model, const std::string& text,
                                                   const ModelName* under) {
  ThreadCache& cache = thread_cache();
  const ModelSlot& slot = cache.models[model.hash % ThreadCache::model_slots];
  const std::uint64_t prices = uid_.load(std::memory_order_acquire);
  if (slot.name == &model && slot.books_uid == books_uid_ && slot.prices_uid == prices && slot.under == under)
      [[likely]]
    return slot;
  return resolve_anew(text, under ? std::string_view(under->text) : std::string_view(), NameOrigin::program, prices,
                      cache);
}

const ModelSlot& PricesInUse::resolve_anew(std::string_view model, std::string_view under, NameOrigin origin,
                                           std::uint64_t prices, ThreadCache& cache) {
  std::shared_ptr<const PriceBook> book;
  if (!cache.ended)
    for (const auto& held : cache.price_books)
      if (held && held->uid == prices) book = held;
  if (!book) {
    book = present();
    if (!cache.ended) {
      // Slots that point into the book that is dropped are forgotten with it.
      auto& place = cache.price_books[cache.next_price_book++ % cache.price_books.size()];
      if (place)
        for (ModelSlot& other : cache.models)
          if (other.prices_uid == place->uid) other = {};
      place = book;
    }
  }
  ModelSlot fresh{books_uid_,
                  book->uid,
                  dictionary_.name(model, origin),
                  book->find(model, under),
                  nullptr,
                  under.empty() ? nullptr : dictionary_.name(under)};
  if (fresh.priced && !fresh.priced->price->provider.empty())
    fresh.provider = dictionary_.name(fresh.priced->price->provider);
  const bool keep = fresh.name->id != ModelName::overflow_id && !cache.ended;
  ModelSlot& place = keep ? cache.models[fresh.name->hash % ThreadCache::model_slots] : cache.unkept;
  if (cache.ended)
    hold_for_good(std::move(book));  // the cache is never emptied again
  else if (!keep)
    cache.unkept_book = std::move(book);
  place = fresh;
  return place;
}

void PricesInUse::hold_for_good(std::shared_ptr<const PriceBook> book) {
  const std::lock_guard lock(mutex_);
  if (std::find(held_.begin(), held_.end(), book) == held_.end()) held_.push_back(std::move(book));
}

std::shared_ptr<const PriceBook> PricesInUse::present() const {
  const std::lock_guard lock(mutex_);
  return present_;
}

std::shared_ptr<const PriceBook> PricesInUse::find(std::uint64_t uid) const {
  const std::lock_guard lock(mutex_);
  if (present_->uid == uid) return present_;
  for (const auto& retired : retired_)
    if (retired->uid == uid) return retired;
  return nullptr;
}

void PricesInUse::replace(std::shared_ptr<const PriceBook> book) {
  version_id_.store(dictionary_.name(book->version)->id, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (present_) {
    // A handful is enough for the calls that are under way.
    constexpr std::size_t kept = 16;
    retired_.push_back(present_);
    if (retired_.size() > kept) retired_.pop_front();
  }
  present_ = std::move(book);
  uid_.store(present_->uid, std::memory_order_release);
}

}  // namespace outlay::detail
