-- random: draws the settings of random runs. The same seed gives the same runs, and more of them begin with the fewer.
local random = {}

local TRIES = 1000 -- for a run that is not there yet

-- A number in three digits, which a run's name shows whole; or a whole number.
local function rounded(x, is_int)
  if is_int then return math.floor(x + 0.5) end
  return tonumber(("%.3g"):format(x)) + 0.0
end

local function draw(choice)
  if choice.values then return choice.values[math.random(#choice.values)] end
  local low, high = choice.low, choice.high
  local at = math.random()
  local x = choice.log and low * (high / low) ^ at or low + (high - low) * at
  return math.max(low, math.min(high, rounded(x, choice.is_int)))
end

-- choices are { key, values } or { key, low, high, log, is_int }. Returns a list of { [key] = value }, all different,
-- of `count` runs, or of fewer if no more were found.
function random.draw(choices, count, seed)
  math.randomseed(seed, 0)
  local list, seen = {}, {}
  for i = 1, count do
    for _ = 1, TRIES do
      local settings, words = {}, {}
      for n, choice in ipairs(choices) do
        settings[choice.key] = draw(choice)
        words[n] = tostring(settings[choice.key])
      end
      local text = table.concat(words, " ")
      if not seen[text] then
        seen[text], list[i] = true, settings
        break
      end
    end
    if not list[i] then break end
  end
  return list
end

return random
