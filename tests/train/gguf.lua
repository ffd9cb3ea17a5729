-- gguf: writes a small GPT-2 as llama.cpp stores it, and the numbers that an import of it must come to.
--
--   lua5.4 tests/train/gguf.lua FOLDER [type=F32|F16|BF16|Q8_0|Q4_0|Q4_1] [version=3] [alignment=32]
--       [tokens=gpt2|char|none] [head=none|same|other] [fault=NAME]
--
-- FOLDER gets model.gguf and wanted.bin: all tensors in nanoGPT's order and shapes, in float32. Values are such that
-- the type holds them exactly: small multiples of a power of two. A fault is a name below: search for it.
local L, H, C, T, V = 2, 2, 32, 8, 264

local options = { type = "F32", version = "3", alignment = "32", tokens = "gpt2", head = "none", fault = "" }
local folder
for _, word in ipairs(arg) do
  local key, value = word:match("^(%w+)=([%w_]+)$")
  if key then options[key] = value else folder = word end
end
local fault = options.fault
local function faulty(name, wrong, right)
  if fault == name then return wrong end
  return right
end

-- ---- numbers -------------------------------------------------------------------------------------

local state = 12345
local function random(limit) -- a whole number from -limit to limit - 1
  state = (state * 1103515245 + 12345) % 2147483648
  return (state >> 16) % (2 * limit) - limit
end

local function half(x)
  local sign, value, exponent = x < 0 and 0x8000 or 0, math.abs(x), 15
  if value == 0 then return string.pack("<I2", sign) end
  while value >= 2 do value, exponent = value / 2, exponent + 1 end
  while value < 1 do value, exponent = value * 2, exponent - 1 end
  return string.pack("<I2", sign | exponent << 10 | math.tointeger((value - 1) * 1024))
end

