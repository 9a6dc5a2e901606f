// A support desk: two users ask several questions at once, and each answer streams in while its cost stays inside budgets.
//
// A run budget holds for everything, a budget of its own for each answer, and tags say who asked about what. One question is too dear for
// the good model and is rerouted to the cheaper one; one fits no model and is refused before it is sent. At the end the report shows
// where the money went.

#include <boost/asio.hpp>
#include <boost/json.hpp>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <outlay/http.hpp>
#include <outlay/outlay.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "local_llm/launch.hpp"
#include "transcript.hpp"

namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using namespace outlay::literals;

constexpr std::string_view help = R"(usage: support_bot [options]

  --model NAME          the good model; default gpt-4o
  --cheap-model NAME    where a question is rerouted that would be too dear; default gpt-4o-mini
  --timeout-ms N        how long the server may be silent; default 20000
  --misbehave WORDS     what the local server shall do wrong: status=500, close_after=5, silent ... (local_llm --help)
  --help

By default it starts the local_llm that lies beside it and talks to that, free of charge. With the variable OPENAI_BASE_URL set, and
OPENAI_API_KEY where the provider wants one, it talks to that provider, over TLS with the certificate checked, and costs money: at most
the run budget of one cent.

exit code: 0  each question was answered, or refused by a budget, and the books add up
           1  the books do not add up, or something unforeseen happened
           2  the command line makes no sense
           3  the provider answered with an error
           4  a connection broke, or could not be made
           5  the provider was silent for too long
Of 3, 4 and 5 the one that happened first.
)";

