-- fusion: pointwise ops that are fused into a kernel's load or store, in C: as statements on `value`, or, for
-- cuBLASLt's products, as operands of its epilogue. Depends on literal.
local literal = require("gen.emit.literal")

local fusion = {}

-- The names in an op's expression -> their C, to begin with: its constants.
local function constants_of(step)
  local c_of = {}
  for name, value in pairs(step.attrs or {}) do
    if math.type(value) == "float" then c_of[name] = literal.float(value) end
  end
  return c_of
end

-- The C of one pointwise op on the vector `value`: its expression with its operands loaded.
local function cpu_statements(list, step, names)
  if step.keep then
    list[#list + 1] = ("vec_store_n(%s + at, value, lanes)"):format(names[1])
    return
  end
  local c_of = constants_of(step)
  for i, operand in ipairs(step.op.inputs) do
    if i == step.streamed then
      c_of[operand[1]] = "value"
    else
      local at = #operand.letters == 1 and "col" or "at"
      c_of[operand[1]] = ("vec_load_n(%s + %s, lanes)"):format(names[operand[1]], at)
    end
  end
  -- All words are replaced at once, since a replacement may contain another word.
  list[#list + 1] = "value = " .. step.op.expr:gsub("[%a_][%w_]*", c_of)
end

-- The same on CUDA: the operands' vectors, then the expression for each of the eight elements.
local function cuda_statements(list, step, names)
  if step.keep then
    -- The value continues as it was stored, so that whatever is recomputed from the stored one is the same.
    list[#list + 1] = "value = vec_round<elem>(value)"
    list[#list + 1] = ("vec_store(%s + at, value)"):format(names[1])
    return
  end
  local c_of = constants_of(step)
  c_of.col = "col + i"
  for i, operand in ipairs(step.op.inputs) do
    if i == step.streamed then
      c_of[operand[1]] = "value.v[i]"
    else
      local name = names[operand[1]]
      list[#list + 1] = ("const struct vec %s_vec = vec_load(%s + %s)"):format(name, name,
        #operand.letters == 1 and "col" or "at")
      c_of[operand[1]] = name .. "_vec.v[i]"
    end
  end
  list[#list + 1] = "for (int i = 0; i < VEC; i++) value.v[i] = " ..
    step.op.expr:gsub("[%a_][%w_]*", c_of)
end

local statements_of = { cpu = cpu_statements, cuda = cuda_statements }

-- The statements of an epilogue's or prologue's steps, whose operands have the names step_names (call.operands).
function fusion.statements(steps, step_names, backend)
  local list = {}
  for _, step in ipairs(steps) do statements_of[backend](list, step, step_names[step]) end
  return list
end

-- The names of tensors of which a store reads or writes a tile besides its result's: a residual, a kept value.
function fusion.store_tiles(steps, step_names)
  local list = {}
  for _, step in ipairs(steps) do
    if step.keep then list[#list + 1] = step_names[step][1] end
    for i, operand in ipairs(step.op and step.op.inputs or {}) do
      if i ~= step.streamed and #operand.letters > 1 then list[#list + 1] = step_names[step][operand[1]] end
    end
  end
  return list
end

-- Whether a store's code is long: an activation's polynomial, or a mask's random numbers.
function fusion.is_long(steps)
  for _, step in ipairs(steps) do
    if step.op and step.op.long then return true end
  end
  return false
end

-- The dropout site of the step that draws a mask, or nil.
function fusion.dropout_site(steps)
  for _, step in ipairs(steps) do
    if step.op and step.op.mask then return step.attrs.site end
  end
  return nil
end

-- The epilogue of a cuBLASLt product, by the names of its operands.
function fusion.gemm_store(node, step_names)
  local store = {}
  for _, step in ipairs(node.epilogue) do
    local names = step_names[step]
    local gemm = step.op and step.op.gemm
    if step.keep then
      store.kept = names[1]
    elseif gemm == "bias" then
      store.bias = names.bias
    elseif gemm == "residual" then
      store.residual = names.addend or names.x
    elseif gemm == "activation" then
      store.activation = step.op.name
    elseif gemm == "activation_gradient" then
      store.dgelu = names.pre
    end
  end
  return store
end

-- A pointwise op that is not fused, as a kernel with this op in its store: a load, the statement, a store.
function fusion.standalone(node)
  local copy = {}
  for key, value in pairs(node) do copy[key] = value end
  copy.epilogue = { { op = node.op, operands = { table.unpack(node.inputs, 2) }, attrs = node.attrs,
    streamed = 1 }, table.unpack(node.epilogue) }
  copy.inputs = { node.inputs[1] }
  return copy
end

return fusion
