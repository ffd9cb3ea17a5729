-- bounds: inputs of fuzz targets at the edges of what is accepted: sizes and counts about 2^31, 2^32, 2^63 and 2^64,
-- which a reader with 32-bit pointers, or a careless one, would cut to others; tensors that overlap or leave a hole
-- though their sum is right; each control character; the deepest nesting. Writes FOLDER/TARGET.pack for each target
-- that has such edges:
--
--     lua5.4 tests/torture/fuzz/support/bounds.lua FOLDER
package.path = "./?.lua;" .. package.path
local files = require("gen.base.files")

local folder = ...
local parts = {}
local function add(target, input)
  parts[target] = parts[target] or {}
  table.insert(parts[target], ("<s4"):pack(input))
end

local numbers = { "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
  "4611686018427387904", "6148914691236517206", "65536" }
for _, base in ipairs { 1 << 30, 1 << 31, 1 << 32, 1 << 33 } do
  for _, more in ipairs { -8, -4, -1, 0, 1, 2, 4, 8, 16, 40 } do numbers[#numbers + 1] = ("%d"):format(base + more) end
end

-- A file of one tensor, as the target safetensors takes it: a header, a zero, data.
local function tensor(dtype, shape, first, last, bytes)
  return ('\0{"a":{"dtype":"%s","shape":[%s],"data_offsets":[%s,%s]}}\0'):format(dtype, shape, first, last) ..
    ("x"):rep(bytes)
end
local meta = '{"tokenizer":"char 0a 61 62 63","vocab_size":%s,"train_tokens":%s,"val_tokens":%s}'
local progress = "format=diecast\niter=%s\nupdates=%s\nskipped=1\nbad_in_a_row=0\nbest_val_loss=2.5\n" ..
  "train_loss=2.25\nval_loss=nan\nfinished=false\nlog_lines=%s"

for _, n in ipairs(numbers) do
  local bits = math.tointeger(n) or -1 -- of those above 2^63
  add("safetensors", tensor("F32", n, 0, 16, 16))
  add("safetensors", tensor("F32", n .. ",4", 0, 16, 16))
  add("safetensors", tensor("U8", "0," .. n, 0, 0, 0))
  add("safetensors", tensor("U8", "0," .. n, n, n, 0))
  add("safetensors", tensor("F32", 4, 0, n, 16))
  add("safetensors", tensor("F32", 4, n, n, 16))
  add("safetensors", tensor("F32", 4, n, ("%d"):format(bits + 16), 16))
  add("safetensors", "\1" .. ("<i8"):pack(bits) .. '{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   xxxx')
  add("meta", meta:format(4, n, 10))
  add("meta", meta:format(4, 40, n))
  add("meta", meta:format(n, 40, 10))
  add("checkpoint", progress:format(n, 1, 1))
  add("checkpoint", progress:format(1000000001, n, n))
  add("options", "--max_iters=" .. n .. "\n--seed=" .. n)
  add("options", "--learning_rate=" .. n)
  add("sample_flags", "a\n--seed=" .. n)
  add("sample_flags", "a\n--num_samples=" .. n)
  add("sample_flags", "a\n--json\n--logprobs=" .. n)
  add("metrics", "\9\255" .. ('{"iter":%s}\n'):format(n))
  add("metrics", "\9\255" .. ('{"iter":%s,'):format(n))
  add("json", ("[%s,-%s]"):format(n, n))
  add("pickle", "\x80\x02}(X" .. ("<I4"):pack(bits & 0xffffffff) .. "vocab_size")
  add("pickle", ("\x80\x02\x8c\x01ar%sj%s."):format(("<I4"):pack(bits & 0xffffffff), ("<I4"):pack(bits & 0xffffffff)))
  add("pickle", "\x80\x04\x95" .. ("<i8"):pack(bits) .. "}.")
  for at = 3, 8 do -- a size of llm.c's model, and a count of its tokens
    local header = { 20240326, 3, 1, 1, 1, 1, 1, 1 }
    header[at] = bits & 0xffffffff
    add("llmc", ("<I4I4I4I4I4I4I4I4"):pack(table.unpack(header)) .. ("x"):rep(116))
  end
  -- Counts, lengths, a shape and an offset of a GGUF file of one list of texts and one tensor.
  for at = 1, 8 do
    -- Pairs, tensors, a key's length, texts, a text's length, a row's, rows, the offset.
    local m = { 1, 1, 1, 1, 1, 4, 1, 0 }
    m[at] = bits
    local file = ("<c4I4i8i8i8c1I4I4i8i8c1s8I4i8i8I4i8"):pack("GGUF", 3, m[2], m[1], m[3], "k", 9, 8, m[4], m[5],
      "t", "a", 2, m[6], m[7], 0, m[8])
    add("gguf", "\0" .. file .. ("\0"):rep(-#file % 32) .. ("x"):rep(32))
  end
  add("llmc_tokens", ("<I4I4I4I4"):pack(20240328, 2, bits & 0xffffffff, 0) .. "\1a\1b")
  add("llmc_tokens", ("<I4I4I4I4"):pack(20240328, 2, 2, bits & 0xffffffff) .. "\1a\1b")
end

-- Counts of llm.c's file of an evaluation: its items and their bytes in the header, then of its one item.
local item = ("<I2"):rep(15):pack(65535, 30, 0, 1, 4, 1, 7, 1, 7, 1, 7, 1, 7, 1, 7)
for _, n in ipairs { -1, 0, 1, 2, 65535, 65536, 1 << 31, (1 << 31) - 1 } do
  local word = n & 0xffffffff
  add("choices", ("<I4I4I4I4"):pack(20240522, 1, word, 30) .. item)
  add("choices", ("<I4I4I4I4"):pack(20240522, 1, 1, word) .. item)
end
for at = 1, #item, 2 do
  for _, n in ipairs { 0, 1, 2, 4, 5, 29, 31, 32, 32767, 32768, 65534, 65535 } do
    add("choices", ("<I4I4I4I4"):pack(20240522, 1, 1, 30) .. item:sub(1, at - 1) .. ("<I2"):pack(n) .. item:sub(at + 2))
  end
end

local function two_tensors(a, b)
  local each = '"%s":{"dtype":"F32","shape":[2],"data_offsets":[%s]}'
  return "\0{" .. each:format("a", a) .. "," .. each:format("b", b) .. "}\0" .. ("x"):rep(16)
end
for _, first in ipairs { "0,8", "4,12", "8,16" } do
  for _, second in ipairs { "0,8", "4,12", "8,16" } do add("safetensors", two_tensors(first, second)) end
end
for c = 0, 0x20 do
  add("json", '"' .. string.char(c) .. '"')
  add("json", string.char(c) .. "1")
  add("options", "--out_dir=a" .. string.char(c) .. "b")
end
for depth = 30, 34 do add("json", ("["):rep(depth) .. ("]"):rep(depth)) end

for target, list in pairs(parts) do files.write(folder .. "/" .. target .. ".pack", table.concat(list)) end
