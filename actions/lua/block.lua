-- Makes one block, once, with everything that hangs on it.
--
-- KEYS[1]  string  the block's item                     TTL: its end + ARGV[10]; none when permanent
-- KEYS[2]  hash    active: key of the value -> decision JSON
-- KEYS[3]  zset    until: id by end (ms)
-- KEYS[4]  zset    index: "created_at:id", all scores 0
-- KEYS[5]  list    history of the value, newest first   TTL: ARGV[11]
-- KEYS[6]  string  strikes of the value                 TTL: ARGV[9]
-- KEYS[7]  zset    brake of the rule: values by time (ms)  TTL: ARGV[7]
-- KEYS[8]  string  braked: id and time that set it off   TTL: ARGV[7]
-- KEYS[9]  string  spare of rule and value: until when, ms (read only; its TTL is the grace time)
-- KEYS[10] stream  changes
-- KEYS[11] string  version of the allowlist
-- KEYS[12] stream  audit
-- KEYS[13] hash    proposed: key of the value -> id
-- KEYS[14] zset    ended: index members by end of keeping (ms)
-- The item of a weaker block whose place this one takes stands beside KEYS[1].
--
-- ARGV[1]  now, ms                      ARGV[2]  the item, JSON, without strikes and until
-- ARGV[3]  the event's time, ms         ARGV[4]  duration of a first block, ms; 0 is permanent
-- ARGV[5]  cap of the doubling, ms; 0: no doubling
-- ARGV[6]  brake limit, blocks; 0: none ARGV[7]  brake window, ms
-- ARGV[8]  version of the allowlist that the caller has looked at
-- ARGV[9]  TTL of strikes, ms           ARGV[10] how long an item is kept after its end, ms
-- ARGV[11] TTL of the history, ms       ARGV[12] length of the history
-- ARGV[13] length of changes            ARGV[14] the index member
-- ARGV[15] role of the person who acts, "" for a rule      ARGV[16] length of the audit trail
-- ARGV[17] what the brake counts: the value, of IPv6 its /48
-- ARGV[18...] the key of the value, and the networks around it that count as "blocked already"
--
-- A block of a weaker type is no "blocked already"; where it has the same value, it is lifted.
--
-- Returns {outcome, JSON or ""}: created | exists (item) | already_blocked (decision) | already_proposed (id)
-- | too_late | braked ("first" or "") | spared | stale (the allowlist changed: look again)
-- | overdue (the value's block is over but not yet swept: sweep, then again).

local now = tonumber(ARGV[1])
local STRENGTH = {ban = 3, captcha = 2, throttle = 1}

local known = redis.call('GET', KEYS[1])
if known then
  return {'exists', known}
end
if (redis.call('GET', KEYS[11]) or '0') ~= ARGV[8] then
  return {'stale', ''}
end

local block = cjson.decode(ARGV[2])
local key = ARGV[18]
local weaker = nil
local wanted = {}
for i = 18, #ARGV do
  wanted[#wanted + 1] = ARGV[i]
end
local found = redis.call('HMGET', KEYS[2], unpack(wanted))
for i = 1, #found do
  if found[i] then
    local other = cjson.decode(found[i])
    if other['until'] == cjson.null or other['until'] > now then
      if STRENGTH[other.type or 'ban'] >= STRENGTH[block.type] then
        return {'already_blocked', found[i]}
      end
      if i == 1 and block.status ~= 'proposed' then
        weaker = other
      end
    elseif i == 1 then
      return {'overdue', ''}
    end
  end
end
if block.status == 'proposed' then
  local waiting = redis.call('HGET', KEYS[13], key)
  if waiting then
    return {'already_proposed', waiting}
  end
end
if tonumber(redis.call('GET', KEYS[9]) or '0') > now then
  return {'spared', ''}
end

local strikes = tonumber(redis.call('GET', KEYS[6]) or '0') + 1
local ends = nil
if tonumber(ARGV[4]) > 0 then
  local duration = tonumber(ARGV[4])
  local cap = tonumber(ARGV[5])
  if cap > 0 then
    duration = math.min(duration * 2 ^ (strikes - 1), math.max(cap, duration))
  end
  ends = tonumber(ARGV[3]) + duration
  if ends <= now then
    return {'too_late', ''}
  end
end

local limit = tonumber(ARGV[6])
if limit > 0 then
  local braked = redis.call('GET', KEYS[8])
  if braked then
    local set_off = cjson.decode(braked)
    if now - set_off.at < tonumber(ARGV[7]) then
      return {'braked', set_off.id == block.id and 'first' or ''}
    end
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now - tonumber(ARGV[7]))
  if not redis.call('ZSCORE', KEYS[7], ARGV[17]) and redis.call('ZCARD', KEYS[7]) >= limit then
    redis.call('SET', KEYS[8], cjson.encode({id = block.id, at = now}), 'PX', ARGV[7])
    return {'braked', 'first'}
  end
  redis.call('ZADD', KEYS[7], now, ARGV[17])
  redis.call('PEXPIRE', KEYS[7], ARGV[7])
end

redis.call('SET', KEYS[6], strikes, 'PX', ARGV[9])
block.strikes = strikes
block['until'] = ends or cjson.null
local item = cjson.encode(block)
redis.call('SET', KEYS[1], item)
if ends then
  redis.call('PEXPIRE', KEYS[1], ends - now + tonumber(ARGV[10]))
  redis.call('ZADD', KEYS[3], ends, block.id)
end
redis.call('ZADD', KEYS[4], 0, ARGV[14])
redis.call('LPUSH', KEYS[5], block.id)
redis.call('LTRIM', KEYS[5], 0, tonumber(ARGV[12]) - 1)
redis.call('PEXPIRE', KEYS[5], ARGV[11])

if weaker then
  local place = string.match(KEYS[1], '^(.*:)[^:]*$') .. weaker.id
  local old = redis.call('GET', place)
  if old then
    old = cjson.decode(old)
    old.status = 'lifted'
    old.changed_at = now
    old.changed_by = block.actor
    old.note = 'a ' .. block.type .. ' took its place: ' .. block.id
    redis.call('SET', place, cjson.encode(old), 'PX', ARGV[10])
    redis.call('ZREM', KEYS[3], weaker.id)
    redis.call('ZADD', KEYS[14], now + tonumber(ARGV[10]), string.format('%013d:%s', old.created_at, old.id))
  end
  redis.call('XADD', KEYS[10], 'MAXLEN', '~', ARGV[13], '*',
    'op', 'remove', 'decision', redis.call('HGET', KEYS[2], key), 'reason', 'replaced')
end

if block.status == 'proposed' then
  redis.call('HSET', KEYS[13], key, block.id)
else
  local decision = cjson.encode({
    id = block.id, value = block.value, scope = block.scope, type = block.type, origin = block.origin, rule = block.rule,
    reason = block.reason, incident_id = block.incident_id, created_at = block.created_at,
    ['until'] = block['until'], seen = block.seen,
  })
  redis.call('HSET', KEYS[2], key, decision)
  redis.call('XADD', KEYS[10], 'MAXLEN', '~', ARGV[13], '*', 'op', 'add', 'decision', decision, 'reason', 'blocked')
end
if ARGV[15] ~= '' then
  redis.call('XADD', KEYS[12], 'MAXLEN', '~', ARGV[16], '*', 'at', ARGV[1], 'actor', block.actor, 'role', ARGV[15],
    'action', 'block.create', 'target', 'block:' .. block.id, 'before', 'null', 'after', item,
    'reason', block.reason)
end
return {'created', item}
