-- streak: n bad events in a row. values: 1 (good), 0 or the hash of a user (bad) per time.

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
          emit(found, first, t, g.n, take_evidence(state, first, t))
        end
      end
    end
  end
  if next(spared) then drop_evidence(state, spared) end
end
