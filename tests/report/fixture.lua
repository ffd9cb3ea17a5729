-- fixture: made-up folders of runs, as the trainer writes them, so that the report can be tested without training. The
-- losses fall, and rise again for wide models; a sampler beside them answers like the real one.
local json = require("dkjson")
local hash = require("gen.config.hash")
local files = require("gen.base.files")

local fixture = {}

local function shell(command)
  assert(os.execute(command), command)
end

local function here()
  local pipe = io.popen("pwd")
  local path = pipe:read("l")
  pipe:close()
  return path
end

-- An empty project in a new folder, with this one's generator and templates; returns its path.
function fixture.project()
  local root = os.tmpname()
  os.remove(root)
  shell(("mkdir -p %s/out %s/build"):format(root, root))
  for _, name in ipairs({ "gen", "templates", "tests" }) do
    shell(("ln -s %s/%s %s/%s"):format(here(), name, root, name))
  end
  -- The data set's characters are the bytes, and samples begin with its validation text.
  local letters = {}
  for c = 1, 127 do letters[c] = (" %02x"):format(c) end
  files.write(root .. "/data/shakespeare_char/meta.json", json.encode({ tokenizer = "char" .. table.concat(letters) }))
  files.write(root .. "/data/shakespeare_char/val.bin", (("First Citizen:\nBefore we proceed any further"):gsub(".",
    function(c) return string.pack("<I2", c:byte() - 1) end)))
  return root
end

function fixture.remove(root)
  shell("rm -rf " .. files.quoted(root))
end

-- Noise from -1 to 1, made from a whole number, the same in each run.
local function noise(n)
  n = (n * 2654435761 + 12345) % 4294967296
  n = (n ~ (n >> 15)) * 2246822519 % 4294967296
  n = n ~ (n >> 13)
  return n / 2147483648 - 1
end

-- The losses that the trainer would write for settings s at an iteration.
local function losses(s, iter, salt)
  local width = math.log(s.n_embd / 64) / math.log(2)
  local fall = 6.5 * math.exp(-iter / (260 - 40 * width)) + 1.6 * math.exp(-iter / 1500)
  local train = 4.05 - 0.16 * width + 0.9 * s.dropout + fall - 0.00012 * iter * width
  local over = math.max(0, iter - 900) * 0.00035 * width * (1 - 3 * s.dropout)
  local val = 4.55 - 0.12 * width + 0.3 * s.dropout + fall + over + 0.01 * (s.n_head - 4) / 4
  return train + 0.015 * noise(salt + iter), val + 0.02 * noise(salt + iter + 77)
end

