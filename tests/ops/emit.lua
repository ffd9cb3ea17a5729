-- emit: the op harness's cases as C: the kernels of every case of tests/ops/NAME.lua for one
-- instruction set, and the tables that harness.c runs.
--
--   lua5.4 tests/ops/emit.lua ISA FOLDER [--bench]
--
-- A case file returns function(case): it calls case(name, options, build) for each of its cases, and
-- build(g, given) appends a small forward graph and returns its result. given(name, dims, fields)
-- declares an input. Options:
--   tolerance   relative error in L2 that a tensor may have
--   forward     true: no backward pass
--   decode      { rows = , pos = , most = }: the sampler's kernels, called with some of `most` rows
--   bench       true: only emitted with --bench
package.path = "./?.lua;./?/init.lua;" .. package.path
local autodiff = require("gen.passes.autodiff")
local fuse = require("gen.passes.fuse")
local graph = require("gen.graph")
local isas = require("gen.isa")
local kernels = require("gen.kernels")
local layout = require("gen.passes.layout")
local op = require("gen.op")
local verify = require("gen.verify")

local BACKEND = "cpu"
local DIMS = { "N", "B", "T", "C", "H", "D", "E", "O", "V", "P", "S" }

-- ---- one case: a graph, its forward pass kept for the reference, and its kernels ------------------

-- Stands for the loss while gradients are derived: the sum of y times dy, so that y's gradient is dy.
local function append_loss(g, y, dy)
  local weigh = { name = "cross_entropy", inputs = { { "y", "N C" } }, outputs = {},
    backward = function() return dy end }
  g.nodes[#g.nodes + 1] = { op = weigh, inputs = { y }, outputs = {}, attrs = {}, dims = {}, epilogue = {},
    phase = "forward" }
  return #g.nodes
end

-- The ops as they are before passes change them.
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

