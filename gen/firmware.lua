-- firmware: `make firmware`: a run's sampler as C for a microcontroller, with its weights inside, and what it takes of
-- a chip, which is said before anything is flashed.
--
--   lua5.4 gen/firmware.lua [--build build] [--board NAME] [--command TEXT] --checkpoint PATH --to FOLDER [CONFIG ...]
--   lua5.4 gen/firmware.lua --board NAME          only checks the name
--
-- The config is the checkpoint's, or the one that is named, of the same model, whose context may be another where no
-- tensor shows it. With Arm's gcc the code is compiled, so that its size and its stack are known; for a
-- board of qemu's the program is linked too.
package.path = "./?.lua;" .. package.path
local argparse = require("argparse")
local boards = require("gen.firmware.boards")
local build = require("gen.firmware.build")
local checkpoint = require("gen.export.checkpoint")
local command = require("gen.base.command")
local config = require("gen.config.load")
local core = require("gen.emit.core")
local files = require("gen.base.files")
local fits = require("gen.export.fits")
local pipeline = require("gen.passes.pipeline")
local shake = require("gen.firmware.shake")
local weights = require("gen.firmware.weights")

local MOST = 32 * 2 ^ 20 -- bytes of weights: more flash than any of the boards can have and address
local CODE, STACK = 32 * 1024, 4096 -- without a compiler: bytes, more than those of the models that were tried
local ROOM = 1024 -- bytes of stack beside the sampler's: main's, and of an interrupt

-- What of the runtime the sampler may use.
local runtime = { "runtime/kernel/scalar.h", "runtime/sample/slide.c", "runtime/base/rng.c", "runtime/sample/repeat.c",
  "runtime/sample/choose.c" }

local commas = boards.commas

local function fail(format, ...) error({ code = 65, message = format:format(...) }, 0) end

-- ---- the files ------------------------------------------------------------------------------------

-- The weights in q8_0 and the tokenizer, by way of a file that make sampler would use.
local function read_weights(args)
  local path = args.to .. "/weights-q8_0.safetensors"
  build.must(("mkdir -p %s && rm -f %s"):format(files.quoted(args.to), files.quoted(path)))
  build.must(("lua5.4 -E gen/export.lua --build %s --checkpoint %s --format sampler --type q8_0 --to %s"):format(
    files.quoted(args.build), files.quoted(args.checkpoint), files.quoted(path)))
  local tensors, metadata = weights.read(path, files.read(path))
  os.remove(path)
  return tensors, metadata.tokenizer or ""
end

