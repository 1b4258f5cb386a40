-- Adds what one process has seen of one source to what is kept of it.
--
-- KEYS[1] hash        the source            KEYS[2] hash  its sums of the day
-- KEYS[3] sorted set  sources by last receipt, in ms
-- KEYS[4] hash        since when somebody listens
--
-- ARGV[1] the source   ARGV[2] its first and ARGV[3] its last receipt, ms   ARGV[4] the longest pause between, ms
-- ARGV[5] time of its last event, ms or ""   ARGV[6] receipt minus that, ms or ""   ARGV[7] ms ahead, at most
-- ARGV[8] "1" where a record was of use   ARGV[9] records since that were not   ARGV[10] since when, ms or ""
-- ARGV[11] TTL of both hashes, ms   ARGV[12] sources kept, at most   ARGV[13] reasons kept in a day, at most
-- ARGV[14] for how long nobody may listen before a pause says nothing, ms
-- ARGV[15] number of fields, then each with its amount; then each reason with its amount
--
-- Returns nothing. TTL: ARGV[11] on KEYS[1] and KEYS[2].

local first, last = tonumber(ARGV[2]), tonumber(ARGV[3])
local function raise(key, field, value)
  if value > (tonumber(redis.call('HGET', key, field)) or 0) then
    redis.call('HSET', key, field, string.format('%.0f', value))
  end
end

local before = redis.call('HMGET', KEYS[1], 'last_seen', 'silent_since')
local listened = redis.call('HMGET', KEYS[4], 'heard_at', 'since')
local last_seen, heard_at, since = tonumber(before[1]), tonumber(listened[1]), tonumber(listened[2])
if last_seen and heard_at and since and first - heard_at <= tonumber(ARGV[14]) then
  raise(KEYS[2], before[2] and 'silence_ms' or 'pause_ms', first - math.max(last_seen, since))
end
raise(KEYS[2], 'pause_ms', tonumber(ARGV[4]))

redis.call('HSETNX', KEYS[1], 'first_seen', ARGV[2])
raise(KEYS[1], 'last_seen', last)
raise(KEYS[1], 'ahead_ms', tonumber(ARGV[7]))
redis.call('HINCRBY', KEYS[1], 'seconds', 1)
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'last_event', ARGV[5], 'skew_ms', ARGV[6]) end
if ARGV[8] == '1' then redis.call('HDEL', KEYS[1], 'useless', 'useless_since', 'useless_last') end
if tonumber(ARGV[9]) > 0 then
  redis.call('HINCRBY', KEYS[1], 'useless', ARGV[9])
  redis.call('HSETNX', KEYS[1], 'useless_since', ARGV[10])
  redis.call('HSET', KEYS[1], 'useless_last', ARGV[3])
end

local reasons_from = 16 + 2 * tonumber(ARGV[15])
for i = 16, reasons_from - 1, 2 do redis.call('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1]) end
if ARGV[reasons_from] then
  local kept = 0
  for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
    if string.sub(field, 1, 7) == 'reason:' then kept = kept + 1 end
  end
  for i = reasons_from, #ARGV, 2 do
    local field = 'reason:' .. ARGV[i]
    if redis.call('HEXISTS', KEYS[2], field) == 0 then
      kept = kept + 1
      if kept > tonumber(ARGV[13]) then field = 'reason:other' end
    end
    redis.call('HINCRBY', KEYS[2], field, ARGV[i + 1])
  end
end

redis.call('PEXPIRE', KEYS[1], ARGV[11])
redis.call('PEXPIRE', KEYS[2], ARGV[11])
redis.call('ZADD', KEYS[3], 'GT', ARGV[3], ARGV[1])
local excess = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[12])
if excess > 0 then redis.call('ZREMRANGEBYRANK', KEYS[3], 0, excess - 1) end
