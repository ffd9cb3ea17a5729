-- kernels: from a planned node to the text of its kernel: chooses the template and the fields that it gets.
-- Depends on the files of this room for a kernel's name, sizes, arguments, fused ops and cost.
local call = require("gen.emit.call")
local cost = require("gen.emit.cost")
local fusion = require("gen.emit.fusion")
local layout = require("gen.passes.layout")
local literal = require("gen.emit.literal")
local names = require("gen.emit.names")
local sizes = require("gen.emit.sizes")
local template = require("gen.emit.template")
local tiling = require("gen.passes.tiling")
local unspecialise = require("gen.emit.unspecialise")
local warps = require("gen.emit.warps")

local kernels = {}

-- A table whose field WORD is the name text()_WORD.
local function names_after(text)
  return setmetatable({}, { __index = function(_, word) return text() .. "_" .. word end })
end

-- The fields that a template function gets for a node that is not a pointwise op; templates/README.md lists them.
local function describe_kernel(node, t, decode)
  local operands, step_names = call.operands(node)
  local prologue, isa = node.prologue or {}, t.isa or {}
  local in_prologue, in_epilogue = fusion.dropout_site(prologue), fusion.dropout_site(node.epilogue)
  local own_site = (node.attrs.site or 0) ~= 0 and node.attrs.site or nil
  local site = in_prologue or in_epilogue or own_site
  local cuda_product = t.backend == "cuda" and node.op.product
  local d = layout.sizes(t, node)
  local k = {
    name = names.kernel(node, t, decode), op = node.op, node = node, operands = operands, decode = decode,
    target = t, dtype = t.elem, products = t.products, d = d, specialise = t.specialise ~= false,
    dims = sizes.entries(d, t.specialise ~= false), attrs = {}, uses = {},
    prologue = fusion.statements(prologue, step_names, t.backend),
    epilogue = cuda_product and {} or fusion.statements(node.epilogue, step_names, t.backend),
    store_tiles = fusion.store_tiles(node.epilogue, step_names),
    store = cuda_product and fusion.gemm_store(node, step_names) or nil,
    site = site, epilogue_uses_dropout = in_epilogue ~= nil, prologue_uses_dropout = in_prologue ~= nil,
    rows = decode and "rows" or "N",
    tiling = not decode and tiling.of(t, node) or nil, epilogue_is_long = fusion.is_long(node.epilogue),
    tile_rows = isa.tile_rows, tile_vecs = isa.tile_vecs, vec = isa.vec,
    flops = cost.flops(node), bytes = cost.bytes(node),
  }
  if node.op.constants then k.constants = literal.doubles(node.op.constants(d, node.attrs)) end
  k.part = names_after(function() return k.name end) -- k.part.tile is matmul_768x128x512_tile
  if node.op.common then
    k.common_name = table.concat({ node.op.common, names.sizes(node, t), table.unpack(names.words(node)) }, "_")
    k.common = names_after(function() return k.common_name end)
  end
  for key, value in pairs(node.attrs) do
    k.attrs[key] = math.type(value) == "float" and literal.float(value) or value
  end
  for _, operand in ipairs(operands) do k.uses[operand.name] = true end
  k.uses.dropout = site ~= nil
  if node.op.product then
    for key, value in pairs(node.op.product) do k[key] = value end
    k.inner_ld, k.cols_ld = k.inner .. "_LD", k.cols .. "_LD"
  end
  call.bind(k)
  return k
end

-- The same for any node.
local function describe(node, t, decode)
  if not node.op.expr then return describe_kernel(node, t, decode) end
  local k = describe_kernel(fusion.standalone(node), t, decode)
  k.name, k.stream, k.y = names.kernel(node, t, decode), node.op.inputs[1][1], node.op.outputs[1][1]
  return k
end

-- ---- templates ----------------------------------------------------------------------------------

local loaded = {}
local function load_template(path)
  loaded[path] = loaded[path] or template.load(path, warps)
  return loaded[path]
end

-- A template's text for k.
local function expand(path, name, k)
  local expanded = load_template(path)[name]
  if not expanded then error(("%s: no function '%s' in this template"):format(path, name), 0) end
  return expanded(k)
end

-- The template of a node: { file, function }.
local function template_of(node, t, decode)
  if node.op.expr then return { "pointwise", "pointwise" } end
  local variant = node.op.variant and node.op.variant(t, node.dims, node.attrs)
  return decode and node.op.decode or variant or node.op.template
end

local function template_path(backend, file)
  return ("templates/%s/%s"):format(backend, file .. (backend == "cpu" and ".c" or ".cu"))
end

-- The path and function of a node's template if its backend does not have it; nil if it does.
function kernels.lacks(node, t, decode)
  if node.op.expr then return nil end
  local file, fn = table.unpack(template_of(node, t, decode))
  local path = template_path(t.backend, file)
  local there = io.open(path)
  if there then there:close() end
  if there and load_template(path)[fn] then return nil end
  return path, fn
end

local function text(node, t, decode)
  local k, own = describe(node, t, decode), template_of(node, t, decode)
  local file, fn = table.unpack(own)
  local path = template_path(t.backend, file)
  k.header = own.header
  k.path = path
  k.text = expand(path, fn, k)
  k.common = load_template(path)[k.op.common] and k.common -- of this backend's template
  if k.common then k.common_text = expand(path, k.op.common, k) end
  if not k.specialise then
    local known = {}
    if k.common then k.common_text = unspecialise.text(k.common_text, k.common_name, known) end
    k.text = unspecialise.text(k.text, k.name, known)
  end
  return k
end

-- Turns an error in an op's function or in its template into one line that names both.
local function guarded(fn)
  return function(node, t, decode)
    local ok, result = pcall(fn, node, t, decode)
    if ok then return result end
    if type(result) == "table" then error(result, 0) end
    local file = template_of(node, t, decode)[1]
    error({ code = 70, message = ("%s; in op %s (gen/ops/%s.lua, %s)%s"):format(tostring(result), node.op.name,
      node.op.family, template_path(t.backend, file), node.site and ", for " .. node.site.text or "") }, 0)
  end
end

kernels.describe = guarded(describe)
-- The kernel, with its text.
kernels.text = guarded(text)

function kernels.tile(t)
  local k = setmetatable({ specialise = t.specialise ~= false, products = t.products }, { __index = t.isa })
  return expand("templates/cpu/tile.c", "tile", k)
end

-- A kernel that belongs to no node (the optimizer's, the image's): k has name, optimizer, state_floats and the other
-- fields that its template reads.
function kernels.whole(backend, file, fn, k)
  local path = template_path(backend, file)
  k.path = path
  k.part = names_after(function() return k.name end)
  if backend == "cuda" then call.bind_whole(k) end
  return expand(path, fn, k)
end

return kernels
