#pragma once

namespace outlay::detail {

/// What one command is on the server: one call, one atomic step. README.md beside this file describes the data.
///
///   KEYS: the meta key, the leases, [the id's record], the counters
///   ARGV: the command, an epoch in case that there is none, the end of the id's record, the counters (renew: the ids instead)
///
/// Lua's numbers are doubles. Amounts take the whole range of int64, so each is a pair (lo, hi) = hi * 2^32 + lo, read from and written
/// as one little-endian int64; vectors of six such pairs are added pair by pair. Only the sign of a difference is ever taken from one
/// double: (hi - hi') * 2^32 + (lo - lo') is rounded once, which cannot change a sign. Times are whole microseconds below 2^53.
///
/// Reads come before writes, so that a command that fails changes nothing; and the first write is one that the server refuses when its
/// memory is full.
inline constexpr char redis_script[] = R"lua(
local call, pack, unpack, spread, sub = redis.call, struct.pack, struct.unpack, unpack, string.sub
local WORD, NEVER, HOUR = 4294967296, 9007199254740991, 3600000
local VECTOR = '<I4i4I4i4I4i4I4i4I4i4I4i4'
local PAIR = '<I4i4I4i4I4i4I4i4I4i4I4i4I4i4I4i4I4i4I4i4I4i4I4i4'
local NO_SLOT = string.rep('\0', 104)

local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]

local version, due, epoch = 0, 0, ARGV[2]
local meta = call('GET', KEYS[1])
if meta then
  version, due = unpack('<dd', meta)
  epoch = sub(meta, 17)
end
local function remember()
  version = version + 1
  call('SET', KEYS[1], pack('<dd', version, due) .. epoch)
end

-- What is to be added to spent (1..12) and reserved (13..24) of each counter.
local d = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

-- A slot's vectors with that added, and whether they are near the ends of their range.
local function advance(slot)
  local v, large = {unpack(PAIR, slot)}, false
  for k = 1, 23, 2 do
    local lo, hi = v[k] + d[k], v[k + 1] + d[k + 1]
    if lo >= WORD then lo, hi = lo - WORD, hi + 1 elseif lo < 0 then lo, hi = lo + WORD, hi - 1 end
    if k > 12 then
      -- Less than nothing: the slot was forgotten, and with it what was reserved there.
      if hi < 0 then lo, hi = 0, 0 end
      if hi + v[k - 11] > 1073741823 then large = true end
    elseif hi < -1073741824 then
      large = true
    end
    v[k], v[k + 1] = lo, hi
  end
  return v, large
end

-- After a slot has come into a counter, or has to live longer: those whose time is over go, and the key lives as long as its last.
local function keep(key, field, expires)
  local all = call('HGETALL', key)
  for i = 1, #all, 2 do
    if all[i] ~= field then
      local its = unpack('<d', all[i + 1], 97)
      if its <= now then call('HDEL', key, all[i]) elseif its > expires then expires = its end
    end
  end
  if expires < NEVER then call('PEXPIREAT', key, math.ceil(expires / 1000)) end
end

local more = 0
if due <= now then
  remember()
  for _, id in ipairs(call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 64)) do
    local key = sub(KEYS[1], 1, -5) .. 'id:' .. id
    local record = call('GET', key)
    if record and string.byte(record) == 1 then
      local charge, held = string.byte(record, 2) == 0, {unpack(VECTOR, record, 3)}
      for k = 1, 12 do
        d[k], d[k + 12] = (charge and k < 11) and held[k] or 0, -held[k]
      end
      local at, name, field = 51, nil, nil
      while at <= #record do
        name, field, at = unpack('<Hc0Bc0', record, at)
        local slot = call('HGET', name, field)
        if slot then call('HSET', name, field, pack(PAIR, spread((advance(slot)), 1, 24)) .. sub(slot, 97)) end
      end
      call('SET', key, '\2\0' .. pack(VECTOR, spread(d, 1, 12)), 'PX', HOUR)
    end
    call('ZREM', KEYS[2], id)
  end
  local first = call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  due = first[2] and tonumber(first[2]) or NEVER
  if due <= now then more = 1 end
  remember()
  for k = 1, 24 do d[k] = 0 end
elseif not meta then
  remember()
end

local op, on_expiry, lease, lives = unpack('<BBdd', ARGV[1])
local RESERVE, EXTEND, SETTLE, RELEASE, RENEW, ADJUST, SNAPSHOT = 0, 1, 2, 3, 4, 5, 6
local DONE, REFUSED, TURNED, ENDED = 0, 1, 2, 3

