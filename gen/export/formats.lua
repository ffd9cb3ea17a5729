-- formats: what `make export` writes: each format's types and place, and what it cannot express, by the config's keys.
-- A format's writer is a file of runtime/files, which runtime/programs/export.c names. Depends on config.
--
--   name     FORMAT's value
--   what     in words, for messages
--   types    TYPE's values, the default first
--   place    the path where its file or folder is put, of the run's folder, the run's name and the type
--   lacks    { key, value, why }: a config with this value is refused; { key, OTHER, why }: with any value but the one
--            that a file without the key means; { key, function, why }: if the function of the config says so
--   llama    the same of a config whose tensors have Hugging Face's names (tensor_names), and nanochat, its NanoChat's;
--            without them they are refused
--   notes    { key, value, line }: with this value the line is printed
--   text     true: whoever reads it makes text of it, so that a tokenizer is missed
local problem = require "gen.config.problem"
local schema = require "gen.config.schema"

local OTHER = {}
local FLOATS = { "float32", "bfloat16", "float16" }

-- What a GPT-2 cannot be, in whoever's file.
local GPT2_LACKS = {
  { "model", "bigram", "a GPT-2 has layers" },
  { "tensor_names", OTHER, "a GPT-2's tensors are nanoGPT's" },
  { "norm_gain", false, "a GPT-2's norms have gains" },
  { "norm", "rmsnorm", "a GPT-2's norms are layernorms" },
  { "embd_norm", OTHER, "a GPT-2's embedding is not normed" },
  { "attn_scale", "embd", "a GPT-2 divides scores by the root of the head size" },
  { "lm_head_bias", true, "a GPT-2's head has no bias" },
  { "logit_softcap", OTHER, "a GPT-2's logits are not capped" },
  { "attn_softcap", OTHER, "a GPT-2's scores are not capped" },
  { "window", OTHER, "each layer of a GPT-2 sees all tokens before" },
  { "n_kv_head", OTHER, "each head of a GPT-2 has its own keys" },
  { "head_size", OTHER, "a GPT-2's heads are n_embd / n_head wide" },
  { "pos", OTHER, "a GPT-2's positions are a learned table" },
  { "qk_norm", OTHER, "a GPT-2's queries and keys are no norm's" },
  { "activation", "relu2", "it is exported for no program yet" },
  { "activation", "swiglu", "a GPT-2's feed-forward layers have no gate" },
  { "activation", "geglu", "a GPT-2's feed-forward layers have no gate" },
}

-- What a program's GPT-2 cannot be besides.
local function besides(list)
  local all = { table.unpack(GPT2_LACKS) }
  return table.move(list, 1, #list, #all + 1, all)
end

local LLMC_LACKS = besides({
  { "tie_weights", false, "llm.c's head is the table of tokens" },
  { "n_ff", OTHER, "llm.c's feed-forward layers are 4 n_embd wide" },
  { "norm_eps", OTHER, "llm.c's norms add 1e-5" },
  { "activation", "relu", "llm.c computes GELU" },
  { "activation", "silu", "llm.c computes GELU" },
})
local LLMC_NOTES = {
  { "activation", "gelu_erf", "llm.c computes GELU by tanh, so its losses will differ a little" },
  { "bias", false, "llm.c has biases and trains them; they are zeros in its file" },
  { "qkv_bias", false, "llm.c has this bias and trains it; it is zeros in its file" },
  { "attn_bias", false, "llm.c has this bias and trains it; it is zeros in its file" },
  { "mlp_bias", false, "llm.c has these biases and trains them; they are zeros in its file" },
}
local GGUF_LACKS = besides({
  { "activation", "relu", "llama.cpp computes GELU in a GPT-2" },
  { "activation", "silu", "llama.cpp computes GELU in a GPT-2" },
})
local GGUF_NOTES = { { "activation", "gelu_erf", "llama.cpp computes GELU by tanh, so its text may differ a little" } }

-- What none of Llama, Qwen2, Qwen3 and Arcee can be. Which of them a model is shows in its parts: normed queries and
-- keys are Qwen3's, biases of q, k and v alone Qwen2's, relu2 without a gate Arcee's.
local function of_qwen(c) return c.qk_norm ~= "none" or c.qkv_bias and not c.has_attn_bias end
local LLAMA_LACKS = {
  { "norm_gain", false, "a Llama's norms have gains" },
  { "norm", "layernorm", "a Llama's norms are rmsnorms" },
  { "embd_norm", OTHER, "a Llama's embedding is not normed" },
  { "attn_scale", "embd", "a Llama divides scores by the root of the head size" },
  { "lm_head_bias", true, "a Llama's head has no bias" },
  { "logit_softcap", OTHER, "a Llama's logits are not capped" },
  { "attn_softcap", OTHER, "a Llama's scores are not capped" },
  { "window", OTHER, "each layer of a Llama sees all tokens before" },
  { "pos", "learned", "a Llama's positions are rotary" },
  { "pos", "none", "a Llama's positions are rotary" },
  { "rope_sign", OTHER, "a Llama turns by plus theta" },
  { "qk_norm", "plain", "a Qwen3's norms of queries and keys have gains" },
  { "qk_norm_at", OTHER, "a Qwen3 norms before it turns" },
  { "attn_bias", function(c) return c.has_attn_bias and not c.qkv_bias end,
    "a Llama has biases of attention's both products, or of none" },
  { "qkv_bias", function(c) return c.qk_norm ~= "none" and c.qkv_bias and not c.has_attn_bias end,
    "a Qwen3 has biases of attention's both products, or of none" },
  { "mlp_bias", function(c) return c.has_mlp_bias and of_qwen(c) end, "a Qwen's feed-forward layers have no biases" },
  { "activation", function(c) return c.activation ~= "swiglu" and of_qwen(c) end, "a Qwen computes swiglu" },
  { "activation", function(c) return not c.gated and c.activation ~= "relu2" end,
    "a Llama has a gate, and an Arcee relu2" },
}
local LLAMA_GGUF_LACKS = table.move(LLAMA_LACKS, 1, #LLAMA_LACKS, 3, {
  { "rope_scaling", function(c) return c.rope_scaling ~= "none" and of_qwen(c) end,
    "llama.cpp divides no angles of a Qwen" },
  { "activation", "geglu", "llama.cpp computes swiglu in a Llama" },
})

