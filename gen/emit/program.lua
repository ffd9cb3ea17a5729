-- program: emits functions that call a planned graph's kernels. It decides nothing: names, addresses, order and fusions
-- are the graph's. Depends on kernels of this room, and the files that it depends on.
local call = require("gen.emit.call")
local kernels = require("gen.emit.kernels")
local names = require("gen.emit.names")
local sizes = require("gen.emit.sizes")
local target = require("gen.ir.target")

local program = {}

local WIDTH = 100

-- ---- C names of tensors --------------------------------------------------------------------------

-- "block.3.x", seen from layer 3 -> "x"; from layer 2 -> "x_next"; from layer 4 -> "x_before"; from
-- outside the layers -> "x_3".
local function c_name(tensor, layer)
  local own = tensor.layer
  local name = tensor.image_of and tensor.image_of.called.short .. "_image" or tensor.called.short
  name = name:gsub("%.", "_")
  if layer and own == layer + 1 then name = name .. "_next" end
  if layer and own == layer - 1 then name = name .. "_before" end
  if own and not layer then name = name .. "_" .. own end
  return name
end

-- A tensor does not know its letters, as (B, T), so the comment has its sizes.
local function shape_comment(tensor)
  return "(" .. table.concat(tensor.dims, ", ") .. ")"
end

-- The parameters and arguments of a program's functions.
local dialects = {
  train = { model = "m", params = "struct model *m,%s int thread, int threads",
    args = { "m", "thread", "threads" } },
  cuda = { model = "gpu", params = "struct gpu *gpu,%s", args = { "gpu" } },
  decode = { model = "s", params = "struct sampler *s,%s const struct sampler_batch *batch, int thread",
    args = { "s", "batch", "thread" } },
}

-- An address: region + offset + l * stride. Offsets and strides are in floats; those of an image are in
-- its elements.
local function address_text(dialect, tensor, offset, stride)
  local region = tensor.region
  if region == "weight" then
    local cast = tensor.type ~= "f32" and "(const uint8_t *)" or ""
    return cast .. (stride == 0 and ("s->weight[%d]"):format(offset) or ("s->weight[%d + l]"):format(offset))
  end
  local text = dialect.model .. "->" .. region
  if tensor.image_of and dialect == dialects.cuda then text = "(elem *)" .. text end
  if offset ~= 0 then text = text .. " + " .. offset end
  if stride ~= 0 then
    text = ("%s %s (size_t)l * %d"):format(text, stride < 0 and "-" or "+", math.abs(stride))
  end
  if tensor.type ~= "f32" and not tensor.image_of then
    text = (tensor.kind == "state" and "(uint16_t *)(" or "(elem *)(") .. text .. ")"
  end
  return text
end

-- ---- a function's nodes: the buffers that they use, then their calls ------------------------------

local Writer = {}
Writer.__index = Writer

-- layer_text: the layer's number in C.
local function new_writer(emitter, layer, strides, layer_text)
  return setmetatable({ emitter = emitter, layer = layer, strides = strides, layer_text = layer_text,
    declared = {}, taken = {}, buffers = {}, lines = {} }, Writer)
end

