#include "core/ledger/books.hpp"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <numeric>

#include "core/base/hash.hpp"
#include "core/ledger/sink_worker.hpp"
#include "outlay/error.hpp"
#include "outlay/log.hpp"

namespace outlay::detail {

namespace {

constexpr std::size_t max_names = 65'536;

std::uint32_t shard_mask() noexcept {
  // More shards than CPUs only cost memory; a power of two, at most 8.
  const unsigned cpus = std::max(1U, std::thread::hardware_concurrency());
  std::uint32_t shards = 1;
  while (shards < cpus && shards < 8) shards *= 2;
  return shards - 1;
}

Time to_time(std::int64_t nanos) noexcept { return Time(std::chrono::nanoseconds(nanos)); }

}  // namespace

void RowTotals::add(const Row& row) noexcept {
  ++calls;
  if (__builtin_add_overflow(usd, row.usd, &usd)) usd = INT64_MAX;
  tokens[0] += row.input;
  tokens[1] += row.cache_read;
  tokens[2] += row.cache_write;
  tokens[3] += row.cache_write_1h;
  tokens[4] += row.output;
  tokens[5] += row.reasoning;
  ++by_status[static_cast<std::size_t>(row.status)];
  unpriced += row.source == CostSource::none && row.status != RecordStatus::rejected;
}

void RowTotals::add(const RowTotals& other) noexcept {
  calls += other.calls;
  if (__builtin_add_overflow(usd, other.usd, &usd)) usd = INT64_MAX;
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] += other.tokens[i];
  for (std::size_t i = 0; i < by_status.size(); ++i) by_status[i] += other.by_status[i];
  unpriced += other.unpriced;
}

void Shard::push(Row&& row, std::size_t max_rows) {
  const std::lock_guard lock(mutex);
  pushed.add(row);
  ++pushed_rows;
  if (max_rows == 0) {
    evicted.add(row);
    return;
  }
  if (end - begin == max_rows) {
    Row& oldest = chunks[(begin - chunk_begin) / chunk_rows][(begin - chunk_begin) % chunk_rows];
    evicted.add(oldest);
    oldest.extra.reset();
    if (++begin - chunk_begin == chunk_rows) {
      spare = std::move(chunks.front());
      chunks.pop_front();
      chunk_begin += chunk_rows;
    }
  }
  const std::uint64_t offset = end - chunk_begin;
  if (offset / chunk_rows == chunks.size())
    chunks.push_back(spare ? std::move(spare) : std::make_unique_for_overwrite<Row[]>(chunk_rows));
  chunks[offset / chunk_rows][offset % chunk_rows] = std::move(row);
  ++end;
}

void Shard::clear() {
  const std::lock_guard lock(mutex);
  chunks.clear();
  begin = chunk_begin = end;  // indices are never used again: a reading made before knows that its rows are gone
  pushed = evicted = {};
  pushed_rows = 0;
}

Books::Books(LedgerOptions ledger_options)
    : uid(next_uid()), options(std::move(ledger_options)), shard_mask_(shard_mask()) {
  attribution_by_id_.push_back(nullptr);
  name_by_id_.push_back({});
  names_.emplace(name_by_id_.back().text, &name_by_id_.back());
  name_by_id_.push_back({"(other)", ModelName::overflow_id, 0});
  set_price_book(options.prices.book());
  const std::lock_guard lock(sinks_mutex_);
  update_recording();
}

Books::~Books() {
  for (Attribution* attribution : attribution_by_id_) unpin(attribution);
}

Books& Books::default_books() noexcept {
  static Books& books = *new Books(LedgerOptions{});
  return books;
}

void acquire(const Books* books) noexcept { books->refs.fetch_add(1, std::memory_order_relaxed); }

