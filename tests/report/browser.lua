-- browser: a headless Chromium that a test uses as a person does, with real taps and clicks, over its debugging pipe:
-- messages of JSON, each with a 0 byte behind it, to its descriptor 3 and from its 4.
local files = require("gen.base.files")
local json = require("dkjson")

local browser = {}
browser.__index = browser

local MOST_SECONDS = 300 -- a browser that hangs is ended, and then its pipe is at its end

-- The name of the Chromium that is here, or nil.
function browser.find()
  for _, name in ipairs({ "chromium", "chromium-browser", "google-chrome", "google-chrome-stable" }) do
    if os.execute(("command -v %s >/dev/null 2>&1"):format(name)) then return name end
  end
end

-- The flags that every test's Chromium has; its profile is in `folder`.
function browser.flags(folder)
  return ("--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --user-data-dir=%s"):format(
    files.quoted(folder .. "/profile"))
end

-- Starts a browser whose files are in `folder`; close it at the end.
function browser.start(folder)
  local to, from = folder .. "/to-browser", folder .. "/from-browser"
  assert(os.execute(("mkfifo %s %s"):format(files.quoted(to), files.quoted(from))))
  local process = io.popen(("timeout %d %s %s --remote-debugging-pipe about:blank 3<%s 4>%s 2>/dev/null"):format(
    MOST_SECONDS, browser.find(), browser.flags(folder), files.quoted(to), files.quoted(from)))
  local b = setmetatable({ process = process, calls = 0 }, browser)
  b.to, b.from = assert(io.open(to, "w")), assert(io.open(from, "r"))
  b.to:setvbuf("no")
  for _, target in ipairs(b:call("Target.getTargets").targetInfos) do
    if target.type == "page" and not b.session then
      b.session = b:call("Target.attachToTarget", { targetId = target.targetId, flatten = true }).sessionId
    end
  end
  return b
end

-- One message of the browser.
local function receive(b)
  local bytes = {}
  while true do
    local c = b.from:read(1)
    if not c then error("the browser has ended", 0) end
    if c == "\0" then break end
    bytes[#bytes + 1] = c
  end
  return json.decode(table.concat(bytes))
end

-- The result of a method of Chromium's debugging protocol.
function browser:call(method, params)
  self.calls = self.calls + 1
  self.to:write(json.encode({ id = self.calls, method = method, sessionId = self.session,
    params = setmetatable(params or {}, { __jsontype = "object" }) }), "\0")
  while true do
    local said = receive(self)
    if said.id == self.calls then
      if said.error then error(method .. ": " .. said.error.message, 0) end
      return said.result
    end
  end
end

-- The value of a script in the page; of a promise, what it becomes.
function browser:value(script)
  local result = self:call("Runtime.evaluate", { expression = script, awaitPromise = true, returnByValue = true })
  local thrown = result.exceptionDetails
  if thrown then error((thrown.exception and thrown.exception.description or thrown.text) .. " in " .. script, 0) end
  return result.result.value
end

-- Opens a page `width` wide; on a phone, with fingers in place of a mouse.
function browser:open(address, width, phone)
  self.touch = phone
  self:call("Emulation.setDeviceMetricsOverride", { width = width, height = 900, deviceScaleFactor = 1,
    mobile = phone })
  self:call("Emulation.setTouchEmulationEnabled", { enabled = phone })
  self:call("Page.navigate", { url = address })
  self:wait("document.readyState === 'complete' && location.href !== 'about:blank'", address)
end

-- Waits until a script is true, for as long as a busy machine may take; `what` is what is waited for.
function browser:wait(script, what)
  for _ = 1, 1000 do
    if self:value(("Boolean(%s)"):format(script)) then return end
    self:value("new Promise(resolve => setTimeout(resolve, 20))")
  end
  error(what .. ": waited in vain for " .. script, 0)
end

-- A tap, or a click, at a point of the window.
function browser:press(x, y)
  if self.touch then
    self:call("Input.dispatchTouchEvent", { type = "touchStart", touchPoints = { { x = x, y = y } } })
    self:call("Input.dispatchTouchEvent", { type = "touchEnd", touchPoints = json.decode("[]") })
    return
  end
  self:call("Input.dispatchMouseEvent", { type = "mouseMoved", x = x, y = y })
  for _, kind in ipairs({ "mousePressed", "mouseReleased" }) do
    self:call("Input.dispatchMouseEvent", { type = kind, x = x, y = y, button = "left", clickCount = 1 })
  end
end

-- A finger, or a mouse with its button down, from the first of some points of the window over the others.
function browser:drag(points)
  local kinds = self.touch and { "touchStart", "touchMove", "touchEnd" } or
    { "mousePressed", "mouseMoved", "mouseReleased" }
  local function send(kind, x, y)
    if self.touch then
      self:call("Input.dispatchTouchEvent", { type = kind, touchPoints = kind == "touchEnd" and json.decode("[]") or
        { { x = x, y = y } } })
    else
      self:call("Input.dispatchMouseEvent", { type = kind, x = x, y = y, button = "left", buttons = 1 })
    end
  end
  send(kinds[1], points[1].x, points[1].y)
  for i = 2, #points do
    local from, to = points[i - 1], points[i]
    for part = 0.25, 1, 0.25 do
      send(kinds[2], from.x + (to.x - from.x) * part, from.y + (to.y - from.y) * part)
    end
  end
  -- It stands still before it lets go, or a page that it scrolls rolls on.
  self:value("new Promise(resolve => setTimeout(resolve, 200))")
  send(kinds[2], points[#points].x, points[#points].y)
  send(kinds[3], points[#points].x, points[#points].y)
end

function browser:close()
  pcall(self.call, self, "Browser.close")
  self.to:close()
  self.from:close()
  self.process:close()
end

return browser
