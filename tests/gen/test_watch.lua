-- test_watch: a sweep's page meanwhile: when it is written anew, and how often at most.
package.path = "./?.lua;" .. package.path
local check = require("tests.gen.check")
local files = require("gen.base.files")
local watch = require("gen.sweep.watch")

local function added(path, text)
  local file = assert(io.open(path, "ab"))
  file:write(text)
  file:close()
end

check.test("an evaluation or an end is seen once, a step or half a line is not", function()
  local root = os.tmpname()
  os.remove(root)
  local run, other = root .. "/one", root .. "/two"
  local log = run .. "/metrics.jsonl"
  files.write(log, '{"iter":0,"train_loss":4,"val_loss":4,"ms":1}\n')
  files.write(other .. "/metrics.jsonl", "")
  local changed = watch.changes({ runs = { { folder = run }, { folder = other, elsewhere = true } } })
  check.equal(changed(), false, "what was there at the start")
  added(log, '{"iter":0,"loss":4,"ms":1}\n')
  check.equal(changed(), false, "a step")
  added(log, '{"iter":1,"train_loss":3,"val_loss"')
  check.equal(changed(), false, "half a line")
  added(log, ':3,"ms":1}\n')
  check.equal(changed(), true, "its other half")
  check.equal(changed(), false, "the same once more")
  added(other .. "/metrics.jsonl", '{"iter":0,"val_loss":4}\n')
  check.equal(changed(), false, "a run of another machine")
  files.write(run .. "/status.json", '{"status":"done"}')
  check.equal(changed(), true, "an end")
  check.equal(changed(), false, "the same end")
  files.write(log, '{"iter":0,"val_loss":5}\n')
  check.equal(changed(), true, "a run that is trained from scratch")
  os.execute("rm -rf " .. files.quoted(root))
end)

-- What is written while a made-up sweep lasts `long` seconds: "time live" and "time last". A page takes `takes`
-- seconds; changes(now) says when an evaluation comes.
local function followed(long, takes, changes, stale)
  local now, list = 0, {}
  watch.follow(function()
    now = now + 1
    return now >= long
  end, function() return changes(now) end, function(live)
    list[#list + 1] = ("%d %s"):format(now, live and "live" or "last")
    now = now + takes
    return true
  end, function() return now end, stale)
  return table.concat(list, ", ")
end

check.test("a page comes with an evaluation, seconds apart, and a last one that is not live", function()
  check.equal(followed(20, 0, function(now) return now == 3 or now == 4 or now == 14 end),
    "3 live, 8 live, 14 live, 20 last")
  check.equal(followed(20, 0, function(now) return now == 3 or now == 4 end), "3 live, 8 live, 20 last")
  check.equal(followed(9, 0, function(now) return now == 9 end), "9 last", "an evaluation at the end alone")
end)

check.test("a page that takes long comes seldom", function()
  check.equal(followed(60, 5, function() return true end), "1 live, 26 live, 51 live, 60 last")
end)

check.test("without any evaluation nothing is written, but for a page that would load itself for good", function()
  check.equal(followed(9, 0, function() return false end), "")
  check.equal(followed(9, 0, function() return false end, true), "9 last")
end)

check.test("if no page can be written, nothing more is tried", function()
  local tries = 0
  watch.follow(function() return tries > 3 end, function() return true end, function()
    tries = tries + 1
  end, function() return 0 end)
  check.equal(tries, 1)
end)

check.finish()
