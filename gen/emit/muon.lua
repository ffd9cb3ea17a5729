-- muon: Muon's update of the matrices in blocks, from the table of parameters: for each shape its three products and
-- the function that updates all matrices of it; and what it costs. Depends on kernels and literal of this room.
local kernels = require("gen.emit.kernels")
local literal = require("gen.emit.literal")

local muon = {}

local BATCH_FLOATS = 1 << 23 -- of memory for matrices that are updated together, if it is more than one
local STEPS = 5

-- Whether Muon updates an entry of the parameters' table: a matrix that is in a block.
function muon.takes(entry)
  return #entry.dims == 2 and not entry.copy and entry.name:find("%d", 1, true) ~= nil
end

local function rounded(floats) return (floats + 15) // 16 * 16 end

-- Where parts of a matrix's work lie: X, the next X, A, B and the sums of rows, and how many go together.
local function place(s)
  s.next = rounded(s.m * s.k)
  s.a = 2 * s.next
  s.b = s.a + rounded(s.m * s.m)
  s.sums = s.b + rounded(s.m * s.m)
  s.slot = s.sums + rounded(2 * s.rows) -- doubles
  s.batch = math.max(1, math.min(#s.at, BATCH_FLOATS // s.slot))
end

-- The matrices by their shape, in the table's order.
local function shapes_of(entries)
  local shapes, by_name = {}, {}
  for _, entry in ipairs(entries) do
    if muon.takes(entry) then
      local rows, cols = entry.dims[1], entry.dims[2]
      local name = ("muon_%dx%d"):format(rows, cols)
      local shape = by_name[name]
      if not shape then
        shape = { name = name, rows = rows, cols = cols, m = math.min(rows, cols), k = math.max(rows, cols), at = {} }
        by_name[name] = shape
        shapes[#shapes + 1] = shape
      end
      for layer = 0, entry.layers - 1 do shape.at[#shape.at + 1] = entry.offset + layer * entry.stride end
    end
  end
  for _, shape in ipairs(shapes) do place(shape) end
  return shapes
end

-- FLOP of one matrix's Newton-Schulz products of each kind; of the symmetric ones half.
local function products_of(s)
  return { gram = s.m * (s.m + 1) * s.k, square = s.m * (s.m + 1) * s.m, product = 2 * s.m * s.m * s.k }
end

-- FLOP of all Newton-Schulz products in one update.
function muon.flops(entries)
  local flops = 0
  for _, s in ipairs(shapes_of(entries)) do
    for _, each in pairs(products_of(s)) do flops = flops + STEPS * #s.at * each end
  end
  return flops
end

-- Floats that an update works in.
function muon.floats(entries)
  local floats = 0
  for _, s in ipairs(shapes_of(entries)) do floats = math.max(floats, s.batch * s.slot) end
  return floats
end

-- The parts of a shape's update, as kernels of a profile; a call takes `batch` matrices or, the last one, fewer.
local function kernels_of(s)
  local flops, size, square = products_of(s), 4 * s.m * s.k, 4 * s.m * s.m
  local each = #s.at / ((#s.at + s.batch - 1) // s.batch)
  local list = {}
  for i, part in ipairs({ { "momentum", 6 * size }, { "gram", size + square }, { "square", 2 * square },
    { "product", 2 * size + square }, { "update", 3 * size } }) do
    list[i] = { name = s.name .. "_" .. part[1], flops = each * (flops[part[1]] or 0), bytes = each * part[2], op = {} }
  end
  return list
end

-- The texts of all functions, the widest product's inner dimension and the kernels.
function muon.emit(entries)
  local texts, inner, taken, all = {}, 0, {}, {}
  local shapes = shapes_of(entries)
  local function product(name, k)
    k.name = name
    if not taken[name] then texts[#texts + 1] = kernels.whole("cpu", "muon", "muon_product", k) end
    taken[name] = true
    return name
  end
  for _, s in ipairs(shapes) do
    s.gram = product(("muon_gram_%dx%d"):format(s.m, s.k),
      { rows = s.m, cols = s.m, inner = s.k, transposed = true, symmetric = true })
    s.square = product(("muon_square_%d"):format(s.m),
      { rows = s.m, cols = s.m, inner = s.m, symmetric = true, addend = "-4.7750f", factor = "2.0315f" })
    s.product = product(("muon_product_%dx%d"):format(s.m, s.k),
      { rows = s.m, cols = s.k, inner = s.m, addend = "3.4445f", factor = "1.0f" })
    s.original = literal.float(math.sqrt(math.max(1, s.rows / s.cols)))
    s.match = literal.float(0.2 * math.sqrt(s.k))
    inner = math.max(inner, s.k)
    texts[#texts + 1] = kernels.whole("cpu", "muon", "muon_shape", s)
    for _, kernel in ipairs(kernels_of(s)) do all[#all + 1] = kernel end
  end
  texts[#texts + 1] = kernels.whole("cpu", "muon", "muon", { name = "muon", shapes = shapes })
  return { text = table.concat(texts, "\n"), inner = inner, kernels = all }
end

return muon
