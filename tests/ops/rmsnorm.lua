-- Cases of rmsnorm, with gains and plain: odd sizes, both of CUDA's variants, with a residual in the backward store,
-- with numbers far from 0.
local function norm(g, x, C)
  return (g:append("rmsnorm", { "y", "rstd" }, { x, g:param("scale", { C }, { init = "ones" }) }))
end

return function(case)
  for _, size in ipairs({ { 1, 17 }, { 7, 5 }, { 13, 17 }, { 7, 65 }, { 13, 100 }, { 100, 33 } }) do
    case(("%dx%d"):format(size[1], size[2]), { tolerance = 1e-6 }, function(g, given)
      return norm(g, given("x", size), size[2])
    end)
  end
  -- CUDA: two rows a warp, one row a warp, and a thread block for each row.
  for _, size in ipairs({ { 5, 768 }, { 3, 1600 }, { 3, 2056 } }) do
    case(("%dx%d"):format(size[1], size[2]), { tolerance = 1e-6, backend = "cuda" }, function(g, given)
      return norm(g, given("x", size), size[2])
    end)
  end
  for _, size in ipairs({ { 13, 17 }, { 5, 768 }, { 3, 2056 } }) do
    case(("%dx%d of a residual"):format(size[1], size[2]), { tolerance = 2e-6, backend = "cuda" },
      function(g, given)
        local x, branch = given("x", size), given("branch", size)
        local sum = g:append("add", { "sum" }, { g:append("dropout", { "dropped" }, { branch }, { site = 4 }), x })
        return g:append("add", { "normed" }, { norm(g, sum, size[2]), sum })
      end)
  end
  local function plain(g, x) return (g:append("rmsnorm_plain", { "y", "rstd" }, { x })) end
  for _, size in ipairs({ { 1, 17 }, { 7, 5 }, { 13, 65 }, { 100, 33 }, { 5, 768 }, { 3, 1600 }, { 3, 2056 } }) do
    local backend = size[2] > 100 and "cuda" or nil
    case(("plain %dx%d"):format(size[1], size[2]), { tolerance = 1e-6, backend = backend }, function(g, given)
      return plain(g, given("x", size))
    end)
    case(("plain %dx%d of a residual"):format(size[1], size[2]), { tolerance = 2e-6, backend = "cuda" },
      function(g, given)
        local x, branch = given("x", size), given("branch", size)
        local sum = g:append("add", { "sum" }, { g:append("dropout", { "dropped" }, { branch }, { site = 4 }), x })
        return g:append("add", { "normed" }, { plain(g, sum), sum })
      end)
  end
  case("plain beside a residual", { tolerance = 1e-6 }, function(g, given)
    local x = given("x", { 13, 65 })
    return g:append("add", { "sum" }, { plain(g, x), x })
  end)
  case("plain of large values", { tolerance = 1e-6 }, function(g, given)
    return plain(g, given("x", { 7, 65 }, { spread = 1e4 }))
  end)
  case("plain decode", { tolerance = 1e-6, decode = { rows = 7, pos = 0, most = 16 } }, function(g, given)
    return plain(g, given("x", { 16, 17 }))
  end)
  case("without statistics", { tolerance = 1e-6, forward = true }, function(g, given)
    return norm(g, given("x", { 13, 17 }), 17)
  end)
  -- With one column y is x's sign: far from 0 its gradient would be only rounding.
  case("of one column, near 0", { tolerance = 1e-6 }, function(g, given)
    return norm(g, given("x", { 7, 1 }, { spread = 3e-3 }), 1)
  end)
  case("of large values", { tolerance = 1e-6 }, function(g, given)
    return norm(g, given("x", { 7, 65 }, { spread = 1e4 }), 65)
  end)
  case("beside a residual", { tolerance = 1e-6 }, function(g, given)
    local x = given("x", { 13, 65 })
    return g:append("add", { "sum" }, { norm(g, x, 65), x })
  end)
  for _, decode in ipairs({ { rows = 1, pos = 0, most = 16 }, { rows = 7, pos = 0, most = 16 } }) do
    case(("decode %d"):format(decode.rows), { tolerance = 1e-6, decode = decode }, function(g, given)
      return norm(g, given("x", { 16, 17 }), 17)
    end)
  end
end
