-- import: `make import`: makes a config and a checkpoint from a published model.
--
--   lua5.4 gen/import.lua [--build build] [--out out] [--set KEY=VALUE ...] --name NAME MODEL
--
-- MODEL is a folder like Hugging Face's (config.json, model.safetensors or its index, tokenizer files), the weights'
-- file in one, a GGUF file, llm.c's weights, or a .safetensors file alone, of which --set says what no file does:
-- n_head, activation. Writes OUT/NAME/ckpt.safetensors and OUT/NAME/NAME.lua, and prints what could not be
-- taken over.
package.path = "./?.lua;" .. package.path
local argparse = require("argparse")
local command = require("gen.base.command")
local config = require("gen.config.load")
local files = require("gen.base.files")
local folder = require("gen.import.folder")
local gpt2 = require("gen.import.gpt2")
local llama = require("gen.import.llama")
local metadata = require("gen.import.metadata")
local parameters = require("gen.import.table")
local problem = require("gen.config.problem")

local fail = command.fail
local GPT2_FILES = "data/gpt2"
local GPT2_VOCABULARY = { [50257] = true, [50304] = true } -- 50304: padded, as nanoGPT does it

local function exists(path) return (os.execute("test -e " .. files.quoted(path))) end

-- The text of NAME.lua.
local function config_text(model, keys)
  local lines = {
    "-- Imported from " .. model:gsub("[%c]", "?") .. ": its weights are ckpt.safetensors in this folder.",
    "-- To train on from them: make train CONFIG=<this file> NAME=mine RUN=\"--init_from=<that file> ...\"",
    "return {",
  }
  for _, key in ipairs(keys) do
    local value = type(key[2]) == "string" and ("%q"):format(key[2]) or tostring(key[2])
    lines[#lines + 1] = ("  %s = %s,"):format(key[1], value)
    if key[1] == "vocab_size" and GPT2_VOCABULARY[key[2]] then
      lines[#lines + 1] = "  dataset = \"shakespeare\", -- its tokens are GPT-2's"
    end
  end
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n") .. "\n"
end

-- The tokenizer's place, or nil; prints where it is from if the model has none.
local function tokenizer_of(found, c, model)
  if found.tokenizer then return found.tokenizer end
  if GPT2_VOCABULARY[c.vocab_size] and exists(GPT2_FILES .. "/vocab.bpe") then
    print(("%s: has %s; its %d tokens are taken to be GPT-2's, of %s"):format(found.tokens or model,
      found.tokens and "tokens, but not how text is cut into them" or "no tokenizer", c.vocab_size, GPT2_FILES))
    return GPT2_FILES
  end
  print(("%s: has no tokenizer, so no text can be sampled until a run starts from it; put its vocab.json and " ..
    "merges.txt, tokenizer.json, or nanoGPT's meta.pkl, there and import it again"):format(model))
  return nil
end

-- Adds what the words say of a file that does not say it itself.
local function add_stated(stated, words, found)
  for _, word in ipairs(words) do
    local key, value = word:match("^(n_head)=(.+)$")
    if not key then key, value = word:match("^(activation)=(.+)$") end
    if not key or found.config or stated.diecast then
      problem.fail(problem.USAGE, "SET", "'%s': make import takes n_head and activation alone, of a file that has " ..
        "no config.json beside it", word)
    end
    if key == "activation" then
      stated.activation_function = gpt2.activation(value) or value
    elseif stated.n_head ~= nil and tostring(stated.n_head) ~= value then
      problem.fail(problem.USAGE, "SET", "n_head=%s, but %s says %s", value, found.weights, tostring(stated.n_head))
    else
      stated.n_head = math.tointeger(value) or value
    end
  end
  if stated.n_head == nil and stated.model_type == "gpt2" and not stated.diecast and not found.config then
    problem.fail(problem.DATA, found.weights, "has no config.json beside it and does not say how many heads the " ..
      "model has; make import ... SET=\"n_head=12\" does")
  end
end

-- The program's exit code.
local function run_import(args, found, tokenizer, stated, c, path)
  local words = { files.quoted(args.build .. "/import"), "--weights=" .. files.quoted(found.weights),
    "--out=" .. files.quoted(path), "--config=" .. files.quoted(metadata.text(c)) }
  if tokenizer then words[#words + 1] = "--tokenizer=" .. files.quoted(tokenizer) end
  if tokenizer and found.tokens then words[#words + 1] = "--tokens=" .. files.quoted(found.tokens) end
  if stated.diecast then words[#words + 1] = "--zeros=drop" end
  if not found.config then words[#words + 1] = "--sizes=" .. files.quoted(stated.sizes_from or "metadata") end
  local pipe = assert(io.popen(table.concat(words, " "), "w"))
  pipe:write(parameters.text(c))
  local ok, kind, code = pipe:close()
  return ok and 0 or kind == "exit" and code or 70
end

local function parse_arguments()
  local parser = argparse("gen/import.lua", "Turns a published model into a config and a checkpoint.")
  parser:option("--build", "the folder of build/import", "build")
  parser:option("--out", "the folder of runs", "out")
  parser:option("--name", "what to call it")
  parser:option("--set", "n_head=... or activation=..., of a file that does not say it"):count("*")
  parser:argument("model", "a folder as Hugging Face's, a .safetensors or .gguf file, or llm.c's weights")
  local args = command.arguments("gen/import.lua", parser)
  if not args.name or not args.name:find("^[%w_][%w_.+-]*$") or #args.name > 200 then
    fail(64, ("NAME: '%s' is not a name of letters, digits, '_', '-', '.', '+'; make import MODEL=path NAME=gpt2-hf")
      :format((args.name or ""):gsub("[%c\127-\255]", "?")))
  end
  return args
end

-- The room's file that reads the sizes of such a model.
local function family_of(stated, path)
  if stated.model_type == "gpt2" then return gpt2 end
  if llama.families[stated.model_type] then return llama end
  problem.fail(problem.DATA, path, "is of model_type %s; gpt2, llama, qwen2, qwen3, arcee and nanochat are what can " ..
    "be read", tostring(stated.model_type))
end

local function main()
  local args = parse_arguments()
  local found = folder.find(args.model)
  local stated = found.config and folder.read_config(found.config) or folder.describe(args.build, found.weights)
  if found.config then stated.diecast = folder.own_config(args.build, found.weights) end
  add_stated(stated, args.set, found)
  local says = found.config or found.weights
  local keys, lines = family_of(stated, says).keys(stated, says)
  local own = args.out .. "/" .. args.name
  for _, name in ipairs({ "ckpt.safetensors", "state.safetensors", "metrics.jsonl" }) do
    if exists(own .. "/" .. name) then
      problem.fail(problem.USAGE, own, "is there already, with %s in it; take another NAME, or remove it", name)
    end
  end
  for _, line in ipairs(lines) do print(("%s: %s"):format(says, line)) end
  -- The checkpoint is written last: if it is there, the import is complete.
  local path = ("%s/%s.lua"):format(own, args.name)
  files.write(path, config_text(args.model, keys))
  local c = config.load({ path }, { "isa=generic" }, { backend = "cpu" })
  local tokenizer = not stated.has_tokenizer and tokenizer_of(found, c, args.model)
  local code = run_import(args, found, tokenizer, stated, c, own .. "/ckpt.safetensors")
  if code ~= 0 then
    os.remove(path)
    os.execute("rmdir " .. files.quoted(own) .. " 2>/dev/null")
    os.exit(code)
  end
  print("config: " .. path)
  if stated.has_tokenizer or tokenizer then
    print(('next: make sample CONFIG=%s START="The "'):format(path))
  else
    print(("next: make inspect FILE=%s/ckpt.safetensors VERIFY=1"):format(own))
  end
end

command.run(main)
