-- qk_norm: RMSNorm of each head of the queries and keys on its own, with a gain (D) for queries and one for keys, which
-- all heads share; qk_norm_plain has none. qkv (N, E) has the columns of H heads of queries, KV of keys and KV of
-- values, D each; values stay as they are.
local function check(d, attrs)
  local heads = attrs.H + 2 * attrs.KV
  d.H, d.KV, d.G = attrs.H, attrs.KV, attrs.H + attrs.KV
  if d.E % heads ~= 0 or d.D and d.D * heads ~= d.E then
    return ("qkv has %d columns, not those of %d heads%s"):format(d.E, heads, d.D and " of " .. d.D or "")
  end
  d.D = d.E // heads
  return nil
end

local function flops(each)
  return function(d) return each * d.N * d.G * d.D end
end

-- P ranges of rows. Of each there is a partial sum of both gains' gradients, added in order: the same for any number of
-- threads.
local function check_backward(d, attrs)
  d.P, d.Two = math.min(d.N, 16), 2
  return check(d, attrs)
end

local qk_norm = {
  name = "qk_norm",
  inputs = { { "qkv", "N E" }, { "q_gain", "D" }, { "k_gain", "D" } },
  outputs = { { "y", "N E" }, { "rstd", "N G", optional = true, type = "f32" } },
  attrs = { H = false, KV = false, eps = 1e-5 },
  derive = check,
  inplace = { y = "qkv" },
  named_by = { "N", "E", "H", "KV", "D" },
  template = { "qk_norm", "qk_norm" },
  flops = flops(4),
}

local qk_norm_backward = {
  name = "qk_norm_backward",
  inputs = { { "dy", "N E" }, { "qkv", "N E" }, { "q_gain", "D" }, { "k_gain", "D" }, { "rstd", "N G" } },
  outputs = { { "dqkv", "N E" }, { "dq_gain", "D", accumulate = true }, { "dk_gain", "D", accumulate = true },
    { "partial", "P Two D", cpu = true } },
  attrs = { H = false, KV = false },
  derive = check_backward,
  inplace = { dqkv = "dy" },
  named_by = { "N", "E", "H", "KV", "D" },
  template = { "qk_norm", "qk_norm_backward" },
  -- On CUDA, a partial sum of both for each thread block, as of a norm's.
  workspace = function(d) return math.min(3 * d.sms, (d.N + 3) // 4) * 2 * d.D end,
  flops = flops(12),
}

function qk_norm.backward(g, node, dy)
  local qkv, q_gain, k_gain = table.unpack(node.inputs)
  local _, rstd = table.unpack(node.outputs)
  return (g:append("qk_norm_backward",
    { "d." .. qkv.called, g:param_grad(q_gain), g:param_grad(k_gain), "d." .. qkv.called .. ".partial" },
    { dy, qkv, q_gain, k_gain, rstd }, { H = node.attrs.H, KV = node.attrs.KV }))
end

local plain = {
  name = "qk_norm_plain",
  inputs = { { "qkv", "N E" } },
  outputs = { { "y", "N E" }, { "rstd", "N G", optional = true, type = "f32" } },
  attrs = qk_norm.attrs,
  derive = check,
  inplace = { y = "qkv" },
  named_by = qk_norm.named_by,
  template = { "qk_norm", "qk_norm" },
  flops = flops(3),
}

local plain_backward = {
  name = "qk_norm_plain_backward",
  inputs = { { "dy", "N E" }, { "qkv", "N E" }, { "rstd", "N G" } },
  outputs = { { "dqkv", "N E" } },
  attrs = qk_norm_backward.attrs,
  derive = check_backward,
  inplace = { dqkv = "dy" },
  named_by = qk_norm.named_by,
  template = { "qk_norm", "qk_norm_backward" },
  flops = flops(8),
}

function plain.backward(g, node, dy)
  local qkv, rstd = node.inputs[1], node.outputs[2]
  return (g:append("qk_norm_plain_backward", { "d." .. qkv.called }, { dy, qkv, rstd },
    { H = node.attrs.H, KV = node.attrs.KV }))
end

return { qk_norm, qk_norm_backward, plain, plain_backward }
