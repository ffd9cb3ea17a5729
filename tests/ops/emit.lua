-- emit: emits the op harness's cases: the kernels of every case of tests/ops/NAME.lua for one target,
-- and the tables that harness.c runs.
--
--   lua5.4 tests/ops/emit.lua TARGET FOLDER [--bench] [FAMILY ...]
--
-- TARGET is an instruction set ("avx2"), with "-bf16" behind it if products take factors in
-- bfloat16: FOLDER/NAME.c has a family's kernels and tables. Or it is
-- cuda:TYPE[:ATTENTION] ("cuda:bf16", "cuda:bf16:hopper"): the kernels are in FOLDER/NAME.cu, and
-- those that belong to no graph, the family "optimizer", in FOLDER/whole.cu and muon.cu. `--bench` adds cases to
-- time. If families are named, only those are emitted.
--
-- A case file returns function(case): it calls case(name, options, build) for each of its cases, and
-- build(g, given) appends a small forward graph and returns its result. given(name, dims, fields)
-- declares an input. Options:
--   tolerance   the relative error in L2 that a tensor may have
--   forward     true: no backward pass
--   decode      { rows = , pos = , most = }: the sampler's kernels, called with some of `most` rows
--   bench       true: only emitted with --bench
--   backend     "cpu" or "cuda": only emitted for it; the sampler's cases are for CPUs
--   vocab       the size that CUDA pads as the vocabulary
--   accumulates { tensor name, ... }: parameters whose gradient has a writer before this graph
package.path = "./?.lua;" .. package.path
local autodiff = require("gen.passes.autodiff")
local call = require("gen.emit.call")
local fuse = require("gen.passes.fuse")
local graph = require("gen.ir.graph")
local inplace = require("gen.ir.inplace")
local kernels = require("gen.emit.kernels")
local layout = require("gen.passes.layout")
local op = require("gen.ir.op")
local params = require("gen.emit.params")
local target = require("gen.ir.target")
local template = require("gen.emit.template")
local verify = require("gen.ir.verify")

-- Attributes, in harness.h's order.
local NUMBERS = { "scale", "eps", "theta", "cap", "factor", "low", "high", "original", "sign" }
local DIMS = { "N", "B", "T", "C", "H", "KV", "W", "D", "E", "O", "V", "P", "S" }

-- ---- one case: a graph, its forward pass for the reference, and its kernels -----------------------

-- Appends a loss from which gradients are derived: the sum of y times dy, so that y's gradient is dy.
local function append_loss(g, y, dy)
  local weigh = { name = "weigh", loss = "rows", inputs = { { "y", "N C" } }, outputs = {},
    backward = function() return dy end }
  g.nodes[#g.nodes + 1] = { op = weigh, inputs = { y }, outputs = {}, attrs = {}, dims = {}, epilogue = {},
    phase = "forward" }
  return #g.nodes
end

-- A copy of the ops before passes change them.
local function forward_steps(g)
  local steps = {}
  for i, node in ipairs(g.nodes) do
    local step = { op = node.op, inputs = { table.unpack(node.inputs) }, outputs = { table.unpack(node.outputs) },
      attrs = node.attrs, dims = {} }
    for letter, size in pairs(node.dims) do step.dims[letter] = size end
    if g.decode and step.dims.N == g.decode.most then step.dims.N = g.decode.rows end
    steps[i] = step
  end
  return steps
end

