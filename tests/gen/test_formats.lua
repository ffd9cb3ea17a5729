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

local function words(text)
  local list = {}
  for word in text:gmatch("%S+") do list[#list + 1] = word end
  return list
end

check.test("what no GPT-2 can be is refused by name, and goes into a safetensors file", function()
  for word, why in pairs({ ["norm=rmsnorm"] = "norm = rmsnorm: a GPT%-2's norms", ["pos=rope"] = "pos = rope: a GPT",
    ["pos=none"] = "pos = none", ["norm=rmsnorm norm_gain=false"] = "norm_gain = false: a GPT%-2's norms have",
    ["embd_norm=true"] = "embd_norm = true: a GPT%-2's embedding",
    ["qk_norm=gain"] = "qk_norm = gain: a GPT", ["qk_norm=plain"] = "qk_norm = plain",
    ["n_kv_head=2"] = "n_kv_head = 2: each head", ["head_size=16"] = "head_size = 16",
    ["window=SL"] = "window = SL: each layer", ["attn_softcap=15"] = "attn_softcap = 15.0: a GPT%-2's scores",
    ["logit_softcap=15"] = "logit_softcap = 15.0: a GPT%-2's logits", ["activation=swiglu"] = "activation = swiglu",
    ["activation=relu2"] = "activation = relu2", ["attn_scale=embd"] = "attn_scale = embd" }) do
    for _, format in ipairs(formats.list) do
      local function try() formats.check(format, load("n_layer=2", "window_size=9", table.unpack(words(word))), "x") end
      if #format.lacks == 0 then try() else check.raises(try, 65, "x: " .. why) end
    end
  end
end)

-- A Llama, with the words of a case behind its own.
local function llama(own)
  local all = "tensor_names=llama norm=rmsnorm pos=rope activation=swiglu n_layer=2 window_size=9 " .. own
  return load(table.unpack(words(all)))
end

check.test("models of the Llama family go into transformers' and llama.cpp's files", function()
  for _, own in ipairs({ "", "n_kv_head=2 head_size=6 n_ff=50 rope_theta=500 norm_eps=1e-6 tie_weights=false",
    "qkv_bias=true attn_bias=true mlp_bias=true", "qkv_bias=true attn_bias=false", "qk_norm=gain",
    "activation=relu2", "rope_scaling=llama3", "activation=relu2 rope_scaling=llama3" }) do
    for _, name in ipairs({ "hf", "gguf", "safetensors" }) do
      formats.check(formats.find(name, ""), llama(own), "x")
    end
    local function to_llmc() formats.check(formats.find("llmc", ""), llama(own), "x") end
    check.raises(to_llmc, 65, "x: tensor_names = llama")
  end
end)

check.test("what none of the Llama family can be is refused by name", function()
  for own, why in pairs({ ["norm=layernorm"] = "norm = layernorm: a Llama",
    ["norm_gain=false"] = "norm_gain = false: a Llama", ["embd_norm=true"] = "embd_norm = true: a Llama",
    ["pos=learned"] = "pos = learned",
    ["pos=none"] = "pos = none", ["attn_scale=embd"] = "attn_scale = embd",
    ["lm_head_bias=true"] = "lm_head_bias = true",
    ["logit_softcap=15"] = "logit_softcap = 15.0: a Llama", ["attn_softcap=15"] = "attn_softcap = 15.0: a Llama",
    ["window=SL"] = "window = SL: each layer of a Llama", ["rope_sign=-1"] = "rope_sign = %-1",
    ["qk_norm=plain"] = "qk_norm = plain", ["qk_norm=gain qk_norm_at=after"] = "qk_norm_at = after",
    ["attn_bias=true qkv_bias=false"] = "attn_bias = true", ["qk_norm=gain qkv_bias=true"] = "qkv_bias = true",
    ["qk_norm=gain mlp_bias=true"] = "mlp_bias = true",
    ["qk_norm=gain activation=relu2"] = "activation = relu2: a Qwen",
    ["activation=gelu_tanh"] = "activation = gelu_tanh: a Llama has a gate" }) do
    for _, name in ipairs({ "hf", "gguf" }) do
      check.raises(function() formats.check(formats.find(name, ""), llama(own), "x") end, 65, "x: " .. why)
    end
    formats.check(formats.find("safetensors", ""), llama(own), "x")
  end
  for own, why in pairs({ ["qk_norm=gain rope_scaling=llama3"] = "rope_scaling = llama3: llama.cpp divides",
    ["qkv_bias=true rope_scaling=llama3"] = "rope_scaling = llama3: llama.cpp divides",
    ["activation=geglu"] = "activation = geglu" }) do
    formats.check(formats.find("hf", ""), llama(own), "x")
    check.raises(function() formats.check(formats.find("gguf", ""), llama(own), "x") end, 65, "x: " .. why)
  end
end)

-- A NanoChat, with the words of a case behind its own.
local function nanochat(own)
  return llama("tensor_names=nanochat activation=relu2 norm_gain=false embd_norm=true rope_sign=-1 qk_norm=plain " ..
    "qk_norm_at=after logit_softcap=15 tie_weights=false " .. own)
end

check.test("a NanoChat goes into transformers' files; what it cannot be is refused by name", function()
  local hf = formats.find("hf", "")
  for _, own in ipairs({ "", "logit_softcap=0 tie_weights=true n_kv_head=2 head_size=6 rope_scaling=llama3",
    "qkv_bias=true attn_bias=true" }) do
    formats.check(hf, nanochat(own), "x")
    formats.check(formats.find("safetensors", ""), nanochat(own), "x")
    check.raises(function() formats.check(formats.find("llmc", ""), nanochat(own), "x") end, 65,
      "x: tensor_names = nanochat: a GPT%-2's")
    check.raises(function() formats.check(formats.find("gguf", ""), nanochat(own), "x") end, 65,
      "x: tensor_names = nanochat: llama.cpp has no architecture of NanoChat's")
  end
  for own, why in pairs({ ["norm=layernorm norm_gain=true"] = "norm = layernorm",
    ["norm_gain=true"] = "norm_gain = true", ["embd_norm=false"] = "embd_norm = false",
    ["attn_scale=embd"] = "attn_scale = embd",
    ["lm_head_bias=true"] = "lm_head_bias = true", ["attn_softcap=15"] = "attn_softcap = 15.0",
    ["window=SL"] = "window = SL", ["pos=none"] = "pos = none", ["pos=learned"] = "pos = learned",
    ["rope_sign=1"] = "rope_sign = 1", ["qk_norm=none"] = "qk_norm = none", ["qk_norm=gain"] = "qk_norm = gain",
    ["qk_norm_at=before"] = "qk_norm_at = before", ["qkv_bias=true"] = "qkv_bias = true",
    ["attn_bias=true"] = "qkv_bias = false", ["mlp_bias=true"] = "mlp_bias = true",
    ["activation=swiglu"] = "activation = swiglu", ["activation=relu"] = "activation = relu" }) do
    check.raises(function() formats.check(hf, nanochat(own), "x") end, 65, "x: " .. why .. ": .*a NanoChat")
  end
end)

os.remove(path)
check.finish()
