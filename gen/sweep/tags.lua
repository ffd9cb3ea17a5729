-- tags: what a sweep's file says about it for the reader of its report: notes, and tags, which are names for the runs
-- with some settings.
local sandbox = require("gen.config.sandbox")
local stated = require("gen.sweep.stated")

local tags = {}

local MOST_NOTES, MOST_NAME = 2000, 24 -- bytes
local fail = stated.fail

function tags.check_notes(path, notes)
  if not notes:find("%S") or #notes > MOST_NOTES or not utf8.len(notes) then
    fail(path, "notes: wanted a text of at most %d bytes in UTF-8", MOST_NOTES)
  end
  return notes
end

-- { { name, wanted = { [key] = { value, ... } } } } of { wide = { n_embd = 256 }, deep = { n_layer = { 4, 8 } } }.
function tags.check(path, fields)
  local list = {}
  for i, name in ipairs(stated.names(fields)) do
    if type(name) ~= "string" or not name:find("^[%w_.-]+$") or #name > MOST_NAME then
      fail(path, "tags: %s; wanted names of letters, digits and '_', '.', '-', %d at most, as in tags = { wide = " ..
        "{ n_embd = 256 } }", sandbox.printable(tostring(name), 40), MOST_NAME)
    end
    local place, wanted, settings = "tags: " .. name, {}, fields[name]
    if type(settings) ~= "table" or next(settings) == nil then
      fail(path, "%s: wanted the settings of the runs that have it, as in { n_embd = 256 }", place)
    end
    for _, key_name in ipairs(stated.names(settings)) do
      local key, values = stated.key(path, place, key_name), settings[key_name]
      if type(values) ~= "table" then values = { values } end
      stated.list(path, ("%s: %s"):format(place, key.name), values, "values")
      wanted[key.name] = {}
      for n, value in ipairs(values) do wanted[key.name][n] = stated.value(path, place, key, value) end
    end
    list[i] = { name = name, wanted = wanted }
  end
  return list
end

-- The names of the tags that fit a run's config, or nil.
function tags.of(list, config)
  local names = {}
  for _, tag in ipairs(list or {}) do
    local fits = true
    for key, values in pairs(tag.wanted) do
      local found = false
      for _, value in ipairs(values) do found = found or config[key] == value end
      fits = fits and found
    end
    if fits then names[#names + 1] = tag.name end
  end
  return #names > 0 and names or nil
end

return tags
