-- llama: the config.json of Hugging Face's Llama, Qwen2, Qwen3, Arcee and NanoChat as our keys, as transformers 4 and 5
-- write it. Variants that we do not have are refused by name; keys that do not change the function are left out.
-- Depends on config and sizes.
local problem = require "gen.config.problem"
local schema = require "gen.config.schema"
local sizes = require "gen.import.sizes"

local llama = {}

-- A context of this many tokens or more is baked as CUT at import; SET="block_size=..." raises it.
local LONG, CUT = 8192, 1024

local SIZES = {
  { "num_hidden_layers", "n_layer" }, { "num_attention_heads", "n_head" }, { "hidden_size", "n_embd" },
  { "vocab_size", "vocab_size" }, { "intermediate_size", "n_ff" },
}

-- What the families always are: their activation by their names, whether q, k and v alone have biases, or none may,
-- keys of ours that config.json does not state, and the cap of logits where it is left out.
local FAMILIES = {
  llama = { activations = { silu = "swiglu", swish = "swiglu", gelu = "geglu" }, act = "silu", biases = true },
  qwen2 = { activations = { silu = "swiglu", swish = "swiglu" }, act = "silu", qkv = true },
  qwen3 = { activations = { silu = "swiglu", swish = "swiglu" }, act = "silu", biases = true,
    always = { { "qk_norm", "gain" } } },
  arcee = { activations = { relu2 = "relu2" }, act = "relu2", biases = true },
  nanochat = { activations = { relu2 = "relu2" }, act = "relu2", biases = true, names = "nanochat", softcap = 15,
    always = { { "norm_gain", false }, { "embd_norm", true }, { "rope_sign", -1 }, { "qk_norm", "plain" },
      { "qk_norm_at", "after" } } },
}

-- Values that a key must have if it is stated, and why.
local FIXED = {
  { "use_sliding_window", false, "windows of a Qwen's layers are not read" },
  { "partial_rotary_factor", 1, "positions turn whole heads here" },
  { "num_experts", 0, "there are no mixtures of experts here" },
  { "num_local_experts", 0, "there are no mixtures of experts here" },
}

local LLAMA3 = {
  { "factor", "rope_factor" }, { "low_freq_factor", "rope_low_freq_factor" },
  { "high_freq_factor", "rope_high_freq_factor" }, { "original_max_position_embeddings", "rope_original_context" },
}

local function number(value, path, theirs, ours)
  local key = schema.key(ours)
  local good = type(value) == "number" and value == value and (not key.max or value <= key.max)
    and (not key.min or value >= key.min) and (not key.above or value > key.above)
  if good and key.type == "int" then value = math.tointeger(value) end
  if not good or not value then
    problem.fail(problem.DATA, path, "%s is %s, which %s cannot be", theirs, tostring(value), ours)
  end
  return key.type == "float" and value + 0.0 or value
end

-- transformers 5 has rope_parameters, 4 rope_theta and rope_scaling, whose type is "rope_type" or, before, "type".
local function add_rope(add, config, path)
  local rope = config.rope_parameters
  if type(rope) ~= "table" then rope = type(config.rope_scaling) == "table" and config.rope_scaling or {} end
  local theta = rope.rope_theta or config.rope_theta or 10000
  if rope.partial_rotary_factor ~= nil and rope.partial_rotary_factor ~= 1 then
    problem.fail(problem.DATA, path, "partial_rotary_factor is %s: positions turn whole heads here",
      tostring(rope.partial_rotary_factor))
  end
  add("pos", "rope")
  add("rope_theta", number(theta, path, "rope_theta", "rope_theta"))
  local kind = rope.rope_type or rope.type or "default"
  if kind == "default" then return end
  if kind == "rope_freqs.weight" then
    problem.fail(problem.DATA, path, "its rope_freqs.weight divides angles by numbers that no llama3 scaling makes, " ..
      "the only one that can be read")
  end
  if kind ~= "llama3" then
    problem.fail(problem.DATA, path, "rope_type is %s; default and llama3 are what can be read", tostring(kind))
  end
  add("rope_scaling", "llama3")
  for _, pair in ipairs(LLAMA3) do
    add(pair[2], number(rope[pair[1]], path, pair[1], pair[2]))
  end
end

