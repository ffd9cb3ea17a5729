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
local CHARACTERS, LLMC_TOKENS = "meta.pkl", "gpt2_tokenizer.bin" -- nanoGPT's vocabulary, llm.c's tokens

-- What llm.c's files are, by the number that they begin with; the first one is read.
local LLMC_WEIGHTS = 20240326
local LLMC_OTHERS = {
  [20240327] = "llm.c's debug state", [20240328] = "llm.c's tokenizer", [20240520] = "tokens of llm.c's",
  [20240522] = "a file of HellaSwag of llm.c's", [20240801] = "tokens of llm.c's", [20240803] = "llm.c's Llama 3",
}

-- Whether a file has the model's sizes in it, by its name or its first bytes: GGUF, or llm.c's. Raises
-- { code, message } of another file of llm.c's.
local function says_sizes(path)
  local file = assert(io.open(path, "rb"))
  local first = file:read(4) or ""
  file:close()
  local magic = #first == 4 and ("<i4"):unpack(first)
  if LLMC_OTHERS[magic] then
    problem.fail(problem.DATA, path, "is %s; its weights of GPT-2, as gpt2_124M.bin, are wanted", LLMC_OTHERS[magic])
  end
  return path:find("%.gguf$") or first == "GGUF" or magic == LLMC_WEIGHTS
end

-- The place of a tokenizer in a folder, or nil.
local function tokenizer_in(own)
  if exists(own .. "/" .. CHARACTERS) then return own .. "/" .. CHARACTERS end
  for _, name in ipairs(TOKENIZERS) do
    if exists(own .. "/" .. name) then return own end
  end
end

local function there(path) return exists(path) and path or nil end

-- Finds the files of a model, as paths: { weights; config: config.json, nil where the weights' file says the sizes
-- itself or has none beside it; tokenizer: a folder with GPT-2's files or nanoGPT's meta.pkl, or nil; tokens: llm.c's
-- tokenizer, or nil }. Raises { code, message }.
function folder.find(path)
  local own, weights = path:gsub("/+$", ""), nil
  if own == "" then own = "/" end
  if not is_folder(path) then
    if not exists(path) then
      problem.fail(problem.MISSING, path, "no such folder or file; MODEL is a folder with config.json and " ..
        "model.safetensors")
    end
    own, weights = path:match("^(.*)/[^/]*$") or ".", path
    if says_sizes(path) then return { weights = path, tokens = there(own .. "/" .. LLMC_TOKENS) } end
    if path:find("%.pth?$") or path:find("pytorch_model[^/]*%.bin$") then
      problem.fail(problem.DATA, path, "is a PyTorch file, which nothing here unpickles; tests/reference/pytorch.py " ..
        "makes a .safetensors file of nanoGPT's, save_pretrained of Hugging Face's")
    end
    if not path:find("%.safetensors$") and not path:find("%.index%.json$") then
      problem.fail(problem.DATA, path, "is neither a .safetensors nor a .gguf file, nor llm.c's; a folder as " ..
        "Hugging Face writes it, or such a file, is wanted")
    end
  end
  for _, name in ipairs(WEIGHTS) do
    if not weights and exists(own .. "/" .. name) then weights = own .. "/" .. name end
  end
  if not weights then
    problem.fail(problem.MISSING, own, "has neither model.safetensors nor model.safetensors.index.json; where there " ..
      "is a pytorch_model.bin alone, save the model again with save_pretrained")
  end
  return { config = there(own .. "/config.json"), weights = weights, tokenizer = tokenizer_in(own) }
end

-- Reads config.json, a table; `nulls` in it has the names of its members that are null. Raises { code, message }.
function folder.read_config(path)
  local file = io.open(path, "rb")
  if not file then problem.fail(problem.MISSING, path, "cannot be opened") end
  local text = file:read(MAX_CONFIG_BYTES + 1) or ""
  file:close()
  if #text > MAX_CONFIG_BYTES then
    problem.fail(problem.DATA, path, "longer than 1 MiB; a model's config.json is wanted")
  end
  local ok, config, rest = pcall(dkjson.decode, text)
  if not ok or type(config) ~= "table" or text:find("%S", rest) then
    problem.fail(problem.DATA, path, "is not a JSON object; a model's config.json is wanted")
  end
  config.nulls = {}
  for name, value in pairs(dkjson.decode(text, 1, dkjson.null)) do
    if value == dkjson.null then config.nulls[name] = true end
  end
  return config
end

-- What build/import prints of a file; it prints its own line where it cannot.
local function said(build, flag, path)
  local pipe = assert(io.popen(files.quoted(build .. "/import") .. flag .. files.quoted(path)))
  local text = pipe:read("a")
  local ok, kind, code = pipe:close()
  if not ok then os.exit(kind == "exit" and code or problem.INTERNAL) end
  return text
end

-- The same as config.json, of a file that says its sizes itself.
function folder.describe(build, path)
  return assert(dkjson.decode(said(build, " --describe=", path)))
end

-- The config that make export put into the weights' metadata, as text, or nil.
function folder.own_config(build, path)
  return said(build, " --diecast=", path):match("^([^\n]+)\n")
end

return folder
