-- distinct: n different values within the window. values: a hash per time.
--
-- Twice as many times are kept as for a count: of one value, a time between two others that lie within W changes no
-- window, and is dropped.

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
-- that the finding consumes; or nil. One pass: both ends only move forward.
local function distinct_window(state, p, n, window)
  local times, values = state.t, state.v
  local s = p
  while s > 1 and times[p] - times[s - 1] < window do s = s - 1 end
  local held, different, to = {}, 0, s - 1
  local best_from, best_to
  for from = s, p do
    while (to < p or different < n) and to < #times and times[to + 1] - times[from] < window do
      to = to + 1
      held[values[to]] = (held[values[to]] or 0) + 1
      if held[values[to]] == 1 then different = different + 1 end
    end
    if to >= p and different >= n then best_from, best_to = from, to end
    held[values[from]] = held[values[from]] - 1
    if held[values[from]] == 0 then different = different - 1 end
  end
  if best_from then return best_from, best_to, s end
  return nil
end

local function distinct(state, g, found)
  for i, t in ipairs(g.times) do
    local place = insert(state.t, t)
    table.insert(state.v, place, g.values[i])
    local from, to, oldest = distinct_window(state, place, g.n, g.window)
    if from then
      local first, last = state.t[from], state.t[to]
      state.t = remove_range(state.t, oldest, to)
      state.v = remove_range(state.v, oldest, to)
      emit(found, first, last, g.n, take_evidence(state, first, last))
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
