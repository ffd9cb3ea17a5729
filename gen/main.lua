-- main: the generator's command line.
--
--   lua5.4 gen/main.lua [--backend cpu|cuda] [--build build] [--name NAME] [--print KEY] [--weights TYPE]...
--                       CONFIG.lua ... [key=value ...]
--   lua5.4 gen/main.lua [--build build] --keys
--
-- Later configs and assignments win. Writes build/HASH/BACKEND (model.h, train.c or train.cu, sample.c, ir/), which
-- depends on baked keys alone, build/NAME/BACKEND (defaults.c, build.mk), and build/include/run_keys.h, which no
-- config changes and --keys writes alone. With --weights also sample-TYPE.c, samplers that compute with small
-- weights or caches; with --ranks buckets.c, for jobs of several processes. A file is written only where its text
-- changed.
package.path = "./?.lua;" .. package.path
local lacking = require("gen.emit.lacking")
local pipeline = require("gen.passes.pipeline")
local command = require("gen.base.command")
local hash = require("gen.config.hash")
local config = require("gen.config.load")
local emit = require("gen.emit.frames")
local files = require("gen.base.files")
local isas = require("gen.ir.isa")
local run_keys = require("gen.emit.run_keys")
local small = require("gen.passes.small")
local tiling = require("gen.passes.tiling")

local MOST_NAME = 200 -- characters: a folder's name may have 255

local fail = command.fail

-- ---- the command ---------------------------------------------------------------------------------

local function parse_arguments()
  local parser = command.parser("gen/main.lua", "Emits a trainer and a sampler for a config.")
  parser:option("--backend", "cpu or cuda", "cpu")
  parser:option("--build", "the folder to write to", "build")
  parser:option("--name", "the name of the build; else the config's with each key=value behind it")
  parser:option("--print", "print a key's value, or build_name, and stop")
  parser:option("--weights", "also emit a sampler with weights of this type: " .. table.concat(small.types, ", ")
    .. "; with -kv_bfloat16 behind it, with keys and values in bfloat16")
    :count("*")
  parser:flag("--ranks", "also emit buckets.c, for a trainer of several processes")
  parser:flag("--keys", "write include/run_keys.h and stop")
  parser:usage_max_width(100)
  local args = command.arguments("gen/main.lua", parser)
  local configs, assignments = command.split(args.words)
  if #configs == 0 and not args.keys then
    fail(64, "gen/main.lua: no config; name one, as in configs/shakespeare_char_cpu.lua")
  end
  return args, configs, assignments
end

-- How to make a build again, from baked keys alone: the same text for every config that shares them.
local function remake_command(c)
  local words = { c.model == "bigram" and "configs/bigram.lua" or "configs/gpt2.lua" }
  for word in c.baked_text:gmatch("%S+") do
    if word == "has_dropout=true" then
      words[#words + 1] = "dropout=0.1" -- any will do
    elseif not word:find("^has_dropout=") and not word:find("^model=") and not word:find("^backend=") then
      words[#words + 1] = word
    end
  end
  local lines, line = {}, "lua5.4 gen/main.lua --backend " .. c.backend .. " --name again"
  for _, word in ipairs(words) do
    -- A long tuned tiling is split after a '+', and continues on the next line without a blank.
    local first = true
    for piece in word:gmatch(#word > 80 and "[^+]+%+?" or ".+") do
      if not first or #line + 1 + #piece > 80 then
        lines[#lines + 1] = line
        line = piece
      else
        line = line .. " " .. piece
      end
      first = false
    end
  end
  lines[#lines + 1] = line
  return lines
end

-- nvcc's flags for an architecture; for `all`, what most GPUs are, and PTX for later ones.
local function arch_flags(arch)
  local function code(virtual, real) return ("-gencode arch=compute_%s,code=%s"):format(virtual, real) end
  if arch == "all" then
    return table.concat({ code("80", "sm_80"), code("90a", "sm_90a"), code("80", "compute_80") }, " ")
  end
  return code(arch:match("^sm_(%w+)$") or "80", arch)
end

-- NAME: the config's, with each assignment behind it.
local function build_name(c, assignments)
  local words = { c.name }
  for _, assignment in ipairs(assignments) do words[#words + 1] = (assignment:gsub("/", "_")) end
  local name = table.concat(words, "-")
  if #name > MOST_NAME then
    fail(64, ("SET: the build's name would have %d characters, more than %d; put the keys into a config")
      :format(#name, MOST_NAME))
  end
  return name
end

local function main()
  local args, configs, assignments = parse_arguments()
  if args.keys then
    files.write(args.build .. "/include/run_keys.h", run_keys.header())
    return
  end
  local c = config.load(configs, assignments, { backend = args.backend })
  c.build_name = args.name or build_name(c, assignments)
  if c.build_name:find("[%c\127]") then fail(64, "--name: has control characters; wanted plain text") end
  if args.print then
    print(c[args.print])
    return
  end
  local dumps = {}
  local g = pipeline.train(c, function(pass, text) dumps[pass] = text end)
  lacking.check(g, c)
  if c.backend == "cpu" then c.tiling = tiling.resolve(g, c.tiling, c.isa, args.build .. "/tune") end
  c.baked_text = hash.baked_text(c)
  local digits, name = hash.of(c), c.build_name
  local model_dir = ("%s/%s/%s"):format(args.build, digits, c.backend)
  local name_dir = ("%s/%s/%s"):format(args.build, hash.folder(name), c.backend)
  local function dump(pass, text) files.write(("%s/ir/%s.txt"):format(model_dir, pass), text) end

  for pass, text in pairs(dumps) do dump(pass, text) end
  local facts = emit.facts(g, c, digits, remake_command(c))
  files.write(model_dir .. "/model.h", emit.model_h(facts))
  if c.backend == "cuda" then
    files.write(model_dir .. "/train.cu", emit.train_cu(g, c, facts))
  else
    files.write(model_dir .. "/train.c", emit.train_c(g, facts))
    if args.ranks then files.write(model_dir .. "/buckets.c", emit.buckets_c(g, facts)) end
  end
  files.write(model_dir .. "/sample.c", emit.sample_c(pipeline.sample(c, dump), facts))
  for _, given in ipairs(args.weights) do
    local kind = small.kind(given)
    if kind then
      files.write(("%s/sample-%s.c"):format(model_dir, given), emit.sample_c(pipeline.sample(c, dump, kind), facts))
    end
  end

  files.write(args.build .. "/include/run_keys.h", run_keys.header())
  files.write(name_dir .. "/defaults.c", run_keys.defaults(c, name))
  files.write(name_dir .. "/build.mk", table.concat({
    "# The build of " .. name .. ", for the Makefile's second stage.",
    "HASH := " .. digits,
    "MODEL_DIR := " .. model_dir,
    "ISA := " .. c.isa,
    "ISA_FLAGS := " .. isas[c.isa].flags,
    "DATASET := " .. c.dataset,
    "VOCAB_SIZE := " .. c.vocab_size,
    "ARCH := " .. c.arch,
    "ARCH_FLAGS := " .. arch_flags(c.arch),
  }, "\n") .. "\n")
end

command.run(main)
