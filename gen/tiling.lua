-- tiling: how a CPU's products are cut, from their sizes.
--
--   vecs            vectors in a row of the register tile: a panel's width
--   depth           of a slice of the inner sum
--   block           register tiles of rows that a panel meets, one after another
--   slices_outside  of a product: each slice's panels pass by before the next slice's
--
-- None of them changes a result: each value is one sum in order, whatever it is cut into.
local tiling = {}

local PANEL_BYTES = { [16] = 36864, [8] = 24576, [4] = 24576 } -- by vector width: most of a first-level cache
local ROWS_BYTES = 384 * 1024                                  -- of a second-level cache

local function divide_up(a, b) return (a + b - 1) // b end

-- Slices alike in length, each at most `most` and a multiple of 16.
local function even_depth(inner, most)
  local slices = divide_up(inner, most)
  return math.min(inner, divide_up(divide_up(inner, slices), 16) * 16)
end

-- Vectors a panel: as many as the tile has, or fewer where the columns then come out even.
local function panel_vecs(isa, cols)
  local vecs, most = divide_up(cols, isa.vec), isa.tile_vecs
  if vecs <= most then return vecs end
  if most == 3 and vecs % 3 ~= 0 and vecs % 2 == 0 and vecs <= 8 then return 2 end
  return most
end

local function product(isa, inner, cols)
  local vecs = panel_vecs(isa, cols)
  local depth = even_depth(inner, PANEL_BYTES[isa.vec] // (4 * vecs * isa.vec))
  local outside = inner > cols
  local rows = math.max(256, ROWS_BYTES // (4 * (outside and depth or inner)))
  return { vecs = vecs, depth = depth, block = divide_up(rows, isa.tile_rows), slices_outside = outside and 1 or 0 }
end

local function gradient(isa, rows, cols)
  local vecs = math.min(2, divide_up(cols, isa.vec))
  local depth = even_depth(rows, tonumber(os.getenv("DW_DEPTH") or 128))
  local wide = math.min(cols, tonumber(os.getenv("DW_COLS") or 256))
  local high = tonumber(os.getenv("DW_ROWS") or 65536 // wide)
  return { vecs = vecs, depth = depth, block = divide_up(high, isa.tile_rows),
    block_cols = divide_up(wide, vecs * isa.vec) }
end

-- Of a node that is a product; nil of others.
function tiling.of(t, node)
  local d, letters = node.dims, node.op.product
  if t.backend ~= "cpu" then return nil end
  if letters then return product(t.isa, d[letters.inner], d[letters.cols]) end
  if node.op.name == "matmul_dw" then return gradient(t.isa, d.N, d.C) end
  return nil
end

return tiling
