-- fits: whether a checkpoint is of the model that some words ask for, so that nothing is shipped that would refuse its
-- own weights. Depends on config and import.
local config = require "gen.config.load"
local parameters = require "gen.import.table"
local schema = require "gen.config.schema"

local fits = {}

-- The line that refuses a checkpoint of config `found`, or nil: the words, a config's paths and assignments, ask for
-- other tensors, or for another function of the same ones. A context that no tensor shows may differ.
function fits.refusal(found, configs, assignments, path)
  local wanted = config.load(configs, assignments, { backend = "cpu" })
  local has, asked, other = {}, {}, parameters.text(found) ~= parameters.text(wanted)
  for _, key in ipairs(schema.baked_keys()) do
    local name = key.name
    if (key.shape or key.changes == "function") and found[name] ~= wanted[name] then
      has[#has + 1] = name .. "=" .. tostring(found[name])
      asked[#asked + 1] = name .. "=" .. tostring(wanted[name])
      other = other or key.changes == "function"
    end
  end
  if not other then return nil end
  return ("%s: is of a model with %s, and CONFIG and SET say %s; give the words that it was trained with"):format(path,
    table.concat(has, " "), table.concat(asked, " "))
end

return fits
