-- core: a microcontroller's sampler: the text of sampler_core.c and of the files around it, before the parts of the
-- runtime that it uses are put in (gen/firmware/shake.lua). Depends on the other files of this room.
local call = require("gen.emit.call")
local graph = require("gen.ir.graph")
local program = require("gen.emit.program")
local template = require("gen.emit.template")
local wrap = require("gen.emit.wrap")

local core = {}

-- Bytes of a weight as kernel/small.h stores it: panels of 16 rows of blocks of 32 numbers with their scale.
local function weight_bytes(param)
  if param.type ~= "q8_0" then return 4 * graph.count(param) end
  return (param.dims[1] + 15) // 16 * 16 * ((param.dims[2] + 31) // 32) * 34
end

-- The emitted parts of a core's planned graph, with what the frames and a person are told of it.
function core.facts(g, c)
  local emitter = program.emitter(g)
  local k = { c = c, run = call.RUN.sample, forward = emitter:phase("forward") }
  emitter:count_calls()
  k.kernel_texts = emitter:kernel_texts()
  k.title = c.model == "bigram" and "a bigram" or ("a GPT of %d layers, %d heads, %d wide, context %d"):format(
    c.n_layer, c.n_head, c.n_embd, c.block_size)
  k.memory_floats = g.sizes.state + g.sizes.acts
  k.cache_floats, k.cache_rows, k.cache_width = g.sizes.state, 1, 1
  k.multiply_adds = 0 -- of a token at the end of the context
  for _, node in ipairs(g.nodes) do
    if node.op.state then k.cache_rows, k.cache_width = node.dims.S, node.dims.D end
    if node.op.product or node.op.state then
      k.multiply_adds = k.multiply_adds + node.op.flops(node.dims, node.attrs) // 2
    end
  end
  k.weights_count, k.weight_bytes, k.relative = 0, 0, "true"
  for _, param in ipairs(g.params) do
    k.weights_count = math.max(k.weights_count, param.offset + 1)
    if not param.copy_of then k.weight_bytes = k.weight_bytes + weight_bytes(param) end
    if param.uncounted then k.relative = "false" end -- a table of positions
  end
  -- The bytes of the sampler's one struct, but for some of padding.
  k.arena = 4 * (k.memory_floats + c.vocab_size + c.block_size) + c.vocab_size + 48
  return k
end

-- The text of a file from its frame.
function core.text(name, k)
  local text = template.load("templates/firmware/" .. name)[name:match("^[%w_]+")](k)
  return name:find("%.ld$") and text or wrap.text(text)
end

return core
