-- cache.lua: writes the sampler's attention over a cache in float32 and over one in bfloat16, for several sizes, and
-- the table of them that cache.c runs.
--
--   lua5.4 tests/ops/small/cache.lua >FILE
package.path = "./?.lua;" .. package.path
local graph = require("gen.ir.graph")
local kernels = require("gen.emit.kernels")
local op = require("gen.ir.op")
local target = require("gen.ir.target")
local wrap = require("gen.emit.wrap")

local t = target.cpu("generic")

-- Heads of odd sizes and beyond a tile's depth, grouped heads, windows, keys in several blocks of 256.
local sizes = { { T = 17, H = 1, D = 5 }, { T = 300, H = 3, D = 20 }, { T = 70, H = 4, D = 33, KV = 2 },
  { T = 40, H = 1, D = 260 }, { T = 600, H = 4, D = 8, KV = 1, window = 300 },
  { T = 90, H = 2, D = 64, window = 7, cap = 2.0 } }

local function kernel(size, type)
  local g = graph.new()
  g.target, g.decode = t, true
  local kv = size.KV or size.H
  local qkv = g:tensor("qkv", { size.T, (size.H + 2 * kv) * size.D }, { kind = "input" })
  local cache = g:state("cache", "attention_decode", { T = size.T, K = kv * size.D }, type)
  g:append("attention_decode", "attention", { qkv, cache }, { T = size.T, H = size.H, KV = size.KV,
    window = size.window, cap = size.cap, scale = size.D ^ -0.5 })
  local k = kernels.text(g.nodes[1], t, true)
  local name = k.name .. (type == "bf16" and "_brain" or "")
  return name, wrap.text((k.text:gsub(k.name, name)))
end

local entries = {}
for _, size in ipairs(sizes) do
  local plain, plain_text = kernel(size, nil)
  local brain, brain_text = kernel(size, "bf16")
  print(plain_text .. brain_text)
  entries[#entries + 1] = ("    {%d, %d, %d, %d, %d, %s, %s},"):format(size.T, size.H, size.KV or size.H, size.D,
    op.all().attention_decode.state({ T = size.T, K = (size.KV or size.H) * size.D })[2], plain, brain)
end
print("static const struct attention cases[] = {\n" .. table.concat(entries, "\n") .. "\n};")
