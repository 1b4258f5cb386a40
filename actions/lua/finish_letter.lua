-- Is done with one letter: delivered, superseded, or dead. Once, however many processes have it in hand.
--
-- KEYS[1] hash        letters: id to JSON
-- KEYS[2] sorted set  letters by the time they are due, ms
-- KEYS[3] sorted set  "INCIDENT ORDER LETTER" by text: the line of each incident
-- KEYS[4] hash        the channel's record
-- KEYS[5] stream      notifications, the log of deliveries
-- KEYS[6] stream      dead letters
-- KEYS[7] sorted set  "CHANNEL INCIDENT" by the time at which it is told again
-- KEYS[8] stream      outbox
-- then for each incident of the plan: stream its timeline, hash what the channel was told of it
--
-- ARGV[1] the letter's id   ARGV[2] now, ms   ARGV[3] length of notifications   ARGV[4] length of dead letters
-- ARGV[5] TTL of timelines and of what was told, ms   ARGV[6] the channel
-- ARGV[7] the plan, JSON: {result: delivered | superseded | dead, error, ref, notice: message JSON or "",
--           notice_every (ms), notes: [{status, error, m}],
--           incidents: [{incident, told: bool, kind, episode, entry: timeline kind, text, repeat_at: ms or 0}]}
--
-- Returns {1, 1 where the channel was failing or unhealthy before, 1 where a notice was written}, or {0, 0, 0} where
-- somebody else was done with it before.

local id, now, channel, plan = ARGV[1], tonumber(ARGV[2]), ARGV[6], cjson.decode(ARGV[7])
local text = redis.call('HGET', KEYS[1], id)
if not text then
  return {0, 0, 0}
end
local letter = cjson.decode(text)
redis.call('HDEL', KEYS[1], id)
redis.call('ZREM', KEYS[2], id)
if letter.group ~= '' then
  local field = 'group:' .. letter.group
  local open, next_at = string.match(redis.call('HGET', KEYS[4], field) or ' 0', '^(%S*) (%d+)$')
  if open == id then redis.call('HSET', KEYS[4], field, ' ' .. next_at) end
end

for i, each in ipairs(plan.incidents) do
  local timeline, told = KEYS[7 + 2 * i], KEYS[8 + 2 * i]
  redis.call('ZREM', KEYS[3], each.incident .. ' ' .. letter.order .. ' ' .. id)
  local low, high = '[' .. each.incident .. ' ', '(' .. each.incident .. '!'
  local follower = redis.call('ZRANGEBYLEX', KEYS[3], low, high, 'LIMIT', 0, 1)[1]
  if follower then
    local behind = string.match(follower, '^%S+ %d+ (.+)$')
    if redis.call('ZSCORE', KEYS[2], behind) == 'inf' then redis.call('ZADD', KEYS[2], now, behind) end
  end
  if each.told then
    local before = redis.call('HMGET', told, 'episode', 'ref')
    local ref = plan.ref
    if before[1] and tonumber(before[1]) == each.episode and before[2] ~= '' then ref = before[2] end
    redis.call('HSET', told, 'kind', each.kind, 'episode', each.episode, 'ref', ref, 'at', now)
    redis.call('PEXPIRE', told, ARGV[5])
    local member = channel .. ' ' .. each.incident
    if each.repeat_at > 0 then
      redis.call('ZADD', KEYS[7], string.format('%d', each.repeat_at), member)
    else
      redis.call('ZREM', KEYS[7], member)
    end
  end
  if each.entry ~= '' then
    redis.call('XADD', timeline, 'MAXLEN', '~', 10000, '*', 'at', now, 'recorded_at', now, 'actor', 'bartizan',
      'kind', each.entry, 'text', each.text, 'data', 'null')
    redis.call('PEXPIRE', timeline, ARGV[5])
  end
end

for _, each in ipairs(plan.notes) do
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[3], '*', 'at', now, 'channel', channel,
    'status', each.status, 'error', each.error, 'm', each.m)
end

local was_ill, is_noticed = 0, 0
if plan.result == 'delivered' then
  was_ill = redis.call('HEXISTS', KEYS[4], 'unhealthy_since')
  redis.call('HDEL', KEYS[4], 'failing_since', 'unhealthy_since', 'held_until')
  redis.call('HSET', KEYS[4], 'delivered_at', now)
elseif plan.result == 'dead' then
  redis.call('XADD', KEYS[6], 'MAXLEN', ARGV[4], '*', 'at', now, 'channel', channel, 'id', id, 'error', plan.error,
    'letter', text)
  redis.call('HSETNX', KEYS[4], 'failing_since', now)
  redis.call('HSETNX', KEYS[4], 'unhealthy_since', now)
  redis.call('HSET', KEYS[4], 'error', plan.error, 'failed_at', now)
  local told_at = tonumber(redis.call('HGET', KEYS[4], 'noticed_at') or 0)
  if plan.notice ~= '' and now - told_at >= plan.notice_every then
    redis.call('HSET', KEYS[4], 'noticed_at', now)
    redis.call('XADD', KEYS[8], '*', 'm', plan.notice)
    is_noticed = 1
  end
end
return {1, was_ill, is_noticed}
