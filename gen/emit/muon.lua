-- muon: Muon's update of the matrices in blocks, from the table of parameters: for each shape its three products and
-- the function that updates all matrices of it; and what it costs. Depends on kernels and literal of this room.
local kernels = require("gen.emit.kernels")
local literal = require("gen.emit.literal")

local muon = {}

local BATCH_FLOATS = 1 << 23 -- of memory for matrices that are updated together, if it is more than one
local STEPS = 5
local PARTS, PART_FLOATS = 64, 8192 -- thread blocks of a matrix at most on a device, and what one has at least
local BLOCK_ROWS, BLOCKS = 256, 8 -- of a symmetric result on a device: rows of a block at least, how many at most

-- Whether Muon updates an entry of the parameters' table: a matrix that is in a block.
function muon.takes(entry)
  return #entry.dims == 2 and not entry.copy and entry.name:find("%d", 1, true) ~= nil
end

local function rounded(floats) return (floats + 15) // 16 * 16 end
local function aligned(count) return (count + 63) // 64 * 64 end -- as tensors on a device

-- Where parts of a matrix's work lie: X, the next X, A, B and the sums of rows, and how many go together.
local function place(s)
  s.next = rounded(s.m * s.k)
  s.a = 2 * s.next
  s.b = s.a + rounded(s.m * s.m)
  s.sums = s.b + rounded(s.m * s.m)
  s.slot = s.sums + rounded(2 * s.rows) -- doubles
  s.batch = math.max(1, math.min(#s.at, BATCH_FLOATS // s.slot))
end

-- The same on a device, in elements of the work's type, of which there are `each` bytes: all X, all next X, all A, all
-- B, then partial sums of squares; next and a device's other places are those of the first matrix.
local function place_on_device(s, each)
  local count = #s.at
  s.slot, s.square_ld = aligned(s.rows * s.pitch), (s.m + 7) // 8 * 8
  s.square_slot = aligned(s.m * s.square_ld)
  s.next = count * s.slot
  s.a = 2 * s.next
  s.b = s.a + count * s.square_slot
  s.sums = aligned((s.b + count * s.square_slot) * each // 4) -- in floats
  s.parts = math.max(1, math.min(PARTS, s.rows * s.pitch // PART_FLOATS))
  s.floats = s.sums + aligned(2 * count * s.parts)
end

-- The matrices by their shape, in the table's order. work: a device's type of X, nil on the CPU.
local function shapes_of(entries, work)
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
      shape.pitch = entry.device_pitch
      for layer = 0, entry.layers - 1 do
        shape.at[#shape.at + 1] = work and entry.device_offset + layer * entry.device_stride
          or entry.offset + layer * entry.stride
      end
    end
  end
  for _, shape in ipairs(shapes) do
    shape.original = literal.float(math.sqrt(math.max(1, shape.rows / shape.cols)))
    shape.match = literal.float(0.2 * math.sqrt(shape.k))
    if work then place_on_device(shape, work == "float" and 4 or 2) else place(shape) end
  end
  return shapes
end

-- FLOP of one matrix's Newton-Schulz products of each kind on a CPU; of the symmetric ones half.
local function products_of(s)
  return { gram = s.m * (s.m + 1) * s.k, square = s.m * (s.m + 1) * s.m, product = 2 * s.m * s.m * s.k }
end

-- A symmetric result (m, m) on a device, in rows of blocks { from =, rows =, cols = }: the columns of one end with its
-- block on the diagonal, and what is to the right is copied from below. n equal ones are (n + 1) / (2n) of the FLOP of
-- the whole: three quarters of two, 9/16 of eight. More would save little, and each is a call; lower ones are too small
-- a product to keep a device busy. They begin at multiples of 64, whole tiles of a product and aligned in any type.
-- least: for tests, the rows that one has at least.
function muon.blocks(m, least)
  local count = math.max(1, math.min(BLOCKS, m // (least or BLOCK_ROWS)))
  local high = count == 1 and m or (m + count * 64 - 1) // (count * 64) * 64
  local list = {}
  for from = 0, m - 1, high do
    local rows = math.min(high, m - from)
    list[#list + 1] = { from = from, rows = rows, cols = from + rows }
  end
  return list
end

-- How many values of a symmetric result (m, m) are computed on a device.
function muon.computed(m)
  local values = 0
  for _, block in ipairs(muon.blocks(m)) do values = values + block.rows * block.cols end
  return values
end

-- FLOP of all Newton-Schulz products in one update, of a backend.
function muon.flops(entries, backend)
  local flops = 0
  for _, s in ipairs(shapes_of(entries)) do
    local each = products_of(s)
    if backend == "cuda" then
      local values = muon.computed(s.m)
      each.gram, each.square = 2 * values * s.k, 2 * values * s.m
    end
    flops = flops + STEPS * #s.at * (each.gram + each.square + each.product)
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
local function kernels_of(s, products)
  local flops, size, square = products_of(s), 4 * s.m * s.k, 4 * s.m * s.m
  local each = #s.at / ((#s.at + s.batch - 1) // s.batch)
  local list = {}
  for i, part in ipairs({ { "momentum", 6 * size }, { "gram", size + square }, { "square", 2 * square },
    { "product", 2 * size + square }, { "update", 3 * size } }) do
    list[i] = { name = s.name .. "_" .. part[1], flops = each * (flops[part[1]] or 0), bytes = each * part[2],
      op = { factors = products == "bf16" and flops[part[1]] ~= nil } }
  end
  return list
end

-- The texts of all functions, the widest product's inner dimension and the kernels. products: "f32" or "bf16".
function muon.emit(entries, products)
  local texts, inner, taken, all = {}, 0, {}, {}
  local shapes = shapes_of(entries)
  local function product(name, k)
    k.name, k.products = name, products
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
    inner = math.max(inner, s.k)
    s.products = products
    texts[#texts + 1] = kernels.whole("cpu", "muon", "muon_shape", s)
    for _, kernel in ipairs(kernels_of(s, products)) do all[#all + 1] = kernel end
  end
  texts[#texts + 1] = kernels.whole("cpu", "muon", "muon", { name = "muon", shapes = shapes })
  return { text = table.concat(texts, "\n"), inner = inner, kernels = all }
end

-- ---- on a device ----------------------------------------------------------------------------------

local function work_of(dtype) return dtype == "float32" and "float" or "bf16" end

-- Floats of the memory of activations that an update takes.
function muon.device_floats(entries, dtype)
  local floats = 0
  for _, s in ipairs(shapes_of(entries, work_of(dtype))) do floats = math.max(floats, s.floats) end
  return floats
end

-- A shape's three products, by operands { at =, ld =, slot = }, and the parts { rows =, cols =, out =, a =, b = } in
-- which each is computed: their sizes, and how far behind the operands' first elements theirs are.
local function device_products(s, type, least)
  local tall = s.rows > s.cols
  local function x(at) return { at = at, ld = s.pitch, slot = s.slot } end
  local function square(at) return { at = at, ld = s.square_ld, slot = s.square_slot } end
  local a, b = square(s.a), square(s.b)
  local list = {
    { "gram", type = type, rows = s.m, cols = s.m, inner = s.k, out = a, a = x("now"), b = x("now"),
      a_transposed = tall, b_transposed = not tall },
    { "square", type = type, rows = s.m, cols = s.m, inner = s.m, out = b, a = a, b = a, factor = "2.0315f",
      residual = s.a, residual_factor = "-4.7750f" },
    { "product", type = type, rows = s.rows, cols = s.cols, inner = s.m, out = x("next"), a = tall and x("now") or b,
      b = tall and b or x("now"), residual = "now", residual_factor = "3.4445f",
      parts = { { rows = s.rows, cols = s.cols, out = 0, a = 0, b = 0 } } },
  }
  for i = 1, 2 do
    local p = list[i]
    p.parts = {}
    for _, block in ipairs(muon.blocks(s.m, least)) do
      p.parts[#p.parts + 1] = { rows = block.rows, cols = block.cols, out = block.from * s.square_ld,
        a = block.from * (p.a_transposed and 1 or p.a.ld), b = 0 }
    end
  end
  return list
end

-- Elements that the parts of a product read and write, and how many values they compute.
local function counts_of(p)
  local moved, computed = 0, 0
  for _, part in ipairs(p.parts) do
    local values = part.rows * part.cols
    moved = moved + (part.rows + part.cols) * p.inner + (p.residual and 2 or 1) * values
    computed = computed + values
  end
  return moved, computed
end

-- Where a part of an operand begins: `at` is a number, or the name of one.
local function behind(at, offset)
  if math.type(at) then return tostring(at + offset) end
  return offset == 0 and at or ("%s + %d"):format(at, offset)
end

-- The kernels of an update on a device, in order, and the lines that run them. k: fields that all get. least: as in
-- muon.blocks.
function muon.device(entries, dtype, tf32, k, least)
  local work = work_of(dtype)
  local type = work == "bf16" and "GEMM_BF16" or tf32 and "GEMM_TF32" or "GEMM_F32"
  local each, image = work == "bf16" and 2 or 4, dtype ~= "float32" and 2 or 0
  local list, lines = {}, {}
  for _, s in ipairs(shapes_of(entries, work)) do
    local count, size = #s.at, s.rows * s.cols
    local function add(fn, word, calls, flops, bytes, fields)
      local kernel = setmetatable({ name = s.name .. "_" .. word, shape = s, work = work, calls = calls,
        flops = count * flops, bytes = count * bytes, op = {} }, { __index = k })
      for key, value in pairs(fields or {}) do kernel[key] = value end
      kernel.text = kernels.whole("cuda", "muon", fn, kernel)
      list[#list + 1] = kernel
    end
    add("momentum", "momentum", 1, 0, 12 * size)
    add("start", "start", 1, 0, (8 + each) * size)
    for _, p in ipairs(device_products(s, type, least)) do
      local moved, computed = counts_of(p)
      p.gemms = {}
      for i, part in ipairs(p.parts) do
        part.gemm = ("%s_%s_gemm%s"):format(s.name, p[1], #p.parts > 1 and "_" .. i - 1 or "")
        p.gemms[i] = part.gemm
      end
      add("product", p[1], STEPS, 2 * computed * p.inner, each * moved,
        { product = p, behind = behind, gemms = p.gemms, op = { product = true }, more = "int step" })
    end
    local blocks = muon.blocks(s.m, least)
    if #blocks > 1 then
      s.block = blocks[1].rows
      local copied = 0
      for _, block in ipairs(blocks) do copied = copied + block.rows * block.from end
      add("mirror", "mirror", 2 * STEPS, 0, 2 * each * copied, { more = "int64_t at" })
    end
    add("update", "update", 1, 0, (8 + each + image) * size)
    lines[#lines + 1] = ("RUN(%s_momentum);\nRUN(%s_start);\nfor (int step = 0; step < %d; step++) {"):format(s.name,
      s.name, STEPS)
    for _, word in ipairs({ "gram", "square", "product" }) do
      lines[#lines + 1] = ("    RUN(%s_%s, step);"):format(s.name, word)
      local written = s.block and ({ gram = s.a, square = s.b })[word]
      if written then lines[#lines + 1] = ("    RUN(%s_mirror, %d);"):format(s.name, written) end
    end
    lines[#lines + 1] = ("}\nRUN(%s_update);"):format(s.name)
  end
  return list, table.concat(lines, "\n")
end

return muon
