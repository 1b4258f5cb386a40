-- Renews one host's claims on external lists, withdraws those that it no longer has, and says which lists nobody wants.
--
-- KEYS[1] hash  claims: "HOST NAME" -> its end, ms; `renewed` and `since`: when anybody renewed last, and since when
--               somebody has without a break, ms
-- KEYS[2] hash  how all lists are doing, by name
--
-- ARGV[1] the host        ARGV[2] how long a claim lasts, ms
-- ARGV[3] how many names the host's policy has, then these; then names that it has given up
--
-- Returns the names of lists that nobody claims. Times are this server's: those of the hosts may differ. After an outage
-- in which nobody could renew, and where nobody ever has, every claim counts until all hosts have had their time; only
-- what is given up now may be unwanted then. TTL: none.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local host, lasts, number = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local wanted, given_up = {}, {}
for i = 4, #ARGV do
  if i < 4 + number then wanted[ARGV[i]] = true else given_up[ARGV[i]] = true end
end

local claims = {}
local found = redis.call('HGETALL', KEYS[1])
for i = 1, #found, 2 do claims[found[i]] = tonumber(found[i + 1]) end
local renewed, since = claims.renewed, claims.since
if not renewed or not since or renewed > now or now - renewed > lasts then since = now end
local is_grace = now - since < lasts
redis.call('HSET', KEYS[1], 'renewed', string.format('%.0f', now), 'since', string.format('%.0f', since))

local is_claimed = {}
for field, ends in pairs(claims) do
  local owner, name = string.match(field, '^(%S+) (.+)$')
  if owner == host then
    if not wanted[name] then
      redis.call('HDEL', KEYS[1], field)
      given_up[name] = true
    end
  elseif owner and (is_grace or ends > now) then
    is_claimed[name] = true
  elseif owner then
    redis.call('HDEL', KEYS[1], field)
  end
end
for name in pairs(wanted) do
  redis.call('HSET', KEYS[1], host .. ' ' .. name, string.format('%.0f', now + lasts))
  is_claimed[name] = true
end

local unwanted = {}
for _, name in ipairs(redis.call('HKEYS', KEYS[2])) do
  if not is_claimed[name] and (given_up[name] or not is_grace) then unwanted[#unwanted + 1] = name end
end
return unwanted
