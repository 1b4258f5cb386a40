-- Ends the blocks and proposals whose time is over. Safe to run from several processes at once.
--
-- KEYS[1] hash    active: key of the value -> decision JSON
-- KEYS[2] zset    until: id by end (ms)
-- KEYS[3] hash    proposed: key of the value -> id
-- KEYS[4] stream  changes
-- KEYS[5] zset    ended: index members by end of keeping (ms)
-- KEYS[6...] string  the items, one per id in ARGV[4...]   TTL: ARGV[2]
--
-- ARGV[1] now, ms   ARGV[2] how long an item is kept after its end, ms   ARGV[3] length of changes
-- ARGV[4...] pairs of id and index member, in the order of KEYS[6...]
--
-- Returns how many were ended.

local now = tonumber(ARGV[1])

local function key_of(block)
  local scope = block.scope
  if scope == 'Country' or scope == 'AS' or scope == 'User' then
    return scope .. ':' .. block.value
  end
  return block.value
end
local ended = 0
for i = 6, #KEYS do
  local id = ARGV[4 + (i - 6) * 2]
  local member = ARGV[5 + (i - 6) * 2]
  local score = redis.call('ZSCORE', KEYS[2], id)
  if score and tonumber(score) <= now then
    redis.call('ZREM', KEYS[2], id)
    local item = redis.call('GET', KEYS[i])
    if item then
      local block = cjson.decode(item)
      local key = key_of(block)
      if block.status == 'active' then
        local decision = redis.call('HGET', KEYS[1], key)
        if decision and cjson.decode(decision).id == id then
          redis.call('HDEL', KEYS[1], key)
          redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[3], '*',
            'op', 'remove', 'decision', decision, 'reason', 'expired')
        end
      elseif redis.call('HGET', KEYS[3], key) == id then
        redis.call('HDEL', KEYS[3], key)
      end
      block.status = 'expired'
      block.changed_at = now
      redis.call('SET', KEYS[i], cjson.encode(block), 'PX', ARGV[2])
      redis.call('ZADD', KEYS[5], now + tonumber(ARGV[2]), member)
      ended = ended + 1
    end
  end
end
return ended
