#include "redis/backend.hpp"

#include <poll.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <memory>
#include <utility>

#include "outlay/log.hpp"
#include "redis/script.hpp"

namespace outlay::detail {

namespace {

using Steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int most_turns = 8;  // redirections and reloads of the script within one call
constexpr std::size_t most_nodes = 64;

std::string_view text_of(const redisReply& reply) {
  return reply.str ? std::string_view(reply.str, reply.len) : std::string_view();
}
bool failed(const redisReply& reply) { return reply.type == REDIS_REPLY_ERROR; }

/// What a server said, fit for a message: printable ASCII, at most 200 characters.
std::string printable(std::string_view text) {
  std::string clean(text.substr(0, 200));
  for (char& c : clean)
    if (c < 0x20 || c > 0x7E) c = '?';
  return clean;
}

/// `MOVED 3999 10.0.0.7:6381`, `ASK 3999 [::1]:6381`. Without a host it is the one that answered.
std::optional<RedisAddress> redirection(std::string_view text, const RedisAddress& from) {
  const std::size_t space = text.rfind(' '), colon = text.rfind(':');
  if (space == text.npos || colon == text.npos || colon < space) return std::nullopt;
  RedisAddress to;
  to.host = text.substr(space + 1, colon - space - 1);
  if (to.host.size() > 2 && to.host.front() == '[' && to.host.back() == ']')
    to.host = to.host.substr(1, to.host.size() - 2);
  if (to.host.empty()) to.host = from.host;
  if (to.host.empty()) to.host = "127.0.0.1";  // of a Unix socket
  const auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), to.port);
  if (error != std::errc{} || end != text.data() + text.size() || to.port == 0 || to.host.size() > 253)
    return std::nullopt;
  return to;
}

/// The value of one setting as CONFIG GET answers; nothing where it was refused.
std::optional<std::string> setting(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 2) return std::nullopt;
  return std::string(text_of(*reply.element[1]));
}

void collect_nodes(const redisReply& slots, const RedisAddress& from, std::vector<RedisAddress>& nodes) {
  if (slots.type != REDIS_REPLY_ARRAY) return;  // no Cluster, or not allowed to ask
  nodes.clear();
  for (std::size_t i = 0; i < slots.elements; ++i) {
    const redisReply& range = *slots.element[i];  // first, last, then its nodes
    for (std::size_t n = 2; range.type == REDIS_REPLY_ARRAY && n < range.elements; ++n) {
      const redisReply& node = *range.element[n];
      if (node.type != REDIS_REPLY_ARRAY || node.elements < 2 || nodes.size() >= most_nodes) continue;
      RedisAddress address;
      address.host = text_of(*node.element[0]);
      if (address.host.empty()) address.host = from.host.empty() ? "127.0.0.1" : from.host;
      address.port = static_cast<std::uint16_t>(node.element[1]->integer);
      if (std::find(nodes.begin(), nodes.end(), address) == nodes.end()) nodes.push_back(std::move(address));
    }
  }
}

std::string checked_prefix(std::string_view prefix) {
  const bool good = !prefix.empty() && prefix.size() <= 64 && std::all_of(prefix.begin(), prefix.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.' || c == ':';
  });
  if (!good)
    throw ConfigError(
        "redis_store: the prefix must be 1 to 64 letters, digits, '_', '-', '.' or ':'; write, say, "
        "\"outlay\"");
  return std::string(prefix);
}

/// Whether Lua needs no space before or behind it. (Not `-` and `.`, of which two in a row mean something else.)
bool stands_alone(char c) noexcept { return std::string_view(",=<>+*/~(){}[]#:").find(c) != std::string_view::npos; }

/// The script without comments, and without the spaces and line ends that only people need. A server takes 16 KiB from a client that has not
/// given the password yet, and to more it answers nothing of a password: the fast script, which is sent first, is shorter.
std::string as_sent(std::string_view arithmetic) {
  std::string script;
  for (std::string_view text : {arithmetic, std::string_view(redis_script)})
    while (!text.empty()) {
      std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(text.size(), line.size() + 1));
      line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ')));
      if (line.empty() || line.starts_with("--")) continue;
      line = line.substr(0, line.find("  --"));
      if (script.size() > 1 && (stands_alone(script[script.size() - 2]) || stands_alone(line.front())))
        script.pop_back();
      bool quoted = false;
      for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\'') quoted = !quoted;
        const bool needless = line[i] == ' ' && !quoted && i + 1 < line.size() &&
                              (stands_alone(line[i - 1]) || stands_alone(line[i + 1]));
        if (!needless) script.push_back(line[i]);
      }
      script.push_back('\n');
    }
  return script;
}

}  // namespace