void release(const Books* books) noexcept {
  if (books->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  Books* ended = const_cast<Books*>(books);
  // A sink that does not end keeps its books: better a leak than a thread that reads what is gone.
  if (ended->stop_sinks()) delete ended;
}

bool Books::stop_sinks() noexcept {
  std::vector<std::shared_ptr<SinkWorker>> workers;
  {
    const std::lock_guard lock(sinks_mutex_);
    workers.swap(sinks_);
    leaving_.insert(leaving_.end(), workers.begin(), workers.end());
    update_recording();
  }
  return stop(std::move(workers));
}

bool Books::stop(std::vector<std::shared_ptr<SinkWorker>> workers) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  // All at once: one that hangs must not use up the others' time.
  for (const auto& worker : workers) worker->ask_stop(deadline);
  bool all = true;
  for (const auto& worker : workers) {
    const bool ended = worker->stop(deadline);
    all &= ended;
    if (!ended) continue;
    const std::lock_guard lock(sinks_mutex_);
    std::erase(leaving_, worker);
  }
  return all;
}

std::int64_t Books::now() const noexcept {
  if (options.clock) return options.clock->now().time_since_epoch().count();
  timespec time{};
#if defined(CLOCK_REALTIME_COARSE)
  clock_gettime(CLOCK_REALTIME_COARSE,
                &time);  // a fifth of the precise clock's cost, and precise enough for a call
#else
  clock_gettime(CLOCK_REALTIME, &time);
#endif
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

const ModelSlot& Books::resolve(std::string_view model) {
  ThreadCache& cache = thread_cache();
  const ModelSlot& slot = cache.models[hash_text(model) % ThreadCache::model_slots];
  const std::uint64_t prices = prices_uid_.load(std::memory_order_acquire);
  if (slot.books_uid == uid && slot.prices_uid == prices && same_text(slot.name->text, model)) return slot;
  return resolve_anew(model, prices, cache);
}

const ModelSlot& Books::resolve(const ModelName& model, const std::string& text) {
  ThreadCache& cache = thread_cache();
  const ModelSlot& slot = cache.models[model.hash % ThreadCache::model_slots];
  const std::uint64_t prices = prices_uid_.load(std::memory_order_acquire);
  if (slot.name == &model && slot.books_uid == uid && slot.prices_uid == prices) return slot;
  return resolve_anew(text, prices, cache);
}

const ModelSlot& Books::resolve_anew(std::string_view model, std::uint64_t prices, ThreadCache& cache) {
  std::shared_ptr<const PriceBook> book;
  if (!cache.ended)
    for (const auto& held : cache.price_books)
      if (held && held->uid == prices) book = held;
  if (!book) {
    book = price_book();
    if (!cache.ended) {
      // Slots that point into the book that goes are forgotten with it.
      auto& place = cache.price_books[cache.next_price_book++ % cache.price_books.size()];
      if (place)
        for (ModelSlot& other : cache.models)
          if (other.prices_uid == place->uid) other = {};
      place = book;
    }
  }
  ModelSlot fresh{uid, book->uid, name(model), book->find(model), nullptr};
  if (fresh.priced && !fresh.priced->price->provider.empty()) fresh.provider = name(fresh.priced->price->provider);
  const bool keep = fresh.name->id != ModelName::overflow_id && !cache.ended;
  ModelSlot& place = keep ? cache.models[fresh.name->hash % ThreadCache::model_slots] : cache.unkept;
  if (!keep) cache.unkept_book = std::move(book);
  place = fresh;
  return place;
}

std::shared_ptr<const PriceBook> Books::price_book() const {
  const std::lock_guard lock(prices_mutex_);
  return price_book_;
}

void Books::set_price_book(std::shared_ptr<const PriceBook> book) {
  prices_version_id_.store(name(book->version)->id, std::memory_order_relaxed);
  const std::lock_guard lock(prices_mutex_);
  if (price_book_) {
    // Calls that are under way keep the table that they were admitted by; a handful of them is enough for that.
    constexpr std::size_t kept = 16;
    retired_prices_.push_back(price_book_);
    if (retired_prices_.size() > kept) retired_prices_.pop_front();
  }
  price_book_ = std::move(book);
  prices_uid_.store(price_book_->uid, std::memory_order_release);
}

std::shared_ptr<const PriceBook> Books::price_book(std::uint64_t book_uid) const {
  const std::lock_guard lock(prices_mutex_);
  if (price_book_->uid == book_uid) return price_book_;
  for (const auto& retired : retired_prices_)
    if (retired->uid == book_uid) return retired;
  return nullptr;
}

void Books::warn_if_prices_are_stale() noexcept {
  if (stale_said_.load(std::memory_order_relaxed) || stale_said_.exchange(true, std::memory_order_relaxed)) return;
  warn_if_stale(*price_book(), to_time(now()));
}

const ModelName* Books::name(std::string_view text) {
  const std::lock_guard lock(dictionary_mutex_);
  if (const auto known = names_.find(text); known != names_.end()) return known->second;
  if (name_by_id_.size() >= max_names) return &name_by_id_[ModelName::overflow_id];
  name_by_id_.push_back({std::string(text), static_cast<std::uint32_t>(name_by_id_.size()), hash_text(text)});
  names_.emplace(name_by_id_.back().text, &name_by_id_.back());
  return &name_by_id_.back();
}

bool Books::first_time(std::string_view kind, std::string_view model) {
  const std::lock_guard lock(dictionary_mutex_);
  if (said_.size() >= max_names) return false;
  return said_.insert(std::string(kind) + ' ' + std::string(model)).second;
}

void Books::update_recording() {
  has_sinks_.store(!sinks_.empty(), std::memory_order_relaxed);
  has_on_spend_.store(on_spend_ != nullptr, std::memory_order_relaxed);
  has_on_refused_.store(on_refused_ != nullptr, std::memory_order_relaxed);
  recording_.store(options.max_records != 0 || !sinks_.empty() || on_spend_, std::memory_order_relaxed);
}

template <class Item>
void Books::offer(const Item& item, bool may_wait) {
  std::unique_lock lock(sinks_mutex_);
  // Those whose queue is full and whose rule is to block: waited for when the others have theirs.
  std::vector<std::shared_ptr<SinkWorker>> full;
  for (const auto& worker : sinks_)
    if (!worker->push(item, may_wait)) full.push_back(worker);
  for (const auto& worker : full) do
      worker->room.wait(lock);
    while (!worker->push(item, may_wait));
}

void Books::book(Row&& row) {
  if (has_sinks_.load(std::memory_order_relaxed)) offer(row, true);
  if (has_on_spend_.load(std::memory_order_relaxed)) {
    std::shared_ptr<const std::function<void(const Record&)>> callback;
    {
      const std::lock_guard lock(sinks_mutex_);
      callback = on_spend_;
    }
    Row copy = row;
    shards_[thread_cache().shard & shard_mask_].push(std::move(row), options.max_records);
    if (callback) call_contained("on_spend", [&] { (*callback)(materialize(copy)); });
    return;
  }
  shards_[thread_cache().shard & shard_mask_].push(std::move(row), options.max_records);
}

void Books::book(EventRow&& event, bool may_wait) {
  if (has_sinks_.load(std::memory_order_relaxed)) offer(event, may_wait);
  std::shared_ptr<const std::function<void(const BudgetEvent&)>> callback;
  if (has_on_refused_.load(std::memory_order_relaxed) &&
      (event.action == Action::blocked || event.action == Action::truncated)) {
    const std::lock_guard lock(sinks_mutex_);
    callback = on_refused_;
  }
  const EventRow copy = callback ? event : EventRow{};
  {
    const std::lock_guard lock(events_mutex_);
    if (options.max_events != 0) {
      if (events_.size() >= options.max_events) events_.pop_front();
      events_.push_back(std::move(event));
    }
  }
  if (callback) call_contained("on_refused", [&] { (*callback)(materialize(copy)); });
}

template <class F>
void Books::call_contained(const char* what, F&& call) noexcept {
  try {
    call();
  } catch (const std::exception& problem) {
    if (!callback_said_.exchange(true))
      log(LogLevel::error, std::string("the ledger's ") + what + " callback threw (reported once): " + problem.what());
  } catch (...) {
    if (!callback_said_.exchange(true))
      log(LogLevel::error, std::string("the ledger's ") + what + " callback threw (reported once)");
  }
}

Books::Horizon Books::visit_rows(const std::function<void(const Row*, std::size_t)>& visit, const Horizon* upto) const {
  Horizon horizon;
  // What is kept is the newest max_records over all shards. Only where they hold more does the order between them matter.
  std::uint64_t total = 0, pushed = 0;
  for (std::size_t s = 0; s <= shard_mask_; ++s) {
    const std::lock_guard lock(shards_[s].mutex);
    horizon.begin[s] = shards_[s].begin;
    horizon.end[s] = upto ? upto->end[s] : shards_[s].end;
    if (upto && horizon.begin[s] > upto->begin[s]) horizon.complete = false;
    total += horizon.end[s] - std::min(horizon.begin[s], horizon.end[s]);
    pushed += shards_[s].pushed_rows;
  }
  if (!upto) {
    horizon.complete = pushed == total && total <= options.max_records;
    if (total > options.max_records) {
      std::uint64_t surplus = total - options.max_records;
      std::array<std::uint64_t, 8> at = horizon.begin;
      const auto ended = [&](std::size_t s) {
        const std::lock_guard lock(shards_[s].mutex);
        const std::uint64_t index = std::max(at[s], shards_[s].begin);
        return index < horizon.end[s] ? shards_[s].at(index).ended : INT64_MAX;
      };
      std::array<std::int64_t, 8> oldest{};
      for (std::size_t s = 0; s <= shard_mask_; ++s) oldest[s] = ended(s);
      for (; surplus != 0; --surplus) {
        std::size_t first = 0;
        for (std::size_t s = 1; s <= shard_mask_; ++s)
          if (oldest[s] < oldest[first]) first = s;
        ++at[first];
        oldest[first] = ended(first);
      }
      horizon.begin = at;
    }
  } else {
    for (std::size_t s = 0; s <= shard_mask_; ++s) horizon.begin[s] = std::max(horizon.begin[s], upto->begin[s]);
  }
  for (std::size_t s = 0; s <= shard_mask_; ++s) {
    const Shard& shard = shards_[s];
    const std::lock_guard lock(shard.mutex);
    std::uint64_t index = std::max(horizon.begin[s], shard.begin);
    if (index != horizon.begin[s]) horizon.complete = false;
    const std::uint64_t end = std::min(horizon.end[s], shard.end);
    while (index < end) {
      const std::uint64_t offset = index - shard.chunk_begin;
      const std::uint64_t run = std::min(end - index, Shard::chunk_rows - offset % Shard::chunk_rows);
      visit(&shard.at(index), static_cast<std::size_t>(run));
      index += run;
    }
  }
  return horizon;
}

void Books::visit_events(const std::function<void(const EventRow&)>& visit) const {
  const std::lock_guard lock(events_mutex_);
  for (const EventRow& event : events_) visit(event);
}

void Books::visit_attribution(std::uint32_t id, const std::function<void(const Attribution*)>& visit) const {
  const std::lock_guard lock(dictionary_mutex_);
  visit(attribution(id));
}

std::size_t Books::attribution_count() const {
  const std::lock_guard lock(dictionary_mutex_);
  return attribution_by_id_.size();
}

std::string Books::name_of(std::uint32_t id) const {
  const std::lock_guard lock(dictionary_mutex_);
  return name_text(id);
}

std::vector<Record> Books::records() const {
  const std::shared_lock reading(sweep_mutex_);
  std::vector<Row> rows;
  visit_rows([&](const Row* first, std::size_t count) { rows.insert(rows.end(), first, first + count); });
  // By time, ties as they were found. (With libstdc++ 12, clang reports std::stable_sort as deprecated.)
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return rows[a].ended != rows[b].ended ? rows[a].ended < rows[b].ended : a < b;
  });
  std::vector<Record> records;
  records.reserve(rows.size());
  for (const std::size_t at : order) records.push_back(materialize(rows[at]));
  return records;
}

