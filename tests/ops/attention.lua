-- Cases of attention: sizes around those of tiles and key blocks, heads of odd sizes, dropout, scores far apart.
local op = require("gen.ir.op")

local plain = { { 1, 1, 1, 1 }, { 1, 100, 1, 64 }, { 3, 7, 2, 1 } }
-- CUDA: heads that fill the tensor cores' tiles, or not, and sequences around the tiles' sizes.
local plain_cuda = { { 2, 7, 2, 8 }, { 1, 65, 2, 20 }, { 1, 100, 2, 32 }, { 3, 1, 2, 64 }, { 2, 130, 2, 64 },
  { 1, 65, 1, 80 }, { 1, 64, 1, 128 }, { 1, 130, 67, 8 } }
local dropped_cuda = { { 2, 64, 1, 16 }, { 1, 33, 1, 40 }, { 1, 130, 1, 64 }, { 1, 100, 1, 128 } }
local dropped = { { 2, 17, 3, 5 }, { 1, 33, 2, 17 }, { 1, 65, 1, 33 } }

-- Heads that share keys: one of them for all, groups of two and three, tiles that end within a group, several thread
-- blocks for each, a head whose keys go round twice.
local grouped = { { 1, 1, 2, 4, 1 }, { 2, 17, 6, 5, 2 }, { 1, 65, 3, 33, 1 }, { 3, 40, 4, 16, 2 } }
local grouped_cuda = { { 2, 65, 4, 8, 2 }, { 1, 130, 9, 64, 3 }, { 1, 33, 2, 128, 1 }, { 1, 300, 2, 64, 1 },
  { 1, 130, 134, 8, 67 } }

return function(case)
  -- size: B, T, H, D, and, if heads share keys, KV.
  local function attend(size, attrs, spread)
    local B, T, H, D, KV = table.unpack(size)
    return function(g, given)
      local qkv = given("qkv", { B * T, (H + 2 * (KV or H)) * D }, { spread = spread })
      attrs.T, attrs.H, attrs.KV, attrs.scale = T, H, KV, 1 / math.sqrt(D)
      return (g:append("attention", { "y", "lse" }, { qkv }, attrs))
    end
  end
  local function name(size) return table.concat(size, "x") end
  for _, size in ipairs(plain) do case(name(size), { tolerance = 3e-6 }, attend(size, {})) end
  for _, size in ipairs(dropped) do
    case(name(size) .. " with dropout", { tolerance = 3e-6 }, attend(size, { site = 7 }))
  end
  for _, size in ipairs(plain_cuda) do case(name(size), { tolerance = 3e-6, backend = "cuda" }, attend(size, {})) end
  for _, size in ipairs(dropped_cuda) do
    case(name(size) .. " with dropout", { tolerance = 3e-6, backend = "cuda" }, attend(size, { site = 7 }))
  end
  for _, size in ipairs(grouped) do
    case(name(size), { tolerance = 3e-6 }, attend(size, {}))
    case(name(size) .. " with dropout", { tolerance = 3e-6 }, attend(size, { site = 7 }))
  end
  for _, size in ipairs(grouped_cuda) do
    -- The derivative along a direction sums over all elements, so its rounding grows with their number.
    case(name(size), { tolerance = size[3] > 100 and 8e-6 or 3e-6, backend = "cuda" }, attend(size, {}))
    if size[3] < 100 then
      case(name(size) .. " with dropout", { tolerance = 3e-6, backend = "cuda" }, attend(size, { site = 7 }))
    end
  end
  case("without statistics", { tolerance = 2e-6, forward = true }, attend({ 3, 7, 2, 1 }, {}))
  case("of far scores", { tolerance = 1e-5 }, attend({ 2, 17, 2, 5 }, {}, 6))

  -- One row, a few, and several tiles of rows; keys in several cache blocks of 256; heads of odd sizes.
  for _, size in ipairs({ { 1, 0, 17, 1, 5 }, { 1, 99, 100, 2, 64 }, { 7, 10, 17, 3, 1 }, { 16, 0, 65, 2, 17 },
    { 1, 0, 1, 1, 1 }, { 40, 250, 600, 2, 33 }, { 3, 511, 600, 1, 260 }, { 1, 599, 600, 3, 8 }, { 1, 0, 17, 4, 5, 2 },
    { 40, 250, 600, 3, 33, 1 }, { 1, 99, 100, 9, 64, 3 } }) do
    local rows, pos, T, H, D, KV = table.unpack(size)
    local most, kv = math.min(40, T), KV or H
    case(("decode %d at %d, %s"):format(rows, pos, table.concat(size, "x", 3)),
      { tolerance = 1e-6, decode = { rows = rows, pos = pos, most = most } }, function(g, given)
        local cache = given("cache", op.all().attention_decode.state({ T = T, K = kv * D }), { kind = "state" })
        return (g:append("attention_decode", "attention", { given("qkv", { most, (H + 2 * kv) * D }), cache },
          { T = T, H = H, KV = KV, scale = 1 / math.sqrt(D) }))
      end)
  end
  case("12x64x4x32", { tolerance = 3e-6, bench = true }, attend({ 12, 64, 4, 32 }, {}))
  case("1x1024x1x64", { tolerance = 3e-6, bench = true }, attend({ 1, 1024, 1, 64 }, {}))
end
