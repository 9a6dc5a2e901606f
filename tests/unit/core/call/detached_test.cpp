// Calls that leave their process: what detach() writes, and what resume() makes of it.
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "outlay/testing/stores.hpp"
#include "support/reason_of.hpp"
#include "unit/core/fixture.hpp"

using namespace outlay;
using namespace outlay_test;
using namespace std::chrono_literals;

namespace {

CallRequest batch(std::chrono::seconds lease = 24h) {
  CallRequest request = large_request();
  request.lease = lease;
  return request;
}

/// Of a call in a daily budget, made in a ledger of its own: what another process would find in a file.
struct Elsewhere {
  std::shared_ptr<Store> store = memory_store({.on_unreachable = OnUnreachable::deny()});
  std::string text;
  explicit Elsewhere(const Fixture& fixture, const CallRequest& request = batch(), Usd cap = 1_usd) {
    const Ledger other({.prices = testing::fixture_prices(), .clock = fixture.clock});
    const LedgerScope scope(other);
    const Track tags({{"feature", "nightly, 100%"}, {"user_id", "alice"}});
    const Budget budget(daily(store, cap));
    Call call(request);
    call.sent();
    text = call.detach();
    CHECK_FALSE(call.open());
    CHECK(other.records().empty());
  }
};

std::shared_ptr<Store> stormy_nearby(const std::shared_ptr<testing::Weather>& weather, OnUnreachable choice) {
  return std::make_shared<Store>(std::make_unique<testing::WeatheredBackend>(weather, StoreBackend::Distance::local),
                                 StoreOptions{.on_unreachable = choice, .timeout = 100ms});
}

}  // namespace

