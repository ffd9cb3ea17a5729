-- cross_entropy: each row's loss, log(sum(exp(logits))) - logits[target], 0 where the target is -1.
local function flops(d) return 25 * d.N * d.V end

local cross_entropy = {
  name = "cross_entropy",
  inputs = { { "logits", "N V" }, { "targets", "N" } },
  outputs = { { "losses", "N", type = "f32" } },
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
    { logits, targets })
  losses.again = again
  return dlogits
end

-- cross_entropy_backward: the losses and dlogits = (softmax - onehot) * loss_scale; reads each row once.
local cross_entropy_backward = {
  name = "cross_entropy_backward",
  inputs = { { "logits", "N V" }, { "targets", "N" } },
  outputs = { { "dlogits", "N V" }, { "losses", "N", type = "f32" } },
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
