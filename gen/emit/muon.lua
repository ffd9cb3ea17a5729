-- muon: Muon's update of the matrices in blocks, from the table of parameters: for each shape its three products and
-- the function that updates all matrices of it. Depends on kernels and literal of this room.
local kernels = require("gen.emit.kernels")
local literal = require("gen.emit.literal")

local muon = {}

local BATCH_FLOATS = 1 << 23 -- of memory for matrices that are updated together, if it is more than one

-- Whether Muon updates an entry of the parameters' table: a matrix that is in a block.
function muon.takes(entry)
  return #entry.dims == 2 and not entry.copy and entry.name:find("%d", 1, true) ~= nil
end

local function rounded(floats) return (floats + 15) // 16 * 16 end

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
  return shapes
end

-- The texts of all functions, the floats that they work in and the widest product's inner dimension.
function muon.emit(entries)
  local texts, floats, inner, taken = {}, 0, 0, {}
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
    s.next = rounded(s.m * s.k)
    s.a = 2 * s.next
    s.b = s.a + rounded(s.m * s.m)
    s.sums = s.b + rounded(s.m * s.m)
    s.slot = s.sums + rounded(2 * s.rows) -- doubles
    s.batch = math.max(1, math.min(#s.at, BATCH_FLOATS // s.slot))
    s.original = literal.float(math.sqrt(math.max(1, s.rows / s.cols)))
    s.match = literal.float(0.2 * math.sqrt(s.k))
    floats, inner = math.max(floats, s.batch * s.slot), math.max(inner, s.k)
    texts[#texts + 1] = kernels.whole("cpu", "muon", "muon_shape", s)
  end
  texts[#texts + 1] = kernels.whole("cpu", "muon", "muon", { name = "muon", shapes = shapes })
  return { text = table.concat(texts, "\n"), floats = floats, inner = inner }
end

return muon