TEST_CASE("detached call: is held until it is resumed and settled, a day later, with its tags and its day",
          "[core][detached]") {
  const Fixture fixture;
  const Elsewhere batch_call(fixture);
  const Usd held = batch_call.store->state("daily", Window::day()).reserved.usd;
  CHECK(held == Usd::from_nanos(12'500'000));
  const Time admitted = fixture.clock->now();
  fixture.clock->advance(26h);
  const Budget elsewhere({.name = "not its own", .usd = 0_usd});
  Call call = Call::resume(batch_call.text, batch_call.store);
  CHECK(call.open());
  CHECK(call.model() == "gpt-4o");
  CHECK(call.max_output_tokens() == 1'000);
  CHECK(call.reserved().usd == held);
  const Settled settled = call.settle({.input = 1'000, .output = 100});
  CHECK(settled.first);
  CHECK(settled.usd == Usd::from_nanos(3'500'000));
  const StoreReply::State of_its_day = batch_call.store->state("daily", Window::day(), admitted);
  CHECK(of_its_day.spent.usd == settled.usd);
  CHECK(of_its_day.reserved == Amounts{});
  CHECK(batch_call.store->state("daily", Window::day()).spent.usd == 0_usd);
  REQUIRE(fixture.ledger.records().size() == 1);
  const Record record = fixture.ledger.records().front();
  CHECK(record.started == admitted);
  CHECK(record.budgets == std::vector<std::string>{"daily"});
  CHECK(record.tags.find("feature") != nullptr);
  CHECK(*record.tags.find("feature") == "nightly, 100%");
  CHECK(record.usd == settled.usd);
  CHECK(record.reserved == held);
}

TEST_CASE("detached call: is ended once, by whichever of those that resume it comes first", "[core][detached]") {
  const Fixture fixture;
  const Elsewhere batch_call(fixture);
  Call first = Call::resume(batch_call.text, batch_call.store),
       second = Call::resume(batch_call.text, batch_call.store);
  CHECK(first.settle({.input = 1'000, .output = 100}).first);
  CHECK_FALSE(second.settle({.input = 1'000, .output = 900}).first);
  CHECK_FALSE(second.open());
  CHECK_FALSE(Call::resume(batch_call.text, batch_call.store).release());
  fixture.clock->advance(5h);
  CHECK_FALSE(Call::resume(batch_call.text, batch_call.store).settle({.input = 1}).first);
  CHECK(fixture.ledger.records().size() == 1);
  CHECK(batch_call.store->state("daily", Window::day()).spent.usd == Usd::from_nanos(3'500'000));
}

TEST_CASE("detached call: resumed and extended while its store is away, it holds that here until it ends or is let go",
          "[core][detached]") {
  const Fixture fixture;
  const auto weather = std::make_shared<testing::Weather>();
  weather->set_clock(fixture.clock);
  const auto store = stormy_nearby(weather, OnUnreachable::local(5_usd));
  const Budget day(daily(store, 10_usd));
  CallRequest request{.model = "gpt-4o", .input_tokens = 0, .max_output_tokens = 1'000};
  request.lease = 24h;
  Call first(request);
  first.sent();
  const std::string text = first.detach();
  const Usd held = day.reserved().usd;
  for (const bool settled : {false, true}) {
    Call call = Call::resume(text, store);
    weather->down();
    CHECK(call.extend_output(100'000).extension == Extension::granted);
    CHECK(day.reserved().usd == 1_usd);
    if (settled) {
      call.settle({.output = 1'000});
      CHECK(day.reserved().usd == 0_usd);
    } else {
      {
        const Call let_go = std::move(call);
      }
      CHECK(day.reserved().usd == held);
    }
    weather->down(false);
    store->flush();
  }
  CHECK(day.spent().usd == held);
  weather->down();
  CHECK(try_call({.model = "m", .input_tokens = 0, .max_output_tokens = 0, .usd = 5_usd}));
}

TEST_CASE("detached call: let go after resume it stays detached", "[core][detached]") {
  const Fixture fixture;
  const Elsewhere batch_call(fixture);
  {
    const Call let_go = Call::resume(batch_call.text, batch_call.store);
  }
  CHECK(fixture.ledger.records().empty());
  CHECK(batch_call.store->state("daily", Window::day()).reserved.usd == Usd::from_nanos(12'500'000));
  CHECK(Call::resume(batch_call.text, batch_call.store).release("the batch was refused"));
  CHECK(batch_call.store->state("daily", Window::day()).reserved == Amounts{});
  CHECK(batch_call.store->state("daily", Window::day()).spent == Amounts{});
  REQUIRE(fixture.ledger.records().size() == 1);
  CHECK(fixture.ledger.records().front().status == RecordStatus::rejected);
}

TEST_CASE("detached call: whose lease has run out is charged, and corrected in its slot by what ends it later",
          "[core][detached]") {
  const Fixture fixture;
  const Elsewhere batch_call(fixture, batch(1h));
  const Time admitted = fixture.clock->now();
  fixture.clock->advance(61min);
  CHECK(batch_call.store->state("daily", Window::day()).spent.usd == Usd::from_nanos(12'500'000));
  fixture.clock->advance(26h);
  CHECK(Call::resume(batch_call.text, batch_call.store).settle({.input = 1'000, .output = 100}).first);
  CHECK(batch_call.store->state("daily", Window::day(), admitted).spent.usd == Usd::from_nanos(3'500'000));
  CHECK_FALSE(Call::resume(batch_call.text, batch_call.store).settle({.input = 1'000, .output = 100}).first);
}

TEST_CASE("detached call: costs what it did when it was admitted, under whatever name it is served",
          "[core][detached]") {
  Fixture fixture;
  const Elsewhere batch_call(fixture);
  PriceTable dearer = testing::fixture_prices();
  dearer.register_model("gpt-4o",
                        {.rates = {.input = Rate::per_million(100_usd), .output = Rate::per_million(100_usd)}});
  dearer.register_model("gpt-4o-2024-08-06",
                        {.rates = {.input = Rate::per_million(200_usd), .output = Rate::per_million(200_usd)}});
  fixture.ledger.set_prices(dearer);
  Call call = Call::resume(batch_call.text, batch_call.store);
  CHECK(call.settle({.usage = {.input = 1'000, .output = 100}, .served_model = "gpt-4o-2024-08-06"}).usd ==
        Usd::from_nanos(3'500'000));
}

TEST_CASE("detached call: flat prices and unpriced models come back as they left", "[core][detached]") {
  const Fixture fixture;
  const Elsewhere flat(fixture,
                       {.model = "mystery", .input_tokens = 1, .max_output_tokens = 1, .usd = 0.25_usd, .lease = 1h});
  CHECK(Call::resume(flat.text, flat.store).settle({}).usd == 0.25_usd);
  const auto store = memory_store({.on_unreachable = OnUnreachable::deny()});
  std::string text;
  {
    const Budget budget({.name = "assumed",
                         .usd = 1_usd,
                         .unpriced = Unpriced::assume(3_usd),
                         .window = Window::day(),
                         .store = store});
    Call call({.model = "mystery", .input_tokens = 1'000, .max_output_tokens = 1'000, .lease = 1h});
    text = call.detach();
  }
  const Settled settled = Call::resume(text, store).settle({.input = 1'000, .output = 1'000});
  CHECK(settled.usd == 0.006_usd);
  CHECK(settled.cost_source == CostSource::assumed);
}

TEST_CASE("detached call: announces a threshold and an overrun where it is settled", "[core][detached]") {
  const Fixture fixture;
  std::string text;
  const auto store = memory_store({.on_unreachable = OnUnreachable::deny()});
  {
    BudgetOptions options = daily(store, Usd::from_nanos(12'500'000));
    options.notify_at = {0.5};
    const Budget budget(options);
    Call call(batch());
    call.sent();
    text = call.detach();
  }
  const Settled settled = Call::resume(text, store).settle({.input = 1'000, .output = 2'000});
  CHECK(settled.over_cap);
  std::vector<Action> actions;
  for (const BudgetEvent& event : fixture.ledger.events()) actions.push_back(event.action);
  CHECK(actions == std::vector<Action>{Action::threshold, Action::overrun});
}

TEST_CASE("detached call: only a call that a store holds can be detached, and it stays open otherwise",
          "[core][detached]") {
  const Fixture fixture;
  const auto store = memory_store({.on_unreachable = OnUnreachable::deny()});
  {
    Call outside(batch());
    CHECK(reason_of([&] { (void)outside.detach(); }) == errc::invalid_argument);
    CHECK(outside.open());
    outside.release();
  }
  const Budget run({.name = "run", .usd = 1_usd});
  const Budget budget(daily(store));
  Call call(batch());
  CHECK_THROWS_WITH(call.detach(), ContainsSubstring("\"run\" around it counts in this process alone"));
  CHECK(call.open());
  call.settle({.input = 1});
  CHECK(reason_of([&] { (void)call.detach(); }) == errc::invalid_argument);
  CHECK(store->state("daily", Window::day()).spent.usd == Usd::from_nanos(2'500));
}

TEST_CASE("detached call: one without a lease says which member gives it one", "[core][detached]") {
  const Fixture fixture;
  const auto store = memory_store({.on_unreachable = OnUnreachable::deny()});
  const Budget budget(daily(store));
  Call call(large_request());
  CHECK_THROWS_WITH(call.detach(), ContainsSubstring("CallRequest::lease"));
  CHECK(call.open());
  call.release();
  for (const auto lease : {0s, -1s, std::chrono::seconds(61 * 24h)})
    CHECK(try_call(batch(lease)).error().reason() == errc::invalid_argument);
}

TEST_CASE("detached call: a text that was cut, changed or made up is refused, whatever it is", "[core][detached]") {
  const Fixture fixture;
  const Elsewhere batch_call(fixture);
  const auto refused = [&](const std::string& text) {
    return reason_of([&] { (void)Call::resume(text, batch_call.store); }) == errc::invalid_argument;
  };
  CHECK(reason_of([&] { (void)Call::resume(batch_call.text, nullptr); }) == errc::config);
  const std::string& text = batch_call.text;
  CHECK(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }));
  for (std::size_t size = 0; size < text.size(); ++size) CHECK(refused(text.substr(0, size)));
  std::mt19937 random(20261129);
  for (int i = 0; i < 2'000; ++i) {
    std::string changed = text;
    changed[random() % changed.size()] = static_cast<char>(random());
    if (changed != text) CHECK(refused(changed));
  }
  CHECK(refused(text + text));
  CHECK(refused(std::string(1'000'000, 'x')));
  CHECK(Call::resume(text, batch_call.store).settle({}).first);
}

TEST_CASE("detached call: comes back in windows of every kind, and under rules with names of any length",
          "[core][detached]") {
  Fixture fixture;
  for (const char* id : {"hour", "day@Europe/Berlin", "week@UTC+sun0h", "month@UTC+15d6h", "quarter@UTC",
                         "year@UTC+4m6d0h", "every14d@UTC+2026-01-05+0h", "rolling3600s", "forever"}) {
    CAPTURE(id);
    const auto store = memory_store({.on_unreachable = OnUnreachable::deny()});
    const Window window = Window::parse(id);
    std::string text;
    {
      const Budget budget({.name = "b", .usd = 1_usd, .window = window, .store = store});
      Call call(batch());
      call.sent();
      text = call.detach();
    }
    CHECK(store->state("b", window).reserved.usd == Usd::from_nanos(12'500'000));
    CHECK(Call::resume(text, store).settle({.input = 1'000}).first);
    CHECK(store->state("b", window).reserved == Amounts{});
    CHECK(store->state("b", window).spent.usd == Usd::from_nanos(2'500'000));
  }
  const auto store = memory_store({.on_unreachable = OnUnreachable::deny()});
  fixture.ledger.set_rules(
      {{.name = "each user", .match = {{"user_id", "*"}}, .usd = 1_usd, .window = Window::day(), .store = store}});
  const std::string user(200, 'u');
  std::string text;
  {
    const Track tags({{"user_id", user}});
    Call call(batch());
    call.sent();
    text = call.detach();
  }
  fixture.ledger.set_rules({});
  CHECK(Call::resume(text, store).settle({.input = 1'000}).first);
  CHECK(store->state("user_id:" + user, Window::day()).spent.usd == Usd::from_nanos(2'500'000));
  CHECK(fixture.ledger.records().back().budgets.size() == 1);
}

TEST_CASE("detached call: counts in the slot of its admission also where its stream asked for more on another day",
          "[core][detached]") {
  const Fixture fixture;
  const auto store = memory_store({.on_unreachable = OnUnreachable::deny()});
  const Time admitted = fixture.clock->now();
  std::string text;
  {
    const Budget budget(daily(store));
    Call call(batch());
    call.sent();
    fixture.clock->advance(24h);
    CHECK(call.extend_output(2'000).extension == Extension::granted);
    text = call.detach();
  }
  CHECK(text.find("budget=daily") != text.npos);
  const Call again = Call::resume(text, store);
  CHECK(again.reserved().output_tokens == 2'000);
  CHECK(Call::resume(text, store).settle({.input = 1'000, .output = 100}).first);
  CHECK(store->state("daily", Window::day(), admitted).spent.usd == Usd::from_nanos(3'500'000));
  CHECK(store->state("daily", Window::day()).spent == Amounts{});
}

TEST_CASE("detached call: lives as any other while it is not detached, however long that is", "[core][detached]") {
  const Fixture fixture;
  const auto store = memory_store({.on_unreachable = OnUnreachable::deny(), .on_expiry = OnExpiry::release});
  const Budget budget({.name = "one", .concurrent = 1, .window = Window::forever(), .store = store});
  Call call(batch(1h));
  call.sent();
  fixture.clock->advance(2h);
  CHECK_FALSE(try_call(large_request()));
  const std::string text = call.detach();
  fixture.clock->advance(59min);
  CHECK_FALSE(try_call(large_request()));
  fixture.clock->advance(2min);
  CHECK(try_call(large_request()).value().release());
  CHECK(Call::resume(text, store).settle({.input = 1}).first);
}

TEST_CASE("detached call: is judged by the cap that an operator has set", "[core][detached]") {
  const Fixture fixture;
  const Elsewhere batch_call(fixture, batch(), Usd::from_nanos(12'500'000));
  batch_call.store->set_cap({.name = "daily", .window = Window::day(), .limits = {.usd = 100_usd}, .by = "op"});
  CHECK_FALSE(Call::resume(batch_call.text, batch_call.store).settle({.input = 1'000, .output = 2'000}).over_cap);
}

TEST_CASE("detached call: a text that somebody made up is refused, whatever its checksum", "[core][detached]") {
  const Fixture fixture;
  const Elsewhere batch_call(fixture);
  const auto forged = [&](const std::string& part, const std::string& by) {
    std::string text = batch_call.text.substr(0, batch_call.text.rfind(" end="));
    const std::size_t at = text.find(part);
    REQUIRE(at != text.npos);
    text.replace(at, part.size(), by);
    std::uint64_t sum = 0xcbf29ce484222325ULL;
    for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    text += " end=" + std::to_string(sum);
    return reason_of([&] { (void)Call::resume(text, batch_call.store); });
  };
  const std::string budget = batch_call.text.substr(batch_call.text.find(" budget="));
  const std::string last = budget.substr(0, budget.find(" end="));
  CHECK(forged("size=", "size=") == errc::ok);
  CHECK(forged("day@UTC", "scope") == errc::invalid_argument);
  CHECK(forged("day@UTC", "yesterday") == errc::invalid_argument);
  for (const char* fraction : {"nan", "-1", "1e300", "0", "x"})
    CHECK(forged(last, last + ',' + fraction) == errc::invalid_argument);
  CHECK(forged("held=", "held=9223372036854775807") == errc::invalid_argument);
  CHECK(forged("size=1000,1,", "size=9223372036854775807,1,") == errc::invalid_argument);
  CHECK(forged("size=1000,1,", "size=1000,9223372036854775807,") == errc::invalid_argument);
  CHECK(forged("size=1000,1,", "size=-1,1,") == errc::invalid_argument);
  const std::size_t epoch = batch_call.text.find(" epoch=");
  CHECK(forged(batch_call.text.substr(epoch, batch_call.text.find(' ', epoch + 1) - epoch), " epoch=") ==
        errc::invalid_argument);
  std::string many;
  for (int n = 0; n < 64; ++n) many += last;
  CHECK(forged(last, last + many) == errc::invalid_argument);
}

TEST_CASE("detached call: in bad weather is booked once in the store, and what may have been spent is recorded",
          "[core][detached]") {
  const Fixture fixture;
  const auto weather = std::make_shared<testing::Weather>();
  weather->set_clock(fixture.clock);
  const auto store = stormy_nearby(weather, OnUnreachable::deny());
  const auto detached = [&](const std::function<void()>& meanwhile) {
    const Budget budget({.name = "all", .usd = 1_usd, .window = Window::forever(), .store = store});
    Call call(batch());
    call.sent();
    meanwhile();
    return call.detach();
  };
  const auto spent = [&] {
    store->flush(10s);
    return store->state("all", Window::forever()).spent.usd;
  };
  const Usd each = Usd::from_nanos(3'500'000);
  const Usage usage{.input = 1'000, .output = 100};

  // The answer to its end is lost.
  const std::string first = detached([] {});
  weather->lose_replies();
  CHECK(Call::resume(first, store).settle(usage).first);
  weather->lose_replies(false);
  CHECK(spent() == each);
  CHECK(fixture.ledger.records().size() == 1);

  // It is ended again hours later, when the store is away and has forgotten that it ended.
  fixture.clock->advance(5h);
  weather->down();
  (void)Call::resume(first, store).settle(usage);
  weather->down(false);
  CHECK(spent() == each);

  // A store that is away when it is to be detached leaves it open.
  {
    const Budget budget({.name = "all", .usd = 1_usd, .window = Window::forever(), .store = store});
    Call call(batch());
    weather->down();
    CHECK_THROWS_AS(call.detach(), StoreUnavailable);
    weather->down(false);
    CHECK(call.open());
    CHECK(call.release());
  }

  // The store loses its data before it is detached.
  const std::string lost = detached([&] {
    weather->forget();
    (void)store->state("all", Window::forever());
  });
  const std::size_t records = fixture.ledger.records().size();
  CHECK(Call::resume(lost, store).settle(usage).first);
  CHECK(spent() == each);
  CHECK(fixture.ledger.records().size() == records + 1);
}

TEST_CASE("detached call: the example of a batch", "[core][detached]") {
  const Fixture fixture;
  const auto store = memory_store({.on_unreachable = OnUnreachable::deny()});
  std::string kept;
  // [detached_call]
  {
    const Budget monthly({.name = "batches", .usd = 100_usd, .window = Window::month(), .store = store});
    Call call({.model = "gpt-4o",
               .input_tokens = 50'000,
               .max_output_tokens = 10'000,
               .service_tier = "batch",
               .lease = 26h});
    call.sent();           // create the batch with its provider, then:
    kept = call.detach();  // beside the batch's id, in a file or a database
  }
  // Tomorrow, in any process:
  Call call = Call::resume(kept, store);
  call.settle({.input = 50'000, .output = 8'000});
  // [detached_call]
  CHECK(store->state("batches", Window::month()).reserved == Amounts{});
}
