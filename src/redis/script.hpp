#pragma once

#include <string>

namespace outlay::detail {

/// The script that executes a batch of commands on the server: one call, one atomic step. README.md beside this file describes the data.
///
///   KEYS: the meta key, the leases, then the records of ids and the counters, by whose number commands name them
///   ARGV: an epoch in case that there is none, then each command as RedisBatch packs it
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
/// All reads and decisions come before the first write, and that is one that the server refuses when its memory is full: a call that
/// fails has changed nothing. Slots and records that several commands touch are read once and written once.
inline constexpr char redis_fast_arithmetic[] = R"lua(
local pack, unpack, large = struct.pack, struct.unpack, false
local LARGE = 4503599627370496
local function zero() return {0, 0, 0, 0, 0, 0} end
-- `at_most`: 2^52 for what is added to, 2^45 for what is added, of which one call has at most 128.
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
local function negative(v, k) return v[k] < 0 end
local function set_zero(v, k) v[k] = 0 end
local function passes_limit(bytes, at, slot, others, asked, below)
  local k, limit = unpack('<Bi8', bytes, at)
  local amount = asked[k]
  if amount <= 0 then return false end
  local used = slot.spent[k] + slot.reserved[k]
  if others then used = used + others.spent[k] + others.reserved[k] end
  if below then return used >= limit end
  return used + amount > limit
end
local function reaches(bytes, at, spent)
  local k, limit = unpack('<Bi8', bytes, at)
  return spent[k] >= limit
end
local function passes_range() return false end
)lua";

inline constexpr char redis_exact_arithmetic[] = R"lua(
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
local function negative(v, k) return v[2 * k] < 0 end
local function set_zero(v, k) v[2 * k - 1], v[2 * k] = 0, 0 end
local function passes_limit(bytes, at, slot, others, asked, below)
  local k, lo, hi = unpack('<BI4i4', bytes, at)
  k = 2 * k - 1
  local alo, ahi = asked[k], asked[k + 1]
  if ahi * WORD + alo <= 0 then return false end
  local s, r = slot.spent, slot.reserved
  lo, hi = lo - s[k] - r[k], hi - s[k + 1] - r[k + 1]
  if others then
    s, r = others.spent, others.reserved
    lo, hi = lo - s[k] - r[k], hi - s[k + 1] - r[k + 1]
  end
  if below then return hi * WORD + lo <= 0 end
  return (hi - ahi) * WORD + (lo - alo) < 0
end
local function reaches(bytes, at, spent)
  local k, lo, hi = unpack('<BI4i4', bytes, at)
  k = 2 * k - 1
  return (spent[k + 1] - hi) * WORD + (spent[k] - lo) >= 0
end
-- Whether spent, or spent and reserved together, would leave the range of int64.
local function passes_range(slot, others, more_spent, less_spent, more_reserved, less_reserved)
  for k = 1, 11, 2 do
    local lo, hi, rlo, rhi = slot.spent[k], slot.spent[k + 1], slot.reserved[k], slot.reserved[k + 1]
    if others then
      lo, hi, rlo, rhi = lo + others.spent[k], hi + others.spent[k + 1], rlo + others.reserved[k], rhi + others.reserved[k + 1]
    end
    if more_spent then lo, hi = lo + more_spent[k], hi + more_spent[k + 1] end
    if less_spent then lo, hi = lo - less_spent[k], hi - less_spent[k + 1] end
    if more_reserved then rlo, rhi = rlo + more_reserved[k], rhi + more_reserved[k + 1] end
    if less_reserved then rlo, rhi = rlo - less_reserved[k], rhi - less_reserved[k + 1] end
    if (hi + 2147483648) * WORD + lo < 0 or (2147483647 - hi - rhi) * WORD + (WORD - 1 - lo - rlo) < 0 then return true end
  end
  return false
end
)lua";

