-- test_formats: what `make export` refuses, by the config's keys (gen/export/formats.lua).
package.path = "./?.lua;" .. package.path
local check = require "tests.gen.check"
local config = require "gen.config.load"
local files = require "gen.base.files"
local formats = require "gen.export.formats"

local path = os.tmpname()
os.rename(path, path .. ".lua")
path = path .. ".lua"
files.write(path, "return { n_layer = 1, n_head = 4, n_embd = 32, vocab_size = 5, activation = 'gelu_tanh' }")
local function load(...) return config.load({ path }, { ... }, {}) end

check.test("a GPT-2 goes into every format", function()
  for _, format in ipairs(formats.list) do formats.check(format, load(), "x") end
end)

check.test("llm.c's widths and norms are its own", function()
  for word, why in pairs({ ["n_ff=100"] = "n_ff = 100", ["norm_eps=1e-6"] = "norm_eps = 1e%-06" }) do
    for _, format in ipairs(formats.list) do
      local function try() formats.check(format, load(word), "x") end
      if format.name == "llmc" then check.raises(try, 65, "x: " .. why) else try() end
    end
  end
end)

check.test("what no GPT-2 can be is refused by name, and goes into a safetensors file", function()
  for word, why in pairs({ ["norm=rmsnorm"] = "norm = rmsnorm: a GPT%-2's norms", ["pos=rope"] = "pos = rope: a GPT",
    ["pos=none"] = "pos = none",
    ["qk_norm=gain"] = "qk_norm = gain: a GPT", ["qk_norm=plain"] = "qk_norm = plain",
    ["n_kv_head=2"] = "n_kv_head = 2: each head", ["head_size=16"] = "head_size = 16",
    ["window=SL"] = "window = SL: each layer", ["attn_softcap=15"] = "attn_softcap = 15.0: a GPT%-2's scores",
    ["logit_softcap=15"] = "logit_softcap = 15.0: a GPT%-2's logits", ["activation=swiglu"] = "activation = swiglu",
    ["activation=relu2"] = "activation = relu2", ["attn_scale=embd"] = "attn_scale = embd" }) do
    for _, format in ipairs(formats.list) do
      local function try() formats.check(format, load("n_layer=2", "window_size=9", word), "x") end
      if format.name == "safetensors" then try() else check.raises(try, 65, "x: " .. why) end
    end
  end
end)

os.remove(path)
check.finish()
