-- gpt: GPT-2 as nanoGPT writes it, and what people vary in it. A model is a forward pass over graph
-- ops; everything else (gradients, fusion, memory, code) follows from it.
--
-- forward(g, c, rows) builds the pass for `rows` rows of tokens: B * T in training; in the sampler
-- (c.decode) the most tokens that one call takes, of which only the last of each text gets logits.
local names = require("gen.models.names")

local gpt = {}

-- The initial values of the linear layers' weights and biases.
local function initial(c)
  local normal = { init = "normal", init_value = 0.02 }
  local zeros = { init = "zeros" }
  local nanogpt = c.init == "nanogpt"
  local function uniform(fan_in)
    return { init = "uniform", init_value = 1 / math.sqrt(fan_in) }
  end
  return {
    embedding = { init = "normal", init_value = nanogpt and normal.init_value or 1.0, group = "embd" },
    weight = function(fan_in) return nanogpt and normal or uniform(fan_in) end,
    -- The projections onto the residual stream, of which there are two a layer.
    projection = function(fan_in)
      if not nanogpt then return uniform(fan_in) end
      return { init = "normal", init_value = 0.02 / math.sqrt(2 * c.n_layer) }
    end,
    bias = function(fan_in) return nanogpt and zeros or uniform(fan_in) end,
  }
end