struct Settings {
  std::string model = "gpt-4o";
  std::string cheap_model = "gpt-4o-mini";
  std::chrono::milliseconds timeout{20'000};
  std::string misbehave{};
};

struct Question {
  const char* user;
  const char* feature;
  const char* text;
  std::int64_t max_tokens;
};

const Question questions[] = {
    {"alice", "billing", "Where is my refund for order 1042?", 150},
    {"alice", "account", "I forgot my password. What now?", 150},
    // 600 tokens of the good model would cost more than an answer may: rerouted.
    {"alice", "shipping", "When will you deliver my parcel? Please be as detailed as you can.", 600},
    {"bob", "billing", "Where do I find the invoice for March?", 150},
    {"bob", "account", "How do I cancel my subscription?", 150},
    // 12,000 tokens cost more than an answer may, whatever the model: refused before it is sent.
    {"bob", "manual", "Write the complete manual of your shop for me, with every page and every button.", 12'000},
};

constexpr std::string_view instructions =
    "You answer the customers of a small shop. Be friendly, precise and short. Never promise what you cannot "
    "know.";

constexpr outlay::Usd run_cap = 0.01_usd;
constexpr outlay::Usd answer_cap = 0.004_usd;

/// The first thing that went wrong, as an exit code.
class Verdict {
 public:
  void note(int code) {
    if (code_ == 0) code_ = code;
  }
  void note(outlay::errc reason) {
    switch (reason) {
      case outlay::errc::provider_error:
      case outlay::errc::bad_reply:
        return note(3);
      case outlay::errc::network:
      case outlay::errc::stream_broken:
        return note(4);
      case outlay::errc::timed_out:
        return note(5);
      default:
        return note(1);
    }
  }
  [[nodiscard]] int code() const noexcept { return code_; }

 private:
  int code_ = 0;
};

class Desk {
 public:
  Desk(const outlay::http::Client& client, const Settings& settings) : client_(client), settings_(settings) {}

  /// Asks everything at once, under the run budget, and reports.
  asio::awaitable<void> work() {
    outlay::Budget run({.name = "run", .usd = run_cap});
    std::vector<asio::awaitable<void>> answers;
    for (const Question& question : questions) answers.push_back(answer(question));
    co_await outlay::wait_all(std::move(answers));
    report(run);
  }

  [[nodiscard]] int exit_code() const noexcept { return verdict_.code(); }

 private:
  asio::awaitable<void> answer(const Question& question) {
    outlay::Track track({{"feature", question.feature}, {"user_id", question.user}});
    outlay::Budget budget({
        .name = "answer",
        .usd = answer_cap,
        .on_exceed = outlay::Downgrade{{{settings_.model, settings_.cheap_model}}},
    });
    const int colour = std::string_view(question.user) == "alice" ? 36 : 33;
    support_bot::Transcript::Speaker speaker(transcript_, std::string(question.user) + '/' + question.feature, colour);
    speaker.asks(question.text);
    try {
      const json::object request{
          {"model", settings_.model},
          {"max_completion_tokens", question.max_tokens},
          {"messages",
           {{{"role", "system"}, {"content", instructions}}, {{"role", "user"}, {"content", question.text}}}},
      };
      outlay::http::ReplyStream stream = co_await client_.stream(request);
      if (stream.model() != settings_.model) speaker.remarks(rerouted(stream));
      for (;;) {
        const std::optional<outlay::http::Delta> delta = co_await stream.next();
        if (!delta) break;
        if (delta->kind == outlay::StreamDelta::Kind::text) speaker.says(delta->text);
      }
      const std::string cost = outlay::to_string(stream.charged().value_or(outlay::Usd{}));
      speaker.remarks(cost + " for " + std::to_string(stream.usage().input_total()) + " tokens in and " +
                      std::to_string(stream.usage().output) + " out, by " + stream.served_model());
    } catch (const outlay::BudgetExceeded& refusal) {
      speaker.remarks(std::string("not sent: ") + refusal.what());
    } catch (const outlay::PriceUnknown& unknown) {
      speaker.remarks(std::string("not sent: ") + unknown.what());
      verdict_.note(1);
    } catch (const outlay::Error& error) {
      speaker.remarks(std::string(error.what()) + "; this answer has cost " + outlay::to_string(budget.spent().usd));
      verdict_.note(error.reason());
    }
  }

  /// What the budget said when it chose the cheaper model.
  std::string rerouted(const outlay::http::ReplyStream& stream) const {
    std::string text = "rerouted to " + stream.model();
    for (const outlay::BudgetEvent& event : outlay::Ledger::current().downgrades())
      if (event.call_id == stream.call_id())
        text += ": with " + event.model + " up to " + outlay::to_string(outlay::Usd::from_nanos(event.projected)) +
                " of " + outlay::to_string(outlay::Usd::from_nanos(event.cap)) + " for this answer";
    return text;
  }

  void report(const outlay::Budget& run) {
    const outlay::Report report = outlay::report({"feature", "user_id"});
    support_bot::Table table(
        {"feature", "user", "calls", "refused", "tokens in", "tokens out", "cost", "of which unsure"});
    const auto cells = [](std::string feature, std::string user, const outlay::ReportRow& row) {
      return std::vector<std::string>{std::move(feature),
                                      std::move(user),
                                      std::to_string(row.calls),
                                      std::to_string(row.blocked_calls),
                                      std::to_string(row.usage.input_total()),
                                      std::to_string(row.usage.output),
                                      outlay::to_string(row.usd),
                                      outlay::to_string(row.estimated + row.indeterminate)};
    };
    for (const outlay::ReportRow& row : report) {
      const std::string* feature = row.tags.find("feature");
      const std::string* user = row.tags.find("user_id");
      table.add(cells(feature ? *feature : "", user ? *user : "", row));
    }
    const outlay::ReportRow total = report.total();
    table.rule();
    table.add(cells("total", "", total));
    const outlay::BudgetState state = run.state();
    std::cout << '\n'
              << table.str() << "\nspent " << state.spent.usd << " of " << *state.limits.usd << ", reserved "
              << state.reserved.usd << ", " << *state.remaining.usd << " left\n";

    const bool adds_up = total.usd == state.spent.usd && state.reserved == outlay::Amounts{} &&
                         outlay::Ledger::current().audit().verdict == outlay::Audit::Verdict::agrees;
    std::cout << (adds_up ? "The books add up.\n" : "The books do not add up.\n");
    if (!adds_up) verdict_.note(1);
  }

  const outlay::http::Client& client_;
  const Settings& settings_;
  support_bot::Transcript transcript_{};
  Verdict verdict_{};
};

[[noreturn]] void usage_error(const std::string& problem) {
  std::cerr << "support_bot: " << problem << "\n\n" << help;
  std::exit(2);
}

Settings read_settings(const std::vector<std::string>& words) {
  Settings settings;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--help") {
      std::cout << help;
      std::exit(0);
    }
    if (i + 1 == words.size()) usage_error(word + " is unknown or needs a value");
    const std::string& value = words[++i];
    if (word == "--model") {
      settings.model = value;
    } else if (word == "--cheap-model") {
      settings.cheap_model = value;
    } else if (word == "--misbehave") {
      settings.misbehave = value;
    } else if (word == "--timeout-ms") {
      int number = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error != std::errc{} || end != value.data() + value.size() || number < 1)
        usage_error(word + " needs a number of at least 1");
      settings.timeout = std::chrono::milliseconds(number);
    } else {
      usage_error("unknown option " + word);
    }
  }
  return settings;
}

}  // namespace

int main(int argc, char** argv) try {
  const Settings settings = read_settings({argv + 1, argv + argc});

  outlay::http::ClientOptions options;
  options.timeouts.first_byte = options.timeouts.idle = settings.timeout;
  const char* provider = std::getenv("OPENAI_BASE_URL");
  std::optional<LocalLlm> local;
  if (provider == nullptr || *provider == '\0') {
    std::vector<std::string> words;
    if (!settings.misbehave.empty()) words = {"--misbehave", settings.misbehave};
    local.emplace(words);
    options.base_url = local->url();
    options.api_key = "none-needed";  // and none of the environment's goes there
    std::cout << "Talking to local_llm at " << options.base_url << ", free of charge; prices are " << settings.model
              << "'s.\n";
  } else {
    std::cout << "Talking to the provider of OPENAI_BASE_URL.\n";  // the address may hold a secret: it is not printed
  }
  std::cout << "The run may cost " << run_cap << ", one answer " << answer_cap << ".\n\n";

  asio::io_context io(1);
  const outlay::http::Client client(io, options);
  Desk desk(client, settings);
  std::exception_ptr failure;
  outlay::co_spawn(io, desk.work(), [&](std::exception_ptr error) { failure = error; });
  io.run();
  if (failure) std::rethrow_exception(failure);
  if (local) std::cout << "local_llm " << local->stop() << ".\n";
  return desk.exit_code();
} catch (const std::exception& error) {
  std::cerr << "support_bot: " << error.what() << '\n';
  return 1;
}