std::vector<BudgetEvent> Books::events() const {
  const std::shared_lock reading(sweep_mutex_);
  std::vector<EventRow> rows;
  visit_events([&](const EventRow& event) { rows.push_back(event); });
  std::vector<BudgetEvent> events;
  events.reserve(rows.size());
  for (const EventRow& row : rows) events.push_back(materialize(row));
  return events;
}

std::uint64_t Books::dropped() const {
  std::uint64_t pushed = 0, kept = 0;
  for (std::size_t s = 0; s <= shard_mask_; ++s) {
    const std::lock_guard lock(shards_[s].mutex);
    pushed += shards_[s].pushed_rows;
    kept += shards_[s].end - shards_[s].begin;
  }
  return pushed - std::min<std::uint64_t>(kept, options.max_records);
}

const Attribution* Books::attribution(std::uint32_t id) const noexcept {
  return id < attribution_by_id_.size() ? attribution_by_id_[id] : nullptr;
}

const std::string& Books::name_text(std::uint32_t id) const noexcept {
  return name_by_id_[id < name_by_id_.size() ? id : 0].text;
}

Record Books::materialize(const Row& row) const {
  Record record;
  record.call_id = row.call_id;
  record.status = row.status;
  record.started = to_time(row.started);
  record.ended = to_time(row.ended);
  record.usage = row.extra ? row.extra->usage : Usage{};
  record.usage.input = row.input;
  record.usage.cache_read = row.cache_read;
  record.usage.cache_write = row.cache_write;
  record.usage.cache_write_1h = row.cache_write_1h;
  record.usage.output = row.output;
  record.usage.reasoning = row.reasoning;
  record.usd = Usd::from_nanos(row.usd);
  record.reserved = Usd::from_nanos(row.reserved);
  if (record.usd > record.reserved) record.overrun = record.usd - record.reserved;
  record.cost_source = row.source;
  record.unbounded = row.unbounded;
  if (row.extra) {
    record.provider_cost = row.extra->provider_cost;
    record.table_cost = row.extra->table_cost;
    record.reason = row.extra->reason;
    record.traceparent = row.extra->traceparent;
  }
  const std::lock_guard lock(dictionary_mutex_);
  record.requested_model = name_text(row.requested);
  record.admitted_model = name_text(row.admitted);
  record.model = name_text(row.served);
  record.provider = name_text(row.provider);
  record.service_tier = name_text(row.tier);
  record.price_version = name_text(row.prices);
  if (const Attribution* where = attribution(row.attribution)) {
    record.tags = where->tags;
    record.budgets = where->path;
  }
  return record;
}

