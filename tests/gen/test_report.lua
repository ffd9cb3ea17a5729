-- test_report: the report as a command: plans that are refused, texts, prompts, benches, attention as bytes, the page's
-- text. tests/report checks how it looks in a browser.
local check = require("tests.gen.check")
local attention = require("gen.report.attention")
local bench = require("gen.base.bench")
local files = require("gen.base.files")
local fixture = require("tests.report.fixture")
local helpers = require("tests.report.helpers")
local prompt = require("gen.report.prompt")
local run = require("gen.report.run")
local speed = require("gen.report.speed")
local text = require("gen.report.text")
local words = require("gen.report.words")

local root = fixture.project()
local function plan_of(name) return helpers.plan_of(root, name) end
local function report(arguments) return helpers.report(root, arguments) end

fixture.sweep(root, "grid", "grid", { { key = "n_head", values = { 4, 8 } },
  { key = "n_embd", values = { 128, 256 } }, { key = "max_iters", values = { 200, 400 } },
  { key = "dropout", values = { 0.1, 0.2 } } }, { 1 })
fixture.run(root, "out/whole", { name = "whole", settings = {} })

check.test("a plan.json with other contents is refused in one line", function()
  local function refused(body, code, pattern)
    files.write(root .. "/out/sweeps/bad/plan.json", body)
    check.raises(function() plan_of("bad") end, code, pattern)
  end
  refused("{", 65, "plan.json is not JSON; make sweep SWEEP=bad writes it")
  refused("{}", 65, "it lists no runs")
  refused('{"runs":[{"name":"a"}],"factors":[]}', 65, "the folder of a is not in out/")
  refused('{"runs":[{"name":"a","folder":"out/../../etc"}],"factors":[]}', 65, "the folder of a is not in out/")
  refused('{"runs":[{"name":"a/b","folder":"out/x"}]}', 65, "run 1 has no name")
  refused('{"runs":[{"name":"a","folder":"out/x"}],"factors":[{"key":"k","values":[]}]}', 65, "factor 1 is no")
  check.raises(function() plan_of("none") end, 66, "out/sweeps/none/plan.json is missing")
  check.raises(function() plan_of("a b") end, 64, "is not a sweep's name")
end)

check.test("a program of another folder is never run", function()
  files.write(root .. "/out/sweeps/evil/plan.json",
    '{"runs":[{"name":"a","folder":"out/x","build":"build/../../bin"},{"name":"b","folder":"out/x","build":"/bin"}]}')
  local programs = require("gen.report.programs")
  for _, r in ipairs(plan_of("evil").runs) do check.equal(r.build, nil) end
  for _, name in ipairs({ "../x", "a/b", "a;b", ".hidden", "a b", "" }) do
    check.equal(programs.folder({ config_name = name, backend = "cpu" }, "build"), nil, name)
  end
  check.equal(programs.folder({ config_name = "a-n_embd=4", backend = "x" }, "build"), "build/a-n_embd@4/cpu")
end)

-- ---- attention ----------------------------------------------------------------------------------

check.test("attention as bytes: the causal part of each row, 255 is 1", function()
  local packed = attention.pack({ n_layer = 1, n_head = 2, n_tokens = 2, tokens = { "a", "\xE2" },
    attention = { { { { 1, 0 }, { 0.25, 0.75 } }, { { 1, 0 }, { 0.5, 0.5 } } } } })
  -- 255 64 191, 255 128 128; means 255 96 159
  check.equal(packed.weights, "/0C//4CA")
  check.equal(packed.means, "/2Cf")
  check.equal(packed.tokens[2], "\u{FFFD}")
end)

-- ---- texts and the page -------------------------------------------------------------------------

check.test("texts: UTF-8, cutting, HTML, numbers", function()
  check.equal(text.valid("a\xFFb\xE2\x82"), "a\u{FFFD}b\u{FFFD}\u{FFFD}")
  check.equal(text.cut("äöü", 2), "äö")
  check.equal(text.html("<a b='\"&'>"), "&lt;a b=&#39;&quot;&amp;&#39;&gt;")
  check.equal(words.count(1234567), "1,234,567")
  check.equal(words.count(999), "999")
  check.equal(words.delta(-0.5), "−0.5000")
end)

