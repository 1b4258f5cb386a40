-- Adds addresses to those that attacked from inside a block in force, and tells every in-memory table.
--
-- KEYS[1] string  the block's item                  TTL: kept as it is
-- KEYS[2] hash    active: key of the value -> decision JSON
-- KEYS[3] stream  changes
--
-- ARGV[1] the block's id    ARGV[2] key of its value    ARGV[3] how many addresses are kept    ARGV[4] length of changes
-- ARGV[5...] addresses, newest first
--
-- Returns 1 where something was added, 0 where all were known or the block is not in force.

local row = redis.call('HGET', KEYS[2], ARGV[2])
local item = redis.call('GET', KEYS[1])
if not row or not item then
  return 0
end
local decision, block = cjson.decode(row), cjson.decode(item)
if decision.id ~= ARGV[1] then
  return 0
end
local known, kept, is_new = {}, {}, 0
for address in string.gmatch(decision.seen or '', '%S+') do
  known[address] = true
end
for i = 5, #ARGV do
  if not known[ARGV[i]] and #kept < tonumber(ARGV[3]) then
    known[ARGV[i]] = true
    kept[#kept + 1] = ARGV[i]
    is_new = 1
  end
end
if is_new == 0 then
  return 0
end
for address in string.gmatch(decision.seen or '', '%S+') do
  if #kept < tonumber(ARGV[3]) then
    kept[#kept + 1] = address
  end
end
decision.seen = table.concat(kept, ' ')
block.seen = decision.seen
local text = cjson.encode(decision)
redis.call('SET', KEYS[1], cjson.encode(block), 'KEEPTTL')
redis.call('HSET', KEYS[2], ARGV[2], text)
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'op', 'add', 'decision', text, 'reason', 'seen')
return 1
