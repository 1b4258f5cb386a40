-- Counts what one batch brought to one shard, in one atomic step: the batch is marked as applied, the windows
-- advance, and every threshold that is crossed is appended to the findings stream.
--
-- KEYS[1]   STRING  mark of the batch                    TTL left behind: ARGV[1]
-- KEYS[2]   STREAM  findings of this shard               no TTL; the responder deletes what it has handled
-- KEYS[3..] STRING  window of group i, cmsgpack          TTL left behind: the group's ttl_ms, or memory_ms where it
--                   remembers a success: nobody may fill the memory with failures of made-up users
-- KEYS behind these  STRING  who got in from an address, cmsgpack, only read; ARGV says which group asks for which
-- ARGV[1]   ms      how long the mark lives; 0: the batch is not marked
-- ARGV[2]   0 or 1  whether findings go to the stream (a replay only wants them returned)
-- ARGV[3..] cmsgpack {kind, n, window_ms, ttl_ms, min_volume, meta, times, values, evidence, shared_key, shared_from,
--            raised, memory_ms, spares_known} of group i:
--   times     event times in epoch ms, ascending
--   values    distinct: a hash per time; sequence: 1 (good) or 0 (bad) per time; streak: the same, or the hash of
--             the user (bad) per time;
--             ratio: total and bad, alternating, per time (times are bucket starts);
--             score: points (hundredths) and a hash or '', alternating, per time; newcomer: '' (bad) or the hash of the
--             place (good) per time; travel: {latitude, longitude, radius in km, AS number or 0} per time;
--             shared: the hash of a user per time; else empty
--   evidence  {time, text, time, text ...} for some of the times, ascending
--   shared_key   index in KEYS of who got in from this address, or 0; shared_from: users that make it a shared one;
--   raised       1: n is multiplied by the users of a shared address, at most by 10
--   memory_ms    how long places and users are remembered (newcomer, shared, sequence)
--   spares_known 1: streak: what the users in shared_key failed is not counted; sequence: where a good one came within
--             memory_ms before, twice n are needed
-- returns   {applied 0 or 1, then per finding: group number, first_at, at, count, users of a shared address or 0}
--
-- How much is kept: 2(n-1) times suffice to answer exactly for events that are late by up to one window, since
-- the 2W before the newest event hold at most n-1 unconsumed ones per W. For distinct values, twice as many:
-- of one value, a time between two others that lie within W changes no window, and is dropped.

local EVIDENCE = 10
-- Score: points count in full for one window, half in the next and a quarter in the third.
local SCORE_WINDOWS = 3
-- What a subject's score keeps: no pattern weighs less than 0.2 points, so n points are at most 5n entries in the first
-- window, 10n in the second and 20n in the third.
local SCORE_ENTRIES = 35
local PLACES, USERS, JOURNEYS = 32, 64, 8
-- A user counts as one of a shared address an hour after first getting in: who takes accounts over does not wait.
local SETTLED_MS = 3600000
local MOST_RAISED = 10
-- Impossible travel: at least so far apart, and faster than an airliner. Source: Elastic (500 km), Panther (900 km/h).
local LEAST_KM, LEAST_KM_H = 500, 900

if ARGV[1] ~= '0' then
  if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return {0} end
end

local reply = {1}

