-- Moves the position of a journal on, unless somebody else has moved it.
--
-- KEYS[1] string  the position, "NUMBER CLOCK" or "NUMBER CLOCK NUMBER CLOCK"   TTL: ARGV[3]
--
-- ARGV[1] what it was when it was read, "" where there was none
-- ARGV[2] what it is from now on
-- ARGV[3] TTL, ms
--
-- Returns 1, or 0 where it is no longer what it was.

if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
