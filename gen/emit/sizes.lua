-- sizes: a kernel's sizes by letter, in C: constants of an enum or, with specialise=false, members of
-- the struct that a call gives. Depends on nothing of this room.
local sizes = {}

-- The letters that C code uses, in the order in which they are declared. S, the rows of a cache, is only
-- in samplers, which are always specialised.
local LETTERS = { "N", "B", "T", "C", "C_LD", "H", "KV", "W", "D", "E", "E_LD", "F", "F_LD", "O", "O_LD", "V", "V_LD",
  "P", "S" }

-- Those that few kernels have.
local SOME = { KV = true, W = true, F = true, F_LD = true, S = true }

-- text(letter, size) for each letter of d.
local function list(d, text)
  local words = {}
  for _, letter in ipairs(LETTERS) do
    if d[letter] then words[#words + 1] = text(letter, d[letter]) end
  end
  return table.concat(words, ", ")
end

-- An enum's entries, for `enum { $(k.dims) }`: "N = 18, C = 10", or "N = sizes->N, C = sizes->C".
function sizes.entries(d, specialise)
  return list(d, function(letter, size) return letter .. " = " .. (specialise and size or "sizes->" .. letter) end)
end

-- The argument for a kernel's sizes.
function sizes.argument(d)
  return ("&(struct sizes){%s}"):format(list(d, function(letter, size) return (".%s = %d"):format(letter, size) end))
end

-- The members of struct sizes: those of SOME only if a kernel has them.
function sizes.members(kernels)
  local words, there = {}, {}
  for _, k in ipairs(kernels) do
    for letter in pairs(SOME) do there[letter] = there[letter] or k.d[letter] end
  end
  for _, letter in ipairs(LETTERS) do
    if not SOME[letter] or there[letter] then words[#words + 1] = letter end
  end
  return table.concat(words, ", ")
end

return sizes
