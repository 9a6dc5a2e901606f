#pragma once

namespace outlay::detail {

/// What a batch of commands is on the server: one call, one atomic step. README.md beside this file describes the data.
///
///   KEYS: the meta key, the leases, then the records of ids and the counters, by whose number commands name them
///   ARGV: an epoch in case that there is none, then each command as RedisCodec packs it
///
/// Lua's numbers are doubles. Amounts take the whole range of int64, so each is a pair (lo, hi) = hi * 2^32 + lo, read from and written
/// as one little-endian int64; vectors of six such pairs are added pair by pair. Only the sign of a difference is ever taken from one
/// double: (hi - hi') * 2^32 + (lo - lo') is rounded once, which cannot change a sign. Times are whole microseconds below 2^53.
///
/// All reads and decisions come before the first write, and that is one that the server refuses when its memory is full: a call that
/// fails has changed nothing. Slots and records that several commands touch are read once and written once.
inline constexpr char redis_script[] = R"lua(
local call, pack, unpack, spread, sub, byte, floor = redis.call, struct.pack, struct.unpack, unpack, string.sub, string.byte, math.floor
local WORD, NEVER, HOUR = 4294967296, 9007199254740991, 3600000
local VECTOR = '<I4i4I4i4I4i4I4i4I4i4I4i4'
local PAIR = '<I4i4I4i4I4i4I4i4I4i4I4i4I4i4I4i4I4i4I4i4I4i4I4i4'
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

-- A slot is what it has spent (1..12) and reserved (13..24), its packed form while that is true, when it may be forgotten, and which
-- thresholds it has told.
local function slot_from(bytes)
  local slot
  if bytes then
    slot = {unpack(PAIR, bytes)}
    slot.expires, slot.told, slot.packed = unpack('<d', bytes, 97), sub(bytes, 105), sub(bytes, 1, 96)
  else
    slot = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
    slot.expires, slot.told = 0, ''
  end
  return slot
end
local function slot_of(key, field)
  local counter = counters[key]
  if not counter then
    counter = {}
    counters[key] = counter
  end
  local slot = counter[field]
  if not slot then
    slot = slot_from(not counter.all and call('HGET', key, field))
    counter[field] = slot
  end
  return slot
end

-- What is to be added to a slot: to spent (1..12), to reserved (13..24).
local d = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
local function add(slot, key, field)
  for k = 1, 23, 2 do
    local dlo, dhi = d[k], d[k + 1]
    if dlo ~= 0 or dhi ~= 0 then
      local lo, hi = slot[k] + dlo, slot[k + 1] + dhi
      if lo >= WORD then lo, hi = lo - WORD, hi + 1 elseif lo < 0 then lo, hi = lo + WORD, hi - 1 end
      -- Less than nothing reserved: the slot was forgotten, and with it what was reserved there.
      if hi < 0 and k > 12 then lo, hi = 0, 0 end
      slot[k], slot[k + 1] = lo, hi
    end
  end
  slot.packed = nil
  if not slot.field then
    slot.key, slot.field = key, field
    written_slots[#written_slots + 1] = slot
  end
end
local function packed(slot)
  local bytes = slot.packed
  if not bytes then
    bytes = pack(PAIR, spread(slot, 1, 24))
    slot.packed = bytes
  end
  return bytes
end

-- Records of ids by key: what they are, and where held or charged at their expiry, how much (1..12).
local records, written_records = {}, {}
local function record_from(bytes)
  if not bytes then return {is = 0} end
  local record, is = nil, byte(bytes)
  if is == OVER then record = {} else record = {unpack(VECTOR, bytes, 3)} end
  record.is, record.on_expiry, record.slots = is, byte(bytes, 2), sub(bytes, 51)
  return record
end
local function write_record(key, record)
  if not record.key then
    record.key = key
    written_records[#written_records + 1] = record
  end
end

local gone, more = {}, 0
if due <= now then
  change = true
  local ids = call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 64, 'WITHSCORES')
  for i = 1, #ids, 2 do
    local key = sub(KEYS[1], 1, -5) .. 'id:' .. ids[i]
    local record = record_from(call('GET', key))
    if record.is == HELD then
      local charge = record.on_expiry == 0
      record[11], record[12], d[23], d[24] = 0, 0, -record[11], -record[12]
      for k = 1, 10 do
        d[k + 12] = -record[k]
        if not charge then record[k] = 0 end
        d[k] = record[k]
      end
      local at, name, field = 1, nil, nil
      while at <= #record.slots do
        name, field, at = unpack('<Hc0Bc0', record.slots, at)
        local slot = slot_of(name, field)
        if slot.expires > 0 then add(slot, name, field) end  -- else it was forgotten
      end
      record.is, record.slots = EXPIRED, ''
      records[key] = record
      write_record(key, record)
      version = version + 1
    end
    gone[#gone + 1] = ids[i]
  end
  local first = call('ZRANGE', KEYS[2], #gone, #gone, 'WITHSCORES')
  due = first[2] and tonumber(first[2]) or NEVER
  if due <= now then more = 1 end
end

local made, moved, longer, results = {}, {}, {}, {pack('<Bd', more, now), epoch}
for number = 2, #ARGV do
  local command, amount = ARGV[number], {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
  local op, on_expiry, lease, lives, id, at, count
  op, on_expiry, lease, lives, id, amount[1], amount[2], amount[3], amount[4], amount[5], amount[6], amount[7], amount[8],
    amount[9], amount[10], amount[11], amount[12], count, at = unpack('<BBddHI4i4I4i4I4i4I4i4I4i4I4i4H', command)

  local outcome, changes, record, key = DONE, false, nil, KEYS[id]
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
    record = records[key]
    if not record then
      record = record_from(call('GET', key))
      records[key] = record
    end
    local is = record.is
    for k = 1, 24 do d[k] = 0 end
    if op == RESERVE then
      if is == 0 then
        changes = true
        for k = 1, 12 do d[k + 12] = amount[k] end
      elseif is ~= HELD then
        outcome = ENDED
      end
    elseif op == EXTEND then
      if is == HELD then
        for k = 1, 11, 2 do
          local lo, hi = amount[k] - record[k], amount[k + 1] - record[k + 1]
          if hi * WORD + lo > 0 then d[k + 12], d[k + 13], changes = lo, hi, true end
        end
      else
        outcome = ENDED
      end
    elseif is == OVER then
      outcome = ENDED
    else
      changes = true
      if op ~= RELEASE then
        for k = 1, 12 do d[k] = amount[k] end
      end
      if is == HELD then
        for k = 1, 12 do d[k + 12] = -record[k] end
      elseif is == EXPIRED then
        for k = 1, 12 do d[k] = d[k] - record[k] end
      end
    end
  end

  -- First look at every counter, then change every one.
  local asks = op == RESERVE or op == EXTEND
  local seen, crossed = {}, ''
  for i = 1, count do
    local field, first, last, from, expires, room, marks, limits, index
    index, field, first, last, from, expires, room, marks, limits, at = unpack('<HBc0ddddBBB', command, at)
    local name = KEYS[index]
    local slot, others, told
    if from ~= first or now >= last then
      -- A rolling window, or one that is over: other slots may count too.
      local counter = counters[name]
      if not (counter and counter.all) then
        counter = counter or {}
        counters[name] = counter
        local all = call('HGETALL', name)
        for j = 1, #all, 2 do
          counter[all[j]] = counter[all[j]] or slot_from(all[j + 1])
        end
        counter.all = true
      end
      others, told = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ''
      for f, its in pairs(counter) do
        if f ~= field and f ~= 'all' and tonumber(f) >= from then
          for k = 1, 24 do others[k] = others[k] + its[k] end
          told = told .. its.told
        end
      end
      for k = 1, 23, 2 do
        local carry = floor(others[k] / WORD)
        others[k], others[k + 1] = others[k] - carry * WORD, others[k + 1] + carry
      end
    end
    slot = slot_of(name, field)
    local from_limits = at
    if changes then
      if op == RESERVE and (now < first or now >= last) then outcome = TURNED end
      for k = 1, 11, 2 do
        local hi, rhi = slot[k + 1] + d[k + 1], slot[k + 13] + d[k + 13]
        if others then hi, rhi = hi + others[k + 1], rhi + others[k + 13] end
        if hi < -1073741824 or hi + rhi > 1073741823 then
          -- Near the ends of the range: spent and reserved together stay within it.
          local lo, rlo = slot[k] + d[k], slot[k + 12] + d[k + 12]
          if others then lo, rlo = lo + others[k], rlo + others[k + 12] end
          if (hi + 2147483648) * WORD + lo < 0 or (2147483647 - hi - rhi) * WORD + (WORD - 1 - lo - rlo) < 0 then
            if outcome == DONE then outcome = asks and REFUSED or OVERFLOW end
          end
        end
      end
    end
    for _ = 1, limits do
      local k, lo, hi
      k, lo, hi, at = unpack('<BI4i4', command, at)
      local dlo, dhi = d[k + 12], d[k + 13]
      if asks and changes and room < 2 and dhi * WORD + dlo > 0 then
        -- Room::fits: the limit is not passed after it. Room::below: it is not reached before it.
        lo, hi = lo - slot[k] - slot[k + 12], hi - slot[k + 1] - slot[k + 13]
        if others then lo, hi = lo - others[k] - others[k + 12], hi - others[k + 1] - others[k + 13] end
        if room == 1 and hi * WORD + lo <= 0 or room == 0 and (hi - dhi) * WORD + (lo - dlo) < 0 then
          if outcome == DONE then outcome = REFUSED end
        end
      end
    end
    local from_marks = at
    for _ = 1, marks do
      local n = byte(command, at + 8)
      at = at + 9 + 9 * n
    end
    seen[i] = {slot, name, field, others, told, expires, marks, from_marks}
  end
  changes = changes and outcome == DONE

  if changes then
    change, version = true, version + 1
    if op == RESERVE then
      for k = 1, 12 do record[k] = amount[k] end
      record.is, record.on_expiry, record.lives, record.slots = HELD, on_expiry, lives, sub(command, at)
      made[#made + 1] = now + lease
      made[#made + 1] = sub(key, -32)
      if now + lease < due then due = now + lease end
    elseif op == EXTEND then
      for k = 1, 11, 2 do
        if d[k + 12] ~= 0 or d[k + 13] ~= 0 then record[k], record[k + 1] = amount[k], amount[k + 1] end
      end
    else
      if record.is == HELD then gone[#gone + 1] = sub(key, -32) end
      record.is = OVER
    end
    write_record(key, record)
  end
  local result = {pack('<Bd', outcome, version)}
  for i = 1, count do
    local slot, name, field, others, told, expires, marks, from_marks = spread(seen[i], 1, 8)
    if changes then
      add(slot, name, field)
      if slot.expires < expires then
        slot.expires = expires
        longer[name] = true
      end
    end
    local total = slot
    if others then
      for k = 1, 23, 2 do
        local lo, hi = others[k] + slot[k], others[k + 1] + slot[k + 1]
        if lo >= WORD then lo, hi = lo - WORD, hi + 1 end
        others[k], others[k + 1] = lo, hi
      end
      total = others
    end
    result[i + 1] = packed(total)
    if changes and not asks and op ~= RELEASE then
      at = from_marks
      for j = 1, marks do
        local fraction, n, reached = sub(command, at, at + 7), byte(command, at + 8), false
        at = at + 9
        for _ = 1, n do
          local k, lo, hi
          k, lo, hi, at = unpack('<BI4i4', command, at)
          if (total[k + 1] - hi) * WORD + (total[k] - lo) >= 0 then reached = true end
        end
        if reached then
          local list = (told or '') .. slot.told
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
  results[#results + 1] = table.concat(result)
  results[#results + 1] = pack('<H', #crossed / 2) .. crossed
end

if change then
  call('SET', KEYS[1], pack('<dd', version, due) .. epoch)
  for _, slot in ipairs(written_slots) do
    call('HSET', slot.key, slot.field, packed(slot) .. pack('<d', slot.expires) .. slot.told)
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
      local bytes = pack('<BB', HELD, record.on_expiry) .. pack(VECTOR, spread(record, 1, 12)) .. record.slots
      if not record.lives then
        call('SET', record.key, bytes, 'KEEPTTL')
      elseif record.lives < NEVER then
        call('SET', record.key, bytes, 'PX', math.ceil((record.lives - now) / 1000))
      else
        call('SET', record.key, bytes)
      end
    elseif record.is == EXPIRED then
      call('SET', record.key, pack('<BB', EXPIRED, 0) .. pack(VECTOR, spread(record, 1, 12)), 'PX', HOUR)
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
