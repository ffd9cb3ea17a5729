-- op: the fields of an op, and the registry that finds ops by name in gen/ops/. An unknown field, or one of another
-- type, is an error when the ops are loaded.
--
-- A file in gen/ops/ returns one op or a list of ops of one family. An op is a table:
--   name       its word in graphs, in kernels and in profilers
--   inputs     { { name, "N C" [, optional = true] }, ... }: shapes as letters, bound when appended
--   outputs    { { name, "N C" [, accumulate = true] [, type = "f32"] [, cpu = true] }, ... }:
--              accumulate: added to a parameter's gradient; type: if it is not that of activations; cpu:
--              not on other backends
--   attrs      names and defaults of attributes; `false` means: must be given
--   quiet      { ATTRIBUTE = true }: dumps leave it out at its default
--   derive     function(d, attrs): sets letters of outputs that no input has, checks the others
--   flops      function(d, attrs): floating-point operations of one call
--   backward   function(g, node, dy...): appends the backward ops; returns the gradient of each
--              input, in order (nil if there is none); parameters' gradients are accumulated, not returned
--   expr       a pointwise op: one C expression of its inputs' names, on vectors; no template
--   commutes   of a pointwise op: the first two inputs may be swapped
--   epilogue   of a kernel op: its store takes pointwise ops (see gen/passes/fuse.lua)
--   inplace    { output = input }: the first output may be written over that input (gen/ir/inplace.lua)
--   template   { file, function }: templates/BACKEND/file.c and the function in it
--   constants  function(d, attrs): a list of numbers, which the template writes as a table
--   decode     the same, for the sampler's variant, if it has one
--   variant    function(target, d, attrs): the same, if it depends on the target; nil means `template`. Its `header` is
--              included in the kernel's file
--   product    of a matrix product: the names of its operands' roles in the template; halves: its weight has as many
--              rows again, which are computed beside the first
--   store_of   { PRODUCT = op }: on the CPU, the op that takes its place and that of the product that makes its first
--              input (see gen/passes/fuse.lua)
--   common     a template function whose text kernels of the same sizes share
--   words      function(attrs): a list of words for the kernel's name, of attributes on which its text depends
--   named_by   letters for the kernel's name, if not those of its operands
--   takes_model, takes_pos, takes_runs, scratch: the kernel also gets struct model (struct step_state on CUDA), the
--              positions of a sampler's rows, its runs in place of the number of rows, or memory for each thread
--   by_run     its result has a row for each row that a sampler wants logits of, as have the results of what follows
--   state      function(d): the sizes of the memory that the op keeps from one call to the next; panel: how
--              many of its rows lie side by side there
--   gives_weights  the sampler's kernel also gets the memory for its attention weights, or NULL
--   workspace  on CUDA: function(d, target, attrs): floats of memory that the kernel needs while it runs
--   betas      the accumulating outputs may have different first writers, so each has its own beta
--              (gen/emit/call.lua)
--   prologue   on CUDA: its first input's load takes pointwise ops (see gen/passes/fuse.lua)
--
-- Traits are what passes and emission need to know about an op besides its shapes; they test no names:
--   activation   the function of a feed-forward layer, which recompute=gelu recomputes
--   long         of a pointwise op: its C is long, so that a store with it is better a separate function
--   mask         of a pointwise op: it draws a dropout mask, for its attribute `site`
--   gemm         of a pointwise op: its role in the epilogue of cuBLASLt's products, "bias", "residual",
--                "activation" or "activation_gradient"
--   loss         "rows": each row's loss, where the backward pass begins; "mean": their mean; "gradient"
--   weight_gradient, bias_gradient   the gradient of a product's weight, of a bias: the first's kernel can sum both
--   writes_model it adds to struct model (struct step_state)
--   decode_only  only in the sampler
--   own_row      function(d): whether, of a call's only row, the product that reads its result does its work; of that
--                product, whether it does so
--   in_bytes     it makes or takes numbers in blocks of bytes: tests/ops/small/ compares it, not the op harness
--   rounds       how often its kernel rounds numbers to the type of activations on the way to its result
--   factors      its products are none with a weight, and on a CPU round their factors as those with a weight do
-- Traits of an operand:
--   table        of an input: rows of it are looked up
--   sorted       of an input, on CUDA: the kernel also reads the places of its elements in order of their values
--                (gpu->order)
--   cancels      of an output: sums of numbers that cancel, so that its relative error is larger than theirs
--   in_name      of an output that a node may lack: the kernel's name has it if it is there
local nearest = require("gen.base.nearest")

local op = {}