local function is_not(key, value) return function(c) return c[key] ~= value end end

local NANOCHAT_LACKS = {
  { "norm", "layernorm", "a NanoChat's norms are rmsnorms" },
  { "norm_gain", true, "a NanoChat's norms have no gains" },
  { "embd_norm", false, "a NanoChat norms its embedding" },
  { "attn_scale", "embd", "a NanoChat divides scores by the root of the head size" },
  { "lm_head_bias", true, "a NanoChat's head has no bias" },
  { "attn_softcap", OTHER, "a NanoChat's scores are not capped" },
  { "window", OTHER, "each layer of a NanoChat sees all tokens before" },
  { "pos", is_not("pos", "rope"), "a NanoChat's positions are rotary" },
  { "rope_sign", 1, "a NanoChat turns by minus theta" },
  { "qk_norm", is_not("qk_norm", "plain"), "a NanoChat norms queries and keys, without gains" },
  { "qk_norm_at", "before", "a NanoChat turns before it norms" },
  { "qkv_bias", function(c) return c.qkv_bias ~= c.has_attn_bias end,
    "a NanoChat has biases of attention's both products, or of none" },
  { "mlp_bias", function(c) return c.has_mlp_bias end, "a NanoChat's feed-forward layers have no biases" },
  { "activation", is_not("activation", "relu2"), "a NanoChat computes relu2" },
}
local NO_NANOCHAT = { { "tensor_names", "nanochat", "llama.cpp has no architecture of NanoChat's" } }

local formats = {}

formats.list = {
  { name = "hf", what = "a folder for Hugging Face's transformers", text = true, types = FLOATS, notes = {},
    lacks = GPT2_LACKS, llama = LLAMA_LACKS, nanochat = NANOCHAT_LACKS,
    place = function(folder) return folder .. "/hf" end },
  { name = "llmc", what = "llm.c's weights", types = { "float32", "bfloat16" }, lacks = LLMC_LACKS, notes = LLMC_NOTES,
    place = function(folder, run, type) return ("%s/%s-%s.bin"):format(folder, run, type) end },
  { name = "gguf", what = "a GGUF file, for llama.cpp", types = { "float32", "bfloat16", "float16", "q8_0", "q4_0" },
    notes = GGUF_NOTES, lacks = GGUF_LACKS, llama = LLAMA_GGUF_LACKS, nanochat = NO_NANOCHAT,
    place = function(folder, run, type) return ("%s/%s-%s.gguf"):format(folder, run, type) end },
  { name = "safetensors", what = "a safetensors file with the checkpoint's names", types = FLOATS, lacks = {},
    notes = {},
    place = function(folder, run, type) return ("%s/%s-%s.safetensors"):format(folder, run, type) end },
  -- Its numbers are used where they lie: they are floats, or what a sampler with small weights multiplies.
  { name = "sampler", what = "a safetensors file for make sampler", notes = {}, lacks = {},
    types = { "float32", "bfloat16", "q8_0", "q4_0" },
    place = function(folder) return folder .. "/sampler.safetensors" end },
}

local function names(list, field)
  local words = {}
  for i, value in ipairs(list) do words[i] = field and value[field] or value end
  return table.concat(words, ", ")
end

-- The format of that name, and the type, which is "" for the default. Raises { code, message }.
function formats.find(name, type)
  for _, format in ipairs(formats.list) do
    if format.name == name then
      if type == "" then return format, format.types[1] end
      for _, known in ipairs(format.types) do
        if type == known then return format, type end
      end
      problem.fail(problem.USAGE, "TYPE", "'%s' is not known to FORMAT=%s; there are: %s", type, name,
        names(format.types))
    end
  end
  local found = name == "" and "is missing" or ("'%s' is not known"):format(name)
  problem.fail(problem.USAGE, "FORMAT", "%s; there are: %s", found, names(formats.list, "name"))
end

-- Refuses a config that the format cannot express, by { code, message }. Returns the lines to print about it.
function formats.check(format, c, path)
  for _, lack in ipairs(format[c.tensor_names] or format.lacks) do
    local name, value = lack[1], c[lack[1]]
    local lacks = value == lack[2]
    if lack[2] == OTHER then lacks = not schema.is_absent(schema.key(name), value) end
    if type(lack[2]) == "function" then lacks = lack[2](c) end
    if lacks then
      problem.fail(problem.DATA, path, "%s = %s: %s; FORMAT=safetensors takes any model", name, tostring(value),
        lack[3])
    end
  end
  local lines = {}
  for _, note in ipairs(format.notes) do
    if c[note[1]] == note[2] then lines[#lines + 1] = ("%s = %s: %s"):format(note[1], tostring(note[2]), note[3]) end
  end
  return lines
end

return formats
