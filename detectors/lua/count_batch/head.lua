-- Counts what one batch brought to one shard, in one atomic step: the batch is marked as applied, the windows
-- advance, and every threshold that is crossed is appended to the findings stream.
--
-- KEYS[1]   STRING  mark of the batch                    TTL left behind: ARGV[1]
-- KEYS[2]   STREAM  findings of this shard               no TTL; the responder deletes what it has handled
-- KEYS[3..] STRING  window of group i, cmsgpack          TTL left behind: the group's ttl_ms, or memory_ms where it
--                   remembers a success: nobody may fill the memory with failures of made-up users; at least a day
--                   while it waits for its subject to recover
-- KEYS behind these  STRING  who got in from an address, cmsgpack, only read; ARGV says which group asks for which
-- ARGV[1]   ms      how long the mark lives; 0: the batch is not marked
-- ARGV[2]   0 or 1  whether findings go to the stream (a replay only wants them returned)
-- ARGV[3]   ms      until when this may run, by the clock of Redis; 0: at any time
-- ARGV[4..] cmsgpack {kind, n, window_ms, ttl_ms, min_volume, meta, times, values, evidence, shared_key, shared_from,
--            raised, memory_ms, spares_known, percentile, recovers} of group i:
--   times     event times in epoch ms, ascending
--   values    by kind, see the file of each; else empty
--   evidence  {time, text, time, text ...} for some of the times, ascending
--   shared_key   index in KEYS of who got in from this address, or 0; shared_from: users that make it a shared one
--   raised       1: n is multiplied by the users of a shared address, at most by 10
--   memory_ms    how long places, users and successes are remembered (newcomer, shared, sequence, streak)
--   spares_known 1: known people may fail oftener (sequence, streak)
--   percentile   per cent of the events that must be within n (percentile)
--   recovers     what ends a firing: so many good ones in a row (streak), so many per cent of n over a whole window
--                (ratio, percentile); 0: nothing, and nobody is told of an end
-- returns   {applied 0 or 1, or -1 where it was too late and nothing happened; windows that could not be read and begin
--            anew; the time by the clock of Redis in ms; then per finding: group number, first_at, at, count, users of a
--            shared address or 0, 1 where it says that the subject has recovered}
--
-- The script is put together by windows.py: this file, one for each kind of window, and tail.lua. A kind is a function
-- of (state, g, found): it advances the state by g.times and g.values and emits what crosses g.n.

local EVIDENCE = 10

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- The caller has said that nothing was counted, so its sender sends it again: a Redis that hung must not count it now.
if ARGV[3] ~= '0' and now > tonumber(ARGV[3]) then return {-1, 0, now} end

if ARGV[1] ~= '0' then
  if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return {0, 0, now} end
end

local reply = {1, 0, now}

-- The newest EVIDENCE texts between two times; what is returned or older is dropped from the state.
local function take_evidence(state, first, last)
  local kept, taken = {}, {}
  for i = 1, #state.e, 2 do
    local at = state.e[i]
    if at >= first and at <= last then
      taken[#taken + 1] = state.e[i + 1]
    elseif at > last then
      kept[#kept + 1] = at
      kept[#kept + 1] = state.e[i + 1]
    end
  end
  state.e = kept
  while #taken > EVIDENCE do table.remove(taken, 1) end
  return taken
end

local function cut_front(list, size)
  local extra = #list - size
  if extra <= 0 then return list end
  local kept = {}
  for i = extra + 1, #list do kept[#kept + 1] = list[i] end
  return kept
end

local users_of_group = 0

-- `recovered`: 1 where it says that a firing is over. state.f is when the subject last fired and has not recovered
-- since; exactly one such finding follows, whatever the number of findings before it.
local function emit(found, first, last, count, evidence, total, recovered, measured)
  found[#found + 1] = {first, last, count, evidence, total or 0, recovered or 0, measured or 0}
end

-- Puts an element into ascending times; returns its place.
local function insert(times, t)
  local i = #times
  while i >= 1 and times[i] > t do
    times[i + 1] = times[i]
    i = i - 1
  end
  times[i + 1] = t
  return i + 1
end

local function remove_range(list, from, to)
  local kept = {}
  for i = 1, #list do
    if i < from or i > to then kept[#kept + 1] = list[i] end
  end
  return kept
end