-- One run's folder. spec: name, settings, max_iters, seed, and what goes wrong: last (the iteration where it stopped),
-- nan_from, cut (the last line is cut off), evaluations (at most), no_info (an old run without run.json),
-- no_checkpoint. evaluated: by make eval; "later" if its checkpoint is another one now. every: the steps from one line
-- to the next.
function fixture.run(root, folder, spec)
  local s = { n_layer = 4, n_head = 4, n_embd = 128, batch_size = 16, dropout = 0.1, block_size = 64 }
  for key, value in pairs(spec.settings or {}) do s[key] = value end
  local path = root .. "/" .. folder
  shell("mkdir -p " .. files.quoted(path))
  local seed, max_iters = spec.seed or 1337, spec.max_iters or 1000
  local params = s.n_layer * 12 * s.n_embd ^ 2 + 65 * s.n_embd
  local digits = ("%012x"):format(s.n_embd * 1000 + s.n_head * 10 + s.n_layer)
  local build = spec.build or ("fixture-n_head=%d-n_embd=%d"):format(s.n_head, s.n_embd)
  if not spec.no_info then
    files.write(path .. "/run.json", json.encode({ format = 1, name = spec.name, config_name = build, backend = "cpu",
      hash = digits, config = { n_layer = s.n_layer, n_head = s.n_head, n_embd = s.n_embd, batch_size = s.batch_size,
        block_size = s.block_size, has_dropout = s.dropout > 0 },
      run = { max_iters = max_iters, dropout = s.dropout, seed = seed, out_dir = folder, eval_interval = 100 },
      title = "gpt, made up", num_params = math.tointeger(params // 1 + s.block_size * s.n_embd),
      num_params_nanogpt = math.tointeger(params // 1),
      flops_per_token = 6 * params, tokens_per_iter = s.batch_size * s.block_size,
      plan_bytes = math.tointeger(params * 40 // 1),
      threads = 2, hardware = "a made-up processor, 2 threads", peak_flops = 5e11,
      dataset = s.dataset or "shakespeare_char", train_tokens = 1003854, val_tokens = 111540,
      tokenizer = "char, 65 characters, 0123456789abcdef" }))
  end
  local lines, evaluations = {}, 0
  local salt = seed * 1000 + s.n_head * 17 + s.n_embd * 3 + s.batch_size
  for iter = 0, math.min(spec.last or max_iters, max_iters), spec.every or 1 do
    local train, val = losses(s, iter, salt)
    if iter % (spec.eval_interval or 100) == 0 and evaluations < (spec.evaluations or math.huge) then
      evaluations = evaluations + 1
      local bad = spec.nan_from and iter >= spec.nan_from
      lines[#lines + 1] = ('{"iter":%d,"train_loss":%s,"val_loss":%s,"ms":210.5}'):format(iter,
        bad and "null" or ("%.9g"):format(train), bad and "null" or ("%.9g"):format(val))
    end
    local loss = spec.nan_from and iter >= spec.nan_from and "null" or
      ("%.9g"):format(train + 0.12 * noise(salt + 3 * iter))
    lines[#lines + 1] = ('{"iter":%d,"loss":%s,"lr":0.001,"grad_norm":1.25,"skipped":false,"ms":%.3f,' ..
      '"tokens_per_s":%d,"mfu":0.41}'):format(iter, loss, s.n_embd / 16 + 0.3 * noise(iter), 60000)
  end
  local text = table.concat(lines, "\n") .. "\n"
  files.write(path .. "/metrics.jsonl", spec.cut and text:sub(1, -20) or text)
  if not spec.no_checkpoint then
    files.write(path .. "/ckpt.safetensors", string.pack("<I8", 90) .. '{"__metadata__":{"xxh3":"' .. digits .. '"}}')
    files.write(path .. "/state.safetensors", "made up")
  end
  if spec.evaluated then
    local loss = select(2, losses(s, max_iters, salt))
    files.write(path .. "/eval-val.json", json.encode({ checkpoint = folder .. "/ckpt.safetensors", split = "val",
      checkpoint_xxh3 = spec.evaluated == "later" and "0" or digits, loss = loss, perplexity = math.exp(loss),
      bits_per_byte = loss / math.log(2), block_size = s.block_size, stride = s.block_size }))
  end
  fixture.build(root, build, digits, s)
  return { name = spec.name, settings = spec.settings or {}, seed = seed, folder = folder,
    build = "build/" .. build .. "/cpu" }
end

-- A build whose sampler is tests/report/sampler.lua, with results of bench and a memory plan.
function fixture.build(root, name, digits, s)
  local folder = ("%s/build/%s/cpu"):format(root, hash.folder(name))
  local sampler = folder .. "/sample"
  if files.read(sampler) then return end
  files.write(sampler, ("#!/bin/sh\nexec lua5.4 %s/tests/report/sampler.lua --n_layer=%d --n_head=%d \"$@\"\n"):format(
    here(), s.n_layer, s.n_head))
  shell("chmod +x " .. files.quoted(sampler))
  local kernels = {}
  for i, kernel in ipairs({ "matmul_1024x128x512", "attention_1024x128", "layernorm_1024x128", "batch" }) do
    kernels[i] = { name = kernel, calls = 4, ms = 4 / i, flop = 4e8 / i, bytes = 2e7 / i, roofline = 0.9 / i }
  end
  files.write(folder .. "/bench.json", json.encode({ program = "bench", name = name, build = digits,
    machine = "a made-up processor", threads = 2, ms_median = s.n_embd / 16, ms_p10 = s.n_embd / 17,
    ms_p90 = s.n_embd / 14, share_of_peak = 0.71, gflops = 355, peak_gflops = 500, share_of_floor = 0.8,
    tokens_per_s = 70000, peak_rss_bytes = 1e8, plan_bytes = 9e7, kernels = kernels }))
  local plan = { "-- sizes", "params = 800000", "state = 800000", "acts = 900000", "unplanned = 1500000",
    "-- addresses" }
  local offset = 0
  for layer = 0, s.n_layer - 1 do
    plan[#plan + 1] = ("acts + %d = block.%d.y:1024x128 nodes %d..%d"):format(offset, layer, 3 + 4 * layer,
      60 - 4 * layer)
    offset = offset + 131072
  end
  for layer = 0, s.n_layer - 1 do
    plan[#plan + 1] = ("acts + %d = d.block.%d.y:1024x128 nodes %d..%d"):format(offset, layer, 56 - 4 * layer,
      60 - 4 * layer)
  end
  files.write(("%s/build/%s/cpu/ir/6-plan.txt"):format(root, digits), table.concat(plan, "\n") .. "\n")
end

-- Every combination of the factors' values, the last key fastest: a list of settings.
local function product(factors)
  local list = { {} }
  for _, f in ipairs(factors) do
    local longer = {}
    for _, settings in ipairs(list) do
      for _, value in ipairs(f.values) do
        local copy = {}
        for k, v in pairs(settings) do copy[k] = v end
        copy[f.key] = value
        longer[#longer + 1] = copy
      end
    end
    list = longer
  end
  return list
end

-- One change at a time from the first values.
local function around(factors)
  local base = {}
  for _, f in ipairs(factors) do base[f.key] = f.values[1] end
  local list = { base }
  for _, f in ipairs(factors) do
    for i = 2, #f.values do
      local copy = {}
      for k, v in pairs(base) do copy[k] = v end
      copy[f.key] = f.values[i]
      list[#list + 1] = copy
    end
  end
  return list
end

-- A sweep with its plan. change(spec, i) may break a run, or return false for one that has not started.
function fixture.sweep(root, name, kind, factors, seeds, change)
  local runs = {}
  for _, settings in ipairs(kind == "grid" and product(factors) or around(factors)) do
    for _, seed in ipairs(seeds) do
      local i = #runs + 1
      local words = { ("exp%02d"):format(i) }
      for _, f in ipairs(factors) do
        local value = settings[f.key]
        words[#words + 1] = f.key:gsub("(%l)%l*_?", "%1") .. (type(value) == "number" and ("%g"):format(value) or value)
      end
      local run_name = table.concat(words, "-") .. (#seeds > 1 and "-s" .. seed or "")
      local spec = { name = run_name, settings = settings, seed = seed, max_iters = settings.max_iters, build = nil }
      local folder = ("out/sweeps/%s/%s"):format(name, run_name)
      if change and change(spec, i) == false then
        runs[i] = { name = run_name, settings = settings, seed = seed, folder = folder,
          build = "build/none/cpu" }
      else
        runs[i] = fixture.run(root, folder, spec)
      end
    end
  end
  files.write(("%s/out/sweeps/%s/plan.json"):format(root, name), json.encode({ format = 1, sweep = name,
    base = "grid_base", kind = kind, factors = factors, seeds = seeds, baseline = runs[1].name, runs = runs }))
  return runs
end

fixture.GRID32 = {
  { key = "n_head", values = { 4, 8 } },
  { key = "n_embd", values = { 128, 256 } },
  { key = "batch_size", values = { 8, 16 } },
  { key = "max_iters", values = { 1000, 2000 } },
  { key = "dropout", values = { 0.1, 0.2 } },
}

-- Runs the report in the project with these arguments; returns its output and whether it succeeded.
function fixture.report(root, words)
  local pipe = io.popen(("cd %s && lua5.4 gen/report.lua %s 2>&1"):format(files.quoted(root), words))
  local output = pipe:read("a")
  local ok, _, code = pipe:close()
  return output, ok == true, code
end

return fixture
