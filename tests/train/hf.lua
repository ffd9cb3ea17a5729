-- hf: writes a small GPT-2 as Hugging Face, nanoGPT or llm.c stores it, and the numbers that an import must come to.
--
--   lua5.4 tests/train/hf.lua FOLDER [type=F32|F16|BF16] [prefix=true] [shards=1] [masks=true] [head=true]
--     [layout=hf|nanogpt|llmc] [bias=false] [vocab=300] [n_head=0] [block=8] [tokens=true]
--
-- FOLDER gets config.json, model.safetensors (or shards and their index), and wanted.bin: all tensors in nanoGPT's
-- order and shapes, in float32. With layout=nanogpt there is no config.json: model.safetensors has nanoGPT's names, as
-- tests/reference/pytorch.py writes it, without biases where bias=false, and n_head in its metadata unless it is 0.
-- With layout=llmc there is model.bin, whose vocabulary is padded with numbers that no import may have. Values are
-- k / 64 with |k| < 128, which all three types hold exactly. With tokens=true there are merges.txt and vocab.json too:
-- of the bytes, "th", " th", "the" and <|endoftext|>.
package.path = "./?.lua;" .. package.path
local dkjson = require("dkjson")

local options = { type = "F32", prefix = "false", shards = "1", masks = "false", head = "false", layout = "hf",
  bias = "true", vocab = "300", n_head = "2", block = "8", tokens = "false" }
local folder
for _, word in ipairs(arg) do
  local key, value = word:match("^([%w_]+)=(%w+)$")
  if key then options[key] = value else folder = word end
end
local L, H, C, T, V = 2, 2, 16, math.tointeger(options.block), math.tointeger(options.vocab)
local hf = options.layout == "hf"

-- ---- numbers -------------------------------------------------------------------------------------

local state = 12345
local function random() -- k of a value k / 64
  state = (state * 1103515245 + 12345) % 2147483648
  return (state >> 16) % 255 - 127
end

local pack = {}
function pack.F32(k) return string.pack("<f", k / 64) end
function pack.BF16(k) return string.pack("<f", k / 64):sub(3, 4) end
function pack.F16(k)
  local sign, value, exponent = k < 0 and 0x8000 or 0, math.abs(k) / 64, 15
  if value == 0 then return string.pack("<I2", sign) end
  while value >= 2 do value, exponent = value / 2, exponent + 1 end
  while value < 1 do value, exponent = value * 2, exponent - 1 end
  return string.pack("<I2", sign | exponent << 10 | math.tointeger((value - 1) * 1024))
end

local function bytes_of(matrix, type)
  local words = {}
  for i, k in ipairs(matrix) do words[i] = pack[type](k) end
  return table.concat(words)
end

-- ---- tensors -------------------------------------------------------------------------------------

local tensors, wanted = {}, {} -- Hugging Face's: { name, shape, bytes }; nanoGPT's bytes

