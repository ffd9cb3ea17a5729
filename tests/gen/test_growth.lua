-- test_growth: the generator's work, counted in Lua instructions, grows with the layers, not with their square.
local check = require("tests.gen.check")
local pipeline = require("gen.passes.pipeline")
local hash = require("gen.config.hash")
local config = require("gen.config.load")
local emit = require("gen.emit.frames")
local tiling = require("gen.passes.tiling")

-- The work of gen/main.lua for a config with so many layers, without writing files, in thousands of instructions.
local function work(layers, backend, words)
  local c = config.load({ "configs/gpt2.lua" }, { "n_layer=" .. layers, "n_embd=64", "n_head=4", "block_size=32",
    "batch_size=2", table.unpack(words) }, { backend = backend })
  local thousands = 0
  debug.sethook(function() thousands = thousands + 1 end, "", 1000)
  local g = pipeline.train(c, function() end)
  if backend == "cpu" then c.tiling = tiling.resolve(g, "model", c.isa, "build/tune") end
  c.baked_text = hash.baked_text(c)
  local facts = emit.facts(g, c, "hash", {})
  emit.model_h(facts)
  if backend == "cpu" then emit.train_c(g, facts) else emit.train_cu(g, c, facts) end
  emit.sample_c(pipeline.sample(c, function() end), facts)
  debug.sethook()
  return thousands
end

-- Four times the layers are at most five times the work.
for _, case in ipairs({ { "cpu" }, { "cuda", "bias=true", "recompute=block" } }) do
  check.test(table.concat(case, " "), function()
    local few, many = work(64, case[1], { table.unpack(case, 2) }), work(256, case[1], { table.unpack(case, 2) })
    if many > 5 * few then error(("%d thousand instructions for 256 layers, %d for 64"):format(many, few)) end
  end)
end

check.finish()
