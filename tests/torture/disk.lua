-- disk: what a disk may hold of a recorded run, after any of its calls.
--
-- The model is POSIX', no single file system's. The bytes of a file that were written since its last fsync may be
-- there, or be missing, or be zeros, or be a part of them. A folder's entries that were made, renamed or removed since
-- the folder's last fsync may be so or not, each for itself; a file's fsync makes no entry of it. A rename is done or
-- not, never half. What an fsync has made sure of stays. So a renamed file may be there without its bytes.
--
-- A record is trace.c's. Paths are absolute; what lies in the folder `root` is followed, and root itself is there.
local disk = {}

-- ---- the record -----------------------------------------------------------------------------------------

-- The calls of a record, in order: { number, call, result, made, offset, length, flags, path, path2, data }.
function disk.read(path)
  local file, list = assert(io.open(path, "rb")), {}
  for line in file:lines() do
    local f = {}
    for field in (line .. "\t"):gmatch("([^\t]*)\t") do f[#f + 1] = field end
    local op = { number = tonumber(f[1]), call = f[2], result = tonumber(f[3]:match("^%S+")),
      made = f[3]:find(" new", 1, true) ~= nil, offset = tonumber(f[4]), length = tonumber(f[5]),
      flags = tonumber(f[6]), path = f[7], path2 = f[8] }
    if op.call:find("write", 1, true) and op.result > 0 then
      op.data = file:read(op.result)
      file:read(1)
    end
    list[#list + 1] = op
  end
  file:close()
  return list
end

-- ---- files and folders ----------------------------------------------------------------------------------

local Disk = {}
Disk.__index = Disk

-- A disk that holds, safely, the files { path = bytes } and folders { path = true } below root.
function disk.new(root, files, folders)
  local self = setmetatable({ root = root, safe = {}, now = {}, pending = {} }, Disk)
  for path in pairs(folders or {}) do self.safe[path] = { folder = true } end
  for path, bytes in pairs(files or {}) do self.safe[path] = { bytes = bytes, synced = bytes, changes = {} } end
  for path, node in pairs(self.safe) do self.now[path] = node end
  return self
end

local function above(path) return path:match("^(.*)/[^/]*$") end

local function put(bytes, offset, data)
  if #bytes < offset then bytes = bytes .. ("\0"):rep(offset - #bytes) end
  return bytes:sub(1, offset) .. data .. bytes:sub(offset + #data + 1)
end

local function changed(bytes, change)
  if change.size then
    return #bytes > change.size and bytes:sub(1, change.size) or bytes .. ("\0"):rep(change.size - #bytes)
  end
  return put(bytes, change.offset, change.data)
end

local function change(node, what)
  node.changes[#node.changes + 1] = what
  node.bytes = changed(node.bytes, what)
end

-- Does an entry's change to a map of names.
local function enter(names, op)
  if op.from then
    local moved = {}
    for path, node in pairs(names) do
      if path:sub(1, #op.from + 1) == op.from .. "/" then moved[path] = node end
    end
    for path, node in pairs(moved) do
      names[path] = nil
      names[op.path .. path:sub(#op.from + 1)] = node
    end
    if names[op.from] == op.node then names[op.from] = nil end
  end
  names[op.path] = op.node
end

function Disk:entry(op)
  op.folder = above(op.path)
  enter(self.now, op)
  self.pending[#self.pending + 1] = op
end

function Disk:sync(path)
  local node = self.now[path]
  if node and not node.folder then
    node.synced, node.changes = node.bytes, {}
  end
  local left = {}
  for _, op in ipairs(self.pending) do
    if op.folder == path then enter(self.safe, op) else left[#left + 1] = op end
  end
  self.pending = left
end

-- Whether an fsync of this file or folder would make sure of anything.
function Disk:is_unsynced(path)
  local node = self.now[path]
  if node and not node.folder then return #node.changes > 0 end
  for _, op in ipairs(self.pending) do
    if op.folder == path then return true end
  end
  return false
end

local TRUNCATE = 512 -- O_TRUNC

-- Does a call.
function Disk:apply(op)
  local path = op.path
  if op.result < 0 or path:sub(1, #self.root) ~= self.root and (op.path2 or ""):sub(1, #self.root) ~= self.root then
    return
  end
  local node = self.now[path]
  if op.made and not node then
    self:entry({ path = path, node = { bytes = "", synced = "", changes = {} } })
  elseif op.call:find("^open") and node and not node.folder and op.flags // TRUNCATE % 2 == 1 then
    change(node, { size = 0 })
  elseif op.data and node then
    change(node, { offset = op.offset, data = op.data })
  elseif op.call:find("truncate", 1, true) and node then
    change(node, { size = op.offset })
  elseif op.call:find("^rename") and node then
    self:entry({ from = path, path = op.path2, node = node })
  elseif op.call:find("^link") and node then
    self:entry({ path = op.path2, node = node })
  elseif op.call:find("^unlink") or op.call == "rmdir" then
    self:entry({ path = path })
  elseif op.call:find("^mkdir") then
    self:entry({ path = path, node = { folder = true } })
  elseif op.call == "fsync" or op.call == "fdatasync" then
    self:sync(path)
  elseif op.call == "copy_file_range" or op.call == "sendfile" or op.call:find("^symlink") then
    error(("%s of %s: this disk does not know that call"):format(op.call, path))
  end
end

-- ---- what may be left -----------------------------------------------------------------------------------

-- Ways to keep, or not, what is not safe: entry(op, last) whether an entry's change, or the last one, is there;
-- bytes(node) the file's bytes.
local function keep_all(node) return node.bytes end
local function drop_all(node) return node.synced end
-- As long as it should be, and zeros where nothing was synced.
local function zeros(node)
  local bytes = node.synced
  for _, c in ipairs(node.changes) do
    bytes = changed(bytes, c.size and c or { offset = c.offset, data = ("\0"):rep(#c.data) })
  end
  return bytes
end
-- The earlier half of what was written.
local function half(node)
  local total, bytes = 0, node.synced
  for _, c in ipairs(node.changes) do total = total + (c.data and #c.data or 0) end
  local left = total // 2
  for _, c in ipairs(node.changes) do
    if c.size then
      bytes = changed(bytes, c)
    else
      bytes = changed(bytes, { offset = c.offset, data = c.data:sub(1, left) })
      left = math.max(0, left - #c.data)
    end
  end
  return bytes
end
local function yes() return true end
local function no() return false end

disk.ways = {
  { name = "all that was not synced is lost", entry = no, bytes = drop_all },
  { name = "names without bytes", entry = yes, bytes = drop_all },
  { name = "names and zeros", entry = yes, bytes = zeros },
  { name = "names and half of the bytes", entry = yes, bytes = half },
  { name = "bytes without names", entry = no, bytes = keep_all },
  { name = "all is there", entry = yes, bytes = keep_all },
  { name = "renames alone", entry = function(op) return op.from ~= nil end, bytes = drop_all },
  { name = "the newest name alone", entry = function(_, last) return last end, bytes = keep_all },
  { name = "all names but the newest", entry = function(_, last) return not last end, bytes = keep_all },
  { name = "all names but renames", entry = function(op) return op.from == nil end, bytes = keep_all },
}

-- A way that chooses by random(n), which gives 1 to n.
function disk.random_way(name, random)
  local ways = { keep_all, drop_all, zeros, half }
  return { name = name,
    entry = function() return random(2) == 1 end,
    bytes = function(node)
      local way = random(5)
      if way < 5 then return ways[way](node) end
      local bytes = node.synced
      for _, c in ipairs(node.changes) do
        if random(2) == 1 then bytes = changed(bytes, c) end
      end
      return bytes
    end }
end

-- What is left after a power cut now: files { path = bytes } and folders { path = true }.
function Disk:after_cut(way)
  local names, files, folders = {}, {}, {}
  for path, node in pairs(self.safe) do names[path] = node end
  for i, op in ipairs(self.pending) do
    if way.entry(op, i == #self.pending) then enter(names, op) end
  end
  local function reached(path)
    return path == self.root or names[path] and names[path].folder and reached(above(path))
  end
  local paths = {}
  for path in pairs(names) do paths[#paths + 1] = path end
  table.sort(paths) -- so that a random way is the same for the same seed
  for _, path in ipairs(paths) do
    local node = names[path]
    if reached(above(path)) then
      if node.folder then folders[path] = true else files[path] = way.bytes(node) end
    end
  end
  return files, folders
end

-- What a process finds that comes after this one was killed.
function Disk:after_kill()
  local files = {}
  for path, node in pairs(self.now) do
    if not node.folder then files[path] = node.bytes end
  end
  return files
end

return disk