-- A tensor (rows, columns) of nanoGPT's; Hugging Face has it transposed where `conv1d`.
local function tensor(name, rows, columns, conv1d)
  if options.bias == "false" and name:find("%.bias$") then return end
  conv1d = conv1d and hf
  local own, theirs = {}, {}
  for i = 1, rows * (columns or 1) do own[i] = random() end
  if conv1d then
    for r = 0, rows - 1 do
      for c = 0, columns - 1 do theirs[c * rows + r + 1] = own[r * columns + c + 1] end
    end
  end
  wanted[#wanted + 1] = bytes_of(own, "F32")
  tensors[#tensors + 1] = { name = ((options.prefix == "true" or not hf) and "transformer." or "") .. name,
    shape = conv1d and { columns, rows } or { rows, columns }, dtype = options.type,
    bytes = bytes_of(conv1d and theirs or own, options.type) }
end

local function mask(name, shape, dtype, bytes)
  if options.masks == "true" then
    tensors[#tensors + 1] = { name = name, shape = shape, dtype = dtype, bytes = bytes }
  end
end

tensor("wte.weight", V, C)
local table_bytes, table_wanted = tensors[1].bytes, wanted[1]
tensor("wpe.weight", T, C)
for l = 0, L - 1 do
  local h = ("h.%d."):format(l)
  tensor(h .. "ln_1.weight", C)
  tensor(h .. "ln_1.bias", C)
  tensor(h .. "attn.c_attn.weight", 3 * C, C, true)
  tensor(h .. "attn.c_attn.bias", 3 * C)
  tensor(h .. "attn.c_proj.weight", C, C, true)
  tensor(h .. "attn.c_proj.bias", C)
  tensor(h .. "ln_2.weight", C)
  tensor(h .. "ln_2.bias", C)
  tensor(h .. "mlp.c_fc.weight", 4 * C, C, true)
  tensor(h .. "mlp.c_fc.bias", 4 * C)
  tensor(h .. "mlp.c_proj.weight", C, 4 * C, true)
  tensor(h .. "mlp.c_proj.bias", C)
  mask(h .. "attn.bias", { 1, 1, T, T }, "BOOL", ("\1"):rep(T * T))
  mask(h .. "attn.masked_bias", {}, "F32", string.pack("<f", -10000))
end
tensor("ln_f.weight", C)
tensor("ln_f.bias", C)
wanted[#wanted + 1] = table_wanted -- the tied head
if options.head == "true" then
  tensors[#tensors + 1] = { name = "lm_head.weight", shape = { V, C }, dtype = options.type, bytes = table_bytes }
end

-- ---- files ---------------------------------------------------------------------------------------

local function write(name, text)
  local file = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(text)
  file:close()
end

local function write_safetensors(name, list, metadata)
  local entries, at, data = {}, 0, {}
  for i, t in ipairs(list) do
    local shape = {}
    for d, size in ipairs(t.shape) do shape[d] = ("%d"):format(size) end
    entries[i] = ('"%s":{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}'):format(t.name, t.dtype,
      table.concat(shape, ","), at, at + #t.bytes)
    at = at + #t.bytes
    data[i] = t.bytes
  end
  local header = '{"__metadata__":{"format":"pt"' .. (metadata or "") .. "}," .. table.concat(entries, ",") .. "}"
  header = header .. (" "):rep(-#header % 8)
  write(name, string.pack("<I8", #header) .. header .. table.concat(data))
end

-- llm.c's file: a header of 256 numbers, and each tensor of all layers.
local function write_llmc()
  local padded = (V + 127) // 128 * 128
  local header = ("<i4i4i4i4i4i4i4i4"):pack(20240326, options.type == "BF16" and 5 or 3, T, V, L, H, C, padded)
  local padding = pack[options.type](77):rep((padded - V) * C)
  local parts = { header .. ("\0"):rep(1024 - #header), tensors[1].bytes, padding, tensors[2].bytes }
  for k = 1, 12 do
    for l = 0, L - 1 do parts[#parts + 1] = tensors[2 + 12 * l + k].bytes end
  end
  for k = 1, 2 do parts[#parts + 1] = tensors[2 + 12 * L + k].bytes end
  write("model.bin", table.concat(parts))
end

local shards = math.tointeger(options.shards)
if options.layout == "llmc" then
  write_llmc()
elseif options.layout == "nanogpt" then
  write_safetensors("model.safetensors", tensors, (options.n_head == "0" and "" or ',"n_head":"' .. options.n_head ..
    '"') .. ',"activation_function":"gelu","dropout":"0.1"')
elseif shards == 1 then
  write_safetensors("model.safetensors", tensors)
else
  local map = {}
  for s = 1, shards do
    local list, name = {}, ("model-%05d-of-%05d.safetensors"):format(s, shards)
    for i = s, #tensors, shards do
      list[#list + 1] = tensors[i]
      map[tensors[i].name] = name
    end
    write_safetensors(name, list)
  end
  write("model.safetensors.index.json", dkjson.encode({ metadata = { total_size = 1 }, weight_map = map }))
end
write("wanted.bin", table.concat(wanted))
if not hf then return end
write("config.json", dkjson.encode({ model_type = "gpt2", n_layer = L, n_head = H, n_embd = C, n_positions = T,
  vocab_size = V, activation_function = "gelu_new", resid_pdrop = 0.1, architectures = { "GPT2LMHeadModel" } }))

-- GPT-2's way to write a byte: as itself if Latin-1 prints it, else as the next character from U+0100 on.
if options.tokens == "true" then
  local shown, hidden = {}, {}
  for byte = 0, 255 do
    local printed = byte > 0x20 and byte < 0x7f or byte > 0xa0 and byte ~= 0xad
    if printed then shown[#shown + 1] = utf8.char(byte) else hidden[#hidden + 1] = utf8.char(0x100 + #hidden) end
  end
  table.move(hidden, 1, #hidden, #shown + 1, shown)
  for _, token in ipairs { "th", "\u{120}th", "the", "<|endoftext|>" } do shown[#shown + 1] = token end
  local entries = {}
  for i, token in ipairs(shown) do entries[i] = ("%s: %d"):format(dkjson.encode(token), i - 1) end
  write("vocab.json", "{" .. table.concat(entries, ", ") .. "}\n")
  write("merges.txt", "#version: 0.2\nt h\n\u{120} th\nth e\n")
end
