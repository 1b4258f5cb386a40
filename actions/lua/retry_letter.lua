-- Puts one letter off: after an attempt that failed for now, or because it was not its time yet.
--
-- KEYS[1] hash        letters: id to JSON
-- KEYS[2] sorted set  letters by the time they are due, ms
-- KEYS[3] hash        the channel's record
-- KEYS[4] stream      outbox
--
-- ARGV[1] the letter's id   ARGV[2] now, ms   ARGV[3] attempts when it was taken   ARGV[4] when it is due again, ms
-- ARGV[5] until when the whole channel is left alone, ms; 0: it is not, and else no attempt is spent
-- ARGV[6] the error, "": there was no attempt, and none is spent   ARGV[7] failing for so long makes a channel unhealthy, ms
-- ARGV[8] message for other channels, JSON, or ""   ARGV[9] at most one in so long, ms
--
-- Returns {1 or 0 where somebody else has it by now, 1 where a notice was written}. No TTLs.

local now, text = tonumber(ARGV[2]), redis.call('HGET', KEYS[1], ARGV[1])
local letter = text and cjson.decode(text)
if not letter or letter.attempts ~= tonumber(ARGV[3]) then
  return {0, 0}
end
if ARGV[6] == '' then
  letter.attempts = letter.attempts - 1
  redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(letter))
  redis.call('ZADD', KEYS[2], string.format('%d', tonumber(ARGV[4])), ARGV[1])
  return {1, 0}
end
local held = tonumber(ARGV[5])
if held > 0 then
  letter.attempts = letter.attempts - 1
  redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(letter))
  if held > tonumber(redis.call('HGET', KEYS[3], 'held_until') or 0) then
    redis.call('HSET', KEYS[3], 'held_until', held)
  end
end
redis.call('ZADD', KEYS[2], string.format('%d', tonumber(ARGV[4])), ARGV[1])
redis.call('HSETNX', KEYS[3], 'failing_since', now)
redis.call('HSET', KEYS[3], 'error', ARGV[6], 'failed_at', now)
if now - tonumber(redis.call('HGET', KEYS[3], 'failing_since')) < tonumber(ARGV[7]) then
  return {1, 0}
end
redis.call('HSETNX', KEYS[3], 'unhealthy_since', now)
local told_at = tonumber(redis.call('HGET', KEYS[3], 'noticed_at') or 0)
if ARGV[8] == '' or now - told_at < tonumber(ARGV[9]) then
  return {1, 0}
end
redis.call('HSET', KEYS[3], 'noticed_at', now)
redis.call('XADD', KEYS[4], '*', 'm', ARGV[8])
return {1, 1}
