-- sizes: what the families' readers of a config.json share: whole numbers within our keys' bounds, and the config that
-- make export wrote beside them. Depends on config and metadata.
local metadata = require "gen.import.metadata"
local problem = require "gen.config.problem"
local schema = require "gen.config.schema"

local sizes = {}

-- The size that config.json at `path` states as `theirs`, within the bounds of our key. `wanted` is what config.json
-- should be, in words. Raises { code, message }.
function sizes.of(stated, path, theirs, ours, wanted)
  if stated == nil then problem.fail(problem.DATA, path, "has no %s; %s is wanted", theirs, wanted) end
  local key, size = schema.key(ours), math.tointeger(stated)
  local least = math.max(key.min, 1)
  if not size or size < least or size > key.max then
    problem.fail(problem.DATA, path, "%s is %s; a whole number from %d to %d is wanted", theirs, tostring(stated),
      least, key.max)
  end
  return size
end

-- The keys of the config that make export put into the metadata; the sizes that config.json states are the same.
-- pairs: { theirs, ours }.
function sizes.own(config, path, pairs_of)
  local c = metadata.read(config.diecast, path)
  for _, pair in ipairs(pairs_of) do
    local stated, own = config[pair[1]], c[pair[2]]
    if stated ~= nil and stated ~= own then
      problem.fail(problem.DATA, path, "%s is %s, but %s is %s in the metadata that make export wrote (diecast); " ..
        "take both from one place, or leave that key out", pair[1], tostring(stated), pair[2], tostring(own))
    end
  end
  return metadata.keys(c), { "the config is that of the model that make export wrote" }
end

return sizes
