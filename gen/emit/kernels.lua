-- kernels: from a planned node to what its template needs: a name, a signature, sizes, and the C of
-- the pointwise ops in its store. One kernel serves all nodes of the same op, sizes and fusion.
local call = require("gen.emit.call")
local graph = require("gen.ir.graph")
local layout = require("gen.passes.layout")
local target = require("gen.ir.target")
local template = require("gen.emit.template")
local tiling = require("gen.passes.tiling")
local unspecialise = require("gen.emit.unspecialise")
local warps = require("gen.emit.warps")

local kernels = {}

-- Letters in the order in which they are declared; others (derived sizes) follow.
local LETTERS = { "N", "B", "T", "C", "C_LD", "H", "D", "E", "E_LD", "O", "O_LD", "V", "V_LD", "P", "S" }

-- Text of a C float: shortest that reads back the same.
function kernels.f32(value)
  local text = ("%.9g"):format(value)
  if not text:find("[.e]") then text = text .. ".0" end
  return text .. "f"
end

-- ---- names --------------------------------------------------------------------------------------

-- The letters of a node's operands, each once, in the order in which they first appear.
local function letters_of(node)
  if node.op.named_by then return node.op.named_by end
  local list, seen = {}, {}
  for _, operands in ipairs({ node.op.inputs, node.op.outputs }) do
    for _, operand in ipairs(operands) do
      for _, letter in ipairs(operand.letters) do
        if not seen[letter] and #letter == 1 and node.dims[letter] then
          seen[letter] = true
          list[#list + 1] = letter
        end
      end
    end
  end
  return list
end

local function sizes_text(node)
  local sizes = {}
  for _, letter in ipairs(letters_of(node)) do sizes[#sizes + 1] = node.dims[letter] end
  return graph.shape_text(sizes)
end

-- The sizes in a kernel's name; one that is told them when it is called serves any.
local function named_sizes(node, t)
  return t.specialise == false and "any" or sizes_text(node)
end

-- The name of a node's kernel; a sampler's have "decode" in it, so that no two of a program are
-- alike.
function kernels.name(node, t, decode)
  local words = { node.op.name, named_sizes(node, t) }
  if decode and not node.op.decode_only then table.insert(words, 2, "decode") end
  for i, operand in ipairs(node.op.outputs) do
    if operand.in_name and node.outputs[i] then words[#words + 1] = operand[1] end
  end
  for i, operand in ipairs(node.op.outputs) do
    if operand.optional and not node.outputs[i] and not decode then words[#words + 1] = "no_" .. operand[1] end
  end
  if (node.attrs.site or 0) ~= 0 and not node.op.expr then words[#words + 1] = "dropout" end
  if node.prologue then words[#words + 1] = "of" end
  for step in graph.steps(node) do
    words[#words + 1] = step.keep and "keep" or step.op.name
  end
  return table.concat(words, "_")
end

-- ---- pointwise ops in a load and in a store ------------------------------------------------------

-- The C of one pointwise op on the vector `value`: its expression with its operands loaded.
local function cpu_statements(list, step, names)
  if step.keep then
    list[#list + 1] = ("vec_store_n(%s + at, value, lanes)"):format(names[1])
    return
  end
  local c_of = {}
  for i, operand in ipairs(step.op.inputs) do
    if i == step.streamed then
      c_of[operand[1]] = "value"
    else
      local at = #operand.letters == 1 and "col" or "at"
      c_of[operand[1]] = ("vec_load_n(%s + %s, lanes)"):format(names[operand[1]], at)
    end
  end
  -- All words at once, since what one becomes may contain another.
  list[#list + 1] = "value = " .. step.op.expr:gsub("[%a_][%w_]*", c_of)
end

-- The same on CUDA: the operands' vectors, then the expression for each of the eight elements.
local function cuda_statements(list, step, names)
  if step.keep then
    -- What goes on is what was kept: made again from it, all behind it is the same.
    list[#list + 1] = "value = vec_round<elem>(value)"
    list[#list + 1] = ("vec_store(%s + at, value)"):format(names[1])
    return
  end
  local c_of = { col = "col + i" }
  for i, operand in ipairs(step.op.inputs) do
    if i == step.streamed then
      c_of[operand[1]] = "value.v[i]"
    else
      local name = names[operand[1]]
      list[#list + 1] = ("const struct vec %s_vec = vec_load(%s + %s)"):format(name, name,
        #operand.letters == 1 and "col" or "at")
      c_of[operand[1]] = name .. "_vec.v[i]"
    end
  end
  list[#list + 1] = "for (int i = 0; i < VEC; i++) value.v[i] = " ..
    step.op.expr:gsub("[%a_][%w_]*", c_of)
end

local statements_of = { cpu = cpu_statements, cuda = cuda_statements }

local function statements(steps, step_names, backend)
  local list = {}
  for _, step in ipairs(steps) do statements_of[backend](list, step, step_names[step]) end
  return list
end

-- The tensors of which a store reads or writes a tile beside its result's, by name: a residual, what is kept.
local function store_tiles(steps, step_names)
  local list = {}
  for _, step in ipairs(steps) do
    if step.keep then list[#list + 1] = step_names[step][1] end
    for i, operand in ipairs(step.op and step.op.inputs or {}) do
      if i ~= step.streamed and #operand.letters > 1 then list[#list + 1] = step_names[step][operand[1]] end
    end
  end
  return list
end

-- Whether a store's code is long: an activation's polynomial, or a mask's random numbers.
local function is_long(steps)
  for _, step in ipairs(steps) do
    if step.op and step.op.long then return true end
  end
  return false
end

local function dropout_site(steps)
  for _, step in ipairs(steps) do
    if step.op and step.op.mask then return step.attrs.site end
  end
  return nil
end

-- What the store of a product of cuBLASLt's does, by the names of its operands.
local function gemm_store(node, step_names)
  local store = {}
  for _, step in ipairs(node.epilogue) do
    local names = step_names[step]
    local gemm = step.op and step.op.gemm
    if step.keep then
      store.kept = names[1]
    elseif gemm == "bias" then
      store.bias = names.bias
    elseif gemm == "residual" then
      store.residual = names.addend or names.x
    elseif gemm == "activation" then
      store.activation = step.op.name
    elseif gemm == "activation_gradient" then
      store.dgelu = names.pre
    end
  end
  return store
end

-- ---- kernels ------------------------------------------------------------------------------------

local function bytes_of(node)
  local total, seen = 0, {}
  local function add(tensor)
    if not tensor or seen[tensor] then return end
    seen[tensor] = true
    local bytes = target.bytes(tensor) * graph.count(tensor)
    if node.sliced and node.sliced[tensor] then bytes = bytes // node.block.count end
    total = total + bytes
  end
  for i, tensor in ipairs(node.inputs) do
    -- Of a table, the rows that are looked up; at most as many as there are.
    if tensor and node.op.inputs[i].table then
      total = total + target.bytes(tensor) * math.min(graph.count(tensor), node.dims.N * node.dims.C)
    else
      add(tensor)
    end
  end
  for i, tensor in ipairs(node.outputs) do
    if tensor then
      add(tensor)
      if node.op.outputs[i].accumulate then total = total + 4 * graph.count(tensor) end -- read too
    end
  end
  for step in graph.steps(node) do
    add(step.keep)
    for _, tensor in ipairs(step.operands or {}) do add(tensor) end
  end
  return total
end

local function flops_of(node)
  local total = node.op.flops(node.dims, node.attrs)
  local cols = node.op.product and node.dims[node.op.product.cols] or node.dims.C
  for step in graph.steps(node) do
    if step.op then total = total + step.op.flops({ N = node.dims.N, C = cols }) end
  end
  return total
end

-- The letters of a node that C code knows.
local function declared(dims)
  local letters = {}
  for _, letter in ipairs(LETTERS) do
    if dims[letter] then letters[#letters + 1] = letter end
  end
  return letters
end

local function dims_text(dims, t)
  if t.specialise == false then return unspecialise.dims(declared(dims)) end
  local words = declared(dims)
  for i, letter in ipairs(words) do words[i] = letter .. " = " .. dims[letter] end
  return table.concat(words, ", ")
end

-- The sizes as an argument of a kernel that is told them.
function kernels.sizes_argument(k)
  local words = declared(k.d)
  for i, letter in ipairs(words) do words[i] = (".%s = %d"):format(letter, k.d[letter]) end
  return ("&(struct sizes){%s}"):format(table.concat(words, ", "))
end

-- What a template function is given for a node: templates/README.md lists the fields.
local function describe(node, t, decode)
  local operands, step_names = call.operands(node)
  local prologue, isa = node.prologue or {}, t.isa or {}
  local in_prologue, in_epilogue = dropout_site(prologue), dropout_site(node.epilogue)
  local own_site = (node.attrs.site or 0) ~= 0 and node.attrs.site or nil
  local site = in_prologue or in_epilogue or own_site
  local cuda_product = t.backend == "cuda" and node.op.product
  local d = layout.sizes(t, node)
  local k = {
    name = kernels.name(node, t, decode), op = node.op, node = node, operands = operands, decode = decode,
    target = t, dtype = t.elem, d = d, dims = dims_text(d, t), specialise = t.specialise ~= false,
    attrs = {}, uses = {},
    prologue = statements(prologue, step_names, t.backend),
    epilogue = cuda_product and {} or statements(node.epilogue, step_names, t.backend),
    store_tiles = store_tiles(node.epilogue, step_names),
    store = cuda_product and gemm_store(node, step_names) or nil,
    site = site, epilogue_uses_dropout = in_epilogue ~= nil, prologue_uses_dropout = in_prologue ~= nil,
    rows = decode and "rows" or "N",
    tiling = not decode and tiling.of(t, node) or nil, epilogue_is_long = is_long(node.epilogue),
    tile_rows = isa.tile_rows, tile_vecs = isa.tile_vecs, vec = isa.vec,
    flops = flops_of(node), bytes = bytes_of(node),
  }
  -- The names of a kernel's parts: k.part.tile is matmul_768x128x512_tile.
  k.part = setmetatable({}, { __index = function(_, word) return k.name .. "_" .. word end })
  if node.op.common then
    k.common_name = node.op.common .. "_" .. named_sizes(node, t)
    k.common = setmetatable({}, { __index = function(_, word) return k.common_name .. "_" .. word end })
  end
  for key, value in pairs(node.attrs) do
    k.attrs[key] = math.type(value) == "float" and kernels.f32(value) or value
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

-- A pointwise op that fused into nothing: the same statement, between a load and a store.
function kernels.standalone(node)
  local copy = {}
  for key, value in pairs(node) do copy[key] = value end
  copy.epilogue = { { op = node.op, operands = { table.unpack(node.inputs, 2) }, attrs = node.attrs,
    streamed = 1 }, table.unpack(node.epilogue) }
  copy.inputs = { node.inputs[1] }
  return copy
end

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

-- The template of a node that is no pointwise op: { file, function }.
local function template_of(node, t, decode)
  local variant = node.op.variant and node.op.variant(t, node.dims)
  return decode and node.op.decode or variant or node.op.template
end

local function template_path(t, file)
  return ("templates/%s/%s"):format(t.backend, file .. (t.backend == "cpu" and ".c" or ".cu"))
end

-- The template that a node wants and its backend does not have: its path and function; nil where it has it.
function kernels.lacks(node, t, decode)
  if node.op.expr then return nil end
  local file, fn = table.unpack(template_of(node, t, decode))
  local path = template_path(t, file)
  local there = io.open(path)
  if there then there:close() end
  if there and load_template(path)[fn] then return nil end
  return path, fn
end

local function text(node, t, decode)
  local k, file, fn
  if node.op.expr then
    local name = kernels.name(node, t, decode)
    k = describe(kernels.standalone(node), t, decode)
    k.name, k.stream, k.y = name, node.op.inputs[1][1], node.op.outputs[1][1]
    k.flops, k.bytes = flops_of(node) + node.op.flops(node.dims), bytes_of(node)
    file, fn = "pointwise", "pointwise"
  else
    k = describe(node, t, decode)
    file, fn = table.unpack(template_of(node, t, decode))
  end
  local path = template_path(t, file)
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

-- What goes wrong in an op's function or in its template, in one line that names both.
local function guarded(fn)
  return function(node, t, decode)
    local ok, result = pcall(fn, node, t, decode)
    if ok then return result end
    if type(result) == "table" then error(result, 0) end
    local file = node.op.expr and "pointwise" or template_of(node, t, decode)[1]
    error({ code = 70, message = ("%s; in op %s (gen/ops/%s.lua, %s)%s"):format(tostring(result), node.op.name,
      node.op.family, template_path(t, file), node.site and ", for " .. node.site.text or "") }, 0)
  end
end

kernels.describe = guarded(describe)
-- The kernel's own text, under a comment that says where it comes from and what it costs.
kernels.text = guarded(text)

function kernels.tile(t)
  local k = setmetatable({ specialise = t.specialise ~= false }, { __index = t.isa })
  return expand("templates/cpu/tile.c", "tile", k)
end

-- A kernel that no node asks for, of parameters as they lie (the optimizer's, the image's): k has name, optimizer,
-- state_floats and what else its template reads.
function kernels.whole(backend, file, fn, k)
  local path = ("templates/%s/%s"):format(backend, file .. (backend == "cpu" and ".c" or ".cu"))
  k.path = path
  k.part = setmetatable({}, { __index = function(_, word) return k.name .. "_" .. word end })
  if backend == "cuda" then call.bind_whole(k) end
  return expand(path, fn, k)
end

return kernels
