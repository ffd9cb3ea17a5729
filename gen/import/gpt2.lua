-- gpt2: the config.json of Hugging Face's GPT-2 as our keys. Variants that we do not have are refused by name; keys
-- that do not change the function are left out. A model that make export wrote has its own config beside that one
-- (diecast), which says more. Depends on config and sizes.
local problem = require "gen.config.problem"
local schema = require "gen.config.schema"
local sizes = require "gen.import.sizes"

local gpt2 = {}

-- Their names for activations, and ours. gelu_new, gelu_pytorch_tanh and gelu_fast are the same function.
local ACTIVATIONS = {
  gelu_new = "gelu_tanh", gelu_pytorch_tanh = "gelu_tanh", gelu_fast = "gelu_tanh",
  gelu = "gelu_erf", relu = "relu", silu = "silu", swish = "silu",
}

-- Theirs, ours. Old files have n_ctx instead of n_positions.
local SIZES = {
  { "n_layer", "n_layer" }, { "n_head", "n_head" }, { "n_embd", "n_embd" }, { "vocab_size", "vocab_size" },
  { "n_positions", "block_size" },
}

-- Values that a key must have if it is stated, and why.
local FIXED = {
  { "scale_attn_weights", true, "attention's scores are always scaled here" },
  { "scale_attn_by_inverse_layer_idx", false, "attention is scaled alike in all layers here" },
  { "add_cross_attention", false, "there is no cross-attention here" },
}

-- What our models may have or lack, and GPT-2 always has or lacks. Hugging Face's config.json does not say it; what
-- describes a file of nanoGPT's does.
local PARTS = { { "bias", true }, { "qkv_bias" }, { "lm_head_bias", false } }

local DROPOUTS = { "dropout", "embd_pdrop", "attn_pdrop", "resid_pdrop" } -- nanoGPT's one, and theirs

local function size_of(config, path, theirs, ours)
  local stated = config[theirs]
  if theirs == "n_positions" and stated == nil then stated = config.n_ctx end
  return sizes.of(stated, path, theirs, ours, "a GPT-2's config.json")
end

-- The width of feed-forward layers and what norms add, which a file may leave out.
local function add_stated(add, config, path, width)
  local inner = config.n_inner
  if inner ~= nil and inner ~= 4 * width then
    local key, size = schema.key("n_ff"), math.tointeger(inner)
    if not size or size < 1 or size > key.max then
      problem.fail(problem.DATA, path, "n_inner is %s; a whole number from 1 to %d is wanted", tostring(inner), key.max)
    end
    add("n_ff", size)
  end
  local eps = config.layer_norm_epsilon
  if eps ~= nil and eps ~= 1e-5 then
    if type(eps) ~= "number" or not (eps > 0 and eps <= schema.key("norm_eps").max) then
      problem.fail(problem.DATA, path, "layer_norm_epsilon is %s; a number above 0, to 1, is wanted", tostring(eps))
    end
    add("norm_eps", eps)
  end
end

-- Their name of one of our activations, or nil.
function gpt2.activation(ours)
  for _, theirs in ipairs({ "gelu_new", "gelu", "relu", "silu" }) do
    if ACTIVATIONS[theirs] == ours then return theirs end
  end
end

-- The keys of a config.json at `path`: { { name, value }, ... }, and lines about keys that could not be taken over.
-- Raises { code, message }.
function gpt2.keys(config, path)
  if config.diecast then return sizes.own(config, path, SIZES) end
  local keys, lines = {}, {}
  local function add(name, value) keys[#keys + 1] = { name, value } end
  for _, pair in ipairs(SIZES) do add(pair[2], size_of(config, path, pair[1], pair[2])) end
  for _, fixed in ipairs(FIXED) do
    local stated = config[fixed[1]]
    if stated ~= nil and stated ~= fixed[2] then
      problem.fail(problem.DATA, path, "%s is %s: %s", fixed[1], tostring(stated), fixed[3])
    end
  end
  local width = keys[3][2]
  add_stated(add, config, path, width)
  if width % keys[2][2] ~= 0 then
    problem.fail(problem.DATA, path, "n_head %d does not divide n_embd %d", keys[2][2], width)
  end
  local parts = {}
  for _, part in ipairs(PARTS) do
    local has = config[part[1]]
    if has == nil then has = part[2] end
    parts[part[1]] = has
  end
  add("bias", parts.bias)
  if parts.qkv_bias ~= nil and parts.qkv_bias ~= parts.bias then add("qkv_bias", parts.qkv_bias) end
  if parts.lm_head_bias then add("lm_head_bias", true) end
  local theirs = config.activation_function or "gelu_new"
  if not ACTIVATIONS[theirs] then
    problem.fail(problem.DATA, path, "activation_function is %s; there are: gelu_new, gelu, relu, silu",
      tostring(theirs))
  end
  add("activation", ACTIVATIONS[theirs])
  lines[#lines + 1] = ("activation_function %s is activation = %s"):format(theirs, ACTIVATIONS[theirs])
  if config.tie_word_embeddings == false then add("tie_weights", false) end
  for _, name in ipairs(DROPOUTS) do
    local rate = config[name]
    if rate == nil then rate = name == "dropout" and 0 or 0.1 end
    if rate ~= 0 then
      lines[#lines + 1] = ("%s = %s is left out: dropout is 0; SET=\"dropout=%s\" trains with it"):format(name,
        tostring(rate), tostring(rate))
      break
    end
  end
  return keys, lines
end

return gpt2
