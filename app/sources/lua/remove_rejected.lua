-- Removes rejected records.
--
-- KEYS[1] hash        id to item            KEYS[2] sorted set  `TIME:ID` by text
-- KEYS[3] sorted set  id by text            KEYS[4] string      sum of the items' bytes
--
-- ARGV: the ids. An id is `SOURCE:TIME-NUMBER`.
--
-- Returns how many there were. The TTLs stay.

local removed = 0
for _, id in ipairs(ARGV) do
  local size = redis.call('HSTRLEN', KEYS[1], id)
  if redis.call('HDEL', KEYS[1], id) == 1 then
    redis.call('DECRBY', KEYS[4], size)
    redis.call('ZREM', KEYS[2], string.match(id, ':(%d+)%-[^:]*$') .. ':' .. id)
    redis.call('ZREM', KEYS[3], id)
    removed = removed + 1
  end
end
return removed
