-- page: `make page`: a sampler and its weights as one HTML file that opens from disk: WebAssembly and weights, in
-- base64 of gzip, between the style and the scripts of templates/page.
--
--   lua5.4 gen/page.lua --wasm PATH --weights PATH --type q8_0 --name NAME [--start TEXT] --to PATH
package.path = "./?.lua;" .. package.path
local argparse = require("argparse")
local command = require("gen.base.command")
local files = require("gen.base.files")
local text = require("gen.report.text")

local FOLDER = "templates/page/"
local STYLES = { "templates/report/colours.css", FOLDER .. "page.css" }
local SCRIPTS = { FOLDER .. "attention.js", FOLDER .. "page.js" } -- each uses only those before it
local PIECE = 1 << 20 -- characters of base64 in an element, a multiple of 4: a browser takes them in one by one
local MOST = 512 << 20 -- bytes of weights in a page

local function part(path)
  return files.read(path) or
    error({ code = 66, message = path .. ": is missing; make the page in the project's folder" })
end

local function joined(paths)
  local texts = {}
  for i, path in ipairs(paths) do texts[i] = part(path) end
  return table.concat(texts, "\n")
end

local function size(path)
  local file = io.open(path, "rb") or error({ code = 66, message = path .. ": is missing" })
  local bytes = file:seek("end")
  file:close()
  return bytes
end

-- A file as elements of a class.
local function elements(path, class)
  local packed = os.tmpname()
  if not os.execute(("gzip -9nc %s >%s"):format(files.quoted(path), packed)) then
    os.remove(packed)
    error({ code = 74, message = path .. ": cannot be packed by gzip; make room in " .. packed:match("^(.*)/") })
  end
  local list = {}
  local pipe = assert(io.popen(("base64 -w %d %s"):format(PIECE, packed)))
  for line in pipe:lines() do
    list[#list + 1] = ('<script type="text/plain" class="%s">%s</script>'):format(class, line)
  end
  pipe:close()
  os.remove(packed)
  return table.concat(list, "\n")
end

-- The prompt to begin with: a text, or FILE:path.
local function prompt_of(start)
  local path = start:match("^FILE:(.*)$")
  return path and (files.read(path) or error({ code = 66, message = path .. ": is missing" })) or start
end

local function main()
  local parser = argparse("gen/page.lua", "Writes a sampler's page.")
  parser:option("--wasm", "the sampler's module")
  parser:option("--weights", "its weights")
  parser:option("--type", "their type")
  parser:option("--name", "the run's name")
  parser:option("--start", "the prompt to begin with, or FILE:path", "")
  parser:option("--to", "the path to write")
  local args = command.arguments("gen/page.lua", parser)
  local bytes = size(args.weights)
  if bytes > MOST then
    command.fail(65, ("%s: has %d bytes, more than a browser takes in a page, %d; TYPE=q4_0 makes them fewer"):format(
      args.weights, bytes, MOST))
  end
  local values = {
    name = text.html(args.name),
    facts = ("%.1f MB of weights in %s"):format(bytes / 1e6, args.type),
    start = text.html(prompt_of(args.start)),
    style = joined(STYLES),
    engine = part(FOLDER .. "engine.js"),
    script = "(() => {\n'use strict';\n" .. joined(SCRIPTS) .. "\n})();",
    module = elements(args.wasm, "module"),
    weights = elements(args.weights, "weights"),
  }
  local page = part(FOLDER .. "page.html"):gsub("{{(%w+)}}", function(key)
    return values[key] or error({ code = 70, message = FOLDER .. "page.html: {{" .. key .. "}} is not known" })
  end)
  files.write(args.to, page)
  print(("%s: %d bytes, of which %d are not weights; open it in a browser"):format(args.to, #page,
    #page - #values.weights))
end

command.run(main)