check.test("the same runs give the same page, complete and self-contained", function()
  local output, ok = report("--sweep grid")
  if not ok then error(output, 0) end
  local path = root .. "/out/reports/grid.html"
  local first = files.read(path)
  report("--sweep grid")
  check.same_text(files.read(path), first, "page")
  for _, word in ipairs({ 'src="http', "href=\"http", "@import", "url(http", "<link" }) do
    if first:find(word, 1, true) then error("the page loads: " .. word) end
  end
  local _, scripts = first:gsub("</script>", "")
  check.equal(scripts, 4, "ends of scripts")
  if first:find("</script> <b>", 1, true) then error("a sample's text ends a script or an element") end
  if not first:find("First Citizen:", 1, true) then error("no samples") end
  if not files.read(root .. "/out/reports/grid.attention/exp01-nh4-ne128-mi200-d0.1.json") then
    error("the exact attention weights are not beside the page")
  end
end)

check.test("the page of 32 runs is below 1 MB without attention", function()
  fixture.sweep(root, "grid32", "grid", fixture.GRID32, { 1337 }, function(spec) spec.every = 4 end)
  local output, ok = report("--live --sweep grid32")
  if not ok then error(output, 0) end
  local page = files.read(root .. "/out/reports/grid32.html")
  local maps = #page:match('id="attention%-data">(.-)</script>')
  if maps < 100000 then error("there is no attention") end
  -- The page has 250 points for 500 steps, as many as for 2,000.
  if #page - maps > 1000000 then error(("%d bytes"):format(#page - maps)) end
end)

-- A data set with these ids, and a run on it.
local function run_on(name, tokenizer, ids, block_size)
  for i, id in ipairs(ids) do ids[i] = string.pack("<I2", id) end
  files.write(("%s/data/%s/val.bin"):format(root, name), table.concat(ids))
  files.write(("%s/data/%s/meta.json"):format(root, name), ('{"tokenizer": "%s"}'):format(tokenizer))
  return { dataset = name, run = { data_dir = root .. "/data" }, config = { block_size = block_size } }
end

-- A data set of token shards, whose first one to validate with has these ids, and a run on it.
local function run_on_shards(name, path, meta)
  local list = path and ('"shards": {"val": [{"path": "%s"}]}'):format(path) or '"shards": {"val": []}'
  files.write(("%s/data/%s/meta.json"):format(root, name), ("{%s, %s}"):format(meta, list))
  return { dataset = name, run = { data_dir = root .. "/data" }, config = { block_size = 8 } }
end

check.test("the default prompt is the beginning of the validation text", function()
  files.write(root .. "/shard.bin", ("x"):rep(1024) .. string.pack("<I4I4", 0, 70000))
  files.write(root .. "/data/within/shard.bin", ("x"):rep(1024) .. string.pack("<I2I2", 1, 0))
  local bytes = {}
  for i = 0, 255 do bytes[i + 1] = ("%02x"):format(i) end
  bytes = "bpe gpt2 " .. table.concat(bytes)
  local cases = {
    { run_on("letters", "char 61 e9 1f600", { 2, 1, 0, 1 }, 8), "\u{1F600}éaé" },
    { run_on("context", "char 61 62", { 0, 1, 0, 1 }, 3), "aba" }, -- no more than its context
    { run_on("zero", "char 00 61", { 1, 1, 0, 1 }, 8), "aa" }, -- no argument of a command has a zero
    { run_on("path", "char 3a 45 46 49 4c", { 2, 3, 4, 1, 0, 4 }, 8), "L" }, -- "FILE:L" would be a path
    -- "th" is token 256, "the" 257; the last one is the first byte of é.
    { run_on("merged", bytes .. " 0074006801000065", { 257, 256, 0xc3 }, 8), "theth" },
    { run_on("wrong", "words a b", { 0 }, 8), "" },
    { run_on("ids", "ids 9", { 8, 0 }, 8), " 8 0" },
    { run_on_shards("shards", root .. "/shard.bin", '"tokenizer": "ids 70001", "token_type": "uint32"'), " 0 70000" },
    { run_on_shards("within", "shard.bin", '"tokenizer": "char 61 62"'), "ba" },
    { run_on_shards("gone", "shard.bin", '"tokenizer": "char 61 62"'), "" },
    { run_on_shards("empty", nil, '"tokenizer": "char 61 62"'), "" },
    { { dataset = "nowhere", run = {}, config = {} }, "" },
    { { run = {}, config = {} }, "" },
  }
  for _, case in ipairs(cases) do check.equal(prompt.of({ case[1] })[1], case[2], case[1].dataset) end
  local both = prompt.of({ cases[1][1], cases[2][1] })
  check.equal(table.concat(both, "|"), "\u{1F600}éa|aba", "as many tokens as fit into each")
end)

