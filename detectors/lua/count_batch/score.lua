-- score: n points. values: points (hundredths) and a hash or '', alternating, per time.

-- Points count in full for one window, half in the next and a quarter in the third.
local SCORE_WINDOWS = 3
-- What a subject's score keeps: no pattern weighs less than 0.2 points, so n points are at most 5n entries in the first
-- window, 10n in the second and 20n in the third.
local SCORE_ENTRIES = 35

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
    if t - state.t[i] >= window then break end
    if state.h[i] == hash and state.t[i] - t < window then return true end
  end
  return false
end

-- Drops what counts nowhere any more, and the oldest where there is too much.
local function trim(state, n, window)
  local newest, gone = state.t[#state.t], 0
  while newest and (newest - state.t[gone + 1] >= (SCORE_WINDOWS + 1) * window or #state.t - gone > SCORE_ENTRIES * n) do
    gone = gone + 1
  end
  if gone > 0 then
    state.t = remove_range(state.t, 1, gone)
    state.v = remove_range(state.v, 1, gone)
    state.h = remove_range(state.h, 1, gone)
  end
end

-- n points; of events with the same hash within a window, one counts.
local function score(state, g, found)
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
          emit(found, first, last, to - from + 1, take_evidence(state, first, last))
          break
        end
      end
      trim(state, g.n, g.window)
    end
  end
end
