-- Cases of attention: sizes around those of tiles and key blocks, heads of odd sizes, dropout, scores far apart.
local op = require("gen.ir.op")

local plain = { { 1, 1, 1, 1 }, { 1, 100, 1, 64 }, { 3, 7, 2, 1 } }
-- CUDA: heads that fill the tensor cores' tiles, or not, and sequences around the tiles' sizes.
local plain_cuda = { { 2, 7, 2, 8 }, { 1, 65, 2, 20 }, { 1, 100, 2, 32 }, { 3, 1, 2, 64 }, { 2, 130, 2, 64 },
  { 1, 65, 1, 80 }, { 1, 64, 1, 128 }, { 1, 130, 67, 8 } }
local dropped_cuda = { { 2, 64, 1, 16 }, { 1, 33, 1, 40 }, { 1, 130, 1, 64 }, { 1, 100, 1, 128 } }
local dropped = { { 2, 17, 3, 5 }, { 1, 33, 2, 17 }, { 1, 65, 1, 33 } }

return function(case)
  local function attend(size, attrs, spread)
    local B, T, H, D = table.unpack(size)
    return function(g, given)
      local qkv = given("qkv", { B * T, 3 * H * D }, { spread = spread })
      attrs.T, attrs.H, attrs.scale = T, H, 1 / math.sqrt(D)
      return (g:append("attention", { "y", "lse" }, { qkv }, attrs))
    end
  end
  local function name(size) return ("%dx%dx%dx%d"):format(table.unpack(size)) end
  for _, size in ipairs(plain) do case(name(size), { tolerance = 3e-6 }, attend(size, {})) end
  for _, size in ipairs(dropped) do
    case(name(size) .. " with dropout", { tolerance = 3e-6 }, attend(size, { site = 7 }))
  end
  for _, size in ipairs(plain_cuda) do case(name(size), { tolerance = 3e-6, backend = "cuda" }, attend(size, {})) end
  for _, size in ipairs(dropped_cuda) do
    case(name(size) .. " with dropout", { tolerance = 3e-6, backend = "cuda" }, attend(size, { site = 7 }))
  end
  case("without statistics", { tolerance = 2e-6, forward = true }, attend({ 3, 7, 2, 1 }, {}))
  case("of far scores", { tolerance = 1e-5 }, attend({ 2, 17, 2, 5 }, {}, 6))

  -- One row, a few, and several tiles of rows; keys in several cache blocks of 256; heads of odd sizes.
  for _, size in ipairs({ { 1, 0, 17, 1, 5 }, { 1, 99, 100, 2, 64 }, { 7, 10, 17, 3, 1 }, { 16, 0, 65, 2, 17 },
    { 1, 0, 1, 1, 1 }, { 40, 250, 600, 2, 33 }, { 3, 511, 600, 1, 260 }, { 1, 599, 600, 3, 8 } }) do
    local rows, pos, T, H, D = table.unpack(size)
    local most = math.min(40, T)
    case(("decode %d at %d, %dx%dx%d"):format(rows, pos, T, H, D),
      { tolerance = 1e-6, decode = { rows = rows, pos = pos, most = most } }, function(g, given)
        local cache = given("cache", op.all().attention_decode.state({ T = T, C = H * D }), { kind = "state" })
        return (g:append("attention_decode", "attention", { given("qkv", { most, 3 * H * D }), cache },
          { T = T, H = H, scale = 1 / math.sqrt(D) }))
      end)
  end
  case("12x64x4x32", { tolerance = 3e-6, bench = true }, attend({ 12, 64, 4, 32 }, {}))
  case("1x1024x1x64", { tolerance = 3e-6, bench = true }, attend({ 1, 1024, 1, 64 }, {}))
end
