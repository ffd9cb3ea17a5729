-- build: compiles a written sampler for a chip, by Arm's gcc: how large its code is, how deep its stack; and links the
-- program for a board of qemu's. Depends on base.
local files = require("gen.base.files")
local stack = require("gen.firmware.stack")

local build = { gcc = "arm-none-eabi-gcc" }

local FLAGS = "-mthumb -std=c11 -Os -ffp-contract=off -Wall -Wextra -ffunction-sections -fdata-sections"
local LINK = "-nostartfiles -Wl,--gc-sections,--no-warn-rwx-segments"

-- What a command prints. If it fails, the program ends with that.
function build.must(line)
  local pipe = assert(io.popen(line .. " 2>&1"))
  local said = pipe:read("a")
  if not pipe:close() then
    io.stderr:write(said)
    os.exit(70)
  end
  return said
end

function build.there()
  return (os.execute(("command -v %s >/dev/null 2>&1"):format(build.gcc)))
end

local function cc(cpu, folder)
  return ("%s %s %s -I %s"):format(build.gcc, cpu, FLAGS, files.quoted(folder))
end

-- The bytes of an object's or a program's sections that lie in flash, and in RAM.
local function sizes(path)
  local said = build.must("arm-none-eabi-size " .. files.quoted(path))
  local text, data, bss = said:match("\n%s*(%d+)%s+(%d+)%s+(%d+)")
  return text + data, data + bss
end

-- A program that calls what the sampler has and does no more, so that it holds what is needed of libm too.
local all = [[
#include "sampler_core.h"
#include <stddef.h>
const void *const sampler_core_weights[1] = {NULL};
int main(void) {
    static int32_t ids[1];
    static struct sampler_core_sampling how;
    sampler_core_begin();
    return sampler_core_take(ids, 1) + sampler_core_next(&how);
}
]]

-- Compiles folder's sampler_core.c: the bytes of flash but for the weights, of the arena, and of stack.
function build.measure(folder, cpu)
  local objects = folder .. "/objects"
  local core, program = files.quoted(objects .. "/core.o"), files.quoted(objects .. "/all.elf")
  files.write(objects .. "/all.c", all)
  local source = files.quoted(folder .. "/sampler_core.c")
  io.stderr:write(build.must(("%s -fcallgraph-info=su -c %s -o %s"):format(cc(cpu, folder), source, core))) -- warnings
  build.must(("%s %s -Wl,-e,main %s %s -lm -o %s"):format(cc(cpu, folder), LINK, files.quoted(objects .. "/all.c"),
    core, program))
  local calls = files.read(objects .. "/core.ci")
  local _, ram = sizes(objects .. "/core.o")
  return sizes(objects .. "/all.elf"), ram, math.max(stack.of(calls, "sampler_core_take"),
    stack.of(calls, "sampler_core_next"))
end

-- Links the program of a board, whose files lie in own, with the object that was measured; returns its path, and its
-- bytes of flash and RAM.
function build.link(folder, own, board)
  local words = { cc(board.cpu, folder), LINK, "-T", files.quoted(own .. "/link.ld") }
  for _, path in ipairs({ own .. "/start.c", own .. "/main.c", folder .. "/objects/core.o",
    folder .. "/sampler_weights.c" }) do words[#words + 1] = files.quoted(path) end
  local program = own .. "/firmware.elf"
  io.stderr:write(build.must(("%s -lm -o %s"):format(table.concat(words, " "), files.quoted(program))))
  return program, sizes(program)
end

-- Removes what was compiled for the others.
function build.clean(folder)
  build.must("rm -rf " .. files.quoted(folder .. "/objects"))
end

return build
