-- test_golden: compares the generator's output for small configs with the files stored beside this one:
-- the dump of each pass and, for tiny and cuda, the emitted text.
--
--     lua5.4 tests/golden/test_golden.lua [--update]     --update (make golden) stores the present output
local check = require "tests.gen.check"
local files = require "gen.base.files"

local stored = {
  { name = "tiny", emitted = { "model.h", "train.c", "sample.c" }, own = { "defaults.c" } },
  { name = "plain", emitted = {}, own = {} },
  { name = "cuda", backend = "cuda", emitted = { "model.h", "train.cu" }, own = {} },
}
local shown = 12 -- lines of a difference

local function lines_of(command)
  local lines, pipe = {}, assert(io.popen(command))
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

-- The generator's text for a config: file name -> text.
local function generate(golden)
  local build = os.tmpname()
  os.remove(build)
  local backend = golden.backend or "cpu"
  local ok = os.execute(("lua5.4 gen/main.lua --backend %s --build %s tests/golden/%s.lua"):format(backend, build,
    golden.name))
  local texts = {}
  if ok then
    local own = ("%s/%s/%s/"):format(build, golden.name, backend)
    local model = (files.read(own .. "build.mk") or ""):match("MODEL_DIR := ([^\n]+)") .. "/"
    for _, file in ipairs(golden.emitted) do texts[file] = files.read(model .. file) end
    for _, file in ipairs(golden.own) do texts[file] = files.read(own .. file) end
    for _, file in ipairs(lines_of("ls " .. model .. "ir")) do
      texts["ir/" .. file] = files.read(model .. "ir/" .. file)
    end
  end
  os.execute("rm -rf " .. build)
  if not ok then error("the generator failed", 0) end
  return texts
end

local function difference(path, text)
  local now = os.tmpname()
  files.write(now, text)
  local lines = lines_of(("diff -U1 %s %s | tail -n +3"):format(path, now))
  os.remove(now)
  local more = #lines > shown and ("\n    ... %d more"):format(#lines - shown) or ""
  return "    " .. table.concat(lines, "\n    ", 1, math.min(#lines, shown)) .. more
end

local function sorted(texts)
  local names = {}
  for name in pairs(texts) do names[#names + 1] = name end
  table.sort(names)
  return names
end

for _, golden in ipairs(stored) do
  local folder = ("tests/golden/%s/"):format(golden.name)
  local texts = generate(golden)
  if arg[1] == "--update" then os.execute("rm -rf " .. folder) end
  for _, name in ipairs(sorted(texts)) do
    local path = folder .. name
    if arg[1] == "--update" then files.write(path, texts[name]) end
    check.test(path, function()
      local text = files.read(path)
      if not text then error("is not stored; make golden, and review it", 0) end
      if text ~= texts[name] then
        error("differs; make golden, and review the difference:\n" .. difference(path, texts[name]), 0)
      end
    end)
  end
  check.test(folder .. ": no file that is not made any more", function()
    for _, path in ipairs(lines_of(("find %s -type f"):format(folder))) do
      if not texts[path:sub(#folder + 1)] then error(path .. " is not made any more; make golden", 0) end
    end
  end)
end
if arg[1] == "--update" then -- the files of other tests
  os.execute("lua5.4 tests/gen/test_passes.lua --update && lua5.4 tests/gen/test_readme.lua --update")
end
check.finish()
