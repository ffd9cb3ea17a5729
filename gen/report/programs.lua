-- programs: runs the sampler and the bench of a run's build.
local hash = require("gen.config.hash")
local files = require("gen.base.files")
local read = require("gen.report.read")

local programs = {}

local SECONDS = 300 -- for one call
local MOST_OUTPUT = 16 << 20

-- The folder of a run's programs, build/NAME/BACKEND, or nil. A name from a file is used only if it cannot lead to
-- another folder. A plan of an earlier version has '=' in the names of builds, which are now written with '@'.
function programs.folder(r, build)
  if r.build then return read.exists(r.build) and r.build or hash.folder(r.build) end
  local name = r.config_name
  if not name or not name:find("^[%w_.,=+-]+$") or name:find("^%.") then return nil end
  local backend = r.backend == "cuda" and "cuda" or "cpu"
  return ("%s/%s/%s"):format(build, hash.folder(name), backend)
end

-- A program of a run's build. A cuda build has its own sampler; that of a sweep is in the cpu's. Returns nil and what
-- to do if there is none.
function programs.find(r, build, program)
  local folder = programs.folder(r, build)
  if not folder then return nil, "run.json does not say which build made it" end
  for _, place in ipairs({ folder, (folder:gsub("/cuda$", "/cpu")) }) do
    if read.exists(place .. "/" .. program) then return place .. "/" .. program end
  end
  return nil, ("there is no %s/%s; `make build %s` makes it"):format(folder, program, r.words or "...")
end

-- Makes a program of a build that was made without it. Returns its path, or nil.
function programs.make(folder, program)
  local build, name, backend = folder:match("^(.*)/([^/]+)/([^/]+)$")
  if not build or not read.exists(folder .. "/build.mk") then return nil end
  local path = folder .. "/" .. program
  os.execute(("MAKEFLAGS= MAKELEVEL= make BUILD=%s BUILD_NAME=%s BACKEND=%s %s >/dev/null 2>&1"):format(
    files.quoted(build), files.quoted(name), backend, files.quoted(path)))
  return read.exists(path) and path or nil
end

-- A file for a program's standard error: in /tmp, else in the folder of builds.
local function complaint_file()
  local ok, path = pcall(os.tmpname)
  return ok and path or ("build/complaint-%d.tmp"):format(os.time())
end

-- Runs a program with arguments; returns its output, or nil and the last line of its standard error.
function programs.run(program, words)
  local quoted = { "timeout", tostring(SECONDS), files.quoted(program:find("/") and program or "./" .. program) }
  for _, word in ipairs(words) do quoted[#quoted + 1] = files.quoted(word) end
  local complaint = complaint_file()
  local pipe = io.popen(("%s 2>%s </dev/null"):format(table.concat(quoted, " "), files.quoted(complaint)), "r")
  local output = pipe:read(MOST_OUTPUT) or ""
  local ok, _, code = pipe:close()
  local said = read.text(complaint, 1 << 20) or ""
  os.remove(complaint)
  if ok then return output end
  local last = said:match("([^\n]+)\n*$")
  if code == 124 then last = ("took longer than %d s"):format(SECONDS) end
  return nil, last or ("ended with code %s"):format(tostring(code))
end

return programs
