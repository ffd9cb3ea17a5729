-- test_plan: simulates the arena of many random models in a memory that remembers which tensor was written
-- last: what a kernel reads must still be there, in training, in evaluations and in the sampler.
local check = require "tests.gen.check"
local pipeline = require "gen.passes.pipeline"
local graph = require "gen.ir.graph"
local inplace = require "gen.ir.inplace"
local samples = require "tests.gen.samples"

local COUNT = 60

local function no_dump() end

-- ---- a memory of intervals: each holds the tensor that was written there last ---------------------

local Memory = {}
Memory.__index = Memory

local function overlaps(a, b)
  return a.region == b.region and a.offset < b.offset + graph.count(b)
    and b.offset < a.offset + graph.count(a)
end

local function in_arena(tensor)
  return tensor and tensor.kind ~= "input" and tensor.kind ~= "output"
end

function Memory:write(tensor)
  for other in pairs(self.holds) do
    if overlaps(other, tensor) then self.holds[other] = nil end
  end
  self.holds[tensor] = true
end

function Memory:read(tensor, node)
  if not self.holds[tensor] then
    error(("%s reads %s, but its memory holds something else"):format(node.op.name, tensor.name))
  end
end

-- Whether a kernel may write `out` where it reads `tensor`.
local function in_place(g, node, tensor, out)
  if out ~= node.outputs[1] or out.offset ~= tensor.offset then return false end
  for _, operand in ipairs(inplace.operands(g, node)) do
    if operand == tensor then return true end
  end
  return false
end

