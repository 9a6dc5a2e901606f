#pragma once

namespace outlay::detail {

/// The script that executes a batch of commands on the server: one call, one atomic step. README.md beside this file describes the data.
///
///   KEYS: the meta key, the leases, what is held, three for what has ended, the caps that are set, then the counters
///   ARGV: an epoch in case that there is none, the number of commands, each command, then each place (slot and limits) they refer to
///
/// Amounts take the whole range of int64, and Lua's numbers are doubles. So the script comes in two kinds, alike but for the few
/// functions that touch an amount:
///
/// - redis_fast_arithmetic computes with plain numbers, and gives up with `LARGE`, having changed nothing, where one could pass 2^53;
/// - redis_exact_arithmetic has a pair (lo, hi) = hi * 2^32 + lo for each, added part by part. Only the sign of a difference is taken
///   from one double: (hi - hi') * 2^32 + (lo - lo') is rounded once, which cannot change a sign.
///
/// Both read and write the same bytes, little-endian int64. Times are whole microseconds below 2^53.
///
/// All reads and decisions come before the first write, which is one that the server refuses when its memory is full: so a call that
/// fails has changed nothing. Slots that several commands touch are read once and written once, and ids are looked up together.
extern const char redis_fast_arithmetic[];
extern const char redis_exact_arithmetic[];
/// What follows either of them.
extern const char redis_script[];

}  // namespace outlay::detail
