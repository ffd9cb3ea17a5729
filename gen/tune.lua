-- tune: both ends of `make tune` on a CPU: emits a kernel for every candidate tiling of every product of a config, and
-- reads their times, which the program of runtime/programs/tune.c measures.
--
--   lua5.4 gen/tune.lua --emit FOLDER   [--build build] CONFIG.lua ... [key=value ...]
--   lua5.4 gen/tune.lua --time PROGRAM  [--build build] CONFIG.lua ... [key=value ...]
--
-- The first writes FOLDER/NAME.c for each product and FOLDER/shapes.c; the second runs the program, prints a line
-- for each product, and puts the fastest into build/tune/PROCESSOR-ISA.lua (gen/passes/tiling.lua).
package.path = "./?.lua;" .. package.path
local pipeline = require("gen.passes.pipeline")
local call = require("gen.emit.call")
local command = require("gen.base.command")
local config = require("gen.config.load")
local files = require("gen.base.files")
local graph = require("gen.ir.graph")
local kernels = require("gen.emit.kernels")
local layout = require("gen.passes.layout")
local target = require("gen.ir.target")
local tiling = require("gen.passes.tiling")

local NOISE = 0.97 -- a candidate must take less than this share of the time of the model's choice

local fail = command.fail

-- ---- one product's kernels ----------------------------------------------------------------------

-- The node of a graph of this product alone, for a target.
local function node_of(t, s)
  local g = graph.new()
  g.target = t
  local inputs = {}
  for i, operand in ipairs(s.op.inputs) do
    local dims = {}
    for axis, letter in ipairs(operand.letters) do dims[axis] = s.dims[letter] end
    local append = operand[1] == "w" and g.param or g.tensor
    inputs[i] = not operand.optional and append(g, operand[1], dims)
  end
  local gradient = s.kind == "gradient" and { g:param_grad(g:param("w", { s.rows, s.cols })) }
  g:append(s.op.name, gradient or "product", inputs)
  layout.run(g)
  return g.nodes[1]
end

-- The arguments with which a wrapper, a tune_fn, calls a kernel: a and b are the factors; out has room for all else,
-- `floats` in all.
local function arguments_of(t, node)
  local place, floats = { [node.inputs[1]] = "a", [node.inputs[2]] = "b" }, 0
  graph.each_tensor(node, function(tensor)
    if not place[tensor] then
      place[tensor] = floats == 0 and "out" or ("out + %d"):format(floats)
      floats = floats + target.floats(t, tensor)
    end
  end)
  return { operand = function(argument) return place[argument.operand.tensor] end, beta = "false", thread = "thread",
    threads = "threads", scratch = "scratch" }, floats
end