BudgetEvent Books::materialize(const EventRow& row) const {
  BudgetEvent event;
  event.time = to_time(row.time);
  event.action = row.action;
  event.reason = row.reason;
  event.dimension = row.dimension;
  event.projected = row.projected;
  event.cap = row.cap;
  event.threshold = row.threshold;
  if (row.ceiling >= 0) event.max_output_tokens = row.ceiling;
  event.call_id = row.call_id;
  event.traceparent = row.traceparent;
  {
    const std::lock_guard lock(dictionary_mutex_);
    event.model = name_text(row.model);
    event.new_model = name_text(row.new_model);
    if (const Attribution* where = attribution(row.budget); where && !where->path.empty()) {
      event.budget = where->path.back();
      event.description = where->description;
      for (const std::string& name : where->path) event.path += (event.path.empty() ? "" : "/") + name;
    }
    if (const Attribution* where = attribution(row.attribution)) {
      event.tags = where->tags;
      event.budgets = where->path;
    }
  }
  if (event.reason.empty())
    event.reason = std::string(to_string(row.action)) + ": " + to_string(row.dimension) + " would come to " +
                   format_amount(row.dimension, row.projected) + " of " + format_amount(row.dimension, row.cap);
  return event;
}

Audit Books::audit() const {
  Audit audit;
  RowTotals pushed, kept, evicted;
  bool saturated = false;
  for (std::size_t s = 0; s <= shard_mask_; ++s) {
    const Shard& shard = shards_[s];
    const std::lock_guard lock(shard.mutex);
    pushed.add(shard.pushed);
    evicted.add(shard.evicted);
    for (std::uint64_t i = shard.begin; i < shard.end; ++i) {
      kept.add(shard.at(i));
      const Row& row = shard.at(i);
      saturated |= row.usd == INT64_MAX || row.input == UINT32_MAX || row.output == UINT32_MAX;
    }
  }
  RowTotals sum = kept;
  sum.add(evicted);
  if (saturated || sum.usd == INT64_MAX || pushed.usd == INT64_MAX) {
    audit.verdict = Audit::Verdict::cannot_tell;
    audit.findings.emplace_back("a record holds an amount too large to be kept exactly, so sums are lower bounds");
    return audit;
  }
  const auto compare = [&](const char* what, std::int64_t counter, std::int64_t recount) {
    if (counter == recount) return;
    audit.verdict = Audit::Verdict::differs;
    audit.findings.push_back(std::string(what) + ": the counter says " + std::to_string(counter) +
                             ", the records and the evicted ones add up to " + std::to_string(recount));
  };
  compare("calls", pushed.calls, sum.calls);
  compare("nano-dollars", pushed.usd, sum.usd);
  constexpr std::array<const char*, 6> buckets{"input",          "cache_read", "cache_write",
                                               "cache_write_1h", "output",     "reasoning"};
  for (std::size_t i = 0; i < buckets.size(); ++i) compare(buckets[i], pushed.tokens[i], sum.tokens[i]);
  constexpr std::array<const char*, 4> statuses{"settled", "estimated", "indeterminate", "rejected"};
  for (std::size_t i = 0; i < statuses.size(); ++i) compare(statuses[i], pushed.by_status[i], sum.by_status[i]);
  compare("unpriced calls", pushed.unpriced, sum.unpriced);
  return audit;
}

