-- fuse: pointwise ops move into the store of the kernel that produces their input, sums over rows
-- into the product that reads the same rows, and the LM head runs in row blocks.
--
-- On CUDA a product is cuBLASLt's, whose store takes few ops. Other pointwise ops move into the load
-- of the layernorm that reads them, or stay a kernel, one for a chain of pointwise ops.
local graph = require("gen.ir.graph")
local op = require("gen.ir.op")

local fuse = {}

-- Logits that are held at a time: about this many bytes, in row blocks that divide N.
local LOGITS_BYTES = 56 << 20
local LEAST_ROWS = 96 -- of a row block; with fewer, its products would be inefficient

-- On CUDA row blocks have more rows, since each reads and writes all of dW: about CUDA_LOGITS_ROWS, or as many as waste
-- less of the last wave of thread blocks, up to twice as many. A large product's thread block computes CUDA_TILE.
local CUDA_LOGITS_ROWS = 8192
local CUDA_TILE = { 128, 256 }
local WORTH = 0.99 -- of the time of the head's products, at most, for other rows than the default

-- How many ops read each tensor.
local function uses(g)
  local count = {}
  for _, node in ipairs(g.nodes) do
    for _, tensor in ipairs(node.inputs) do
      if tensor then count[tensor] = (count[tensor] or 0) + 1 end
    end
    for step in graph.steps(node) do
      for _, tensor in ipairs(step.operands or {}) do count[tensor] = (count[tensor] or 0) + 1 end
    end
  end
  return count
end

local function is_pointwise(node)
  return node.op.expr ~= nil
end

-- The position of the node that writes a tensor; 0 for parameters and inputs.
local function written_at(tensor)
  return tensor.producer and tensor.producer.place or 0
end

-- Which input of a pointwise node comes from the kernel that it may be fused into: the first, or, if
-- the op commutes, the one that is produced last. The others are read as operands.
local function streamed_input(node)
  local swap = node.op.commutes and written_at(node.inputs[2]) > written_at(node.inputs[1])
  return swap and 2 or 1
end

local function has_site(node)
  for step in graph.steps(node) do
    if step.attrs and step.attrs.site then return true end
  end
  return (node.attrs.site or 0) ~= 0
end

-- Which op, by its trait gemm, may follow which in the store of cuBLASLt's products, for a linear layer and for the
-- gradient of its input. "" is the product itself; "half": only in 16-bit types. cuBLASLt's GELU is the tanh form.
local layer_stores = { [""] = { bias = true, residual = true, activation = "half" },
  bias = { residual = true, activation = "half" } }
local gradient_stores = { [""] = { residual = true, activation_gradient = "half" } }

