-- run.lua: runs the tests, one command after another, and adds up what they report.
--
--     lua5.4 tests/run.lua [WORD ...]     only the commands whose line has one of the words
--
-- A command's tests are counted from its own last report, where it prints one of
--     … N passed, N failed, N skipped
--     NN%: Checks: N, Failures: N, Errors: N          (Check)
-- and it is one test otherwise. Exit 0 is passed; 77 is skipped. A new test file is found by where
-- it lies and how it is called (tests/README.md); there is no list to extend.

local seconds_allowed = 600 -- for one command
local tail_lines = 30       -- of a failing command's output
-- gcc 13.2 misaligns 64-byte vectors on the stack that this check of ASan's moves (GCC bug 110027).
local environment = "ASAN_OPTIONS=detect_stack_use_after_return=0"

local function shell_lines(command)
  local lines = {}
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

-- The paths that match a pattern, sorted.
local function files(pattern)
  return shell_lines("ls -d " .. pattern .. " 2>/dev/null")
end

-- What a test file says of itself in its head: "// config: a b" gives "a b".
local function head(path, word)
  local n = 0
  for line in io.lines(path) do
    local value = line:match("^//%s*" .. word .. ":%s*(.-)%s*$")
    if value then return value end
    n = n + 1
    if n == 20 then break end
  end
end

local commands = {} -- { title, command } in order
local function add(title, command)
  commands[#commands + 1] = { title = title, command = command }
end

-- Lua alone.
add("luacheck", "luacheck --no-color -q gen tests configs")
for _, path in ipairs(files("tests/gen/test_*.lua tests/golden/test_*.lua")) do
  add(path, "lua5.4 " .. path)
end

-- The C text, and what two compilers say of it.
add("clang-format", "tests/format.sh --check")
for _, cc in ipairs { "gcc", "clang" } do
  for _, name in ipairs { "shakespeare_char_cpu", "notebook_small", "bigram" } do
    add(("warnings of %s, %s"):format(cc, name), ("make build CONFIG=%s CC=%s WERROR=1"):format(name, cc))
  end
end

-- The runtime's unit tests, with ASan and UBSan.
add("generator", "make generate")
for _, path in ipairs(files("tests/runtime/test_*.c tests/ops/test_*.c")) do
  local program = "build/asan/" .. path:gsub("%.c$", "")
  add(path, ("make BUILD_NAME=shakespeare_char_cpu SANITIZE=1 %s && %s"):format(program, program))
end

-- Ops, whole models, and the commands as a person types them.
for _, folder in ipairs { "runtime", "ops", "train", "bench", "report", "cuda", "cuda/gpu" } do
  for _, path in ipairs(files("tests/" .. folder .. "/test_*.lua")) do add(path, "lua5.4 " .. path) end
  for _, path in ipairs(files("tests/" .. folder .. "/test_*.sh")) do add(path, path) end
end
for _, path in ipairs(files("tests/train/test_*.c")) do
  local config = head(path, "config")
  if config then
    local test = path:match("([^/]+)%.c$")
    add(path, ("make build CONFIG=%s PROGRAMS=%s && build/%s/cpu/%s"):format(config, test,
      config:gsub("^.*/", ""):gsub("%.lua$", ""), test))
  end
end

-- Small models of all options against PyTorch's numbers and finite differences: as they are built
-- for use, and with ASan and UBSan.
add("models to hold against PyTorch", "tests/reference/build.sh")
for _, path in ipairs(files("tests/reference/configs/*.lua")) do
  local name = path:match("([^/]+)%.lua$")
  local build = "make build BUILD=build/reference PROGRAMS=\"test_parity test_greedy gradcheck\" CONFIG=" .. path
  for _, variant in ipairs { { "", "" }, { "asan/", " SANITIZE=1" } } do
    local bin = ("build/reference/%s%s/cpu/"):format(variant[1], name)
    local golden = "tests/reference/golden/" .. name .. ".safetensors"
    add(("parity %s%s"):format(name, variant[2]),
      build .. variant[2] .. " && " .. bin .. "test_parity " .. golden)
    add(("greedy %s%s"):format(name, variant[2]), bin .. "test_greedy " .. golden)
    add(("gradcheck %s%s"):format(name, variant[2]), bin .. "gradcheck")
  end
end

-- Counts from a command's output: the last report that it printed.
local function report(output)
  local passed, failed, skipped
  for line in output:gmatch("[^\n]+") do
    local p, f, s = line:match("(%d+) passed, (%d+) failed, (%d+) skipped$")
    if p then passed, failed, skipped = tonumber(p), tonumber(f), tonumber(s) end
    local checks, failures, errors =
      line:match("^%d+%%: Checks: (%d+), Failures: (%d+), Errors: (%d+)")
    if checks then
      failed = failures + errors
      passed, skipped = checks - failed, 0
    end
  end
  return passed, failed, skipped
end

local function last_line(output)
  return output:match("([^\n]+)\n*$") or ""
end

local function run(item)
  local log, start = os.tmpname(), os.time()
  local script = ("%s timeout -k 10 %d sh -c '%s' >%s 2>&1 </dev/null"):format(environment,
    seconds_allowed, item.command:gsub("'", "'\\''"), log)
  local _, how, code = os.execute(script)
  local file = assert(io.open(log))
  local output = file:read("a")
  file:close()
  os.remove(log)

  local passed, failed, skipped = report(output)
  if how == "exit" and code == 77 and not passed then
    passed, failed, skipped = 0, 0, 1
  elseif not passed then
    passed, failed, skipped = code == 0 and 1 or 0, code == 0 and 0 or 1, 0
  elseif code ~= 0 and failed == 0 then
    failed = 1 -- it ended badly after, or beside, what it counted
  end
  print(("%-8s%3d s  %s: %s"):format(failed > 0 and "FAILED" or skipped > 0 and passed == 0 and "skipped"
    or "ok", os.time() - start, item.title, last_line(output)))
  if failed > 0 then
    print("    " .. item.command)
    local lines = {}
    for line in output:gmatch("[^\n]*") do lines[#lines + 1] = line end
    for i = math.max(1, #lines - tail_lines), #lines do print("    " .. lines[i]) end
    if code == 124 or code == 137 then
      print(("    stopped after %d s"):format(seconds_allowed))
    end
  end
  return passed, failed, skipped
end

local function wanted(item)
  if #arg == 0 then return true end
  for _, word in ipairs(arg) do
    if (item.title .. " " .. item.command):find(word, 1, true) then return true end
  end
  return false
end

io.stdout:setvbuf("line")
local total = { passed = 0, failed = 0, skipped = 0 }
for _, item in ipairs(commands) do
  if wanted(item) then
    local passed, failed, skipped = run(item)
    total.passed = total.passed + passed
    total.failed = total.failed + failed
    total.skipped = total.skipped + skipped
  end
end
print(("%d passed, %d failed, %d skipped"):format(total.passed, total.failed, total.skipped))
os.exit(total.failed == 0 and total.passed > 0)
