-- attention: causal softmax attention of H heads, read from qkv (N, 3C) and written to y (N, C).
-- lse (H, N) is each row's log of the sum of exponentials, from which the backward pass recomputes
-- the weights. `site` is the first of its dropout sites; 0 without dropout.
--
-- With KV, neighbouring heads share their keys and values: of qkv (N, (H + 2 KV) D), H heads of queries, then KV of
-- keys and KV of values, head h reads those of h / (H / KV). Without (0) each head has its own, and there is no KV.
--
-- With `window` = W, query t sees keys t - W ... t, W + 1 with itself, and blocks of keys outside are never touched;
-- without (0) it sees all keys up to t, and there is no W. With `cap` (0: no), scores are cap * tanh(score / cap).
local function check(d, attrs)
  d.H, d.T = attrs.H, attrs.T
  if attrs.window > 0 then
    if attrs.window >= attrs.T - 1 then return ("a window of %d holds all of T = %d"):format(attrs.window, attrs.T) end
    d.W = attrs.window
  end
  if attrs.KV > 0 then
    local heads = d.H + 2 * attrs.KV
    if d.H % attrs.KV ~= 0 then return ("KV = %d does not divide H = %d"):format(attrs.KV, d.H) end
    if d.E % heads ~= 0 then return ("qkv has %d columns, not those of %d heads"):format(d.E, heads) end
    d.KV, d.C = attrs.KV, d.E // heads * d.H
  else
    d.C = d.E // 3
    if d.E ~= 3 * d.C then return ("qkv has %d columns, not three times a width"):format(d.E) end
    if d.C % d.H ~= 0 then return ("H = %d does not divide C = %d"):format(d.H, d.C) end
  end
  d.D, d.B = d.C // d.H, d.N // d.T
  if d.N ~= d.B * d.T and not d.Two then return ("T = %d does not divide N = %d"):format(d.T, d.N) end
  return nil
end

-- FLOP of one product of the queries with the keys that each sees: the causal half of the T x T square, or the band
-- of a window in it. There are two products forward and five backward.
local function product(d)
  local hidden = d.W and (d.T - d.W) * (d.T - d.W - 1) or 0 -- twice the pairs before the window
  return d.B * d.H * (d.T * (d.T + 1) - hidden) * d.D
end

