-- test_tags: notes and tags of a sweep's file, in its plan and on its report.
package.path = "./?.lua;" .. package.path
local check = require("tests.gen.check")
local dkjson = require("dkjson")
local cost = require("gen.sweep.cost")
local file = require("gen.sweep.file")
local files = require("gen.base.files")
local figures = require("gen.report.figures")
local plan = require("gen.sweep.plan")
local report_plan = require("gen.report.plan")
local summary = require("gen.report.summary")
local words = require("gen.report.words")
local write = require("gen.sweep.write")

local root = os.tmpname()
os.remove(root)

local function read(fields)
  local path = root .. "/try.lua"
  files.write(path, 'return { base = "notebook_small", grid = { { "n_embd", { 32, 64 } }, { "n_head", { 2, 4 } } }, ' ..
    fields .. " }")
  return file.read(path)
end

local function plan_json(sweep)
  local p = plan.make(sweep, { backend = "cpu" })
  for _, shape in ipairs(p.shapes) do cost.measure_shape(shape) end
  for _, run in ipairs(p.runs) do run.first, run.last, run.flops, run.whole_flops = 0, 10, 1, 1 end
  return write.plan_json(p, 1)
end

local TEXT = 'notes = "Does <width>\\npay?", tags = { wide = { n_embd = 64 }, one = { n_head = 2, n_embd = { 64 } } }'

check.test("the plan has the notes, and each run the tags that fit its settings", function()
  local p = dkjson.decode(plan_json(read(TEXT)))
  check.equal(p.notes, "Does <width>\npay?")
  for i, wanted in ipairs({ "", "", "one wide", "wide" }) do
    check.equal(table.concat(p.runs[i].tags or {}, " "), wanted, p.runs[i].name)
  end
  check.equal(plan_json(read("")):find("tags") or plan_json(read("")):find("notes"), nil, "none where none are stated")
end)

check.test("the report begins with the notes, and its table has the tags", function()
  local folders = { root .. "/one", root .. "/two" }
  for _, folder in ipairs(folders) do files.write(folder .. "/plan.json", plan_json(read(TEXT))) end
  local p = report_plan.of_copies(folders)
  check.equal(table.concat(p.runs[3].tags, " "), "one wide")
  for _, r in ipairs(p.runs) do r.overfitting = words.overfitting(r) end
  local order = words.rank(p)
  check.equal(summary.of(p, order, nil, 0)[1], "Does <width> pay?")
  local data = dkjson.decode(figures.data({ plan = p, order = order, trainings = {}, effects = {}, builds = {} }))
  check.equal(data.runs[3].tags, "one wide")
  check.equal(data.runs[1].tags, nil)
end)

for name, case in pairs({
  ["a tag without settings"] = { "tags = { wide = {} }", "tags: wide: wanted the settings" },
  ["a tag's unknown key"] = { "tags = { wide = { n_embed = 64 } }", "did you mean 'n_embd'?" },
  ["a tag of two words"] = { 'tags = { ["so wide"] = { n_embd = 64 } }', "tags: so wide; wanted names" },
  ["a list of tags"] = { "tags = { { n_embd = 64 } }", "tags: 1; wanted names" },
  ["a tag's text for a number"] = { 'tags = { wide = { n_embd = "64" } }', "wanted a number" },
  ["empty notes"] = { 'notes = " "', "notes: wanted a text" },
  ["notes that are a number"] = { "notes = 4", "notes is a number; wanted a string" },
}) do
  check.test("refused: " .. name, function()
    check.raises(function() read(case[1]) end, 64, (case[2]:gsub("%p", "%%%0")))
  end)
end

os.execute("rm -rf " .. files.quoted(root))
check.finish()
