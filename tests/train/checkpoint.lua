-- checkpoint: writes a checkpoint with made-up weights, of any config, without a trainer.
--
--   lua5.4 tests/train/checkpoint.lua PATH [tokenizer=TEXT] [scale=1] [key=value ...]
--
-- TEXT is as in a checkpoint's metadata: "char 0a 20 61 ...". Without a word the model is small. Values are
-- scale * k / 64 with |k| < 128, which float16 and bfloat16 hold exactly where the scale is 1.
package.path = "./?.lua;" .. package.path
local config = require("gen.config.load")
local metadata = require("gen.import.metadata")
local parameters = require("gen.import.table")

local words, tokenizer = { "isa=generic", "batch_size=1", "n_layer=2", "n_head=2", "n_embd=16", "block_size=8",
  "vocab_size=7", "bias=true", "activation=gelu_tanh" }, "char 0a 20 61 62 e9 6771 1f600"
local scale = 1
for i = 2, #arg do
  local text = arg[i]:match("^tokenizer=(.*)$")
  tokenizer = text or tokenizer
  local number = tonumber(arg[i]:match("^scale=(.*)$"))
  scale = number or scale
  if not text and not number then words[#words + 1] = arg[i] end
end
local c = config.load({}, words, { backend = "cpu", source = "words" })

local state = 12345
local function random()
  state = (state * 1103515245 + 12345) % 2147483648
  return string.pack("<f", scale * ((state >> 16) % 255 - 127) / 64)
end

-- All tensors: entries with layers next to each other go layer by layer, as in nanoGPT's state dict.
local entries, tensors = {}, {}
for name, layers, copy, rows, columns in parameters.text(c):gmatch("(%S+) (%d+) (%d) (%d+) (%d+)\n") do
  entries[#entries + 1] = { name = name, layers = tonumber(layers), copy = copy == "1", rows = tonumber(rows),
    columns = tonumber(columns) }
end
local function add(entry, layer)
  local values = {}
  for i = 1, entry.rows * math.max(entry.columns, 1) do values[i] = random() end
  tensors[#tensors + 1] = { name = entry.name:gsub("%%d", layer), bytes = entry.copy and tensors[1].bytes or
    table.concat(values), shape = entry.rows .. (entry.columns > 0 and "," .. entry.columns or "") }
end
local first = 1
while first <= #entries do
  local last = first
  while entries[first].name:find("%%d") and entries[last + 1] and entries[last + 1].name:find("%%d") do
    last = last + 1
  end
  for layer = 0, entries[first].layers - 1 do
    for i = first, last do add(entries[i], layer) end
  end
  first = last + 1
end

local at, header, data = 0, {}, {}
for i, t in ipairs(tensors) do
  header[i] = ('"%s":{"dtype":"F32","shape":[%s],"data_offsets":[%d,%d]}'):format(t.name, t.shape, at, at + #t.bytes)
  at = at + #t.bytes
  data[i] = t.bytes
end
local text = ('{"__metadata__":{"format":"pt","config":"%s","tokenizer":"%s"},%s}'):format(metadata.text(c),
  tokenizer, table.concat(header, ","))
text = text .. (" "):rep(-#text % 8)
local file = assert(io.open(arg[1], "wb"))
file:write(string.pack("<I8", #text), text, table.concat(data))
file:close()
