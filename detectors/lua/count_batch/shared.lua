-- shared: who got in from an address. values: the hash of a user per time.

local USERS = 64
-- A user counts as one of a shared address an hour after first getting in: who takes accounts over does not wait.
local SETTLED_MS = 3600000
local MOST_RAISED = 10

-- Who got in from an address: first and last time of each user. Finds nothing itself.
local function shared(state, g)
  state.u = state.u or {}
  for i, t in ipairs(g.times) do
    local known = state.u[g.values[i]]
    state.u[g.values[i]] = known and {math.min(known[1], t), math.max(known[2], t)} or {t, t}
    forget(state.u, USERS, g.memory, t, last_of)
  end
end

-- Who got in from an address: first and last time by the hash of the user.
local function users_at(key)
  local packed = redis.call('GET', key)
  return packed and cmsgpack.unpack(packed).u or {}
end

-- How many different users have been getting in from an address, where they are so many that it is shared; else 0.
local function number_of(known, from, memory, at)
  local users = 0
  for _, seen in pairs(known) do
    if at - seen[1] >= SETTLED_MS and at - seen[2] <= memory then users = users + 1 end
  end
  return users >= from and users or 0
end
