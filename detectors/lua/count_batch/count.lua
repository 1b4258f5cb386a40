-- count: n events within the window. No values.
--
-- How much is kept: 2(n-1) times suffice to answer exactly for events that are late by up to one window, since
-- the 2W before the newest event hold at most n-1 unconsumed ones per W.

local function count(state, g, found)
  local n, window = g.n, g.window
  for _, t in ipairs(g.times) do
    local place = insert(state.t, t)
    local last_start = math.min(place, #state.t - n + 1)
    for s = math.max(1, place - n + 1), last_start do
      if state.t[s + n - 1] - state.t[s] < window then
        local first, last = state.t[s], state.t[s + n - 1]
        state.t = remove_range(state.t, s, s + n - 1)
        emit(found, first, last, n, take_evidence(state, first, last))
        break
      end
    end
    if #state.t > 4 * n then state.t = cut_front(state.t, 2 * (n - 1)) end
  end
  state.t = cut_front(state.t, 2 * (n - 1))
end