local function add_context(add, lines, config, path)
  local own = sizes.of(config.max_position_embeddings, path, "max_position_embeddings", "model_context",
    "a model's config.json")
  add("block_size", own < LONG and own or CUT)
  add("model_context", own)
  if own >= LONG then
    lines[#lines + 1] = ("max_position_embeddings %d is block_size = %d; SET=\"block_size=%d\" has all of it, and " ..
      "make export says %d all the same"):format(own, CUT, own, own)
  end
end

local function check_fixed(config, path)
  for _, fixed in ipairs(FIXED) do
    local stated = config[fixed[1]]
    if stated ~= nil and stated ~= fixed[2] then
      problem.fail(problem.DATA, path, "%s is %s: %s", fixed[1], tostring(stated), fixed[3])
    end
  end
  for _, kind in ipairs(type(config.layer_types) == "table" and config.layer_types or {}) do
    if kind ~= "full_attention" then
      problem.fail(problem.DATA, path, "layer_types has %s: each layer sees all tokens before here", tostring(kind))
    end
  end
end

local function add_biases(add, config, family)
  local qkv = family.qkv or family.biases and config.attention_bias == true or false
  local out = family.biases and config.attention_bias == true or false
  add("bias", false)
  if qkv then add("qkv_bias", true) end
  if out then add("attn_bias", true) end
  if family.biases and config.mlp_bias == true then add("mlp_bias", true) end
end

-- A cap that is null is off.
local function add_softcap(add, config, path, softcap)
  if not softcap or config.nulls and config.nulls.final_logit_softcapping then return end
  local stated = config.final_logit_softcapping
  if stated == 0 then
    problem.fail(problem.DATA, path, "final_logit_softcapping is 0, by which no logit can be divided; null is off")
  end
  add("logit_softcap", number(stated == nil and softcap or stated, path, "final_logit_softcapping", "logit_softcap"))
end

-- The families by config.json's model_type.
llama.families = FAMILIES

-- The keys of a config.json at `path`: { { name, value }, ... }, and lines about keys that could not be taken over.
-- Raises { code, message }.
function llama.keys(config, path)
  local family = FAMILIES[config.model_type]
  if config.diecast then return sizes.own(config, path, SIZES) end
  local keys, lines = {}, {}
  local function add(name, value) keys[#keys + 1] = { name, value } end
  check_fixed(config, path)
  local wanted = ("a config.json of model_type %s"):format(config.model_type)
  local size = {}
  for _, pair in ipairs(SIZES) do
    size[pair[2]] = sizes.of(config[pair[1]], path, pair[1], pair[2], wanted)
    add(pair[2], size[pair[2]])
  end
  add_context(add, lines, config, path)
  local kv = config.num_key_value_heads
  if kv ~= nil and kv ~= size.n_head then
    kv = sizes.of(kv, path, "num_key_value_heads", "n_kv_head", wanted)
    if size.n_head % kv ~= 0 then
      problem.fail(problem.DATA, path, "num_key_value_heads %d does not divide num_attention_heads %d", kv, size.n_head)
    end
    add("n_kv_head", kv)
  end
  local width = config.head_dim
  if width == nil and size.n_embd % size.n_head ~= 0 then
    problem.fail(problem.DATA, path, "num_attention_heads %d does not divide hidden_size %d", size.n_head, size.n_embd)
  end
  if width ~= nil and width * size.n_head ~= size.n_embd then
    add("head_size", sizes.of(width, path, "head_dim", "head_size", wanted))
  end
  add_biases(add, config, family)
  add("norm", "rmsnorm")
  add("norm_eps", number(config.rms_norm_eps or 1e-6, path, "rms_norm_eps", "norm_eps"))
  add_rope(add, config, path)
  for _, own in ipairs(family.always or {}) do add(own[1], own[2]) end
  add_softcap(add, config, path, family.softcap)
  local theirs = config.hidden_act or family.act
  if not family.activations[theirs] then
    problem.fail(problem.DATA, path, "hidden_act is %s; a %s has %s here", tostring(theirs), config.model_type,
      family.act)
  end
  add("activation", family.activations[theirs])
  add("tie_weights", config.tie_word_embeddings == true)
  add("tensor_names", family.names or "llama")
  if config.attention_dropout and config.attention_dropout ~= 0 then
    lines[#lines + 1] = ("attention_dropout = %s is left out: dropout is 0; SET=\"dropout=%s\" trains with it"):format(
      tostring(config.attention_dropout), tostring(config.attention_dropout))
  end
  return keys, lines
end

return llama