RedisBackend::RedisBackend(std::string_view url, std::string_view prefix)
    : url_(parse_redis_url(url)),
      keys_(checked_prefix(prefix)),
      fast_{as_sent(redis_fast_arithmetic), {}},
      exact_{as_sent(redis_exact_arithmetic), {}},
      random_([] {
        std::random_device device;
        std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
        return std::mt19937_64(seed);
      }()) {}

std::string RedisBackend::description() const {
  std::string text = "redis at " + url_.address.text();
  if (url_.database != 0) text += " (database " + std::to_string(url_.database) + ")";
  return text;
}

Failure RedisBackend::unavailable(const std::string& why) const {
  return {errc::store_unavailable, description() + ' ' + why};
}

std::vector<Result<StoreReply>> RedisBackend::execute(std::span<const StoreCommand> commands, milliseconds timeout) {
  const Deadline deadline = Steady::now() + timeout;
  Batch batch{.commands = commands};
  batch.results.resize(commands.size());
  for (std::size_t i = 0; i < commands.size(); ++i) {
    // The faster script may give up when it has changed a cap already, and would then find its own change.
    batch.exact |= commands[i].expected.has_value();
    if (is_valid(commands[i]))
      batch.pending.push_back(i);
    else
      batch.results[i].emplace(Failure(
          errc::invalid_argument,
          "a command for " + description() +
              " is invalid: an id must be 32 hexadecimal digits, a counter's name 1 to 256 bytes, and its slot "
              "must end after it begins; only adjust may have a negative amount, and a command may have at most "
              "64 counters"));
  }
  // Used by a server without data only. It is new each time, so that two losses of data give two epochs.
  constexpr const char* digits = "0123456789abcdef";
  for (int i = 0; i < 32; ++i) batch.epoch += digits[random_() & 15U];
  run(batch, deadline);
  for (std::size_t i = 0; i < commands.size(); ++i)
    if (Result<StoreReply>& result = *batch.results[i]; result && commands[i].op == StoreCommand::Op::list_counters) {
      if (batch.asked_elsewhere)
        result = unavailable("is moving the prefix's slot between nodes, so not all of its counters can be listed");
      else
        list_counters(commands[i], result, deadline);
    }
  for (std::optional<Result<StoreReply>>& result : batch.results)
    if (*result) {
      (*result)->expired = std::exchange(expired_, {});
      break;
    }
  std::vector<Result<StoreReply>> results;
  results.reserve(commands.size());
  for (auto& result : batch.results) results.push_back(*std::move(result));
  return results;
}

void RedisBackend::run(Batch& batch, Deadline deadline) {
  bool fresh = false, repeated = false, moving = false;
  std::string why = "did not answer in time";
  int turns = 0;
  for (bool first = true; !batch.pending.empty() && (first || Steady::now() < deadline); first = false) {
    try {
      if (!connection_) {
        if (Steady::now() < next_try_) {
          why = trouble_ + "; it is tried again within a second";
          break;
        }
        fresh = true;
        connect(deadline);
      }
      Turn turn = round(*connection_, batch, false, deadline);
      failures_ = 0;
      batch.pending = std::move(turn.again);
      if (turn.drop_connection) connection_.reset();
      batch.exact |= turn.large;
      if (turn.script_lost && connection_) load_scripts(*connection_, deadline);
      if (turn.ask) {
        RedisConnection other(*turn.ask, deadline);
        greet(other, deadline);
        batch.asked_elsewhere = true;
        Turn asked = round(other, batch, true, deadline);
        batch.pending = std::move(asked.again);
        batch.exact |= asked.large;
        turn.wait |= asked.wait;
      } else if (turn.moved) {
        moved_to_ = std::move(turn.moved);
        connection_.reset();
      }
      if (turn.wait) {
        moving = true;
        why = "is moving the prefix's slot between nodes (TRYAGAIN)";
        ::poll(nullptr, 0, 10);
      }
      if ((turn.ask || turn.moved || turn.script_lost) && ++turns > most_turns) {
        note_failure("redirects commands from node to node: check that the Cluster is complete");
        why = trouble_;
        break;
      }
    } catch (const ConnectionLost& lost) {
      connection_.reset();
      std::erase_if(batch.pending, [&](std::size_t i) { return batch.results[i].has_value(); });
      // The server may have closed a connection that was idle. Commands are sent again once: each has its id.
      if (!fresh && !lost.timed_out) {
        repeated = true;
        continue;
      }
      note_failure(lost.what());
      if (!(moving && lost.timed_out))
        why = trouble_;  // it did answer, and the time was up while it was asked once more
      break;
    }
  }
  for (const std::size_t i : batch.pending) batch.results[i].emplace(unavailable(why));
  // Whether a detached call had ended before, or by the command whose answer was lost, is not known; nor who has changed a cap.
  for (std::size_t i = 0; repeated && i < batch.commands.size(); ++i)
    if (std::optional<Result<StoreReply>>& result = batch.results[i];
        result && *result &&
        ((batch.commands[i].detached && (*result)->outcome == StoreReply::Outcome::ended) ||
         (batch.commands[i].op == StoreCommand::Op::set_cap && (*result)->outcome == StoreReply::Outcome::refused)))
      result.emplace(unavailable("lost the answer to the command"));
}

