#include "redis/script.hpp"

namespace outlay::detail {

const char redis_script[] = R"lua(
local call, spread, sub, byte, char = redis.call, _G.unpack, string.sub, string.byte, string.char
local NEVER, HOUR, SMALL = 9007199254740991, 3600000000, 4398046511104
local DETACHED, CHARGED = 2, 4  -- the flags of a hold, beside what its expiry means
local LATE, LATE_DETACHED = 48 * HOUR, 168 * HOUR  -- how long what ends a call may come after its lease
local RESERVE, EXTEND, SETTLE, RELEASE, RENEW, ADJUST, SNAPSHOT, SET_CAP, LIST_CAPS = 0, 1, 2, 3, 4, 5, 6, 7, 8
local DONE, REFUSED, TURNED, ENDED, OVERFLOW, CHANGED, CROSSED = 0, 1, 2, 3, 4, 16, 32
local HELD, EXPIRED, OVER = 1, 2, 3
local NO_LIFE = string.rep(char(0), 8)
local META, LEASES, HOLDS, CAPS, CORRECTIONS, FIRST_COUNTER = KEYS[1], KEYS[2], KEYS[3], KEYS[7], KEYS[8], 9

local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]
local version, due, last_hour, epoch, change = 0, 0, 0, ARGV[1], true
local meta = call('GET', META)
if meta then
  version, due, last_hour = unpack('<ddd', meta)
  epoch, change = sub(meta, 25), false
end
-- Three hashes take turns: ids that ended in this hour, in the one before, and what is deleted at the next turn.
local hour = math.floor(now / HOUR)
local ended_now, ended_before = KEYS[4 + hour % 3], KEYS[4 + (hour - 1) % 3]

-- Counters that were looked at: slots by field; `all` where every slot is there.
local counters, written_slots = {}, {}

-- A slot: what it has spent and reserved, and both packed while they are unchanged; when it may be forgotten; the thresholds it told.
local function slot_from(bytes, at_most)
  if not bytes then return {spent = zero(), reserved = zero(), expires = 0, told = ''} end
  return {spent = read(bytes, 1, at_most), reserved = read(bytes, 49, at_most), expires = (unpack('<d', bytes, 97)), told = sub(bytes, 105),
    packed_spent = sub(bytes, 1, 48), packed_held = sub(bytes, 49, 96)}
end
local function slot_of(key, field)
  local counter = counters[key] or {}
  counters[key] = counter
  local slot = counter[field]
  if not slot then
    slot = slot_from(not counter.all and call('HGET', key, field), LARGE)
    slot.key, slot.field = key, field
    counter[field] = slot
  end
  return slot
end
-- What the running calls of a counter's name hold, in whatever slot they began, is kept as a slot of its own; what it told is its life.
local function in_flight_of(key)
  return slot_of(key, 'in_flight')
