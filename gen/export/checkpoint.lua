-- checkpoint: the config of a checkpoint, from its metadata, as build/export prints it. Depends on base and config.
local config = require "gen.config.load"
local files = require "gen.base.files"
local problem = require "gen.config.problem"
local schema = require "gen.config.schema"

local checkpoint = {}

-- The keys that say what the weights compute, of a metadata's text; those of another machine or training are left out.
local function words_of(text, path)
  local words = { "isa=generic", "batch_size=1" }
  local bigram = (" " .. text .. " "):find(" model=bigram ", 1, true) -- then the keys of a GPT mean nothing, and are 0
  for word in text:gmatch("%S+") do
    local name = word:match("^([^=]*)=")
    local key = schema.key(name or "")
    if not key then
      problem.fail(problem.DATA, path, "its config has '%s', which no key of this version is; export it with the " ..
        "version that wrote it", word)
    end
    if (key.shape or key.changes == "function") and not (key.gpt and bigram) then words[#words + 1] = word end
  end
  return words
end

-- Reads the checkpoint at `path`: { config = the checked config, tokenizer = "char", "gpt2" or nil, tokens = how
-- many }. Ends the program with build/export's code and line if it cannot be read; raises { code, message }.
function checkpoint.read(build, path)
  local pipe = assert(io.popen(files.quoted(build .. "/export") .. " --checkpoint=" .. files.quoted(path)))
  local said = pipe:read("a")
  local ok, kind, code = pipe:close()
  if not ok then os.exit(kind == "exit" and code or problem.INTERNAL) end
  local text = said:match("^config ([^\n]*)\n")
  local tokenizer, tokens = said:match("\ntokenizer (%w+) (%d+)\n")
  local words = words_of(text or "", path)
  local good, c = pcall(config.load, {}, words, { backend = "cpu", source = path, warn = function() end })
  if not good then
    if type(c) == "table" then c.code = problem.DATA end
    error(c, 0)
  end
  return { config = c, tokenizer = tokenizer, tokens = tonumber(tokens) }
end

return checkpoint