RedisBackend::Turn RedisBackend::round(RedisConnection& connection, Batch& batch, bool asking, Deadline deadline) {
  std::deque<RedisBatch> calls;
  for (const std::size_t i : batch.pending) {
    if (calls.empty() || calls.back().full()) calls.emplace_back(keys_);
    calls.back().add(batch.commands[i], i);
  }
  std::string bytes;
  for (const RedisBatch& call : calls) {
    if (asking) append_command(bytes, {"ASKING"});
    call.append(bytes, batch.exact ? exact_.sha : fast_.sha, batch.epoch);
  }
  Turn turn;
  const std::size_t each = asking ? 2 : 1;
  connection.exchange(bytes, calls.size() * each, deadline, [&](std::size_t number, const redisReply& reply) {
    if (number % each == each - 1) take_reply(reply, calls[number / each], connection.address(), batch, turn);
  });
  return turn;
}

void RedisBackend::take_reply(const redisReply& reply, const RedisBatch& sent, const RedisAddress& from, Batch& batch,
                              Turn& turn) {
  const std::string_view text = text_of(reply);
  const auto again = [&] { turn.again.insert(turn.again.end(), sent.numbers().begin(), sent.numbers().end()); };
  if (reply.type == REDIS_REPLY_STRING) {
    if (text == "LARGE") {
      turn.large = true;
      return again();
    }
    RedisBatch::Answer answer;
    if (!sent.read(text, answer))
      throw ConnectionLost("sent a reply in the wrong format: check that no other program uses the prefix");
    std::move(answer.expired.begin(), answer.expired.end(), std::back_inserter(expired_));
    for (std::size_t i = 0; i < answer.replies.size(); ++i) {
      const std::size_t number = sent.numbers()[i];
      StoreReply& one = answer.replies[i];
      // While some leases that have run out are still counted, a refusal or a snapshot says too little is left.
      if (answer.leases_due &&
          (batch.commands[number].op == StoreCommand::Op::snapshot || one.outcome == StoreReply::Outcome::refused))
        turn.again.push_back(number);
      else if (answer.overflows[i])
        batch.results[number].emplace(
            Failure(errc::overflow, "a counter of " + description() +
                                        " would pass 9.2 * 10^18, so nothing was changed: use another name or window "
                                        "for it"));
      else
        batch.results[number].emplace(std::move(one));
    }
    return;
  }
  if (!failed(reply)) throw ConnectionLost("sent a reply in the wrong format: check that it is a Redis server");
  if (text.starts_with("NOSCRIPT")) {
    turn.script_lost = true;
    return again();
  }
  if (text.starts_with("MOVED ") || text.starts_with("ASK ")) {
    if (auto to = redirection(text, from)) {
      (text.starts_with("ASK ") ? turn.ask : turn.moved) = std::move(to);
      return again();
    }
  }
  if (text.starts_with("TRYAGAIN")) {
    turn.wait = true;
    return again();
  }
  // A server that has become a replica stays one: the next connection looks for the node that took over.
  if (text.starts_with("READONLY")) turn.drop_connection = true;
  for (const std::size_t number : sent.numbers())
    batch.results[number].emplace(unavailable("answered: " + printable(text)));
}

void RedisBackend::list_counters(const StoreCommand& command, Result<StoreReply>& result, Deadline deadline) {
  if (!connection_) {
    result = unavailable("lost the connection while its counters were listed");
    return;
  }
  // A cursor is of the server that gave it, which another connection may not reach.
  const std::string mark = " " + std::to_string(connections_);
  if (!command.after.empty() && !command.after.ends_with(mark)) {
    result = unavailable("was connected anew while its counters were listed. List them again");
    return;
  }
  const std::string cursor = command.after.empty() ? "0" : command.after.substr(0, command.after.size() - mark.size());
  StoreReply listed = *std::move(result);
  std::optional<Failure> failure;
  try {
    std::string bytes;
    append_command(bytes, {"SCAN", cursor, "MATCH", keys_.counters(command.prefix), "COUNT", "4096"});
    connection_->exchange(bytes, 1, deadline, [&](std::size_t, const redisReply& reply) {
      if (failed(reply)) {
        failure = unavailable("answered: " + printable(text_of(reply)));
        return;
      }
      if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 2 || reply.element[1]->type != REDIS_REPLY_ARRAY)
        throw ConnectionLost("sent a reply in the wrong format: check that it is a Redis server");
      listed.next = text_of(*reply.element[0]);
      if (listed.next == "0")
        listed.next.clear();
      else
        listed.next += mark;
      const redisReply& found = *reply.element[1];
      for (std::size_t i = 0; i < found.elements; ++i)
        if (auto name = keys_.counter(text_of(*found.element[i])); name && name->name.starts_with(command.prefix))
          listed.counters.push_back(*std::move(name));
    });
  } catch (const ConnectionLost& lost) {
    connection_.reset();
    failure = unavailable(lost.what());
  }
  if (failure)
    result = *std::move(failure);
  else
    result = std::move(listed);
}

