-- Makes many blocks of a person's file, each with everything that hangs on it. What may be blocked is checked before.
--
-- KEYS[1] hash    active: key of the value -> decision JSON
-- KEYS[2] zset    until: id by end (ms)
-- KEYS[3] zset    index: "created_at:id", all scores 0
-- KEYS[4] stream  changes
-- KEYS[5] string  version of the allowlist
-- KEYS[6] list    ids of the blocks that this import made         TTL: ARGV[7]
-- KEYS[7...] pairs: string, the block's item (TTL: its end + ARGV[3]; none when permanent)
--                   list, history of the value, newest first (TTL: ARGV[4])
--
-- ARGV[1] now, ms                        ARGV[2] version of the allowlist that the caller has looked at
-- ARGV[3] how long an item is kept after its end, ms
-- ARGV[4] TTL of the history, ms         ARGV[5] length of the history
-- ARGV[6] length of changes              ARGV[7] TTL of the import's ids, ms
-- ARGV[8] MessagePack, for each block {key of the value, id, type, item JSON, decision JSON, end in ms (0: permanent)};
--         the index member is made of the time and the id
--
-- Returns one word for each: created | exists (made by this import before) | over (the same, and ended since) | already_blocked
-- | single (a weaker block, or one that is over, has its place: make it by itself). Or {"stale"}.

local now = tonumber(ARGV[1])
local STRENGTH = {ban = 3, captcha = 2, throttle = 1}

if (redis.call('GET', KEYS[5]) or '0') ~= ARGV[2] then
  return {'stale'}
end

local function place(key, type)
  local found = redis.call('HGET', KEYS[1], key)
  if not found then
    return nil
  end
  local other = cjson.decode(found)
  if other['until'] ~= cjson.null and other['until'] <= now then
    return 'single'
  end
  return STRENGTH[other.type or 'ban'] >= STRENGTH[type] and 'already_blocked' or 'single'
end

local function before(item)
  local found = redis.call('GET', item)
  return found and (cjson.decode(found).status == 'active' and 'exists' or 'over')
end

local blocks = cmsgpack.unpack(ARGV[8])
local outcomes = {}
local made = 0
for i = 7, #KEYS, 2 do
  local key, id, type, item, decision, ends = unpack(blocks[(i - 5) / 2])
  local outcome = before(KEYS[i]) or place(key, type)
  if not outcome then
    outcome = 'created'
    made = made + 1
    if ends > 0 then
      redis.call('SET', KEYS[i], item, 'PX', ends - now + tonumber(ARGV[3]))
      redis.call('ZADD', KEYS[2], ends, id)
    else
      redis.call('SET', KEYS[i], item)
    end
    redis.call('ZADD', KEYS[3], 0, string.format('%013d:%s', now, id))
    redis.call('LPUSH', KEYS[i + 1], id)
    redis.call('LTRIM', KEYS[i + 1], 0, tonumber(ARGV[5]) - 1)
    redis.call('PEXPIRE', KEYS[i + 1], ARGV[4])
    redis.call('HSET', KEYS[1], key, decision)
    redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[6], '*',
      'op', 'add', 'decision', decision, 'reason', 'imported')
    redis.call('RPUSH', KEYS[6], id)
  end
  outcomes[#outcomes + 1] = outcome
end
if made > 0 then
  redis.call('PEXPIRE', KEYS[6], ARGV[7])
end
return outcomes
