-- folder: finds and reads the files of a model: those of a folder like Hugging Face's, or one that says its sizes
-- itself. Depends on base and config.
local dkjson = require "dkjson"
local files = require "gen.base.files"
local problem = require "gen.config.problem"

local folder = {}

local MAX_CONFIG_BYTES = 1 << 20

local function exists(path)
  local file = io.open(path, "rb")
  if not file then return false end
  local readable = file:read(0) or file:seek("end") == 0 -- a folder can be opened, but not read
  file:close()
  return readable and true or false
end

local function is_folder(path)
  return (os.execute("test -d " .. files.quoted(path)))
end

local WEIGHTS = { "model.safetensors", "model.safetensors.index.json" }
local TOKENIZERS = { "vocab.bpe", "merges.txt", "tokenizer.json" }

-- Whether a file has the model's sizes in it, by its name or its first bytes.
local function says_sizes(path)
  local file = assert(io.open(path, "rb"))
  local magic = file:read(4)
  file:close()
  return path:find("%.gguf$") or magic == "GGUF"
end

-- Finds the files: { config = path, weights = path, tokenizer = folder or nil }; for a file that says its sizes itself
-- { weights = path }. Raises { code, message }.
function folder.find(path)
  local own, weights = path:gsub("/+$", ""), nil
  if own == "" then own = "/" end
  if not is_folder(path) then
    if not exists(path) then
      problem.fail(problem.MISSING, path, "no such folder or file; MODEL is a folder with config.json and " ..
        "model.safetensors")
    end
    if says_sizes(path) then return { weights = path } end
    if not path:find("%.safetensors$") and not path:find("%.index%.json$") then
      problem.fail(problem.DATA, path, "is neither a .safetensors nor a .gguf file; a folder as Hugging Face writes " ..
        "it, or such a file, is wanted")
    end
    own, weights = path:match("^(.*)/[^/]*$") or ".", path
  end
  for _, name in ipairs(WEIGHTS) do
    if not weights and exists(own .. "/" .. name) then weights = own .. "/" .. name end
  end
  if not weights then
    problem.fail(problem.MISSING, own, "has neither model.safetensors nor model.safetensors.index.json; where there " ..
      "is a pytorch_model.bin alone, save the model again with save_pretrained")
  end
  local tokenizer
  for _, name in ipairs(TOKENIZERS) do
    if exists(own .. "/" .. name) then tokenizer = own end
  end
  return { config = own .. "/config.json", weights = weights, tokenizer = tokenizer }
end

-- Reads config.json, a table. Raises { code, message }.
function folder.read_config(path)
  local file = io.open(path, "rb")
  if not file then
    problem.fail(problem.MISSING, path, "missing; it says how many layers and heads the weights are of")
  end
  local text = file:read(MAX_CONFIG_BYTES + 1) or ""
  file:close()
  if #text > MAX_CONFIG_BYTES then
    problem.fail(problem.DATA, path, "longer than 1 MiB; a model's config.json is wanted")
  end
  local ok, config, rest = pcall(dkjson.decode, text)
  if not ok or type(config) ~= "table" or text:find("%S", rest) then
    problem.fail(problem.DATA, path, "is not a JSON object; a model's config.json is wanted")
  end
  return config
end

-- The same of a file that says its sizes itself, by build/import, which prints its own line where it cannot.
function folder.describe(build, path)
  local pipe = assert(io.popen(files.quoted(build .. "/import") .. " --describe=" .. files.quoted(path)))
  local text = pipe:read("a")
  local ok, kind, code = pipe:close()
  if not ok then os.exit(kind == "exit" and code or problem.INTERNAL) end
  return assert(dkjson.decode(text))
end

return folder
