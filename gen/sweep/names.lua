-- names: the names of runs: exp01-nh4-ne128-b8-mi1000-d0.1.
local file = require("gen.sweep.file")

local names = {}

local MOST = 120 -- characters

-- Usual short forms; any other key is the first letters of its words (gradient_accumulation_steps: gas), or its only
-- word.
local known = {
  n_layer = "nl", n_head = "nh", n_embd = "ne", block_size = "bs", batch_size = "b", max_iters = "mi", dropout = "d",
  learning_rate = "lr", weight_decay = "wd", vocab_size = "v", dataset = "data",
}

local function initials(key)
  if known[key] then return known[key] end
  if not key:find("_", 1, true) then return key end
  local letters = {}
  for word in key:gmatch("[^_]+") do letters[#letters + 1] = word:sub(1, 1) end
  return table.concat(letters)
end

-- A short form for each key of a list; keys whose forms are the same keep their names.
function names.short(keys)
  local count, forms = {}, {}
  for _, key in ipairs(keys) do
    local form = initials(key)
    count[form] = (count[form] or 0) + 1
  end
  for _, key in ipairs(keys) do
    local form = initials(key)
    forms[key] = count[form] > 1 and key or form
  end
  return forms
end

-- One setting: nh4, d0.1; with a '_' if letters or digits would run together: bias_true, beta2_0.99.
function names.setting(form, value)
  local text = file.text(value):gsub("[^%w.+-]", "_")
  local apart = type(value) ~= "number" or form:find("%d$")
  return form .. (apart and "_" or "") .. text
end

-- exp07 and its settings; numbers are as wide as `last` needs, at least two digits. seed is nil if all runs share one.
function names.run(index, last, settings, seed)
  local width = math.max(2, #tostring(last))
  local parts = { ("exp%0" .. width .. "d"):format(index) }
  for _, setting in ipairs(settings) do parts[#parts + 1] = setting end
  if seed then parts[#parts + 1] = "s" .. seed end
  return table.concat(parts, "-")
end

function names.too_long(name) return #name > MOST and MOST end

return names