void Books::reset() {
  for (Shard& shard : shards_) shard.clear();
  {
    const std::lock_guard lock(events_mutex_);
    events_.clear();
  }
  {
    const std::lock_guard lock(dictionary_mutex_);
    said_.clear();
  }
  unpriced_calls = 0;
  unbounded_calls = 0;
}

void Books::sweep() {
  // Readers copy ids and look them up later: while one does, what is swept waits for the next time.
  const std::unique_lock alone(sweep_mutex_, std::try_to_lock);
  if (!alone) return;
  // Marks under each lock in turn, all held to the end: an id must not come into use between its mark and the decision.
  std::vector<std::unique_lock<std::mutex>> locks;
  for (Shard& shard : shards_) locks.emplace_back(shard.mutex);
  locks.emplace_back(events_mutex_);
  locks.emplace_back(sinks_mutex_);
  locks.emplace_back(dictionary_mutex_);
  std::vector<bool> used(attribution_by_id_.size(), false);
  const auto mark = [&](std::uint32_t id) {
    if (id < used.size()) used[id] = true;
  };
  for (const Shard& shard : shards_)
    for (std::uint64_t i = shard.begin; i < shard.end; ++i) mark(shard.at(i).attribution);
  for (const EventRow& event : events_) mark(event.attribution), mark(event.budget);
  for (const auto& worker : sinks_) worker->mark(mark);
  for (const auto& worker : leaving_) worker->mark(mark);
  // A child pins its parent, so what goes may free more: until nothing does.
  for (bool again = true; again;) {
    again = false;
    for (auto at = attributions_.begin(); at != attributions_.end();) {
      Attribution* candidate = at->second;
      if (used[candidate->id] || candidate->pins.load(std::memory_order_acquire) != 1) {
        ++at;
        continue;
      }
      attribution_by_id_[candidate->id] = nullptr;
      free_ids_.push_back(candidate->id);
      at = attributions_.erase(at);
      unpin(candidate);
      again = true;
    }
  }
  sweep_at_ = std::max<std::size_t>(8192, attributions_.size() * 2);
}