check.test("a prompt that the model has no tokens for is noted, and the rest is shown", function()
  local output, ok = report("--prompt=refuse --out out/refuse.html out/whole")
  if not ok then error(output, 0) end
  local page = files.read(root .. "/out/refuse.html")
  if not page:find("no attention: %-%-start: line 1, character 1") then error("not said") end
end)

-- A run whose build has a bench that says how busy the machine was, and perhaps earlier figures.
local function benched(name, earlier, now)
  fixture.run(root, "out/" .. name, { name = name, build = name, settings = {} })
  local folder = ("%s/build/%s/cpu"):format(root, name)
  local figures = assert(files.read(folder .. "/bench.json"))
  local function saying(others) return (figures:gsub("^{", ('{"others_busy":%g,'):format(others))) end
  os.remove(folder .. "/bench.json")
  if earlier then files.write(folder .. "/bench.json", saying(earlier)) end
  files.write(folder .. "/after.json", saying(now))
  files.write(folder .. "/bench", ('#!/bin/sh\ncp "%s/after.json" "${2#--json=}"\n'):format(folder))
  assert(os.execute("chmod +x " .. folder .. "/bench"))
  return folder
end

check.test("nothing is timed while a run or a sweep is under way", function()
  local folder = benched("beside", nil, 0)
  -- Holds a lock as gen/sweep/run.sh does.
  files.write(root .. "/hold.sh", "exec 9>>out/sweeps/grid/lock\necho $$ >out/sweeps/grid/lock\nexec sleep 60\n")
  assert(os.execute(("cd %s && { sh hold.sh & echo $! >held; } && until [ -s out/sweeps/grid/lock ]; do :; done")
    :format(root)))
  local output = report("out/beside")
  if output:find("timing") or files.read(folder .. "/bench.json") then error(output) end
  local said = "it is not timed while out/sweeps/grid trains"
  if not files.read(root .. "/out/reports/beside.html"):find(said, 1, true) then error("not said") end
  assert(os.execute(("kill $(cat %s/held)"):format(root)))
  while os.execute(("kill -0 $(cat %s/held) 2>/dev/null"):format(root)) do os.execute("sleep 0.05") end
  output = report("out/beside") -- the lock's file is there, but nobody holds it
  if not output:find("timing the kernels of build/beside/cpu, once") then error(output) end
end)

check.test("a bench beside other work is replaced by a better one, and is no rate of the machine", function()
  local training = require("gen.report.training")
  training.is_busy = function() return false end
  training.under_way = function() end
  local print_ = print
  for i, case in ipairs({ { 1.5, 0.01, 0.01 }, { 1.5, 1.9, 1.5 }, { 0.1, 0, 0.1 } }) do
    local name = "timed" .. i
    benched(name, case[1], case[2])
    rawset(_G, "print", function() end)
    local list = speed.of({ run.read(root .. "/out/" .. name) }, root .. "/build")
    rawset(_G, "print", print_)
    check.equal(list[1].figures.others_busy, case[3], name)
    check.equal(list[1].figures.disturbed, case[3] > 0.2 or nil, name)
    check.equal(bench.is_disturbed({ threads = 2, others_busy = case[1] }), case[1] > 0.2)
  end
  check.equal(bench.is_disturbed({ threads = 2 }), false, "of an earlier version")
end)

