-- ratio: n per cent bad of at least min_volume events. times: bucket starts; values: total and bad, alternating.
--
-- Over: a whole window since the last firing, of at least min_volume events, in which less than `recovers` per cent of n
-- per cent were bad. Whoever is silent does not recover.

-- A bucket is judged when the next one begins, so the answer does not depend on how batches were cut. What has
-- happened since the next one began is no evidence for it.
local function judge_ratio(state, g, found, next)
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
    emit(found, first, newest, bad, take_evidence(state, first, next - 1), total)
    state.t, state.v = {}, {}
    if g.recovers > 0 then state.f = newest end
  elseif state.f and newest - state.f >= g.window and total >= g.min_volume
    and bad * 10000 < g.n * g.recovers * total then
    emit(found, first, newest, bad, {}, total, 1)
    state.f = nil
  end
end

local function ratio(state, g, found)
  for i, t in ipairs(g.times) do
    local total, bad = g.values[2 * i - 1], g.values[2 * i]
    local size = #state.t
    if size > 0 and t > state.t[size] then
      judge_ratio(state, g, found, t)
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