void Books::add_sink(std::shared_ptr<Sink> sink, SinkOptions sink_options) {
  if (!sink) throw ConfigError("Ledger::add_sink was given no sink");
  if (sink_options.queue == 0) throw ConfigError("SinkOptions::queue is 0: at least one row must be able to wait");
  if (sink_options.max_delay < std::chrono::milliseconds::zero())
    throw ConfigError("SinkOptions::max_delay is negative");
  auto worker = std::make_shared<SinkWorker>(*this, std::move(sink), sink_options);
  if (this == &default_books()) {
    // The default books never end, so their sinks are closed when the process does.
    static const bool registered = std::atexit([] { default_books().stop_sinks(); }) == 0;
    static_cast<void>(registered);
  }
  const std::lock_guard lock(sinks_mutex_);
  sinks_.push_back(std::move(worker));
  update_recording();
}

bool Books::remove_sink(const std::shared_ptr<Sink>& sink) {
  std::shared_ptr<SinkWorker> worker;
  {
    const std::lock_guard lock(sinks_mutex_);
    const auto at =
        std::find_if(sinks_.begin(), sinks_.end(), [&](const auto& candidate) { return candidate->sink() == sink; });
    if (at == sinks_.end()) return false;
    worker = *at;
    leaving_.push_back(worker);
    sinks_.erase(at);
    update_recording();
  }
  if (!stop({worker})) acquire(this);  // for ever: its thread still uses them
  return true;
}

