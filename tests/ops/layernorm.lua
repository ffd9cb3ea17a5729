-- Cases of layernorm: with and without a shift, with a residual in the backward store, with numbers far from 0.
local function norm(g, x, C, shift)
  return (g:append("layernorm", { "y", "mean", "rstd" },
    { x, g:param("scale", { C }, { init = "ones" }), shift and g:param("shift", { C }, { init = "zeros" }) }))
end

return function(case)
  for _, size in ipairs({ { 1, 17 }, { 7, 5 }, { 13, 17 }, { 7, 65 }, { 13, 100 }, { 100, 33 } }) do
    for _, shift in ipairs({ true, false }) do
      local name = ("%dx%d%s"):format(size[1], size[2], shift and "" or " without shift")
      case(name, { tolerance = 1e-6 }, function(g, given)
        return norm(g, given("x", size), size[2], shift)
      end)
    end
  end
  -- CUDA: two rows a warp, one row a warp, and a thread block for each row.
  for _, size in ipairs({ { 5, 768 }, { 3, 1600 }, { 3, 2056 } }) do
    case(("%dx%d"):format(size[1], size[2]), { tolerance = 1e-6, backend = "cuda" }, function(g, given)
      return norm(g, given("x", size), size[2], true)
    end)
  end
  for _, size in ipairs({ { 13, 17 }, { 5, 768 }, { 3, 2056 } }) do
    case(("%dx%d of a residual"):format(size[1], size[2]), { tolerance = 2e-6, backend = "cuda" },
      function(g, given)
        local x, branch = given("x", size), given("branch", size)
        local sum = g:append("add", { "sum" }, { g:append("dropout", { "dropped" }, { branch }, { site = 4 }), x })
        return g:append("add", { "normed" }, { norm(g, sum, size[2], true), sum })
      end)
  end
  case("without statistics", { tolerance = 1e-6, forward = true }, function(g, given)
    return norm(g, given("x", { 13, 17 }), 17, true)
  end)
  case("of one column", { tolerance = 1e-6 }, function(g, given)
    return norm(g, given("x", { 7, 1 }), 1, true)
  end)
  case("of large values", { tolerance = 1e-6 }, function(g, given)
    return norm(g, given("x", { 7, 65 }, { spread = 1e4 }), 65, true)
  end)
  case("beside a residual", { tolerance = 1e-6 }, function(g, given)
    local x = given("x", { 13, 65 })
    return g:append("add", { "sum" }, { norm(g, x, 65, true), x })
  end)
  for _, decode in ipairs({ { rows = 1, pos = 0, most = 16 }, { rows = 7, pos = 0, most = 16 } }) do
    case(("decode %d"):format(decode.rows), { tolerance = 1e-6, decode = decode }, function(g, given)
      return norm(g, given("x", { 16, 17 }), 17, true)
    end)
  end
end
