-- frames: the files of a build from their frames in templates/: model.h, train.c or train.cu, sample.c, buckets.c.
-- Depends on the other files of this room.
local buckets = require("gen.emit.buckets")
local call = require("gen.emit.call")
local isas = require("gen.ir.isa")
local kernels = require("gen.emit.kernels")
local literal = require("gen.emit.literal")
local muon = require("gen.emit.muon")
local params = require("gen.emit.params")
local program = require("gen.emit.program")
local sizes = require("gen.emit.sizes")
local template = require("gen.emit.template")
local wrap = require("gen.emit.wrap")

local emit = {}

local function frame(path, k)
  return wrap.text(template.load(path)[path:match("([%w_]+)%.%w+$")](k))
end

local function mebibytes(floats)
  return ("%.1f MiB"):format(floats * 4 / 2 ^ 20)
end

local function flops_of_step(g)
  local total = 0
  for _, node in ipairs(g.nodes) do
    if node.phase ~= "loss" then
      total = total + kernels.describe(node, g.target, false).flops * (node.row_block and node.row_block.count or 1)
    end
  end
  return total
end

-- Bytes that an update of so many floats of a device reads and writes: for the norm, and for the rest.
local function update_bytes(c, floats, half)
  local moments = c.optimizer == "sgd" and 0 or 2
  return 4 * floats, (12 + 8 * moments + (half and 2 or 0)) * floats
end

-- The facts about the model in model.h, train.c, train.cu and sample.c.
function emit.facts(g, c, hash, command)
  local entries = params.table(g, c)
  for _, entry in ipairs(entries) do entry.muon = c.optimizer == "muon" and muon.takes(entry) end
  local all, nanogpt = params.totals(entries)
  local rows = c.batch_size * c.block_size
  local floats = g.sizes
  local on_device = c.optimizer == "muon" and c.backend == "cuda" and muon.device_floats(entries, c.dtype) or 0
  local half = g:elem() ~= "f32" or g.target.products == "bf16"
  local norm_bytes, rest_bytes = update_bytes(c, floats.params, half)
  local title = c.model == "bigram" and ("bigram, vocabulary %d"):format(c.vocab_size)
    or ("gpt, %d layers, %d heads, %d wide, context %d, vocabulary %d"):format(c.n_layer, c.n_head,
      c.n_embd, c.block_size, c.vocab_size)
  return {
    c = c, hash = hash, command = command, title = title, entries = entries,
    optimizer = "OPTIMIZER_" .. c.optimizer:upper(),
    config = literal.macro_strings(c.baked_text), string = literal.string,
    num_params = all, num_params_nanogpt = nanogpt,
    flops_per_update = c.optimizer == "muon" and muon.flops(entries, c.backend) or 0,
    muon_floats = c.optimizer == "muon" and c.backend == "cpu" and muon.floats(entries) or 0,
    flops_per_token = 6 * nanogpt + 12 * c.n_head * c.head_width * c.attended,
    step_flops = program.scaled(flops_of_step(g), "FLOP"), step_flops_nanogpt =
      program.scaled((6 * nanogpt + 12 * c.n_head * c.head_width * c.attended) * rows, "FLOP"),
    device_floats = floats.params, packed_floats = half and floats.params // 2 or 0,
    update_bytes = norm_bytes + rest_bytes,
    state_floats = floats.host, acts_floats = math.max(floats.acts, on_device), losses = g.losses.offset,
    acts_mib = mebibytes(floats.acts), unplanned_mib = mebibytes(floats.unplanned),
    params_mib = mebibytes(floats.params),
    isa = isas[c.isa],
    vec_message = ("this model is laid out for %s; compile with '%s'"):format(c.isa, isas[c.isa].flags),
  }
end

function emit.model_h(facts)
  return frame("templates/model.h", facts)
end

function emit.buckets_c(g, facts)
  local list, count = buckets.table(g)
  return frame("templates/buckets.c", setmetatable({ buckets = list, bucket_kernels = count }, { __index = facts }))
end

