-- names: what a GPT's tensors are called in checkpoints, by tensor_names: as nanoGPT calls them, as Hugging Face's
-- LlamaForCausalLM (whose names Qwen2, Qwen3 and Arcee share), or as its NanoChatForCausalLM. Depends on nothing.
--
-- names.of(g, c) returns tokens, positions, first_norm and last_norm (names without ".weight"), layer (the scope of
-- layers), and the words of a layer: ln_1, qkv, q_norm, k_norm, attention_out, ln_2, fc, mlp_out. qkv_pieces and
-- fc_pieces are the words and rows of the tensors that are one in memory, where there are several. A head is lm_head by
-- all names.
local names = {}

local NANOGPT = { scope = "transformer", tokens = "wte", positions = "wpe", first_norm = "ln_0",
  last_norm = "ln_f", layer = "transformer.h", ln_1 = "ln_1", qkv = "attn.c_attn", attention_out = "attn.c_proj",
  q_norm = "attn.q_norm", k_norm = "attn.k_norm", ln_2 = "ln_2", fc = "mlp.c_fc", mlp_out = "mlp.c_proj" }

local LLAMA = { scope = "model", tokens = "embed_tokens", positions = "embed_positions",
  first_norm = "embed_norm", last_norm = "norm",
  layer = "model.layers", ln_1 = "input_layernorm", qkv = "self_attn.qkv_proj", attention_out = "self_attn.o_proj",
  q_norm = "self_attn.q_norm", k_norm = "self_attn.k_norm", ln_2 = "post_attention_layernorm", fc = "mlp.up_proj",
  mlp_out = "mlp.down_proj" }

-- The words of fc and mlp_out are the models' own.
local NANOCHAT = setmetatable({ fc = "mlp.fc1", mlp_out = "mlp.fc2" }, { __index = LLAMA })

local lists = { nanogpt = NANOGPT, llama = LLAMA, nanochat = NANOCHAT }

function names.of(g, c)
  local list = lists[c.tensor_names]
  local outer = g.within(list.scope)
  local own = { tokens = outer(list.tokens), positions = outer(list.positions),
    first_norm = outer(list.first_norm), last_norm = outer(list.last_norm) }
  if c.tensor_names ~= "nanogpt" then
    local query, key = c.n_head * c.head_width, c.kv_heads * c.head_width
    own.qkv_pieces = { { "self_attn.q_proj", query }, { "self_attn.k_proj", key }, { "self_attn.v_proj", key } }
  end
  if c.tensor_names == "llama" and c.gated then
    own.fc = "mlp.gate_up_proj"
    own.fc_pieces = { { "mlp.gate_proj", c.ff_width }, { "mlp.up_proj", c.ff_width } }
  end
  return setmetatable(own, { __index = list })
end

return names
