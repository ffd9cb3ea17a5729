-- checkpoint: the config of a checkpoint, from its metadata, as build/export prints it. Depends on base, config and
-- import.
local files = require "gen.base.files"
local metadata = require "gen.import.metadata"
local problem = require "gen.config.problem"

local checkpoint = {}

-- Reads the checkpoint at `path`: { config = the checked config, stated = whether the file has one, tokenizer = "char",
-- "gpt2" or nil, vocabulary = how many tokens its tokenizer has, if there is one }. Ends the program with
-- build/export's code and line if it cannot be read; raises { code, message }.
function checkpoint.read(build, path)
  local pipe = assert(io.popen(files.quoted(build .. "/export") .. " --checkpoint=" .. files.quoted(path)))
  local said = pipe:read("a")
  local ok, kind, code = pipe:close()
  if not ok then os.exit(kind == "exit" and code or problem.INTERNAL) end
  local text = said:match("^config ([^\n]*)\n") or ""
  return { config = metadata.read(text, path), stated = text ~= "",
    tokenizer = said:match("\ntokenizer (%w+)\n"), vocabulary = tonumber(said:match("\nvocabulary (%d+)\n")) }
end

return checkpoint
