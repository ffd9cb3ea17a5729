-- verify: checks a graph after every pass. A failure is a fault of the generator, and names the pass.
local graph = require("gen.ir.graph")
local inplace = require("gen.ir.inplace")
local target = require("gen.ir.target")

local verify = {}

local function check(pass, condition, format, ...)
  if condition then return end
  local place = pass == "build" and "gen/passes/pipeline.lua" or ("gen/passes/%s.lua"):format(pass)
  error({ code = 70, message = place .. ": " .. format:format(...) })
end

local function operands(node)
  local list = {}
  for _, tensor in ipairs(node.inputs) do if tensor then list[#list + 1] = tensor end end
  for step in graph.steps(node) do
    for _, tensor in ipairs(step.operands or {}) do list[#list + 1] = tensor end
  end
  return list
end

-- A value is defined once, before it is used.
local function check_order(g, pass)
  local defined = {}
  for _, node in ipairs(g.nodes) do
    for _, tensor in ipairs(operands(node)) do
      check(pass, tensor.kind ~= "value" and tensor.kind ~= "packed" or tensor.image_of or defined[tensor],
        "%s reads %s before it is written", node.op.name, tensor.name)
    end
    for step in graph.steps(node) do
      if step.keep then defined[step.keep] = true end
    end
    for i, tensor in ipairs(node.outputs) do
      if tensor then
        check(pass, node.op.outputs[i].accumulate or not defined[tensor], "%s is written twice", tensor.name)
        defined[tensor] = true
      end
    end
  end
end

-- Operands still have the sizes of their op's letters (in a row block, N is the block's).
local function check_shapes(g, pass)
  for _, node in ipairs(g.nodes) do
    for i, operand in ipairs(node.op.inputs) do
      local tensor = node.inputs[i]
      if tensor and tensor.kind ~= "packed" then
        for axis, letter in ipairs(operand.letters) do
          local size = tensor.dims[axis]
          if node.sliced and node.sliced[tensor] and axis == 1 then
            check(pass, size == node.row_block.rows * node.row_block.count, "%s: %s is not in whole row blocks",
              node.op.name, tensor.name)
          else
            check(pass, size == node.dims[letter], "%s: %s is (%s) but %s = %s", node.op.name, tensor.name,
              table.concat(tensor.dims, ", "), letter, tostring(node.dims[letter]))
          end
        end
      end
    end
  end
end

local function check_grads(g, pass)
  if g.decode then return end
  local written = {}
  for _, node in ipairs(g.nodes) do
    for _, tensor in ipairs(node.outputs) do
      if tensor and tensor.kind == "grad" then
        check(pass, graph.shape_text(tensor.dims) == graph.shape_text(tensor.of.dims),
          "%s is not of its parameter's shape", tensor.name)
        written[tensor.of] = true
      end
    end
  end
  for _, param in ipairs(g.params) do
    check(pass, param.copy_of or written[param], "%s has no gradient", param.name)
  end
end

-- For each node's first output, the tensors that it may be written over: those that its kernel allows and that no later
-- node reads.
local function made_in_place(g)
  local last_read, allowed = {}, {}
  for position, node in ipairs(g.nodes) do
    for _, tensor in ipairs(operands(node)) do last_read[tensor] = position end
  end
  for position, node in ipairs(g.nodes) do
    local from = {}
    for _, tensor in ipairs(inplace.operands(g, node)) do from[tensor] = last_read[tensor] == position end
    if node.outputs[1] then allowed[node.outputs[1]] = from end
  end
  return allowed
end

-- Tensors grouped by their range of addresses: { from, to, list } in the order of addresses, each list in the order of
-- lives. Layers share memory, so that there are few places with many tensors each.
local function places_of(g)
  local by_range, places = {}, {}
  for tensor, life in pairs(g.lives) do
    local from, to = tensor.offset, tensor.offset + target.floats(g.target, tensor)
    local range = from .. "-" .. to
    local place = by_range[range]
    if not place then
      place = { from = from, to = to, list = {} }
      by_range[range], places[#places + 1] = place, place
    end
    table.insert(place.list, { tensor = tensor, first = life.first, last = life.last })
  end
  for _, place in ipairs(places) do
    table.sort(place.list, function(x, y)
      if x.first ~= y.first then return x.first < y.first end
      return x.tensor.name < y.tensor.name
    end)
  end
  table.sort(places, function(x, y)
    if x.from ~= y.from then return x.from < y.from end
    return x.to < y.to
  end)
  return places
end

-- No two live tensors overlap, except an output written over its operand.
local function check_addresses(g, pass)
  local in_place = made_in_place(g)
  local function made(a, b) return in_place[a.tensor] and in_place[a.tensor][b.tensor] end
  local function apart(a, b, allowed)
    check(pass, allowed or a.last < b.first or b.last < a.first, "%s and %s overlap while both live", a.tensor.name,
      b.tensor.name)
  end
  local places = places_of(g)
  for i, place in ipairs(places) do
    local alive = {}
    for _, b in ipairs(place.list) do
      local still = { b }
      for _, a in ipairs(alive) do
        apart(a, b, made(a, b) or made(b, a))
        if a.last >= b.first then still[#still + 1] = a end
      end
      alive = still
    end
    -- Places that overlap partly: each tensor of the other place is compared with the last one here that begins before
    -- its end.
    for j = i + 1, #places do
      local other, k = places[j], 0
      if other.from >= place.to then break end
      for _, b in ipairs(other.list) do
        while place.list[k + 1] and place.list[k + 1].first <= b.last do k = k + 1 end
        if k > 0 then apart(place.list[k], b) end
      end
    end
  end
end

-- Every index of a kernel fits the 32-bit or pointer-sized type it is computed in: rows and columns
-- are int, their product is size_t.
local function check_indices(g, pass)
  for _, tensor in pairs(g.tensors) do
    for _, size in ipairs(tensor.dims) do
      check(pass, size < 2 ^ 31, "%s has an axis of %d, more than an int holds", tensor.name, size)
    end
  end
end

function verify.run(g, pass)
  check_order(g, pass)
  check_shapes(g, pass)
  check_indices(g, pass)
  if pass ~= "build" then check_grads(g, pass) end
  if g.lives then check_addresses(g, pass) end
end

return verify
