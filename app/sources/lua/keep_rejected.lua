-- Keeps rejected records of one source, and drops what is over the bounds, the oldest first.
--
-- KEYS[1] hash        id to item            KEYS[2] sorted set  `TIME:ID` by text
-- KEYS[3] sorted set  id by text            KEYS[4] string      sum of the items' bytes
--
-- ARGV[1] what is older than this goes, ms    ARGV[2] TTL of all keys, ms
-- ARGV[3] the source, or ""                   ARGV[4] records of one source, at most
-- ARGV[5] bytes of all items, at most
-- then id, time (ms, 13 digits) and item of each record; an id is `SOURCE:TIME-NUMBER`
--
-- Returns how many were dropped. TTL: ARGV[2] on every key.

local dropped = 0
local function drop(id)
  local size = redis.call('HSTRLEN', KEYS[1], id)
  if redis.call('HDEL', KEYS[1], id) == 1 then
    redis.call('DECRBY', KEYS[4], size)
    dropped = dropped + 1
  end
  redis.call('ZREM', KEYS[2], string.match(id, ':(%d+)%-[^:]*$') .. ':' .. id)
  redis.call('ZREM', KEYS[3], id)
end
local function id_of(place) return string.sub(place, 15) end

for i = 6, #ARGV, 3 do
  if redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 2]) == 1 then
    redis.call('ZADD', KEYS[2], 0, ARGV[i + 1] .. ':' .. ARGV[i])
    redis.call('ZADD', KEYS[3], 0, ARGV[i])
    redis.call('INCRBY', KEYS[4], #ARGV[i + 2])
  end
end
if ARGV[3] ~= '' then
  local from, to = '[' .. ARGV[3] .. ':', '(' .. ARGV[3] .. ';'
  local excess = redis.call('ZLEXCOUNT', KEYS[3], from, to) - tonumber(ARGV[4])
  if excess > 0 then
    for _, id in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], from, to, 'LIMIT', 0, excess)) do drop(id) end
  end
end
for _, place in ipairs(redis.call('ZRANGEBYLEX', KEYS[2], '-', '(' .. ARGV[1], 'LIMIT', 0, 1000)) do drop(id_of(place)) end
while (tonumber(redis.call('GET', KEYS[4])) or 0) > tonumber(ARGV[5]) do
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 31)
  if #oldest == 0 then break end
  for _, place in ipairs(oldest) do
    if tonumber(redis.call('GET', KEYS[4])) > tonumber(ARGV[5]) then drop(id_of(place)) end
  end
end
if #ARGV > 5 then
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[2]) end
end
return dropped
