-- Ends blocks and proposals: those whose time is over, or those named. Safe to run from several processes at once.
--
-- KEYS[1] hash    active: key of the value -> decision JSON
-- KEYS[2] zset    until: id by end (ms)
-- KEYS[3] hash    proposed: key of the value -> id
-- KEYS[4] stream  changes
-- KEYS[5] zset    ended: index members by end of keeping (ms)
-- KEYS[6...] string  the items, one per id in ARGV[7...]   TTL: ARGV[2]
--
-- ARGV[1] now, ms   ARGV[2] how long an item is kept after its end, ms   ARGV[3] length of changes
-- ARGV[4] status they get: `expired` ends only what is over, anything else what is in force
-- ARGV[5] who ends them, "" for nobody   ARGV[6] why
-- ARGV[7...] pairs of id and index member, in the order of KEYS[6...]
--
-- Returns how many were ended.

local now = tonumber(ARGV[1])
local status = ARGV[4]

local function key_of(block)
  local scope = block.scope
  if scope == 'Country' or scope == 'AS' or scope == 'User' then
    return scope .. ':' .. block.value
  end
  return block.value
end

local function is_due(id)
  if status ~= 'expired' then
    return true
  end
  local score = redis.call('ZSCORE', KEYS[2], id)
  return score and tonumber(score) <= now
end

local ended = 0
for i = 6, #KEYS do
  local id = ARGV[7 + (i - 6) * 2]
  local member = ARGV[8 + (i - 6) * 2]
  if is_due(id) then
    redis.call('ZREM', KEYS[2], id)
    local item = redis.call('GET', KEYS[i])
    local block = item and cjson.decode(item)
    if block and (block.status == 'active' or block.status == 'proposed') then
      local key = key_of(block)
      if block.status == 'active' then
        local decision = redis.call('HGET', KEYS[1], key)
        if decision and cjson.decode(decision).id == id then
          redis.call('HDEL', KEYS[1], key)
          redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[3], '*',
            'op', 'remove', 'decision', decision, 'reason', status)
        end
      elseif redis.call('HGET', KEYS[3], key) == id then
        redis.call('HDEL', KEYS[3], key)
      end
      block.status = status
      block.changed_at = now
      if ARGV[5] ~= '' then
        block.changed_by = ARGV[5]
        block.note = ARGV[6]
      end
      redis.call('SET', KEYS[i], cjson.encode(block), 'PX', ARGV[2])
      redis.call('ZADD', KEYS[5], now + tonumber(ARGV[2]), member)
      ended = ended + 1
    end
  end
end
return ended
