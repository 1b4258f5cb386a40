-- travel: two events too far apart. values: {latitude, longitude, radius in km, AS number or 0} per time.

-- At least so far apart, and faster than an airliner. Source: Elastic (500 km), Panther (900 km/h).
local LEAST_KM, LEAST_KM_H = 500, 900
local JOURNEYS = 8

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
local function travel(state, g, found)
  for i, t in ipairs(g.times) do
    local place = insert(state.t, t)
    table.insert(state.v, place, g.values[i])
    local before = is_impossible(state, place - 1, place) and place - 1
      or (is_impossible(state, place, place + 1) and place)
    if before then
      local first, last = state.t[before], state.t[before + 1]
      state.t = remove_range(state.t, 1, before)
      state.v = remove_range(state.v, 1, before)
      emit(found, first, last, 2, take_evidence(state, first, last))
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
