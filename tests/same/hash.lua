-- hash: a run's results as hashes, which do not depend on the headers of its files.
--
--   lua5.4 tests/same/hash.lua NAME FOLDER     prints "NAME state=… ckpt=… losses=…" of a run's folder
--
-- Uses the safetensors format, the words of metrics.jsonl, and no module of the generator.
local dkjson = require("dkjson")

local hash = {}

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("a")
  if file then file:close() end
  return text
end

-- Twelve hexadecimal digits of a text's SHA-256.
function hash.text(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  assert(file:write(text) and file:close())
  local pipe = assert(io.popen("sha256sum <" .. path, "r"))
  local digits = pipe:read(12)
  pipe:close()
  os.remove(path)
  return digits
end

-- The hash of a file's tensors, in the order of their names, with types and shapes; "none" if there is no file.
function hash.tensors(path)
  local text = read(path)
  if not text then return "none" end
  local length = string.unpack("<I8", text)
  local header, data = dkjson.decode(text:sub(9, 8 + length)), text:sub(9 + length)
  header.__metadata__ = nil
  local names, parts = {}, {}
  for name in pairs(header) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local tensor = header[name]
    local from, to = table.unpack(tensor.data_offsets)
    parts[#parts + 1] = ("%s %s %s\n"):format(name, tensor.dtype, table.concat(tensor.shape, "x"))
    parts[#parts + 1] = data:sub(from + 1, to)
  end
  return hash.text(table.concat(parts))
end

-- The hash of the lines of metrics.jsonl, without speeds.
function hash.losses(path)
  local lines = {}
  for line in (read(path) or ""):gmatch("[^\n]+") do
    local said = {}
    for _, key in ipairs { "iter", "loss", "lr", "grad_norm", "skipped", "train_loss", "val_loss" } do
      local value = line:match('"' .. key .. '": *([^,}]+)')
      if value then said[#said + 1] = key .. "=" .. value end
    end
    lines[#lines + 1] = table.concat(said, " ") .. "\n"
  end
  return hash.text(table.concat(lines))
end

-- All hashes of a run's folder.
function hash.run(folder)
  return ("state=%s ckpt=%s losses=%s"):format(hash.tensors(folder .. "/state.safetensors"),
    hash.tensors(folder .. "/ckpt.safetensors"), hash.losses(folder .. "/metrics.jsonl"))
end

if arg and arg[0] and arg[0]:find("hash%.lua$") then print(arg[1] .. " " .. hash.run(arg[2])) end

return hash
