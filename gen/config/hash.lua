-- hash: a checked config as text, as a hash, and as a folder's name. Depends on schema, and on base.
local files = require "gen.base.files"
local problem = require "gen.config.problem"
local schema = require "gen.config.schema"

local hash = {}

-- "model=gpt n_layer=4 ...": the resolved values of the baked keys, without keys that mean nothing for this model, and
-- without values that a missing key stands for (`absent`).
function hash.baked_text(c)
  local words = {}
  for _, key in ipairs(schema.baked_keys()) do
    local says_nothing = key.gpt and c.model == "bigram" or key.cuda and c.backend == "cpu" or
      key.cpu and c.backend == "cuda" or key.where and not c[key.where] or schema.is_absent(key, c[key.name])
    if not says_nothing then words[#words + 1] = key.name .. "=" .. tostring(c[key.name]) end
  end
  return table.concat(words, " ")
end

-- Twelve hex digits of the SHA-256 of the baked text and of `extra`, which names the generator.
function hash.of(c, extra)
  -- Through a pipe, not a temporary file: the disk may be full.
  local pipe = io.popen(("printf '%%s\\n%%s' %s %s | sha256sum"):format(files.quoted(hash.baked_text(c)),
    files.quoted(extra or "")), "r")
  local line = pipe and pipe:read("l")
  if pipe then pipe:close() end
  local digits = line and line:match("^(%x%x%x%x%x%x%x%x%x%x%x%x)")
  if not digits then problem.fail(problem.INTERNAL, "sha256sum", "gave no hash; it comes with coreutils") end
  return digits
end

-- The folder of a build in build/: its name without '=', which `env` would take for an assignment in a program's path
-- (the Makefile's folder_with does the same). The folder of a run in out/ has the name as it is.
function hash.folder(name) return (name:gsub("=", "@")) end

return hash
