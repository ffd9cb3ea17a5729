-- test_shard: the parts of a sweep for several machines: every training is in one of them, and they differ little.
package.path = "./?.lua;" .. package.path
local check = require("tests.gen.check")
local cost = require("gen.sweep.cost")
local file = require("gen.sweep.file")
local files = require("gen.base.files")
local plan = require("gen.sweep.plan")
local progress = require("gen.sweep.progress")
local shard = require("gen.sweep.shard")
local write = require("gen.sweep.write")

local function divided(text)
  local p = plan.make(file.read("grid32_quick"), { backend = "cpu" })
  for _, shape in ipairs(p.shapes) do cost.measure_shape(shape) end
  p.shard = shard.read(text)
  shard.divide(p, p.shard)
  return p
end

check.test("the parts have every training once, and about the same work", function()
  for _, count in ipairs({ 1, 2, 3, 4, 16 }) do
    local parts, most, least = {}, 0, math.huge
    for index = 1, count do
      local p, work, part_of = divided(("%d/%d"):format(index, count)), 0, {}
      for i, run in ipairs(p.runs) do
        local own = not run.elsewhere
        if part_of[run.training] == not own then error(run.name .. ": a training in two parts") end
        part_of[run.training] = own
        if own then
          if parts[i] then error(run.name .. ": in two parts") end
          parts[i] = index
          work = work + cost.flops(run, run.from and run.from.config.max_iters + 1 or 0, run.config.max_iters)
        end
      end
      most, least = math.max(most, work), math.min(least, work)
    end
    check.equal(#parts, 32)
    if count <= 4 and most > 1.1 * least then error(("%d parts: from %g to %g FLOP"):format(count, least, most)) end
  end
end)

check.test("a part's makefile and table have its runs alone, its plan.json all", function()
  local p = divided("2/4")
  local root = os.tmpname()
  os.remove(root)
  p.folder = root
  for _, run in ipairs(p.runs) do
    run.folder = root .. "/" .. run.name
    run.first, run.last, run.flops, run.whole_flops = 0, 1, 1, 1
  end
  write.all(p, 2, 1)
  local makefile, runs = files.read(root .. "/sweep.mk"), 0
  for _, run in ipairs(p.runs) do
    local there = makefile:find(("\nrun-%d: "):format(run.index), 1, true) ~= nil
    check.equal(there, not run.elsewhere, run.name)
    if there then runs = runs + 1 end
  end
  local plan_json = write.read_plan(root)
  os.execute("rm -rf " .. root)
  check.equal(#plan_json.runs, 32)
  check.equal(plan_json.shard, "2/4")
  check.equal(#progress.own(plan_json), runs)
  check.equal(progress.totals(plan_json).count, runs)
end)

check.test("what is no part is refused", function()
  for _, text in ipairs({ "2", "0/4", "5/4", "1/1001", "x/4", "1/4/2", "-1/4" }) do
    check.raises(function() shard.read(text) end, 64, "^SHARD=" .. text:gsub("%p", "%%%0") .. ": wanted which part of")
  end
  check.raises(function() divided("1/17") end, 64, "has 16 trainings; wanted no more parts than that")
  local p = plan.make(file.read("grid32_quick"), { backend = "cpu", stand_in = true })
  p.sweep.halving = { first = 80 }
  check.raises(function() shard.divide(p, { index = 1, count = 2 }) end, 64, "has halving, which compares all its runs")
end)

check.finish()
