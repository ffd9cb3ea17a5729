-- files: reads and writes whole files. A file is written only if its text changed, and replaced in one step, so that
-- nobody sees half of it.
local files = {}

local made = {}

local function make_folder(path)
  if made[path] then return end
  made[path] = true
  if not os.execute("mkdir -p " .. files.quoted(path) .. " 2>/dev/null") then
    error({ code = 74, message = path .. ": cannot be made a folder; move what is there, or allow writing" })
  end
end

-- The word, quoted for the shell.
function files.quoted(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- The file's text, or nil.
function files.read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("a")
  if file then file:close() end
  return text
end

-- This process' ID, for temporary names: two commands may write the same file at the same time.
local function process()
  local file = io.open("/proc/self/stat")
  local number = file and file:read("n")
  if file then file:close() end
  return number or 0
end

-- Raises { code, message } if the text cannot be written. durable: it, and its name, would survive a power cut.
function files.write(path, text, durable)
  if files.read(path) == text then return end
  make_folder(path:match("^(.*)/[^/]*$"))
  local temporary = ("%s.%d.tmp"):format(path, process())
  local file, message = io.open(temporary, "wb")
  local ok = file
  if file then
    ok, message = file:write(text)
    local closed, close_message = file:close()
    if not closed then ok, message = nil, close_message end
  end
  if ok and durable and not os.execute("sync " .. files.quoted(temporary) .. " 2>/dev/null") then
    ok, message = nil, "cannot be synced"
  end
  if ok then ok, message = os.rename(temporary, path) end
  if not ok then
    os.remove(temporary)
    error({ code = 74, message = ("%s: cannot be written: %s"):format(path, message) })
  end
  -- Folders of some file systems cannot be synced.
  if durable then os.execute("sync " .. files.quoted(path:match("^(.*)/")) .. " 2>/dev/null") end
end

return files