local function shape_text(t, s)
  local texts, names, scratch = {}, {}, {}
  local node = node_of(t, s)
  local has_scratch = call.has_scratch(node, t)
  local given, out = arguments_of(t, node)
  local a, b = target.floats(t, node.inputs[1]), target.floats(t, node.inputs[2])
  for i, choice in ipairs(tiling.candidates(t, s)) do
    local own = setmetatable({ tilings = { [s.name] = choice } }, { __index = t })
    local k = kernels.text(node, own, false)
    local name = ("%s_%d"):format(k.name, i)
    names[i] = ("run_%d"):format(i)
    texts[i] = ("// %s\n%s\n%s"):format(tiling.text(s, choice), k.text:gsub("%f[%w_]" .. k.name, name),
      ("static void %s(float *out, const float *a, const void *b, void *scratch, int thread,\n" ..
        "    int threads) {\n    (void)scratch;\n    %s;\n}\n"):format(names[i], call.text(k, given, name)))
    if has_scratch then scratch[i] = ("struct %s_scratch s%d;"):format(name, i) end
  end
  return table.concat({
    ("// %s, cut in %d ways, emitted by gen/tune.lua."):format(s.name, #texts),
    '#include "runtime/kernel/kernel.h"',
    ('#include "runtime/kernel/%s.h"'):format(t.products == "bf16" and "bf16" or "panel"),
    '#include "runtime/kernel/tune.h"\n',
    kernels.tile(t),
    table.concat(texts, "\n"),
    has_scratch and ("union scratch {\n    %s\n};"):format(table.concat(scratch, "\n    ")) or "",
    ("static tune_fn *const ways[] = {%s};"):format(table.concat(names, ", ")),
    ('const struct tune_shape tune_%s = {"%s", {%d, %d, %d}, %s, ways, %d};'):format(s.name, s.name, out, a, b,
      has_scratch and "sizeof(union scratch)" or "0", #names),
  }, "\n") .. "\n"
end

-- ---- the commands -------------------------------------------------------------------------------

local function emit(g, shapes, folder)
  local externs, rows = {}, {}
  for i, s in ipairs(shapes) do
    files.write(("%s/%s.c"):format(folder, s.name), shape_text(g.target, s))
    externs[i] = ("extern const struct tune_shape tune_%s;"):format(s.name)
    rows[i] = ("    &tune_%s,"):format(s.name)
  end
  rows[#rows + 1] = "    NULL,"
  files.write(folder .. "/shapes.c", table.concat({
    "// The products of a config, emitted by gen/tune.lua.",
    '#include "runtime/kernel/tune.h"\n',
    table.concat(externs, "\n"),
    "\nconst struct tune_shape *const tune_shapes[] = {",
    table.concat(rows, "\n"),
    "};",
  }, "\n") .. "\n")
  local names = {}
  for i, s in ipairs(shapes) do names[i] = s.name end
  files.write(folder .. "/shapes.mk", "TUNE_SHAPES := shapes " .. table.concat(names, " ") .. "\n")
end

-- Reads the program's lines, "NAME SECONDS SECONDS ...", as they come.
local function time(g, shapes, program, path)
  local entries = tiling.read(path) or {}
  local pipe = io.popen(files.quoted(program), "r")
  print(("%-34s %10s %8s %8s   %s"):format("product, in GFLOP/s", "by model", "best", "gain", "as"))
  local read = 0
  for line in pipe:lines() do
    read = read + 1
    local s = shapes[read]
    local list, best, seconds = s and tiling.candidates(g.target, s), 1, {}
    for word in line:gmatch(" ([%d.e+-]+)") do seconds[#seconds + 1] = tonumber(word) end
    if not s or line:match("^%S+") ~= s.name or #seconds ~= #list then
      fail(70, ("%s: '%s' is not the line that was expected"):format(program, line))
    end
    for i in ipairs(list) do
      if seconds[i] < seconds[best] and seconds[i] < seconds[1] * NOISE then best = i end
    end
    entries[s.name] = tiling.text(s, list[best])
    local gflop = 2e-9 * s.rows * s.inner * s.cols
    print(("%-34s %10.1f %8.1f %7.1f%%   %s"):format(s.name, gflop / seconds[1], gflop / seconds[best],
      100 * (seconds[1] / seconds[best] - 1), best == 1 and "the model" or entries[s.name]))
    io.stdout:flush()
  end
  local ok, _, code = pipe:close()
  if not ok or read < #shapes then
    fail(code or 70, ("%s: ended early; nothing is remembered"):format(program))
  end
  files.write(path, tiling.file_text(entries))
  print("remembered: " .. path)
end

local function main()
  local parser = command.parser("gen/tune.lua", "Times how a config's products can be cut.")
  parser:option("--build", "the folder of builds", "build")
  parser:option("--emit", "the folder that kernels are written to")
  parser:option("--time", "the program to run")
  local args = command.arguments("gen/tune.lua", parser)
  local configs, assignments = command.split(args.words)
  local c = config.load(configs, assignments, { backend = "cpu" })
  if not c.specialise then
    fail(64, "make tune: with specialise=false there are no tilings to choose: all sizes share one; leave it out")
  end
  local g = pipeline.train(c, function() end)
  local shapes = tiling.products(g)
  if args.emit then emit(g, shapes, args.emit) end
  if args.time then time(g, shapes, args.time, tiling.path(args.build .. "/tune", c.isa, g.target.products)) end
end

command.run(main)
