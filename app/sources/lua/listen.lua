-- Says that somebody listens to the sources now, where it is the caller's turn to say so.
--
-- KEYS[1] hash  when somebody listened last (`heard_at`) and since when without a break (`since`), ms
--
-- ARGV[1] now, ms   ARGV[2] how long ago the last turn must be, ms
-- ARGV[3] after how long without a turn nobody has listened, ms; a clock may also be ahead by as much
--
-- Returns since when somebody listens, ms; -1 where it is not the caller's turn. TTL: none.

local now, turn_ms, deaf_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local known = redis.call('HMGET', KEYS[1], 'heard_at', 'since')
local heard_at, since = tonumber(known[1]), tonumber(known[2])
local ago = heard_at and now - heard_at
if ago and ago < turn_ms and ago > -deaf_ms then return -1 end
if not ago or not since or math.abs(ago) > deaf_ms then since = now end
redis.call('HSET', KEYS[1], 'heard_at', ARGV[1], 'since', string.format('%.0f', since))
return since
