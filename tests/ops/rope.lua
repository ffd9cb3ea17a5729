-- Cases of rope: heads whose halves are whole vectors or not, groups, values that stay, far positions.
return function(case)
  local function rotate(B, T, H, KV, D, theta, more)
    return function(g, given)
      local N = B * T
      local qkv = given("qkv", { N, (H + 2 * KV) * D })
      local attrs = { N = T, D = D, theta = theta }
      for name, value in pairs(more or {}) do attrs[name] = value end
      local angles = g:append("rope_table", { "table" }, {}, attrs)
      return g:append("rope", { "y" }, { qkv, angles }, { H = H, KV = KV })
    end
  end
  for _, size in ipairs({ { 1, 1, 1, 1, 2 }, { 2, 7, 3, 3, 6 }, { 3, 5, 4, 2, 32 }, { 1, 17, 3, 1, 34 },
    { 2, 9, 2, 1, 64 }, { 1, 70, 5, 5, 16 } }) do
    case(("%dx%dx%dx%dx%d"):format(table.unpack(size)), { tolerance = 1e-6 }, rotate(table.unpack(size)))
  end
  case("of another base", { tolerance = 1e-6 }, rotate(1, 33, 2, 1, 16, 500000.0))
  -- Of 16 rates: some stay, some are divided, some lie between.
  local llama3 = { factor = 32.0, low = 1.0, high = 4.0, original = 64 }
  case("of Llama 3", { tolerance = 1e-6 }, rotate(1, 40, 2, 1, 32, 500.0, llama3))
  case("decode of Llama 3", { tolerance = 1e-6, decode = { rows = 3, pos = 200, most = 4 } },
    rotate(1, 4, 2, 1, 32, 500.0, llama3))
  case("the other way", { tolerance = 1e-6 }, rotate(2, 9, 3, 1, 6, 10000.0, { sign = -1 }))
  case("of a thousand positions", { tolerance = 1e-6 }, rotate(1, 1000, 1, 1, 4))
  for _, size in ipairs({ { 1, 0, 9, 2, 2, 6 }, { 1, 4095, 1, 3, 1, 64 }, { 7, 250, 16, 2, 1, 34 } }) do
    local rows, pos, most, H, KV, D = table.unpack(size)
    case(("decode %d at %d, %dx%dx%d"):format(rows, pos, H, KV, D),
      { tolerance = 1e-6, decode = { rows = rows, pos = pos, most = most } }, rotate(1, most, H, KV, D))
  end
end
