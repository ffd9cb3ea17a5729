-- test_runner: the runner of tests (tests/runner.lua), with made-up commands: which run side by side, and what is
-- printed.
local check = dofile("tests/gen/check.lua")
local runner = require "tests.runner"

local folder = io.popen("mktemp -d"):read("l")

local function command(title, text, shares)
  return { title = title, command = ("cd %s && %s"):format(folder, text), shares = shares }
end

-- A command that notes when it begins and ends, and takes a while.
local function noted(name, shares, seconds)
  return command(name, ("echo begin %s >>notes && sleep %s && echo end %s >>notes"):format(name, seconds or 0.2, name),
    shares)
end

-- Runs commands; returns the totals, all lines, and the notes: "begin a end a begin b end b".
local function run(commands, jobs)
  os.remove(folder .. "/notes")
  local said = {}
  local total = runner.run(commands, jobs, function(text) said[#said + 1] = text end)
  local file = io.open(folder .. "/notes")
  local notes = file and file:read("a"):gsub("%s+", " "):gsub(" $", "") or ""
  if file then file:close() end
  return total, table.concat(said, "\n"), notes
end

-- Two commands with these names, each of which succeeds only if the other one begins before it has looked `tries`
-- times.
local function meeting(tries, a, b)
  local text = "echo >%s; i=0; until [ -e %s ]; do sleep 0.05; i=$((i + 1)); [ $i -lt %d ] || exit 1; done"
  os.execute("rm -f " .. folder .. "/here_*")
  return { command("a", text:format("here_a", "here_b", tries), a),
    command("b", text:format("here_b", "here_a", tries), b) }
end

-- Raises if the notes do not have the words in this order.
local function in_order(notes, ...)
  local last = 0
  for _, word in ipairs { ... } do
    local place = notes:find(word, 1, true)
    if not place or place < last then error(("%s: not in its place in: %s"):format(word, notes), 2) end
    last = place
  end
end

check.test("commands with no name in common run side by side", function()
  check.equal(run(meeting(400, {}, {}), 2).passed, 2)
  check.equal(run(meeting(400, { "x" }, { "y", "z" }), 2).passed, 2)
end)

check.test("never two at a time with one job", function()
  check.equal(run(meeting(4, {}, {}), 1).failed, 1)
end)

check.test("nor with a name in common, nor if one states no names", function()
  for _, names in ipairs { { { "x", "y" }, { "z", "y" } }, { nil, {} }, { {}, nil }, {} } do
    local _, _, notes = run({ noted("a", names[1]), noted("b", names[2]) }, 2)
    check.equal(notes, "begin a end a begin b end b")
  end
end)

check.test("never more at a time than jobs", function()
  local commands = {}
  for i = 1, 6 do commands[i] = noted(tostring(i), {}, 0.1) end
  local _, _, notes = run(commands, 2)
  local now, most = 0, 0
  for word in notes:gmatch("%a+") do
    now = now + (word == "begin" and 1 or -1)
    most = math.max(most, now)
  end
  assert(most <= 2, most)
  check.equal(now, 0)
end)

check.test("later commands may start before one that waits, unless they share a name with it", function()
  local _, _, notes = run({ noted("long", { "x" }, 1.5), noted("waits", { "x", "y" }), noted("behind", { "y" }),
    noted("passes", { "z" }) }, 2)
  in_order(notes, "end passes", "end long", "begin waits", "end waits", "begin behind")
end)

check.test("no later command starts before one without names", function()
  local _, _, notes = run({ noted("long", {}, 0.4), noted("alone"), noted("behind", {}) }, 2)
  check.equal(notes, "begin long end long begin alone end alone begin behind end behind")
end)

check.test("the commands' counts are added up", function()
  local total, said = run({
    command("counts", "echo 'x: 1 passed, 1 failed, 0 skipped' && echo '4 passed, 0 failed, 2 skipped'", {}),
    command("Check", "echo '75%: Checks: 8, Failures: 1, Errors: 1'; exit 1", {}),
    command("one", "echo fine", {}),
    command("none here", "echo no such thing; exit 77", {}),
    command("bad end", "echo '3 passed, 0 failed, 0 skipped'; exit 2", {}),
    command("killed", "kill -SEGV $$", {}),
  }, 2)
  check.equal(total.passed, 4 + 6 + 1 + 3)
  check.equal(total.failed, 2 + 1 + 1)
  check.equal(total.skipped, 2 + 1)
  for _, line in ipairs { "ok        0 s  counts: 4 passed, 0 failed, 2 skipped", "ok        0 s  one: fine",
    "skipped   0 s  none here: no such thing", "FAILED    0 s  killed: killed by signal 11" } do
    assert(("\n" .. said):find("\n" .. line:gsub("0 s", "%%d s"), 1), line)
  end
end)

check.test("warnings of a compiler that was not tried are shown, and one skipped test", function()
  local warned = "echo x.c:1: warning: odd >>$DIECAST_WARNINGS; "
  local total, said = run({
    command("alone", warned .. "echo built", {}),
    command("counts", warned .. warned .. "echo '4 passed, 0 failed, 0 skipped'", {}),
    command("fails", warned .. "exit 1", {}),
    command("silent", "echo built", {}),
  }, 2)
  check.equal(total.passed, 0 + 4 + 0 + 1)
  check.equal(total.failed, 1)
  check.equal(total.skipped, 1 + 1 + 0)
  check.equal(select(2, said:gsub("\n    x.c:1: warning: odd", "")), 4)
  assert(said:find("skipped +%d+ s  alone: built"), said)
end)

check.test("a failing command is shown in one piece, with its last lines", function()
  local talk = "for i in 1 2 3; do echo %s $i; sleep 0.1; done; exit %d"
  local total, said = run({
    command("bad", talk:format("from a", 1), {}),
    command("good", talk:format("from b", 0), {}),
  }, 2)
  check.equal(total.failed, 1)
  assert(said:find("    from a 1\n    from a 2\n    from a 3\n", 1, true), said)
  assert(not said:find("from b 1", 1, true), said)
  assert(said:find(": from b 3", 1, true), said)
  local _, long = run({ command("long", "seq 100; exit 1", {}) }, 2)
  assert(long:find("\n    75\n", 1, true) and long:find("\n    100", 1, true), long)
  assert(not long:find("\n    50\n", 1, true), long)
end)

check.test("commands do not see JOBS", function()
  local total = run({ command("words", "[ -z \"$JOBS\" ]", {}) }, 1)
  check.equal(total.passed, 1)
end)

-- In a fresh clone, what earlier commands would have built is missing.
local function chosen(words)
  local pipe = io.popen("DRY=1 lua5.4 tests/run.lua " .. words)
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

check.test("if a few tests are chosen, what they share with others is built first", function()
  for _, word in ipairs { "test_rng", "test_overfit", "test_sweep.sh", "tests/ops/test_ops.sh" } do
    local list = chosen(word)
    check.equal(#list, 2)
    assert(list[1]:find("^what the tests share: make build/prepare build/check .* generate && "), list[1])
    assert(list[2]:find(word, 1, true), list[2])
  end
  for _, program in ipairs { "test_parity", "test_greedy", "gradcheck" } do
    local list = chosen("'" .. program:gsub("^test_", "") .. " adam'")
    for i = 2, #list do
      assert(list[i]:find("make build .*PROGRAMS=.*" .. program .. ".* && build/"), list[i])
    end
    assert(#list > 1, program)
  end
end)

os.execute("rm -r " .. folder)
check.finish()
