-- test_buckets: the table of gradients that travel while others are made: each once, when no kernel uses it any more.
local check = require "tests.gen.check"
local buckets = require "gen.emit.buckets"
local graph = require "gen.ir.graph"
local pipeline = require "gen.passes.pipeline"
local samples = require "tests.gen.samples"

local function of(c)
  local g = pipeline.train(c, function() end)
  local list, kernels = buckets.table(g)
  return g, list, kernels
end

local function bucket_of(list, offset)
  for _, bucket in ipairs(list) do
    if bucket.from <= offset and offset < bucket.to then return bucket end
  end
end

-- The kernels of a micro-step, one by one: of a loop over row blocks its nodes again for each.
local function kernels_of(g)
  local sequence, blocks = {}, {}
  local function add(nodes, times)
    for _ = 1, times do table.move(nodes, 1, #nodes, #sequence + 1, sequence) end
  end
  for i, node in ipairs(g.nodes) do
    if node.phase ~= "loss" then
      local block = node.row_block
      blocks[#blocks + 1] = node
      if not block or not g.nodes[i + 1] or g.nodes[i + 1].row_block ~= block then
        add(blocks, block and block.count or 1)
        blocks = {}
      end
    end
  end
  return sequence
end

check.test("of any model: all gradients, each once, and none before its last kernel", function()
  samples.random(25, function(c, words)
    local g, list, kernels = of(c)
    if c.backend ~= "cpu" then return end
    local sequence = kernels_of(g)
    check.equal(kernels, #sequence, words .. ": kernels")
    local sorted = table.move(list, 1, #list, 1, {})
    table.sort(sorted, function(a, b) return a.from < b.from end)
    local to, after = 0, 0
    for _, bucket in ipairs(sorted) do
      check.equal(bucket.from, to, words .. ": where a bucket begins")
      to = bucket.to
    end
    check.equal(to, g.sizes.host, words .. ": where the last one ends")
    for _, bucket in ipairs(list) do
      assert(bucket.after >= after and bucket.after <= kernels, words .. ": the order")
      after = bucket.after
    end
    for number, node in ipairs(sequence) do
      graph.each_tensor(node, function(tensor)
        if tensor.region ~= "grads" then return end
        assert(bucket_of(list, tensor.offset).after >= number, ("%s: %s travels before kernel %d has used it"):format(
          words, tensor.name, number))
      end)
    end
  end)
end)

check.test("a layer's gradients before those of the layers below, what a head shares with embeddings last", function()
  for _, tied in ipairs { true, false } do
    local g, list = of(samples.config("n_layer=3", "n_embd=64", "tie_weights=" .. tostring(tied)))
    local place = {}
    for i, bucket in ipairs(list) do
      for _, param in ipairs(g.params) do
        if not param.copy_of and param.offset >= bucket.from and param.offset < bucket.to then place[param.name] = i end
      end
    end
    local last = #list + 1
    for _, name in ipairs { "transformer.wte.weight", "transformer.h.0.attn.c_attn.weight",
      "transformer.h.1.attn.c_attn.weight", "transformer.h.2.attn.c_attn.weight" } do
      assert(place[name] < last, name)
      last = place[name]
    end
    check.equal(place["transformer.wte.weight"], #list, "the bucket of wte")
    if not tied then assert(place["lm_head.weight"] <= last, "a head of its own is in a first one") end
  end
end)

check.finish()
