-- prompt: the default prompt of samples and attention: the beginning of the run's validation text, whose characters
-- are all in its vocabulary.
local read = require("gen.report.read")

local prompt = {}

local MOST_TOKENS = 32
local MOST_META = 16 << 20
local MOST_PROMPT = 1 << 16
local BYTES = 256 -- of a byte-pair encoding: its first tokens
local SHARD_HEADER = 1024 -- bytes before a token shard's tokens

-- The function from a token to its bytes, by the tokenizer's string (runtime/text/text.h), or nil. Of
-- a "bpe-" string there is none: the default prompt of such a run is the sampler's own.
local function decoder(tokenizer)
  local bytes, merges = tokenizer:match("^bpe gpt2 (%x+) (%x*)")
  if bytes and #bytes == 2 * BYTES then
    local function of(id)
      if id < BYTES then return string.char(tonumber(bytes:sub(2 * id + 1, 2 * id + 2), 16)) end
      local at = 8 * (id - BYTES)
      local left, right = tonumber(merges:sub(at + 1, at + 4), 16), tonumber(merges:sub(at + 5, at + 8), 16)
      return left and right and left < id and right < id and of(left) .. of(right) or ""
    end
    return of
  end
  if tokenizer:find("^ids ") then
    return function(id) return (" %d"):format(id) end
  end
  local list = tokenizer:match("^char (.*)")
  if not list then return nil end
  local letters = {}
  for hex in list:gmatch("%x+") do letters[#letters + 1] = utf8.char(tonumber(hex, 16)) end
  return function(id) return letters[id + 1] or "" end
end

-- The path of the file that has a folder's first tokens for validation, and where in it they begin.
local function first_file(folder, meta)
  if meta.shards == nil then return folder .. "/val.bin", 0 end
  local list = type(meta.shards) == "table" and meta.shards.val
  local path = type(list) == "table" and type(list[1]) == "table" and list[1].path
  if type(path) ~= "string" then return nil end
  return path:sub(1, 1) == "/" and path or folder .. "/" .. path, SHARD_HEADER
end

-- The first tokens of a folder's validation split as text, or "" if a file is missing or not understood.
local function beginning(folder, tokens)
  local meta = read.object(folder .. "/meta.json", MOST_META)
  local of = meta and type(meta.tokenizer) == "string" and decoder(meta.tokenizer)
  if not of then return "" end
  local path, at = first_file(folder, meta)
  local file = path and io.open(path, "rb")
  if not file then return "" end
  local width = meta.token_type == "uint32" and 4 or 2
  local ids, parts = file:seek("set", at) and file:read(width * tokens) or "", {}
  file:close()
  for i = 1, #ids - width + 1, width do parts[#parts + 1] = of((string.unpack("<I" .. width, ids, i))) end
  local found = table.concat(parts):match("^[^\0]*") -- an argument of a command cannot have a zero
  found = found:gsub("^FILE:", "") -- which the sampler would take for a path
  local _, bad = utf8.len(found)
  return bad and found:sub(1, bad - 1) or found -- a token may end within a character
end

-- What a page's name gets for a prompt that was asked for, so that one prompt's page does not overwrite another's.
function prompt.suffix(text)
  local sum = 0
  for i = 1, #text do sum = (sum * 31 + text:byte(i)) % 65521 end
  local begin = text:gsub("[^%w]+", "-"):gsub("^-", ""):sub(1, 24):gsub("-$", "")
  return (".prompt-%s%s%04x"):format(begin, begin ~= "" and "-" or "", sum)
end

-- What a sweep's own samples begin with, or nil.
function prompt.of_sweep(p)
  return p.sweep and read.text(("out/sweeps/%s/prompt.txt"):format(p.name), MOST_PROMPT) or nil
end

-- A prompt for each run, of as many tokens as fit into every run's context; "", with which the sampler uses its own
-- default, if a run's data set is missing.
function prompt.of(runs)
  local tokens, known, list = MOST_TOKENS, {}, {}
  for _, r in ipairs(runs) do
    local block_size = read.whole(r.config, "block_size", 1)
    tokens = math.min(tokens, block_size or tokens)
  end
  for i, r in ipairs(runs) do
    local data_dir, dataset = read.string(r.run, "data_dir"), r.dataset
    local folder = dataset and not dataset:find("/", 1, true) and
      ("%s/%s"):format(data_dir and data_dir ~= "" and data_dir or "data", dataset)
    if folder and not known[folder] then known[folder] = beginning(folder, tokens) end
    list[i] = folder and known[folder] or ""
  end
  return list
end

return prompt