if op == RENEW then
  if now + lease < due then due = now + lease end
  remember()
  local moved = {'ZADD', KEYS[2], 'XX'}
  for i = 4, #ARGV do
    moved[#moved + 1] = now + lease
    moved[#moved + 1] = ARGV[i]
  end
  call(spread(moved))
  return pack('<BBdd', DONE, more, now, version) .. epoch
end

local outcome, change, base, record, held = DONE, false, 2, nil, nil
if op ~= SNAPSHOT then
  base = 3
  record = call('GET', KEYS[3])
  -- Unknown (0), held (1), expired (2) or ended (3).
  local is = record and string.byte(record) or 0
  local amount = {unpack(VECTOR, ARGV[1], 19)}
  if is == 1 or is == 2 then held = {unpack(VECTOR, record, 3)} end
  if op == RESERVE then
    if is == 0 then
      change = true
      for k = 1, 12 do d[k + 12] = amount[k] end
    elseif is > 1 then
      outcome = ENDED
    end
  elseif op == EXTEND then
    if is == 1 then
      for k = 1, 11, 2 do
        if (amount[k + 1] - held[k + 1]) * WORD + (amount[k] - held[k]) > 0 then
          change = true
          d[k + 12], d[k + 13] = amount[k] - held[k], amount[k + 1] - held[k + 1]
          held[k], held[k + 1] = amount[k], amount[k + 1]
        end
      end
    else
      outcome = ENDED
    end
  elseif is == 3 then
    outcome = ENDED
  else
    change = true
    if op ~= RELEASE then
      for k = 1, 12 do d[k] = amount[k] end
    end
    if is == 1 then
      for k = 1, 12 do d[k + 12] = -held[k] end
    elseif is == 2 then
      for k = 1, 12 do d[k] = d[k] - held[k] end
    end
  end
end

local asks, tells = change and (op == RESERVE or op == EXTEND), change and (op == SETTLE or op == ADJUST)
local fields, slots, before, after, crossed = {}, {}, {}, {}, ''
local longer = {}
for i = 1, #KEYS - base do
  local key, counter = KEYS[base + i], ARGV[3 + i]
  local field, first, last, from, expires, room, marks, limits, at = unpack('<Bc0ddddBBB', counter)
  local slot, others, fired = nil, nil, ''
  if from == first and now < last then
    slot = call('HGET', key, field)
  else
    -- A rolling window, or one that is over: other slots may count too.
    local all = call('HGETALL', key)
    for j = 1, #all, 2 do
      if all[j] == field then
        slot = all[j + 1]
      elseif tonumber(all[j]) >= from then
        if not others then others = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} end
        local v = {unpack(PAIR, all[j + 1])}
        for k = 1, 24 do others[k] = others[k] + v[k] end
        fired = fired .. sub(all[j + 1], 105)
      end
    end
    if others then
      for k = 1, 23, 2 do
        local carry = math.floor(others[k] / WORD)
        others[k], others[k + 1] = others[k] - carry * WORD, others[k + 1] + carry
      end
    end
  end
  slot = slot or NO_SLOT
  before[i] = sub(slot, 1, 96)
  if others then
    local saved = d
    d = others
    before[i] = pack(PAIR, spread((advance(slot)), 1, 24))
    d = saved
  end
  if change then
    if op == RESERVE and (now < first or now >= last) then outcome = TURNED end
    local v, large = advance(slot)
    local t = v
    local packed = pack(PAIR, spread(v, 1, 24))
    after[i] = packed
    if others then
      local saved = d
      d = others
      t, large = advance(packed)
      d = saved
      after[i] = pack(PAIR, spread(t, 1, 24))
    end
    if large then
      for k = 1, 11, 2 do
        if t[k + 1] < -2147483648 or (2147483647 - t[k + 1] - t[k + 13]) * WORD + (WORD - 1 - t[k] - t[k + 12]) < 0 then
          if not asks then return redis.error_reply('OVERFLOW') end
          if outcome == DONE then outcome = REFUSED end
        end
      end
    end
    for _ = 1, limits do
      local k, lo, hi
      k, lo, hi, at = unpack('<BI4i4', counter, at)
      local dlo, dhi = d[k + 12], d[k + 13]
      if asks and room < 2 and dhi * WORD + dlo > 0 then
        -- Room::fits: the limit is not passed after it. Room::below: it was not reached before it.
        hi, lo = hi - t[k + 1] - t[k + 13], lo - t[k] - t[k + 12]
        if room == 0 and hi * WORD + lo < 0 or room == 1 and (hi + dhi) * WORD + (lo + dlo) <= 0 then
          if outcome == DONE then outcome = REFUSED end
        end
      end
    end
    local tail = sub(slot, 105)
    if tells then
      for j = 1, marks do
        local fraction, count, reached = nil, nil, false
        fraction, count, at = unpack('<c8B', counter, at)
        for _ = 1, count do
          local k, lo, hi
          k, lo, hi, at = unpack('<BI4i4', counter, at)
          if (t[k + 1] - hi) * WORD + (t[k] - lo) >= 0 then reached = true end
        end
        local told = fired .. tail
        for p = 1, reached and #told or 0, 8 do
          if sub(told, p, p + 7) == fraction then reached = false end
        end
        if reached then
          tail = tail .. fraction
          crossed = crossed .. string.char(i - 1, j - 1)
        end
      end
    end
    local lived = sub(slot, 97, 104)
    if unpack('<d', lived) < expires then
      lived = pack('<d', expires)
      longer[i] = expires
    end
    fields[i], slots[i] = field, packed .. lived .. tail
  end
end

if change and outcome == DONE then
  local deadline = now + lease
  if op == RESERVE and deadline < due then due = deadline end
  remember()
  for i = 1, #slots do
    call('HSET', KEYS[base + i], fields[i], slots[i])
    if longer[i] then keep(KEYS[base + i], fields[i], longer[i]) end
  end
  if op == RESERVE then
    local made = pack('<BB', 1, on_expiry) .. sub(ARGV[1], 19) .. ARGV[3]
    if lives < NEVER then
      call('SET', KEYS[3], made, 'PX', math.ceil((lives - now) / 1000))
    else
      call('SET', KEYS[3], made)
    end
    call('ZADD', KEYS[2], deadline, sub(KEYS[3], -32))
  elseif op == EXTEND then
    call('SET', KEYS[3], sub(record, 1, 2) .. pack(VECTOR, spread(held, 1, 12)) .. sub(record, 51), 'KEEPTTL')
  else
    call('SET', KEYS[3], '\3', 'PX', HOUR)
    if held then call('ZREM', KEYS[2], sub(KEYS[3], -32)) end
  end
else
  after, crossed = before, ''
end
return pack('<BBdd', outcome, more, now, version) .. epoch .. table.concat(after) .. crossed
)lua";

}  // namespace outlay::detail
