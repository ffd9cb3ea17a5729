-- metadata: a config as the text in a checkpoint's metadata, "key=value key=value ...": the keys that decide what the
-- weights compute, and their shapes, and those that stay with them. Depends on config.
local config = require "gen.config.load"
local problem = require "gen.config.problem"
local schema = require "gen.config.schema"

local metadata = {}

-- Whether the metadata has the key.
local function says(key) return key.shape or key.changes == "function" or key.stays end

function metadata.text(c)
  local words = {}
  for _, key in ipairs(schema.baked_keys()) do
    if says(key) and not schema.is_absent(key, c[key.name]) then
      words[#words + 1] = key.name .. "=" .. tostring(c[key.name])
    end
  end
  return table.concat(words, " ")
end

-- The checked config of a text from the file at `path`. Keys of training and of a machine are left out, and those of a
-- GPT where the model is none. Raises { code, message }.
function metadata.read(text, path)
  local words = { "isa=generic", "batch_size=1" }
  local bigram = (" " .. text .. " "):find(" model=bigram ", 1, true)
  for word in text:gmatch("%S+") do
    local key = schema.key(word:match("^([^=]*)=") or "")
    if not key then
      problem.fail(problem.DATA, path, "its config has '%s', which no key of this version is; take the version that " ..
        "wrote it", word)
    end
    if says(key) and not (key.gpt and bigram) then words[#words + 1] = word end
  end
  local good, c = pcall(config.load, {}, words, { backend = "cpu", source = path, warn = function() end })
  if good then return c end
  if type(c) == "table" then c.code = problem.DATA end
  error(c, 0)
end

-- The keys for a config's file: { { name, value }, ... }.
function metadata.keys(c)
  local keys = {}
  for _, key in ipairs(schema.baked_keys()) do
    local other = key.name == "model" and c.model ~= "gpt" or key.name ~= "model" and not (key.gpt and c.model ~= "gpt")
    if says(key) and other and not schema.is_absent(key, c[key.name]) then
      keys[#keys + 1] = { key.name, c[key.name] }
    end
  end
  return keys
end

return metadata
