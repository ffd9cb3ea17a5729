-- floor: how fast a CUDA training step could be at given rates: each kernel's FLOP and bytes, the
-- larger of the two times, how often it runs, and the sum. It only computes and measures nothing.
--
--   lua5.4 tests/bench/floor.lua [--NAME=NUMBER ...] CONFIG.lua [key=value ...]    one config's kernels
--   lua5.4 tests/bench/floor.lua --all                                             the tables of README.md
--   lua5.4 tests/bench/floor.lua --sizes CONFIG.lua [key=value ...]                its sizes, as JSON
--
-- --NAME=NUMBER sets one of `rates`. Letters as everywhere: B batch, T context, N = B T rows, C width, L layers,
-- H heads, D head size, F feed-forward width, V vocabulary; A micro-steps in an update.
package.path = "./?.lua;" .. package.path
local config = require("gen.config.load")
local schema = require("gen.config.schema")
local fuse = require("gen.passes.fuse")
local op = require("gen.ir.op")
local cost = require("gen.sweep.cost")
local muon = require("gen.emit.muon")
local assumed = require("gen.ranks.rates")

-- TFLOP/s of products and of causal attention (half the square counted), TB/s of memory, the dense bf16 peak that
-- MFU is a share of, the device's memory and multiprocessors, and microseconds lost between two kernels.
local rates = {
  product = 790, memory = assumed.memory, attention = 380, attention_backward = 300, peak = assumed.peak,
  gigabytes = assumed.gigabytes, sms = 132, gap = 0,
}
local attention_kinds = {
  { name = "Hopper", attention = 380, attention_backward = 300 },
  { name = "mma.sync", attention = 200, attention_backward = 140 },
}

local TOKENS = 524288      -- in an update, except shakespeare_char's
local TILE = { 128, 256 }  -- of a large product's output, for one thread block
local ACT, F32 = 2, 4      -- bytes of an activation (bf16), and of a parameter, gradient or moment

local function padded(count, to) return (count + to - 1) // to * to end
local function divided(a, b) return (a + b - 1) // b end

-- ---- sizes ---------------------------------------------------------------------------------------

