-- bench: whether the figures of a bench.json are this machine's: not if other processes used more than a tenth of the
-- processors that its threads had (runtime/programs/bench.c says how many they used). Depends on nothing.
local bench = {}

local MOST_SHARE = 0.1

-- The decoded object's processors that others used, or nil where an earlier version did not say.
function bench.others(o)
  local others = tonumber(o.others_busy)
  return others and others >= 0 and others < math.huge and others or nil
end

function bench.is_disturbed(o)
  local others, threads = bench.others(o), tonumber(o.threads) or 1
  return others ~= nil and others > MOST_SHARE * math.max(1, threads)
end

return bench
