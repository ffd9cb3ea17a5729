-- test_call: a kernel's arguments are one list (gen/emit/call.lua). In emitted programs the signature of every kernel
-- is compared with each of its calls, argument by argument; signatures of each kind of kernel with those stated here.
local check = require "tests.gen.check"
local call = require "gen.emit.call"
local config = require "gen.config.load"
local emit = require "gen.emit.frames"
local hash = require "gen.config.hash"
local kernels = require "gen.emit.kernels"
local pipeline = require "gen.passes.pipeline"

local function no_dump() end

-- The graphs of a config and their emitted text: the trainer's and the sampler's.
local function build(name, backend, ...)
  local c = config.load({ ("tests/golden/%s.lua"):format(name) }, { ... }, { backend = backend })
  c.baked_text = hash.baked_text(c)
  local trainer, sampler = pipeline.train(c, no_dump), pipeline.sample(c, no_dump)
  local facts = emit.facts(trainer, c, hash.of(c), { "this test" })
  local text = backend == "cuda" and emit.train_cu(trainer, c, facts) or emit.train_c(trainer, facts)
  return { trainer = trainer, sampler = sampler, train = text, sample = emit.sample_c(sampler, facts) }
end

-- ---- reading emitted C ----

-- The parts of a list between commas outside of brackets.
local function parts_of(list)
  local parts, depth, from = {}, 0, 1
  for i = 1, #list + 1 do
    local c = list:sub(i, i)
    if c:find("[({%[]") then depth = depth + 1 elseif c:find("[)}%]]") then depth = depth - 1 end
    if depth == 0 and (c == "," or c == "") then
      parts[#parts + 1] = list:sub(from, i - 1):gsub("%s+", " "):match("^ ?(.-) ?$")
      from = i + 1
    end
  end
  return parts
end

-- The functions that a text defines: name to parameters.
local function definitions(text)
  local list = {}
  for name, params in text:gmatch("\n%a[^\n(]-([%w_]+)(%b()) {\n") do list[name] = parts_of(params:sub(2, -2)) end
  return list
end

-- Expands RUN with a kernel and its arguments: the function that is called, and all its arguments.
local function expand(text, words)
  local fn, args = text:match("#define RUN%(.-\n%s+(kernel[#%w_]*)(%b());")
  local given = table.concat(words, ", ", 2)
  args = args:gsub(", ##__VA_ARGS__", given == "" and "" or ", __VA_ARGS__")
  args = args:gsub("__VA_ARGS__", function() return given end)
  return fn:gsub("##", ""):gsub("^kernel", words[1]), parts_of(args:sub(2, -2))
end

-- Patterns of the values of parameters; operands are buffers of the program.
local looks = {
  ["struct gpu *gpu"] = "^gpu$",
  ["const struct sizes *sizes"] = "^&%(struct sizes%){%.",
  ["struct model *m"] = "^m$",
  ["struct step_state *state"] = "^gpu%->state$",
  ["uint32_t site"] = { "^%d+u$", "^%(uint32_t%)%(%d+ %+ l %* %d+%)$" },
  ["bool first"] = { "^m%->first$", "^m%->first && row == 0$", "^false$" },
  ["float beta"] = { "^gpu%->beta$", "^row == 0 %? gpu%->beta : 1%.0f$", "^1%.0f$" },
  ["float *workspace"] = "_workspace",
  ["void *scratch"] = "^scratch$",
  ["float *weights"] = "^sampler_layer_weights%(s, l%)$",
  ["int tokens"] = "^s%->weights_tokens$",
  ["const int *pos"] = "^batch%->pos$",
  ["int rows"] = { "^batch%->rows$", "^batch%->asks$" },
  ["const struct sampler_run *runs"] = { "^batch%->runs$", "^batch%->asked$" },
  ["int count"] = { "^batch%->count$", "^batch%->asks$" },
  ["int thread"] = "^thread$",
  ["int threads"] = { "^threads$", "^s%->threads$" },
}
looks["const struct model *m"] = looks["struct model *m"]
looks["const struct step_state *state"] = looks["struct step_state *state"]
looks["bool first2"], looks["float beta2"] = looks["bool first"], looks["float beta"]
local buffer = { "^[%a_][%w_]*$", "^[%a_][%w_]* %+ [%w_() *]*row[%w_ *]*$", "^m%->%w+$", "^gpu%->%w+$",
  "^m%->%w+ %+ row$", "^batch%->%w+$", "^gpu%->%w+ %+ row$", "^%(elem %*%)gpu%->packed$" }

local function fits(parameter, value)
  local wanted = looks[parameter] or parameter:find("*", 1, true) and buffer or {}
  for _, pattern in ipairs(type(wanted) == "table" and wanted or { wanted }) do
    -- No operand may get the value of another parameter.
    local own = wanted == buffer and (value == "scratch" or value == "gpu->state" or value == "m")
    if value:find(pattern) and not own then return true end
  end
  return false
end

-- The errors in an emitted program, and the number of its calls.
local function problems(text)
  local list, heads, count = {}, definitions(text), 0
  local function wrong(format, ...) list[#list + 1] = format:format(...) end
  for args in text:gmatch("\n *RUN(%b());") do
    local name, given = expand(text, parts_of(args:sub(2, -2)))
    local params = heads[name]
    count = count + 1
    if not params then
      wrong("%s is called, but not defined", name)
    elseif #params ~= #given then
      wrong("%s has %d parameters, and is given %d", name, #params, #given)
    else
      for i, parameter in ipairs(params) do
        if not fits(parameter, given[i]) then wrong("%s: '%s' is given '%s'", name, parameter, given[i]) end
      end
    end
  end
  return list, count
end

local function must_fit(text, least)
  local list, count = problems(text)
  if #list > 0 then error(table.concat(list, "\n"), 0) end
  if count < least then error(("only %d calls"):format(count), 0) end
end

local tiny = build("tiny", "cpu")
local unspecialised = build("tiny", "cpu", "specialise=false")
local cuda = build("cuda", "cuda")

check.test("calls in emitted programs match their kernels' signatures", function()
  must_fit(tiny.train, 25)
  must_fit(tiny.sample, 10)
  must_fit(unspecialised.train, 25)
  must_fit(build("plain", "cpu").train, 20) -- row blocks
  must_fit(build("plain", "cpu", "specialise=false", "norm=rmsnorm").train, 20)
  must_fit(cuda.train, 30)
  must_fit(build("cuda", "cuda", "dtype=float32", "norm=rmsnorm", "bias=false").train, 20)
  must_fit(build("plain", "cuda", "attention=hopper").train, 20)
end)

-- The first error if `from` is replaced by `to` in a text.
local function planted(text, from, to)
  local at, last = text:find(from, 1, true)
  assert(at, from)
  return problems(text:sub(1, at - 1) .. to .. text:sub(last + 1))[1]
end

check.test("planted errors are found", function()
  check.equal(planted(tiny.sample, "const int *pos, int rows, int thread",
    "int rows, const int *pos, int thread"),
    "embed_decode_6x17x10x6: 'int rows' is given 'batch->pos'")
  check.equal(planted(tiny.train, "RUN(mean_loss_18, m, losses, m->targets)", "RUN(mean_loss_18, losses, m->targets)"),
    "mean_loss_18 has 5 parameters, and is given 4")
  check.equal(planted(tiny.train, "m->targets);", "m->targets, scratch);"),
    "cross_entropy_18x17 has 5 parameters, and is given 6")
  check.equal(planted(tiny.train, "kernel(__VA_ARGS__, thread, threads)", "kernel(__VA_ARGS__, threads, thread)"),
    "layernorm_18x10: 'int thread' is given 'threads'")
  check.equal(planted(unspecialised.train, "(const struct sizes *sizes, const struct model *m",
    "(const struct model *m, const struct sizes *sizes"),
    "embed_any_dropout: 'const struct model *m' is given '&(struct sizes){.N = 18, .T = 6, .C = 10, .C_LD = 16, "
    .. ".V = 17, .V_LD = 48}'")
  check.equal(planted(cuda.train, "_launch(struct gpu *gpu, const struct step_state *state,",
    "_launch(const struct step_state *state, struct gpu *gpu,"),
    "embed_48x65x36x24_dropout_launch: 'const struct step_state *state' is given 'gpu'")
end)

-- ---- each kind of kernel ----

-- The names of a signature's parameters, which are those of a call with call.NAMES.
local function names_of(g, op_name, like)
  for _, node in ipairs(g.nodes) do
    local k = node.op.name == op_name and kernels.text(node, g.target, g.decode ~= nil)
    if k and k.name:find(like or "") then
      local words = call.text(k, call.NAMES)
      local name, args = words:match("^([%w_]+)(%b())$")
      local names = definitions("\n" .. k.text)[name]
      for i, parameter in ipairs(names) do names[i] = parameter:match("[%w_]+$") end
      check.equal(table.concat(names, " "), table.concat(parts_of(args:sub(2, -2)), " "), k.name)
      return table.concat(names, " ")
    end
  end
  error("no kernel " .. op_name, 0)
end

local function heads_are(what, g, wanted)
  check.test("signatures of " .. what, function()
    for _, case in ipairs(wanted) do check.equal(names_of(g, case[1], case[3]), case[2], case[1]) end
  end)
end

heads_are("a trainer on the CPU", tiny.trainer, {
  { "embed", "m y tokens wte wpe site thread threads" },
  { "matmul", "m y x w bias addend site thread threads", "dropout_add" },
  { "matmul", "y kept x w bias thread threads", "keep" },
  { "attention", "m y lse qkv site scratch thread threads" },
  { "matmul_dw", "dw dbias dy x first first2 thread threads", "dbias" },
  { "layernorm_backward", "m dx dscale dshift partial kept dy x scale mean rstd addend site first thread threads",
    "add_keep" },
  { "mean_loss", "m losses targets thread threads" },
})

heads_are("a kernel that takes its sizes", unspecialised.trainer, {
  { "embed", "sizes m y tokens wte wpe site thread threads" },
  { "matmul_dw", "sizes dw dbias dy x first first2 thread threads", "dbias" },
  { "attention", "sizes m y lse qkv site scratch thread threads" },
  { "cross_entropy", "sizes losses logits targets thread threads" },
})

heads_are("a trainer on CUDA", cuda.trainer, {
  { "embed", "gpu state y tokens wte wpe site" },
  { "layernorm", "gpu state y mean rstd kept x scale shift addend site", "of_dropout" },
  { "matmul", "gpu y kept x w bias", "keep" },
  { "embed_backward", "gpu dwte dwpe dy tokens beta beta2 workspace" },
  { "bias_grad", "gpu dbias dy beta workspace" },
  { "mean_loss", "gpu state losses targets beta" },
})

heads_are("a sampler", tiny.sampler, {
  { "embed", "y tokens wte wpe pos rows thread threads" },
  { "layernorm", "y x scale shift rows thread threads" },
  { "attention_decode", "y qkv cache weights tokens runs count thread threads" },
  { "matmul", "y x w bias addend rows thread threads", "bias_add" },
  { "last_row", "y x runs count thread threads" },
})

check.test("an argument without a value is named", function()
  local k = kernels.text(tiny.trainer.nodes[1], tiny.trainer.target)
  local ok, message = pcall(call.text, k, { model = "m", operand = call.NAMES.operand, thread = "0", threads = "1" })
  check.equal(ok, false)
  check.equal(message, "no value for a kernel's argument 'site'")
end)

check.finish()
