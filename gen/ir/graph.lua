-- The graph: tensors with every size known, and nodes in the order in which they run.
--
-- Appending an op binds its shape letters to the sizes of its inputs and refuses those that do not
-- fit. The graph is printed as text, one op a line, and read back from it: that text is the dump of
-- every pass, the golden file, and the language of the pass tests.
--
--   tensor: name (its text), called (the same in parts, gen/ir/name.lua), layer (that its name says, or nil), family
--           (its name without the layer, the same in all layers), dims, type ("f32" | "bf16" | "f16" | "i32"), kind
--           ("param" | "input" | "value" | "grad" | "packed" | "state" | "output"), dense (rows have no padding),
--           region, gradient (its own, if there is one yet), again (its twin, recomputed for the backward pass),
--           image_of (of a "packed" one: the parameter whose numbers it has in the type of products' factors)
--   node:   op (its definition), inputs, outputs (tensors, in the op's order; false for an absent optional
--           one), attrs, dims (letter -> size), layer (that it runs in, or nil), phase, site (the name under which the
--           model asked for it, or for the op whose gradient it is), line (of the model, for errors), row_block
--           ({ rows, count } if it runs once for each) and sliced (the tensors of which it then takes a row block)
--
-- By its name a layer's input belongs to that layer, but it is made in the one before, so a node's layer may differ
-- from its output's. Text has only names: read back, they are divided into parts by name.read's convention, which is
-- used nowhere else. Elsewhere a name is made from the parts of another ("d." .. x.called) and never taken apart.
--
-- g.target says what the graph is emitted for (gen/ir/target.lua); nil is a CPU, in float32.
local name = require("gen.ir.name")
local op = require("gen.ir.op")

local graph = {}
graph.__index = graph

function graph.new()
  return setmetatable({
    tensors = {},   -- name -> tensor
    params = {},    -- parameters, in nanoGPT's order
    nodes = {},     -- in the order in which they run
    phase = "forward",
    layer = nil,    -- the layer that is being built
    site = nil,     -- the site of appended nodes, if it is not their own name
    line = nil,     -- the source line, if it is not the caller's
  }, graph)
end

-- ---- tensors ------------------------------------------------------------------------------------

-- Names within a scope, or within a layer of a scope: g.within("block", 3)("fc") is block.3.fc.
graph.within = name.within

-- Sets the fields of a tensor's name.
local function named(given, tensor)
  local called = name.of(given)
  tensor.name, tensor.called, tensor.layer, tensor.family = called.text, called, called.layer, called.family
  return tensor
end

-- given: a string without a layer, or a name.
function graph:tensor(given, dims, fields)
  local tensor = named(given, { dims = dims, type = "f32", kind = "value" })
  if self.tensors[tensor.name] then error(("two tensors are named '%s'"):format(tensor.name), 0) end
  for key, value in pairs(fields or {}) do tensor[key] = value end
  self.tensors[tensor.name] = tensor
  return tensor
end

-- The type of activations, and what runs the graph.
function graph:elem() return self.target and self.target.elem or "f32" end
function graph:backend() return self.target and self.target.backend or "cpu" end

-- A parameter: fields are init ("zeros" | "ones" | "normal" | "uniform"), init_value, uncounted if nanoGPT's count of
-- parameters leaves it out, group ("embd" or "head", if it is a matrix of those), and pieces, { { name =, rows = },
-- ... }, if its rows are several tensors in checkpoints.
function graph:param(given, dims, fields)
  local tensor = self:tensor(given, dims, fields)
  tensor.kind = "param"
  tensor.group = #dims == 1 and "vectors" or tensor.group or "matrices"
  self.params[#self.params + 1] = tensor
  tensor.index = #self.params
  return tensor
end

-- The tensors of checkpoints, in their order: { name, dims, param, row }, a parameter or its rows from `row` (0 is the
-- first) on.
function graph:stored()
  local list = {}
  for _, param in ipairs(self.params) do
    local row = 0
    for _, piece in ipairs(param.pieces or { { name = param.called, rows = param.dims[1] } }) do
      list[#list + 1] = { name = piece.name, dims = { piece.rows, param.dims[2] }, param = param, row = row }
      row = row + piece.rows
    end
    if row ~= param.dims[1] then error(("the pieces of %s have %d rows"):format(param.name, row), 0) end
  end
  return list
end

-- A second name for a parameter in checkpoints: a tied head's.
function graph:param_copy(given, param)
  self.params[#self.params + 1] = named(given, { dims = param.dims, kind = "param", copy_of = param })
end

function graph:input(given, dims, type)
  return self:tensor(given, dims, { kind = "input", type = type, dense = true })
end

-- Memory that an op keeps from one call to the next, a sampler's cache: the op computes its sizes from those in `d`.
function graph:state(given, op_name, d, type)
  return self:tensor(given, op.all()[op_name].state(d), { kind = "state", type = type })
end

-- The gradient that all backward ops of a parameter add to.
function graph:param_grad(param)
  param.gradient = param.gradient or self:tensor("d." .. param.called, param.dims, { kind = "grad", of = param })
  return param.gradient
end

function graph.count(tensor)
  local count = 1
  for _, size in ipairs(tensor.dims) do count = count * size end
  return count
end

function graph.shape_text(dims)
  return table.concat(dims, "x")
end

-- ---- nodes --------------------------------------------------------------------------------------

-- The line of the model that asked for an op: the outermost one, not that of a helper function.
local function caller_line()
  local at
  for level = 3, 20 do
    local info = debug.getinfo(level, "Sl")
    if not info then break end
    local path = info.source:match("(gen/models/[%w_]+%.lua)$")
    if path then at = path .. ":" .. info.currentline end
  end
  return at
end

local function fail(line, definition, message)
  error(("%s%s: %s"):format(line and line .. ": " or "", definition.name, message), 0)
end

-- The name of an op from that of its first output: "block.0.ln_1" of block.0.ln_1.y; nil without outputs.
local function own_site(node)
  for i, operand in ipairs(node.op.outputs) do
    if node.outputs[i] then return node.outputs[i].called:without("." .. operand[1]) end
  end
end

-- Binds an operand's letters to a tensor's sizes; `from` remembers which operand bound a letter.
local function bind(dims, from, definition, operand, tensor, line)
  if #tensor.dims ~= #operand.letters then
    fail(line, definition, ("%s is (%s) but should have %d axes (%s)"):format(operand[1],
      table.concat(tensor.dims, ", "), #operand.letters, operand[2]))
  end
  for axis, letter in ipairs(operand.letters) do
    local size = tensor.dims[axis]
    if dims[letter] and dims[letter] ~= size then
      fail(line, definition, ("%s is (%s) but axis %d should be %s = %d%s"):format(operand[1],
        table.concat(tensor.dims, ", "), axis, letter, dims[letter],
        from[letter] and ", as in " .. from[letter] or ""))
    end
    dims[letter], from[letter] = size, from[letter] or operand[1]
  end
end

-- Appends an op. names: a list of its outputs' names, or one stem, to which each output's word is
-- joined. inputs: tensors in the op's order. Returns the outputs.
function graph:append(op_name, names, inputs, attrs)
  local definition = op.all()[op_name]
  if not definition then error(("no op is named '%s'"):format(op_name), 0) end
  local line = self.line or caller_line()
  local node = { op = definition, inputs = {}, outputs = {}, attrs = {}, dims = {}, line = line,
    phase = self.phase, layer = self.layer, epilogue = {} }

  for key, default in pairs(definition.attrs) do
    local value = (attrs or {})[key]
    if value == nil then value = default end
    if value == false then fail(line, definition, ("attribute '%s' is missing"):format(key)) end
    node.attrs[key] = value
  end
  for key in pairs(attrs or {}) do
    if definition.attrs[key] == nil then
      fail(line, definition, ("unknown attribute '%s'"):format(key))
    end
  end

  local from = {}
  for i, operand in ipairs(definition.inputs) do
    local tensor = inputs[i] or false
    if not tensor and not operand.optional then
      fail(line, definition, ("input '%s' is missing"):format(operand[1]))
    end
    if tensor then bind(node.dims, from, definition, operand, tensor, line) end
    node.inputs[i] = tensor
  end
  if definition.derive then
    local message = definition.derive(node.dims, node.attrs)
    if message then fail(line, definition, message) end
  end

  local listed = type(names) == "table" and not name.is(names)
  for i, operand in ipairs(definition.outputs) do
    local given = listed and names[i]
    if operand.cpu and self:backend() ~= "cpu" then
      node.outputs[i] = false
      for _, letter in ipairs(operand.letters) do
        if not from[letter] then node.dims[letter] = nil end -- it is not used otherwise
      end
    elseif operand.accumulate then
      if given then bind(node.dims, from, definition, operand, given, line) end
      node.outputs[i] = given or false
    else
      local sizes = {}
      for axis, letter in ipairs(operand.letters) do
        sizes[axis] = node.dims[letter] or fail(line, definition, ("no size for %s"):format(letter))
      end
      given = given or names .. "." .. operand[1]
      if self.layer and type(given) == "string" then
        fail(line, definition, ("in layer %d '%s' is a plain text; a name within it is g.within(SCOPE, %d)(WORD), " ..
          "and one made from a tensor's \"d.\" .. x.called"):format(self.layer, given, self.layer))
      end
      node.outputs[i] = self:tensor(given, sizes, { producer = node,
        type = operand.type or self:elem(), dense = operand.type ~= nil })
    end
  end
  node.site = self.site and name.of(self.site) or own_site(node)
  self.nodes[#self.nodes + 1] = node
  return table.unpack(node.outputs)
end

-- Iterates over the pointwise ops in a node's load and store, and the values that it keeps, in the
-- order in which they run.
function graph.steps(node)
  local prologue, epilogue, i = node.prologue or {}, node.epilogue, 0
  return function()
    i = i + 1
    return prologue[i] or epilogue[i - #prologue]
  end
end

-- Calls visit for every tensor that a node reads or writes.
function graph.each_tensor(node, visit)
  for i = 1, #node.op.inputs do if node.inputs[i] then visit(node.inputs[i]) end end
  for i = 1, #node.op.outputs do if node.outputs[i] then visit(node.outputs[i]) end end
  for step in graph.steps(node) do
    if step.keep then visit(step.keep) end
    for _, tensor in ipairs(step.operands or {}) do visit(tensor) end
  end
  if node.workspace then visit(node.workspace) end
end

-- ---- text ---------------------------------------------------------------------------------------

local function attr_text(value)
  if math.type(value) == "float" then return ("%.9g"):format(value) end
  return tostring(value)
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function tensor_text(tensor)
  return tensor.name .. ":" .. graph.shape_text(tensor.dims)
end

-- op: whose attributes they are, if some may be left out.
local function append_attrs(words, attrs, definition)
  local quiet = definition and definition.quiet or {}
  for _, key in ipairs(sorted_keys(attrs)) do
    if not (quiet[key] and attrs[key] == definition.attrs[key]) then
      words[#words + 1] = key .. "=" .. attr_text(attrs[key])
    end
  end
end

-- One pointwise op in a kernel's store: "+gelu_erf", "+keep:block.0.fc.y", "+add block.0.x".
local function epilogue_text(step)
  if step.keep then return "+keep " .. tensor_text(step.keep) end
  local words = { "+" .. step.op.name }
  for _, tensor in ipairs(step.operands) do words[#words + 1] = tensor.name end
  append_attrs(words, step.attrs)
  return table.concat(words, " ")
end

function graph.node_text(node)
  local outputs, words = {}, {}
  for i, tensor in ipairs(node.outputs) do
    outputs[i] = tensor and (node.op.outputs[i].accumulate and "+" or "") .. tensor_text(tensor) or "-"
  end
  while outputs[#outputs] == "-" do outputs[#outputs] = nil end
  words[1] = table.concat(outputs, ", ") .. " = " .. node.op.name
  for i, tensor in ipairs(node.inputs) do
    words[#words + 1] = tensor and tensor.name or "-"
    if not tensor and not node.op.inputs[i].optional then error("absent input") end
  end
  append_attrs(words, node.attrs, node.op)
  if node.prologue then words[#words + 1] = "load" end
  for _, step in ipairs(node.prologue or {}) do words[#words + 1] = epilogue_text(step) end
  if node.prologue and #node.epilogue > 0 then words[#words + 1] = "store" end
  for _, step in ipairs(node.epilogue) do words[#words + 1] = epilogue_text(step) end
  if node.row_block then
    words[#words + 1] = ("block=%d*%d"):format(node.row_block.count, node.row_block.rows)
  end
  local own = own_site(node)
  if node.site and not (own and own.text == node.site.text) then words[#words + 1] = " @" .. node.site.text end
  return table.concat(words, " ")
end

-- The whole graph as text: inputs, parameters, then the nodes by phase. `more(g)` gives further
-- lines: decisions of a pass that no node shows.
function graph:text(more)
  local lines = {}
  for _, key in ipairs(sorted_keys(self.tensors)) do
    local tensor = self.tensors[key]
    if tensor.kind == "input" then
      lines[#lines + 1] = ("%s = input type=%s"):format(tensor_text(tensor), tensor.type)
    end
  end
  for _, tensor in ipairs(self.params) do
    if tensor.copy_of then
      lines[#lines + 1] = ("%s = copy %s"):format(tensor_text(tensor), tensor.copy_of.name)
    else
      lines[#lines + 1] = ("%s = param init=%s init_value=%s"):format(tensor_text(tensor),
        tensor.init, attr_text(tensor.init_value or 0.0))
    end
  end
  local phase
  for _, node in ipairs(self.nodes) do
    if node.phase ~= phase then
      phase = node.phase
      lines[#lines + 1] = ("-- %s"):format(phase)
    end
    lines[#lines + 1] = graph.node_text(node)
  end
  for _, line in ipairs(more and more(self) or {}) do lines[#lines + 1] = line end
  return table.concat(lines, "\n") .. "\n"
end

local function attr_value(text)
  if text == "true" then return true end
  if text == "false" then return false end
  return tonumber(text) or text
end

local function parse_dims(text)
  local dims = {}
  for size in text:gmatch("%d+") do dims[#dims + 1] = math.tointeger(tonumber(size)) end
  return dims
end

-- Reads a graph as printed before fusion (without epilogues and row blocks).
function graph.parse(text)
  local g = graph.new()
  for line in text:gmatch("[^\n]+") do
    local phase = line:match("^%-%- (%w+)")
    local body, site = line:match("^(.-)%s+@(%S+)$")
    body = body or line
    local left, op_name, rest = body:match("^%s*(.-) = (%S+)%s*(.*)$")
    if phase then
      g.phase = phase
    elseif left then
      local inputs, attrs, outputs = {}, {}, {}
      for word in rest:gmatch("%S+") do
        local key, value = word:match("^([%w_]+)=(.+)$")
        if key then
          attrs[key] = attr_value(value)
        elseif word == "-" then
          inputs[#inputs + 1] = false
        else
          inputs[#inputs + 1] = g.tensors[word] or error(("%s: '%s' is not defined"):format(line, word), 0)
        end
      end
      for item in left:gmatch("[^,%s]+") do
        local plus, word, dims = item:match("^(%+?)([%w_.]+):([%dx]+)$")
        if not word and item ~= "-" then error(("%s: '%s' is not a tensor"):format(line, item), 0) end
        local called = word and name.read(word)
        if not word then
          outputs[#outputs + 1] = false
        elseif op_name == "input" then
          g:input(called, parse_dims(dims), attrs.type)
        elseif op_name == "param" then
          g:param(called, parse_dims(dims), attrs)
        elseif op_name == "copy" then
          g:param_copy(called, inputs[1])
        elseif plus == "+" then
          outputs[#outputs + 1] = g:param_grad(g.tensors[word:match("^d%.(.+)$")])
        else
          outputs[#outputs + 1] = called
        end
      end
      if not ({ input = true, param = true, copy = true })[op_name] then
        g.site, g.line = site and name.read(site), site
        g:append(op_name, outputs, inputs, attrs)
      end
    end
  end
  g.site, g.line, g.phase = nil, nil, "forward"
  return g
end

return graph
