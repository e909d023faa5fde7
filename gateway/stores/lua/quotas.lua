-- One exchange of a worker with the counters of quotas: give back, then take all that is needed or nothing.
--
-- What an ask and an answer mean is said in gateway/quotas/counting.py; here is how Redis keeps it. A script is
-- one moment for all its counters, and everything is read before anything is written: an error changes nothing.
-- All numbers are whole and below 2^53, so Lua's doubles hold them exactly; as arguments of `redis.call` they
-- are written with all their digits, but never join them to strings (`..` keeps 14 digits).
--
-- KEYS  1 the settings (hash): the run of the server that the counters belong to, until when (Unix ms) nothing
--         is granted, and limits set at run time
--       2... the counter of each ask
-- ARGV  1 this worker  2 the name it had on its last connection  3 the run of the server, as it said itself
--       4 the asks, MessagePack
-- Gives {1 granted | 0 refused, now_us, {granted, taken, limit, slot, valid_ms, frees_ms, whole_ms} ...},
-- or {-1, now_us, left_ms} while what was lost is gathered again from the workers.

local RECOVERY_MS = 1000 -- longer than any worker needs to come back
local SEAT_MS = 10000 -- a worker that is not heard of for so long has no seats any more
local LATE_MS = 60000 -- a period's counter stays so long after its end, for calls that began in time
local SEAT_FREES_MS = 1000 -- nobody knows
local NEVER = -1
local SHARE, PERIOD_SHARE = 32, 128 -- of what is left, this part may be had in advance
local EVER_PER_MS = 4000 -- more than any bucket lets through in a millisecond; times now_ms it is below 2^53

local worker, former, run = ARGV[1], ARGV[2], ARGV[3]
local asks = cmsgpack.unpack(ARGV[4])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] * 1000000 + time[2]

-- The meters. Each opens a counter as it is now, with `taken` as the first thing to know, changes it in
-- memory, saves it where it `changed`, and says of it how long until `need` has room (frees_ms) and until all
-- is free (whole_ms).

-- Amounts by the slot in which they were taken; `sum` of all, `first` and `last` slot that may hold something.
local window = {share = SHARE}

function window.open(self)
  local meter = self.meter
  self.step_ms = math.ceil(meter.span_ms / meter.steps)
  self.slot = math.floor(now_ms / self.step_ms)
  self.valid_ms = (self.slot + 1) * self.step_ms - now_ms
  -- A slot counts while any of it lies within the last span.
  self.oldest = math.floor((now_ms - meter.span_ms) / self.step_ms)
  local held = redis.call('HMGET', self.key, 'sum', 'first', 'last', self.slot)
  self.taken = tonumber(held[1]) or 0
  self.first = tonumber(held[2]) or self.slot
  self.last = tonumber(held[3]) or self.slot
  self.is_new = not held[4] -- this slot
  self.amounts = {[self.slot] = tonumber(held[4]) or 0}
  self.gone = {}
  self.changed = self.first < self.oldest
  if self.last < self.oldest then
    self.is_over, self.taken, self.first, self.last = held[1], 0, self.slot, self.slot
  elseif self.first < self.oldest then
    for slot, amount in pairs(window.between(self, self.first, self.oldest - 1)) do
      self.taken = self.taken - amount
      table.insert(self.gone, slot)
    end
    self.first = self.oldest
  end
end

-- What the slots hold that hold anything.
function window.between(self, first, last)
  local slots, found = {}, {}
  for slot = first, last do
    table.insert(slots, slot)
  end
  for at, amount in ipairs(redis.call('HMGET', self.key, unpack(slots))) do
    local known = self.amounts[slots[at]] or tonumber(amount)
    if known then
      found[slots[at]] = known
    end
  end
  return found
end

function window.add(self, amount, slot)
  slot = slot or self.slot
  if slot < self.oldest or slot > math.max(self.slot, self.last) then
    return
  end
  local amounts = self.amounts
  if not amounts[slot] then
    local is_held = self.first <= slot and slot <= self.last and not self.is_over
    amounts[slot] = is_held and tonumber(redis.call('HGET', self.key, slot) or 0) or 0
  end
  local change = math.max(amount, -amounts[slot])
  self.changed = self.changed or change ~= 0
  amounts[slot] = amounts[slot] + change
  self.taken = self.taken + change
  self.first, self.last = math.min(self.first, slot), math.max(self.last, slot)