inline constexpr char redis_script[] = R"lua(
local call, spread, sub, byte = redis.call, _G.unpack, string.sub, string.byte
local NEVER, HOUR, SMALL = 9007199254740991, 3600000, 35184372088832
local RESERVE, EXTEND, SETTLE, RELEASE, RENEW, ADJUST, SNAPSHOT = 0, 1, 2, 3, 4, 5, 6
local DONE, REFUSED, TURNED, ENDED, OVERFLOW = 0, 1, 2, 3, 4
local HELD, EXPIRED, OVER = 1, 2, 3

local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]
local version, due, epoch, change = 0, 0, ARGV[1], true
local meta = call('GET', KEYS[1])
if meta then
  version, due = unpack('<dd', meta)
  epoch, change = sub(meta, 17), false
end

-- Counters that were looked at: slots by field; `all` where every slot is there.
local counters, written_slots = {}, {}

-- A slot: what it has spent and reserved, and the same packed while that is true; when it may be forgotten; which thresholds it told.
local function slot_from(bytes, at_most)
  if not bytes then return {spent = zero(), reserved = zero(), expires = 0, told = ''} end
  return {spent = read(bytes, 1, at_most), reserved = read(bytes, 49, at_most), expires = (unpack('<d', bytes, 97)), told = sub(bytes, 105),
    packed_spent = sub(bytes, 1, 48), packed_reserved = sub(bytes, 49, 96)}
end
local function slot_of(key, field)
  local counter = counters[key]
  if not counter then
    counter = {}
    counters[key] = counter
  end
  local slot = counter[field]
  if not slot then
    slot = slot_from(not counter.all and call('HGET', key, field), LARGE)
    counter[field] = slot
  end
  return slot
