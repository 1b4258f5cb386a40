-- Looks through findings that nobody has been given yet, and takes the urgent ones out of turn: those that block, and
-- those whose incident is immediate. Not those that are critical: a client can make up critical keys by the thousand.
-- What is taken is pending for the consumer as if it had been read in turn.
--
-- KEYS[1] stream  findings of one shard; it has the group ARGV[1]
--
-- ARGV[1] consumer group   ARGV[2] consumer   ARGV[3] the entry after which to look
-- ARGV[4] how many entries to look at, at most   ARGV[5] how many to take, at most
--
-- Returns {the last entry looked at or "", then for each one taken {id, {field, value ...}}}.
--
-- A subject cannot pretend: in JSON its quotes are escaped.

local function is_urgent(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'meta' then
      local meta = fields[i + 1]
      return not string.find(meta, '"mode":"observe"', 1, true)
        and (string.find(meta, '"block_ip"', 1, true) or string.find(meta, '"create_incident_immediate"', 1, true))
    end
  end
  return false
end

local reply = {''}
for _, row in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[3], '+', 'COUNT', ARGV[4])) do
  reply[1] = row[1]
  if is_urgent(row[2]) and #redis.call('XPENDING', KEYS[1], ARGV[1], row[1], row[1], 1) == 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, row[1], 'FORCE', 'JUSTID')
    reply[#reply + 1] = row
    if #reply > tonumber(ARGV[5]) then break end
  end
end
return reply
