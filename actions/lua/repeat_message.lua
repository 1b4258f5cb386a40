-- Writes that an incident still waits, or stops asking; once per time it is due, however many processes ask.
--
-- KEYS[1] sorted set  "CHANNEL INCIDENT" by the time at which it is told again, ms
-- KEYS[2] stream      outbox
--
-- ARGV[1] the member   ARGV[2] now, ms   ARGV[3] the message, JSON; "": nobody is told now
-- ARGV[4] when to ask the next time, ms; 0: never
--
-- Returns 1, or 0 where somebody else was faster. No TTLs.

local at = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not at or tonumber(at) > tonumber(ARGV[2]) then
  return 0
end
if ARGV[4] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ARGV[4], ARGV[1])
end
if ARGV[3] ~= '' then
  redis.call('XADD', KEYS[2], '*', 'm', ARGV[3])
end
return 1
