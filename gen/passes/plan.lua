-- plan: gives every tensor an address. Parameters and their gradients lie one after another, so that
-- layers are at equal distances; activations and their gradients share one arena, where two tensors
-- may have the same memory if they are never live at the same time.
local graph = require("gen.ir.graph")
local inplace = require("gen.ir.inplace")
local schedule = require("gen.passes.schedule")
local target = require("gen.ir.target")

local plan = {}

-- Floats that a tensor takes, up to the next one's beginning.
local function room(g, tensor)
  local align = g.target.align
  return (target.floats(g.target, tensor) + align - 1) // align * align
end

-- ---- tensors that live as long as the model -----------------------------------------------------

-- Places tensors one after another from `offset`; returns the end.
local function place(g, tensors, region, offset)
  for _, tensor in ipairs(tensors) do
    tensor.region, tensor.offset = region, offset
    offset = offset + room(g, tensor)
  end
  return offset
end

-- Places parameters in the host's memory, from which checkpoints are written: without padding, each
-- from a new cache line on. Returns the floats of all.
local function place_on_host(params)
  local offset = 0
  for _, param in ipairs(params) do
    param.host_offset = offset
    offset = offset + (graph.count(param) + 15) // 16 * 16
  end
  return offset
end

-- On CUDA the parameters with weight decay come first, so that the optimizer knows them by their
-- addresses. Returns the new order, and how many floats these take.
local function decayed_first(g, params)
  local first, rest, floats = {}, {}, 0
  for _, param in ipairs(params) do
    local decayed = g.decay_all or #param.dims > 1
    if decayed then floats = floats + room(g, param) end
    table.insert(decayed and first or rest, param)
  end
  table.move(rest, 1, #rest, #first + 1, first)
  return first, floats
end

-- The sampler gets weights as a list, in the order of the table, where all layers of a family come
-- together: an address is a number in that list.
local function place_weights(g)
  local families, order, count = {}, {}, 0
  for _, param in ipairs(g.params) do
    if not families[param.family] then
      families[param.family] = {}
      order[#order + 1] = families[param.family]
    end
    table.insert(families[param.family], param)
  end
  for _, family in ipairs(order) do
    for _, param in ipairs(family) do
      param.region, param.offset = "weight", count
      count = count + 1
    end
  end
end

local function place_params(g)
  local own, grads, states, images = {}, {}, {}, {}
  for _, param in ipairs(g.params) do
    if not param.copy_of then
      own[#own + 1] = param
      if param.gradient then grads[#grads + 1] = param.gradient end
    end
  end
  for _, node in ipairs(g.nodes) do
    graph.each_tensor(node, function(tensor)
      if tensor.image_of then images[tensor] = true end
    end)
    for _, tensor in ipairs(node.inputs) do
      if tensor and tensor.kind == "state" then states[#states + 1] = tensor end
    end
  end
  local sizes = {}
  sizes.host = place_on_host(own)
  if g:backend() == "cuda" then own, sizes.decayed = decayed_first(g, own) end
  sizes.params = place(g, own, "params", 0)
  for image in pairs(images) do image.region, image.offset = "packed", image.image_of.offset end
  for _, grad in ipairs(grads) do grad.region, grad.offset = "grads", grad.of.offset end
  for _, param in ipairs(g.params) do
    if param.copy_of then param.region, param.offset = "params", param.copy_of.offset end
  end
  if g.decode then place_weights(g) end
  sizes.state = place(g, states, "memory", 0)
  return sizes
end

-- ---- lifetimes ----------------------------------------------------------------------------------

-- The first and last position of each tensor; the nodes of a loop over row blocks count as one.
local function lifetimes(g)
  local first_of, last_of = {}, {}
  for position, node in ipairs(g.nodes) do
    if node.row_block then
      first_of[node.row_block] = first_of[node.row_block] or position
      last_of[node.row_block] = position
    end
  end
  local lives = {}
  for position, node in ipairs(g.nodes) do
    graph.each_tensor(node, function(tensor)
      if tensor.kind ~= "value" then return end
      local life = lives[tensor] or { first = position, last = position }
      lives[tensor] = life
      life.first = math.min(life.first, node.row_block and first_of[node.row_block] or position)
      life.last = math.max(life.last, node.row_block and last_of[node.row_block] or position)
    end)
  end
  return lives
end

-- ---- storages: tensors that share memory, since one is computed in place of another -------------

-- The operand that the first output of a node is written over, or nil: one that no later node reads; in a row block,
-- one that is made and last read in the same loop as the output.
local function inplace_operand(g, node, position, lives)
  local out = node.outputs[1]
  for _, tensor in ipairs(inplace.operands(g, node)) do
    local life = tensor.kind == "value" and room(g, tensor) == room(g, out) and lives[tensor]
    if life and not node.sliced and life.last == position then return tensor end
    if life and node.sliced and not node.sliced[tensor] and life.last == lives[out].last then return tensor end
  end
  return nil
end

local function make_storages(g, lives, apart)
  local of, list = {}, {}
  for position, node in ipairs(g.nodes) do
    local out = node.outputs[1]
    local into = out and out.kind == "value" and not apart[out.family]
      and inplace_operand(g, node, position, lives)
    graph.each_tensor(node, function(tensor)
      if tensor.kind ~= "value" or of[tensor] then return end
      local storage
      if tensor == out and into then
        storage = of[into]
      else
        storage = { size = room(g, tensor), members = {}, lives = {} }
        list[#list + 1] = storage
      end
      of[tensor] = storage
      storage.members[#storage.members + 1] = tensor
      storage.lives[#storage.lives + 1] = lives[tensor]
    end)
  end
  return list
end

-- Sets each storage's layer: that of all its members, or nil if they differ.
local function find_layers(list)
  for _, storage in ipairs(list) do
    storage.layer = storage.members[1].layer
    for _, tensor in ipairs(storage.members) do
      if tensor.layer ~= storage.layer then storage.layer = nil end
    end
  end
end

-- The families of which some storages hold several layers, but none holds all. Their addresses would
-- not be at equal distances from layer to layer.
local function uneven_families(list)
  local holder, uneven = {}, {}
  for _, storage in ipairs(list) do
    for _, tensor in ipairs(storage.members) do
      local family = tensor.layer and tensor.family
      if family then
        if holder[family] and holder[family] ~= storage and not (holder[family].layer and storage.layer) then
          uneven[family] = true
        end
        if not holder[family] or not storage.layer then holder[family] = storage end
      end
    end
  end
  return uneven
end

local function storages(g, lives)
  local apart = {}
  while true do
    local list = make_storages(g, lives, apart)
    find_layers(list)
    local more = false
    for family in pairs(uneven_families(list)) do
      more = more or not apart[family]
      apart[family] = true
    end
    if not more then return list end
  end
end

-- ---- families: the storages of a family, of all layers ------------------------------------------

-- Intervals in order, joined if they touch.
local function merged(lives)
  local sorted, list = { table.unpack(lives) }, {}
  table.sort(sorted, function(a, b) return a.first < b.first end)
  for _, life in ipairs(sorted) do
    local last = list[#list]
    if last and life.first <= last.last then
      last.last = math.max(last.last, life.last)
    else
      list[#list + 1] = { first = life.first, last = life.last }
    end
  end
  return list
end

-- Whether two merged lists overlap.
local function overlap(a, b)
  local i, j = 1, 1
  while a[i] and b[j] do
    if a[i].first <= b[j].last and b[j].first <= a[i].last then return true end
    if a[i].last < b[j].last then i = i + 1 else j = j + 1 end
  end
  return false
end

-- Whether no two of these storages are ever live at the same time.
local function never_together(list)
  local all = {}
  for _, storage in ipairs(list) do
    table.move(merged(storage.lives), 1, #storage.lives, #all + 1, all)
  end
  table.sort(all, function(a, b) return a.first < b.first end)
  for i = 2, #all do
    if all[i].first <= all[i - 1].last then return false end
  end
  return true
end

local function families(list)
  local by_key, all = {}, {}
  for _, storage in ipairs(list) do
    local first = storage.members[1]
    local key = storage.layer and first.family or first.name
    local family = by_key[key]
    if not family then
      family = { size = storage.size, storages = {}, lives = {} }
      by_key[key] = family
      all[#all + 1] = family
    end
    family.storages[#family.storages + 1] = storage
  end
  for _, family in ipairs(all) do
    for order, storage in ipairs(family.storages) do storage.order = order end
    table.sort(family.storages, function(a, b)
      if (a.layer or 0) ~= (b.layer or 0) then return (a.layer or 0) < (b.layer or 0) end
      return a.order < b.order
    end)
    -- Layers share one slot if their storages are never live at the same time.
    family.slots = never_together(family.storages) and 1 or #family.storages
    for _, storage in ipairs(family.storages) do
      table.move(storage.lives, 1, #storage.lives, #family.lives + 1, family.lives)
    end
    family.lives = merged(family.lives)
  end
  return all
end

-- ---- offsets: the largest family first, each at the lowest address that is free while it lives ---

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

-- Marks for each gradient that a node adds to whether the node is the first in a step to do so.
local function find_first_writers(g)
  local written = {}
  for _, node in ipairs(g.nodes) do
    node.first_writer = {}
    for i, operand in ipairs(node.op.outputs) do
      local grad = operand.accumulate and node.outputs[i]
      if grad then
        table.insert(node.first_writer, not written[grad])
        written[grad] = true
      end
    end
  end
end

local function phases(g)
  local by_phase = {}
  for _, node in ipairs(g.nodes) do
    by_phase[node.phase] = by_phase[node.phase] or {}
    table.insert(by_phase[node.phase], node)
  end
  return by_phase
end

-- The end of the dump: sizes of the regions in floats, the loops over layers, and every address with
-- the first and last node (counted from 1) for which the memory is held.
function plan.text(g)
  local lines = { "-- sizes" }
  for _, name in ipairs({ "params", "state", "acts", "unplanned" }) do
    lines[#lines + 1] = ("%s = %d"):format(name, g.sizes[name])
  end
  lines[#lines + 1] = "-- schedule"
  for _, phase in ipairs({ "forward", "loss", "backward" }) do
    local words = {}
    for _, item in ipairs(g.schedule[phase] or {}) do
      if item.layers then
        local first, last = item.layers[1], item.layers[#item.layers]
        words[#words + 1] = #item.layers == 1 and ("layer %d of %d nodes"):format(first.layer, #first)
          or ("layers %d..%d of %d nodes"):format(first.layer, last.layer, #first)
      elseif item.row_block then
        words[#words + 1] = ("%d x %d rows of %d nodes"):format(item.row_block.count, item.row_block.rows,
          #item.nodes)
      else
        words[#words + 1] = item.node.op.name
      end
    end
    if #words > 0 then lines[#lines + 1] = phase .. ": " .. table.concat(words, ", ") end
  end

  local placed = {}
  for _, tensor in pairs(g.tensors) do if tensor.offset then placed[#placed + 1] = tensor end end
  table.sort(placed, function(a, b)
    if a.region ~= b.region then return a.region > b.region end
    if a.offset ~= b.offset then return a.offset < b.offset end
    local first, second = g.lives[a] and g.lives[a].first or 0, g.lives[b] and g.lives[b].first or 0
    if first ~= second then return first < second end
    return a.name < b.name
  end)
  lines[#lines + 1] = "-- addresses"
  for _, tensor in ipairs(placed) do
    local life = g.lives[tensor]
    lines[#lines + 1] = ("%s + %d = %s:%s%s"):format(tensor.region, tensor.offset, tensor.name,
      graph.shape_text(tensor.dims), life and (" nodes %d..%d"):format(life.first, life.last) or "")
  end
  return lines
end

function plan.run(g)
  local sizes = place_params(g)
  local lives = lifetimes(g)
  local all = families(storages(g, lives))
  local region = g.decode and "memory" or "acts"
  sizes.acts = pack_arena(all, region, sizes.state)
  sizes.unplanned = 0
  for tensor in pairs(lives) do sizes.unplanned = sizes.unplanned + room(g, tensor) end
  find_first_writers(g)
  g.sizes = sizes
  g.lives = lives
  g.schedule = {}
  for phase, nodes in pairs(phases(g)) do g.schedule[phase] = schedule.items(nodes) end
end

return plan
