-- call: the calling convention, a kernel's arguments and their order. Signatures of kernels (k.sign, k.sign_part and
-- k.sign_launch in templates) and calls of them (in emitted programs, the op harness and `make tune`) are all made from
-- one list, call.arguments. In this order, those that a kernel has:
--
--   gpu          struct gpu *gpu: on CUDA, for the function that launches the kernel
--   sizes        const struct sizes *sizes: with specialise=false, for the kernel and for its parts (unspecialise.lua)
--   model        struct model *m, on CUDA struct step_state *state: if the op takes_model or draws a mask; const unless
--                it writes_model
--   operand      float *y, const float *x, ...: outputs; values that a fused load or store keeps; inputs; operands of
--                fused ops. Those that are only read are const
--   site         uint32_t site: the number of the dropout mask
--   beta         bool first, on CUDA float beta: for outputs that are added to. True, or 0, if there is nothing to add
--                to yet; else false, or 1. With the op's `betas` each such output has its own: first2, beta2
--   workspace    float *workspace: on CUDA, if layout.lua gave the node one
--   scratch      void *scratch: in a trainer on the CPU, this thread's memory, if the op has `scratch` or is a product
--                that packs its factors in bfloat16
--   weights, tokens   float *weights, int tokens: in a sampler, but not a microcontroller's, if the op gives_weights:
--                the memory for them (H, tokens, tokens), or NULL
--   pos          const int *pos: in a sampler, the position of each row in its text, if the op takes_pos
--   rows         int rows: in a sampler, the rows of this call
--   runs, count  const struct sampler_run *runs, int count: in their place, the rows of each text, if the op takes_runs
--   thread, threads   int thread, int threads: on the CPU
--
-- A kernel's helper functions, its parts, get the arguments from model to workspace. A kernel knows nothing of row
-- blocks: its caller passes addresses of the row block's first row. The macro RUN of an emitted program adds gpu,
-- thread and threads.
--
-- Callers give a value for each kind (call.text): gen/emit/program.lua, tests/ops/emit.lua, gen/tune.lua. A new kind is
-- one line in call.arguments, and a value there; if a caller has none, the error names it. Depends on nothing of this
-- room.
local graph = require("gen.ir.graph")

local call = {}

local c_types = {
  cpu = { f32 = "float", bf16 = "uint16_t", i32 = "int32_t", bfloat16 = "uint8_t", q8_0 = "uint8_t", q4_0 = "uint8_t" },
  cuda = { f32 = "float", i32 = "int32_t", bf16 = "elem", f16 = "elem" },
}

-- The C type of a tensor's elements.
function call.c_type(t, tensor)
  return c_types[t.backend][tensor.type]
end

-- ---- the operands -------------------------------------------------------------------------------

