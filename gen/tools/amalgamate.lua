-- amalgamate: a trainer as one C file: the runtime, the emitted model, and the two header libraries with
-- their licences.
--
--   lua5.4 gen/tools/amalgamate.lua [--backend cpu] [--build build] CONFIG.lua ... [key=value ...]
--
-- Takes gen/main.lua's arguments, and runs it first. Writes build/NAME/BACKEND/NAME.c: the files one after
-- another, where the first #include of a file of the project or of those libraries is replaced by its text and
-- later ones are left out; run_keys.h, which expands to something else each time, is put in every time.
package.path = "./?.lua;" .. package.path
local command = require("gen.base.command")
local hash = require("gen.config.hash")
local files = require("gen.base.files")
local isas = require("gen.ir.isa")

local libraries = { ["jsmn.h"] = true, ["xxhash.h"] = true }
local library_folders = { "/usr/include/", "/usr/local/include/" }

local fail = command.fail

-- ---- the build that is put together --------------------------------------------------------------

local function generator(args, words)
  local line = { "lua5.4 -E gen/main.lua --backend", files.quoted(args.backend), "--build",
    files.quoted(args.build) }
  for _, word in ipairs(words) do line[#line + 1] = files.quoted(word) end
  return table.concat(line, " ")
end

local function run(line)
  local ok, _, code = os.execute(line)
  if not ok then os.exit(code) end
end

-- The generator's value of a key, for these arguments and one more.
local function ask(args, key, more)
  local words = { "--print", key, table.unpack(args.words) }
  words[#words + 1] = more
  local pipe = io.popen(generator(args, words))
  local answer = pipe:read("l")
  pipe:close()
  return answer
end

local function variables(path)
  local map = {}
  for name, value in (files.read(path) or ""):gmatch("([%u_]+) := ([^\n]*)") do map[name] = value end
  return map
end

-- ---- one text from many --------------------------------------------------------------------------

local Joined = {}
Joined.__index = Joined

-- The text and path of an included file, or nil if it is the system's.
function Joined:find(quoted, name)
  if quoted then
    for _, folder in ipairs(self.folders) do
      local text = files.read(folder .. name)
      if text then return text, name end
    end
    fail(70, ("gen/tools/amalgamate.lua: %s is included, but there is no such file"):format(name))
  elseif libraries[name] then
    for _, folder in ipairs(library_folders) do
      local text = files.read(folder .. name)
      if text then return text, name end
    end
    fail(66, ("%s%s: no such file; `make setup` installs it"):format(library_folders[1], name))
  end
end

function Joined:add(text, name)
  local lines = self.lines
  lines[#lines + 1] = ("// ==== %s %s"):format(name, ("="):rep(92 - #name))
  for line in text:gmatch("([^\n]*)\n") do
    local open, included = line:match('^%s*#%s*include%s+([<"])([^>"]+)[>"]')
    local found, path
    if open then found, path = self:find(open == '"', included) end
    if not found then
      lines[#lines + 1] = line
    elseif not self.done[path] then
      self.done[path] = path ~= "run_keys.h"
      self:add(found, path)
      lines[#lines + 1] = ("// ==== %s, again %s"):format(name, ("="):rep(85 - #name))
    end
  end
end

-- ---- what a trainer is made of ---------------------------------------------------------------------

local function without_comments(text)
  return (("\n" .. text):gsub("//[^\n]*", ""))
end

-- The names that a C file defines for other files: at the beginning of a line, and not static.
local function defined(text)
  local names = {}
  for line in without_comments(text):gmatch("\n(%a[^\n]*)") do
    local name = not line:find("^static ") and (line:match("^[%w_ ]-%f[%w_]([%w_]+)%(%f[^(]") or
      line:match("^[%w_ ]-%(%*([%w_]+)%)") or line:match("^[%w_ *]-([%w_]+)%f[^%w_][%[%]%w]* ?[=;]") or
      line:match("^[%w_ *]-%f[%w_]([%w_]+)%("))
    if name then names[#names + 1] = name end
  end
  return names
end

local function sources(wing)
  local list, paths = assert(io.popen(("LC_ALL=C ls runtime/%s/*.c 2>/dev/null"):format(wing))), {}
  for path in list:lines() do paths[#paths + 1] = path end
  list:close()
  return paths
end

-- The runtime's files that a trainer of this emitted text needs, in the order of the wings, the program's own last;
-- none of gpu, which replaces others, or of other programs.
local function runtime_parts(emitted)
  local paths, definer, wanted = {}, {}, {}
  for wing in files.read("runtime/wings.mk"):match("\nwings := ([^\n]+)"):gmatch("%S+") do
    if wing ~= "gpu" and wing ~= "programs" then
      for _, path in ipairs(sources(wing)) do
        paths[#paths + 1] = path
        for _, name in ipairs(defined(files.read(path))) do definer[name] = path end
      end
    end
  end
  local function want(text)
    for name in without_comments(text):gmatch("[%a_][%w_]*") do
      local path = definer[name]
      if path and not wanted[path] then
        wanted[path] = true
        want(files.read(path))
      end
    end
  end
  local program = { "runtime/programs/train.c", table.unpack(sources("programs/train")) }
  for _, path in ipairs(program) do want(files.read(path)) end
  want(emitted)
  local parts = {}
  for _, path in ipairs(paths) do
    if wanted[path] then parts[#parts + 1] = path end
  end
  return table.move(program, 1, #program, #parts + 1, parts)
end

local head = [[
// %s: a trainer in one file, made with Diecast: %s.
//
// This line builds it:
//
//     cc -std=gnu11 -O3 -ffp-contract=off %s-pthread %s -lm
//
// It needs a C compiler, and no library but C's own. With --help it lists its flags. Each
// part is set behind a line of ====. jsmn and xxHash are others' work: their licences stand at their
// heads.
]]

local function main()
  local parser = command.parser("gen/tools/amalgamate.lua", "Writes a trainer as one C file.")
  parser:option("--backend", "cpu", "cpu")
  parser:option("--build", "the folder to write to", "build")
  local args = command.arguments("gen/tools/amalgamate.lua", parser)
  if args.backend ~= "cpu" then
    fail(64, ("backend %s: an amalgamation is of the CPU's trainer; leave BACKEND out"):format(args.backend))
  end

  run(generator(args, args.words))
  local name = ask(args, "build_name")
  local folder = ("%s/%s/%s/"):format(args.build, hash.folder(name), args.backend)
  local build = variables(folder .. "build.mk")
  local native = ask(args, "isa", "isa=native") == build.ISA
  local flags = native and "-march=native" or isas[build.ISA].flags
  flags = flags == "" and "" or flags .. " "

  local model_dir = build.MODEL_DIR .. "/"
  local joined = setmetatable({ lines = {}, done = {},
    folders = { "", model_dir, args.build .. "/include/" } }, Joined)
  local emitted = { files.read(model_dir .. "train.c"), files.read(model_dir .. "sample.c") }
  for _, path in ipairs(runtime_parts(table.concat(emitted))) do joined:add(files.read(path), path) end
  joined:add(emitted[1], "train.c")
  joined:add(emitted[2], "sample.c")
  joined:add(files.read(folder .. "defaults.c"), "defaults.c")

  local file = name .. ".c"
  local title = joined.lines[1] and emitted[1]:match("^// train%.c: (.-)%.\n")
  files.write(folder .. file, head:format(file, title, flags, file) .. table.concat(joined.lines, "\n") .. "\n")
  print(("built: %s%s, %d lines; it needs no other file"):format(folder, file, #joined.lines))
  print(("next: cd %s && cc -std=gnu11 -O3 -ffp-contract=off %s-pthread %s -lm"):format(folder, flags, file))
end

command.run(main)