-- Whether the producer's store takes this op after those that it already has.
local function store_takes(g, producer, node, kept)
  if g:backend() == "cpu" then return producer.op.epilogue end
  if not producer.op.product then return producer.op.epilogue or is_pointwise(producer) end
  local after = producer.op.product.transposed and layer_stores or gradient_stores
  local last = producer.epilogue[#producer.epilogue]
  local takes = after[last and last.op and last.op.gemm or last and "kept" or ""]
  takes = takes and takes[node.op.gemm]
  -- Only GELU can also store its input, as its aux, if others read that.
  if kept and node.op.gemm ~= "activation" then return false end
  return takes == true or takes == "half" and g:elem() ~= "f32"
end

-- Tries to move a pointwise node into its producer. Returns true if it did.
local function absorb(g, node, used)
  local s = streamed_input(node)
  local stream = node.inputs[s]
  local producer = stream.producer
  if not producer or producer.outputs[1] ~= stream or producer.phase ~= node.phase
    or not store_takes(g, producer, node, used[stream] > 1) then return false end
  -- A kernel has only one dropout site.
  if node.attrs.site and has_site(producer) then return false end
  local operands = {}
  for i, tensor in ipairs(node.inputs) do
    if i ~= s then
      if written_at(tensor) >= producer.place then return false end
      operands[#operands + 1] = tensor
    end
  end

  used[stream] = used[stream] - 1
  if used[stream] > 0 then
    -- Other nodes read the value before this op: it is stored too.
    producer.epilogue[#producer.epilogue + 1] = { keep = stream }
  else
    g.tensors[stream.name] = nil
  end
  producer.epilogue[#producer.epilogue + 1] =
    { op = node.op, operands = operands, attrs = node.attrs, streamed = s }
  producer.outputs[1] = node.outputs[1]
  producer.outputs[1].producer = producer
  return true
end

local function fuse_pointwise(g)
  local used, left = uses(g), {}
  for place, node in ipairs(g.nodes) do node.place = place end
  for _, node in ipairs(g.nodes) do
    if not (is_pointwise(node) and absorb(g, node, used)) then left[#left + 1] = node end
  end
  g.nodes = left
end

-- The pointwise kernel that makes a layernorm's input, dropout and the residual, moves into the layernorm's load.
local function fuse_prologues(g)
  local used = uses(g)
  for position, node in ipairs(g.nodes) do
    local maker = node.op.prologue and node.inputs[1].producer
    if maker and is_pointwise(maker) and maker.phase == node.phase then
      local first, read_between
      for at = position - 1, 1, -1 do
        if g.nodes[at] == maker then first = at break end
        for _, tensor in ipairs(g.nodes[at].inputs) do
          read_between = read_between or tensor == maker.outputs[1]
        end
      end
      if first and not read_between then
        local s = streamed_input(maker)
        local stream, operands = maker.inputs[s], {}
        for i, tensor in ipairs(maker.inputs) do
          if i ~= s then operands[#operands + 1] = tensor end
        end
        node.prologue = { { op = maker.op, operands = operands, attrs = maker.attrs, streamed = s } }
        for _, step in ipairs(maker.epilogue) do table.insert(node.prologue, step) end
        if used[node.inputs[1]] > 1 then
          table.insert(node.prologue, { keep = node.inputs[1] })
          node.inputs[1].producer = node
        else
          g.tensors[node.inputs[1].name] = nil
        end
        node.inputs[1] = stream
        maker.gone = true
      end
    end
  end
  local left = {}
  for _, node in ipairs(g.nodes) do if not node.gone then left[#left + 1] = node end end
  g.nodes = left
end

-- The inputs and outputs of the op that stands for a product and the gating of its result, or nil if its store cannot
-- take it: forward only after a bias, backward only if gate and up are there before the product.
local function gated(g, product, gating, used)
  local stream, step = gating.inputs[1], product.epilogue[1]
  local x, w = table.unpack(product.inputs)
  if product.op.product.transposed then
    local bias = step and step.op and step.op.gemm == "bias" and step.operands[1] or false
    if #product.epilogue > (bias and 1 or 0) or g.decode and used[stream] > 1 then return nil end
    -- A trainer's product keeps its partial sums where gate and up go, so it has them even if nobody reads them.
    return { x, w, bias }, { gating.outputs[1], not g.decode and stream }
  end
  if step or used[stream] > 1 or written_at(gating.inputs[2]) >= product.place then return nil end
  return { x, w, gating.inputs[2] }, { gating.outputs[1] }
end

-- The gating of a feed-forward layer moves into the store of the product that makes what it reads, where gate and up,
-- or their gradients, are made side by side (templates/cpu/gated.c): the product becomes another op. On CUDA the
-- gating stays a kernel, since cuBLASLt has no epilogue that takes two columns of its result.
local function fuse_gatings(g)
  local used, left = uses(g), {}
  for place, node in ipairs(g.nodes) do node.place = place end
  for _, node in ipairs(g.nodes) do
    local product = node.op.store_of and node.inputs[1].producer
    local becomes = product and product.phase == node.phase and product.outputs[1] == node.inputs[1]
      and node.op.store_of[product.op.name]
    local inputs, outputs
    if becomes then inputs, outputs = gated(g, product, node, used) end
    if inputs then
      if outputs[2] ~= node.inputs[1] then g.tensors[node.inputs[1].name] = nil end
      product.op, product.inputs, product.outputs, product.epilogue = op.all()[becomes], inputs, outputs, {}
      for axis, letter in ipairs(product.op.inputs[3].letters) do
        product.dims[letter] = inputs[3] and inputs[3].dims[axis] or product.dims[letter]
      end
      product.op.derive(product.dims)
      outputs[1].producer = product
    else
      left[#left + 1] = node
    end
  end
  g.nodes = left
end

-- dbias is summed while dw's kernel reads the same dy.
local function fuse_bias_grads(g)
  local dw_of = {}
  for _, node in ipairs(g.nodes) do
    if node.op.weight_gradient then dw_of[node.inputs[1]] = node end
  end
  for position = #g.nodes, 1, -1 do
    local node = g.nodes[position]
    local dw = node.op.bias_gradient and dw_of[node.inputs[1]]
    if dw then
      dw.outputs[2] = node.outputs[1]
      table.remove(g.nodes, position)
    end
  end
end

-- The largest divisor of n that is at most `limit`.
local function divisor_below(n, limit)
  for rows = math.min(n, limit), 1, -1 do
    if n % rows == 0 then return rows end
  end
end

-- What the head's three products with c columns cost on CUDA in row blocks of so many rows, in whole waves.
local function head_cost(n, v, c, rows, sms)
  local function waves(height, width)
    local tiles = ((height + CUDA_TILE[1] - 1) // CUDA_TILE[1]) * ((width + CUDA_TILE[2] - 1) // CUDA_TILE[2])
    return (tiles + sms - 1) // sms
  end
  return n // rows * (waves(rows, v) * c + waves(rows, c) * v + waves(v, c) * rows)
end

-- The rows of a row block on CUDA, near a default of `rows`.
local function cuda_rows(n, v, c, rows, sms)
  local best, least = rows, WORTH * head_cost(n, v, c, rows, sms)
  for other = CUDA_LOGITS_ROWS // 4, math.min(n, 2 * CUDA_LOGITS_ROWS) do
    local cost = n % other == 0 and head_cost(n, v, c, other, sms)
    if cost and cost < least then best, least = other, cost end
  end
  return best
end

-- How many of n rows of v logits, which products of c columns make, are in a row block: at most `asked`, or if that is
-- 0, what the target's backend is best with.
function fuse.logits_rows(target, n, v, c, asked)
  local backend = target.backend
  local limit = backend == "cpu" and math.max(LEAST_ROWS, LOGITS_BYTES // (4 * v)) or CUDA_LOGITS_ROWS
  if asked > 0 then limit = asked end
  local rows = divisor_below(n, limit)
  -- With a poor divisor (for a prime N) row blocks would be too small: then all rows are one.
  rows = rows * 4 >= math.min(n, limit) and rows or n
  if backend == "cuda" and asked == 0 and n > CUDA_LOGITS_ROWS then return cuda_rows(n, v, c, rows, target.sms) end
  return rows
end

-- Marks a node as running once per row block, and its value tensors of N rows as read or written one
-- row block at a time.
local function run_by_rows(node, row_block, shrunk)
  node.row_block = row_block
  node.sliced = {}
  local function slice(tensor)
    if tensor and tensor.dims[1] == row_block.rows * row_block.count and tensor.kind ~= "grad"
      and tensor.kind ~= "param" and not shrunk[tensor] then
      node.sliced[tensor] = true
    end
  end
  for _, tensor in ipairs(node.inputs) do slice(tensor) end
  for _, tensor in ipairs(node.outputs) do slice(tensor) end
  for _, step in ipairs(node.epilogue) do
    slice(step.keep)
    for _, tensor in ipairs(step.operands or {}) do slice(tensor) end
  end
  node.dims.N = row_block.rows
end

-- Whether the head has dropout: its mask depends on the row's number, which would start from 0 in each row block.
local function drops(g, head)
  for _, node in ipairs(g.nodes) do
    local reads = node.inputs[1]
    if (node == head or reads and reads == head.outputs[1].gradient) and has_site(node) then return true end
  end
  return false
end

-- The node that makes each row's loss, or nil.
local function node_of_loss(g)
  for _, node in ipairs(g.nodes) do
    if node.op.loss == "rows" then return node end
  end
  return nil
end

-- Divides the LM head into row blocks, so that logits are never held for more than one: logits =
-- matmul(x, w), the loss, dlogits, dx and dw. Evaluations run it up to the losses; in training the
-- backward pass computes its own logits and runs all of it.
local function divide_head(g)
  local position, head
  local loss = node_of_loss(g)
  for i, node in ipairs(g.nodes) do
    if loss and loss.inputs[1].producer == node and node.op.product then position, head = i, node end
  end
  if not head then return end
  local n, logits = head.dims.N, head.outputs[1]
  local rows = drops(g, head) and n or fuse.logits_rows(g.target or { backend = g:backend() }, n, head.dims.O,
    head.dims.C, g.logits_rows or 0)
  local eval = { rows = rows, count = n // rows, id = "eval" }
  local train = { rows = rows, count = n // rows, id = "train" }

  local function shrink(tensor)
    tensor.dims = { rows, tensor.dims[2] }
    return tensor
  end
  local again = graph.tensor(g, "train." .. logits.called, { rows, logits.dims[2] }, { type = logits.type })
  local shrunk = { [shrink(logits)] = true, [again] = true }
  logits.again = again
  local repeated = { op = head.op, inputs = { table.unpack(head.inputs) }, outputs = { again },
    attrs = head.attrs, dims = {}, site = head.site, line = head.line, phase = "backward", epilogue = head.epilogue }
  for letter, size in pairs(head.dims) do repeated.dims[letter] = size end

  head.phase = "loss"
  table.insert(g.nodes, position + 3, repeated) -- after cross_entropy and mean_loss
  for _, node in ipairs(g.nodes) do
    if node.op.loss == "gradient" then
      node.inputs[1] = again
      shrunk[shrink(node.outputs[1])] = true
    end
  end
  for _, node in ipairs(g.nodes) do
    local reads = node.inputs[1]
    if node == head or node == loss then
      run_by_rows(node, eval, shrunk)
    elseif node == repeated or (reads and shrunk[reads] and node.phase == "backward") then
      run_by_rows(node, train, shrunk)
    end
  end
end

-- Optional results that no node reads are not computed.
local function drop_unread(g)
  local used = uses(g)
  for _, node in ipairs(g.nodes) do
    for i, operand in ipairs(node.op.outputs) do
      local tensor = node.outputs[i]
      if tensor and operand.optional and not used[tensor] then
        node.outputs[i] = false
        g.tensors[tensor.name] = nil
      end
    end
  end
end

function fuse.run(g)
  fuse_pointwise(g)
  if g:backend() == "cpu" then
    fuse_gatings(g)
    fuse_bias_grads(g)
  else
    fuse_prologues(g)
  end
  divide_head(g)
  drop_unread(g)
end

return fuse