end
local function change_slot(slot, more_spent, less_spent, more_held, less_held)
  if more_spent or less_spent then
    if more_spent then add(slot.spent, more_spent) end
    if less_spent then subtract(slot.spent, less_spent) end
    slot.packed_spent = nil
  end
  if more_held or less_held then
    if more_held then add(slot.reserved, more_held) end
    if less_held then
      subtract(slot.reserved, less_held)
      raise_to_zero(slot.reserved)  -- the slot was forgotten, and with it what was reserved in it
    end
    slot.packed_held = nil
    local running = in_flight_of(slot.key)
    if running ~= slot then change_slot(running, nil, nil, more_held, less_held) end
  end
  if not slot.written then
    slot.written = true
    written_slots[#written_slots + 1] = slot
  end
end
local function packed_spent(slot) slot.packed_spent = slot.packed_spent or write(slot.spent) return slot.packed_spent end
local function packed_held(slot) slot.packed_held = slot.packed_held or write(slot.reserved) return slot.packed_held end

-- The commands that write. Of renewed leases only the arguments, since they may have to be several commands.
local holds, ended, made, moved, gone = {'HSET', HOLDS}, {'HSET', ended_now}, {'ZADD', LEASES}, {}, {'ZREM', LEASES}
local corrections = {'ZADD', CORRECTIONS}

-- Records of ids: what they are; how much is held, or was charged at their expiry, packed; the slots of a reservation.
local records = {}
local function held_record(bytes)
  local flags = byte(bytes, 1)
  return {is = flags < CHARGED and HELD or EXPIRED, on_expiry = flags, amount = sub(bytes, 2, 49), slots = sub(bytes, 50)}
end

local more, expired = 0, {}
if due <= now then
  change = true
  local ids, earliest = call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, 64), NEVER
  for i, id in ipairs(ids) do
    local bytes = call('HGET', HOLDS, id)
    local record = bytes and held_record(bytes)
    if record and record.is == HELD then
      local held, charged, at, name, field = read(record.amount, 1, SMALL), nil, 1, nil, nil
      if record.on_expiry % 2 == 0 then
        charged = read(record.amount, 1, SMALL)
        set_zero(charged, 6)
      end
      record.is, record.amount = EXPIRED, write(charged or zero())
      while at <= #record.slots do
        name, field, at = unpack('<Hc0Bc0', record.slots, at)
        local slot, running = slot_of(name, field), in_flight_of(name)
        if slot.expires > 0 then
          change_slot(slot, charged, nil, nil, held)
          expired[#expired + 1] = pack('<Hc0', #name, name) .. record.amount
        elseif running.told ~= '' then  -- the slot alone was forgotten
          change_slot(running, nil, nil, nil, held)
        end
      end
      records[id] = record
      local late = now + (record.on_expiry >= DETACHED and LATE_DETACHED or LATE)
      holds[#holds + 1], holds[#holds + 2] = id, char(record.on_expiry + CHARGED) .. record.amount .. record.slots
      made[#made + 1], made[#made + 2] = string.format('%.0f', late), id
      version, earliest = version + 1, math.min(earliest, late)
    else
      gone[#gone + 1] = id
    end
  end
  local first = call('ZRANGE', LEASES, #ids, #ids, 'WITHSCORES')
  due = math.min(first[2] and tonumber(first[2]) or NEVER, earliest)
  if due <= now then more = 1 end
end

-- The ids of all commands, looked up together.
local command_count = byte(ARGV[2]) + 256 * byte(ARGV[2], 2)
local last_command = 2 + command_count
local ids, unheld = {}, {}
for number = 3, last_command do
  if byte(ARGV[number], 4) == 1 then ids[#ids + 1] = sub(ARGV[number], 13, 44) end
end
if #ids > 0 then
  for i, bytes in ipairs(call('HMGET', HOLDS, spread(ids))) do
    local id = ids[i]
    if bytes and not records[id] then records[id] = held_record(bytes)
    elseif not records[id] then unheld[#unheld + 1] = id end
  end
end
if #unheld > 0 then
  local over, over_before = call('HMGET', ended_now, spread(unheld)), call('HMGET', ended_before, spread(unheld))
  -- Where the clock was put back, some have ended in an hour to come.
  local over_ahead = last_hour > hour and call('HMGET', KEYS[4 + (hour + 1) % 3], spread(unheld)) or {}
  for i, id in ipairs(unheld) do
    local bytes = over[i] or over_before[i] or over_ahead[i]
    records[id] = {is = bytes and OVER or 0, on_expiry = 0, amount = bytes or '', slots = ''}
  end
end

-- The caps that operators have set, by the counter's key: until when, since when, the limits, then what the script does not look at.
local any_cap_set, set_caps = call('EXISTS', CAPS) == 1, {}
local function set_cap_of(name)
  local cap = set_caps[name]
  if not cap then
    cap = {limits = {}, packed = char(0), whole = char(0)}
    local bytes = any_cap_set and call('HGET', CAPS, name)
    if bytes and unpack('<d', bytes) > now then
      local count = byte(bytes, 17)
      for i = 1, count do cap.limits[i] = limit_at(bytes, 9 + 9 * i) end
      cap.packed = sub(bytes, 17, 17 + 9 * count)
      cap.whole = sub(bytes, 1, 8) .. cap.packed
    end
    set_caps[name] = cap
  end
  return cap
end

-- The slots that the commands refer to, and their limits.
local places = {}
for number = last_command + 1, #ARGV do
  local packed = ARGV[number]
  local place = {limits = {}, marks = {}}
  local index, limits, marks, at
  index, place.field, place.first, place.last, place.from, place.to, place.expires, place.room, marks, limits, at =
    unpack('<HBc0dddddBBB', packed)
  place.name = KEYS[FIRST_COUNTER + index]
  for i = 1, limits do
    place.limits[i] = limit_at(packed, at)
    at = at + 9
  end
  place.set_cap = set_cap_of(place.name)
  for _, set in ipairs(place.set_cap.limits) do
    local at_set = #place.limits + 1
    for i, limit in ipairs(place.limits) do
      if limit.number == set.number then at_set = i end
    end
    place.limits[at_set] = set
  end
  for i = 1, marks do
    local mark, dimensions = {}, byte(packed, at)
    at = at + 1
    for k = 1, dimensions do
      mark[k] = limit_at(packed, at)
      mark[k].amount = sub(packed, at, at + 8)
      at = at + 9
    end
    place.marks[i] = mark
  end
  -- In a rolling window other slots count too.
  place.alone = place.from == place.to
  if not place.alone and not (counters[place.name] and counters[place.name].all) then
    local counter = counters[place.name] or {}
    counters[place.name] = counter
    local all = call('HGETALL', place.name)
    for i = 1, #all, 2 do
      if not counter[all[i]] then
        local slot = slot_from(all[i + 1], SMALL)
        slot.key, slot.field = place.name, all[i]
        counter[all[i]] = slot
      end
    end
    counter.all = true
  end
  place.slot = slot_of(place.name, place.field)
  place.reference = pack('<Hc0Bc0', #place.name, place.name, #place.field, place.field)
  places[number - last_command] = place
end
-- The i-th place that a command refers to.
local function place_of(command, i)
  local lo, hi = byte(command, 91 + 2 * i, 92 + 2 * i)
  return places[lo + 256 * hi]
end
local function counts_at(place, field)
  local begin = tonumber(field)
  return begin and begin >= place.from and begin <= place.to
end
-- The sums of the other slots that count at a place, and the amounts that these have told.
local function others_at(place)
  local others, told = {spent = zero(), reserved = zero()}, ''
  for field, slot in pairs(counters[place.name]) do
    if field ~= place.field and counts_at(place, field) then
      add(others.spent, slot.spent)
      add(others.reserved, slot.reserved)
      told = told .. slot.told
    end
  end
  return others, told
end
-- Whether a limit at a place has no room for what is asked. Calls in flight count in whatever slot they began.
local function passes(place, limit, slot, others, asked)
  if limit.number == 6 then return passes_limit(limit, in_flight_of(place.name), nil, asked, place.room == 1) end
  return passes_limit(limit, slot, others, asked, place.room == 1)
end
-- Of a place without room for what is asked: when so many of the oldest slots will count no more that it fits; 0 where that never is.
local function fits_at(place, asked)
  if place.alone or place.room == 2 or place.last >= NEVER then return 0 end
  local slots, rest = {}, others_at(place)
  add(rest.spent, place.slot.spent)
  add(rest.reserved, place.slot.reserved)
  local function blocked()
    for _, limit in ipairs(place.limits) do
      if passes(place, limit, rest, nil, asked) then return true end
    end
    return false
  end
  if not blocked() then return 0 end
  for field in pairs(counters[place.name]) do
    if counts_at(place, field) then slots[#slots + 1] = field end
  end
  table.sort(slots, function(a, b) return tonumber(a) < tonumber(b) end)
  for _, field in ipairs(slots) do
    subtract(rest.spent, counters[place.name][field].spent)
    subtract(rest.reserved, counters[place.name][field].reserved)
    if not blocked() then return tonumber(field) + place.last - place.from end
  end
  return 0
end

local longer, deadlines, first_version = {}, {}, version
local results, n = {'', epoch}, 2
for number = 3, last_command do
  local command = ARGV[number]
  local op, on_expiry, count, has_id = byte(command, 1, 4)
  local id, outcome, changes, record = sub(command, 13, 44), DONE, false, nil
  local more_spent, less_spent, more_held, less_held
  if has_id == 1 then
    record = records[id]
    local is = record.is
    if op == RESERVE then
      if is == 0 then changes, more_held = true, read(command, 45, SMALL)
      elseif is ~= HELD then outcome = ENDED end
    elseif op == EXTEND then
      if is == HELD then
        changes, more_held = true, read(command, 45, SMALL)
        subtract(more_held, read(record.amount, 1, SMALL))
        raise_to_zero(more_held)
      else
        outcome = ENDED
      end
    elseif is == OVER or is == 0 and on_expiry >= DETACHED or
      op == ADJUST and tonumber(call('ZSCORE', CORRECTIONS, id) or 0) > now then
      outcome = ENDED
    else
      changes = true
      if op ~= RELEASE then more_spent = read(command, 45, SMALL) end
      if is == HELD then
        less_held = read(record.amount, 1, SMALL)
      elseif is == EXPIRED then
        less_spent = read(record.amount, 1, SMALL)
      end
    end
  elseif op == RENEW and #command > 92 then  -- what has expired stays as it is: its end is still to come
    local lease, named = unpack('<d', command, 5), {}
    for at = 93, #command, 32 do named[#named + 1] = sub(command, at, at + 31) end
    for i, bytes in ipairs(call('HMGET', HOLDS, spread(named))) do
      local record = records[named[i]] or bytes and held_record(bytes)
      if record and record.is == HELD then moved[#moved + 1], moved[#moved + 2] = string.format('%.0f', now + lease), named[i] end
    end
    if now + lease < due then due = now + lease end
    change = true
  end

  local listed = ''
  if op == SET_CAP then
    local place, at = place_of(command, 1), 96 + byte(command, 95)
    local name, value = place.name, sub(command, at)
    if at > 96 and sub(command, 96, at - 1) ~= set_cap_of(name).whole then
      outcome = REFUSED
    else
      if byte(value, 17) == 0 then call('HDEL', CAPS, name)
      else call('HSET', CAPS, name, sub(value, 1, 8) .. pack('<d', now) .. sub(value, 17)) end
      any_cap_set, set_caps[name], change, version = true, nil, true, version + 1
    end
    place.set_cap = set_cap_of(name)
  elseif op == LIST_CAPS then
    local all, kept = call('HGETALL', CAPS), {}
    for i = 2, #all, 2 do
      if unpack('<d', all[i]) > now then kept[#kept + 1] = pack('<H', #all[i]) .. all[i] end
    end
    listed = pack('<H', #kept) .. table.concat(kept)
  end

  -- Every counter is checked before any is changed.
  if changes then
    for i = 1, count do
      local place = place_of(command, i)
      local slot, others = place.slot, nil
      if not place.alone then others = others_at(place) end
      if passes_range and passes_range(slot, others, more_spent, less_spent, more_held, less_held) and outcome == DONE then
        outcome = more_held and REFUSED or OVERFLOW
      end
      if more_held then
        if place.room < 2 then
          for _, limit in ipairs(place.limits) do
            if passes(place, limit, slot, others, more_held) and outcome == DONE then outcome = REFUSED end
          end
        end
        if op == RESERVE and place.last < NEVER and (now < place.first or now >= place.last) then outcome = TURNED end
      end
    end
    changes = outcome == DONE
  end

  if changes then
    change, version = true, version + 1
    if op == RESERVE then
      local slots = ''
      for i = 1, count do
        slots = slots .. place_of(command, i).reference
      end
      local lease = sub(command, 5, 12)
      local deadline = deadlines[lease]
      if not deadline then
        local time = now + unpack('<d', lease)
        due = math.min(due, time)
        deadline = string.format('%.0f', time)
        deadlines[lease] = deadline
      end
      record.is, record.on_expiry, record.amount, record.slots = HELD, on_expiry, sub(command, 45, 92), slots
      holds[#holds + 1], holds[#holds + 2] = id, char(on_expiry) .. record.amount .. slots
      made[#made + 1], made[#made + 2] = deadline, id
    elseif op == EXTEND then
      local held = read(record.amount, 1, SMALL)
      add(held, more_held)
      record.amount = write(held)
      holds[#holds + 1] = id
      holds[#holds + 1] = char(record.on_expiry) .. record.amount .. record.slots
    else
      if (record.slots or '') ~= '' then gone[#gone + 1] = id end
      record.is, record.amount = OVER, ''
      ended[#ended + 1], ended[#ended + 2] = id, ''
      local until_then = now + unpack('<d', command, 5)
      if op == ADJUST then corrections[#corrections + 1], corrections[#corrections + 2] = string.format('%.0f', until_then), id end
    end
  end
  n = n + 1
  local at, crossed, at_ended = n, '', #ended
  for i = 1, count do
    local place = place_of(command, i)
    local slot = place.slot
    if changes then
      change_slot(slot, more_spent, less_spent, more_held, less_held)
      local running = in_flight_of(place.name)
      if running.told == '' then
        running.told = pack('<d', version)
        change_slot(running)
      end
      if slot.expires < place.expires then
        slot.expires = place.expires
        longer[place.name] = true
      end
    end
    local total, told = slot, ''
    if not place.alone then
      local others
      others, told = others_at(place)
      add(others.spent, slot.spent)
      add(others.reserved, slot.reserved)
      total = others
    end
    local running = in_flight_of(place.name)
    local reserved = total.packed_held or packed_held(total)
    results[n + 1] = total.packed_spent or packed_spent(total)
    results[n + 2] = sub(reserved, 1, 40) .. sub(packed_held(running), 41)
    results[n + 3] = pack('<d', outcome == REFUSED and more_held and fits_at(place, more_held) or 0)
    results[n + 4] = running.told ~= '' and running.told or NO_LIFE
    results[n + 5] = place.set_cap.packed
    n = n + 5
    if changes and more_spent then
      for j, mark in ipairs(place.marks) do
        local list, reached, before = told .. slot.told, '', false
        for _, limit in ipairs(mark) do
          if reaches(limit, total.spent) then reached = reached .. limit.amount end
          for p = 1, #list, 9 do
            if sub(list, p, p + 8) == limit.amount then before = true end
          end
        end
        if reached ~= '' and not before then
          slot.told = slot.told .. reached
          crossed = crossed .. char(i - 1, j - 1)
        end
      end
    end
  end
  if changes or op == SET_CAP and outcome == DONE then outcome = outcome + CHANGED end
  -- What the end of an id crossed is told again when it is asked again: its answer may have been lost.
  if op == SETTLE and outcome % CHANGED == ENDED then
    crossed = sub(record.amount, 2)
  elseif op == SETTLE and crossed ~= '' then
    record.amount = char(0) .. crossed
    ended[at_ended] = record.amount
  end
  if crossed ~= '' then
    outcome = outcome + CROSSED
    n = n + 1
    results[n] = pack('<H', #crossed / 2) .. crossed
  end
  results[at] = char(outcome)
  if listed ~= '' then n, results[n + 1] = n + 1, listed end
end
results[1] = pack('<Bdd', more, now, first_version)

if large then return 'LARGE' end
if change then
  local turned, before = hour > last_hour and #ended > 2, last_hour
  if turned then last_hour = hour end
  call('SET', META, pack('<ddd', version, due, last_hour) .. epoch)
  if turned then
    call('UNLINK', ended_now)
    if before < hour - 1 then call('UNLINK', ended_before) end
  end
  for _, slot in ipairs(written_slots) do
    call('HSET', slot.key, slot.field, packed_spent(slot) .. packed_held(slot) .. pack('<d', slot.expires) .. slot.told)
  end
  -- Of each counter whose slots live longer now: slots whose time is over are deleted, and the key lives as long as its last slot.
  for name in pairs(longer) do
    local all, last = call('HGETALL', name), 0
    for i = 1, #all, 2 do
      local expires = unpack('<d', all[i + 1], 97)
      if all[i] == 'in_flight' then
      elseif expires <= now then call('HDEL', name, all[i])
      elseif expires > last then last = expires end
    end
    if last == 0 then call('UNLINK', name)
    elseif last < NEVER then call('PEXPIREAT', name, math.ceil(last / 1000)) end
  end
  if #holds > 2 then call(spread(holds)) end
  if #made > 2 then call(spread(made)) end
  for i = 1, #moved, 2000 do
    call('ZADD', LEASES, 'XX', spread(moved, i, math.min(i + 1999, #moved)))
  end
  if #gone > 2 then
    call(spread(gone))
    gone[1], gone[2] = 'HDEL', HOLDS
    call(spread(gone))
  end
  if #ended > 2 then call(spread(ended)) end
  if #corrections > 2 then
    call(spread(corrections))
    call('ZREMRANGEBYSCORE', CORRECTIONS, '-inf', now)
  end
  if turned then call('PEXPIRE', ended_now, 3 * HOUR / 1000) end
end
return table.concat(results) .. table.concat(expired)
)lua";

}  // namespace outlay::detail