-- The C name of a tensor in this function, declared on first use.
function Writer:buffer(tensor, const)
  local entry = self.declared[tensor]
  if tensor.kind == "output" then return "batch->logits" end
  if tensor.kind == "input" then
    return (self.emitter.decode and "batch" or self.emitter.dialect.model) .. "->" .. tensor.name
  end
  if not entry then
    local name = c_name(tensor, self.layer)
    assert(not self.taken[name], "two buffers are named " .. name)
    self.taken[name] = true
    entry = { name = name, tensor = tensor, const = true }
    self.declared[tensor] = entry
    self.buffers[#self.buffers + 1] = entry
  end
  entry.const = entry.const and const
  return entry.name
end

-- Whether a kernel adds to a gradient: not if it is the first to write it in a step's first micro-step.
local function beta_text(node, number, cuda)
  local by_rows = node.row_block and node.row_block.count > 1
  if not cuda then
    if not node.first_writer[number] then return "false" end
    return by_rows and "m->first && row == 0" or "m->first"
  end
  if node.op.writes_model then return "gpu->beta" end
  if not node.first_writer[number] then return "1.0f" end
  return by_rows and "row == 0 ? gpu->beta : 1.0f" or "gpu->beta"
end

-- An operand's buffer; in a loop over row blocks, the address of the row block's first row.
function Writer:operand_text(node, operand)
  local text = self:buffer(operand.tensor, operand.const)
  if not (node.sliced and node.sliced[operand.tensor] and node.row_block.count > 1) then return text end
  local width = operand.tensor.dims[2] and target.padded(self.emitter.target, operand.tensor)
  return text .. (width and (" + (size_t)row * %d"):format(width) or " + row")
end

function Writer:call(node, indent)
  local many = node.op.own_row and not node.op.product and node.op.own_row(node.dims)
  if many and self.emitter.g.rows == 1 then return end
  local k, cuda = self.emitter:kernel(node), self.emitter.cuda
  if node.site and node.site.text ~= self.last_site then
    self.lines[#self.lines + 1] = ("%s// %s"):format(indent, self:site(node))
    self.last_site = node.site.text
  end
  local rows = self.emitter.by_run[node.inputs[1]] and "batch->asks" or "batch->rows"
  self.lines[#self.lines + 1] = indent .. (many and ("if (%s > 1) "):format(rows) or "") .. call.run_text(k, {
    sizes = function() return sizes.argument(k.d) end,
    model = cuda and "gpu->state" or "m",
    operand = function(argument) return self:operand_text(node, argument.operand) end,
    site = function() return self:site_text(node, k.site) end,
    beta = function(argument) return beta_text(node, argument.number, cuda) end,
    workspace = function() return self:buffer(node.workspace, false) end,
    scratch = function()
      self.needs_scratch = true
      return "scratch"
    end,
    weights = function() return ("sampler_layer_weights(s, %s)"):format(self.layer_text) end,
    tokens = "s->weights_tokens",
    pos = "batch->pos",
    rows = rows,
    runs = node.op.by_run and "batch->asked" or "batch->runs",
    count = node.op.by_run and "batch->asks" or "batch->count",
  }) .. ";"
end

-- The name under which the model asked for a node: "block.l.ln_1" in a function of several layers.
function Writer:site(node)
  local all = self.layer_text == "l" and node.site.layer == node.layer
  return all and node.site.family:format("l") or node.site.text
end

-- In the sampler: prefetches the weight of the next product after node i, before that runs.
function Writer:prefetch(nodes, i, indent)
  if self.emitter.target.scalar then return end
  repeat i = i + 1 until not nodes[i] or nodes[i].op.product
  local node = nodes[i]
  if not node or node == self.prefetched then return end
  self.prefetched = node
  local weight, cols = node.inputs[2], node.dims[node.op.product.cols]
  self.lines[#self.lines + 1] = ("%sPREFETCH%s(%s, %d, %d);"):format(indent,
    weight.type == "f32" and "" or "_" .. weight.type:upper(), self:buffer(weight, true), cols, node.dims.C)
end

function Writer:site_text(node, site)
  local stride = self.strides and self.strides.site[node] or 0
  local base = site - stride * (self.layer or 0)
  return stride == 0 and ("%du"):format(site) or ("(uint32_t)(%d + l * %d)"):format(base, stride)
end

function Writer:address(tensor)
  local stride = self.strides and self.strides.of[tensor] or 0
  return address_text(self.emitter.dialect, tensor, tensor.offset - stride * (self.layer or 0), stride)
end

-- Declarations, in order of first use, with shapes.
function Writer:declarations()
  local lines = {}
  for _, entry in ipairs(self.buffers) do
    local head = ("    %s%s *%s = %s;"):format(entry.const and "const " or "",
      call.c_type(self.emitter.target, entry.tensor), entry.name, self:address(entry.tensor))
    lines[#lines + 1] = ("%s // %s"):format(head, shape_comment(entry.tensor))
  end
  if self.needs_scratch then
    lines[#lines + 1] = "    void *scratch = model_scratch(m, thread);"
  end
  return lines
end

-- ---- the emitter ---------------------------------------------------------------------------------

local Emitter = {}
Emitter.__index = Emitter

-- A new emitter, which collects the kernels that its phases call.
function program.emitter(g)
  local cuda, n_layer = g:backend() == "cuda", 0
  local by_run = {} -- tensors that have a row for each that the sampler wants logits of
  for _, node in ipairs(g.nodes) do
    n_layer = math.max(n_layer, (node.layer or -1) + 1)
    for _, tensor in pairs(node.outputs) do by_run[tensor] = node.op.by_run or by_run[node.inputs[1] or tensor] end
  end
  return setmetatable({ g = g, n_layer = n_layer, target = g.target, cuda = cuda, decode = g.decode, by_run = by_run,
    dialect = dialects[g.decode and "decode" or cuda and "cuda" or "train"], kernels = {}, by_name = {} }, Emitter)
end

-- Nodes share a kernel by its name, so a name must determine the text.
local function check_same(k, other)
  local same = k.arg_names == other.arg_names
  for key, value in pairs(k.attrs) do same = same and (key == "site" or value == other.attrs[key]) end
  if not same then
    error({ code = 70, message = ("gen/emit/names.lua: two different kernels are named %s"):format(other.name) })
  end
end

function Emitter:kernel(node)
  local name = names.kernel(node, self.target, self.decode)
  local k = self.by_name[name]
  if not k then
    k = kernels.text(node, self.target, self.decode)
    k.calls = 0
    self.by_name[name] = k
    self.kernels[#self.kernels + 1] = k
    return k
  end
  -- The same kernel with this node's tensors.
  local described = kernels.describe(node, self.target, self.decode)
  check_same(k, described)
  return described
end

-- The function that runs a layer's nodes: layer `l` of a loop, or a single layer.
local function layer_function(emitter, name, item)
  local first, l = item.layers[1], #item.layers > 1 and " int l" or ""
  if l ~= "" and not emitter.cuda then l = l .. "," end
  local writer = new_writer(emitter, first.layer, item.strides, #item.layers > 1 and "l" or tostring(first.layer))
  for i, node in ipairs(first) do
    if emitter.decode then writer:prefetch(first, i, "    ") end
    writer:call(node, "    ")
  end
  local params = emitter.dialect.params:format(l):gsub(",$", "")
  local lines = { ("static void %s(%s) {"):format(name, params) }
  for _, line in ipairs(writer:declarations()) do lines[#lines + 1] = line end
  lines[#lines + 1] = ""
  for _, line in ipairs(writer.lines) do lines[#lines + 1] = line end
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n") .. "\n"
end

-- The call of a layer's function, in a loop if it is for several layers.
local function layer_call(emitter, name, item)
  local from, to = item.layers[1].layer, item.layers[#item.layers].layer
  local args = { table.unpack(emitter.dialect.args) }
  if from == to then return { ("    %s(%s);"):format(name, table.concat(args, ", ")) } end
  table.insert(args, 2, "l")
  local last = emitter.n_layer - 1
  return {
    from < to and ("    for (int l = %d; l < %s; l++) {"):format(from, to == last and "MODEL_L" or tostring(to + 1))
      or ("    for (int l = %s; l >= %d; l--) {"):format(from == last and "MODEL_L - 1" or tostring(from), to),
    ("        %s(%s);"):format(name, table.concat(args, ", ")),
    "    }",
  }
end

-- The function's name: the first one of a phase has the plain name, later ones also the number of their first layer.
local function layer_name(emitter, phase, item, taken)
  local name = (emitter.decode and "sampler" or phase) .. "_layer"
  if taken[name] then name = name .. "_" .. item.layers[1].layer end
  taken[name] = true
  return name
end

-- The functions of one phase: those of its layers, and the body that calls them.
function Emitter:phase(phase)
  local items = self.g.schedule[phase] or {}
  local before, taken = {}, {}
  local writer = new_writer(self, nil, nil)
  for i, item in ipairs(items) do
    if item.node then
      if self.decode then
        local nodes = {}
        for j = i, #items do nodes[j] = items[j].node end -- up to a loop over layers
        writer:prefetch(nodes, i, "    ")
      end
      writer:call(item.node, "    ")
    elseif item.row_block then
      if item.row_block.count > 1 then
        writer.lines[#writer.lines + 1] = ("    for (int row = 0; row < %d; row += %d) {"):format(
          item.row_block.rows * item.row_block.count, item.row_block.rows)
      end
      for _, node in ipairs(item.nodes) do writer:call(node, item.row_block.count > 1 and "        " or "    ") end
      if item.row_block.count > 1 then writer.lines[#writer.lines + 1] = "    }" end
    else
      local name = layer_name(self, phase, item, taken)
      before[#before + 1] = layer_function(self, name, item)
      for _, line in ipairs(layer_call(self, name, item)) do writer.lines[#writer.lines + 1] = line end
      writer.last_site = nil
    end
  end
  local body = writer:declarations()
  if #body > 0 then body[#body + 1] = "" end
  for _, line in ipairs(writer.lines) do body[#body + 1] = line end
  return { functions = table.concat(before, "\n"), body = table.concat(body, "\n"):gsub("^    ", "") }
end

-- Counts how often each kernel runs in one training step, for the comment above it. The cost of a kernel
-- for several sizes is their mean.
function Emitter:count_calls()
  for _, node in ipairs(self.g.nodes) do
    local k = self.by_name[names.kernel(node, self.target, self.decode)]
    if k and (self.decode or node.phase ~= "loss") then
      local count = node.row_block and node.row_block.count or 1
      if not k.specialise then
        local own = self:kernel(node)
        k.flops = (k.calls * k.flops + count * own.flops) / (k.calls + count)
        k.bytes = (k.calls * k.bytes + count * own.bytes) / (k.calls + count)
      end
      k.calls = k.calls + count
    end
  end
end

local function scaled(number, unit)
  for _, step in ipairs({ { 1e12, "T" }, { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" } }) do
    if number >= step[1] then return ("%.1f %s%s"):format(number / step[1], step[2], unit) end
  end
  return ("%.0f %s"):format(number, unit)
end
program.scaled = scaled

function Emitter:kernel_texts()
  local texts, shared = {}, {}
  for _, k in ipairs(self.kernels) do
    if k.common_text and not shared[k.common_name] then
      shared[k.common_name] = true
      texts[#texts + 1] = ("// %s, from %s: what kernels of these sizes share.\n%s"):format(
        k.common_name, k.path, k.common_text)
    end
    local often = k.often or k.calls == 0 and "In evaluations." or k.calls == 1 and "Called once a step."
      or ("Called %d times a step."):format(k.calls)
    local head = ("// %s, from %s."):format(k.name, k.path)
    local cost = ("%s; %s, %s each%s."):format(often, scaled(k.flops, "FLOP"), scaled(k.bytes, "B"),
      k.specialise == false and " on average" or ""):gsub("%.;", ":", 1)
    if not self.decode then
      head = head .. (#head + #cost < WIDTH and " " or "\n// ") .. cost
    end
    texts[#texts + 1] = head .. "\n" .. k.text
  end
  return table.concat(texts, "\n")
end

return program