-- Adds what is known of the tokens, of which there may be fewer than the config has. Characters are text on the chip
-- too; others are ids.
local function add_tokens(k, tokenizer, count)
  local list = {}
  for code in (tokenizer:match("^char(.*)") or ""):gmatch("%x+") do list[#list + 1] = "0x" .. code end
  k.characters = list[1] and table.concat(list, ", ") or false
  k.vocab_size = count or k.c.vocab_size
end

local function write(folder, g, k, tensors)
  local head, body = core.text("sampler_core.h", k), core.text("sampler_core.c", k)
  local parts = shake.text(head .. body, runtime, { ["struct sampling"] = "struct sampler_core_sampling" })
  local from, to = body:find("// ==== runtime\n", 1, true)
  files.write(folder .. "/sampler_core.h", head)
  files.write(folder .. "/sampler_core.c", body:sub(1, from - 1) .. parts .. body:sub(to + 1))
  files.write(folder .. "/sampler_weights.c", weights.text(g, tensors, k.title))
end

-- ---- what it takes --------------------------------------------------------------------------------

local function check_fits(board, flash, ram)
  local problem = board and boards.problem(board, flash, ram)
  if problem then
    fail("BOARD=%s: it does not fit: %s; a smaller model or context does (n_embd, n_layer, block_size)", board.name,
      problem)
  end
end

local function say(k, code, ram)
  print(("flash: %s bytes, %s of them weights"):format(commas(k.weight_bytes + code), commas(k.weight_bytes)))
  print(("RAM:   %s bytes: %s, of which the keys and values of %d tokens are %s, and %s of stack"):format(
    commas(ram + k.stack), commas(ram), k.c.block_size, commas(4 * k.cache_floats), commas(k.stack)))
  print(("work:  %s multiply-adds a token at the end of the context"):format(commas(k.multiply_adds)))
end

local function say_boards(flash, ram)
  for _, board in ipairs(boards.list) do
    local problem = boards.problem(board, flash, ram)
    print(("  %-14s %-40s %s"):format(board.name, board.what, problem and "does not fit: " .. problem or "fits"))
  end
end

-- Writes and builds the program of a board of qemu's.
local function make_program(folder, board, k)
  local own = folder .. "/" .. board.name
  k.board, k.stack_room = board, (k.stack + ROOM + 7) // 8 * 8
  for _, name in ipairs({ "board.h", "start.c", "main.c", "link.ld" }) do
    files.write(("%s/%s"):format(own, name), core.text(name, k))
  end
  local program, flash, ram = build.link(folder, own, board)
  print(("built: %s: %s bytes of flash, %s of RAM"):format(program, commas(flash), commas(ram)))
  return ("qemu-system-arm -M %s -nographic -semihosting -kernel %s"):format(board.qemu, program)
end

-- ---- the command ----------------------------------------------------------------------------------

local function read_arguments()
  local parser = argparse("gen/firmware.lua", "Writes a sampler for a microcontroller.")
  parser:option("--build", "the folder of build/export", "build")
  parser:option("--checkpoint", "the checkpoint")
  parser:option("--to", "the folder to write")
  parser:option("--board", "the board", "")
  parser:option("--command", "the command, for the heads of files", "make firmware")
  parser:argument("words", "the model that it is to be of"):args("*")
  return command.arguments("gen/firmware.lua", parser)
end

-- The config of what is written. found: the checkpoint's.
local function config_of(args, found)
  local configs, assignments = command.split(args.words)
  if #configs == 0 then return found.config end
  local refusal = found.stated and fits.refusal(found.config, configs, assignments, args.checkpoint)
  if refusal then fail("%s", refusal) end
  return config.load(configs, assignments, { backend = "cpu" })
end

local function main()
  local args = read_arguments()
  local board = boards.find(args.board)
  if not args.checkpoint then return end
  local found = checkpoint.read(args.build, args.checkpoint)
  local c = config_of(args, found)
  local g = pipeline.core(c)
  local k = core.facts(g, c)
  k.command = args.command
  if k.weight_bytes > MOST then
    fail("%s: its weights take %s bytes in q8_0, and these boards address at most %s of flash; a smaller model fits",
      args.checkpoint, commas(k.weight_bytes), commas(math.tointeger(MOST)))
  end
  check_fits(board, k.weight_bytes, k.arena)
  local tensors, tokenizer = read_weights(args)
  add_tokens(k, tokenizer, found.vocabulary)
  write(args.to, g, k, tensors)

  local compiled = build.there()
  local code, ram = CODE, k.arena
  k.stack = STACK
  if compiled then
    code, ram, k.stack = build.measure(args.to, board and board.cpu or boards.find("rp2350").cpu)
  end
  print(("wrote: %s/: sampler_core.c, sampler_core.h, which says how to use it, and sampler_weights.c"):format(args.to))
  if not k.characters then print("its tokens are no characters: it takes and gives ids") end
  say(k, code, ram)
  if not compiled then
    print(("  code and stack are guessed: there is no %s; gen/tools/setup.sh firmware installs it"):format(build.gcc))
  end
  local flash = k.weight_bytes + code
  check_fits(board, flash, ram + k.stack)
  local next_line = args.command .. " BOARD=mps2-an500"
  if not board then
    say_boards(flash, ram + k.stack)
  elseif board.qemu and compiled then
    next_line = make_program(args.to, board, k)
  else
    next_line = "add the three files to a project for the board"
  end
  if compiled then build.clean(args.to) end
  print("next: " .. next_line)
end

command.run(main)
