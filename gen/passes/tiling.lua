-- tiling: how a CPU's products are divided into tiles, by a cost model or as `make tune` found it.
--
--   vecs            vectors in a row of the register tile: a panel's width; of each half, where a product has halves
--   depth           length of a slice of the inner sum
--   block           rows of a cache block, in register tiles: they use a panel one after another
--   slices_outside  1: the outer loop of a product is over slices; 0: it is over panels
--   block_cols      of a weight's gradient: columns of a cache block, in panels
--
-- None of them changes a result: each element is summed in one order, whatever the slices are.
--
-- As text a tiling is "matmul_768x128x512-3-128-64-0": a product's name, then the numbers. The key `tiling` is
-- "tuned", "model" or such texts joined by '+'. The file of `make tune`, build/tune/PROCESSOR-ISA.lua, is a table of
-- name to numbers, with the products of all configs that were tuned on that processor.
local sandbox = require("gen.config.sandbox")

local tiling = {}

local PANEL_BYTES = { [16] = 36864, [8] = 24576, [4] = 24576 } -- by vector width: most of a first-level cache
local ROWS_BYTES = 384 * 1024                                  -- of a second-level cache
local GRADIENT_DEPTH, GRADIENT_COLS, GRADIENT_FLOATS = 128, 256, 65536
local MOST_PANEL_BYTES = 256 * 1024                            -- on a thread's stack
local NAME = "[%l_]+_%d+x%d+x%d+"                              -- a product's, in texts
local MOST = 1 << 20                                           -- of a number

local FIELDS = {
  product = { "vecs", "depth", "block", "slices_outside" },
  gradient = { "vecs", "depth", "block", "block_cols" },
}

local function divide_up(a, b) return (a + b - 1) // b end

-- ---- the cost model -----------------------------------------------------------------------------

-- The length of slices that are equal, at most `most` and a multiple of 16.
local function even_depth(inner, most)
  local slices = divide_up(inner, most)
  return math.min(inner, divide_up(divide_up(inner, slices), 16) * 16)
end

-- Vectors in a panel: as many as the tile has, or fewer if these divide the columns.
local function panel_vecs(isa, s)
  local vecs, most = divide_up(s.cols, isa.vec), isa.tile_vecs // s.halves
  if vecs <= most then return vecs end
  if most == 3 and vecs % 3 ~= 0 and vecs % 2 == 0 and vecs <= 8 then return 2 end
  return most
end

-- Bytes of a packed factor.
local function factor_bytes(t) return t.products == "bf16" and t.isa.bf16 and 2 or 4 end