local function words(attrs)
  local list = {}
  if attrs.window > 0 then list[1] = "w" end
  if attrs.cap > 0 then list[#list + 1] = ("cap%g"):format(attrs.cap) end
  return list
end

-- Whether CUDA computes heads of this size on tensor cores (templates/cuda/attention.cu).
local function on_tensor_cores(d) return d.D % 8 == 0 and d.D <= 128 end

-- Whether the config asks for Hopper's own kernels, and they support this attention: a head's size for tensor cores, no
-- groups, no cap.
local function on_hopper(target, d, attrs)
  return target.attention == "hopper" and (d.D == 64 or d.D == 128) and not d.KV and attrs.cap == 0
end

-- Which template: on CUDA, plain multiply-adds if tensor cores cannot be used, or Hopper's own kernels if they are
-- asked for and support this head size.
local function variant(pass)
  return function(target, d, attrs)
    if target.backend ~= "cuda" then return nil end
    if target.elem == "f32" or not on_tensor_cores(d) then
      return { "attention_fma", "attention_fma" .. pass }
    end
    return on_hopper(target, d, attrs) and { "attention_hopper", "attention_hopper" .. pass,
      header = "runtime/kernel/hopper.cuh" } or nil
  end
end

-- What a group of the tiles of 128 keys of a (batch, head) costs in backward, of `count` that take them in turn, back
-- and forth, in tiles of 128 x 128 scores: a tile of keys costs one for each tile of queries that sees it, at most
-- `seeing`, and half of one to start; times the heads that share the keys.
local function group_cost(tiles, seeing, share, group, count)
  local cost = 0
  for round = 0, (tiles - 1) // count do
    local tile = round * count + (round % 2 == 0 and group or count - 1 - group)
    if tile < tiles then cost = cost + share * math.min(seeing, tiles - tile) + 0.5 end
  end
  return cost
end

-- How many tiles of 128 queries see one of 128 keys, at most, of `tiles`.
local function tiles_seeing(d, tiles) return d.W and math.min(tiles, (d.W + 127) // 128 + 1) or tiles end

-- What it costs to add up the dQ of groups.
local function sum_cost(heads, count, T) return count > 1 and 0.5 + heads * count * T * 1e-5 or 0 end

-- Hopper's thread blocks, one for each multiprocessor, take heads in turn. The heads that are left when each has had as
-- many as all can have would keep few of them busy: their tiles of keys are divided into groups, of which one block
-- takes several. Returns how many groups, how many heads are whole, and which part of the blocks' time is work.
local function hopper_cut(d)
  local heads, tiles = d.B * d.H, (d.T + 127) // 128
  local rest, seeing = heads % d.sms, tiles_seeing(d, tiles)
  local groups, least = 1, rest > 0 and math.huge or 0
  for count = 1, rest > 0 and tiles or 0 do
    local loads, heaviest = {}, 0
    for unit = 0, rest * count - 1 do
      local block = unit % d.sms
      loads[block] = (loads[block] or 0) + group_cost(tiles, seeing, 1, unit // rest, count)
      heaviest = math.max(heaviest, loads[block])
    end
    local cost = heaviest + sum_cost(rest, count, d.T)
    if cost < least then groups, least = count, cost end
  end
  local head = group_cost(tiles, seeing, 1, 0, 1)
  return groups, groups > 1 and heads - rest or heads, heads * head / (d.sms * (heads // d.sms * head + least))
end

-- How many floats of workspace backward needs on CUDA, into how many groups it divides the tiles of 128 keys of a
-- (batch, head), and, of Hopper's, what hopper_cut returns further. The workspace holds delta (H, N) and, on tensor
-- cores, a dQ (T, D) in float, padded to whole tiles, for each multiprocessor or, with more than one group, for each
-- group. Hopper's holds lse and delta, padded to whole tiles, and a dQ for each multiprocessor and each group of a
-- divided head.
local function workspace(d, target, attrs)
  local statistics = d.H * d.N
  if not on_tensor_cores(d) or target.elem == "f32" then return statistics, 1 end
  if on_hopper(target, d, attrs) then
    local rows = d.D == 64 and 128 or 64 -- of a tile
    local width = (d.T + rows - 1) // rows * rows
    local heads, groups, whole, busy = d.B * d.H, hopper_cut(d)
    local slots = math.min(whole, d.sms) + (heads - whole) * groups
    return heads * width * 2 + slots * width * d.D, groups, whole, busy
  end
  -- A thread block takes the heads that share their keys and values, one after another, and keeps a dQ of each.
  local heads, tiles, share = d.B * (d.KV or d.H), (d.T + 127) // 128, d.KV and d.H // d.KV or 1
  local dq = (d.T + 63) // 64 * 64 * ((d.D + 63) // 64 * 64) * share
  local groups, least, seeing = 1, math.huge, tiles_seeing(d, tiles)
  for count = 1, tiles do
    local heaviest = 0
    for group = 0, count - 1 do heaviest = math.max(heaviest, group_cost(tiles, seeing, share, group, count)) end
    local cost = (heads * count + d.sms - 1) // d.sms * heaviest + sum_cost(heads * share, count, d.T)
    if cost < least then groups, least = count, cost end
  end
  return statistics + dq * (groups > 1 and heads * groups or math.min(heads, d.sms)), groups
end

local attention = {
  name = "attention",
  inputs = { { "qkv", "N E" } },
  outputs = { { "y", "N C" }, { "lse", "H N", optional = true, type = "f32" } },
  attrs = { T = false, H = false, KV = 0, window = 0, cap = 0.0, scale = false, site = 0 },
  quiet = { KV = true, window = true, cap = true },
  words = words,
  derive = check,
  template = { "attention", "attention" },
  rounds = 1,
  factors = true,
  variant = variant(""),
  named_by = { "B", "T", "H", "D", "KV", "W" },
  common = "heads",
  scratch = true,
  flops = function(d) return 2 * product(d) end,
}

function attention.backward(g, node, dy)
  local qkv = node.inputs[1]
  local y, lse = table.unpack(node.outputs)
  return g:append("attention_backward", { "d." .. qkv.called }, { dy, qkv, y, lse }, node.attrs)
end

local attention_backward = {
  name = "attention_backward",
  inputs = { { "dy", "N C" }, { "qkv", "N E" }, { "y", "N C" }, { "lse", "H N" } },
  outputs = { { "dqkv", "N E" } },
  attrs = { T = false, H = false, KV = 0, window = 0, cap = 0.0, scale = false, site = 0 },
  quiet = { KV = true, window = true, cap = true },
  words = words,
  derive = check,
  template = { "attention", "attention_backward" },
  rounds = 2,
  factors = true,
  variant = variant("_backward"),
  workspace = workspace,
  named_by = { "B", "T", "H", "D", "KV", "W" },
  common = "heads",
  scratch = true,
  flops = function(d) return 5 * product(d) end,
}

-- attention_decode: the sampler's attention. Appends the rows' keys and values to the cache, two planes of (S, K), with
-- K the columns of all heads of keys, and attends to all that it holds. S is above T: keys lie in whole panels of
-- PANEL, and values are read in whole tiles, beyond the last row. Where memory is short, `tight`, it is T in whole
-- panels, and what is read beyond the last value, less than a tile, is what lies behind the cache in its arena.
local PANEL = 32
local function tight_rows(T) return (T + PANEL - 1) // PANEL * PANEL end
local function cache_rows(T) return (T // PANEL + 2) * PANEL end

local attention_decode = {
  name = "attention_decode",
  inputs = { { "qkv", "N E" }, { "cache", "Two S K" } },
  outputs = { { "y", "N C" } },
  attrs = { T = false, H = false, KV = 0, window = 0, cap = 0.0, scale = false },
  quiet = { KV = true, window = true, cap = true },
  words = words,
  derive = function(d, attrs)
    if d.S ~= cache_rows(attrs.T) and d.S ~= tight_rows(attrs.T) then
      return ("the cache has %d rows; for T = %d it needs %d"):format(d.S, attrs.T, cache_rows(attrs.T))
    end
    local problem, wanted = check(d, attrs), (d.KV or d.H) * d.D
    if problem or d.K == wanted then return problem end
    return ("the cache has %d columns; the keys have %d"):format(d.K, wanted)
  end,
  template = { "attention_decode", "attention_decode" },
  named_by = { "T", "H", "D", "KV", "W" },
  state = function(d) return { 2, (d.tight and tight_rows or cache_rows)(d.T), d.K } end,
  panel = PANEL,
  decode_only = true,
  takes_runs = true,
  gives_weights = true,
  flops = function(d) return 4 * d.N * (d.W and d.W + 1 or d.T) * d.C end,
}

return { attention, attention_backward, attention_decode }