-- The matrices of a layer, { rows, columns }, as files have them: Muon takes each by itself.
local function matrices_of(c, d)
  local query, key = d.H * d.D, d.KV * d.D
  local names = c.tensor_names
  local list = names == "nanogpt" and { { d.QKV, d.C } } or { { query, d.C }, { key, d.C }, { key, d.C } }
  list[#list + 1] = { d.C, query }
  local apart = names == "llama" and d.gated
  list[#list + 1] = { apart and d.F or d.FC, d.C }
  if apart then list[#list + 1] = { d.F, d.C } end
  list[#list + 1] = { d.C, d.F }
  return list
end

-- The sizes of a checked config, with parameters counted in both ways.
local function sizes_of(c)
  local d = { name = c.name, B = c.batch_size, T = c.block_size, C = c.n_embd, L = c.n_layer, H = c.n_head,
    D = c.head_width, KV = c.kv_heads, F = c.ff_width, V = c.vocab_size, A = c.gradient_accumulation_steps,
    tied = c.tie_weights, qkv_bias = c.qkv_bias, attn_bias = c.has_attn_bias, mlp_bias = c.has_mlp_bias,
    dropout = c.has_dropout, activation = c.activation, gated = c.gated, norm = c.norm, embd_norm = c.embd_norm,
    rope = c.pos == "rope", qk_norm = c.qk_norm ~= "none" }
  assert(c.model == "gpt", "floor: a GPT alone")
  d.N, d.V_LD = d.B * d.T, padded(d.V, 128)
  -- Those that are held at a time.
  d.logits_rows = fuse.logits_rows({ backend = "cuda", sms = rates.sms }, d.N, d.V, d.C, c.logits_rows)
  -- A norm of any kind: y and its statistics of x, a scale and, of some, a shift.
  local norm = op.all()[c.norm_gain and c.norm or "rmsnorm_plain"]
  d.statistics = #norm.outputs - 1
  local norm_params = c.norm_gain and d.C * (#norm.inputs == 3 and c.bias and 2 or 1) or 0
  d.QKV, d.FC = (d.H + 2 * d.KV) * d.D, (d.gated and 2 or 1) * d.F -- columns of two products
  d.matrices = matrices_of(c, d)
  d.in_matrices = 0
  for _, m in ipairs(d.matrices) do d.in_matrices = d.in_matrices + d.L * m[1] * m[2] end
  local layer = 2 * norm_params + (c.qk_norm == "gain" and 2 * d.D or 0)
  if d.qkv_bias then layer = layer + d.QKV end
  if d.attn_bias then layer = layer + d.C end
  if d.mlp_bias then layer = layer + d.C + d.FC end
  local tables = d.V * d.C * (d.tied and 1 or 2) + (c.lm_head_bias and d.V or 0)
  local positions = c.pos == "learned" and d.T * d.C or 0
  d.positions = positions
  d.params = tables + positions + d.in_matrices + d.L * layer + norm_params * (d.embd_norm and 2 or 1)
  d.muon = c.optimizer == "muon"
  -- nanoGPT, model.py: all parameters but wpe, and the whole attention square.
  d.flop_nanogpt = 6 * (d.params - positions) + 12 * d.H * d.D * c.attended
  -- llm.c, train_gpt2.cu: all parameters, wpe and the padding of the vocabulary among them, and half the square.
  d.flop_llmc = 6 * (d.params + (d.V_LD - d.V) * d.C * (d.tied and 1 or 2)) + 6 * d.H * d.D * c.attended
  -- Pairs of a query and a key that it sees, in all layers.
  d.pairs = 0
  for i = 0, d.L - 1 do
    local seen = c.windows[i] > 0 and c.windows[i] + 1 or d.T
    d.pairs = d.pairs + seen * (seen + 1) // 2 + (d.T - seen) * seen
  end
  return d
end

-- ---- kernels -------------------------------------------------------------------------------------

-- The kernels of one micro-step, in order of first use, each { name, calls, flop, bytes, rate, tiles, forward }; flop
-- and bytes are those of one call, and calls may be a fraction, since the last two kernels run once in A micro-steps.
local function kernels_of(d)
  local list = {}
  local N, C, F, L = d.N, d.C, d.F, d.L
  local row = N * C * ACT -- bytes of one (N, C) tensor
  -- Bytes of a float gradient, which is written, and read in all micro-steps but the first.
  local function gradient(count) return count * F32 * (1 + (d.A - 1) / d.A) end

  local function add(name, calls, fields)
    fields.name, fields.calls = name, calls
    fields.flop, fields.bytes = fields.flop or 0, fields.bytes or 0
    list[#list + 1] = fields
  end
  local function product(name, calls, rows, inner, cols, bytes, forward)
    add(name, calls, { flop = 2 * rows * inner * cols, bytes = bytes, rate = "product", forward = forward,
      tiles = divided(rows, TILE[1]) * divided(cols, TILE[2]), rows = rows, cols = cols })
  end
  -- y (N, O) = x (N, I) w^T; the store reads and writes another `more` columns.
  local function linear(name, I, O, more)
    product("matmul " .. name, L, N, I, O, (N * (I + O + more) + I * O) * ACT, true)
  end
  local function linear_backward(name, I, O, more)
    product("matmul_dx " .. name, L, N, O, I, (N * (I + O + more) + I * O) * ACT)
    product("matmul_dw " .. name, L, O, N, I, N * (I + O) * ACT + gradient(I * O))
  end
  -- What is done with queries, keys and values one after another, so many tensors of them read and written.
  local function heads(name, tensors, forward)
    add(name, L, { bytes = tensors * N * d.QKV * ACT, forward = forward })
  end

  local fused = d.activation == "gelu_tanh" -- cuBLASLt's epilogue; other activations are a separate kernel
  local residual = d.dropout and 0 or C     -- read by the product's store, else by the norm
  local V_rows = math.min(d.V, N)           -- rows of wte that a batch can touch
  add("embed", 1, { bytes = row + V_rows * C * F32 + d.positions * F32, forward = true })
  -- With dropout on the residual branch all norms but the first add it: they read two tensors and write two.
  local plain = (d.dropout and 1 or 2 * L + 1) + (d.embd_norm and 1 or 0)
  add(d.norm, plain, { bytes = 2 * row, forward = true, family = "norms" })
  if d.dropout then
    add(d.norm .. " after dropout and residual", 2 * L, { bytes = 4 * row, forward = true, family = "norms" })
  end
  linear("qkv", C, d.QKV, 0)
  if d.rope then heads("rope", 2, true) end
  if d.qk_norm then heads("qk_norm", 2, true) end
  -- Two products over what is seen of the square; five backward.
  local half, attended = 2 * d.B * d.H * d.D * d.pairs / L, N * d.H * d.D * ACT
  add("attention", L, { flop = 2 * half, bytes = N * d.QKV * ACT + attended + N * d.H * F32, rate = "attention",
    forward = true })
  linear("attention out", d.H * d.D, C, residual)
  linear("fc" .. (fused and ", gelu" or ""), C, d.FC, fused and F or 0)
  if not fused then add(d.activation, L, { bytes = N * (d.FC + F) * ACT, forward = true }) end
  linear("mlp out", F, C, residual)

  -- The head: row blocks, each with four kernels; dlogits overwrite the logits. Evaluations read logits once.
  local rows, blocks = d.logits_rows, N // d.logits_rows
  local logits, x, w = rows * d.V_LD * ACT, rows * C * ACT, d.V_LD * C
  product("matmul logits", blocks, rows, C, d.V_LD, x + logits + w * ACT, true)
  add("cross_entropy_backward", blocks, { bytes = 2 * logits })
  product("matmul_dx logits", blocks, rows, d.V_LD, C, x + logits + w * ACT)
  -- dwte is read by all row blocks but the first of an update.
  product("matmul_dw logits", blocks, d.V_LD, rows, C, x + logits + w * F32 * (2 - 1 / (blocks * d.A)))

  -- dy and x in, dx out; within the layers the residual's gradient is read too, and dropout writes a second dx.
  local keep = d.dropout and 1 or 0
  add(d.norm .. "_backward ln_f", 1, { bytes = (3 + keep) * row, family = "norms" })
  linear_backward("mlp out", F, C, fused and F or 0)
  if not fused then add(d.activation .. "_backward", L, { bytes = N * (2 * d.FC + F) * ACT }) end
  linear_backward("fc", C, d.FC, 0)
  add(d.norm .. "_backward", 2 * L, { bytes = (4 + keep) * row, family = "norms" })
  linear_backward("attention out", d.H * d.D, C, 0)
  add("attention_backward", L, { flop = 5 * half, bytes = 2 * N * d.QKV * ACT + 2 * attended + 2 * N * d.H * F32,
    rate = "attention_backward" })
  if d.qk_norm then heads("qk_norm_backward", 3) end
  if d.rope then heads("rope_backward", 2) end
  linear_backward("qkv", C, d.QKV, 0)
  local biases = (d.attn_bias and L or 0) + (d.mlp_bias and L or 0)
  if biases > 0 then add("bias_grad", biases, { bytes = row }) end
  if d.mlp_bias then add("bias_grad fc", L, { bytes = N * d.FC * ACT }) end
  if d.qkv_bias then add("bias_grad qkv", L, { bytes = N * d.QKV * ACT }) end
  if d.embd_norm then add(d.norm .. "_backward ln_0", 1, { bytes = (3 + keep) * row, family = "norms" }) end
  local dwte = d.tied and 2 * V_rows * C * F32 or gradient(d.V * C)
  add("embed_backward", 1, { bytes = row + dwte + gradient(d.positions) })

  add("norm of the gradients", 1 / d.A, { bytes = d.params * F32 })
  -- AdamW reads p, g, m, v; writes p, m, v and the bf16 image.
  add("update", 1 / d.A, { bytes = (d.params - (d.muon and d.in_matrices or 0)) * (7 * F32 + ACT) })
  if d.muon then
    -- Gradients and momenta are read twice, momenta written once; X is written, then read; the parameters are read and
    -- written, with their image. Five steps of three products, which read and write X and squares of its short side. Of
    -- the two symmetric ones only some is computed (muon.blocks), and the rest copied: read and written.
    add("muon, all but products", 1 / d.A, { bytes = d.in_matrices * (7 * F32 + 3 * ACT), family = "norm, update" })
    for _, m in ipairs(d.matrices) do
      local short, long = math.min(m[1], m[2]), math.max(m[1], m[2])
      local whole, square = short * long * ACT, short * short * ACT
      local computed = muon.computed(short)
      local copied = 0
      for _, block in ipairs(muon.blocks(short)) do copied = copied + block.rows * block.from end
      add(("muon %d x %d"):format(m[1], m[2]), 5 * L / d.A, {
        flop = 2 * short * short * long + 2 * computed * (long + short),
        bytes = 4 * whole + 5 * square - 2 * (short * short - computed) * ACT + 4 * copied * ACT, rate = "product",
        family = "muon's products" })
    end
  end
  return list
end

-- Milliseconds of one call, and what limits it: "FLOP" or "bytes".
local function time_of(k, at)
  local compute = k.rate and k.flop / (at[k.rate] * 1e9) or 0
  local memory = k.bytes / (at.memory * 1e9)
  return math.max(compute, memory) + at.gap / 1e3, compute >= memory and "FLOP" or "bytes"
end

-- ---- memory --------------------------------------------------------------------------------------

-- About how many bytes a step without recompute takes: what plan.lua has to place, with only the sharing shown here.
local function memory_of(d)
  local row = d.N * d.C * ACT
  local states = 4 * F32 * d.params + ACT * d.params -- parameters, gradients, two moments; the bf16 image
  -- Kept of a layer: x, ln_1, qkv (3), attention, x_mid, ln_2, fc and its activation; statistics and lse.
  local F = d.F / d.C
  local layer = (8 + 2 * F) * row + d.N * (2 * d.statistics + d.H) * F32
  local head = d.logits_rows * d.V_LD * ACT + 2 * row
  -- Alive at once in the backward pass: the residual's gradient, an incoming one, and the widest pair of a layer's.
  local working = (2 + F) * row
  local total = states + d.L * layer + head + working
  local workspace = cost.workspace(total)
  return { states = states, activations = d.L * layer + head + working, workspace = workspace,
    total = total + workspace }
end

-- ---- sums ----------------------------------------------------------------------------------------

local families = {
  { "layer products", "^matmul" }, { "attention", "^attention$" }, { "attention_backward", "^attention_backward" },
  { "cross-entropy", "^cross_entropy" }, { "embedding", "^embed" }, { "norm, update", "^norm" },
  { "norm, update", "^update" }, { "bias gradients", "^bias" },
}

local function family_of(k)
  if k.family then return k.family end
  if k.name:find("^matmul.*logits") then return "head products" end
  for _, pair in ipairs(families) do
    if k.name:find(pair[2]) then return pair[1] end
  end
  return "activation"
end

local function sum_of(d, at)
  local s = { ms = 0, forward = 0, launches = 0, families = {} }
  for _, k in ipairs(kernels_of(d)) do
    local ms = time_of(k, at) * k.calls
    s.ms, s.launches = s.ms + ms, s.launches + k.calls
    if k.forward then s.forward = s.forward + ms end
    local family = family_of(k)
    s.families[family] = (s.families[family] or 0) + ms
  end
  -- An evaluation's cross-entropy only reads the logits.
  s.forward = s.forward + d.N * d.V_LD * ACT / (at.memory * 1e9)
  s.tokens_per_s = d.N / s.ms * 1e3
  s.mfu_llmc = 100 * d.flop_llmc * s.tokens_per_s / (at.peak * 1e12)
  s.mfu_nanogpt = 100 * d.flop_nanogpt * s.tokens_per_s / (at.peak * 1e12)
  return s
end

-- ---- text ----------------------------------------------------------------------------------------

local function thousands(x)
  local text = ("%.0f"):format(x):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (text:gsub("^,", ""))
end

local function print_kernels(d, at)
  local s = sum_of(d, at)
  print("| kernel | calls | GFLOP | MB | waves | held by | µs a call | ms | share |")
  print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
  for _, k in ipairs(kernels_of(d)) do
    local ms, by = time_of(k, at)
    local calls = k.calls < 1 and ("1/%d"):format(d.A) or ("%d"):format(math.ceil(k.calls))
    print(("| %s | %s | %s | %.1f | %s | %s | %.1f | %.2f | %.1f%% |"):format(k.name, calls,
      k.flop > 0 and ("%.1f"):format(k.flop / 1e9) or "", k.bytes / 1e6,
      k.tiles and ("%.2f"):format(k.tiles / at.sms) or "", by, ms * 1e3, ms * k.calls, 100 * ms * k.calls / s.ms))
  end
  print(("| **a micro-step of %s tokens** | %d | | | | | | **%.2f** | |"):format(thousands(d.N),
    math.ceil(s.launches), s.ms))
end

local function print_facts(d, at)
  local s, m = sum_of(d, at), memory_of(d)
  print(("%s: %s parameters; B = %d, T = %d, L = %d, H = %d, D = %d, C = %d, V = %d; %d x %s tokens an update.")
    :format(d.name, thousands(d.params), d.B, d.T, d.L, d.H, d.D, d.C, d.V, d.A, thousands(d.N)))
  print(("An update %.1f ms, %s tokens/s; MFU %.1f%% (llm.c: %.2f MFLOP a token), %.1f%% (nanoGPT: %.2f).")
    :format(s.ms * d.A, thousands(s.tokens_per_s), s.mfu_llmc, d.flop_llmc / 1e6, s.mfu_nanogpt,
      d.flop_nanogpt / 1e6))
  print(("Memory without recompute about %.1f GB of %d: parameters, gradients, moments, image %.1f; activations %.1f.")
    :format(m.total / 1e9, at.gigabytes, m.states / 1e9, m.activations / 1e9))
end

-- ---- tables --------------------------------------------------------------------------------------

-- The configs of the tables, each with its micro-batch.
local asked = {
  { "gpt2", 64 }, { "gpt2_medium", 64 }, { "gpt2_xl", 32 }, { "shakespeare_char", 64 },
}

local function load(path, assignments)
  return sizes_of(config.load({ path }, assignments))
end

local function sizes_at(name, batch, activation)
  local block = config.load({ "configs/" .. name .. ".lua" }).block_size
  local words = { "batch_size=" .. batch, "activation=" .. activation }
  if name ~= "shakespeare_char" then
    words[3] = "gradient_accumulation_steps=" .. math.max(1, TOKENS // (batch * block))
  end
  return load("configs/" .. name .. ".lua", words)
end

local function at_kind(kind)
  return setmetatable({ attention = kind.attention, attention_backward = kind.attention_backward },
    { __index = rates })
end

local function print_summary()
  print("| config | B | activation | attention | ms a micro-step | ms an update | tokens/s | MFU, llm.c | nanoGPT |")
  print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
  for _, pair in ipairs(asked) do
    for _, activation in ipairs({ "gelu_tanh", "gelu_erf" }) do
      for _, kind in ipairs(attention_kinds) do
        local d = sizes_at(pair[1], pair[2], activation)
        local s = sum_of(d, at_kind(kind))
        print(("| %s | %d | %s | %s | %.2f | %.1f | %s | %.1f%% | %.1f%% |"):format(d.name, d.B, activation,
          kind.name, s.ms, s.ms * d.A, thousands(s.tokens_per_s), s.mfu_llmc, s.mfu_nanogpt))
      end
    end
  end
end

local function print_families()
  local names = { "layer products", "head products", "attention", "attention_backward", "norms",
    "cross-entropy", "embedding", "norm, update" }
  print("| config, attention | " .. table.concat(names, " | ") .. " | sum | launches |")
  print(("| --- "):rep(#names + 3) .. "|")
  for _, pair in ipairs(asked) do
    for _, kind in ipairs(attention_kinds) do
      local s = sum_of(sizes_at(pair[1], pair[2], "gelu_tanh"), at_kind(kind))
      local words = {}
      for i, name in ipairs(names) do words[i] = ("%.2f"):format(s.families[name] or 0) end
      print(("| %s, %s | %s | %.2f | %d |"):format(pair[1], kind.name, table.concat(words, " | "), s.ms,
        math.ceil(s.launches)))
    end
  end
end

local function print_memory()
  print("| config | B | states | activations | sum, GB | fits in " .. rates.gigabytes .. " |")
  print("| --- | --- | --- | --- | --- | --- |")
  for _, pair in ipairs(asked) do
    for _, batch in ipairs({ 16, 32, 64, 128 }) do
      local m = memory_of(sizes_at(pair[1], batch, "gelu_tanh"))
      print(("| %s | %d | %.1f | %.1f | %.1f | %s |"):format(pair[1], batch, m.states / 1e9, m.activations / 1e9,
        m.total / 1e9, m.total < rates.gigabytes * 1e9 and "yes" or "no"))
    end
  end
end

-- Milliseconds of one call of a product in whole waves of large tiles, where the last wave of thread blocks takes as
-- long as a full one; its inner sum is split among as many thread blocks as is best, whose partial sums, in float, must
-- fit in the workspace, and are written and read.
local function in_waves(k, workspace)
  local plain, least = time_of(k, rates), math.huge
  local slice = k.rows * k.cols * F32
  for slices = 1, math.max(1, workspace // slice) do
    local waves = k.tiles * slices / rates.sms
    local ms = math.max(plain, k.flop / (rates.product * 1e9) * math.ceil(waves) / waves)
    if slices > 1 then ms = ms + 2 * slices * slice / (rates.memory * 1e9) end
    least = math.min(least, ms)
  end
  return least
end

-- A micro-step's products in whole waves, without splits and with those that a workspace allows.
local function print_waves()
  local small, large = table.unpack(cost.workspaces)
  local kinds = { { "y", "layers: y and dx" }, { "dw", "layers: dw" }, { "head", "head" } }
  local head = "| config |"
  for _, kind in ipairs(kinds) do
    head = head .. (" %s | in whole waves | split, 32 MiB | split, 256 MiB |"):format(kind[2])
  end
  print(head)
  print(("| --- "):rep(13) .. "|")
  for _, pair in ipairs(asked) do
    local sums = { y = { 0, 0, 0, 0 }, dw = { 0, 0, 0, 0 }, head = { 0, 0, 0, 0 } }
    for _, k in ipairs(kernels_of(sizes_at(pair[1], pair[2], "gelu_tanh"))) do
      if k.tiles then
        local family = k.name:find("logits", 1, true) and "head" or k.name:find("^matmul_dw") and "dw" or "y"
        for i, ms in ipairs { time_of(k, rates), in_waves(k, 0), in_waves(k, small), in_waves(k, large) } do
          sums[family][i] = sums[family][i] + k.calls * ms
        end
      end
    end
    local line = "| " .. pair[1] .. " |"
    for _, kind in ipairs(kinds) do
      for _, ms in ipairs(sums[kind[1]]) do line = line .. (" %.2f |"):format(ms) end
    end
    print(line)
  end
end

-- Which part of the multiprocessors' time is work in Hopper's backward attention, where a thread block takes whole
-- heads one after another, and as it is divided (gen/ops/attention.lua).
local function print_heads()
  print("| config | B | heads | busy, all whole | divided | into groups | busy |")
  print(("| --- "):rep(7) .. "|")
  local backward = op.all().attention_backward
  for _, pair in ipairs { { "gpt2", 12 }, { "gpt2", 64 }, { "gpt2_medium", 64 }, { "gpt2_xl", 32 },
    { "shakespeare_char", 64 } } do
    local d = sizes_at(pair[1], pair[2], "gelu_tanh")
    d.sms, d.KV = rates.sms, nil -- as many as heads
    local heads = d.B * d.H
    local _, groups, whole, busy = backward.workspace(d, { elem = "bf16", attention = "hopper" }, { cap = 0 })
    print(("| %s | %d | %d | %.0f%% | %d | %d | %.0f%% |"):format(pair[1], pair[2], heads,
      100 * heads / (divided(heads, d.sms) * d.sms), heads - whole, groups, 100 * busy))
  end
end

-- The rate that all products together need for a share of the peak by llm.c's formula, with all else at its floor.
local targets = { { "gpt2", 64, 52, 60 }, { "gpt2_medium", 64, 53, 60 }, { "gpt2_xl", 32, 57, 62 } }

local function print_needed()
  print("| config | activation | attention | for | ms a micro-step | less all but products | TFLOP/s of the products |")
  print(("| --- "):rep(7) .. "|")
  for _, target in ipairs(targets) do
    for _, activation in ipairs({ "gelu_tanh", "gelu_erf" }) do
      for i, kind in ipairs({ attention_kinds[2], attention_kinds[1] }) do -- required of the one, wanted of the other
        local d, share = sizes_at(target[1], target[2], activation), target[2 + i]
        local flop = 0
        for _, k in ipairs(kernels_of(d)) do
          if k.rate == "product" then flop = flop + k.flop * k.calls end
        end
        local s = sum_of(d, at_kind(kind))
        local ms = d.N * d.flop_llmc / (share / 100 * rates.peak * 1e9)
        local left = ms - (s.ms - s.families["layer products"] - s.families["head products"])
        print(("| %s | %s | %s | %d%% | %.1f | %.1f | %.0f |"):format(d.name, activation, kind.name, share, ms, left,
          flop / left / 1e9))
      end
    end
  end
end

-- shakespeare_char's whole run: its iterations, and evaluations of both splits at 0, eval_interval, …, max_iters.
local function print_run()
  local c = config.load({ "configs/shakespeare_char.lua" })
  local passes = (c.max_iters // c.eval_interval + 1) * 2 * c.eval_iters
  print("| activation | attention | ms a step | steps, s | ms a forward pass | evaluations, s | sum, s |")
  print("| --- | --- | --- | --- | --- | --- | --- |")
  for _, activation in ipairs({ "gelu_tanh", "gelu_erf" }) do
    for _, kind in ipairs(attention_kinds) do
      local s = sum_of(sizes_at(c.name, c.batch_size, activation), at_kind(kind))
      local steps, evaluations = s.ms * c.max_iters / 1e3, s.forward * passes / 1e3
      print(("| %s | %s | %.2f | %.1f | %.2f | %.1f | %.1f |"):format(activation, kind.name, s.ms, steps,
        s.forward, evaluations, steps + evaluations))
    end
  end
end

local function print_all()
  local function head(text) print(("\n### %s\n"):format(text)) end
  head("Steps")
  print_summary()
  head("Where the time goes: ms a micro-step, gelu_tanh")
  print_families()
  head("How fast the products have to be")
  print_needed()
  head("Products in whole waves: ms a micro-step, tiles of 128 x 256, 132 multiprocessors")
  print_waves()
  head("Hopper's attention_backward: how busy the multiprocessors are")
  print_heads()
  head("Memory without recompute, GB")
  print_memory()
  head("shakespeare_char: 5,000 iterations with evaluations")
  print_run()
  for _, pair in ipairs(asked) do
    for _, activation in ipairs({ "gelu_tanh", "gelu_erf" }) do
      if activation == "gelu_tanh" or pair[1] == "gpt2" then
        local d = sizes_at(pair[1], pair[2], activation)
        head(("%s, B = %d, %s, Hopper attention"):format(pair[1], pair[2], activation))
        print_facts(d, rates)
        print()
        print_kernels(d, rates)
      end
    end
  end
end

-- A config's sizes for tests/cuda/gpu/, on a machine without Lua.
local function print_sizes(path, assignments)
  local c = config.load({ path }, assignments, { backend = "cuda" })
  local d, text = sizes_of(c), {}
  for _, key in ipairs(schema.keys) do
    local value = c[key.name]
    if type(value) == "number" or type(value) == "boolean" or type(value) == "string" then text[key.name] = value end
  end
  text.name, text.params = c.name, d.params
  text.flop_per_token_nanogpt, text.flop_per_token_llmc = d.flop_nanogpt, d.flop_llmc
  print(require("dkjson").encode(text, { indent = true }))
end

local function main()
  local paths, assignments, mode = {}, {}, "kernels"
  for _, word in ipairs(arg) do
    local name, number = word:match("^%-%-([%w_]+)=([%d.]+)$")
    if word == "--all" or word == "--sizes" then
      mode = word
    elseif name and rates[name] and tonumber(number) then
      rates[name] = tonumber(number)
    elseif word:find("^%-%-") then
      error(("floor: '%s' is not known; wanted --all, --sizes or --NAME=NUMBER with a name of `rates`"):format(word), 0)
    else
      local list = word:find("=", 1, true) and assignments or paths
      list[#list + 1] = word
    end
  end
  if mode == "--all" then return print_all() end
  if not paths[1] then error("floor: no config; name one, as in configs/gpt2.lua, or say --all", 0) end
  if mode == "--sizes" then return print_sizes(paths[1], assignments) end
  local d = load(paths[1], assignments)
  print_facts(d, rates)
  print()
  print_kernels(d, rates)
end

local ok, problem = pcall(main)
if not ok then
  io.stderr:write(type(problem) == "table" and problem.message or tostring(problem), "\n")
  os.exit(type(problem) == "table" and problem.code or 64)
end

