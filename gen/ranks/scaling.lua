-- scaling: what a job of many ranks takes, on paper: memory of a rank, bytes that it sends, a step's time. Each of N
-- ranks has the whole model and a part of a step's sequences. Depends on nothing: what a shape takes is measured by
-- gen/sweep/cost.lua, and rates are those of rates.lua or of the caller.
--
-- A reduce-scatter, or an all-gather, of X bytes goes around a ring, as NCCL's: each rank sends (N - 1)/N X; an
-- all-reduce is both. On several nodes there are as many rings as a node has GPUs, and each leaves the node by another
-- port, so that X travels at NVLink's rate or that of a node's ports together, whichever is less. Latency is not
-- counted.
local scaling = {}

local MOST_GROUPS = 8    -- REDUCE_MOST_CHOSEN of runtime/ranks/reduce.c
local BACKWARD = 2 / 3   -- of a micro-step's time

-- ---- memory -------------------------------------------------------------------------------------

-- The states of a rank of a measured shape: bytes a parameter that each rank has whole and, with ZeRO 1, those that N
-- ranks share out (moments and, where the products of a GPU read an image, the master weights), and all of it in bytes.
function scaling.states(shape, ranks, zero)
  local parts = shape.parts
  local all = parts.weights + parts.gradients + parts.moments + parts.image
  local masters = shape.config.backend == "cuda" and parts.image > 0
  local shared = not zero and 0 or parts.moments + (masters and parts.weights or 0)
  local params = parts.weights / 4
  return { whole = (all - shared) / params, shared = shared / params, bytes = all - shared + shared / ranks }
end

-- In how many groups a CPU's gradients add, and how many gradients a rank keeps beside the one that it computes, or nil
-- if the ranks do not divide the groups, which a trainer refuses: as runtime/ranks/reduce.c has both.
function scaling.groups(groups, micro_steps, ranks)
  if groups == 1 and ranks > 1 then
    while groups < MOST_GROUPS and micro_steps % (2 * groups) == 0 do groups = 2 * groups end
  end
  if groups % ranks ~= 0 then return groups, nil end
  local levels = 0
  while 1 << levels < groups // ranks do levels = levels + 1 end
  return groups, levels
end

-- The micro-steps of a step nearest to `micro_steps` that the ranks divide.
function scaling.micro_steps(micro_steps, ranks)
  return math.max(1, (micro_steps + ranks // 2) // ranks) * ranks
end

-- ---- a step -------------------------------------------------------------------------------------

-- A job of a measured shape of CUDA: micro-steps of a step of the whole job, tokens of one, FLOP and bytes.
function scaling.job(shape, micro_steps)
  local parts, c = shape.parts, shape.config
  return {
    micro_steps = micro_steps, micro_tokens = c.batch_size * c.block_size, sequences = micro_steps * c.batch_size,
    flops = shape.flops_per_token, update_flops = shape.flops_per_update, update_bytes = shape.update_bytes,
    gradients = parts.gradients, weights = parts.image > 0 and parts.image or parts.weights, -- those that travel
  }
end

-- A step on `ranks` GPUs, `each` of them in a node, in seconds: compute, of a rank's forward and backward passes; and
-- in two ways { sent (bytes of a rank, and of a node to others), travel, shown (the travel that nothing hides), update,
-- seconds, tokens_per_s, efficiency (one GPU's time over that of all) }:
--   plain   every rank has all moments, and gradients are summed after the last micro-step, as between CPUs today
--   zero    ZeRO 1: gradients travel during the last backward pass; each rank updates its part, whose weights travel
--           meanwhile
-- With more ranks than micro-steps each has a part of one.
function scaling.step(job, ranks, each, rates)
  local speed, tokens = rates.peak * 1e12 * rates.share / 100, job.micro_steps * job.micro_tokens
  local function passes(count) return count * job.flops / speed end
  local update = job.update_bytes / (rates.memory * 1e12) + job.update_flops / speed
  local link = 1e9 * (ranks > each and math.min(rates.nvlink, each * rates.infiniband) or rates.nvlink)
  local part = (ranks - 1) / ranks
  local compute, one = passes(tokens / ranks), passes(tokens) + update
  local function way(sent, shown, own_update)
    local seconds = compute + shown + own_update
    return { sent = sent, travel = sent / link, shown = shown, update = own_update, seconds = seconds,
      tokens_per_s = tokens / seconds, efficiency = one / (ranks * seconds) }
  end
  local sum, gather = part * job.gradients, part * job.weights
  local backward = BACKWARD * passes(math.min(job.micro_tokens, tokens / ranks))
  local own = update / ranks
  return {
    compute = compute,
    plain = way(2 * sum, 2 * sum / link, update),
    zero = way(sum + gather, math.max(0, sum / link - backward) + math.max(0, gather / link - own), own),
  }
end

-- The most ranks, a power of two, `each` of them in a node, that are at least so efficient in a way, up to one sequence
-- each.
function scaling.most(job, each, rates, way, least)
  local ranks = 1
  while 2 * ranks <= job.sequences and scaling.step(job, 2 * ranks, each, rates)[way].efficiency >= least do
    ranks = 2 * ranks
  end
  return ranks
end

return scaling