local function build_case(isa, options, build)
  local g = graph.new()
  g.isa, g.decode = isa, options.decode
  local inputs = {}
  local function given(name, dims, fields)
    inputs[#inputs + 1] = g:tensor(name, dims, fields)
    return inputs[#inputs]
  end
  local y = build(g, given)
  local steps = forward_steps(g)
  local backward, dy = not options.forward and not g.decode, nil
  if backward then
    if y then
      dy = g:input("dy", { table.unpack(y.dims) })
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

-- Of several tensors that lead up to a gradient, the last.
local function gradient_of(g, tensor)
  return g.tensors["d." .. tensor.name .. ".sum"] or g.tensors["d." .. tensor.name]
end

-- Lists a case's tensors, each with its index (from 0) and role.
local function classify(g, steps, dy, described)
  local list, index, stored, made = {}, {}, {}, {}
  local work = {} -- attention_decode's weights: scratch memory of its own
  local function add(tensor)
    if tensor and not index[tensor] then
      index[tensor] = #list
      list[#list + 1] = tensor
    end
  end
  for _, step in ipairs(steps) do
    for _, tensor in ipairs(step.inputs) do add(tensor) end
    for i, tensor in ipairs(step.outputs) do
      add(tensor)
      if tensor then made[tensor] = true end
      if tensor and step.op.outputs[i][1] == "weights" then work[tensor] = true end
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
    elseif given[tensor] then
      roles[tensor] = { role = "GIVEN" }
    elseif work[tensor] then
      roles[tensor] = { role = "WORK" }
    elseif made[tensor] then
      roles[tensor] = { role = stored[tensor] and "VALUE" or "INTERMEDIATE", of = index[tensor] }
    elseif tensor.kind == "grad" then
      roles[tensor] = { role = "GRADIENT", of = index[tensor.of], accumulate = true }
    else
      local again = g.tensors[tensor.name:match("^train%.(.+)$")]
      roles[tensor] = again and made[again] and { role = "VALUE", of = index[again] } or { role = "WORK" }
    end
  end
  for _, tensor in ipairs(list) do
    local gradient = given[tensor] and gradient_of(g, tensor)
    if gradient and index[gradient] and roles[gradient].role == "WORK" then
      roles[gradient] = { role = "GRADIENT", of = index[tensor] }
    end
  end
  return list, index, roles
end

-- Products of given tensors stay near 1 where a weight's rows have length 1.
local function spread_of(tensor)
  if tensor.spread then return tensor.spread end
  return tensor.kind == "param" and #tensor.dims == 2 and 1 / math.sqrt(tensor.dims[2]) or 1
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

local function tensor_text(g, tensor, role)
  local count = graph.count(tensor)
  local valid = count
  local decode = g.decode
  if decode and tensor.dims[1] == decode.most and tensor.kind == "value" then
    valid = count // decode.most * decode.rows
  end
  return ('    {"%s", %s, %d, %d, %d, %d, %s, %d, %s, %.17g},'):format(tensor.name, role.role, count, valid,
    tensor.dims[#tensor.dims], role.of or -1, role.accumulate or false, tensor.below or 0,
    tensor.ignored or false, spread_of(tensor))
end

local function step_text(index, step)
  return ("    {%s_reference, %s, %.17g, %.17g, %du, %s, %s},"):format(
    step.op.name:gsub("^matmul_decode$", "matmul"), dims_text(step.dims), step.attrs.scale or 0,
    step.attrs.eps or 0, step.attrs.site or 0, indices(index, step.inputs, 4), indices(index, step.outputs, 4))
end

-- Tensors whose memory the first result may have: those that it is declared to take, and those that
-- only the store reads.
local function aliases_of(node)
  local list, read = {}, {}
  local first = node.outputs[1]
  for i, tensor in ipairs(node.inputs) do
    if tensor then read[tensor] = true end
    if first and node.op.inplace[node.op.outputs[1][1]] == node.op.inputs[i][1] then list[#list + 1] = tensor end
  end
  for _, step in ipairs(node.epilogue) do
    for _, tensor in ipairs(step.operands or {}) do
      if not read[tensor] and #tensor.dims == 2 then list[#list + 1] = tensor end
    end
  end
  return list
end

local function site_of(node)
  for _, step in ipairs(node.epilogue) do
    if step.attrs and step.attrs.site then return step.attrs.site end
  end
  return node.attrs.site or 0
end

local function call_rows(g, node)
  if not g.decode then return 0 end
  return node.dims.N == 1 and node.op.name ~= "last_row" and 1 or g.decode.rows
end

local function call_text(g, index, node, k)
  local tensors = {}
  for i, operand in ipairs(k.operands) do tensors[i] = operand.tensor end
  return ('    {"%s", call_%s, %.17g, %du, %d, %s, %s, %s},'):format(k.unique, k.unique, k.flops, site_of(node),
    call_rows(g, node), node.op.scratch and not g.decode and ("sizeof(struct %s_scratch)"):format(k.unique) or "0",
    indices(index, tensors, 12), indices(index, aliases_of(node), 4))
end

-- A kernel behind the one signature that harness.c calls.
local function wrapper_text(g, node, k)
  local words = {}
  if k.takes_model then words[1] = "c->m" end
  for i = 1, #k.operands do words[#words + 1] = ("c->at[%d]"):format(i - 1) end
  if k.site then words[#words + 1] = "c->site" end
  if g.decode then
    if node.op.takes_pos then words[#words + 1] = "c->pos" end
    words[#words + 1] = "c->rows"
  elseif node.op.scratch then
    words[#words + 1] = "c->scratch[thread]"
  end
  local head = "static void call_%s(const struct call_context *c, int thread, int threads) {\n"
  return (head .. "    %s(%s, thread, threads);\n}\n"):format(k.unique, k.unique, table.concat(words, ", "))
end

-- ---- families ------------------------------------------------------------------------------------

local Family = {}
Family.__index = Family

local function new_family(name, isa, bench)
  return setmetatable({ name = name, isa = isa, bench = bench, texts = {}, tables = {}, cases = {}, by_name = {},
    references = {} }, Family)
end

-- The kernel of a node, emitted once. Kernels of one program that have the same name are the same;
-- those of two cases need not be (a layernorm with a shift and one without): they get a number.
function Family:kernel(g, node, covered)
  local decode = g.decode ~= nil
  local k = kernels.text(node, BACKEND, self.isa, decode)
  local base, n = k.name, 1
  k.unique = base
  while self.by_name[k.unique] and self.by_name[k.unique] ~= k.text do
    n = n + 1
    k.unique = ("%s_%d"):format(base, n)
  end
  covered[node.op.name .. (decode and node.op.decode and " decode" or "")] = true
  for _, step in ipairs(node.epilogue) do
    if step.op then covered[step.op.name .. " fused"] = true end
  end
  if k.common and not self.by_name[k.common_name] then
    self.by_name[k.common_name] = true
    self.texts[#self.texts + 1] = k.common_text
  end
  if not self.by_name[k.unique] then
    self.by_name[k.unique] = k.text
    local text = k.unique == base and k.text or k.text:gsub("%f[%w_]" .. base, k.unique)
    self.texts[#self.texts + 1] = text .. "\n" .. wrapper_text(g, node, k)
  end
  return k
end

function Family:add(name, options, build, covered)
  if options.bench and not self.bench then return end
  local g, steps, y, dy = build_case(self.isa, options, build)
  local described = {}
  for i, node in ipairs(g.nodes) do described[i] = self:kernel(g, node, covered) end
  local list, index, roles = classify(g, steps, dy, described)

  local number, lines = #self.cases, {}
  local function rows(head, items)
    lines[#lines + 1] = ("static const struct %s_%d[] = {"):format(head, number)
    for _, item in ipairs(items) do lines[#lines + 1] = item end
    lines[#lines + 1] = "};"
  end
  local tensors, step_lines, calls, work, dropout = {}, {}, {}, 0, false
  for i, tensor in ipairs(list) do tensors[i] = tensor_text(g, tensor, roles[tensor]) end
  for i, step in ipairs(steps) do
    step_lines[i] = step_text(index, step)
    self.references[step.op.name:gsub("^matmul_decode$", "matmul")] = true
    local has_dropout = (step.attrs.site or 0) ~= 0
    work = work + step.op.flops(step.dims, step.attrs) * (has_dropout and 20 or 1) -- a cipher an element
    dropout = dropout or has_dropout
  end
  for i, node in ipairs(g.nodes) do calls[i] = call_text(g, index, node, described[i]) end
  rows("tensor tensors", tensors)
  rows("step steps", step_lines)
  rows("call calls", calls)
  self.tables[#self.tables + 1] = table.concat(lines, "\n")
  local loss = y or steps[1].outputs[1]
  self.cases[#self.cases + 1] =
    ('    {"%s", %.17g, %.17g, %s, %d, %d, %d, tensors_%d, steps_%d, calls_%d, %d, %d, %d},'):format(name,
      options.tolerance, work, dropout, options.decode and options.decode.pos or 0, index[loss],
      dy and index[dy] or -1, number, number, number, #list, #steps, #calls)
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

function Family:text()
  local references = sorted(self.references)
  return table.concat({
    ("// cases of %s, emitted by tests/ops/emit.lua."):format(self.name),
    '#include "runtime/kernel.h"',
    '#include "tests/ops/harness.h"\n',
    kernels.tile(BACKEND, self.isa),
    table.concat(self.texts, "\n"),
    "reference_fn " .. table.concat(references, "_reference, ") .. "_reference;\n",
    table.concat(self.tables, "\n"),
    ("\nconst struct op_case %s_cases[] = {"):format(self.name),
    table.concat(self.cases, "\n"),
    "};",
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

-- Every op is emitted in each of its forms: alone, in a store, and as the sampler's.
local function check_covered(covered)
  local missing = {}
  for _, name in ipairs(sorted(op.all)) do
    local definition = op.all[name]
    if not covered[name] then missing[#missing + 1] = name end
    if definition.decode and not covered[name .. " decode"] then missing[#missing + 1] = name .. " decode" end
    if definition.expr and not covered[name .. " fused"] then missing[#missing + 1] = name .. " fused" end
  end
  if #missing > 0 then
    error("tests/ops: no case has " .. table.concat(missing, ", ") .. "; add one to the op's case file", 0)
  end
end

local function main(isa_name, folder, bench)
  local isa = isas[isa_name] or error(("emit: no instruction set '%s'"):format(isa_name), 0)
  local covered, externs, rows = {}, {}, {}
  for i, name in ipairs(case_files()) do
    local family = new_family(name, isa, bench)
    require("tests.ops." .. name)(function(case_name, options, build)
      local ok, message = pcall(family.add, family, name .. " " .. case_name, options, build, covered)
      if not ok then
        error(("tests/ops/%s.lua: %s: %s"):format(name, case_name,
          type(message) == "table" and message.message or message), 0)
      end
    end)
    write_file(("%s/%s.c"):format(folder, name), family:text())
    externs[i] = ("extern const struct op_case %s_cases[];"):format(name)
    rows[i] = ('    {"%s", %s_cases, %d},'):format(name, name, #family.cases)
  end
  check_covered(covered)
  write_file(folder .. "/families.c", table.concat({
    "// The cases of every op, emitted by tests/ops/emit.lua.",
    '#include "tests/ops/harness.h"\n',
    table.concat(externs, "\n"),
    "\nconst struct family families[] = {",
    table.concat(rows, "\n"),
    "};",
    ("const int families_count = %d;"):format(#rows),
  }, "\n") .. "\n")
end

main(arg[1], arg[2], arg[3] == "--bench")
