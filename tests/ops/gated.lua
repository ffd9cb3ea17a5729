-- Cases of the gated activations: halves that are whole vectors or not, far numbers, the sampler; and of the products
-- that have them in their store.
local function linear(g, x, name, C, O, bias)
  local y = g:append("matmul", { name .. ".product" }, { x, g:param(name .. ".w", { O, C }, { init = "zeros" }) })
  return bias and g:append("bias", { name }, { y, g:param(name .. ".b", { O }, { init = "zeros" }) }) or y
end

return function(case)
  for _, name in ipairs({ "swiglu", "geglu" }) do
    for _, size in ipairs({ { 1, 1 }, { 7, 5 }, { 13, 17 }, { 7, 64 }, { 13, 100 } }) do
      case(("%s %dx%d"):format(name, size[1], size[2]), { tolerance = 2e-6 }, function(g, given)
        return g:append(name, { "y" }, { given("x", { size[1], 2 * size[2] }) })
      end)
    end
    case(name .. " far out", { tolerance = 1e-6 }, function(g, given)
      return g:append(name, { "y" }, { given("x", { 13, 34 }, { spread = 30 }) })
    end)
    case("decode " .. name, { tolerance = 1e-6, decode = { rows = 3, pos = 0, most = 16 } }, function(g, given)
      return g:append(name, { "y" }, { given("x", { 16, 34 }) })
    end)

    -- Rows, columns in, gate's columns, columns out: partial tiles and vectors, whole ones, sums in several slices with
    -- slices inside and outside, forward (1001) and backward (901), and panels that threads share.
    local sizes = name == "swiglu" and { { 1, 1, 1, 1 }, { 7, 5, 17, 3 }, { 13, 17, 33, 65 }, { 24, 32, 64, 16 },
      { 9, 1001, 20, 7 }, { 30, 20, 50, 901 }, { 100, 40, 300, 9 }, { 2, 1001, 501, 5 }, { 2, 9, 950, 901 } } or
      { { 13, 17, 33, 65 }, { 24, 32, 64, 16 } }
    for i, size in ipairs(sizes) do
      local N, C, F, O = table.unpack(size)
      local bias = i % 2 == 0
      local text = ("%s of a product %dx%dx%dx%d%s"):format(name, N, C, F, O, bias and " with bias" or "")
      case(text, { tolerance = 2e-6 }, function(g, given)
        local h = linear(g, given("x", { N, C }), "wide", C, 2 * F, bias)
        return linear(g, g:append(name, { "activated" }, { h }), "narrow", F, O, bias)
      end)
    end
    for i, size in ipairs({ { 1, 1, 1 }, { 1, 17, 65 }, { 3, 5, 17 }, { 16, 100, 257 }, { 40, 531, 70 } }) do
      local rows, C, F = table.unpack(size)
      local most = math.max(16, rows)
      case(("decode %s of a product %dx%dx%d"):format(name, rows, C, F),
        { tolerance = 2e-6, decode = { rows = rows, pos = 0, most = most } }, function(g, given)
          return g:append(name, { "y" }, { linear(g, given("x", { most, C }), "wide", C, 2 * F, i % 2 == 0) })
        end)
    end
  end
end