end

function window.save(self)
  if self.taken == 0 or self.is_over then
    redis.call('DEL', self.key)
  elseif #self.gone > 0 then
    redis.call('HDEL', self.key, unpack(self.gone))
  end
  if self.taken == 0 then
    return
  end
  local fields = {'sum', self.taken, 'first', self.first, 'last', self.last}
  for slot, amount in pairs(self.amounts) do
    table.insert(fields, slot)
    table.insert(fields, amount)
  end
  redis.call('HSET', self.key, unpack(fields))
  if self.is_new then
    redis.call('PEXPIRE', self.key, self.meter.span_ms + 2 * self.step_ms)
  end
end

function window.out_ms(self, slot)
  return (slot + 1) * self.step_ms + self.meter.span_ms - now_ms
end

function window.frees_ms(self, need)
  local excess = self.taken + need - self.limit
  local held = window.between(self, self.first, self.last)
  for slot = self.first, self.last do
    excess = excess - (held[slot] or 0)
    if excess <= 0 then
      return window.out_ms(self, slot)
    end
  end
  return NEVER
end

function window.whole_ms(self)
  local slot = self.last
  while slot > self.first and self.amounts[slot] == 0 do
    slot = slot - 1
  end
  return window.out_ms(self, slot)
end

-- What is owed: `whole` amounts and `part`, in 1/span_ms of one. It gets less by limit/span_ms in a
-- millisecond. In two numbers, because limit * span_ms is more than a double holds exactly. What was owed first
-- is worked off first: `ever`, all that was taken until then, is the slot of an amount, and no more of it can be
-- given back than is owed beyond what was taken later. Nothing is had in advance: it would come on top of a
-- bucket that is full again.
local bucket = {}

function bucket.open(self)
  local held = redis.call('HMGET', self.key, 'whole', 'part', 'at_ms', 'ever')
  self.whole, self.part = tonumber(held[1]) or 0, tonumber(held[2]) or 0
  local at_ms = tonumber(held[3]) or now_ms
  self.at_ms = math.max(at_ms, now_ms)
  self.slot = tonumber(held[4]) or now_ms * EVER_PER_MS
  self.valid_ms = 0
  bucket.drain(self, self.at_ms - at_ms)
  bucket.set(self, self.whole, self.part)
end

function bucket.set(self, whole, part)
  self.whole, self.part = whole, part
  self.taken = whole + (part > 0 and 1 or 0)
end

function bucket.drain(self, passed_ms)
  local span, limit = self.meter.span_ms, self.limit
  local rest_ms = math.fmod(passed_ms, span)
  local uneven = rest_ms * math.fmod(limit, span)
  local part = math.fmod(uneven, span)
  local whole = (passed_ms - rest_ms) / span * limit + rest_ms * math.floor(limit / span)
  self.whole, self.part = self.whole - whole - (uneven - part) / span, self.part - part
  if self.part < 0 then
    self.whole, self.part = self.whole - 1, self.part + span
  end
  if self.whole < 0 then
    self.whole, self.part = 0, 0
  end
end

function bucket.add(self, amount, slot)
  self.changed = self.changed or amount ~= 0
  if amount >= 0 then
    self.slot = self.slot + amount
    bucket.set(self, self.whole + amount, self.part)
    return
  end
  local later = self.slot - slot
  local left = self.whole - later -- and `part`
  if later >= 0 and left >= -amount then
    bucket.set(self, self.whole + amount, self.part)
  elseif later >= 0 and left >= 0 then
    bucket.set(self, later, 0)
  end
end

