-- What an op may declare, and the registry that finds ops by name in gen/ops/.
--
-- A file in gen/ops/ returns one op or a list of ops of one family. An op is a table:
--   name       its word in graphs, in kernels and in profilers
--   inputs     { { name, "N C" [, optional = true] }, ... }: shapes as letters, bound when appended
--   outputs    { { name, "N C" [, accumulate = true] [, type = "f32"] [, cpu = true] }, ... }:
--              accumulate adds to a parameter gradient; a type where it is not that of activations;
--              cpu: not on other backends
--   attrs      names and defaults of attributes; `false` means: must be given
--   derive     function(d, attrs): sets letters of outputs that no input has, checks the others
--   flops      function(d, attrs): floating-point operations of one call
--   backward   function(g, node, dy...): appends the backward ops; returns the gradient of each
--              input, in order (nil where there is none); parameters are accumulated, not returned
--   expr       a pointwise op: one C expression of its inputs' names, on vectors; no template
--   commutes   of a pointwise op: the first two inputs may be swapped
--   epilogue   of a kernel op: its store takes pointwise ops (see gen/passes/fuse.lua)
--   inplace    { output = input }: the output may have the input's memory where that is dead after
--   template   { file, function }: templates/BACKEND/file.c and the function in it
--   decode     the same, for the sampler's variant, where it has one
--   variant    function(target, d): the same, where it depends on the target; nil is `template`
--   product    of a matrix product: the names of its operands' roles in the template
--   common     a template function whose text kernels of the same sizes share
--   named_by   letters for the kernel's name, where not those of its operands
--   takes_model, takes_pos, scratch: the kernel is also given struct model (struct step_state on
--              CUDA), the sampler's position, or memory of its own for each thread
--   gives_weights  the sampler's kernel is also given where its weights are wanted, or NULL
--   workspace  on CUDA: function(d, target): floats of memory that the kernel wants while it runs
--   betas      on CUDA: the accumulating outputs do not all have the same first writer: each has a
--              beta of its own
--   prologue   on CUDA: its first input's load takes pointwise ops (see gen/passes/fuse.lua)
local op = {}

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

local function register(registry, definition)
  assert(not registry[definition.name], "two ops are named " .. definition.name)
  for _, list in ipairs({ definition.inputs, definition.outputs }) do
    for _, operand in ipairs(list) do operand.letters = shape_letters(operand[2]) end
  end
  definition.attrs = definition.attrs or {}
  definition.inplace = definition.inplace or {}
  registry[definition.name] = definition
end

op.all = {}
for _, family in ipairs(families()) do
  local loaded = require("gen.ops." .. family)
  if loaded.name then loaded = { loaded } end
  for _, definition in ipairs(loaded) do
    definition.family = family
    register(op.all, definition)
  end
end

return op
