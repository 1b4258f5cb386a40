local ways = {
  count = count, distinct = distinct, sequence = sequence, streak = streak, ratio = ratio,
  score = score, newcomer = newcomer, travel = travel, shared = shared, percentile = percentile,
}
-- How long it is remembered that a subject has fired and not recovered, after the last event about it.
local FIRING_MS = 86400000

local function add_evidence(state, evidence)
  for i = 1, #evidence, 2 do
    local place = #state.e
    while place >= 2 and state.e[place - 1] > evidence[i] do place = place - 2 end
    table.insert(state.e, place + 1, evidence[i])
    table.insert(state.e, place + 2, evidence[i + 1])
  end
end

local function append(entry, meta, n)
  local fields = {'meta', meta, 'first_at', string.format('%.0f', entry[1]), 'at', string.format('%.0f', entry[2]),
    'count', string.format('%.0f', entry[3]), 'evidence', cmsgpack.pack(entry[4]),
    'total', string.format('%.0f', entry[5]), 'users', users_of_group, 'threshold', n}
  local more = {recovered = entry[6], measured = entry[7]}
  for _, name in ipairs({'recovered', 'measured'}) do
    if more[name] ~= 0 then
      fields[#fields + 1] = name
      fields[#fields + 1] = string.format('%.0f', more[name])
    end
  end
  redis.call('XADD', KEYS[2], '*', unpack(fields))
end

-- Findings from one place to another as one.
local function as_one(found, from, to)
  local one, sum, total, first, last, measured = found[from], 0, 0, found[from][1], found[from][2], 0
  for f = from, to do
    one = found[f]
    sum, total = sum + one[3], total + one[5]
    first, last, measured = math.min(first, one[1]), math.max(last, one[2]), math.max(measured, one[7])
  end
  return {first, last, sum, one[4], total, 0, measured}
end

-- The stream gets a group's first finding of a batch at once and the others as one: a flood of findings about one
-- subject must not delay the first about another. That it has recovered stands by itself between them.
local function append_all(found, meta, n)
  local f = 1
  while f <= #found do
    local last = f
    while found[f][6] == 0 and found[last + 1] and found[last + 1][6] == 0 do last = last + 1 end
    append(found[f], meta, n)
    if last > f then append(as_one(found, f + 1, last), meta, n) end
    f = last + 1
  end
end

for i = 4, #ARGV do
  local window = KEYS[i - 1]
  local a = cmsgpack.unpack(ARGV[i])
  local g = {n = a[2], window = a[3], min_volume = a[5], times = a[7], values = a[8], memory = a[13],
    spares_known = a[14] == 1, percentile = a[15], recovers = a[16]}
  local known = a[10] > 0 and users_at(KEYS[a[10]]) or {}
  users_of_group = number_of(known, a[11], a[13], g.times[#g.times])
  if g.spares_known then g.users = known end
  if a[12] == 1 and users_of_group > 0 then g.n = g.n * math.min(users_of_group, MOST_RAISED) end
  local packed = redis.call('GET', window)
  local readable, state = pcall(function() return packed and cmsgpack.unpack(packed) end)
  readable = readable and (not packed or type(state) == 'table')
  -- A rule whose kind the policy changed begins anew: its times mean something else now. Windows of before kinds were
  -- written down are of the kind that the rule has, but for scores, which were counts.
  if not readable or not state or (state.k or (a[1] == 'score' and 'count' or a[1])) ~= a[1] then
    state = {t = {}, v = {}, e = {}}
  end
  state.k = a[1]
  local found = {}
  local counted, why = pcall(function()
    add_evidence(state, a[9])
    ways[a[1]](state, g, found)
  end)
  -- The batch is marked already, and there is no way back: what one window holds must not cost the others.
  if not (readable and counted) then
    reply[2] = reply[2] + 1
    redis.log(redis.LOG_WARNING, 'a window begins anew: ' .. tostring(counted and 'it could not be read' or why))
  end
  if not counted then
    state, found = {t = {}, v = {}, e = {}, k = a[1]}, {}
  end
  for _, one in ipairs(found) do
    for _, part in ipairs({i - 4, one[1], one[2], one[3], users_of_group, one[6]}) do reply[#reply + 1] = part end
  end
  state.e = cut_front(state.e, 2 * EVIDENCE)
  if ARGV[2] == '1' then append_all(found, a[6], g.n) end
  local remembers = state.good or next(state.p or {}) or next(state.u or {})
  if #state.t == 0 and #state.e == 0 and not state.last and not state.f and not remembers then
    if packed then redis.call('DEL', window) end
  else
    local ttl = remembers and math.max(a[4], a[13]) or a[4]
    redis.call('SET', window, cmsgpack.pack(state), 'PX', state.f and math.max(ttl, FIRING_MS) or ttl)
  end
end
return reply
