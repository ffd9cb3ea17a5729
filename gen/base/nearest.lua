-- nearest: which name was probably meant. Depends on nothing.

-- Edits (one character put in, left out or replaced) that lead from a to b: Levenshtein's distance.
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

-- Of a list of names the first of those nearest to `name`, where it is near: a third of its length, three edits at
-- most. Or nil.
return function(name, names)
  local best, best_distance = nil, math.min(3, math.ceil(#name / 3)) + 1
  for _, other in ipairs(names) do
    local own = distance(name, other)
    if own < best_distance then best, best_distance = other, own end
  end
  return best
end
