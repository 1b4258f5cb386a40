-- Drops an external list, unless somebody has claimed it meanwhile, and tells every process.
--
-- KEYS[1] hash    claims: "HOST NAME" -> its end, ms
-- KEYS[2] hash    how all lists are doing, by name     KEYS[3] string  what is on the list
-- KEYS[4] stream  changes
--
-- ARGV[1] name    ARGV[2] length of changes
--
-- Returns 1; 0 where somebody wants it, or it is gone already.

for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.match(field, '^%S+ (.+)$') == ARGV[1] then return 0 end
end
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('DEL', KEYS[3])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[2], '*', 'op', 'list', 'list', ARGV[1], 'reason', '')
return 1
