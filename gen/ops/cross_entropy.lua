-- cross_entropy: each row's loss, log(sum(exp(logits))) - logits[target], 0 where the target is -1. With `cap` (0: no)
-- its logits are cap * tanh(x / cap) of those that it reads: capped as they are loaded.
local function flops(d, attrs) return (attrs.cap > 0 and 45 or 25) * d.N * d.V end

local function words(attrs) return attrs.cap > 0 and { ("capped%g"):format(attrs.cap) } or {} end

local cross_entropy = {
  name = "cross_entropy",
  inputs = { { "logits", "N V" }, { "targets", "N" } },
  outputs = { { "losses", "N", type = "f32" } },
  attrs = { cap = 0.0 },
  quiet = { cap = true },
  words = words,
  template = { "cross_entropy", "cross_entropy" },
  loss = "rows",
  common = "softmax",
  flops = flops,
}

-- The loss is where the backward pass begins: each row's gradient is scaled by the run's loss_scale alone.
function cross_entropy.backward(g, node)
  local logits, targets = table.unpack(node.inputs)
  local losses = node.outputs[1]
  local dlogits, again = g:append("cross_entropy_backward", { "d." .. logits.called, "train." .. losses.called },
    { logits, targets }, node.attrs)
  losses.again = again
  return dlogits
end

-- cross_entropy_backward: the losses and dlogits = (softmax - onehot) * loss_scale, with `cap` times the cap's
-- derivative; reads each row once.
local cross_entropy_backward = {
  name = "cross_entropy_backward",
  inputs = { { "logits", "N V" }, { "targets", "N" } },
  outputs = { { "dlogits", "N V" }, { "losses", "N", type = "f32" } },
  attrs = { cap = 0.0 },
  quiet = { cap = true },
  words = words,
  inplace = { dlogits = "logits" },
  template = { "cross_entropy", "cross_entropy_backward" },
  loss = "gradient",
  common = "softmax",
  takes_model = true,
  flops = flops,
}

-- mean_loss: the mean over the targets that count, added in row order, into struct model.
local mean_loss = {
  name = "mean_loss",
  inputs = { { "losses", "N" }, { "targets", "N" } },
  outputs = {},
  template = { "cross_entropy", "mean_loss" },
  loss = "mean",
  writes_model = true,
  takes_model = true,
  flops = function(d) return d.N end,
}

return { cross_entropy, cross_entropy_backward, mean_loss }
