#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "outlay/detail/export.hpp"
#include "outlay/store.hpp"

namespace outlay {

/// How a redis_store is opened. The order of the members is part of the interface, for designated initialisers.
struct RedisStoreOptions {
  /// Where the server is:
  ///
  /// - `redis://[user:password@]host[:port][/db]`: port 6379 and database 0 where they are left out; an IPv6 address in brackets;
  ///   `:password@` for a server with a password and no users. What is not a letter or digit is written as `%XX`.
  /// - `unix://[user:password@]/path[?db=N]`: a Unix socket.
  /// - `rediss://...`: refused, since this library is built on a hiredis without TLS. Lead the connection through a TLS tunnel.
  ///
  /// Any node of a Cluster will do: the others are asked of it.
  std::string url{};
  /// What budgets mean while the server does not answer. Has no default.
  OnUnreachable on_unreachable;
  /// How long a blocking admission waits for an answer before OnUnreachable decides. Between 1 ms and 1 minute.
  std::chrono::milliseconds timeout{1'000};
  /// How long a reservation outlives the last sign of life of its process; renewed every third of it. Between 1 second and 1 day.
  std::chrono::milliseconds lease{60'000};
  OnExpiry on_expiry{};  ///< Default OnExpiry::charge.
  /// Keys begin with `{prefix}:`, which puts all of them on one node of a Cluster. Stores that share counters have the same one. 1 to 64
  /// letters, digits, `_`, `-`, `.`, `:`.
  std::string prefix = "outlay";
};

/// Counters on a Redis server, or a Cluster, from 6.2 on (Valkey too): caps that the processes of many machines share.
///
/// Each admission is one script call over all its counters, by the server's clock; the commands of concurrent callers are sent
/// together. Keys of windows that are over expire. When it connects, it checks whether the server may evict keys and
/// whether it keeps its data over a restart, and logs what it found: a shared cap is as durable as its server.
///
/// A Redis that fails over to a replica, or that is restarted from a snapshot, may have forgotten its last seconds. A store notices that
/// data it has seen is lost, and then OnUnreachable decides.
/// \par Errors
/// ConfigError for a URL, prefix or time that is invalid; the message never repeats the URL. StoreUnavailable, when a call is admitted,
/// where the server cannot be reached or refuses the password.
/// \par Thread safety
/// As Store's.
/// \par Blocking
/// Making one does no I/O. A host name is looked up by the system on the store's own thread, which its timeout does not cover.
[[nodiscard]] OUTLAY_EXPORT std::shared_ptr<Store> redis_store(const RedisStoreOptions& options);

/// The store that `OUTLAY_REDIS_URL` names, with the defaults of RedisStoreOptions; null where it is not set, or empty. For
/// Ledger::add_rules_from_environment, whose counters are then in this process's memory.
///
/// \par Errors
/// As redis_store.
[[nodiscard]] OUTLAY_EXPORT std::shared_ptr<Store> redis_store_from_environment(OnUnreachable on_unreachable);

}  // namespace outlay