function Memory:run(node)
  local reads, writes = {}, {}
  for _, tensor in ipairs(node.inputs) do if in_arena(tensor) then reads[#reads + 1] = tensor end end
  for _, tensor in ipairs(node.outputs) do if in_arena(tensor) then writes[#writes + 1] = tensor end end
  for _, step in ipairs(node.epilogue) do
    for _, tensor in ipairs(step.operands or {}) do reads[#reads + 1] = tensor end
    if step.keep then writes[#writes + 1] = step.keep end
  end
  for _, tensor in ipairs(reads) do
    if tensor.kind == "value" then self:read(tensor, node) end -- an image is the update's
    for _, out in ipairs(writes) do
      if overlaps(tensor, out) and not in_place(self.g, node, tensor, out) then
        error(("%s writes %s over %s, which it reads"):format(node.op.name, out.name, tensor.name))
      end
    end
  end
  for i, a in ipairs(writes) do
    for j = i + 1, #writes do
      if overlaps(a, writes[j]) then error(a.name .. " is written over " .. writes[j].name) end
    end
  end
  for _, tensor in ipairs(writes) do self:write(tensor) end
end

-- Runs the nodes of some phases as the program does: the nodes of a loop over row blocks together, once for
-- each row block (twice shows all that more would).
local function simulate(g, ...)
  local memory = setmetatable({ g = g, holds = {} }, Memory)
  local wanted, list = {}, {}
  for _, phase in ipairs { ... } do wanted[phase] = true end
  for _, node in ipairs(g.nodes) do if wanted[node.phase] then list[#list + 1] = node end end
  local i = 1
  while i <= #list do
    local last = i
    while list[i].row_block and list[last + 1] and list[last + 1].row_block == list[i].row_block do last = last + 1 end
    local times = list[i].row_block and math.min(2, list[i].row_block.count) or 1
    for _ = 1, times do
      for n = i, last do memory:run(list[n]) end
    end
    i = last + 1
  end
end

-- ---- rules for every plan -------------------------------------------------------------------------

local function check_bounds(g)
  local size = { params = g.sizes.params, grads = g.sizes.params, packed = g.sizes.packed,
    acts = g.sizes.acts, memory = g.sizes.state + g.sizes.acts }
  for _, tensor in pairs(g.tensors) do
    if size[tensor.region] then
      local past = tensor.offset + graph.count(tensor) - size[tensor.region]
      if past > 0 or tensor.offset < 0 then error(tensor.name .. " lies outside of " .. tensor.region) end
      check.equal(tensor.offset % 16, 0, tensor.name .. "'s place in its cache line")
    end
  end
end

-- In a loop over layers, every parameter is at equal distances from layer to layer: checked by its
-- family, independently of the schedule.
local function check_strides(g)
  local families = {}
  for _, param in ipairs(g.params) do
    if param.layer and not param.copy_of then
      families[param.family] = families[param.family] or {}
      families[param.family][param.layer] = param.offset
    end
  end
  for family, offsets in pairs(families) do
    for layer = 2, #offsets do
      check.equal(offsets[layer] - offsets[layer - 1], offsets[1] - offsets[0], "stride of " .. family)
    end
  end
end

-- The schedule runs each node once, in order; a loop's strides give each layer's addresses.
local function check_schedule(g)
  local run = {}
  local function add(node) run[#run + 1] = node end
  for _, phase in ipairs { "prepare", "forward", "loss", "backward" } do
    for _, item in ipairs(g.schedule[phase] or {}) do
      if item.node then add(item.node) end
      for _, node in ipairs(item.nodes or {}) do add(node) end
      for _, layer in ipairs(item.layers or {}) do
        for n, node in ipairs(layer) do
          add(node)
          local first = item.layers[1][n]
          for o, tensor in ipairs(first.outputs) do
            if tensor and item.strides then
              check.equal(tensor.offset + item.strides.of[tensor] * (layer.layer - item.layers[1].layer),
                node.outputs[o].offset, "where the loop finds " .. node.outputs[o].name)
            end
          end
        end
      end
    end
  end
  check.equal(#run, #g.nodes, "nodes that run")
  for i, node in ipairs(g.nodes) do
    if node ~= run[i] then error("node " .. i .. " runs out of order") end
  end
end

local function check_all(g)
  check_bounds(g)
  check_strides(g)
  check_schedule(g)
  if g.sizes.acts > g.sizes.unplanned then
    error(("the arena is %d, all tensors are %d"):format(g.sizes.acts, g.sizes.unplanned))
  end
end

check.test("the memory holds what each kernel reads", function()
  local count = 0
  samples.random(COUNT, function(c, words)
    local ok, problem = pcall(function()
      local g = pipeline.train(c, no_dump)
      check_all(g)
      simulate(g, "prepare", "forward", "backward")
      simulate(g, "prepare", "forward", "loss")
      local s = pipeline.sample(c, no_dump)
      check_all(s)
      simulate(s, "forward")
    end)
    if not ok then
      error(words .. ": " .. tostring(type(problem) == "table" and problem.message or problem), 0)
    end
    count = count + 1
  end)
  check.equal(count, COUNT)
end)

check.test("the simulation finds a planted overlap", function()
  local g = pipeline.train(samples.config(), no_dump)
  g.tensors["block.0.attention.y"].offset = g.tensors["block.0.x"].offset
  check.raises(function()
    local ok, problem = pcall(simulate, g, "prepare", "forward", "backward")
    if not ok then error({ code = 1, message = tostring(problem) }) end
  end, 1, "its memory holds something else")
end)

-- ---- promises to users ----------------------------------------------------------------------------

check.test("with several layers, planning saves memory", function()
  local g = pipeline.train(samples.config("n_layer=6"), no_dump)
  if g.sizes.acts > 0.7 * g.sizes.unplanned then
    error(("%d of %d floats are left"):format(g.sizes.acts, g.sizes.unplanned))
  end
end)

check.test("each further layer costs the same", function()
  local sizes = {}
  for layers = 3, 6 do sizes[layers] = pipeline.train(samples.config("n_layer=" .. layers), no_dump).sizes.acts end
  check.equal(sizes[5] - sizes[4], sizes[4] - sizes[3])
  check.equal(sizes[6] - sizes[5], sizes[4] - sizes[3])
end)

check.test("layers run as one loop", function()
  for _, words in ipairs { {}, { "bias=true" }, { "tie_weights=false", "lm_head_bias=true" } } do
    local g = pipeline.train(samples.config("n_layer=5", table.unpack(words)), no_dump)
    for _, phase in ipairs { "forward", "backward" } do
      local loops = 0
      for _, item in ipairs(g.schedule[phase]) do
        if item.layers then
          loops = loops + 1
          check.equal(#item.layers, 5, "layers of the loop")
        end
      end
      check.equal(loops, 1, "loops of " .. phase)
    end
  end
end)

check.test("layers are found by their fields, whatever a model calls them", function()
  local usual = pipeline.train(samples.config "n_layer=5", no_dump)
  local within = graph.within
  graph.within = function(scope, layer) return within("odd." .. scope:gsub("%.", "_"), layer) end
  local ok, g = pcall(pipeline.train, samples.config "n_layer=5", no_dump)
  graph.within = within
  check.equal(ok, true, tostring(g))
  check.equal(g.sizes.acts, usual.sizes.acts, "floats of the arena")
  check.equal(g.tensors["odd.block.3.x"].offset, usual.tensors["block.3.x"].offset, "a layer's input")
  for _, phase in ipairs { "forward", "backward" } do
    check.equal(#g.schedule[phase], #usual.schedule[phase], "items of " .. phase)
  end
end)

check.test("with dropout, all but the first layer's gradients do", function()
  for _, embd in ipairs { "true", "false" } do
    local g = pipeline.train(samples.config("n_layer=5", "dropout=0.1", "dropout_embd=" .. embd), no_dump)
    local loops = {}
    for _, item in ipairs(g.schedule.backward) do
      if item.layers then loops[#loops + 1] = #item.layers end
    end
    check.equal(table.concat(loops, " "), "4 1", "layers of the loops, dropout_embd=" .. embd)
  end
end)

check.test("logits are never held for more than a row block", function()
  local c = samples.config("vocab_size=50304", "batch_size=12", "block_size=128")
  local g = pipeline.train(c, no_dump)
  for _, name in ipairs { "logits", "train.logits", "d.logits" } do
    if g.tensors[name].dims[1] > 1536 // 4 then error(name .. " has all rows") end
  end
end)

check.finish()
