-- Takes the letter of one channel that is due first, and is the first of each of its incidents: for the time of a lease,
-- after which it is due again.
--
-- KEYS[1] hash        letters: id to JSON
-- KEYS[2] sorted set  letters by the time they are due, ms; +inf: behind another letter of the same incident
-- KEYS[3] sorted set  "INCIDENT ORDER LETTER" by text: the line of each incident
-- KEYS[4] hash        the channel's record
--
-- ARGV[1] now, ms   ARGV[2] lease, ms   ARGV[3] letters a minute, 0: any   ARGV[4] burst   ARGV[5] group interval, ms
-- ARGV[6] how many due letters to look at, at most
--
-- Returns {id, JSON, attempts with this one}, or {"", when to ask again in ms, or -1 where nothing waits}. No TTLs.

local now = tonumber(ARGV[1])
local held = tonumber(redis.call('HGET', KEYS[4], 'held_until') or 0)
if held > now then
  return {'', held}
end

local per_minute, burst = tonumber(ARGV[3]), tonumber(ARGV[4])
local tokens = 0
if per_minute > 0 then
  local known = redis.call('HMGET', KEYS[4], 'tokens', 'tokens_at')
  local since = math.max(0, now - tonumber(known[2] or 0))
  tokens = math.min(burst, tonumber(known[1] or burst) + since * per_minute / 60000)
  if tokens < 1 then
    local next_at = redis.call('ZCARD', KEYS[2]) > 0 and now + math.ceil((1 - tokens) * 60000 / per_minute) or -1
    return {'', next_at}
  end
end

-- A letter's incidents: of the messages kept in it, and of those that are only counted.
local function incidents_of(letter)
  local found = {}
  for _, text in ipairs(letter.messages) do
    found[#found + 1] = cjson.decode(text).incident_id
  end
  for _, each in ipairs(letter.rest or {}) do
    found[#found + 1] = each.incident
  end
  return found
end

local function is_first(id, letter)
  for _, incident in ipairs(incidents_of(letter)) do
    if incident ~= '' then
      local head = redis.call('ZRANGEBYLEX', KEYS[3], '[' .. incident .. ' ', '(' .. incident .. '!', 'LIMIT', 0, 1)[1]
      if head and string.match(head, '^%S+ %d+ (.+)$') ~= id then return false end
    end
  end
  return true
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[6])) do
  local text = redis.call('HGET', KEYS[1], id)
  local letter = text and cjson.decode(text)
  if not letter then
    redis.call('ZREM', KEYS[2], id)
  elseif not is_first(id, letter) then
    redis.call('ZADD', KEYS[2], '+inf', id)
  else
    letter.attempts = letter.attempts + 1
    if letter.since == 0 then letter.since = now end
    if letter.group ~= '' then
      local field = 'group:' .. letter.group
      if string.match(redis.call('HGET', KEYS[4], field) or ' 0', '^(%S*) ') == id then
        redis.call('HSET', KEYS[4], field, string.format(' %d', now + tonumber(ARGV[5])))
      end
    end
    if per_minute > 0 then
      redis.call('HSET', KEYS[4], 'tokens', string.format('%.6f', tokens - 1), 'tokens_at', now)
    end
    text = cjson.encode(letter)
    redis.call('HSET', KEYS[1], id, text)
    redis.call('ZADD', KEYS[2], string.format('%d', now + tonumber(ARGV[2])), id)
    return {id, text, letter.attempts}
  end
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
if not first or first == 'inf' then
  return {'', -1}
end
return {'', math.max(now, tonumber(first))}
