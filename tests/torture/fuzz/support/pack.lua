-- pack: inputs of a fuzz target in one file, or back in a folder. In a packed file each input stands behind its length
-- as four bytes, little-endian, in the order of their lengths (replay.c reads it).
--
--     lua5.4 pack.lua pack FOLDER FILE        all files of the folder into the file
--     lua5.4 pack.lua unpack FILE FOLDER      each input into a file of the folder, called by its number
package.path = "./?.lua;" .. package.path
local files = require("gen.base.files")

local verb, from, to = ...

local function inputs_of(folder)
  local inputs, pipe = {}, assert(io.popen("ls " .. files.quoted(folder)))
  for name in pipe:lines() do inputs[#inputs + 1] = files.read(folder .. "/" .. name) end
  pipe:close()
  table.sort(inputs, function(a, b) return #a < #b or #a == #b and a < b end)
  return inputs
end

if verb == "pack" then
  local parts = {}
  for _, input in ipairs(inputs_of(from)) do parts[#parts + 1] = ("<s4"):pack(input) end
  files.write(to, table.concat(parts))
  print(("%s: %d inputs"):format(to, #parts))
elseif verb == "unpack" then
  local text, at, count = files.read(from) or "", 1, 0
  while at <= #text do
    local input
    input, at = ("<s4"):unpack(text, at)
    count = count + 1
    files.write(("%s/%04d"):format(to, count), input)
  end
else
  io.stderr:write("pack.lua: wanted pack FOLDER FILE, or unpack FILE FOLDER\n")
  os.exit(64)
end
