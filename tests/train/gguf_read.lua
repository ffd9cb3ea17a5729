-- gguf_read: prints what a GGUF file has, read without the product's reader: "key = value", a list's items with commas
-- between, and "name type (rows, columns)" for each tensor.
--
--   lua5.4 tests/train/gguf_read.lua FILE
local file = assert(io.open(arg[1], "rb"))
local text = file:read("a")
file:close()

local at = 1
local function take(format)
  local value
  value, at = ("<" .. format):unpack(text, at)
  return value
end

assert(take("c4") == "GGUF" and take("I4") == 3)
local tensors, pairs_of_file = take("I8"), take("I8")
local formats = { [4] = "I4", [5] = "i4", [6] = "f", [7] = "B", [8] = "s8" }
for _ = 1, pairs_of_file do
  local key, type = take("s8"), take("I4")
  if type == 9 then
    local items, count, list = take("I4"), take("I8"), {}
    for i = 1, count do list[i] = take(formats[items]) end
    print(("%s = %s"):format(key, table.concat(list, ",")))
  else
    print(("%s = %s"):format(key, take(formats[type])))
  end
end
local types, ends = { [0] = "F32", [1] = "F16", [2] = "Q4_0", [8] = "Q8_0", [30] = "BF16" }, 0
for _ = 1, tensors do
  local name, dims = take("s8"), {}
  for i = take("I4"), 1, -1 do dims[i] = take("I8") end
  -- The row's length comes first in the file.
  local shown = {}
  for i = 1, #dims do shown[i] = dims[i] end
  local type, offset = types[take("I4")], take("I8")
  assert(offset % 32 == 0 and offset >= ends)
  ends = offset
  print(("%s %s (%s)"):format(name, type, table.concat(shown, ", ")))
end
