-- Counts what one batch brought to one shard, in one atomic step: the batch is marked as applied, the windows
-- advance, and every threshold that is crossed is appended to the findings stream.
--
-- KEYS[1]   STRING  mark of the batch                    TTL left behind: ARGV[1]
-- KEYS[2]   STREAM  findings of this shard               no TTL; the responder deletes what it has handled
-- KEYS[3..] STRING  window of group i, cmsgpack          TTL left behind: the group's ttl_ms
-- ARGV[1]   ms      how long the mark lives; 0: the batch is not marked
-- ARGV[2]   0 or 1  whether findings go to the stream (a replay only wants them returned)
-- ARGV[3..] cmsgpack {kind, n, window_ms, ttl_ms, min_volume, meta, times, values, evidence} of group i:
--   times     event times in epoch ms, ascending
--   values    distinct: a hash per time; streak and sequence: 1 (good) or 0 (bad) per time;
--             ratio: total and bad, alternating, per time (times are bucket starts); else empty
--   evidence  {time, text, time, text ...} for some of the times, ascending
-- returns   {applied 0 or 1, then per finding: group number, first_at, at, count}
--
-- How much is kept: 2(n-1) times suffice to answer exactly for events that are late by up to one window, since
-- the 2W before the newest event hold at most n-1 unconsumed ones per W. For distinct values, twice as many:
-- of one value, a time between two others that lie within W changes no window, and is dropped.

local EVIDENCE = 10

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

local function emit(found, group, first, last, count, evidence, total)
  found[#found + 1] = {first, last, count, evidence, total or 0}
  reply[#reply + 1] = group
  reply[#reply + 1] = first
  reply[#reply + 1] = last
  reply[#reply + 1] = count
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

-- n bad ones (0) within the window, then a good one (1).
local function sequence(state, g, group, found)
  local n = g.n
  for i, t in ipairs(g.times) do
    if g.values[i] == 0 then
      insert(state.t, t)
      if #state.t > 4 * n then state.t = cut_front(state.t, 2 * n) end
    else
      local last = #state.t
      while last >= 1 and state.t[last] > t do last = last - 1 end
      if last >= n and t - state.t[last - n + 1] < g.window then
        local first = state.t[last - n + 1]
        state.t = remove_range(state.t, 1, last)
        emit(found, group, first, t, n, take_evidence(state, first, t))
      end
    end
  end
  state.t = cut_front(state.t, 2 * n)
end

-- n bad ones in a row within the window; what is older than the newest one seen is too late to tell anything.
local function streak(state, g, group, found)
  for i, t in ipairs(g.times) do
    if t >= (state.last or 0) then
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

local ways = {count = count, distinct = distinct, sequence = sequence, streak = streak, ratio = ratio}

local function add_evidence(state, evidence)
  for i = 1, #evidence, 2 do
    local place = #state.e
    while place >= 2 and state.e[place - 1] > evidence[i] do place = place - 2 end
    table.insert(state.e, place + 1, evidence[i])
    table.insert(state.e, place + 2, evidence[i + 1])
  end
end

local function append(entry, meta)
  redis.call('XADD', KEYS[2], '*', 'meta', meta, 'first_at', string.format('%.0f', entry[1]),
    'at', string.format('%.0f', entry[2]), 'count', string.format('%.0f', entry[3]),
    'evidence', cmsgpack.pack(entry[4]), 'total', string.format('%.0f', entry[5]))
end

for i = 3, #KEYS do
  local a = cmsgpack.unpack(ARGV[i])
  local g = {n = a[2], window = a[3], min_volume = a[5], times = a[7], values = a[8]}
  local packed = redis.call('GET', KEYS[i])
  local state = packed and cmsgpack.unpack(packed) or {t = {}, v = {}, e = {}}
  local found = {}
  add_evidence(state, a[9])
  ways[a[1]](state, g, i - 3, found)
  state.e = cut_front(state.e, 2 * EVIDENCE)
  -- The stream gets a group's first finding of a batch at once and the others as one: a flood of findings about
  -- one subject must not delay the first about another.
  if ARGV[2] == '1' and #found > 0 then
    append(found[1], a[6])
    if #found > 1 then
      local rest, last = found[2], found[#found]
      local sum, total, from, to = 0, 0, rest[1], rest[2]
      for f = 2, #found do
        sum = sum + found[f][3]
        total = total + found[f][5]
        from = math.min(from, found[f][1])
        to = math.max(to, found[f][2])
      end
      append({from, to, sum, last[4], total}, a[6])
    end
  end
  if #state.t == 0 and #state.e == 0 and not state.last then
    if packed then redis.call('DEL', KEYS[i]) end
  else
    redis.call('SET', KEYS[i], cmsgpack.pack(state), 'PX', a[4])
  end
end
return reply
