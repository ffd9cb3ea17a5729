-- Cases of several ops, fused as in a model: the feed-forward layer, and two residual steps.
local function linear(g, x, name, C, O)
  local y = g:append("matmul", { name .. ".product" }, { x, g:param(name .. ".w", { O, C }, { init = "zeros" }) })
  return g:append("bias", { name }, { y, g:param(name .. ".b", { O }, { init = "zeros" }) })
end

local function layernorm(g, x, name, C)
  return (g:append("layernorm", name, { x, g:param(name .. ".scale", { C }, { init = "ones" }),
    g:param(name .. ".shift", { C }, { init = "zeros" }) }))
end

local function rmsnorm(g, x, name, C)
  return (g:append("rmsnorm", name, { x, g:param(name .. ".scale", { C }, { init = "ones" }) }))
end

return function(case)
  for _, activation in ipairs({ "gelu_erf", "gelu_tanh", "relu", "silu", "relu2" }) do
    for _, size in ipairs(activation == "gelu_erf" and { { 7, 5, 17 }, { 13, 17, 65 } } or { { 13, 17, 33 } }) do
      local N, C, F = table.unpack(size)
      case(("%s %dx%dx%d"):format(activation, N, C, F), { tolerance = 2e-6 }, function(g, given)
        local x = given("x", { N, C })
        local h = linear(g, x, "wide", C, F)
        h = g:append(activation, { "activated" }, { h })
        h = linear(g, h, "narrow", F, C)
        h = g:append("dropout", { "dropped" }, { h }, { site = 5 })
        return g:append("add", { "y" }, { h, x })
      end)
    end
  end
  for _, size in ipairs({ { 13, 17, 33 }, { 16, 24, 64 } }) do
    local N, C, F = table.unpack(size)
    case(("gelu_tanh %dx%dx%d without dropout"):format(N, C, F), { tolerance = 2e-6 }, function(g, given)
      local x = given("x", { N, C })
      local h = g:append("gelu_tanh", { "activated" }, { linear(g, x, "wide", C, F) })
      return g:append("add", { "y" }, { linear(g, h, "narrow", F, C), x })
    end)
  end
  for _, size in ipairs({ { 7, 5, 17 }, { 13, 24, 65 } }) do
    local N, C, V = table.unpack(size)
    case(("tied head %dx%d of %d"):format(N, C, V), { tolerance = 3e-6, vocab = V }, function(g, given)
      local wte = g:param("wte", { V, C }, { init = "zeros", spread = 1 })
      local targets = given("targets", { N }, { type = "i32", below = V, ignored = true })
      local x = g:append("embed", { "x" }, { given("tokens", { N }, { type = "i32", below = V }), wte,
        g:param("wpe", { N, C }, { init = "zeros", spread = 1 }) }, { T = N })
      local scores = g:append("matmul", { "tied.logits" }, { layernorm(g, x, "norm", C), wte })
      g:append("mean_loss", {}, { g:append("cross_entropy", { "losses" }, { scores, targets }), targets })
    end)
  end
  case("the sampler's capped logits", { tolerance = 2e-6, decode = { rows = 3, pos = 0, most = 16 } },
    function(g, given)
      return (g:append("softcap", { "y" }, { linear(g, given("x", { 16, 33 }), "head", 33, 65) }, { cap = 3.0 }))
    end)
  -- CUDA: one kernel for a chain of pointwise ops that are fused into no other kernel.
  for _, activation in ipairs({ "gelu_erf", "gelu_tanh", "relu", "silu", "relu2" }) do
    case("a chain with " .. activation, { tolerance = 2e-6 }, function(g, given)
      local x = given("x", { 13, 17 })
      local h = g:append("bias", { "biased" }, { x, g:param("b", { 17 }, { init = "zeros" }) })
      h = g:append(activation, { "activated" }, { h })
      h = g:append("dropout", { "dropped" }, { h }, { site = 6 })
      return g:append("add", { "y" }, { h, x })
    end)
  end
  for _, norm in ipairs({ { "layernorm", layernorm }, { "rmsnorm", rmsnorm } }) do
    case("residual steps with " .. norm[1], { tolerance = 3e-6 }, function(g, given)
      local C = 33
      local x = given("x", { 13, C })
      for step = 1, 2 do
        local h = linear(g, norm[2](g, x, "norm" .. step, C), "linear" .. step, C, C)
        h = g:append("dropout", { "dropped" .. step }, { h }, { site = step })
        x = g:append("add", { "x" .. step }, { h, x })
      end
      return x
    end)
  end
end