function emit.train_c(g, facts)
  local emitter = program.emitter(g)
  local k = setmetatable({ tile = kernels.tile(g.target), specialise = g.target.specialise ~= false,
    products = g.target.products, run = call.RUN.train }, { __index = facts })
  for _, phase in ipairs({ "forward", "loss", "backward" }) do k[phase] = emitter:phase(phase) end
  emitter:count_calls()
  k.kernel_texts = emitter:kernel_texts()
  k.kernels = emitter.kernels
  k.image_mib = facts.packed_floats > 0 and mebibytes(facts.packed_floats) or nil
  k.size_letters = sizes.members(emitter.kernels)
  local optimizer = facts.c.optimizer
  k.scratch = {}
  if optimizer == "muon" then
    optimizer = "adamw" -- of all that is no matrix in a block
    k.muon = muon.emit(facts.entries, g.target.products)
    k.scratch[1] = "muon"
  end
  k.update = optimizer
  k.update_text = kernels.whole("cpu", "optimizer", "update", { name = optimizer, optimizer = optimizer })
  for _, kernel in ipairs(emitter.kernels) do
    if call.has_scratch(kernel.node, g.target) then k.scratch[#k.scratch + 1] = kernel.name end
  end
  if k.muon then table.move(k.muon.kernels, 1, #k.muon.kernels, #k.kernels + 1, k.kernels) end
  return frame("templates/train.c", k)
end

-- The kernels that belong to no node, most of which work on all parameters; FLOP and bytes are those of one call. Also
-- how many of them, the last ones, are Muon's, and the text that runs an update.
local function whole_kernels(g, c, entries)
  local floats, half = g.sizes.params, g:elem() ~= "f32"
  local norm_bytes, rest_bytes = update_bytes(c, floats, half)
  local optimizer = c.optimizer == "muon" and "adamw" or c.optimizer
  local k = { state_floats = floats, decay_floats = g.sizes.decayed, optimizer = optimizer, dtype = g:elem(),
    sms = g.target.sms, N = g.rows, V = c.vocab_size, muon = c.optimizer == "muon" }
  for key, value in pairs(params.range_fields(params.ranges(g))) do k[key] = value end
  local list = {
    { "step", "step_take", 0, 24 * g.rows },
    { "optimizer", "grad_norm", 2 * floats, norm_bytes },
    { "optimizer", "update", 14 * floats, rest_bytes },
    half and { "matmul", "cast", 0, 6 * floats, "Called once, where a run begins." } or nil,
  }
  for i, item in ipairs(list) do
    local file, fn, flops, bytes, often = table.unpack(item)
    local name = fn == "update" and optimizer or fn
    local own = { name = name, flops = flops, bytes = bytes, calls = 1, often = often, op = {} }
    local kernel = setmetatable(own, { __index = k })
    kernel.text = kernels.whole("cuda", file, fn, kernel)
    list[i] = kernel
  end
  if c.optimizer ~= "muon" then return list, 0, call.run_whole(optimizer) .. ";" end
  local own, lines = muon.device(entries, c.dtype, c.tf32, { dtype = g:elem() })
  table.move(own, 1, #own, #list + 1, list)
  return list, #own, call.run_whole(optimizer) .. ";\n" .. lines
end

local elem_types = { bf16 = "bf16", f16 = "f16", f32 = "float" }

function emit.train_cu(g, c, facts)
  local emitter = program.emitter(g)
  local k = setmetatable({ gemms = {}, headers = {}, elem_type = elem_types[g:elem()], run = call.RUN.cuda,
    run_whole = call.run_whole }, { __index = facts })
  for _, phase in ipairs({ "forward", "loss", "backward" }) do k[phase] = emitter:phase(phase) end
  emitter:count_calls()
  local whole, muon_kernels, run_update = whole_kernels(g, c, facts.entries)
  for _, kernel in ipairs(whole) do table.insert(emitter.kernels, kernel) end
  k.run_update, k.muon_kernels = (run_update:gsub("\n", "\n    ")), muon_kernels
  k.kernel_texts = emitter:kernel_texts()
  k.kernels = emitter.kernels
  for _, kernel in ipairs(k.kernels) do
    if kernel.op.product or kernel.op.weight_gradient then
      for _, name in ipairs(kernel.gemms or { kernel.name .. "_gemm" }) do table.insert(k.gemms, name) end
    end
    if kernel.header and not k.headers[kernel.header] then
      k.headers[kernel.header] = true
      table.insert(k.headers, kernel.header)
    end
  end
  k.image_text = facts.packed_floats == 0 and "products read the weights themselves" or
    ("the weights' image in %s %s"):format(c.dtype, mebibytes(facts.packed_floats))
  return frame("templates/train.cu", k)
end

function emit.sample_c(g, facts)
  local emitter = program.emitter(g)
  local k = setmetatable({ run = call.RUN.sample, weights = false }, { __index = facts })
  k.forward = emitter:phase("forward")
  emitter:count_calls()
  k.kernel_texts = emitter:kernel_texts()
  k.memory_floats = g.sizes.state + g.sizes.acts
  k.cache_floats, k.cache_rows, k.cache_width = g.sizes.state, 1, 1
  for _, node in ipairs(g.nodes) do
    if node.op.state then k.cache_rows, k.cache_width = node.dims.S, node.dims.D end
  end
  k.rows = g.rows
  k.logits = g.logits
  k.weights = g.weights or false
  k.cache_bfloat16 = g.cache_type == "bf16"
  k.weights_enum = g.weights and "WEIGHT_" .. g.weights:upper():gsub("BFLOAT", "BF")
  return frame("templates/sample.c", k)
end

return emit