function bucket.save(self)
  -- A bucket that was forgotten begins at the slot of its time: not before that has passed those given out.
  local ahead_ms = math.ceil(self.slot / EVER_PER_MS) - now_ms
  if self.taken == 0 and ahead_ms <= 0 then
    redis.call('DEL', self.key)
    return
  end
  redis.call('HSET', self.key, 'whole', self.whole, 'part', self.part, 'at_ms', self.at_ms, 'ever', self.slot)
  local whole_ms = bucket.whole_ms(self)
  if whole_ms == NEVER then -- a limit of nothing, set at run time
    redis.call('PERSIST', self.key)
  else
    redis.call('PEXPIRE', self.key, math.max(whole_ms + 1000, ahead_ms))
  end
end

-- Until no more than `level` is owed.
function bucket.falls_ms(self, level)
  if self.limit <= 0 or level < 0 then
    return NEVER
  end
  return math.max(math.ceil(((self.whole - level) * self.meter.span_ms + self.part) / self.limit), 1)
end

function bucket.frees_ms(self, need)
  return bucket.falls_ms(self, self.limit - need)
end

function bucket.whole_ms(self)
  return bucket.falls_ms(self, 0)
end

-- One number, until the period ends.
local period = {share = PERIOD_SHARE}

function period.open(self)
  self.slot = 0
  local held = redis.call('HGET', self.key, 'taken')
  self.taken, self.is_new = tonumber(held or 0), not held
  self.left_ms = math.max(self.counter.ends_ms - now_ms, 1)
  self.valid_ms = self.left_ms
end

function period.add(self, amount)
  self.changed = self.changed or amount ~= 0
  self.taken = math.max(self.taken + amount, 0)
end

function period.save(self)
  redis.call('HSET', self.key, 'taken', self.taken)
  if self.is_new then
    redis.call('PEXPIREAT', self.key, self.counter.ends_ms + LATE_MS)
  end
end

function period.frees_ms(self)
  return self.left_ms
end
period.whole_ms = period.frees_ms

-- How many each worker has (`n:`) and until when, if it is not heard of again (`u:`); `sum` of all, and
-- `due_ms`, before which none of them ends.
local seats = {share = SHARE}

function seats.open(self)
  self.slot, self.valid_ms = 0, SEAT_MS
  self.changed = true -- it is heard of
  local mine, old = 'n:' .. worker, 'n:' .. former
  local held = redis.call('HMGET', self.key, 'sum', 'due_ms', mine, old)
  self.taken = tonumber(held[1]) or 0
  self.mine = tonumber(held[3]) or 0
  self.due_ms = tonumber(held[2]) or now_ms + SEAT_MS
  self.gone = {}
  if former ~= '' and held[4] then -- what it has, it says itself
    self.taken = self.taken - tonumber(held[4])
    self.gone = {old, 'u:' .. former}
  end
  if self.due_ms <= now_ms then
    seats.sweep(self)
  end
end

-- Leave out the workers that have not been heard of.
function seats.sweep(self)
  self.due_ms = now_ms + SEAT_MS
  local held, fields = {}, redis.call('HGETALL', self.key)
  for at = 1, #fields, 2 do
    held[fields[at]] = tonumber(fields[at + 1])
  end
  for field, until_ms in pairs(held) do
    local name = string.match(field, '^u:(.*)$')
    if name and name ~= worker and name ~= former then
      if until_ms <= now_ms then
        self.taken = self.taken - (held['n:' .. name] or 0)
        table.insert(self.gone, field)
        table.insert(self.gone, 'n:' .. name)
      else
        self.due_ms = math.min(self.due_ms, until_ms)
      end
    end
  end
end

function seats.add(self, amount)
  local change = math.max(amount, -self.mine)
  self.mine, self.taken = self.mine + change, self.taken + change
end

function seats.save(self)
  if self.taken == 0 then
    redis.call('DEL', self.key)
    return
  end
  if #self.gone > 0 then
    redis.call('HDEL', self.key, unpack(self.gone))
  end
  redis.call('HSET', self.key, 'sum', self.taken, 'due_ms', self.due_ms,
    'n:' .. worker, self.mine, 'u:' .. worker, now_ms + SEAT_MS)
  redis.call('PEXPIRE', self.key, SEAT_MS + 1000)
end

function seats.frees_ms()
  return SEAT_FREES_MS