end
local function change_slot(slot, key, field, more_spent, less_spent, more_reserved, less_reserved)
  if more_spent or less_spent then
    if more_spent then add(slot.spent, more_spent) end
    if less_spent then subtract(slot.spent, less_spent) end
    slot.packed_spent = nil
  end
  if more_reserved or less_reserved then
    if more_reserved then add(slot.reserved, more_reserved) end
    if less_reserved then
      subtract(slot.reserved, less_reserved)
      for k = 1, 6 do
        -- The slot was forgotten, and with it what was reserved there.
        if negative(slot.reserved, k) then set_zero(slot.reserved, k) end
      end
    end
    slot.packed_reserved = nil
  end
  if not slot.key then
    slot.key, slot.field = key, field
    written_slots[#written_slots + 1] = slot
  end
end
local function packed_spent(slot)
  local bytes = slot.packed_spent
  if not bytes then
    bytes = write(slot.spent)
    slot.packed_spent = bytes
  end
  return bytes
end
local function packed_reserved(slot)
  local bytes = slot.packed_reserved
  if not bytes then
    bytes = write(slot.reserved)
    slot.packed_reserved = bytes
  end
  return bytes
end

-- Records of ids by key: what they are; how much is held, or was charged at their expiry, packed; the slots of a reservation.
local records, written_records = {}, {}
local function record_of(key)
  local record = records[key]
  if not record then
    local bytes = call('GET', key)
    if bytes then
      record = {is = byte(bytes), on_expiry = byte(bytes, 2), amount = sub(bytes, 3, 50), slots = sub(bytes, 51)}
    else
      record = {is = 0}
    end
    records[key] = record
  end
  return record
end
local function change_record(record, key)
  if not record.key then
    record.key = key
    written_records[#written_records + 1] = record
  end
end

local gone, more = {}, 0
if due <= now then
  change = true
  local ids = call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 64)
  for i, id in ipairs(ids) do
    local key = sub(KEYS[1], 1, -5) .. 'id:' .. id
    local record = record_of(key)
    if record.is == HELD then
      local held, charged, at, name, field = read(record.amount, 1, SMALL), nil, 1, nil, nil
      if record.on_expiry == 0 then
        charged = read(record.amount, 1, SMALL)
        set_zero(charged, 6)
      end
      while at <= #record.slots do
        name, field, at = unpack('<Hc0Bc0', record.slots, at)
        local slot = slot_of(name, field)
        if slot.expires > 0 then change_slot(slot, name, field, charged, nil, nil, held) end  -- else it was forgotten
      end
      record.is, record.amount = EXPIRED, write(charged or zero())
      change_record(record, key)
      version = version + 1
    end
    gone[i] = id
  end
  local first = call('ZRANGE', KEYS[2], #gone, #gone, 'WITHSCORES')
  due = first[2] and tonumber(first[2]) or NEVER
  if due <= now then more = 1 end
end

local made, moved, longer = {}, {}, {}
local slots, names, fields, rest, tolds, lifetimes, mark_counts, mark_places = {}, {}, {}, {}, {}, {}, {}, {}
local results, n = {pack('<Bd', more, now), epoch}, 2
for number = 2, #ARGV do
  local command = ARGV[number]
  local op, on_expiry, lease, lives, id, count = unpack('<BBddHH', command)
  local at, key, outcome, changes, record = 71, KEYS[id], DONE, false, nil
  local more_spent, less_spent, more_reserved, less_reserved
  if op == RENEW then
    local deadline = now + lease
    for _ = 1, count do
      moved[#moved + 1] = deadline
      moved[#moved + 1] = sub(command, at, at + 31)
      at = at + 32
    end
    if deadline < due then due = deadline end
    change, count = true, 0
  elseif op ~= SNAPSHOT then
    record = record_of(key)
    local is = record.is
    if op == RESERVE then
      if is == 0 then
        changes, more_reserved = true, read(command, 23, SMALL)
      elseif is ~= HELD then
        outcome = ENDED
      end
    elseif op == EXTEND then
      if is == HELD then
        more_reserved = read(command, 23, SMALL)
        subtract(more_reserved, read(record.amount, 1, SMALL))
        for k = 1, 6 do
          if negative(more_reserved, k) then set_zero(more_reserved, k) end
        end
        changes = true
      else
        outcome = ENDED
      end
    elseif is == OVER then
      outcome = ENDED
    else
      changes = true
      if op ~= RELEASE then more_spent = read(command, 23, SMALL) end
      if is == HELD then
        less_reserved = read(record.amount, 1, SMALL)
      elseif is == EXPIRED then
        less_spent = read(record.amount, 1, SMALL)
      end
    end
  end

  -- First look at every counter, then change every one.
  for i = 1, count do
    local index, field, first, last, from, expires, room, marks, limits
    index, field, first, last, from, expires, room, marks, limits, at = unpack('<HBc0ddddBBB', command, at)
    local name, others, told = KEYS[index], nil, ''
    if from ~= first or now >= last then
      -- A rolling window, or one that is over: other slots may count too.
      local counter = counters[name]
      if not (counter and counter.all) then
        counter = counter or {}
        counters[name] = counter
        local all = call('HGETALL', name)
        for j = 1, #all, 2 do
          counter[all[j]] = counter[all[j]] or slot_from(all[j + 1], SMALL)
        end
        counter.all = true
      end
      others = {spent = zero(), reserved = zero()}
      for f, its in pairs(counter) do
        if f ~= field and f ~= 'all' and tonumber(f) >= from then
          add(others.spent, its.spent)
          add(others.reserved, its.reserved)
          told = told .. its.told
        end
      end
    end
    local slot = slot_of(name, field)
    if changes then
      if passes_range(slot, others, more_spent, less_spent, more_reserved, less_reserved) and outcome == DONE then
        outcome = more_reserved and REFUSED or OVERFLOW
      end
      for _ = 1, limits do
        if more_reserved and room < 2 and passes_limit(command, at, slot, others, more_reserved, room == 1) and outcome == DONE then
          outcome = REFUSED
        end
        at = at + 9
      end
      if op == RESERVE and (now < first or now >= last) then outcome = TURNED end
    else
      at = at + 9 * limits
    end
    slots[i], names[i], fields[i], rest[i], tolds[i], lifetimes[i], mark_counts[i], mark_places[i] =
      slot, name, field, others or false, told, expires, marks, at
    for _ = 1, marks do at = at + 9 + 9 * byte(command, at + 8) end
  end
  changes = changes and outcome == DONE

  if changes then
    change, version = true, version + 1
    if op == RESERVE then
      record.is, record.on_expiry, record.lives = HELD, on_expiry, lives
      record.amount, record.slots = sub(command, 23, 70), sub(command, at)
      made[#made + 1] = now + lease
      made[#made + 1] = sub(key, -32)
      if now + lease < due then due = now + lease end
    elseif op == EXTEND then
      local held = read(record.amount, 1, SMALL)
      add(held, more_reserved)
      record.amount = write(held)
    else
      if record.is == HELD then gone[#gone + 1] = sub(key, -32) end
      record.is = OVER
    end
    change_record(record, key)
  end
  n = n + 1
  results[n] = pack('<Bd', outcome, version)
  local crossed = ''
  for i = 1, count do
    local slot, others = slots[i], rest[i]
    if changes then
      change_slot(slot, names[i], fields[i], more_spent, less_spent, more_reserved, less_reserved)
      if slot.expires < lifetimes[i] then
        slot.expires = lifetimes[i]
        longer[names[i]] = true
      end
    end
    local total = slot
    if others then
      add(others.spent, slot.spent)
      add(others.reserved, slot.reserved)
      total = others
    end
    results[n + 1], results[n + 2] = packed_spent(total), packed_reserved(total)
    n = n + 2
    if changes and more_spent then
      at = mark_places[i]
      for j = 1, mark_counts[i] do
        local fraction, dimensions, reached = sub(command, at, at + 7), byte(command, at + 8), false
        at = at + 9
        for _ = 1, dimensions do
          reached = reached or reaches(command, at, total.spent)
          at = at + 9
        end
        if reached then
          local list = tolds[i] .. slot.told
          for p = 1, #list, 8 do
            if sub(list, p, p + 7) == fraction then reached = false end
          end
        end
        if reached then
          slot.told = slot.told .. fraction
          crossed = crossed .. string.char(i - 1, j - 1)
        end
      end
    end
  end
  n = n + 1
  results[n] = pack('<H', #crossed / 2) .. crossed
end

if large then return 'LARGE' end
if change then
  call('SET', KEYS[1], pack('<dd', version, due) .. epoch)
  for _, slot in ipairs(written_slots) do
    call('HSET', slot.key, slot.field, packed_spent(slot) .. packed_reserved(slot) .. pack('<d', slot.expires) .. slot.told)
  end
  -- Where a slot came, or has to live longer: those whose time is over go, and the key lives as long as its last.
  for name in pairs(longer) do
    local all, last = call('HGETALL', name), 0
    for i = 1, #all, 2 do
      local expires = unpack('<d', all[i + 1], 97)
      if expires <= now then call('HDEL', name, all[i]) elseif expires > last then last = expires end
    end
    if last > 0 and last < NEVER then call('PEXPIREAT', name, math.ceil(last / 1000)) end
  end
  for _, record in ipairs(written_records) do
    if record.is == HELD then
      local bytes = pack('<BB', HELD, record.on_expiry) .. record.amount .. record.slots
      if not record.lives then
        call('SET', record.key, bytes, 'KEEPTTL')
      elseif record.lives < NEVER then
        call('SET', record.key, bytes, 'PX', math.ceil((record.lives - now) / 1000))
      else
        call('SET', record.key, bytes)
      end
    elseif record.is == EXPIRED then
      call('SET', record.key, '\2\0' .. record.amount, 'PX', HOUR)
    else
      call('SET', record.key, '\3', 'PX', HOUR)
    end
  end
  for i = 1, #made, 2000 do
    call('ZADD', KEYS[2], spread(made, i, math.min(i + 1999, #made)))
  end
  for i = 1, #moved, 2000 do
    call('ZADD', KEYS[2], 'XX', spread(moved, i, math.min(i + 1999, #moved)))
  end
  for i = 1, #gone, 2000 do
    call('ZREM', KEYS[2], spread(gone, i, math.min(i + 1999, #gone)))
  end
end
return table.concat(results)
)lua";

}  // namespace outlay::detail