local function build_case(t, options, build)
  local g = graph.new()
  g.target, g.decode = t, options.decode
  local inputs = {}
  local function given(name, dims, fields)
    local tensor = g:tensor(name, dims, fields)
    if tensor.type == "i32" then tensor.dense = true else tensor.type = g:elem() end
    inputs[#inputs + 1] = tensor
    return tensor
  end
  local y = build(g, given)
  local steps = forward_steps(g)
  local backward, dy = not options.forward and not g.decode, nil
  if backward then
    if y then
      dy = g:tensor("dy", { table.unpack(y.dims) }, { kind = "input", type = g:elem() })
      local position = append_loss(g, y, dy)
      autodiff.run(g)
      table.remove(g.nodes, position)
    else
      autodiff.run(g)
    end
  end
  for _, tensor in ipairs(inputs) do
    if tensor.kind == "value" then tensor.kind = "input" end
  end
  verify.run(g, backward and "autodiff" or "build")
  fuse.run(g)
  if not g.decode then layout.run(g) end
  verify.run(g, backward and "layout" or "build")
  return g, steps, y, dy
end

-- ---- the tensors of a case -----------------------------------------------------------------------

-- Lists a case's tensors, each with its index (from 0) and role.
local function classify(steps, dy, described, products)
  local list, index, stored, made = {}, {}, {}, {}
  local first_of = {} -- recomputed tensor -> the tensor that it is equal to
  local function add(tensor)
    if tensor and not index[tensor] then
      index[tensor] = #list
      list[#list + 1] = tensor
    end
  end
  for _, step in ipairs(steps) do
    for _, tensor in ipairs(step.inputs) do add(tensor) end
    for _, tensor in ipairs(step.outputs) do
      add(tensor)
      if tensor then made[tensor] = true end
      if tensor and tensor.again then first_of[tensor.again] = tensor end
    end
  end
  add(dy)
  local given = {}
  for _, tensor in ipairs(list) do given[tensor] = not made[tensor] end
  for _, k in ipairs(described) do
    for _, operand in ipairs(k.operands) do
      add(operand.tensor)
      stored[operand.tensor] = true
    end
  end

  local roles = {}
  for _, tensor in ipairs(list) do
    if tensor.kind == "state" then
      roles[tensor] = { role = "STATE" }
    elseif tensor.image_of then
      roles[tensor] = { role = "GIVEN", of = index[tensor.image_of] }
    elseif given[tensor] then
      roles[tensor] = { role = "GIVEN" }
    elseif made[tensor] then
      roles[tensor] = { role = stored[tensor] and "VALUE" or "INTERMEDIATE", of = index[tensor] }
    elseif tensor.kind == "grad" then
      roles[tensor] = { role = "GRADIENT", of = index[tensor.of], accumulate = true }
    else
      local first = first_of[tensor]
      roles[tensor] = first and { role = "VALUE", of = index[first] } or { role = "WORK" }
    end
  end
  for _, tensor in ipairs(list) do
    if tensor.image_of then roles[tensor.image_of].rounded = true end
    if products == "bf16" and given[tensor] then roles[tensor].rounded = true end
    local gradient = given[tensor] and tensor.gradient
    if gradient and index[gradient] and roles[gradient].role == "WORK" then
      roles[gradient] = { role = "GRADIENT", of = index[tensor] }
    end
  end
  return list, index, roles
end

-- The standard deviation of a given tensor: a weight's rows have length 1, so that products are near 1.
local function spread_of(tensor)
  tensor = tensor.image_of or tensor
  if tensor.spread then return tensor.spread end
  return tensor.kind == "param" and #tensor.dims == 2 and 1 / math.sqrt(tensor.dims[2]) or 1
end

-- The same on a CPU whose products round their factors: those that are not given, which are rounded
-- already, are it once more in each product.
local function factor_roundings_of(g)
  local count, made = {}, {}
  local function writes(tensor, most)
    if tensor then count[tensor], made[tensor] = math.max(count[tensor] or 0, most), true end
  end
  for _, node in ipairs(g.nodes) do
    local most, product = 0, node.op.product or node.op.weight_gradient or node.op.factors
    local function reads(tensor, factor)
      if tensor then most = math.max(most, (count[tensor] or 0) + (factor and made[tensor] and 1 or 0)) end
    end
    for _, tensor in ipairs(node.inputs) do reads(tensor, product) end
    most = most + (node.op.factors and node.op.rounds or 0)
    for step in graph.steps(node) do
      for _, tensor in ipairs(step.operands or {}) do reads(tensor) end
    end
    for step in graph.steps(node) do writes(step.keep, most) end
    for _, tensor in ipairs(node.outputs) do writes(tensor, most) end
  end
  return count
end

-- How often numbers are rounded to the type of activations on the way to each tensor: once for each
-- tensor that is stored, and as often as an op's `rounds` says.
local function roundings_of(g)
  local count = {}
  if g.target.products == "bf16" then return factor_roundings_of(g) end
  if g:elem() == "f32" then return count end
  for _, node in ipairs(g.nodes) do
    local most = 0
    local function reads(tensor) most = math.max(most, tensor and count[tensor] or 0) end
    local function writes(tensor)
      if tensor then count[tensor] = math.max(count[tensor] or 0, most + (tensor.type == g:elem() and 1 or 0)) end
    end
    for _, tensor in ipairs(node.inputs) do reads(tensor) end
    for step in graph.steps(node) do
      for _, tensor in ipairs(step.operands or {}) do reads(tensor) end
    end
    most = most + (node.op.rounds or 0)
    for step in graph.steps(node) do most = most + (step.op and step.op.rounds or 0) end
    for step in graph.steps(node) do writes(step.keep) end
    -- A kernel continues with the stored value that its load kept.
    for _, step in ipairs(node.prologue or {}) do most = most + (step.keep and 1 or 0) end
    for i, tensor in ipairs(node.outputs) do
      writes(tensor)
      local cancels = tensor and node.op.outputs[i].cancels and count[tensor] > 0
      if cancels then count[tensor] = count[tensor] + 1 end
    end
  end
  return count
end

-- Elements of a row and number of rows, with padding, and whether the padding is 0.
local function padding_of(t, tensor, dy)
  local columns = tensor.dims[#tensor.dims]
  local width, rows = target.padded(t, tensor)
  if t.backend == "cpu" or tensor.dense then return width, rows, false end
  local weight = tensor.kind == "param" or tensor.kind == "grad" or tensor.kind == "packed"
  local of_logits = tensor == dy or tensor.producer and tensor.producer.op.loss == "gradient"
  return width, rows, weight or (of_logits and columns == t.vocab) or false
end

-- ---- C text --------------------------------------------------------------------------------------

local function indices(index, tensors, most)
  local words = {}
  for i = 1, most do words[i] = tensors[i] and ("%d"):format(index[tensors[i]]) or "-1" end
  return "{" .. table.concat(words, ", ") .. "}"
end

local function dims_text(dims)
  local words = {}
  for _, letter in ipairs(DIMS) do
    if dims[letter] then words[#words + 1] = (".%s = %d"):format(letter, dims[letter]) end
  end
  return "{" .. table.concat(words, ", ") .. "}"
end

local function tensor_text(g, tensor, role, roundings, dy)
  local count = graph.count(tensor)
  local valid = count
  local decode = g.decode
  if decode and tensor.dims[1] == decode.most and tensor.kind == "value" then
    valid = count // decode.most * decode.rows
  end
  local width, rows, zero = padding_of(g.target, tensor, dy)
  return ('    {"%s", %s, %s, %d, %d, %d, %d, %d, %s, %d, %s, %s, %d, %s, %.17g, %d},'):format(tensor.name,
    role.role, tensor.type:upper(), count, valid, tensor.dims[#tensor.dims], width, rows, zero,
    role.of or -1, role.accumulate or false, role.rounded or false, tensor.below or 0,
    tensor.ignored or false, spread_of(tensor), roundings[tensor] or 0)
end

local function step_text(index, step)
  local numbers = {}
  for i, name in ipairs(NUMBERS) do numbers[i] = ("%.17g"):format(step.attrs[name] or 0) end
  return ("    {%s_reference, %s, %s, %d, %du, %s, %s},"):format(step.op.name, dims_text(step.dims),
    table.concat(numbers, ", "), step.op.panel or 0, step.attrs.site or 0,
    indices(index, step.inputs, 4), indices(index, step.outputs, 4))
end

local function call_rows(g, node)
  if not g.decode then return 0 end
  return node.dims.N == 1 and 1 or g.decode.rows
end

local function call_text(g, family, index, node, k, written)
  local tensors, first = {}, {}
  for i, operand in ipairs(k.operands) do tensors[i] = operand.tensor end
  for i, operand in ipairs(node.op.outputs) do
    local grad = operand.accumulate and node.outputs[i]
    if grad then
      first[#first + 1] = tostring(not written[grad])
      written[grad] = true
    end
  end
  if node.op.writes_model then first[1] = "true" end
  local scratch = call.has_scratch(node, g.target, g.decode) and ("sizeof(struct %s_scratch)"):format(k.unique) or "0"
  if g:backend() == "cuda" then scratch = node.workspace and tostring(4 * graph.count(node.workspace)) or "0" end
  local tokens = -1
  for i, operand in ipairs(node.op.inputs) do
    if operand.sorted then tokens = index[node.inputs[i]] end
  end
  return ('    {"%s", %s, %.17g, %.17g, %du, %d, %s, %d, {%s}, %s, %s},'):format(k.unique,
    family:wrapper(k), k.flops, k.bytes, k.site or 0, call_rows(g, node), scratch, tokens,
    #first > 0 and table.concat(first, ", ", 1, math.min(#first, 2)) or "false",
    indices(index, tensors, 12), indices(index, inplace.operands(g, node), 4))
end

-- A wrapper of a kernel with the signature that harness.c calls.
local function wrapper(k, name)
  local cuda = k.target.backend == "cuda"
  local words = call.text(k, {
    gpu = "c->gpu",
    model = cuda and "c->gpu->state" or "c->m",
    operand = function(argument)
      local at = ("c->at[%d]"):format(argument.number - 1)
      return cuda and ("(%s *)%s"):format(call.c_type(k.target, argument.operand.tensor), at) or at
    end,
    site = "c->site",
    beta = function(argument) return ("c->beta[%d]%s"):format(argument.number - 1, cuda and "" or " == 0") end,
    workspace = "(float *)c->scratch",
    scratch = "c->scratch",
    weights = "NULL",
    tokens = "0",
    pos = "pos",
    rows = "c->rows",
    runs = "&run",
    count = "1",
    thread = "c->thread",
    threads = "c->threads",
  }, k.unique)
  local before = ""
  if words:find("%f[%w]pos%f[%W]") then
    before = "    int pos[" .. k.d.N .. "];\n    for (int i = 0; i < c->rows; i++) pos[i] = c->pos + i;\n"
  elseif words:find("&run", 1, true) then
    before = "    const struct sampler_run run = {.rows = c->rows, .pos = c->pos};\n"
  end
  return ("%s void %s(const struct call_context *c) {\n%s    %s;\n}\n"):format(cuda and 'extern "C"' or "static", name,
    before, words)
end

-- ---- families ------------------------------------------------------------------------------------

local CUDA_HEAD = [[
#include "runtime/kernel/gemm.h"
#include "runtime/kernel/device.h"
#include "runtime/kernel/kernel.cuh"
#include "runtime/kernel/kernel_math.cuh"
#include "runtime/kernel/update.h"
#include "tests/ops/call.h"

typedef %s elem; // the type of activations
]]

local Family = {}
Family.__index = Family

-- target_of(vocab) makes the target of a case.
local function new_family(name, target_of, bench)
  return setmetatable({ name = name, target_of = target_of, target = target_of(), bench = bench, texts = {},
    tables = {}, cases = {}, by_name = {}, wrappers = {}, gemms = {}, references = {}, headers = {} }, Family)
end

-- The name of a kernel's wrapper, which on CUDA is called from another file, so it must be unique among families.
function Family:wrapper(k)
  return self.target.backend == "cpu" and "call_" .. k.unique or ("call_%s_%s"):format(self.name, k.unique)
end

-- The kernel of a node, emitted once. In a program, kernels with the same name are the same; in two
-- cases they may differ (a layernorm with a shift and one without), and then get a number.
function Family:kernel(g, node, covered)
  local decode = g.decode ~= nil
  local k = kernels.text(node, g.target, decode)
  local base, n = k.name, 1
  k.unique = base
  while self.by_name[k.unique] and self.by_name[k.unique] ~= k.text do
    n = n + 1
    k.unique = ("%s_%d"):format(base, n)
  end
  covered[node.op.name .. (decode and node.op.decode and " decode" or "")] = true
  for step in graph.steps(node) do
    if step.op then covered[step.op.name .. " fused"] = true end
  end
  if k.common and not self.by_name[k.common_name] then
    self.by_name[k.common_name] = true
    self.texts[#self.texts + 1] = k.common_text
  end
  if not self.by_name[k.unique] then
    self.by_name[k.unique] = k.text
    local text = k.unique == base and k.text or k.text:gsub("%f[%w_]" .. base, k.unique)
    self.texts[#self.texts + 1] = text .. "\n" .. wrapper(k, self:wrapper(k))
    self.wrappers[#self.wrappers + 1] = self:wrapper(k)
    self.gemms[#self.gemms + 1] = text:match("static struct gemm ([%w_]+)")
    if k.header then self.headers[k.header] = true end
  end
  return k
end

function Family:add(name, options, build, covered)
  if options.bench and not self.bench then return end
  if (options.decode and "cpu" or options.backend or self.target.backend) ~= self.target.backend then return end
  if options.decode and self.target.products == "bf16" then return end -- the sampler's are in float32
  local g, steps, y, dy = build_case(self.target_of(options.vocab, options.decode), options, build)
  local described = {}
  for i, node in ipairs(g.nodes) do described[i] = self:kernel(g, node, covered) end
  local list, index, roles = classify(steps, dy, described, g.target.products)

  local number, lines = #self.cases, {}
  local function rows(head, items)
    lines[#lines + 1] = ("static const struct %s_%d[] = {"):format(head, number)
    for _, item in ipairs(items) do lines[#lines + 1] = item end
    lines[#lines + 1] = "};"
  end
  local tensors, step_lines, calls, work, dropout = {}, {}, {}, 0, false
  local roundings, written = roundings_of(g), {}
  for _, param in ipairs(options.accumulates or {}) do written[g.tensors[param].gradient] = true end
  for i, tensor in ipairs(list) do tensors[i] = tensor_text(g, tensor, roles[tensor], roundings, dy) end
  local loss = y
  for i, step in ipairs(steps) do
    if step.op.loss == "rows" then loss = step.outputs[1] end
    step_lines[i] = step_text(index, step)
    self.references[step.op.name] = true
    local has_dropout = (step.attrs.site or 0) ~= 0
    work = work + step.op.flops(step.dims, step.attrs) * (has_dropout and 20 or 1) -- a random number each
    dropout = dropout or has_dropout
  end
  for i, node in ipairs(g.nodes) do calls[i] = call_text(g, self, index, node, described[i], written) end
  rows("tensor tensors", tensors)
  rows("step steps", step_lines)
  rows("call calls", calls)
  self.tables[#self.tables + 1] = table.concat(lines, "\n")
  self.cases[#self.cases + 1] =
    ('    {"%s", %.17g, %.17g, %s, %d, %d, %d, tensors_%d, steps_%d, calls_%d, %d, %d, %d, GEMMS},'):format(name,
      options.tolerance, work, dropout, options.decode and options.decode.pos or 0, index[loss],
      dy and index[dy] or -1, number, number, number, #list, #steps, #calls)
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- The cases' tables.
function Family:tables_text()
  local references = sorted(self.references)
  local gemms = #self.gemms > 0 and ("%s_gemms, %d"):format(self.name, #self.gemms) or "NULL, 0"
  return table.concat({
    "reference_fn " .. table.concat(references, "_reference, ") .. "_reference;\n",
    table.concat(self.tables, "\n"),
    ("\nconst struct op_case %s_cases[] = {"):format(self.name),
    (table.concat(self.cases, "\n"):gsub("GEMMS", gemms)),
    "};",
  }, "\n") .. "\n"
end

-- The text of a family for a CPU: one file.
function Family:text_cpu()
  return table.concat({
    ("// cases of %s, emitted by tests/ops/emit.lua."):format(self.name),
    '#include "runtime/kernel/kernel.h"',
    '#include "runtime/kernel/panel.h"',
    self.target.products == "bf16" and '#include "runtime/kernel/bf16.h"' or
    '#include "runtime/kernel/product.h"',
    '#include "tests/ops/harness.h"\n',
    kernels.tile(self.target),
    table.concat(self.texts, "\n"),
    self:tables_text(),
  }, "\n")
end

-- The texts of a family for CUDA: the kernels in C++ with wrappers for C, and the tables in C.
function Family:texts_cuda()
  local headers = ""
  for _, header in ipairs(sorted(self.headers)) do headers = headers .. ('#include "%s"\n'):format(header) end
  local kernel_words = {
    ("// Kernels of %s, emitted by tests/ops/emit.lua."):format(self.name),
    CUDA_HEAD:format(self.target.elem == "f32" and "float" or self.target.elem),
    headers,
    table.concat(self.texts, "\n"),
  }
  local table_words = {
    ("// cases of %s, emitted by tests/ops/emit.lua."):format(self.name),
    '#include "tests/ops/harness.h"\n',
    "call_fn " .. table.concat(self.wrappers, ",\n    ") .. ";",
  }
  if #self.gemms > 0 then
    kernel_words[#kernel_words + 1] = ('extern "C" {\nextern struct gemm *const %s_gemms[];\n' ..
      "struct gemm *const %s_gemms[] = {\n    &%s,\n};\n}"):format(self.name, self.name,
      table.concat(self.gemms, ",\n    &"))
    table_words[#table_words + 1] = ("extern struct gemm *const %s_gemms[];"):format(self.name)
  end
  table_words[#table_words + 1] = self:tables_text()
  return table.concat(kernel_words, "\n") .. "\n", table.concat(table_words, "\n")
end

-- ---- CUDA's kernels that belong to no graph --------------------------------------------------------

-- For each optimizer, the sizes of a model: floats, how many of the first ones are decayed, rows, and the ranges of
-- its parameters' groups.
local wholes = {
  { optimizer = "adamw", state_floats = 20480, decay_floats = 12288, N = 300, V = 65,
    groups = { { finish = 1028, group = "embd" }, { finish = 11000, group = "matrices" },
      { finish = 12288, group = "head" }, { finish = 20480, group = "vectors" } } },
  { optimizer = "adam", state_floats = 64, decay_floats = 64, N = 1, V = 5,
    groups = { { finish = 64, group = "embd" } } },
  { optimizer = "sgd", state_floats = 8256, decay_floats = 128, N = 257, V = 1000,
    groups = { { finish = 128, group = "matrices" }, { finish = 4096, group = "vectors" },
      { finish = 8256, group = "matrices" } } },
}

local function whole_texts(t, models)
  local half = t.elem ~= "f32"
  local list = { take = { "step", "step_take" }, norm = { "optimizer", "grad_norm" },
    update = { "optimizer", "update" }, cast = half and { "matmul", "cast" } or nil }
  local kernel_words = { "// Kernels of no graph, emitted by tests/ops/emit.lua.",
    CUDA_HEAD:format(t.elem == "f32" and "float" or t.elem) }
  local rows, declared = {}, {}
  for i, whole in ipairs(models) do
    local wrappers, names = {}, {}
    local fields = setmetatable(params.range_fields(whole.groups), { __index = whole })
    kernel_words[#kernel_words + 1] = ("namespace %s {\n"):format(whole.optimizer)
    for _, word in ipairs({ "take", "norm", "update", "cast" }) do
      names[word] = "NULL"
      if list[word] then
        local file, fn = table.unpack(list[word])
        local k = setmetatable({ name = word == "update" and whole.optimizer or fn, dtype = t.elem, sms = t.sms },
          { __index = fields })
        kernel_words[#kernel_words + 1] = kernels.whole("cuda", file, fn, k)
        names[word] = ("whole_%s_%s"):format(whole.optimizer, word)
        wrappers[#wrappers + 1] = ('extern "C" void %s(struct gpu *gpu) {\n    %s::%s;\n}\n'):format(names[word],
          whole.optimizer, call.whole_text(k.name))
        declared[#declared + 1] = names[word]
      end
    end
    kernel_words[#kernel_words + 1] = "} // namespace\n\n" .. table.concat(wrappers, "\n")
    rows[i] = ('    {"%s", %d, %d, %d, {%s}, {%s}, %s, %s, %s, %s},'):format(whole.optimizer,
      whole.state_floats, whole.decay_floats, whole.N, fields.range_ends, fields.range_groups, names.take, names.norm,
      names.update, names.cast)
  end
  return table.concat(kernel_words, "\n"), table.concat({
    "// Cases of kernels of no graph, emitted by tests/ops/emit.lua.",
    '#include "tests/ops/harness.h"\n',
    #declared > 0 and ("void %s(struct gpu *gpu);\n"):format(table.concat(declared, "(struct gpu *gpu),\n    ")) or "",
    "const struct whole_case whole_cases[] = {",
    table.concat(rows, "\n"),
    "};",
    ("const int whole_cases_count = %d;"):format(#rows),
  }, "\n") .. "\n"
end

-- ---- files ---------------------------------------------------------------------------------------

local function write_file(path, text)
  local old = io.open(path, "rb")
  local same = old and old:read("a") == text
  if old then old:close() end
  if same then return end
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function case_files()
  local names = {}
  local pipe = assert(io.popen("LC_ALL=C ls tests/ops/"))
  for file in pipe:lines() do
    local name = file:match("^(.+)%.lua$")
    if name and name ~= "emit" then names[#names + 1] = name end
  end
  pipe:close()
  return names
end

-- Removes files that an earlier call left of a family that this one does not emit.
local function remove_files(folder, name)
  os.remove(("%s/%s.c"):format(folder, name))
  os.remove(("%s/%s.cu"):format(folder, name))
end

-- Whether a backend has kernels of an op at all.
local function has_template(t, definition)
  if t.backend == "cpu" or definition.expr then return true end
  local file, fn = table.unpack(definition.template)
  local path = ("templates/cuda/%s.cu"):format(file)
  local there = io.open(path)
  if there then there:close() end
  return there ~= nil and template.load(path)[fn] ~= nil
end

-- Checks that every op is emitted in each of its forms: alone, in a store, and for the sampler.
local function check_covered(t, covered)
  local missing, cpu = {}, t.backend == "cpu"
  for _, name in ipairs(sorted(op.all())) do
    local definition = op.all()[name]
    local emitted = has_template(t, definition) and (cpu or not definition.decode_only) and not definition.in_bytes
    if emitted and not covered[name] then missing[#missing + 1] = name end
    if cpu and definition.decode and not covered[name .. " decode"] then missing[#missing + 1] = name .. " decode" end
    if emitted and definition.expr and not covered[name .. " fused"] then missing[#missing + 1] = name .. " fused" end
  end
  if #missing > 0 then
    error("tests/ops: no case has " .. table.concat(missing, ", ") .. "; add one to the op's case file", 0)
  end
end

-- For "avx2", "avx2-bf16", "cuda:bf16" or "cuda:bf16:hopper", a function that makes the target for a vocabulary.
local function parse_target(name)
  local elem, attention = name:match("^cuda:(%w+):?(%w*)$")
  if elem then
    return function(vocab)
      return target.cuda({ elem = elem, vocab = vocab, attention = attention ~= "" and attention or nil })
    end
  end
  local isa, products = name:match("^([%w_]+)%-?(%w*)$")
  local t = target.cpu(isa, true, nil, products ~= "" and products or nil)
  if not t.isa then error(("emit: no target '%s'"):format(name), 0) end
  local decode = target.cpu(isa)
  return function(_, decodes) return decodes and decode or t end
end

local function main(target_name, folder, ...)
  local bench, only = false, {}
  for _, word in ipairs({ ... }) do
    if word == "--bench" then bench = true else only[word] = true end
  end
  local target_of = parse_target(target_name)
  local t = target_of()
  local all, known = not next(only), { optimizer = t.backend == "cuda" }
  local covered, externs, rows = {}, {}, {}
  for _, name in ipairs(case_files()) do
    known[name] = true
    local family = new_family(name, target_of, bench)
    if all or only[name] then
      require("tests.ops." .. name)(function(case_name, options, build)
        local ok, message = pcall(family.add, family, name .. " " .. case_name, options, build, covered)
        if not ok then
          error(("tests/ops/%s.lua: %s: %s"):format(name, case_name,
            type(message) == "table" and message.message or message), 0)
        end
      end)
    end
    if #family.cases > 0 then
      local text, kernel_text
      if t.backend == "cpu" then text = family:text_cpu() else kernel_text, text = family:texts_cuda() end
      write_file(("%s/%s.c"):format(folder, name), text)
      if kernel_text then write_file(("%s/%s.cu"):format(folder, name), kernel_text) end
      externs[#externs + 1] = ("extern const struct op_case %s_cases[];"):format(name)
      rows[#rows + 1] = ('    {"%s", %s_cases, %d},'):format(name, name, #family.cases)
    else
      remove_files(folder, name)
    end
  end
  for name in pairs(only) do
    if not known[name] then error(("emit: no family '%s'"):format(name), 0) end
  end
  if all then check_covered(t, covered) end
  if t.backend == "cuda" then
    local wanted = all or only.optimizer
    local kernel_text, text = whole_texts(t, wanted and wholes or {})
    write_file(folder .. "/whole.cu", kernel_text)
    write_file(folder .. "/whole.c", text)
    kernel_text, text = require("tests.ops.whole.muon")(t, CUDA_HEAD:format(t.elem == "f32" and "float" or t.elem),
      wanted)
    write_file(folder .. "/muon.cu", kernel_text)
    write_file(folder .. "/muon.c", text)
  end
  write_file(folder .. "/families.c", table.concat({
    "// The cases of every op, emitted by tests/ops/emit.lua.",
    '#include "tests/ops/harness.h"\n',
    table.concat(externs, "\n"),
    "\nconst struct family families[] = {",
    table.concat(rows, "\n"),
    "};",
    ("const int families_count = %d;"):format(#rows),
    "// Of activations; on a CPU of the factors of products.",
    ("const enum format elem_format = %s;"):format((t.products or t.elem):upper()),
  }, "\n") .. "\n")
end

main(table.unpack(arg))
