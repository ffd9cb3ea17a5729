-- Cases of embed: with and without positions, with dropout in its store, and the sampler's kernel.
local function tables(g, V, T, C)
  local wte = g:param("wte", { V, C }, { init = "zeros", spread = 1 })
  local wpe = T and g:param("wpe", { T, C }, { init = "zeros", spread = 1 })
  return wte, wpe
end

return function(case)
  for _, size in ipairs({ { 1, 1, 1, 65 }, { 2, 17, 5, 65 }, { 3, 7, 17, 257 }, { 1, 100, 65, 65 },
    { 2, 17, 100, 5 } }) do
    local B, T, C, V = table.unpack(size)
    for _, positions in ipairs({ true, false }) do
      case(("%dx%dx%d of %d%s"):format(B, T, C, V, positions and "" or " alone"), { tolerance = 1e-6, vocab = V },
        function(g, given)
          local tokens = given("tokens", { B * T }, { type = "i32", below = V })
          local wte, wpe = tables(g, V, positions and T, C)
          return g:append("embed", { "y" }, { tokens, wte, wpe }, { T = T })
        end)
    end
  end
  -- A batch of one or a few different tokens.
  for _, size in ipairs({ { 2, 100, 65, 1 }, { 10, 100, 17, 1 }, { 10, 100, 17, 2 } }) do
    local B, T, C, below = table.unpack(size)
    case(("%dx%dx%d, %d tokens"):format(B, T, C, below), { tolerance = 1e-6 }, function(g, given)
      local tokens = given("tokens", { B * T }, { type = "i32", below = below })
      local wte, wpe = tables(g, 65, T, C)
      return g:append("embed", { "y" }, { tokens, wte, wpe }, { T = T })
    end)
  end
  case("with dropout", { tolerance = 1e-6 }, function(g, given)
    local wte, wpe = tables(g, 65, 17, 65)
    local x = g:append("embed", { "x" }, { given("tokens", { 51 }, { type = "i32", below = 65 }), wte, wpe },
      { T = 17 })
    return g:append("dropout", { "y" }, { x }, { site = 2 })
  end)
  for _, decode in ipairs({ { rows = 1, pos = 16, most = 16 }, { rows = 5, pos = 3, most = 16 },
    { rows = 7, pos = 0, most = 7 } }) do
    for _, positions in ipairs({ true, false }) do
      case(("decode %d at %d%s"):format(decode.rows, decode.pos, positions and "" or " alone"),
        { tolerance = 1e-7, decode = decode }, function(g, given)
          local tokens = given("tokens", { decode.most }, { type = "i32", below = 65 })
          local wte, wpe = tables(g, 65, positions and 17, 33)
          return g:append("embed", { "y" }, { tokens, wte, wpe }, { T = 17 })
        end)
    end
  end
end
