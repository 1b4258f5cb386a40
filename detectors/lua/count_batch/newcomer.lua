-- newcomer: n bad events, then a good one from a new place. values: '' (bad) or the hash of the place (good) per time.

local PLACES = 32

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
local function newcomer(state, g, found)
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
        emit(found, first, t, n, take_evidence(state, first, t))
      end
      state.p[place] = math.max(state.p[place] or t, t)
    end
  end
  state.t = cut_front(state.t, 2 * n)
end
