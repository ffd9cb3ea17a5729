-- samples: configs for tests of the generator: a few that have every option, and any number of random
-- ones, the same in each run.
local hash = require "gen.config.hash"
local config = require "gen.config.load"

local samples = {}

local function load(assignments)
  local path = os.tmpname()
  os.rename(path, path .. "x.lua")
  local file = assert(io.open(path .. "x.lua", "w"))
  file:write("return {}")
  file:close()
  local words = { "isa=avx2", "vocab_size=37", table.unpack(assignments) }
  local c = config.load({ path .. "x.lua" }, words, {})
  os.remove(path .. "x.lua")
  c.baked_text = hash.baked_text(c)
  return c
end

-- A checked config from "key=value" words over a tiny one.
function samples.config(...)
  return load { "n_layer=2", "n_head=2", "n_embd=16", "block_size=8", "batch_size=3", ... }
end

-- Multiplicative congruential (Park and Miller): math.random may give another sequence in another Lua.
local function generator(seed)
  return function(list)
    seed = seed * 48271 % 2147483647
    return list[seed % #list + 1]
  end
end

-- Calls visit(c, words) for `count` random configs.
function samples.random(count, visit)
  local pick = generator(20240229)
  for n = 1, count do
    local head = pick { 1, 2, 3, 5 }
    local flags = { "true", "false" }
    local words = {
      "n_layer=" .. pick { 1, 2, 3, 5 }, "n_head=" .. head, "n_embd=" .. head * pick { 1, 4, 5, 16, 24 },
      "block_size=" .. pick { 1, 5, 16, 17, 64 }, "batch_size=" .. pick { 1, 2, 3, 12 },
      "vocab_size=" .. pick { 1, 2, 65, 257, 50304 }, "bias=" .. pick(flags),
      "qkv_bias=" .. pick(flags), "lm_head_bias=" .. pick(flags), "tie_weights=" .. pick(flags),
      "dropout_embd=" .. pick(flags), "dropout=" .. pick { "0", "0.1" },
      "activation=" .. pick { "gelu_erf", "gelu_tanh", "relu", "silu", "relu2", "swiglu" },
      "attn_scale=" .. pick { "head", "embd" }, "init=" .. pick { "nanogpt", "pytorch" },
      "isa=" .. pick { "avx512", "avx2", "neon", "generic" },
      "norm=" .. pick { "layernorm", "rmsnorm" }, "pos=" .. pick { "learned", "none" },
      "attn_bias=" .. pick(flags), "mlp_bias=" .. pick(flags),
      "qk_norm=" .. pick { "none", "plain", "gain" },
      "n_ff=" .. pick { 0, 33 }, "head_size=" .. pick { 0, 7 }, "n_kv_head=" .. pick { 0, 1 },
      "logit_softcap=" .. pick { 0, 15 }, "attn_softcap=" .. pick { 0, 20 }, "window_size=3",
      "window=" .. pick { "L", "SL", "SSSL" },
      "embd_norm=" .. pick(flags), "dtype=" .. (n % 2 == 0 and "bfloat16" or "float32"),
    }
    visit(load(words), table.concat(words, " "))
  end
end

return samples
