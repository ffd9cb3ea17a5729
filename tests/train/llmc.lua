-- llmc: reads a file of llm.c's as its train_gpt2.c and tokenizer.h do, and compares it with a checkpoint.
--
--   lua5.4 tests/train/llmc.lua FILE.bin CKPT.safetensors                 each tensor; prints how many
--   lua5.4 tests/train/llmc.lua gpt2_tokenizer.bin encoder.json           each token of GPT-2's
--
-- The order and sizes are those of llm.c's ParameterTensors, written down here on their own: an array of each kind of
-- tensor, of all layers. In bfloat16 a number is rounded to the nearest, ties to even. What the checkpoint lacks must
-- be zeros.
local dkjson = require("dkjson")

local path, other = arg[1], arg[2]
local function read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("a")
  file:close()
  return text
end
local bytes = read(path)
local header = { ("<" .. ("i4"):rep(256)):unpack(bytes) }
local at = 1024

-- ---- tokens --------------------------------------------------------------------------------------

if header[1] == 20240328 then
  assert(header[2] == 2 and header[3] == 50257 and header[4] == 50256, "the header")
  local byte_of, hidden = {}, 256
  for byte = 0, 255 do
    local seen = byte > 32 and byte < 127 or byte > 160 and byte ~= 173
    byte_of[utf8.char(seen and byte or hidden)] = string.char(byte)
    if not seen then hidden = hidden + 1 end
  end
  local tokens = {}
  for token, id in pairs(dkjson.decode(read(other))) do
    tokens[id] = token == "<|endoftext|>" and token or (token:gsub(utf8.charpattern, byte_of))
  end
  for id = 0, header[3] - 1 do
    local length = bytes:byte(at + 1)
    assert(length > 0 and bytes:sub(at + 2, at + 1 + length) == tokens[id], id)
    at = at + 1 + length
  end
  assert(at == #bytes, "the file goes on")
  print("50257 tokens")
  os.exit(0)
end

-- ---- weights -------------------------------------------------------------------------------------

assert(header[1] == 20240326, "the magic number")
local version, maxT, V, L, NH, C, Vp = table.unpack(header, 2, 8)
assert(version == 3 or version == 5, "the version")
for i = 9, 256 do assert(header[i] == 0, "the header goes on") end
assert(Vp % 128 == 0 and Vp >= V and Vp < V + 128, "the padded vocabulary")

local text = read(other)
local length = ("<I8"):unpack(text)
local tensors = dkjson.decode(text:sub(9, 8 + length))
local config = tensors.__metadata__.config
local function stated(key) return math.tointeger(config:match("%f[%w_]" .. key .. "=(%d+)")) end
assert(maxT == stated("block_size") and V == stated("vocab_size") and L == stated("n_layer") and NH == stated("n_head")
  and C == stated("n_embd"), "the sizes")

-- The checkpoint's tensor as llm.c stores it.
local function wanted(name, numbers)
  local tensor = tensors[name]
  if not tensor then
    assert(name:find("%.bias$"), name)
    return ("\0"):rep(numbers * (version == 3 and 4 or 2))
  end
  assert(tensor.dtype == "F32" and tensor.data_offsets[2] - tensor.data_offsets[1] == 4 * numbers, name)
  local data = text:sub(9 + length + tensor.data_offsets[1], 8 + length + tensor.data_offsets[2])
  if version == 3 then return data end
  local words = {}
  for i = 1, numbers do
    local bits = ("<I4"):unpack(data, 4 * i - 3)
    words[i] = ("<I2"):pack((bits + 0x7fff + (bits >> 16 & 1)) >> 16)
  end
  return table.concat(words)
end

local count = 0
local function compare(name, numbers)
  local own = wanted(name, numbers)
  assert(bytes:sub(at + 1, at + #own) == own, name)
  at = at + #own
  count = count + 1
end

compare("transformer.wte.weight", V * C)
local padding = ("\0"):rep((Vp - V) * C * (version == 3 and 4 or 2))
assert(bytes:sub(at + 1, at + #padding) == padding, "the padding")
at = at + #padding
compare("transformer.wpe.weight", maxT * C)
for _, part in ipairs({ { "ln_1.weight", C }, { "ln_1.bias", C }, { "attn.c_attn.weight", 3 * C * C },
  { "attn.c_attn.bias", 3 * C }, { "attn.c_proj.weight", C * C }, { "attn.c_proj.bias", C }, { "ln_2.weight", C },
  { "ln_2.bias", C }, { "mlp.c_fc.weight", 4 * C * C }, { "mlp.c_fc.bias", 4 * C }, { "mlp.c_proj.weight", C * 4 * C },
  { "mlp.c_proj.bias", C } }) do
  for l = 0, L - 1 do compare(("transformer.h.%d.%s"):format(l, part[1]), part[2]) end
end
compare("transformer.ln_f.weight", C)
compare("transformer.ln_f.bias", C)
assert(at == #bytes, "the file goes on")
print(count .. " tensors")
