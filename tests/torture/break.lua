-- break: runs a scene of scenes.lua, broken off, and holds what is left against what is promised.
local files = require("gen.base.files")

local break_off = {}

local Stage = {}
Stage.__index = Stage

local quoted = files.quoted

-- Runs shell text with the scene's variables. Returns the exit code, as a shell has it.
function Stage:sh(text, said)
  local variables = ("box=%s bin=%s texts=%s\n"):format(quoted(self.box), quoted(self.bin), quoted(self.texts))
  local _, how, code = os.execute(("exec >%s 2>&1 </dev/null\n"):format(quoted(said or self.tmp .. "/said")) ..
    variables .. text)
  return how == "signal" and 128 + code or code
end

function Stage:must(text)
  local code = self:sh(text)
  if code ~= 0 then
    error(("%s: %s: exit code %d\n%s"):format(self.scene.name, text, code, files.read(self.tmp .. "/said") or ""), 0)
  end
end

-- A scene in tmp/box. arg: tmp, bin, texts: folders.
function break_off.stage(scene, tmp, bin, texts)
  local self = setmetatable({ scene = scene, tmp = tmp, box = tmp .. "/box", bin = bin, texts = texts }, Stage)
  self:must('rm -rf "$box" "$box.before" && mkdir "$box"')
  if scene.fill then self:must(scene.fill) end
  self:must('cp -a "$box" "$box.before"')
  self.before, self.folders = self:look()
  -- What it comes to when nobody breaks it off.
  self:must(scene.command)
  self.finals = {}
  for path, part in pairs(scene.finals) do
    self.finals[path] = part(assert(files.read(self.box .. "/" .. path), path))
  end
  return self
end

-- What lies in the box: files { path = bytes } and folders { path = true }, by absolute paths.
function Stage:look()
  local found, folders = {}, {}
  local pipe = io.popen(("find %s -mindepth 1 \\( -type d -printf 'd%%p\\n' \\) -o -printf 'f%%p\\n'"):format(
    quoted(self.box)))
  for line in pipe:lines() do
    if line:sub(1, 1) == "d" then folders[line:sub(2)] = true else found[line:sub(2)] = files.read(line:sub(2)) end
  end
  pipe:close()
  return found, folders
end

-- As it was before the scene.
function Stage:reset()
  self:must('rm -rf "$box" && cp -a "$box.before" "$box"')
end

-- Puts these files there, and nothing else.
function Stage:put(found, folders)
  local list = {}
  for path in pairs(folders) do list[#list + 1] = quoted(path) end
  self:must('rm -rf "$box" && mkdir -p "$box" ' .. table.concat(list, " "))
  for path, bytes in pairs(found) do
    local file = assert(io.open(path, "wb"))
    file:write(bytes)
    file:close()
  end
end

-- The scene's command under the tracer. words: its flags and mode. Returns the exit code.
function Stage:traced(words, said)
  local one = self.scene.command
  return self:sh(("build/torture/trace --under=\"$box\" %s %s"):format(words, one), said)
end

-- A record of the command, begun as it was before; also of what it says, where `spoken`. Returns its path.
function Stage:record(spoken)
  self:reset()
  local log, said = self.tmp .. "/calls", self.tmp .. "/spoken"
  local code = self:traced(("%s record %s"):format(spoken and "--under=" .. quoted(said) or "", quoted(log)), said)
  if code ~= 0 then
    error(("%s: exit code %d under the tracer\n%s"):format(self.scene.name, code, files.read(said)), 0)
  end
  return log, said
end

-- ---- what is promised -----------------------------------------------------------------------------------

-- Bytes that must be there under some name, in found.
function Stage:lost(found)
  for _, path in ipairs(self.scene.precious or {}) do
    local bytes, there = self.before[self.box .. "/" .. path], false
    for _, other in pairs(found) do there = there or other:sub(1, #bytes) == bytes end
    if not there then return path .. " of before is lost" end
  end
end

-- A program's end that is none, with its last line.
function Stage:said(code)
  local said = (files.read(self.tmp .. "/said") or ""):gsub("\n+$", "")
  return ("exit code %d: %s"):format(code, said:match("([^\n]*)$"))
end

-- What is wrong with the files that have a final name; nil where nothing is.
function Stage:unreadable()
  local code = self.scene.readable and self:sh(self.scene.readable) or 0
  return code ~= 0 and "is not readable: " .. self:said(code) or nil
end

-- What is wrong with what lies in the box now and with going on from it; nil where nothing is.
function Stage:goes_on()
  local unreadable = self:unreadable()
  if unreadable then return unreadable end
  local code = self:sh(self.scene.command)
  if code ~= 0 then return "does not go on: " .. self:said(code) end
  for path, part in pairs(self.scene.finals) do
    local bytes = files.read(self.box .. "/" .. path)
    if not bytes then return path .. " is not there in the end" end
    if part(bytes) ~= self.finals[path] then return path .. " is not in the end what it would have been" end
  end
  local found = self:look()
  local lost = self:lost(found)
  return lost and lost .. " in the end"
end

return break_off