-- The runs of a page, as the names in its data.
local function names_in(path)
  local list = {}
  for name in files.read(root .. "/" .. path):match('"runs":%[.*'):gmatch('"name":"([^"]+)","notes"') do
    list[#list + 1] = name
  end
  table.sort(list)
  return table.concat(list, " ")
end

check.test("folders of sweeps, and patterns", function()
  local function made(arguments, path)
    local output, ok = report("--live " .. arguments)
    if not ok then error(output, 0) end
    return names_in(path)
  end
  fixture.sweep(root, "three", "grid", { { key = "n_head", values = { 2, 4, 8 } } }, { 1 },
    function(_, i) return i < 3 end)
  -- A sweep's folder alone is the sweep's page, wherever it lies; beside others its runs that there are.
  check.equal(made("out/sweeps/three/", "out/reports/three.html"), "exp01-nh2 exp02-nh4 exp03-nh8")
  check.equal(made("--out out/a.html out/sweeps/three out/whole", "out/a.html"), "exp01-nh2 exp02-nh4 whole")
  assert(os.execute(("cp -R %s/out/sweeps/three %s/copied"):format(root, root)))
  check.equal(made("--out out/b.html copied", "out/b.html"), "exp01-nh2 exp02-nh4 exp03-nh8")
  check.equal(made("--out out/c.html 'out/sweeps/three/exp0[13]*' 'out/wh*le'", "out/c.html"), "exp01-nh2 whole")
  for word, said in pairs({ ["out/sweeps/no*"] = "there is no such folder", out = "holds no run; wanted the folder",
    ["out/swee*"] = "holds no run", ["o$(touch bad)*"] = "there is no such folder" }) do
    local output, _, code = report(files.quoted(word))
    check.equal(code, 66, word)
    if not output:find(said, 1, true) or output:find("\n.") then error(output) end
  end
  check.equal(files.read(root .. "/bad"), nil)
end)

check.test("copies of one sweep are one page, with the machines side by side", function()
  local function copy(name, lacks, hardware)
    local folder = ("%s/%s"):format(root, name)
    assert(os.execute(("cp -R %s/out/sweeps/shared %s && rm -r %s/%s"):format(root, folder, folder, lacks)))
    for _, of in ipairs({ "exp01-nh2", "exp02-nh4", "exp03-nh8" }) do
      local path = ("%s/%s/run.json"):format(folder, of)
      local about = files.read(path)
      if about then files.write(path, (about:gsub("a made%-up processor, 2 threads", hardware .. ", 2 threads"))) end
    end
  end
  fixture.sweep(root, "shared", "grid", { { key = "n_head", values = { 2, 4, 8 } } }, { 1 })
  copy("one", "exp03-nh8", "a small processor")
  copy("two", "exp01-nh2", "a large processor")
  -- The one that came further is taken.
  local path = root .. "/one/exp02-nh4/metrics.jsonl"
  files.write(path, files.read(path):sub(1, 5000):gsub("[^\n]*$", ""))
  local output, ok = report("--live one two")
  if not ok then error(output, 0) end
  check.equal(names_in("out/reports/shared.html"), "exp01-nh2 exp02-nh4 exp03-nh8")
  local data = files.read(root .. "/out/reports/shared.html"):match('id="data">(.-)</script>')
  for _, said in ipairs({ '"machines":{"list":[{"best":', '"name":"one"', '"hardware":"a small processor"',
    '"name":"two"', '"run":"exp02-nh4"' }) do
    if not data:find(said, 1, true) then error("not said: " .. said) end
  end
  if not data:find('"status":"finished"') or data:find('"status":"at ') then error("the shorter copy is shown") end
  -- Other settings under the same names are another plan: then they are any runs.
  local plan_text = files.read(root .. "/two/plan.json")
  files.write(root .. "/two/plan.json", (plan_text:gsub('"n_head":8', '"n_head":16')))
  output, ok = report("--live --out out/d.html one two")
  if not ok then error(output, 0) end
  check.equal(names_in("out/d.html"), "exp01-nh2 exp03-nh8 one/exp02-nh4 two/exp02-nh4")
end)

check.test("each prompt has its own page", function()
  local names = {}
  for i, start in ipairs({ "First Citizen:", "First Citizen.", "" }) do
    local output, ok = report(("--live %s out/whole"):format(start ~= "" and "--prompt=" .. files.quoted(start) or ""))
    if not ok then error(output, 0) end
    names[i] = output:match("report: (%S+),")
  end
  for i, begin in ipairs({ "whole%.prompt%-First%-Citizen%-%x+", "whole%.prompt%-First%-Citizen%-%x+", "whole" }) do
    if not names[i]:find("^out/reports/" .. begin .. "%.html$") then error(names[i]) end
  end
  if names[1] == names[2] then error("one page for two prompts") end
end)

check.test("a sample's weights are named by their steps", function()
  report("--live --sweep grid")
  local page = files.read(root .. "/out/reports/grid.html")
  for _, said in ipairs({ "final weights, after 401 steps", "best checkpoint, after 400 steps",
    "final val [%d.]+ at iteration 400" }) do
    if not page:find(said) then error("not said: " .. said) end
  end
end)

check.test("wrong arguments are refused in one line", function()
  for _, case in ipairs({
    { "", 64, "nothing to report on; give --sweep NAME" }, { "--sweep a out/whole", 64, "give one of both" },
    { "--prompt= out/whole", 64, "--prompt: is empty" }, { "out/nowhere", 66, "out/nowhere: there is no such folder" },
    { "--sweep nowhere", 66, "out/sweeps/nowhere/plan.json is missing" } }) do
    local output, _, code = report(case[1])
    check.equal(code, case[2], case[1])
    if not output:find(case[3], 1, true) or output:find("\n.") then error(("%s: %s"):format(case[1], output)) end
  end
end)

fixture.remove(root)
check.finish()
