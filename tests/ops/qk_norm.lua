-- Cases of qk_norm, with gains and plain: heads of whole vectors or not, of more than a warp's lanes, groups, values
-- that stay.
return function(case)
  local function norm(B, T, H, KV, D, plain)
    return function(g, given)
      local qkv = given("qkv", { B * T, (H + 2 * KV) * D })
      if plain then return (g:append("qk_norm_plain", { "y", "rstd" }, { qkv }, { H = H, KV = KV })) end
      local function gain(name) return g:param(name, { D }, { init = "ones" }) end
      return (g:append("qk_norm", { "y", "rstd" }, { qkv, gain("q_gain"), gain("k_gain") }, { H = H, KV = KV }))
    end
  end
  for _, plain in ipairs({ false, true }) do
    local kind = plain and "plain " or ""
    for _, size in ipairs({ { 1, 1, 1, 1, 3 }, { 2, 7, 3, 3, 6 }, { 3, 5, 4, 2, 32 }, { 1, 17, 3, 1, 34 },
      { 2, 9, 2, 1, 64 }, { 1, 70, 5, 5, 16 } }) do
      case(("%s%dx%dx%dx%dx%d"):format(kind, table.unpack(size)), { tolerance = 2e-6 },
        norm(size[1], size[2], size[3], size[4], size[5], plain))
    end
    for _, D in ipairs({ 45, 320 }) do
      case(("%sheads of %d"):format(kind, D), { tolerance = 2e-6 }, norm(1, 5, 2, 1, D, plain))
    end
    for _, rows in ipairs({ 1, 7 }) do
      case(("%sdecode %d"):format(kind, rows), { tolerance = 1e-6, decode = { rows = rows, pos = 3, most = 16 } },
        norm(1, 16, 4, 2, 10, plain))
    end
  end
end
