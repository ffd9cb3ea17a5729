-- test_readme: the table of config keys in configs/README.md is the schema's. `--update` rewrites it.
local check = require("tests.gen.check")
local schema = require("gen.config.schema")
local files = require("gen.base.files")

local OPEN, CLOSE = "<!-- keys: written by `make golden` from gen/config/keys.lua -->\n", "<!-- end of keys -->"

local text = files.read("configs/README.md")
local _, from = text:find(OPEN, 1, true)
local to = text:find(CLOSE, 1, true)

if arg[1] == "--update" then
  local file = assert(io.open("configs/README.md", "wb"))
  file:write(text:sub(1, from), schema.markdown(), text:sub(to))
  file:close()
  os.exit(0)
end

check.test("the table of keys is the schema's; make golden rewrites it", function()
  check.equal(text:sub(from + 1, to - 1), schema.markdown())
end)

check.finish()