-- The type of each field.
local FIELDS = {
  name = "string", inputs = "table", outputs = "table", attrs = "table", quiet = "table",
  derive = "function", flops = "function",
  backward = "function", expr = "string", commutes = "boolean", epilogue = "boolean", inplace = "table",
  store_of = "table",
  template = "table", decode = "table", variant = "function", product = "table", common = "string",
  named_by = "table", words = "function", takes_model = "boolean", takes_pos = "boolean",
  takes_runs = "boolean", by_run = "boolean", scratch = "boolean",
  gives_weights = "boolean", workspace = "function", constants = "function", betas = "boolean", prologue = "boolean",
  activation = "boolean", long = "boolean",
  mask = "boolean", gemm = "string", loss = "string", weight_gradient = "boolean", bias_gradient = "boolean",
  writes_model = "boolean", decode_only = "boolean",
  in_bytes = "boolean", own_row = "function", state = "function", panel = "number",
  rounds = "number", factors = "boolean",
}
local WANTED = { "name", "inputs", "outputs", "flops" }
local OPERAND = { optional = "boolean", accumulate = "boolean", type = "string", cpu = "boolean", table = "boolean",
  sorted = "boolean", cancels = "boolean", in_name = "boolean" }

local function sorted_names(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function fail(where, format, ...)
  error({ code = 70, message = where .. ": " .. format:format(...) }, 0)
end

-- Checks that each field of `given` is one of `fields`, and of its type.
local function check_fields(where, given, fields)
  for _, field in ipairs(sorted_names(given)) do
    local wanted = fields[field]
    if not wanted then
      local meant = nearest(field, sorted_names(fields))
      fail(where, "unknown field '%s'%s", field, meant and "; did you mean '" .. meant .. "'?" or "")
    end
    if type(given[field]) ~= wanted then
      fail(where, "%s is a %s, not a %s", field, type(given[field]), wanted)
    end
  end
end

-- Checks the operands of a list, and adds their names to `names`.
local function check_operands(where, list, names)
  for i, operand in ipairs(list) do
    local name, shape = operand[1], operand[2]
    if type(name) ~= "string" or type(shape) ~= "string" then fail(where, "operand %d is not { name, shape }", i) end
    if names[name] then fail(where, "two operands are named '%s'", name) end
    names[name] = true
    local options = {}
    for key, value in pairs(operand) do
      if key ~= 1 and key ~= 2 then options[tostring(key)] = value end
    end
    check_fields(where .. ": " .. name, options, OPERAND)
  end
end

-- Raises { code, message } if `definition`, in the file at `path`, is not an op.
function op.check(definition, path)
  if type(definition) ~= "table" then fail(path, "an op is a table, not a %s", type(definition)) end
  local where = ("%s: %s"):format(path, tostring(definition.name or "an op without a name"))
  check_fields(where, definition, FIELDS)
  for _, field in ipairs(WANTED) do
    if definition[field] == nil then fail(where, "has no %s", field) end
  end
  if not definition.expr and not definition.template then fail(where, "has neither an expr nor a template") end
  local inputs, outputs = {}, {}
  check_operands(where, definition.inputs, inputs)
  check_operands(where, definition.outputs, outputs)
  local first = definition.outputs[1] and definition.outputs[1][1]
  for output, input in pairs(definition.inplace or {}) do
    if not outputs[output] then fail(where, "inplace: no output is named '%s'", output) end
    if output ~= first then fail(where, "inplace: '%s' is not the first output", output) end
    if not inputs[input] then fail(where, "inplace: no input is named '%s'", tostring(input)) end
  end
end

-- The families: the files of gen/ops/, in the order of their names.
local function families()
  local list = assert(io.popen("LC_ALL=C ls gen/ops/"))
  local names = {}
  for file in list:lines() do names[#names + 1] = file:match("^(.+)%.lua$") end
  list:close()
  return names
end

local function shape_letters(text)
  local letters = {}
  for letter in text:gmatch("%S+") do letters[#letters + 1] = letter end
  return letters
end

local function register(registry, definition, path)
  op.check(definition, path)
  if registry[definition.name] then fail(path, "another op is named %s", definition.name) end
  for _, list in ipairs({ definition.inputs, definition.outputs }) do
    for _, operand in ipairs(list) do operand.letters = shape_letters(operand[2]) end
  end
  definition.attrs = definition.attrs or {}
  definition.inplace = definition.inplace or {}
  registry[definition.name] = definition
end

local all

-- All ops by name: read when they are first asked for, within the command, which says in one line what is wrong.
function op.all()
  if all then return all end
  local registry = {}
  for _, family in ipairs(families()) do
    local path = ("gen/ops/%s.lua"):format(family)
    local ok, loaded = pcall(require, "gen.ops." .. family)
    if not ok then error({ code = 70, message = (tostring(loaded):gsub("\n%s*", " ")) }, 0) end
    if type(loaded) ~= "table" then fail(path, "returns a %s, not an op or a list of ops", type(loaded)) end
    for _, definition in ipairs(#loaded > 0 and loaded or { loaded }) do
      register(registry, definition, path)
      definition.family = family
    end
  end
  all = registry
  return all
end

return op