SinkStats Books::sink_stats(const std::shared_ptr<Sink>& sink) const {
  const std::lock_guard lock(sinks_mutex_);
  for (const auto& worker : sinks_)
    if (worker->sink() == sink) return worker->stats();
  return {};
}

void Books::flush(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::unique_lock lock(sinks_mutex_);
  const std::vector<std::shared_ptr<SinkWorker>> workers = sinks_;
  std::vector<SinkWorker::Ticket> tickets;
  for (const auto& worker : workers) {
    worker->set_deadline(deadline);
    tickets.push_back(worker->ask_flush());
  }
  bool late = false, failed = false;
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const auto& worker = workers[i];
    const SinkWorker::Ticket& ticket = tickets[i];
    // An exporter gets what time there is, once: a dead one must not hold up every flush.
    if (!worker->sink()->durable() && worker->overdue()) continue;
    const bool done = worker->flushed_event.wait_until(lock, deadline, [&] { return worker->flushed(ticket); });
    if (!worker->sink()->durable()) {
      if (!done) worker->set_overdue();
      continue;
    }
    late |= !done;
    failed |= worker->take_troubles(ticket);
  }
  lock.unlock();
  if (failed)
    throw Error(errc::sink_failed,
                "a durable sink failed or dropped rows since the last flush: see Ledger::sink_stats, and the log");
  if (late)
    throw Error(errc::timed_out, "a durable sink had not flushed after " + std::to_string(timeout.count()) +
                                     " ms: what it holds may not be on disk yet; flush again, with more time");
}

void Books::on_spend(std::function<void(const Record&)> callback) {
  auto fresh = callback ? std::make_shared<const std::function<void(const Record&)>>(std::move(callback)) : nullptr;
  const std::lock_guard lock(sinks_mutex_);
  std::swap(on_spend_, fresh);  // the old one goes after the lock is gone: it may hold a call
  update_recording();
}

void Books::on_refused(std::function<void(const BudgetEvent&)> callback) {
  auto fresh =
      callback ? std::make_shared<const std::function<void(const BudgetEvent&)>>(std::move(callback)) : nullptr;
  const std::lock_guard lock(sinks_mutex_);
  std::swap(on_refused_, fresh);
  update_recording();
}

}  // namespace outlay::detail
