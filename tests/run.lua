-- run.lua: runs the tests, two commands at a time, and adds up what they report.
--
--     lua5.4 tests/run.lua [WORD ...]     only the commands whose line has one of the words
--     JOBS=1                              one at a time; default 2, or 1 on a single core
--     DRY=1                               only prints the titles of those that would run, and their commands
--
-- tests/runner.lua says how commands run side by side, and how their tests are counted. A new test file
-- is found by its folder and name (tests/README.md); there is no list to extend.
package.path = "./?.lua;" .. package.path
local runner = require "tests.runner"

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

-- The value of a word in the comment that begins a test file: "// config: a b" or "# config: a b" gives "a b".
local function head(path, word)
  for line in io.lines(path) do
    local value = line:match("^[/#]+%s*" .. word .. ":%s*(.-)%s*$")
    if value or not line:find("^[/#]") then return value end
  end
end

local commands = {}
-- shares: names of what both this command and others build; without this list it runs alone.
local function add(title, command, shares)
  commands[#commands + 1] = { title = title, command = command, shares = shares }
end

-- The names in a shell test's head, "# shares: a b" or "# shares: nothing"; nil without such a line.
local function stated(path)
  local text = head(path, "shares")
  if not text then return nil end
  local names = {}
  for name in text:gmatch("%S+") do
    if name ~= "nothing" then names[#names + 1] = name end
  end
  return names
end

local function name_of(config)
  return (config:gsub("^.*/", ""):gsub("%.lua$", ""))
end

-- Tests in Lua alone, each of which builds in its own folder.
add("luacheck", "luacheck --no-color -q gen tests configs", {})
for _, path in ipairs(files("tests/gen/test_*.lua tests/golden/test_*.lua")) do
  add(path, "lua5.4 " .. path, {})
end

add("clang-format", "gen/tools/format.sh --check", {})

-- Builds what many of the tests below need: the generated headers, and the runtime as it is, with ASan
-- and UBSan, and for the emulator. Nothing rewrites it after this.
add("what the tests share", [[
make build/prepare build/check build/limits build/import build/torture/trace generate &&
    for words in "" SANITIZE=1 "BACKEND=cuda EMULATED=1"; do
        make build BUILD=build/reference CONFIG=tests/reference/configs/bigram.lua $words || exit
    done]])
local shared = commands[#commands]

-- Warnings of two compilers.
for _, cc in ipairs { "gcc", "clang" } do
  for _, name in ipairs { "shakespeare_char_cpu", "notebook_small", "bigram" } do
    add(("warnings of %s, %s"):format(cc, name), ("make build CONFIG=%s CC=%s WERROR=1"):format(name, cc),
      { "werror-" .. cc })
  end
end

-- The runtime's unit tests, with ASan and UBSan.
for _, path in ipairs(files("tests/runtime/test_*.c tests/ops/test_*.c")) do
  local program = "build/asan/" .. path:gsub("%.c$", "")
  add(path, ("make BUILD_NAME=shakespeare_char_cpu SANITIZE=1 %s && %s"):format(program, program), {})
end

-- Ops, whole models, and the commands as a person types them; first cuda's, which take longest.
local folders = { "cuda", "cuda/gpu", "runtime", "ops", "train", "same", "earlier", "torture", "bench", "report" }
for _, folder in ipairs(folders) do
  for _, path in ipairs(files("tests/" .. folder .. "/test_*.lua")) do add(path, "lua5.4 " .. path, {}) end
  for _, path in ipairs(files("tests/" .. folder .. "/test_*.sh")) do add(path, path, stated(path)) end
end
for _, path in ipairs(files("tests/train/test_*.c")) do
  local config = head(path, "config")
  if config then
    local test, name = path:match("([^/]+)%.c$"), name_of(config)
    add(path, ("make build CONFIG=%s PROGRAMS=%s && build/%s/cpu/%s"):format(config, test, name, test), { name })
  end
end

-- Small models with all options, compared with PyTorch's numbers and finite differences: built for
-- use, and with ASan and UBSan, where finite differences would only run once more what parity has run.
for _, path in ipairs(files("tests/reference/configs/*.lua")) do
  local name = name_of(path)
  local once = name == "gpt2_small" and " gradcheck"
  for _, variant in ipairs { { "", "", " gradcheck" }, { "asan/", " SANITIZE=1", once } } do
    local build = ("make build BUILD=build/reference PROGRAMS=\"test_parity test_greedy%s\" CONFIG=%s"):format(
      variant[3] or "", path)
    local bin = ("build/reference/%s%s/cpu/"):format(variant[1], name)
    local golden = "tests/reference/golden/" .. name .. ".safetensors"
    local function one(what, command)
      add(("%s %s%s"):format(what, name, variant[2]), command, { "reference/" .. name })
    end
    -- The first of the three builds for all; if only some of them run, each builds.
    local built = build .. variant[2] .. " && "
    local behind = #arg > 0 and built or ""
    one("parity", built .. bin .. "test_parity " .. golden)
    one("greedy", behind .. bin .. "test_greedy " .. golden)
    if variant[3] then one("gradcheck", behind .. bin .. "gradcheck") end
  end
end

local function wanted(item)
  if #arg == 0 then return true end
  for _, word in ipairs(arg) do
    if (item.title .. " " .. item.command):find(word, 1, true) then return true end
  end
  return false
end

local function cores()
  return tonumber(shell_lines("nproc")[1]) or 1
end

local chosen = {}
for i = #commands, 1, -1 do
  local item = commands[i]
  if wanted(item) or item == shared and #chosen > 0 then table.insert(chosen, 1, item) end
end

if (os.getenv("DRY") or "") ~= "" then
  for _, item in ipairs(chosen) do print(item.title .. ": " .. item.command:gsub("%s+", " ")) end
  os.exit(#chosen > 0)
end

local jobs = os.getenv("JOBS") or ""
if jobs == "" then jobs = math.min(cores(), 2) end
jobs = math.tointeger(tonumber(jobs))
if not jobs or jobs < 1 then
  io.stderr:write(("JOBS=%s: wanted a whole number from 1 on\n"):format(os.getenv("JOBS")))
  os.exit(64)
end
io.stdout:setvbuf("line")
local total = runner.run(chosen, jobs, print)
print(("%d passed, %d failed, %d skipped"):format(total.passed, total.failed, total.skipped))
os.exit(total.failed == 0 and total.passed > 0)
