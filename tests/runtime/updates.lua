-- updates.lua: emits the update of each optimizer as in a trainer for the CPU, for unit tests, which have no trainer.
--
--   lua5.4 tests/runtime/updates.lua FILE
package.path = "./?.lua;" .. package.path
local files = require "gen.base.files"
local kernels = require "gen.emit.kernels"
local schema = require "gen.config.schema"

local texts = { "// The CPU's optimizers, emitted by tests/runtime/updates.lua.",
  '#include "runtime/kernel/kernel.h"', "",
  "#pragma GCC diagnostic push", '#pragma GCC diagnostic ignored "-Wunused-function"' }
for _, name in ipairs(schema.key("optimizer").values) do
  texts[#texts + 1] = kernels.whole("cpu", "optimizer", "update", { name = name, optimizer = name })
end
texts[#texts + 1] = "#pragma GCC diagnostic pop"
files.write(arg[1], table.concat(texts, "\n") .. "\n")
