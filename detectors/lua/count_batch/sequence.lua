-- sequence: n bad events and then a good one. values: 1 (good) or 0 (bad) per time.

-- n bad ones (0) within the window, then a good one (1); twice as many where a good one is remembered.
local function sequence(state, g, found)
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
        emit(found, first, t, n, take_evidence(state, first, t))
      end
      if g.spares_known then state.good = math.max(state.good or t, t) end
    end
  end
  state.t = cut_front(state.t, keep)
end
