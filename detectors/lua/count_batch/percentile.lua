-- percentile: of at least min_volume events, more than 100 - percentile per cent took longer than n ms. times: bucket
-- starts; values: for each time a histogram, a list of bins and their counts, alternating.
--
-- Bin b holds what took more than n * 1.25 ^ ((b - 51) / 5) ms and at most n * 1.25 ^ ((b - 50) / 5): n itself is the end
-- of bin 50 and four fifths of n that of bin 45, so that both are judged exactly. Bin 0 holds everything below, bin 150
-- everything above. The figure that people are told lies in the middle of its bin, at most 2.3 per cent off.
-- Source: Masson, Rim, Lee: DDSketch (VLDB 2019), which also lets histograms be added up.
--
-- Over: a whole window since the last firing, of at least min_volume events, whose percentile is at most `recovers` per
-- cent of n. Whoever is silent does not recover.

local LIMIT_BIN, LAST_BIN = 50, 150

local function end_of_bin(n, bin) return n * 1.25 ^ ((bin - LIMIT_BIN) / 5) end

local function middle_of_bin(n, bin)
  if bin == 0 then return end_of_bin(n, 0) end
  if bin == LAST_BIN then return end_of_bin(n, LAST_BIN - 1) end
  return end_of_bin(n, bin) * 2 / (1 + 1.25 ^ 0.2)
end

-- Adds a histogram to counts by bin; returns how many events it holds.
local function add_bins(counts, bins)
  local total = 0
  for i = 1, #bins, 2 do
    counts[bins[i]] = (counts[bins[i]] or 0) + bins[i + 1]
    total = total + bins[i + 1]
  end
  return total
end

local function bins_of(counts)
  local bins = {}
  for bin = 0, LAST_BIN do
    if counts[bin] then
      bins[#bins + 1] = bin
      bins[#bins + 1] = counts[bin]
    end
  end
  return bins
end

-- The bin of the nearest rank: the smallest that has so many per cent at or below it.
local function bin_at(counts, total, percentile)
  local seen, rank = 0, math.ceil(total * percentile / 100)
  for bin = 0, LAST_BIN do
    seen = seen + (counts[bin] or 0)
    if seen >= rank then return bin end
  end
  return LAST_BIN
end

local function slower(counts)
  local many = 0
  for bin = LIMIT_BIN + 1, LAST_BIN do many = many + (counts[bin] or 0) end
  return many
end

-- A bucket is judged when the next one begins: see ratio.lua.
local function judge_percentile(state, g, found, next)
  local newest = state.t[#state.t]
  local counts, total, first = {}, 0, nil
  for i = 1, #state.t do
    if state.t[i] > newest - g.window then
      total = total + add_bins(counts, state.v[i])
      first = first or state.t[i]
    end
  end
  if total < g.min_volume then return end
  local bin = bin_at(counts, total, g.percentile)
  local measured = math.floor(middle_of_bin(g.n, bin) + 0.5)
  if bin > LIMIT_BIN then
    emit(found, first, newest, slower(counts), take_evidence(state, first, next - 1), total, 0, measured)
    state.t, state.v = {}, {}
    if g.recovers > 0 then state.f = newest end
  elseif state.f and newest - state.f >= g.window and g.recovers > 0
    and bin <= LIMIT_BIN - math.ceil(5 * math.log(100 / g.recovers) / math.log(1.25) - 1e-9) then
    emit(found, first, newest, slower(counts), {}, total, 1, measured)
    state.f = nil
  end
end

local function percentile(state, g, found)
  -- Bins are measured by the threshold: one that the policy changed makes other bins.
  if state.n ~= g.n then state.t, state.v, state.n = {}, {}, g.n end
  for i, t in ipairs(g.times) do
    if #state.t > 0 and t > state.t[#state.t] then judge_percentile(state, g, found, t) end
    local place = #state.t
    while place >= 1 and state.t[place] > t do place = place - 1 end
    if place >= 1 and state.t[place] == t then
      local counts = {}
      add_bins(counts, state.v[place])
      add_bins(counts, g.values[i])
      state.v[place] = bins_of(counts)
    elseif #state.t == 0 or t > state.t[1] - g.window then
      table.insert(state.t, place + 1, t)
      table.insert(state.v, place + 1, g.values[i])
    end
    local newest = state.t[#state.t]
    while newest and state.t[1] <= newest - 2 * g.window do
      table.remove(state.t, 1)
      table.remove(state.v, 1)
    end
  end
end
