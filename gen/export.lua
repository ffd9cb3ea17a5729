-- export: `make export`: writes a checkpoint as a file, or a folder, of other tools.
--
--   lua5.4 gen/export.lua [--build build] --checkpoint PATH --format NAME [--type float32] [--to PATH] [CONFIG ...]
--
-- With a config the checkpoint has to be of that model. Without --to the file is put beside the checkpoint. What the
-- format cannot express is refused by name, and nothing is written then.
package.path = "./?.lua;" .. package.path
local argparse = require("argparse")
local checkpoint = require("gen.export.checkpoint")
local command = require("gen.base.command")
local files = require("gen.base.files")
local fits = require("gen.export.fits")
local formats = require("gen.export.formats")
local metadata = require("gen.import.metadata")
local parameters = require("gen.import.table")

local function run_export(args, format, type, c, to)
  local words = { files.quoted(args.build .. "/export"), "--checkpoint=" .. files.quoted(args.checkpoint),
    "--out=" .. files.quoted(to), "--format=" .. format.name, "--type=" .. type,
    "--config=" .. files.quoted(metadata.text(c)) }
  local pipe = assert(io.popen(table.concat(words, " "), "w"))
  pipe:write(parameters.text(c))
  local ok, kind, code = pipe:close()
  return ok and 0 or kind == "exit" and code or 70
end

-- The place of what is exported, where none is named: in the checkpoint's folder.
local function place_of(format, type, path)
  local folder = path:match("^(.*)/[^/]*$") or "."
  local run = folder:match("([^/]+)/*$") or "model"
  return format.place(folder, run:find("^%.+$") and "model" or run, type)
end

local function main()
  local parser = argparse("gen/export.lua", "Writes a checkpoint as files of other tools.")
  parser:option("--build", "the folder of build/export", "build")
  parser:option("--checkpoint", "the checkpoint")
  parser:option("--format", "the format", "")
  parser:option("--type", "the type of its numbers", "")
  parser:option("--to", "the path to write", "")
  parser:argument("words", "the model that it is to be of"):args("*")
  local args = command.arguments("gen/export.lua", parser)
  local format, type = formats.find(args.format, args.type)
  if not args.checkpoint then command.fail(64, "gen/export.lua: --checkpoint is missing") end
  local found = checkpoint.read(args.build, args.checkpoint)
  local configs, assignments = command.split(args.words)
  local refusal = #configs > 0 and found.stated and fits.refusal(found.config, configs, assignments, args.checkpoint)
  if refusal then command.fail(65, refusal) end
  for _, line in ipairs(formats.check(format, found.config, args.checkpoint)) do
    print(("%s: %s"):format(args.checkpoint, line))
  end
  if format.text and not found.tokenizer then
    print(("%s: has no tokenizer, so none is written"):format(args.checkpoint))
  end
  local to = args.to ~= "" and args.to or place_of(format, type, args.checkpoint)
  local code = run_export(args, format, type, found.config, to)
  if code ~= 0 then os.exit(code) end
  print(("%s: %s in %s"):format(to, format.what, type))
  print(("next: make inspect FILE=%s VERIFY=1"):format(to:find("^[%w_./,@+=-]+$") and to or files.quoted(to)))
end

command.run(main)