-- Two numbers of four bits each in a byte: number i and number i + 16 of a block.
local function halves(list, first, plus)
  local bytes = {}
  for i = first, first + 15 do bytes[#bytes + 1] = string.char(list[i] + plus | (list[i + 16] + plus) << 4) end
  return table.concat(bytes)
end

-- ggml's number of each type, its limit of whole numbers, their unit, and how 32 of them are stored.
local types = {
  F32 = { 0, 128, 1 / 64, function(list, i)
    local words = {}
    for k = i, i + 31 do words[#words + 1] = string.pack("<f", list[k] / 64) end
    return table.concat(words)
  end },
  F16 = { 1, 128, 1 / 64, function(list, i)
    local words = {}
    for k = i, i + 31 do words[#words + 1] = half(list[k] / 64) end
    return table.concat(words)
  end },
  BF16 = { 30, 128, 1 / 64, function(list, i)
    local words = {}
    for k = i, i + 31 do words[#words + 1] = string.pack("<f", list[k] / 64):sub(3, 4) end
    return table.concat(words)
  end },
  Q8_0 = { 8, 128, 1 / 64, function(list, i)
    return half(1 / 64) .. string.pack("<" .. ("b"):rep(32), table.unpack(list, i, i + 31))
  end },
  Q4_0 = { 2, 8, -1 / 16, function(list, i) return half(-1 / 16) .. halves(list, i, 8) end },
  Q4_1 = { 3, 8, 1 / 16, function(list, i) return half(1 / 16) .. half(-0.5) .. halves(list, i, 8) end },
}

-- ---- tensors -------------------------------------------------------------------------------------

local tensors, wanted = {}, {} -- { name, rows, columns, type, bytes }; nanoGPT's bytes

local function tensor(name, rows, columns)
  local kind = columns and types[options.type] or types.F32 -- vectors are float32 in each file
  local list, stored, floats = {}, {}, {}
  for i = 1, rows * (columns or 1) do list[i] = random(kind[2]) end
  for i = 1, #list, 32 do stored[#stored + 1] = kind[4](list, i) end
  for i = 1, #list do floats[i] = string.pack("<f", list[i] * kind[3]) end
  wanted[#wanted + 1] = table.concat(floats)
  tensors[#tensors + 1] = { name = name, rows = rows, columns = columns, type = kind[1], bytes = table.concat(stored) }
end

tensor("token_embd.weight", V, C)
local table_tensor, table_wanted = tensors[1], wanted[1]
tensor("position_embd.weight", faulty("positions", T + 1, T), C)
for l = 0, L - 1 do
  local h = ("blk.%d."):format(l)
  tensor(h .. "attn_norm.weight", C)
  tensor(h .. "attn_norm.bias", C)
  tensor(h .. "attn_qkv.weight", 3 * C, C)
  tensor(h .. "attn_qkv.bias", 3 * C)
  tensor(h .. "attn_output.weight", C, C)
  tensor(h .. "attn_output.bias", C)
  tensor(h .. "ffn_norm.weight", C)
  tensor(h .. "ffn_norm.bias", C)
  tensor(h .. "ffn_up.weight", 4 * C, C)
  tensor(h .. "ffn_up.bias", 4 * C)
  tensor(h .. "ffn_down.weight", C, 4 * C)
  tensor(h .. "ffn_down.bias", C)
end
tensor("output_norm.weight", C)
tensor("output_norm.bias", C)
if options.head == "other" then
  tensor("output.weight", V, C)
else
  wanted[#wanted + 1] = table_wanted -- the tied head
  if options.head == "same" then
    tensors[#tensors + 1] = { name = "output.weight", rows = V, columns = C, type = table_tensor.type,
      bytes = table_tensor.bytes }
  end
end
if fault == "nan" then tensors[#tensors].bytes = string.pack("<f", 0 / 0) .. tensors[#tensors].bytes:sub(5) end
if fault == "missing" then table.remove(tensors, 5) end
if fault == "name" then tensors[5].name = "blk.0.attn_qkw.weight" end
if fault == "layer" then tensors[5].name = "blk.00.attn_qkv.weight" end
if fault == "q6_k" then -- as llama.cpp's quantizer makes the head of most types
  tensors[1].type, tensors[1].columns, tensors[1].bytes = 14, 256, ("x"):rep(210 * V)
end

-- ---- tokens --------------------------------------------------------------------------------------

local function shown(byte) -- how GPT-2's files write a byte
  local hidden = 0
  for b = 0, 255 do
    local seen = b > 0x20 and b < 0x7f or b > 0xa0 and b ~= 0xad
    if b == byte then return utf8.char(seen and b or 0x100 + hidden) end
    if not seen then hidden = hidden + 1 end
  end
end
local function shown_text(text) return (text:gsub(".", function(c) return shown(c:byte()) end)) end

local tokens, merges, kinds = {}, {}, {}
if options.tokens == "gpt2" then
  for turn = 1, 2 do
    for byte = 0, 255 do
      local text = shown(byte)
      if (utf8.codepoint(text) < 0x100) == (turn == 1) then tokens[#tokens + 1] = text end
    end
  end
  merges = { "t h", faulty("merge", "th q", "Ġ th"), "Ġth e" }
  if fault == "merge" then merges[2] = "th qq" end
  tokens[257], tokens[258], tokens[259], tokens[260] = "th", "Ġth", faulty("token", "Ġthx", "Ġthe"), "<|endoftext|>"
else
  for c = 0x100, 0x100 + V - 7 do tokens[#tokens + 1] = shown_text(utf8.char(c)) end
  table.insert(tokens, 1, shown_text("\n"))
  table.insert(tokens, 2, shown_text(" "))
  if fault == "characters" then tokens[7], tokens[8] = tokens[8], tokens[7] end
end
for i = 1, #tokens do kinds[i] = 1 end
if options.tokens == "gpt2" then kinds[260] = 3 end
while #tokens < V do
  tokens[#tokens + 1] = ("[PAD%d]"):format(#tokens)
  kinds[#tokens] = faulty("used", 4, 5)
end
if fault == "kind" then kinds[3] = 7 end
if fault == "kind0" then kinds[3] = 0 end
if fault == "kinds" then table.remove(kinds) end

-- ---- metadata ------------------------------------------------------------------------------------

local pairs_of_file, count = {}, 0
local function add(key, code, format, value)
  if fault == "no " .. key or fault == "no_" .. key:gsub("[.]", "_") then return end
  count = count + 1
  pairs_of_file[count] = string.pack("<s8I4", key, code) .. string.pack("<" .. format, value)
end
local function add_number(key, value) add(key, 4, "I4", value) end
local function add_text(key, value) add(key, 8, "s8", value) end
local function add_list(key, code, format, list)
  count = count + 1
  local parts = { string.pack("<s8I4I4I8", key, 9, code, #list) }
  for i, value in ipairs(list) do parts[i + 1] = string.pack("<" .. format, value) end
  pairs_of_file[count] = table.concat(parts)
end

add_text("general.architecture", faulty("llama", "llama", faulty("mamba", "mamba", "gpt2")))
if options.alignment ~= "32" then add_number("general.alignment", math.tointeger(options.alignment)) end
if fault == "layers_text" then add_text("gpt2.block_count", "2")
else add_number("gpt2.block_count", faulty("layers", L + 1, faulty("many", 1 << 31, L))) end
add_number("gpt2.context_length", T)
add_number("gpt2.embedding_length", C)
add_number("gpt2.feed_forward_length", faulty("inner", 5 * C, 4 * C))
add_number("gpt2.attention.head_count", faulty("heads", 3, H))
if fault == "epsilon_text" then add_text("gpt2.attention.layer_norm_epsilon", "1e-5")
else add("gpt2.attention.layer_norm_epsilon", 6, "f", faulty("epsilon", 1e-6, faulty("epsilon_nan", 0 / 0, 1e-5))) end
if options.tokens ~= "none" then
  add_text("tokenizer.ggml.model", faulty("spm", "llama", "gpt2"))
  add_text("tokenizer.ggml.pre", faulty("pre", "viking", "gpt-2"))
  if fault == "tokens_numbers" then add_list("tokenizer.ggml.tokens", 5, "i4", kinds)
  elseif fault ~= "no_tokens" then add_list("tokenizer.ggml.tokens", 8, "s8", tokens) end
  add_list("tokenizer.ggml.token_type", 5, "i4", kinds)
  add_list("tokenizer.ggml.merges", 8, "s8", merges)
  add_number("tokenizer.ggml.bos_token_id", 259)
  add("tokenizer.ggml.add_bos_token", 7, "B", 0)
end

-- ---- the file ------------------------------------------------------------------------------------

local alignment = math.tointeger(options.alignment)
local function aligned(text) return text .. ("\0"):rep(-#text % alignment) end

local entries, data, at = {}, {}, 0
for i, t in ipairs(tensors) do
  local dims = t.columns and string.pack("<I4I8I8", 2, t.columns, t.rows) or string.pack("<I4I8", 1, t.rows)
  entries[i] = string.pack("<s8", t.name) .. dims .. string.pack("<I4I8", t.type, at)
  data[i] = aligned(t.bytes)
  at = at + #data[i]
end
local head = string.pack("<c4I4I8I8", "GGUF", math.tointeger(options.version), #tensors, count)
local file = assert(io.open(folder .. "/model.gguf", "wb"))
file:write(aligned(head .. table.concat(pairs_of_file) .. table.concat(entries)), table.concat(data))
file:close()
file = assert(io.open(folder .. "/wanted.bin", "wb"))
file:write(table.concat(wanted))
file:close()
