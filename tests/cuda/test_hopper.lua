-- test_hopper.lua: the Hopper attention kernels of a list of cases, as the generator emits them,
-- and a table of them for test_hopper.cpp.
--
--   lua5.4 tests/cuda/test_hopper.lua TYPE SMS B,T,H,D,SITE ...  > cases.cu
--
-- TYPE is bf16 or f16; SMS the multiprocessors that work is cut for (few: a block has several
-- items); SITE the dropout site, 0 where there is no dropout.
package.path = "./?.lua;./?/init.lua;" .. package.path
local graph = require("gen.graph")
local kernels = require("gen.kernels")
local layout = require("gen.passes.layout")
local target = require("gen.target")

local elem, sms = arg[1], tonumber(arg[2])
local texts, entries = {}, {}

local function emit(B, T, H, D, site)
  local g = graph.new()
  g.target = target.cuda({ elem = elem, attention = "hopper" })
  g.target.sms = sms
  local qkv = g:tensor("qkv", { B * T, 3 * H * D }, { type = elem })
  local dy = g:tensor("dy", { B * T, H * D }, { type = elem })
  local attrs = { T = T, H = H, scale = 1 / math.sqrt(D), site = site }
  local y, lse = g:append("attention", { "y", "lse" }, { qkv }, attrs)
  g:append("attention_backward", { "dqkv" }, { dy, qkv, y, lse }, attrs)
  layout.run(g)
  local rows = D == 64 and 128 or 64
  local width = (T + rows - 1) // rows * rows
  local workspace = B * H * width * 2 + math.min(sms, B * H) * width * D
  g.nodes[2].workspace = { dims = { workspace } } -- just what the kernel says that it takes
  local words = {}
  for i, node in ipairs(g.nodes) do
    local k = kernels.text(node, g.target)
    assert(k.path:match("attention_hopper%.cu$"), k.path)
    texts[#texts + 1] = k.text
    words[i] = ("[](struct gpu *gpu, struct step_state *state, uint32_t site, elem *y, float *lse, "
      .. "elem *qkv, elem *dqkv, elem *dy, float *workspace) {\n"
      .. "         (void)state, (void)site, (void)dqkv, (void)dy, (void)workspace;\n"
      .. "         %s_launch(gpu, %s);\n     }"):format(k.name, k.arg_names)
  end
  entries[#entries + 1] = ("    {%d, %d, %d, %d, %du, %d,\n     %s,\n     %s},"):format(B, T, H, D,
    site, workspace, words[1], words[2])
end

for i = 3, #arg do
  local size = {}
  for word in arg[i]:gmatch("%d+") do size[#size + 1] = tonumber(word) end
  emit(table.unpack(size))
end
print(([=[
#include "runtime/gpu.h"
#include "runtime/kernel.cuh"
#include "runtime/kernel_math.cuh"
#include "runtime/hopper.cuh"

typedef %s elem;

%s
typedef void attention_call(struct gpu *gpu, struct step_state *state, uint32_t site, elem *y,
                            float *lse, elem *qkv, elem *dqkv, elem *dy, float *workspace);

[[maybe_unused]] static const struct attention_case {
    int B, T, H, D;
    uint32_t site;
    size_t workspace; // floats
    attention_call *forward, *backward;
} attention_cases[] = {
%s
};]=]):format(elem, table.concat(texts, "\n"), table.concat(entries, "\n")))
