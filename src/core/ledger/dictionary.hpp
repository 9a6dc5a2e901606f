#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/ledger/attribution.hpp"

namespace outlay::detail {

/// A name in a ledger's dictionary of models, providers and tiers. Never moves; id 0 is the empty name.
struct ModelName {
  std::string text;
  std::uint32_t id = 0;
  std::uint64_t hash = 0;   // of the text
  bool from_reply = false;  // no request has brought it yet

  static constexpr std::uint32_t overflow_id = 1;  // "(other)": the dictionary is full
};

/// Where a name comes from. Providers' replies have places of their own, so that they never use up those of the program.
enum class NameOrigin : std::uint8_t { program, reply };

/// What the ids in a ledger's rows and events stand for: names, which are never forgotten, and attributions, which are swept out.
///
/// \par Thread safety
/// Every member is safe from any thread.
class LedgerDictionary {
 public:
  static constexpr std::size_t max_names = 65'536;        // of the program: requests, price tables
  static constexpr std::size_t max_reply_names = 16'384;  // that only replies have brought

  /// \param when_full Called outside the lock each time that an attribution is added beyond a limit: it is time to sweep().
  LedgerDictionary(std::uint64_t books_uid, std::function<void()> when_full);
  LedgerDictionary(const LedgerDictionary&) = delete;
  LedgerDictionary& operator=(const LedgerDictionary&) = delete;

  /// The name "(other)" once the places for names of that origin are used up.
  [[nodiscard]] const ModelName* name(std::string_view text, NameOrigin origin = NameOrigin::program);

  /// The attribution inside a scope opened in `parent` (of these books, or null). A hit in the thread's cache takes no lock.
  /// \par Errors
  /// As validate_tags.
  [[nodiscard]] AttributionRef intern(const Attribution* parent, const Addition& addition);
  /// The same tags and budgets in these books, from any books; empty for null.
  [[nodiscard]] AttributionRef translate(const Attribution* from);

  /// Reads by ids, and holds the lock meanwhile.
  class Reader {
   public:
    explicit Reader(const LedgerDictionary& dictionary) : dictionary_(dictionary), lock_(dictionary.mutex_) {}
    [[nodiscard]] const std::string& name(std::uint32_t id) const noexcept;
    [[nodiscard]] const Attribution* attribution(std::uint32_t id) const noexcept;  // null for 0
    /// All that are known: of scopes that are open, or have lately been, and of what is in the books.
    template <class Visit>
    void visit_attributions(Visit&& visit) const {
      for (const AttributionRef& attribution : dictionary_.attribution_by_id_)
        if (attribution) visit(*attribution);
    }

   private:
    const LedgerDictionary& dictionary_;
    const std::lock_guard<std::mutex> lock_;
  };
  [[nodiscard]] Reader read() const { return Reader(*this); }
  /// One more than the largest id of an attribution.
  [[nodiscard]] std::size_t attribution_count() const;

  [[nodiscard]] std::unique_lock<std::mutex> lock() const { return std::unique_lock(mutex_); }
  /// Forgets the attributions that nothing refers to and whose ids are not in use.
  ///
  /// \param mark_used Marks the ids in use; the caller keeps any other from coming into use until this returns.
  void sweep(const std::function<void(const Mark&)>& mark_used);

 private:
  [[nodiscard]] AttributionRef find_or_add(std::uint64_t hash, const Attribution* parent, const Addition& addition);

  const std::uint64_t books_uid_;
  const std::function<void()> when_full_;
  mutable std::mutex mutex_;
  std::unordered_multimap<std::uint64_t, const Attribution*> attributions_;  // by hash
  std::vector<AttributionRef> attribution_by_id_;
  std::vector<std::uint32_t> free_ids_;
  std::size_t sweep_at_ = 8192;
  std::unordered_map<std::string_view, ModelName*> names_;
  std::deque<ModelName> name_by_id_;
  std::size_t reply_names_ = 0;
};

}  // namespace outlay::detail