function gpt.forward(g, c, rows)
  local C, F, V, T = c.n_embd, c.ff_width, c.vocab_size, c.block_size
  local H, KV, D = c.n_head, c.kv_heads, c.head_width
  local init = initial(c)
  local site = 0

  local function dropout(x, name)
    if not c.has_dropout then return x end
    site = site + 1
    return g:append("dropout", { name }, { x }, { site = site })
  end

  -- y = x w^T + b; name is the checkpoint's, stem this graph's. pieces: the names there, with their rows, of the
  -- tensors that w and b are made of, if they are several.
  local function linear(x, name, stem, C_in, C_out, weight, with_bias, pieces)
    local function param(ending, dims, fields)
      local own = pieces and {}
      for i, piece in ipairs(pieces or {}) do own[i] = { name = piece.name .. ending, rows = piece.rows } end
      return g:param(name .. ending, dims, { init = fields.init, init_value = fields.init_value, pieces = own })
    end
    local w = param(".weight", { C_out, C_in }, weight)
    local y = g:append("matmul", { stem }, { x, w })
    if not with_bias then return y end
    local b = param(".bias", { C_out }, init.bias(C_in))
    return g:append("bias", { stem .. ".biased" }, { y, b })
  end

  -- RMSNorm has no shift, whatever `bias` is; without a gain it is the only norm.
  local function norm(x, name, stem)
    local eps = { eps = c.norm_eps }
    if not c.norm_gain then return (g:append("rmsnorm_plain", stem, { x }, eps)) end
    local scale = g:param(name .. ".weight", { C }, { init = "ones" })
    if c.norm == "rmsnorm" then return (g:append("rmsnorm", stem, { x, scale }, eps)) end
    local shift = c.bias and g:param(name .. ".bias", { C }, { init = "zeros" })
    return (g:append("layernorm", stem, { x, scale, shift }, eps))
  end

  -- The angles of all positions, or in the sampler of a call's rows.
  local angles
  if c.pos == "rope" then
    local attrs = { N = c.decode and rows or T, D = D, theta = c.rope_theta, sign = c.rope_sign }
    if c.rope_scaling == "llama3" then
      attrs.factor, attrs.low, attrs.high = c.rope_factor, c.rope_low_freq_factor, c.rope_high_freq_factor
      attrs.original = c.rope_original_context
    end
    angles = g:append("rope_table", { "rope.table" }, {}, attrs)
  end

  local word = names.of(g, c)
  local scale = 1 / math.sqrt(c.attn_scale == "head" and D or C)
  local function attention(qkv, name, block)
    local attrs = { T = T, H = H, KV = KV ~= H and KV or nil, scale = scale, window = c.windows[g.layer],
      cap = c.attn_softcap }
    local gains = c.qk_norm == "gain" and
      { g:param(name(word.q_norm .. ".weight"), { D }, { init = "ones" }),
        g:param(name(word.k_norm .. ".weight"), { D }, { init = "ones" }) } or {}
    local function norm_at(place)
      if c.qk_norm == "none" or c.qk_norm_at ~= place then return end
      qkv = g:append(c.qk_norm == "plain" and "qk_norm_plain" or "qk_norm", block("qkv.normed"),
        { qkv, table.unpack(gains) }, { H = H, KV = KV, eps = c.norm_eps })
    end
    norm_at("before")
    if angles then qkv = g:append("rope", { block("qkv.turned") }, { qkv, angles }, { H = H, KV = KV }) end
    norm_at("after")
    if c.decode then
      local cache = g:state(block("cache"), "attention_decode", { T = T, K = KV * D, tight = c.tight }, c.cache_type)
      return (g:append("attention_decode", block("attention"), { qkv, cache }, attrs))
    end
    if c.has_dropout then
      site = site + 1
      attrs.site = site
    end
    return (g:append("attention", block("attention"), { qkv }, attrs))
  end

  local function input_of(layer) return g.within("block", layer)("x") end

  local tokens = g:input("tokens", { rows }, "i32")
  local wte = g:param(word.tokens .. ".weight", { V, C }, init.embedding)
  local wpe = c.pos == "learned" and g:param(word.positions .. ".weight", { T, C }, init.embedding)
  if wpe then wpe.uncounted = true end
  local changed = c.embd_norm or c.has_dropout and c.dropout_embd
  local x = g:append("embed", { changed and "embedded" or input_of(0) }, { tokens, wte, wpe }, { T = T })
  if c.embd_norm then x = norm(x, word.first_norm, "ln_0") end
  if c.dropout_embd then x = dropout(x, input_of(0)) end

  for layer = 0, c.n_layer - 1 do
    g.layer = layer
    local name, block = g.within(word.layer, layer), g.within("block", layer)
    local function pieces(list)
      local own = list and {}
      for i, piece in ipairs(list or {}) do own[i] = { name = name(piece[1]), rows = piece[2] } end
      return own
    end

    local h = norm(x, name(word.ln_1), block("ln_1"))
    h = linear(h, name(word.qkv), block("qkv"), C, (H + 2 * KV) * D, init.weight(C), c.qkv_bias,
      pieces(word.qkv_pieces))
    h = attention(h, name, block)
    h = linear(h, name(word.attention_out), block("projected"), H * D, C, init.projection(H * D), c.has_attn_bias)
    x = g:append("add", { block("x_mid") }, { dropout(h, block("projected.kept")), x })

    h = norm(x, name(word.ln_2), block("ln_2"))
    h = linear(h, name(word.fc), block("fc"), C, c.gated and 2 * F or F, init.weight(C), c.has_mlp_bias,
      pieces(word.fc_pieces))
    h = g:append(c.activation, { block("activated") }, { h })
    h = linear(h, name(word.mlp_out), block("narrowed"), F, C, init.projection(F), c.has_mlp_bias)
    x = g:append("add", { input_of(layer + 1) }, { dropout(h, block("narrowed.kept")), x })
    g.layer = nil
  end

  x = norm(x, word.last_norm, "ln_f")
  if c.decode then x = g:append("last_row", { "last" }, { x }, { runs = rows }) end
  local head
  if c.tie_weights then
    head = wte
    g:param_copy("lm_head.weight", wte)
  else
    local weight = init.weight(C)
    head = g:param("lm_head.weight", { V, C }, { init = weight.init, init_value = weight.init_value, group = "head" })
  end
  local logits = g:append("matmul", { "logits" }, { x, head })
  if c.lm_head_bias then
    local bias = g:param("lm_head.bias", { V }, init.bias(C))
    logits = g:append("bias", { "logits.biased" }, { logits, bias })
  end
  -- In training the loss does it, which reads them.
  if c.decode and c.logit_softcap > 0 then
    logits = g:append("softcap", { "logits.capped" }, { logits }, { cap = c.logit_softcap })
  end
  return logits
end

return gpt
