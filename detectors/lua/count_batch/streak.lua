-- streak: n bad events in a row. values: 1 (good), 0 or the hash of a user (bad) per time.
--
-- Over: `recovers` good ones in a row after the last firing.

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
local function streak(state, g, found)
  local spared = {}
  for i, t in ipairs(g.times) do
    if is_known_user(g, g.values[i], t) then
      spared[t] = true
    elseif t >= (state.last or 0) then
      if g.values[i] == 1 and state.f and g.recovers > 0 then
        -- Kept until it has recovered: when the good ones began, how many, and the newest.
        state.t, state.e = {}, {}
        state.good_from, state.goods, state.last = state.good_from or t, (state.goods or 0) + 1, t
        if state.goods >= g.recovers then
          emit(found, state.good_from, t, state.goods, {}, 0, 1)
          state.f, state.good_from, state.goods, state.last = nil, nil, nil, nil
        end
      elseif g.values[i] == 1 then
        -- Nothing is kept of a subject that is well, or each made-up Host header would cost memory for days.
        state.t, state.e, state.last = {}, {}, nil
      else
        state.last, state.good_from, state.goods = t, nil, nil
        while state.t[1] and t - state.t[1] >= g.window do table.remove(state.t, 1) end
        state.t[#state.t + 1] = t
        if #state.t >= g.n then
          local first = state.t[1]
          state.t = {}
          emit(found, first, t, g.n, take_evidence(state, first, t))
          if g.recovers > 0 then state.f = t end
        end
      end
    end
  end
  if next(spared) then drop_evidence(state, spared) end
end
