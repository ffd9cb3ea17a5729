-- Cases of several ops, fused as a model's are: the feed-forward layer, and two residual steps.
local function linear(g, x, name, C, O)
  local y = g:append("matmul", { name .. ".product" }, { x, g:param(name .. ".w", { O, C }, { init = "zeros" }) })
  return g:append("bias", { name }, { y, g:param(name .. ".b", { O }, { init = "zeros" }) })
end

local function norm(g, x, name, C)
  return (g:append("layernorm", name, { x, g:param(name .. ".scale", { C }, { init = "ones" }),
    g:param(name .. ".shift", { C }, { init = "zeros" }) }))
end

return function(case)
  for _, activation in ipairs({ "gelu_erf", "gelu_tanh", "relu", "silu" }) do
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
  case("residual steps", { tolerance = 3e-6 }, function(g, given)
    local C = 33
    local x = given("x", { 13, C })
    for step = 1, 2 do
      local h = linear(g, norm(g, x, "norm" .. step, C), "linear" .. step, C, C)
      h = g:append("dropout", { "dropped" .. step }, { h }, { site = step })
      x = g:append("add", { "x" .. step }, { h, x })
    end
    return x
  end)
end
