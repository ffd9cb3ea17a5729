-- nearest: which name was probably meant. Depends on nothing.

-- Levenshtein's distance: how many characters to insert, delete or replace to get from a to b.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

-- The name in a list that is nearest to `name` (the first, if several are), or nil if none is within three edits and a
-- third of its length.
return function(name, names)
  local best, best_distance = nil, math.min(3, math.ceil(#name / 3)) + 1
  for _, other in ipairs(names) do
    local own = distance(name, other)
    if own < best_distance then best, best_distance = other, own end
  end
  return best
end
