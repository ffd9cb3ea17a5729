-- Cases of attention: sizes around those of tiles and key blocks, heads of odd sizes, dropout, scores far apart,
-- windows and caps.
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

-- Windows of one key more, within a tile, around the sizes of tiles, panels and blocks of queries, of all keys but one
-- for the last query; with heads that share keys, and caps.
local windows = { { 1, 17, 2, 5, 2, window = 1 }, { 2, 40, 3, 16, 3, window = 5, cap = 2.0 },
  { 1, 150, 2, 7, 1, window = 31 }, { 1, 65, 1, 33, 1, window = 63, cap = 0.5 }, { 1, 300, 4, 9, 2, window = 16 },
  { 1, 129, 1, 4, 1, window = 64 }, { 1, 33, 2, 17, 2, cap = 1.5 } }
local windows_cuda = { { 1, 300, 2, 64, window = 17 }, { 1, 420, 2, 64, 1, window = 100 },
  { 1, 300, 1, 128, 1, window = 129, cap = 2.0 }, { 1, 260, 2, 20, 2, window = 70 },
  { 2, 513, 2, 8, 1, window = 63, cap = 1.0 }, { 1, 700, 1, 32, 1, window = 200 }, { 2, 130, 2, 80, 1, cap = 4.0 },
  { 1, 150, 1, 128, window = 20 } }

return function(case)
  -- size: B, T, H, D, and, if heads share keys, KV; its window and cap.
  local function attend(size, attrs, spread)
    local B, T, H, D, KV = table.unpack(size)
    attrs.window, attrs.cap = size.window, size.cap
    return function(g, given)
      local qkv = given("qkv", { B * T, (H + 2 * (KV or H)) * D }, { spread = spread })
      attrs.T, attrs.H, attrs.KV, attrs.scale = T, H, KV, 1 / math.sqrt(D)
      return (g:append("attention", { "y", "lse" }, { qkv }, attrs))
    end
  end
  local function name(size)
    return table.concat(size, "x") .. (size.window and (", a window of %d"):format(size.window) or "") ..
      (size.cap and (", within %g"):format(size.cap) or "")
  end
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
  for _, backend in ipairs({ "cpu", "cuda" }) do
    local list = backend == "cpu" and windows or windows_cuda
    for i, size in ipairs(list) do
      local only = backend == "cuda" and "cuda" or nil
      local spread = size.cap and backend == "cpu" and 2 or nil
      case(name(size), { tolerance = 4e-6, backend = only }, attend(size, {}, spread))
      if i % 2 == 0 or backend == "cpu" then
        case(name(size) .. " with dropout", { tolerance = 4e-6, backend = only }, attend(size, { site = 7 }, spread))
      end
    end
  end
  case("without statistics", { tolerance = 2e-6, forward = true }, attend({ 3, 7, 2, 1 }, {}))
  case("of far scores", { tolerance = 1e-5 }, attend({ 2, 17, 2, 5 }, {}, 6))

  -- One row, a few, and several tiles of rows; keys in several cache blocks of 256; heads of odd sizes.
  for _, size in ipairs({ { 1, 0, 17, 1, 5 }, { 1, 99, 100, 2, 64 }, { 7, 10, 17, 3, 1 }, { 16, 0, 65, 2, 17 },
    { 1, 0, 1, 1, 1 }, { 40, 250, 600, 2, 33 }, { 3, 511, 600, 1, 260 }, { 1, 599, 600, 3, 8 }, { 1, 0, 17, 4, 5, 2 },
    { 40, 250, 600, 3, 33, 1 }, { 1, 99, 100, 9, 64, 3 }, { 1, 599, 600, 2, 16, 2, window = 100 },
    { 40, 250, 600, 4, 33, 2, window = 7 }, { 7, 10, 17, 2, 5, 2, window = 12, cap = 1.0 },
    { 40, 0, 600, 2, 8, 1, window = 3 }, { 3, 511, 600, 1, 20, 1, window = 300, cap = 2.0 } }) do
    local rows, pos, T, H, D, KV = table.unpack(size)
    local most, kv = math.min(40, T), KV or H
    local what = size.window and (", a window of %d"):format(size.window) or ""
    case(("decode %d at %d, %s%s"):format(rows, pos, table.concat(size, "x", 3), what),
      { tolerance = 1e-6, decode = { rows = rows, pos = pos, most = most } }, function(g, given)
        local cache = given("cache", op.all().attention_decode.state({ T = T, K = kv * D }), { kind = "state" })
        return (g:append("attention_decode", "attention", { given("qkv", { most, (H + 2 * kv) * D }), cache },
          { T = T, H = H, KV = KV, window = size.window, cap = size.cap, scale = 1 / math.sqrt(D) }))
      end)
  end
  case("12x64x4x32", { tolerance = 3e-6, bench = true }, attend({ 12, 64, 4, 32 }, {}))
  case("1x1024x1x64", { tolerance = 3e-6, bench = true }, attend({ 1, 1024, 1, 64 }, {}))
end