-- A node's operands in order, { name, tensor, const }; and for each step of its prologue and epilogue
-- the names of its operands: { name } of a kept value, or the op's names -> names.
function call.operands(node)
  local list, taken = {}, {}
  local function add(name, tensor, const)
    local unique, n = name, 1
    while taken[unique] do
      n = n + 1
      unique = name .. n
    end
    taken[unique] = true
    list[#list + 1] = { name = unique, tensor = tensor, const = const }
    return unique
  end

  if node.op.takes_model then taken.m = true end
  for i, operand in ipairs(node.op.outputs) do
    if node.outputs[i] then add(operand[1], node.outputs[i], false) end
  end
  local step_names = {}
  for step in graph.steps(node) do
    if step.keep then step_names[step] = { add("kept", step.keep, false) } end
  end
  for i, operand in ipairs(node.op.inputs) do
    local tensor = node.inputs[i]
    if tensor then add(operand[1], tensor, tensor.kind ~= "state") end
  end
  for step in graph.steps(node) do
    if step.op then
      step_names[step] = {}
      local o = 0
      for i, operand in ipairs(step.op.inputs) do
        if i ~= step.streamed then
          o = o + 1
          local name = i == 1 and step.op.inputs[2][1] or operand[1] -- swapped: "addend" either way
          step_names[step][operand[1]] = add(name, step.operands[o], true)
        end
      end
    end
  end
  return list, step_names
end

-- How many betas the kernel has.
local function count_betas(node, cuda)
  local count = 0
  for i, operand in ipairs(node.op.outputs) do
    if operand.accumulate and node.outputs[i] and (node.op.betas or count == 0) then count = count + 1 end
  end
  return cuda and node.op.writes_model and 1 or count
end

-- Whether the kernel gets this thread's memory.
function call.has_scratch(node, t, decode)
  if decode or t.backend == "cuda" then return false end
  local product = node.op.product or node.op.weight_gradient
  return node.op.scratch or product and t.products == "bf16" or false
end

-- ---- the list -----------------------------------------------------------------------------------

call.SIZES = "const struct sizes *sizes" -- unspecialise.lua writes it into heads

-- A kernel's arguments: { kind, name, c: the parameter in C, number: among its kind, operand, part: its parts get it
-- too }. k has op, node, target, specialise, decode, site and operands.
function call.arguments(k)
  local list, count = {}, {}
  local op, cuda, decode = k.op, k.target.backend == "cuda", k.decode
  local function add(kind, type, name, part, operand)
    count[kind] = (count[kind] or 0) + 1
    list[#list + 1] = { kind = kind, name = name, c = type .. name, part = part, number = count[kind],
      operand = operand }
  end

  if cuda then add("gpu", "struct gpu *", "gpu") end
  if not k.specialise then list[#list + 1] = { kind = "sizes", name = "sizes", c = call.SIZES, number = 1 } end
  if op.takes_model or k.site then
    add("model", (op.writes_model and "" or "const ") .. (cuda and "struct step_state *" or "struct model *"),
      cuda and "state" or "m", true)
  end
  for _, operand in ipairs(k.operands) do
    local const = operand.const and "const " or ""
    add("operand", const .. call.c_type(k.target, operand.tensor) .. " *", operand.name, true, operand)
  end
  if k.site then add("site", "uint32_t ", "site", true) end
  for i = 1, count_betas(k.node, cuda) do
    add("beta", cuda and "float " or "bool ", (cuda and "beta" or "first") .. (i == 1 and "" or i), true)
  end
  if cuda and k.node.workspace then add("workspace", "float *", "workspace", true) end
  if cuda then return list end
  if call.has_scratch(k.node, k.target, decode) then add("scratch", "void *", "scratch") end
  if op.gives_weights and decode and not k.target.scalar then
    add("weights", "float *", "weights")
    add("tokens", "int ", "tokens")
  end
  if op.takes_pos and decode then add("pos", "const int *", "pos") end
  if decode and op.takes_runs then
    add("runs", "const struct sampler_run *", "runs")
    add("count", "int ", "count")
  elseif decode then
    add("rows", "int ", "rows")
  end
  add("thread", "int ", "thread")
  add("threads", "int ", "threads")
  return list
end

-- ---- signatures ---------------------------------------------------------------------------------

local function field_of(list, field, wanted)
  local words = {}
  for _, argument in ipairs(list) do
    if wanted(argument) then words[#words + 1] = argument[field] end
  end
  return table.concat(words, ", ")
end

local function in_parts(argument) return argument.part end
local function in_kernel(argument) return argument.kind ~= "gpu" and argument.kind ~= "sizes" end
local function in_any() return true end

-- The function that a call names: on CUDA the one that launches the kernel.
function call.entry(t, name)
  return t.backend == "cuda" and name .. "_launch" or name
end

-- Gives k the functions with which templates write signatures and calls of parts:
--   sign(head, name)                the kernel's signature; on CUDA, that of each kernel that it consists of
--   sign_part(head, name [, extra]) a part's: the arguments of parts, then more parameters
--   sign_launch()                   on CUDA, that of the function that launches it
--   arg_names                       the arguments with which a part is called
--   all_names                       the arguments of the kernel alone
function call.bind(k)
  local list = call.arguments(k)
  k.arguments, k.arg_names = list, field_of(list, "name", in_parts)
  k.all_names = field_of(list, "name", in_kernel)
  function k.sign(head, name)
    return ("%s %s(%s)"):format(head, name, field_of(list, "c", in_kernel))
  end
  function k.sign_part(head, name, extra)
    return ("%s %s(%s%s)"):format(head, name, field_of(list, "c", in_parts), extra and ", " .. extra or "")
  end
  function k.sign_launch()
    return ("static void %s(%s)"):format(call.entry(k.target, k.name), field_of(list, "c", in_any))
  end
end

-- ---- calls --------------------------------------------------------------------------------------

-- The values of a call: give[kind] is a text, or a function(argument) that returns one.
local function values(list, give, skip)
  local words = {}
  for _, argument in ipairs(list) do
    local value = give[argument.kind]
    if not skip[argument.kind] then
      if type(value) == "function" then value = value(argument) end
      if not value then error(("no value for a kernel's argument '%s'"):format(argument.name), 0) end
      words[#words + 1] = value
    end
  end
  return table.concat(words, ", ")
end

-- A call of the kernel k, which may have another name in the text.
function call.text(k, give, name)
  return ("%s(%s)"):format(call.entry(k.target, name or k.name), values(k.arguments, give, {}))
end

-- Values that are the arguments' own names.
call.NAMES = setmetatable({}, { __index = function() return function(argument) return argument.name end end })

-- The macro RUN, with which an emitted program calls kernels: it adds the arguments that all calls share.
call.RUN = {
  train = "kernel(__VA_ARGS__, thread, threads)",
  sample = "kernel(__VA_ARGS__, thread, s->threads)",
  cuda = "kernel##_launch(gpu, ##__VA_ARGS__)",
}
local in_run = { gpu = true, thread = true, threads = true }

-- A call through RUN.
function call.run_text(k, give)
  local words = values(k.arguments, give, in_run)
  return ("RUN(%s)"):format(words == "" and k.name or k.name .. ", " .. words)
end

-- ---- CUDA's kernels that belong to no node --------------------------------------------------------

-- They are launched with gpu, which has their operands. For a kernel with more arguments: its parameters,
-- and their values; or its parameters are k.more.
local whole = {
  cast = { "elem *packed, const float *params", "(elem *)gpu->packed, gpu->params" },
}

local function with_more(first, name, field)
  return whole[name] and first .. ", " .. whole[name][field] or first
end

function call.bind_whole(k)
  function k.sign_launch()
    local first = k.more and "struct gpu *gpu, " .. k.more or "struct gpu *gpu"
    return ("static void %s_launch(%s)"):format(k.name, with_more(first, k.name, 1))
  end
end

function call.whole_text(name)
  return ("%s_launch(%s)"):format(name, with_more("gpu", name, 2))
end

function call.run_whole(name)
  return ("RUN(%s)"):format(with_more(name, name, 2))
end

return call