-- The newest EVIDENCE texts between two times; what is returned or older is dropped from the state.
local function take_evidence(state, first, last)
  local kept, taken = {}, {}
  for i = 1, #state.e, 2 do
    local at = state.e[i]
    if at >= first and at <= last then
      taken[#taken + 1] = state.e[i + 1]
    elseif at > last then
      kept[#kept + 1] = at
      kept[#kept + 1] = state.e[i + 1]
    end
  end
  state.e = kept
  while #taken > EVIDENCE do table.remove(taken, 1) end
  return taken
end

local function cut_front(list, size)
  local extra = #list - size
  if extra <= 0 then return list end
  local kept = {}
  for i = extra + 1, #list do kept[#kept + 1] = list[i] end
  return kept
end

local users_of_group = 0

local function emit(found, group, first, last, count, evidence, total)
  found[#found + 1] = {first, last, count, evidence, total or 0}
  reply[#reply + 1] = group
  reply[#reply + 1] = first
  reply[#reply + 1] = last
  reply[#reply + 1] = count
  reply[#reply + 1] = users_of_group
end

-- Puts an element into ascending times; returns its place.
local function insert(times, t)
  local i = #times
  while i >= 1 and times[i] > t do
    times[i + 1] = times[i]
    i = i - 1
  end
  times[i + 1] = t
  return i + 1
end

local function remove_range(list, from, to)
  local kept = {}
  for i = 1, #list do
    if i < from or i > to then kept[#kept + 1] = list[i] end
  end
  return kept
end

local function count(state, g, group, found)
  local n, window = g.n, g.window
  for _, t in ipairs(g.times) do
    local place = insert(state.t, t)
    local last_start = math.min(place, #state.t - n + 1)
    for s = math.max(1, place - n + 1), last_start do
      if state.t[s + n - 1] - state.t[s] < window then
        local first, last = state.t[s], state.t[s + n - 1]
        state.t = remove_range(state.t, s, s + n - 1)
        emit(found, group, first, last, n, take_evidence(state, first, last))
        break
      end
    end
    if #state.t > 4 * n then state.t = cut_front(state.t, 2 * (n - 1)) end
  end
  state.t = cut_front(state.t, 2 * (n - 1))
end

-- Drops the times of one value that change no window: those between two others that are at most W apart.
local function thin(state, value, window)
  local before, middle, i = nil, nil, 1
  while i <= #state.t do
    if state.v[i] == value then
      if before and state.t[i] - state.t[before] <= window then
        table.remove(state.t, middle)
        table.remove(state.v, middle)
        i = i - 1
      else
        before = middle
      end
      middle = i
    end
    i = i + 1
  end
end

-- The shortest window that holds place p and n different values: its first and last place, and the first place
-- that the finding consumes; or nil.
local function distinct_window(state, p, n, window)
  local times, values = state.t, state.v
  local s = p
  while s > 1 and times[p] - times[s - 1] < window do s = s - 1 end
  for from = p, s, -1 do
    local seen, different = {}, 0
    for i = from, #times do
      if times[i] - times[from] >= window then break end
      if not seen[values[i]] then
        seen[values[i]] = true
        different = different + 1
        if different >= n and i >= p then return from, i, s end
      end
    end
  end
  return nil
end

local function distinct(state, g, group, found)
  for i, t in ipairs(g.times) do
    local place = insert(state.t, t)
    table.insert(state.v, place, g.values[i])
    local from, to, oldest = distinct_window(state, place, g.n, g.window)
    if from then
      local first, last = state.t[from], state.t[to]
      state.t = remove_range(state.t, oldest, to)
      state.v = remove_range(state.v, oldest, to)
      emit(found, group, first, last, g.n, take_evidence(state, first, last))
    else
      thin(state, g.values[i], g.window)
    end
    local most = 4 * g.n
    if #state.t > most then
      state.t = cut_front(state.t, most)
      state.v = cut_front(state.v, most)
    end
  end
end

-- n bad ones (0) within the window, then a good one (1); twice as many where a good one is remembered.
local function sequence(state, g, group, found)
  local keep = g.spares_known and 4 * g.n or 2 * g.n
  for i, t in ipairs(g.times) do
    if g.values[i] == 0 then
      insert(state.t, t)
      if #state.t > 2 * keep then state.t = cut_front(state.t, keep) end
    else
      local is_known = g.spares_known and state.good and t >= state.good and t - state.good <= g.memory
      local n = is_known and 2 * g.n or g.n
      local last = #state.t
      while last >= 1 and state.t[last] > t do last = last - 1 end
      if last >= n and t - state.t[last - n + 1] < g.window then
        local first = state.t[last - n + 1]
        state.t = remove_range(state.t, 1, last)
        emit(found, group, first, t, n, take_evidence(state, first, t))
      end
      if g.spares_known then state.good = math.max(state.good or t, t) end
    end
  end
  state.t = cut_front(state.t, keep)
end

-- Whether a user got in from this address in the time before.
local function is_known_user(g, user, t)
  local seen = g.users and g.users[user]
  return seen and t >= seen[1] and t - seen[2] <= g.memory
end

local function drop_evidence(state, times)
  local kept = {}
  for i = 1, #state.e, 2 do
    if not times[state.e[i]] then
      kept[#kept + 1] = state.e[i]
      kept[#kept + 1] = state.e[i + 1]
    end
  end
  state.e = kept
end

-- n bad ones in a row within the window; what is older than the newest one seen is too late to tell anything.
local function streak(state, g, group, found)
  local spared = {}
  for i, t in ipairs(g.times) do
    if is_known_user(g, g.values[i], t) then
      spared[t] = true
    elseif t >= (state.last or 0) then
      if g.values[i] == 1 then
        -- Nothing is kept of a subject that is well, or each made-up Host header would cost memory for days.
        state.t, state.e, state.last = {}, {}, nil
      else
        state.last = t
        while state.t[1] and t - state.t[1] >= g.window do table.remove(state.t, 1) end
        state.t[#state.t + 1] = t
        if #state.t >= g.n then
          local first = state.t[1]
          state.t = {}
          emit(found, group, first, t, g.n, take_evidence(state, first, t))
        end
      end
    end
  end
  if next(spared) then drop_evidence(state, spared) end
end

-- A bucket is judged when the next one begins, so the answer does not depend on how batches were cut. What has
-- happened since the next one began is no evidence for it.
local function judge_ratio(state, g, group, found, next)
  local newest = state.t[#state.t]
  local total, bad, first = 0, 0, nil
  for i = 1, #state.t do
    if state.t[i] > newest - g.window then
      total = total + state.v[2 * i - 1]
      bad = bad + state.v[2 * i]
      first = first or state.t[i]
    end
  end
  if total >= g.min_volume and bad > 0 and bad * 100 >= g.n * total then
    emit(found, group, first, newest, bad, take_evidence(state, first, next - 1), total)
    state.t, state.v = {}, {}
  end
end

local function ratio(state, g, group, found)
  for i, t in ipairs(g.times) do
    local total, bad = g.values[2 * i - 1], g.values[2 * i]
    local size = #state.t
    if size > 0 and t > state.t[size] then
      judge_ratio(state, g, group, found, t)
      size = #state.t
    end
    local place = size
    while place >= 1 and state.t[place] > t do place = place - 1 end
    if place >= 1 and state.t[place] == t then
      state.v[2 * place - 1] = state.v[2 * place - 1] + total
      state.v[2 * place] = state.v[2 * place] + bad
    elseif size == 0 or t > state.t[1] - g.window then
      table.insert(state.t, place + 1, t)
      table.insert(state.v, 2 * place + 1, total)
      table.insert(state.v, 2 * place + 2, bad)
    end
    local newest = state.t[#state.t]
    while newest and state.t[1] <= newest - 2 * g.window do
      table.remove(state.t, 1)
      table.remove(state.v, 1)
      table.remove(state.v, 1)
    end
  end
end

-- The points that lie within three windows up to a time, and the place of the first of them.
local function points_at(state, at, window)
  local points, first = 0, nil
  for i = #state.t, 1, -1 do
    local age = at - state.t[i]
    if age >= SCORE_WINDOWS * window then break end
    if age >= 0 then
      points = points + state.v[i] / 2 ^ math.floor(age / window)
      first = i
    end
  end
  return points, first
end

local function has_hash_near(state, hash, t, window)
  for i = #state.t, 1, -1 do
    if state.h[i] == hash and math.abs(t - state.t[i]) < window then return true end
  end
  return false
end

-- n points; of events with the same hash within a window, one counts.
local function score(state, g, group, found)
  state.h = state.h or {}
  for i, t in ipairs(g.times) do
    local points, hash = g.values[2 * i - 1], g.values[2 * i]
    if hash == '' or not has_hash_near(state, hash, t, g.window) then
      local place = insert(state.t, t)
      table.insert(state.v, place, points)
      table.insert(state.h, place, hash)
      for e = place, #state.t do
        local last = state.t[e]
        if last - t >= SCORE_WINDOWS * g.window then break end
        local sum, from = points_at(state, last, g.window)
        if sum >= 100 * g.n then
          local to = e
          while state.t[to + 1] == last do to = to + 1 end
          local first = state.t[from]
          state.t = remove_range(state.t, 1, to)
          state.v = remove_range(state.v, 1, to)
          state.h = remove_range(state.h, 1, to)
          emit(found, group, first, last, to - from + 1, take_evidence(state, first, last))
          break
        end
      end
    end
  end
  local most = SCORE_ENTRIES * g.n
  local newest = state.t[#state.t]
  local gone = 0
  while newest and (newest - state.t[gone + 1] >= (SCORE_WINDOWS + 1) * g.window or #state.t - gone > most) do
    gone = gone + 1
  end
  if gone > 0 then
    state.t = remove_range(state.t, 1, gone)
    state.v = remove_range(state.v, 1, gone)
    state.h = remove_range(state.h, 1, gone)
  end
end

-- Drops the entry seen longest ago where there are more than `most`, and those not seen for `memory`.
local function forget(entries, most, memory, now, seen_at)
  local size, oldest = 0, nil
  for name, entry in pairs(entries) do
    if now - seen_at(entry) > memory then
      entries[name] = nil
    else
      size = size + 1
      if not oldest or seen_at(entry) < seen_at(entries[oldest]) then oldest = name end
    end
  end
  if size > most then entries[oldest] = nil end
  return size
end

local function itself(entry) return entry end
local function last_of(entry) return entry[2] end

-- n bad ones within the window, then a good one from a place that is not among those known; silent while none is.
local function newcomer(state, g, group, found)
  local n = g.n
  state.p = state.p or {}
  for i, t in ipairs(g.times) do
    local place = g.values[i]
    if place == '' then
      insert(state.t, t)
      if #state.t > 4 * n then state.t = cut_front(state.t, 2 * n) end
    else
      local known = forget(state.p, PLACES, g.memory, t, itself)
      local last = #state.t
      while last >= 1 and state.t[last] > t do last = last - 1 end
      if known > 0 and not state.p[place] and last >= n and t - state.t[last - n + 1] < g.window then
        local first = state.t[last - n + 1]
        state.t = remove_range(state.t, 1, last)
        emit(found, group, first, t, n, take_evidence(state, first, t))
      end
      state.p[place] = math.max(state.p[place] or t, t)
    end
  end
  state.t = cut_front(state.t, 2 * n)
end

-- Kilometres between two places on a sphere (haversine).
local function distance_km(a, b)
  local rad = math.pi / 180
  local la, lb = a[1] * rad, b[1] * rad
  local h = math.sin((lb - la) / 2) ^ 2 + math.cos(la) * math.cos(lb) * math.sin((b[2] - a[2]) * rad / 2) ^ 2
  return 2 * 6371 * math.asin(math.min(1, math.sqrt(h)))
end

local function is_impossible(state, i, j)
  local a, b = state.v[i], state.v[j]
  if not a or not b or (a[4] ~= 0 and a[4] == b[4]) then return false end
  local km = distance_km(a, b) - a[3] - b[3]
  return km >= LEAST_KM and km * 3600000 >= LEAST_KM_H * (state.t[j] - state.t[i])
end

-- Two successes, one after the other, too far apart for the time between them; the later one is kept.
local function travel(state, g, group, found)
  for i, t in ipairs(g.times) do
    local place = insert(state.t, t)
    table.insert(state.v, place, g.values[i])
    local before = is_impossible(state, place - 1, place) and place - 1
      or (is_impossible(state, place, place + 1) and place)
    if before then
      local first, last = state.t[before], state.t[before + 1]
      state.t = remove_range(state.t, 1, before)
      state.v = remove_range(state.v, 1, before)
      emit(found, group, first, last, 2, take_evidence(state, first, last))
    end
    state.t = cut_front(state.t, JOURNEYS)
    state.v = cut_front(state.v, JOURNEYS)
  end
  local newest = state.t[#state.t]
  while newest and newest - state.t[1] >= g.window do
    table.remove(state.t, 1)
    table.remove(state.v, 1)
  end
end

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

local ways = {
  count = count, distinct = distinct, sequence = sequence, streak = streak, ratio = ratio,
  score = score, newcomer = newcomer, travel = travel, shared = shared,
}

local function add_evidence(state, evidence)
  for i = 1, #evidence, 2 do
    local place = #state.e
    while place >= 2 and state.e[place - 1] > evidence[i] do place = place - 2 end
    table.insert(state.e, place + 1, evidence[i])
    table.insert(state.e, place + 2, evidence[i + 1])
  end
end

local function append(entry, meta, n)
  redis.call('XADD', KEYS[2], '*', 'meta', meta, 'first_at', string.format('%.0f', entry[1]),
    'at', string.format('%.0f', entry[2]), 'count', string.format('%.0f', entry[3]),
    'evidence', cmsgpack.pack(entry[4]), 'total', string.format('%.0f', entry[5]), 'users', users_of_group,
    'threshold', n)
end

for i = 3, #ARGV do
  local a = cmsgpack.unpack(ARGV[i])
  local g = {n = a[2], window = a[3], min_volume = a[5], times = a[7], values = a[8], memory = a[13],
    spares_known = a[14] == 1}
  local known = a[10] > 0 and users_at(KEYS[a[10]]) or {}
  users_of_group = number_of(known, a[11], a[13], g.times[#g.times])
  if g.spares_known then g.users = known end
  if a[12] == 1 and users_of_group > 0 then g.n = g.n * math.min(users_of_group, MOST_RAISED) end
  local packed = redis.call('GET', KEYS[i])
  local state = packed and cmsgpack.unpack(packed)
  -- A rule whose kind the policy changed begins anew: its times mean something else now. Windows of before kinds were
  -- written down are of the kind that the rule has, but for scores, which were counts.
  if not state or (state.k or (a[1] == 'score' and 'count' or a[1])) ~= a[1] then
    state = {t = {}, v = {}, e = {}, k = a[1]}
  end
  state.k = a[1]
  local found = {}
  add_evidence(state, a[9])
  ways[a[1]](state, g, i - 3, found)
  state.e = cut_front(state.e, 2 * EVIDENCE)
  -- The stream gets a group's first finding of a batch at once and the others as one: a flood of findings about
  -- one subject must not delay the first about another.
  if ARGV[2] == '1' and #found > 0 then
    append(found[1], a[6], g.n)
    if #found > 1 then
      local rest, last = found[2], found[#found]
      local sum, total, from, to = 0, 0, rest[1], rest[2]
      for f = 2, #found do
        sum = sum + found[f][3]
        total = total + found[f][5]
        from = math.min(from, found[f][1])
        to = math.max(to, found[f][2])
      end
      append({from, to, sum, last[4], total}, a[6], g.n)
    end
  end
  local remembers = state.good or next(state.p or {}) or next(state.u or {})
  if #state.t == 0 and #state.e == 0 and not state.last and not remembers then
    if packed then redis.call('DEL', KEYS[i]) end
  else
    redis.call('SET', KEYS[i], cmsgpack.pack(state), 'PX', remembers and math.max(a[4], a[13]) or a[4])
  end
end
return reply
