-- Makes the letters of one message, records what is not told of it, and takes it off the outbox: once, however many
-- processes have it in hand.
--
-- KEYS[1] stream  outbox
-- KEYS[2] stream  notifications, the log of deliveries
-- KEYS[3] stream  timeline of the message's incident; not touched where it has none
-- KEYS[4] set     names of channels that have ever had a letter
-- KEYS[5] sorted set  "CHANNEL INCIDENT" by the time at which it is told again, ms
-- then for each target, in the order of the plan:
--   hash        letters: id to JSON {order, messages, rest, attempts, since, created, group}
--   sorted set  letters by the time they are due, ms; +inf: behind another letter of the same incident
--   sorted set  "INCIDENT ORDER LETTER" by text: the line of each incident
--   hash        the channel's record; field "group:GROUP" is "LETTER NEXT", the letter that still waits for others, and
--               before when (ms) the next one may not leave
--
-- ARGV[1] consumer group   ARGV[2] the row's id   ARGV[3] now, ms   ARGV[4] length of notifications
-- ARGV[5] TTL of a timeline, ms   ARGV[6] the message, JSON   ARGV[7] messages kept in a letter
-- ARGV[8] the plan, JSON: {incident, kind, episode, hurry, at,
--           targets: [{channel, letter, group ("": alone), wait (ms)}],
--           notes: [{channel, status, reason, again: when to ask whether it may be told by now, ms; 0: not}],
--           timeline: [text]}
--
-- Returns 1, or 0 where the row was settled before. No TTLs but that of the timeline.

local notes_kept = tonumber(ARGV[4])
local now, plan = tonumber(ARGV[3]), cjson.decode(ARGV[8])

local function note(channel, status, reason)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', notes_kept, '*', 'at', now, 'channel', channel,
    'status', status, 'error', reason, 'm', ARGV[6])
end

local function on_timeline(text)
  if plan.incident == '' then return end
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'at', now, 'recorded_at', now, 'actor', 'bartizan',
    'kind', 'not_notified', 'text', text, 'data', 'null')
  redis.call('PEXPIRE', KEYS[3], ARGV[5])
end

local function line_of(incident)
  return '[' .. incident .. ' ', '(' .. incident .. '!'
end

-- Letters are in the order in which their first messages were written, not dispatched: a row may be taken over late.
local function order_of(letter)
  local ms, count = string.match(letter, '^(%d+)%-(%d+)')
  return string.format('%015d%06d', tonumber(ms), tonumber(count))
end

local function wait_in_line(line, order, letter)
  if plan.incident ~= '' then
    redis.call('ZADD', line, 0, plan.incident .. ' ' .. order .. ' ' .. letter)
  end
end

local function create(items, due, line, target, at)
  local order = order_of(target.letter)
  local letter = {order = order, messages = {ARGV[6]}, attempts = 0, since = 0, created = now, group = target.group}
  redis.call('HSET', items, target.letter, cjson.encode(letter))
  redis.call('ZADD', due, string.format('%d', at), target.letter)
  wait_in_line(line, order, target.letter)
end

-- The letters of this incident that have not been sent: {order, id}, in their order.
local function pending(line)
  if plan.incident == '' then return {} end
  local found = {}
  local low, high = line_of(plan.incident)
  for _, member in ipairs(redis.call('ZRANGEBYLEX', line, low, high)) do
    local order, letter = string.match(member, '^%S+ (%d+) (.+)$')
    found[#found + 1] = {order, letter}
  end
  return found
end

local function waits(items, record, letter)
  local text = redis.call('HGET', items, letter)
  if not text then return false end
  local group = cjson.decode(text).group
  if group == '' then return false end
  local open = redis.call('HGET', record, 'group:' .. group)
  return open and string.match(open, '^(%S*) ') == letter
end

if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return 0
end
redis.call('XDEL', KEYS[1], ARGV[2])
for _, each in ipairs(plan.notes) do
  note(each.channel, each.status, each.reason)
  if each.again > 0 then
    redis.call('ZADD', KEYS[5], 'NX', string.format('%d', each.again), each.channel .. ' ' .. plan.incident)
  end
end
for _, text in ipairs(plan.timeline) do on_timeline(text) end

for i, target in ipairs(plan.targets) do
  local items, due, line, record = KEYS[2 + 4 * i], KEYS[3 + 4 * i], KEYS[4 + 4 * i], KEYS[5 + 4 * i]
  local before = pending(line)
  local newest = before[#before]
  redis.call('SADD', KEYS[4], target.channel)
  if target.group == '' then
    for _, each in ipairs(before) do
      if plan.hurry and waits(items, record, each[2]) then redis.call('ZADD', due, 'LT', now, each[2]) end
    end
    create(items, due, line, target, now)
  elseif newest and waits(items, record, newest[2]) then
    note(target.channel, 'superseded', 'grouped: the letter that waits shows it')
    on_timeline('not told through ' .. target.channel .. ': grouped, the letter that waits shows it')
  else
    local field = 'group:' .. target.group
    local open, next_at = string.match(redis.call('HGET', record, field) or ' 0', '^(%S*) (%d+)$')
    local text = open ~= '' and redis.call('HGET', items, open)
    local letter = text and cjson.decode(text)
    if not letter then
      local at = math.max(now + target.wait, tonumber(next_at))
      create(items, due, line, target, at)
      redis.call('HSET', record, field, target.letter .. ' ' .. next_at)
    elseif newest and newest[1] > letter.order then
      create(items, due, line, {letter = target.letter, group = ''}, now)
    else
      if #letter.messages < tonumber(ARGV[7]) then
        letter.messages[#letter.messages + 1] = ARGV[6]
      else
        letter.rest = letter.rest or {}
        letter.rest[#letter.rest + 1] = {incident = plan.incident, kind = plan.kind, episode = plan.episode}
      end
      redis.call('HSET', items, open, cjson.encode(letter))
      wait_in_line(line, letter.order, open)
    end
  end
end
return 1
