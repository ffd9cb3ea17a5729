-- plan: gives every tensor its place. Parameters, their gradients and packed copies lie one after the
-- other, so that a layer is a constant distance from the next; activations and their gradients share
-- one arena, where two tensors may have the same memory if they are never live at the same time.
local graph = require("gen.graph")

local plan = {}

local ALIGN = 16 -- floats: a cache line

local function padded(count)
  return (count + ALIGN - 1) // ALIGN * ALIGN
end

-- ---- tensors that live as long as the model -------------------------------------------------------

-- Places tensors one after another from `offset`; returns the end.
local function place(tensors, region, offset)
  for _, tensor in ipairs(tensors) do
    tensor.region, tensor.offset = region, offset
    offset = offset + padded(graph.count(tensor))
  end
  return offset
end

local function place_params(g)
  local own, grads, packed, states = {}, {}, {}, {}
  for _, param in ipairs(g.params) do
    if not param.copy_of then
      own[#own + 1] = param
      local grad = g.tensors["d." .. param.name]
      if grad then grads[#grads + 1] = grad end
    end
  end
  for _, node in ipairs(g.nodes) do
    if node.phase == "prepare" then packed[#packed + 1] = node.outputs[1] end
    for _, tensor in ipairs(node.inputs) do
      if tensor and tensor.kind == "state" then states[#states + 1] = tensor end
    end
  end
  -- A layer's packed copies lie together, as its parameters do.
  table.sort(packed, function(a, b)
    local la, lb = a.layer or -1, b.layer or -1
    if la ~= lb then return la < lb end
    return a.name < b.name
  end)
  local sizes = {}
  sizes.params = place(own, "params", 0)
  for _, grad in ipairs(grads) do grad.region, grad.offset = "grads", grad.of.offset end
  for _, param in ipairs(g.params) do
    if param.copy_of then param.region, param.offset = "params", param.copy_of.offset end
  end
  sizes.packed = place(packed, "packed", 0)
  sizes.state = place(states, "memory", 0)
  return sizes
end

-- ---- lifetimes -----------------------------------------------------------------------------------

local function each_tensor(node, visit)
  for _, tensor in ipairs(node.inputs) do if tensor then visit(tensor) end end
  for _, tensor in ipairs(node.outputs) do if tensor then visit(tensor) end end
  for _, step in ipairs(node.epilogue) do
    if step.keep then visit(step.keep) end
    for _, tensor in ipairs(step.operands or {}) do visit(tensor) end
  end
end

-- first and last position of each tensor; a block of rows runs as one.
local function lifetimes(g)
  local block_first, block_last = {}, {}
  for position, node in ipairs(g.nodes) do
    if node.block then
      block_first[node.block] = block_first[node.block] or position
      block_last[node.block] = position
    end
  end
  local lives = {}
  for position, node in ipairs(g.nodes) do
    each_tensor(node, function(tensor)
      if tensor.kind ~= "value" then return end
      local life = lives[tensor] or { first = position, last = position }
      lives[tensor] = life
      life.first = math.min(life.first, node.block and block_first[node.block] or position)
      life.last = math.max(life.last, node.block and block_last[node.block] or position)
    end)
  end
  return lives
end

-- ---- storages: tensors that have the same memory because one is made from the other in place ------

-- The input whose memory the first output of a node may take, or nil.
local function inplace_input(node, position, lives)
  local function dies_here(tensor)
    return tensor and tensor.kind == "value" and lives[tensor].last == position
      and graph.count(tensor) == graph.count(node.outputs[1]) and not node.sliced
  end
  for _, step in ipairs(node.epilogue) do
    for _, tensor in ipairs(step.operands or {}) do
      if dies_here(tensor) then return tensor end
    end
  end
  for o, operand in ipairs(node.op.outputs) do
    local from = o == 1 and node.op.inplace[operand[1]]
    for i, input in ipairs(node.op.inputs) do
      if input[1] == from then
        local tensor = node.inputs[i]
        local block_local = node.sliced and tensor and lives[tensor].last == lives[node.outputs[1]].last
          and not node.sliced[tensor]
        if dies_here(tensor) or block_local then return tensor end
      end
    end
  end
  return nil
end

local function storages(g, lives)
  local of, list = {}, {}
  for position, node in ipairs(g.nodes) do
    local into = node.outputs[1] and node.outputs[1].kind == "value"
      and inplace_input(node, position, lives)
    each_tensor(node, function(tensor)
      if tensor.kind ~= "value" or of[tensor] then return end
      local storage
      if tensor == node.outputs[1] and into then
        storage = of[into]
      else
        storage = { size = padded(graph.count(tensor)), members = {}, lives = {} }
        list[#list + 1] = storage
      end
      of[tensor] = storage
      storage.members[#storage.members + 1] = tensor
      storage.lives[#storage.lives + 1] = lives[tensor]
    end)
  end
  return list
end

-- ---- families: the storages of one name in all layers ---------------------------------------------

local function overlap(a, b)
  for _, p in ipairs(a) do
    for _, q in ipairs(b) do
      if p.first <= q.last and q.first <= p.last then return true end
    end
  end
  return false
end

local function families(list)
  local by_name, all = {}, {}
  for _, storage in ipairs(list) do
    local name = storage.members[1].name
    local layer = graph.layer_of(name)
    local several = false
    for _, tensor in ipairs(storage.members) do
      several = several or graph.layer_of(tensor.name) ~= layer
    end
    local key = layer and not several and name:gsub("block%.%d+%.", "block.#.", 1) or name
    storage.layer = layer or 0
    local family = by_name[key]
    if not family then
      family = { name = key, size = storage.size, storages = {}, lives = {} }
      by_name[key] = family
      all[#all + 1] = family
    end
    family.storages[#family.storages + 1] = storage
  end
  for _, family in ipairs(all) do
    table.sort(family.storages, function(a, b) return a.layer < b.layer end)
    -- Layers share one slot where their tensors never live together.
    local shared = true
    for i, a in ipairs(family.storages) do
      for j = i + 1, #family.storages do
        shared = shared and not overlap(a.lives, family.storages[j].lives)
      end
    end
    family.slots = shared and 1 or #family.storages
    for _, storage in ipairs(family.storages) do
      for _, life in ipairs(storage.lives) do family.lives[#family.lives + 1] = life end
    end
  end
  return all
end

-- ---- offsets: the largest first, each at the lowest place where nothing live is -------------------

local function lowest_gap(family, placed)
  local need = family.size * family.slots
  local busy = {}
  for _, other in ipairs(placed) do
    if overlap(family.lives, other.lives) then busy[#busy + 1] = other end
  end
  table.sort(busy, function(a, b) return a.offset < b.offset end)
  local offset = 0
  for _, other in ipairs(busy) do
    if offset + need <= other.offset then break end
    offset = math.max(offset, other.offset + other.size * other.slots)
  end
  return offset
end

local function pack_arena(all, region, base)
  for order, family in ipairs(all) do family.order = order end
  local by_size = { table.unpack(all) }
  table.sort(by_size, function(a, b)
    local size_a, size_b = a.size * a.slots, b.size * b.slots
    if size_a ~= size_b then return size_a > size_b end
    return a.order < b.order
  end)
  local placed, total = {}, 0
  for _, family in ipairs(by_size) do
    family.offset = lowest_gap(family, placed)
    placed[#placed + 1] = family
    total = math.max(total, family.offset + family.size * family.slots)
    for slot, storage in ipairs(family.storages) do
      local at = base + family.offset + (family.slots > 1 and (slot - 1) * family.size or 0)
      for _, tensor in ipairs(storage.members) do tensor.region, tensor.offset = region, at end
    end
  end
  return total
end

-- ---- repeating layers ----------------------------------------------------------------------------

-- The nodes as { node = n }, { block = b, nodes = {...} } or { layers = { {nodes of one}, ... } } items.
local function schedule(nodes)
  local items = {}
  for _, node in ipairs(nodes) do
    local last = items[#items]
    if node.layer then
      if not (last and last.layers) then
        last = { layers = {}, first = node.layer, phase = node.phase }
        items[#items + 1] = last
      end
      local run = last.layers[#last.layers]
      if not run or run.layer ~= node.layer then
        run = { layer = node.layer }
        last.layers[#last.layers + 1] = run
      end
      run[#run + 1] = node
    elseif node.block then
      if not (last and last.block == node.block) then
        last = { block = node.block, nodes = {} }
        items[#items + 1] = last
      end
      last.nodes[#last.nodes + 1] = node
    else
      items[#items + 1] = { node = node }
    end
  end
  return items
end

local function phases(g)
  local by_phase = {}
  for _, node in ipairs(g.nodes) do
    by_phase[node.phase] = by_phase[node.phase] or {}
    table.insert(by_phase[node.phase], node)
  end
  return by_phase
end

function plan.run(g)
  local sizes = place_params(g)
  local lives = lifetimes(g)
  local all = families(storages(g, lives))
  local region = g.decode and "memory" or "acts"
  sizes.acts = pack_arena(all, region, sizes.state)
  sizes.unplanned = 0
  for tensor in pairs(lives) do sizes.unplanned = sizes.unplanned + padded(graph.count(tensor)) end
  g.sizes = sizes
  g.lives = lives
  g.schedule = {}
  for phase, nodes in pairs(phases(g)) do g.schedule[phase] = schedule(nodes) end
end

return plan