end
seats.whole_ms = seats.frees_ms

local METERS = {window = window, bucket = bucket, period = period, seats = seats}

-- The counters, one for all asks with the same key.

local fields = {'run', 'recovers_ms'}
for at = 1, #asks do
  table.insert(fields, 'limit:' .. asks[at].counter.key)
end
local settings = redis.call('HMGET', KEYS[1], unpack(fields))

local function limit_of(at, meter)
  local limit, until_ms = string.match(settings[at + 2] or '', '^(%d+) (%d+)$')
  return limit and tonumber(until_ms) > now_ms and tonumber(limit) or meter.limit
end

-- When a counter was as it is now. One of which nothing is taken is gone, or goes by itself.
local function mark(self, at_us)
  if self.taken > 0 then
    redis.call('HSET', self.key, 'at_us', at_us)
  end
end

local opened, counters = {}, {}
for at, ask in ipairs(asks) do
  local key = KEYS[at + 1]
  local self = opened[key]
  if not self then
    local meter = ask.counter.meter
    self = {key = key, counter = ask.counter, meter = meter, limit = limit_of(at, meter), needs = 0}
    self.kind = METERS[meter.kind]
    self.kind.open(self)
    opened[key] = self
  end
  counters[at] = self
end

-- A server that has lost what it knew, or went back to an older state: its run is not the one that the
-- counters belong to. All workers say what they have seen, before anything is granted again.
local recovers_ms = tonumber(settings[2]) or 0
if settings[1] ~= run then
  recovers_ms = now_ms + RECOVERY_MS
  redis.call('HSET', KEYS[1], 'run', run, 'recovers_ms', recovers_ms)
end
if recovers_ms > now_ms and recovers_ms <= now_ms + RECOVERY_MS then -- else the clock was set back
  for at, ask in ipairs(asks) do
    local self = counters[at]
    if self.mine then
      seats.add(self, math.max(ask.seen - self.mine, 0))
      seats.save(self)
    else -- whoever heard last knows what is taken; where nobody says when, whoever heard of more
      local at_us = tonumber(redis.call('HGET', self.key, 'at_us')) or 0
      if ask.seen_us > at_us or (ask.seen_us == 0 and ask.seen > self.taken) then
        self.kind.add(self, ask.seen - self.taken, self.slot)
        self.kind.save(self)
        mark(self, ask.seen_us)
      end
    end
  end
  return {-1, now_us, recovers_ms - now_ms}
end

for at, ask in ipairs(asks) do
  local self = counters[at]
  for _, back in ipairs(ask.back) do
    self.kind.add(self, -back[2], back[1])
  end
  if self.mine and ask.seen > self.mine then -- of seats the worker knows best
    seats.add(self, ask.seen - self.mine)
  end
end

local granted = true
for at, ask in ipairs(asks) do
  local self = counters[at]
  self.needs = self.needs + ask.need
  self.waits = self.needs
  if ask.need > 0 and not ask.over and self.taken + self.needs > self.limit then
    granted = false
  end
end

local answer = {granted and 1 or 0, now_us}
for at, ask in ipairs(asks) do
  local self, got, frees_ms = counters[at], 0, 0
  if ask.need > 0 and self.taken + self.waits > self.limit then
    frees_ms = self.waits > self.limit and NEVER or self.kind.frees_ms(self, self.waits)
  end
  if granted or ask.over then
    local extra = 0
    if granted and self.kind.share then
      local room = self.limit - self.taken - self.waits
      extra = math.min(ask.wish, math.max(0, math.floor(room / self.kind.share)))
    end
    got = ask.need + extra
    self.waits = self.waits - ask.need
    self.kind.add(self, got)
  end
  answer[at + 2] = {got, 0, self.limit, 0, self.valid_ms, frees_ms, 0}
end

for _, self in pairs(opened) do
  if self.changed then
    self.kind.save(self)
    mark(self, now_us)
  end
end
for at, self in ipairs(counters) do
  local told = answer[at + 2]
  told[2], told[4] = self.taken, self.slot
  told[7] = self.taken > 0 and self.kind.whole_ms(self) or 0
end
return answer
