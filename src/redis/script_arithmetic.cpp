#include "redis/script.hpp"

namespace outlay::detail {

const char redis_fast_arithmetic[] = R"lua(
local pack, unpack, large = struct.pack, struct.unpack, false
local LARGE = 1125899906842624
local function zero() return {0, 0, 0, 0, 0, 0} end
-- `at_most`: 2^50 for what is added to, 2^42 for what is added, at most 128 times in one call: no sum of four such passes 2^53.
local function read(bytes, at, at_most)
  local a, b, c, d, e, f = unpack('<i8i8i8i8i8i8', bytes, at)
  if a > at_most or a < -at_most or b > at_most or b < -at_most or c > at_most or c < -at_most or d > at_most or d < -at_most or
    e > at_most or e < -at_most or f > at_most then
    large = true
  end
  return {a, b, c, d, e, f}
end
local function write(v) return pack('<i8i8i8i8i8i8', v[1], v[2], v[3], v[4], v[5], v[6]) end
local function add(v, w)
  v[1], v[2], v[3], v[4], v[5], v[6] = v[1] + w[1], v[2] + w[2], v[3] + w[3], v[4] + w[4], v[5] + w[5], v[6] + w[6]
end
local function subtract(v, w)
  v[1], v[2], v[3], v[4], v[5], v[6] = v[1] - w[1], v[2] - w[2], v[3] - w[3], v[4] - w[4], v[5] - w[5], v[6] - w[6]
end
local function raise_to_zero(v)
  for k = 1, 6 do
    if v[k] < 0 then v[k] = 0 end
  end
end
local function set_zero(v, k) v[k] = 0 end
local function limit_at(bytes, at)
  local k, limit = unpack('<Bi8', bytes, at)
  return {k = k, number = k, limit = limit}
end
local function passes_limit(its, slot, others, asked, below)
  local k = its.k
  local amount = asked[k]
  if amount <= 0 then return false end
  local used = slot.spent[k] + slot.reserved[k]
  if others then used = used + others.spent[k] + others.reserved[k] end
  if below then return used >= its.limit end
  return used + amount > its.limit
end
local function reaches(its, spent) return spent[its.k] >= its.limit end
local passes_range = nil  -- cannot be, within these bounds
)lua";

const char redis_exact_arithmetic[] = R"lua(
local pack, unpack, large = struct.pack, struct.unpack, false
local LARGE, WORD, VECTOR = 0, 4294967296, '<I4i4I4i4I4i4I4i4I4i4I4i4'
local function zero() return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} end
local function read(bytes, at) return {unpack(VECTOR, bytes, at)} end
local function write(v)
  return pack(VECTOR, v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12])
end
local function add(v, w)
  for k = 1, 11, 2 do
    local lo, hi = v[k] + w[k], v[k + 1] + w[k + 1]
    if lo >= WORD then lo, hi = lo - WORD, hi + 1 end
    v[k], v[k + 1] = lo, hi
  end
end
local function subtract(v, w)
  for k = 1, 11, 2 do
    local lo, hi = v[k] - w[k], v[k + 1] - w[k + 1]
    if lo < 0 then lo, hi = lo + WORD, hi - 1 end
    v[k], v[k + 1] = lo, hi
  end
end
local function raise_to_zero(v)
  for k = 1, 11, 2 do
    if v[k + 1] < 0 then v[k], v[k + 1] = 0, 0 end
  end
end
local function set_zero(v, k) v[2 * k - 1], v[2 * k] = 0, 0 end
local function limit_at(bytes, at)
  local k, lo, hi = unpack('<BI4i4', bytes, at)
  return {k = 2 * k - 1, number = k, lo = lo, hi = hi}
end
local function passes_limit(its, slot, others, asked, below)
  local k = its.k
  local alo, ahi = asked[k], asked[k + 1]
  if ahi * WORD + alo <= 0 then return false end
  local s, r = slot.spent, slot.reserved
  local lo, hi = its.lo - s[k] - r[k], its.hi - s[k + 1] - r[k + 1]
  if others then
    s, r = others.spent, others.reserved
    lo, hi = lo - s[k] - r[k], hi - s[k + 1] - r[k + 1]
  end
  if below then return hi * WORD + lo <= 0 end
  return (hi - ahi) * WORD + (lo - alo) < 0
end
local function reaches(its, spent) return (spent[its.k + 1] - its.hi) * WORD + (spent[its.k] - its.lo) >= 0 end
-- Whether spent, or spent and reserved together, would leave the range of int64.
local function passes_range(slot, others, more_spent, less_spent, more_held, less_held)
  for k = 1, 11, 2 do
    local lo, hi, rlo, rhi = slot.spent[k], slot.spent[k + 1], slot.reserved[k], slot.reserved[k + 1]
    if others then
      lo, hi, rlo, rhi = lo + others.spent[k], hi + others.spent[k + 1], rlo + others.reserved[k], rhi + others.reserved[k + 1]
    end
    if more_spent then lo, hi = lo + more_spent[k], hi + more_spent[k + 1] end
    if less_spent then lo, hi = lo - less_spent[k], hi - less_spent[k + 1] end
    if more_held then rlo, rhi = rlo + more_held[k], rhi + more_held[k + 1] end
    if less_held then rlo, rhi = rlo - less_held[k], rhi - less_held[k + 1] end
    if (hi + 2147483648) * WORD + lo < 0 or (2147483647 - hi - rhi) * WORD + (WORD - 1 - lo - rlo) < 0 then return true end
  end
  return false
end
)lua";

}  // namespace outlay::detail