void RedisBackend::connect(Deadline deadline) {
  std::vector<RedisAddress> candidates;
  const auto add = [&](const RedisAddress& address) {
    if (std::find(candidates.begin(), candidates.end(), address) == candidates.end()) candidates.push_back(address);
  };
  if (moved_to_) add(*moved_to_);
  add(url_.address);
  for (const RedisAddress& node : other_nodes_) add(node);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto now = Steady::now();
    const bool last = i + 1 == candidates.size();
    // A node that never answers must leave time for the others.
    const Deadline until = last ? deadline : now + (deadline - now) / 2;
    try {
      connection_.emplace(candidates[i], until);
      ++connections_;
      greet(*connection_, until);
      return;
    } catch (const ConnectionLost&) {
      connection_.reset();
      if (moved_to_ == candidates[i]) moved_to_.reset();
      if (last) throw;
    }
  }
}

void RedisBackend::greet(RedisConnection& connection, Deadline deadline) {
  std::string bytes;
  std::size_t count = 4;
  if (!url_.password.empty()) {
    if (url_.user.empty())
      append_command(bytes, {"AUTH", url_.password});
    else
      append_command(bytes, {"AUTH", url_.user, url_.password});
    ++count;
  }
  if (url_.database != 0) {
    append_command(bytes, {"SELECT", std::to_string(url_.database)});
    ++count;
  }
  const std::size_t settings = count - 4;
  append_command(bytes, {"CONFIG", "GET", "maxmemory-policy"});
  append_command(bytes, {"CONFIG", "GET", "appendonly"});
  append_command(bytes, {"CONFIG", "GET", "save"});
  append_command(bytes, {"CLUSTER", "SLOTS"});

  std::optional<std::string> policy, append_only, save;
  connection.exchange(bytes, count, deadline, [&](std::size_t number, const redisReply& reply) {
    if (number < settings && failed(reply))
      throw ConnectionLost("refused the user, password or database of the URL: " + printable(text_of(reply)));
    if (number == settings) policy = setting(reply);
    if (number == settings + 1) append_only = setting(reply);
    if (number == settings + 2) save = setting(reply);
    if (number == settings + 3) collect_nodes(reply, connection.address(), other_nodes_);
  });
  load_scripts(connection, deadline);

  bool doubtful = false;
  std::string said = "redis at " + connection.address().text() + ": ";
  if (!policy || !append_only || !save) {
    doubtful = true;
    said +=
        "CONFIG GET is not allowed, so the library could not check that maxmemory-policy is noeviction and that "
        "the data outlives a restart: check both";
  } else {
    said += "maxmemory-policy is " + printable(*policy);
    if (*policy != "noeviction") {
      doubtful = true;
      said += ", so counters may be evicted, and what was spent with them: set it to noeviction";
    }
    said += "; appendonly is " + printable(*append_only);
    if (*append_only != "yes") {
      doubtful = true;
      said += save->empty() ? ", and there are no snapshots, so a restart forgets what was spent: set it to yes"
                            : ", so a restart goes back to the last snapshot: set it to yes";
    }
  }
  // Logged again only when it has changed: a server may close idle connections every few minutes.
  if (said != last_said_) log(doubtful ? LogLevel::warning : LogLevel::info, last_said_ = std::move(said));
}

void RedisBackend::load_scripts(RedisConnection& connection, Deadline deadline) {
  std::string bytes;
  for (const Script* script : {&fast_, &exact_}) append_command(bytes, {"SCRIPT", "LOAD", script->text});
  connection.exchange(bytes, 2, deadline, [this](std::size_t number, const redisReply& reply) {
    const std::string_view text = text_of(reply);
    if (failed(reply)) throw ConnectionLost("refused to load the script: " + printable(text));
    if (text.size() != 40) throw ConnectionLost("sent a reply in the wrong format: check that it is a Redis server");
    (number == 0 ? fast_ : exact_).sha = text;
  });
}

void RedisBackend::note_failure(const std::string& why) {
  trouble_ = why;
  next_try_ = Steady::now() + back_off_.wait(++failures_);
}

}  // namespace outlay::detail