-- `given` has the numbers that a candidate sets.
local function product(t, s, given)
  local isa, bytes = t.isa, factor_bytes(t)
  local vecs = given.vecs or panel_vecs(isa, s)
  local wide = s.halves * vecs * isa.vec
  local depth = even_depth(s.inner, given.depth or PANEL_BYTES[isa.vec] // (bytes * wide))
  local outside = given.slices_outside or (s.inner > s.halves * s.cols and depth < s.inner and 1 or 0)
  local rows = math.max(256, ROWS_BYTES // (bytes * (outside == 1 and depth or s.inner)))
  return { vecs = vecs, depth = depth, block = divide_up(rows, isa.tile_rows), slices_outside = outside }
end

local function gradient(t, s, given)
  local isa = t.isa
  local vecs = given.vecs or math.min(2, divide_up(s.cols, isa.vec))
  local depth = even_depth(s.inner, given.depth or GRADIENT_DEPTH * 4 // factor_bytes(t))
  local wide = math.min(s.cols, given.wide or GRADIENT_COLS)
  return { vecs = vecs, depth = depth, block = divide_up(GRADIENT_FLOATS // wide, isa.tile_rows),
    block_cols = divide_up(wide, vecs * isa.vec) }
end

-- For kernels that take their sizes as arguments: one tiling for all sizes, as in a library.
local function any_product(isa, s)
  local vecs = isa.tile_vecs // s.halves
  local depth = PANEL_BYTES[isa.vec] // (4 * s.halves * vecs * isa.vec) // 16 * 16
  return { vecs = vecs, depth = depth, block = divide_up(ROWS_BYTES // (4 * depth), isa.tile_rows),
    slices_outside = 1 }
end

local function any_gradient(isa)
  return { vecs = 2, depth = GRADIENT_DEPTH, block = divide_up(GRADIENT_FLOATS // GRADIENT_COLS, isa.tile_rows),
    block_cols = GRADIENT_COLS // (2 * isa.vec) }
end

-- ---- a product's name and sizes -----------------------------------------------------------------

-- A product's op, kind, name and sizes (rows x inner times inner x cols, of each of its halves); nil for other nodes.
function tiling.describe(node)
  local d, letters = node.dims, node.op.product
  local s
  if letters then
    s = { op = node.op, kind = "product", rows = d.N, inner = d[letters.inner], cols = d[letters.cols],
      halves = letters.halves and 2 or 1 }
    s.name = ("%s_%dx%dx%d"):format(node.op.name, s.rows, s.inner, s.cols)
  elseif node.op.weight_gradient then
    s = { op = node.op, kind = "gradient", rows = d.O, inner = d.N, cols = d.C, halves = 1 }
    s.name = ("%s_%dx%dx%d"):format(node.op.name, d.N, d.O, d.C)
  end
  if s then s.dims = d end
  return s
end

local model_of = { product = product, gradient = gradient }
local any_of = { product = any_product, gradient = any_gradient }

-- The cost model's choice.
function tiling.model(t, s) return model_of[s.kind](t, s, {}) end

-- The tiling of a CPU's product, nil for other nodes; t.tilings (name to tiling) has those that differ from the
-- model's.
function tiling.of(t, node)
  local s = t.backend == "cpu" and tiling.describe(node)
  if not s then return nil end
  if t.specialise == false then return any_of[s.kind](t.isa, s) end
  return t.tilings and t.tilings[s.name] or tiling.model(t, s)
end

-- ---- candidates ---------------------------------------------------------------------------------

-- The tilings that `make tune` times: the model's first, then others that may be faster, each once.
function tiling.candidates(t, s)
  local list, seen = {}, {}
  local function add(choice)
    local text = tiling.text(s, choice)
    if not seen[text] and not tiling.problem(t, s, choice) then list[#list + 1] = choice end
    seen[text] = true
  end
  local model, widest = tiling.model(t, s), divide_up(s.cols, t.isa.vec)
  widest = math.min(t.isa.tile_vecs // s.halves, widest)
  add(model)
  for vecs = math.min(2, widest), widest do
    if s.kind == "gradient" then
      for _, depth in ipairs({ 64, 128, 256, factor_bytes(t) == 2 and 512 or nil }) do
        for _, wide in ipairs({ GRADIENT_COLS, 2 * GRADIENT_COLS }) do
          add(gradient(t, s, { vecs = vecs, depth = depth, wide = wide }))
        end
      end
    else
      local usual = product(t, s, { vecs = vecs }).depth
      for _, depth in ipairs({ usual, usual // 2, usual * 2 }) do
        for outside = 0, s.inner > depth and 1 or 0 do
          add(product(t, s, { vecs = vecs, depth = math.max(16, depth), slices_outside = outside }))
        end
      end
    end
  end
  return list
end

-- ---- texts --------------------------------------------------------------------------------------

local function fail(code, place, format, ...)
  error({ code = code, message = sandbox.printable(place .. ": " .. format:format(...), 400) }, 0)
end

-- "3-128-64-0"
function tiling.text(s, choice)
  local words = {}
  for i, field in ipairs(FIELDS[s.kind]) do words[i] = ("%d"):format(choice[field]) end
  return table.concat(words, "-")
end

-- What is wrong with a tiling for a product, or nil.
function tiling.problem(t, s, choice)
  local isa = t.isa
  local highest = { vecs = isa.tile_vecs // s.halves, depth = s.inner, block = MOST, block_cols = MOST,
    slices_outside = 1 }
  for _, field in ipairs(FIELDS[s.kind]) do
    local low = field == "slices_outside" and 0 or 1
    if choice[field] < low or choice[field] > highest[field] then
      return ("%s is %d; wanted %d to %d"):format(field, choice[field], low, highest[field])
    end
  end
  if t.products == "bf16" and choice.depth % 2 == 1 and choice.depth < s.inner then
    return ("depth is %d; wanted an even number, or all %d, for factors in bfloat16"):format(choice.depth, s.inner)
  end
  local bytes = 4 * choice.depth * s.halves * choice.vecs * isa.vec
  if s.kind == "product" and bytes > MOST_PANEL_BYTES then
    return ("a panel of %d bytes; wanted at most %d"):format(bytes, MOST_PANEL_BYTES)
  end
  return nil
end

-- Parses and checks a tiling's numbers.
local function parse(t, s, text, code, place)
  local choice, i = {}, 0
  if #text <= 60 and text:find("^%d+%-%d+%-%d+%-%d+$") then
    for digits in text:gmatch("%d+") do
      i = i + 1
      choice[FIELDS[s.kind][i]] = math.tointeger(tonumber(digits)) or MOST + 1
    end
  else
    fail(code, place, "%s is '%s'; wanted four whole numbers, %s", s.name, sandbox.printable(text, 60),
      table.concat(FIELDS[s.kind], "-"))
  end
  local problem = tiling.problem(t, s, choice)
  if problem then fail(code, place, "%s: %s", s.name, problem) end
  return choice
end

-- ---- the file of `make tune` --------------------------------------------------------------------

local function processor()
  local file = io.open("/proc/cpuinfo", "r")
  local text = "\n" .. (file and file:read("a") or "")
  if file then file:close() end
  return text:match("\nmodel name%s*:%s*([^\n]+)") or text:match("\nCPU part%s*:%s*([^\n]+)") or "unknown"
end

-- build/tune/AMD_EPYC-avx512.lua; of products in bfloat16, AMD_EPYC-avx512_bf16-bfloat16.lua
function tiling.path(folder, isa_name, products)
  local name = processor():gsub("%s+$", ""):gsub("[^%w.]+", "_"):sub(1, 100)
  return ("%s/%s-%s%s.lua"):format(folder, name, isa_name, products == "bf16" and "-bfloat16" or "")
end

-- The file's table of name to numbers, or nil if there is no file.
function tiling.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  file:close()
  local way_out = "remove it, and `make tune` writes another; or take SET=\"tiling=model\""
  local ok, entries = pcall(sandbox.load, path)
  if not ok then fail(65, entries.message or path, "not a table of tilings; %s", way_out) end
  for name, text in pairs(entries) do
    if not name:find("^" .. NAME .. "$") or type(text) ~= "string" then
      fail(65, path, "'%s' is not a product with its numbers; %s", name, way_out)
    end
  end
  return entries
end

-- The file's text, sorted.
function tiling.file_text(entries)
  local lines = {}
  for name, text in pairs(entries) do lines[#lines + 1] = ("  %s = %q,"):format(name, text) end
  table.sort(lines)
  return "-- The tilings that `make tune` found, by product (gen/passes/tiling.lua).\nreturn {\n" ..
    table.concat(lines, "\n") .. "\n}\n"
end

-- ---- a graph's ----------------------------------------------------------------------------------

-- The products of a graph, each once, in order.
function tiling.products(g)
  local list, seen = {}, {}
  for _, node in ipairs(g.nodes) do
    local s = tiling.describe(node)
    if s and not seen[s.name] then
      seen[s.name] = true
      list[#list + 1] = s
    end
  end
  return list
end

-- The entries of a key's text.
local function entries_of(text)
  local entries = {}
  for word in (text .. "+"):gmatch("([^+]*)%+") do
    local name, numbers = word:match("^(" .. NAME .. ")%-([%d-]+)$")
    if not name then
      fail(64, "tiling", "'%s' is not NAME-NUMBERS; wanted tuned, model, or such as matmul_768x128x512-3-128-64-0",
        sandbox.printable(word, 60))
    end
    entries[name] = numbers
  end
  return entries
end

-- Resolves the key's value for this graph: returns "model", or the tilings that differ from the model's, sorted, and
-- puts these into g.target. `folder` has the files of `make tune`.
function tiling.resolve(g, value, isa_name, folder)
  local entries, code, place = {}, 64, "tiling"
  if g.target.specialise == false then
    if value ~= "tuned" and value ~= "model" then
      fail(64, place, "a list, but with specialise=false all products have the same tiling; leave one of both out")
    end
  elseif value == "tuned" then
    code, place = 65, tiling.path(folder, isa_name, g.target.products)
    entries = tiling.read(place) or entries
  elseif value ~= "model" then
    entries = entries_of(value)
  end
  local words, own = {}, {}
  g.target.tilings = {}
  for _, s in ipairs(tiling.products(g)) do
    own[s.name] = true
    local choice = entries[s.name] and parse(g.target, s, entries[s.name], code, place)
    local text = choice and tiling.text(s, choice)
    if choice and text ~= tiling.text(s, tiling.model(g.target, s)) then
      g.target.tilings[s.name] = choice
      words[#words + 1] = s.name .. "-" .. text
    end
  end
  for name in pairs(value ~= "tuned" and entries or {}) do
    if not own[name] then fail(64, "tiling", "%s is not a product of this model", name) end
  end
  table.sort(words)
  return #words > 0 and table.concat(words, "+") or "model"
end

return tiling
