-- nearest: which name was probably meant. runtime/base/nearest.c has the same rule in C;
-- tests/runtime/nearest_cases.txt holds both to it. Depends on nothing.
local MOST_EDITS = 3

-- Edits (one character inserted, deleted or replaced) that turn a into b: Levenshtein's distance.
local function edits(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local replaced = diagonal + (a:byte(i) == b:byte(j) and 0 or 1)
      diagonal, row[j] = row[j], math.min(replaced, 1 + row[j], 1 + row[j - 1])
    end
  end
  return row[#b]
end

-- Of a list of names the first of those nearest to `word`: at most one edit away for each three characters of the word
-- (rounded up), and MOST_EDITS in all; or nil. Capitals count as small letters.
return function(word, names)
  word = word:lower()
  local best, fewest = nil, math.min(MOST_EDITS, (#word + 2) // 3) + 1
  for _, name in ipairs(names) do
    local count = math.abs(#name - #word) < fewest and edits(word, name:lower()) or fewest
    if count < fewest then best, fewest = name, count end
  end
  return best
end
