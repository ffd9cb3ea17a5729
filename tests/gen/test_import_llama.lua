-- test_import_llama: config.json of the Llama family as our keys (gen/import/llama.lua): what both transformers write,
-- what a family always has, and what is refused by name.
package.path = "./?.lua;" .. package.path
local check = require "tests.gen.check"
local files = require "gen.base.files"
local folder = require "gen.import.folder"
local llama = require "gen.import.llama"

local function config(words)
  local c = { model_type = "llama", num_hidden_layers = 2, num_attention_heads = 6, hidden_size = 48, vocab_size = 99,
    intermediate_size = 100, max_position_embeddings = 64, hidden_act = "silu", rms_norm_eps = 1e-5 }
  for key, value in pairs(words or {}) do c[key] = value end
  return c
end

local function keys(words)
  local list, lines = llama.keys(config(words), "x")
  local by_name = {}
  for _, key in ipairs(list) do by_name[key[1]] = key[2] end
  return by_name, lines
end

check.test("a Llama's sizes and parts", function()
  local k, lines = keys({ num_key_value_heads = 2 })
  for name, value in pairs({ n_layer = 2, n_head = 6, n_embd = 48, vocab_size = 99, n_ff = 100, block_size = 64,
    n_kv_head = 2, bias = false, norm = "rmsnorm", norm_eps = 1e-5, pos = "rope", rope_theta = 10000.0,
    activation = "swiglu", tie_weights = false, tensor_names = "llama" }) do
    check.equal(k[name], value, name)
  end
  for _, name in ipairs({ "qkv_bias", "attn_bias", "mlp_bias", "head_size", "qk_norm", "rope_scaling" }) do
    check.equal(k[name], nil, name)
  end
  check.equal(#lines, 0)
end)

check.test("transformers 4 and 5 say the same rope", function()
  local scaling = { factor = 32.0, low_freq_factor = 1.0, high_freq_factor = 4.0,
    original_max_position_embeddings = 8192 }
  local function with(words) return setmetatable(words, { __index = scaling }) end
  local function copied(words)
    for key, value in pairs(scaling) do words[key] = value end
    return words
  end
  local new = keys({ rope_parameters = copied({ rope_type = "llama3", rope_theta = 500000.0 }) })
  for _, old in ipairs({ { rope_type = "llama3" }, { type = "llama3" } }) do
    local k = keys({ rope_theta = 500000.0, rope_scaling = copied(old) })
    for name, value in pairs(new) do check.equal(k[name], value, name) end
  end
  check.equal(new.rope_theta, 500000.0)
  check.equal(new.rope_factor, 32.0)
  check.equal(new.rope_original_context, 8192)
  check.equal(keys({ rope_parameters = with({ rope_type = "default", rope_theta = 7 }) }).rope_theta, 7.0)
end)

check.test("the families' own parts", function()
  local biased = keys({ attention_bias = true, mlp_bias = true })
  check.equal(biased.qkv_bias and biased.attn_bias and biased.mlp_bias, true)
  local qwen2 = keys({ model_type = "qwen2", use_sliding_window = false, sliding_window = 4096 })
  check.equal(qwen2.qkv_bias, true)
  check.equal(qwen2.attn_bias, nil)
  local qwen3 = keys({ model_type = "qwen3", head_dim = 16, layer_types = { "full_attention", "full_attention" } })
  check.equal(qwen3.qk_norm, "gain")
  check.equal(qwen3.head_size, 16)
  check.equal(keys({ model_type = "arcee", hidden_act = "relu2" }).activation, "relu2")
  check.equal(keys({ hidden_act = "gelu", tie_word_embeddings = true }).activation, "geglu")
end)

check.test("a NanoChat's parts", function()
  local function nanochat(words)
    words.model_type, words.hidden_act = "nanochat", words.hidden_act or "relu2"
    return keys(words)
  end
  local plain = nanochat({})
  for name, value in pairs({ norm = "rmsnorm", norm_gain = false, embd_norm = true, pos = "rope", rope_sign = -1,
    qk_norm = "plain", qk_norm_at = "after", activation = "relu2", logit_softcap = 15.0, tie_weights = false,
    tensor_names = "nanochat" }) do
    check.equal(plain[name], value, name)
  end
  check.equal(plain.qkv_bias, nil)
  check.equal(nanochat({ final_logit_softcapping = 30 }).logit_softcap, 30.0)
  check.equal(nanochat({ nulls = { final_logit_softcapping = true } }).logit_softcap, nil)
  local biased = nanochat({ attention_bias = true, tie_word_embeddings = true })
  check.equal(biased.qkv_bias and biased.attn_bias and biased.tie_weights, true)
  for stated, why in pairs({ [0] = "is 0, by which", [-1] = "is %-1", ["15"] = "is 15", [false] = "is false" }) do
    local function try() nanochat({ final_logit_softcapping = stated }) end
    check.raises(try, 65, "x: final_logit_softcapping " .. why)
  end
  check.raises(function() nanochat({ hidden_act = "gelu" }) end, 65, "x: hidden_act is gelu; a nanochat has relu2 here")
  check.equal(keys({ final_logit_softcapping = 30 }).logit_softcap, nil) -- a Llama's logits are not capped
end)

check.test("what is null is known by its name", function()
  local path = os.tmpname()
  files.write(path, '{"model_type": "nanochat", "final_logit_softcapping": null, "nulls": 1}')
  local read = folder.read_config(path)
  os.remove(path)
  check.equal(read.final_logit_softcapping, nil)
  check.equal(read.nulls.final_logit_softcapping, true)
  check.equal(read.nulls.model_type, nil)
end)

check.test("a long context is cut at the import, which says so and keeps it", function()
  local k, lines = keys({ max_position_embeddings = 8192 })
  check.equal(k.block_size, 1024)
  check.equal(k.model_context, 8192)
  check.equal(lines[1], 'max_position_embeddings 8192 is block_size = 1024; SET="block_size=8192" has all of it, ' ..
    "and make export says 8192 all the same")
  k, lines = keys({ max_position_embeddings = 8191 })
  check.equal(k.block_size, 8191)
  check.equal(k.model_context, 8191)
  check.equal(#lines, 0)
  check.equal(keys({ max_position_embeddings = 10485760 }).model_context, 10485760)
end)

check.test("dropout is left out, with a line", function()
  local _, lines = keys({ attention_dropout = 0.1 })
  check.equal(lines[1]:find("attention_dropout = 0.1 is left out", 1, true), 1)
end)

check.test("what we lack is refused by name", function()
  for _, case in ipairs({
    { { rope_parameters = { rope_type = "yarn" } }, "rope_type is yarn" },
    { { rope_scaling = { type = "linear", factor = 2 } }, "rope_type is linear" },
    { { rope_scaling = { rope_type = "rope_freqs.weight" } }, "its rope_freqs.weight divides angles by numbers that" },
    { { rope_scaling = { rope_type = "llama3" } }, "factor is nil" },
    { { rope_theta = -1 }, "rope_theta is %-1" },
    { { rope_theta = "10000" }, "rope_theta is 10000" },
    { { hidden_act = "relu" }, "hidden_act is relu" },
    { { rms_norm_eps = 0 }, "rms_norm_eps is 0" },
    { { num_key_value_heads = 4 }, "num_key_value_heads 4 does not divide num_attention_heads 6" },
    { { num_key_value_heads = 0 }, "num_key_value_heads is 0" },
    { { num_attention_heads = 5 }, "num_attention_heads 5 does not divide hidden_size 48" },
    { { head_dim = 1.5 }, "head_dim is 1.5" },
    { { partial_rotary_factor = 0.5 }, "partial_rotary_factor is 0.5" },
    { { rope_parameters = { partial_rotary_factor = 0.5 } }, "partial_rotary_factor is 0.5" },
    { { model_type = "qwen2", use_sliding_window = true }, "use_sliding_window is true" },
    { { layer_types = { "sliding_attention" } }, "layer_types has sliding_attention" },
    { { num_local_experts = 8 }, "num_local_experts is 8" },
    { { hidden_size = 0 }, "hidden_size is 0" },
    { { vocab_size = 1e300 }, "vocab_size is 1e%+300" },
    { { max_position_embeddings = "long" }, "max_position_embeddings is long" },
  }) do
    check.raises(function() keys(case[1]) end, 65, "x: " .. case[2])
  end
  local c = config()
  c.intermediate_size = nil
  check.raises(function() llama.keys(c, "x") end, 65, "x: has no intermediate_size; a config.json of model_type llama")
end)

check.finish()
