-- hellaswag: made-up items of HellaSwag's form, and a plain count of which endings a model chooses.
--
--   lua5.4 tests/train/hellaswag.lua items FILE            writes 40 lines, always the same
--   lua5.4 tests/train/hellaswag.lua count FILE PROGRAM CHECKPOINT FOLDER
--   lua5.4 tests/train/hellaswag.lua tokens FILE V         writes llm.c's file of 10 items of tokens below V
--
-- count asks the program for the mean loss of the texts "context" and "context ending", and takes one sum from the
-- other: that is the ending's. It prints the numbers of items whose right ending has the lowest mean, and sum, and the
-- endings with those, a digit for each item.
package.path = "./?.lua;" .. package.path
local dkjson = require("dkjson")
local files = require("gen.base.files")

local verb, path, program, checkpoint, folder = table.unpack(arg)

local state = 2026
local function draw(n) -- from 1 to n
  state = (state * 1103515245 + 12345) % 2147483648
  return (state >> 16) % n + 1
end

local WORDS = { "the", "a", "cat", "is", "then", "ball", "it's", "runs", "na\u{ef}ve", "of", "there", "up", "7" }
local function words(least, most)
  local list = {}
  for i = 1, least - 1 + draw(most - least + 1) do list[i] = WORDS[draw(#WORDS)] end
  return table.concat(list, " ")
end

if verb == "items" then
  local lines = {}
  for i = 1, 40 do
    local endings = {}
    for e = 1, 4 do endings[e] = words(1, 4) .. "." end
    lines[i] = dkjson.encode({ ind = i, activity_label = "made up", ctx = words(2, 5), label = draw(4) - 1,
      endings = endings }, { keyorder = { "ind", "activity_label", "ctx", "label", "endings" } }) .. "\n"
  end
  files.write(path, table.concat(lines))
  return
end

if verb == "tokens" then
  local items, longest = {}, 0
  for i = 1, 10 do
    local parts, count = {}, 5
    for p = 1, 5 do
      local tokens = {}
      for t = 1, draw(p == 1 and 20 or 6) do tokens[t] = ("<I2"):pack(draw(math.tointeger(program)) - 1) end
      parts[p] = ("<I2"):pack(#tokens) .. table.concat(tokens)
      count = count + 1 + #tokens
    end
    items[i] = ("<I2I2I2I2I2"):pack(65535, 2 * count, i - 1, draw(4) - 1, 4) .. table.concat(parts)
    longest = math.max(longest, 2 * count)
  end
  files.write(path, ("<i4i4i4i4"):pack(20240522, 1, #items, longest) .. ("\0"):rep(1008) .. table.concat(items))
  return
end

-- The sum of a text's losses, and how many there are.
local function losses(text)
  files.write(folder .. "/one", text)
  local command = ("%s --checkpoint=%s --text=%s/one --json=%s/one.json >%s/said"):format(program, checkpoint, folder,
    folder, folder)
  assert(os.execute(command), command)
  local json = dkjson.decode(files.read(folder .. "/one.json"))
  return json.loss * json.targets, json.targets
end

local function lowest(list)
  local at = 1
  for i = 2, #list do if list[i] < list[at] then at = i end end
  return at - 1
end

local right_by_mean, right_by_sum, by_mean, by_sum = 0, 0, {}, {}
for line in io.lines(path) do
  local item, sums, means = dkjson.decode(line), {}, {}
  local before, before_count = losses(item.ctx)
  for e, ending in ipairs(item.endings) do
    local all, count = losses(item.ctx .. " " .. ending)
    sums[e] = all - before
    means[e] = sums[e] / (count - before_count)
  end
  by_mean[#by_mean + 1], by_sum[#by_sum + 1] = lowest(means), lowest(sums)
  right_by_mean = right_by_mean + (lowest(means) == item.label and 1 or 0)
  right_by_sum = right_by_sum + (lowest(sums) == item.label and 1 or 0)
end
print(("%d %d %s %s"):format(right_by_mean, right_by_sum, table.concat(by_mean), table.concat(by_sum)))
