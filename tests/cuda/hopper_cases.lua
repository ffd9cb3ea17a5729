-- hopper_cases.lua: emits the Hopper attention kernels of a list of cases, and a table of them for
-- test_hopper.cpp.
--
--   lua5.4 tests/cuda/hopper_cases.lua TYPE:B,T,H,D,SITE,SMS[,WINDOW] ...  > hopper_cases.cu
--
-- TYPE is bf16 or f16; SITE the dropout site, 0 without dropout; SMS the number of multiprocessors
-- among which work is divided (if few, a thread block has several items); WINDOW how many keys before its own a query
-- sees, all without it.
package.path = "./?.lua;" .. package.path
local call = require("gen.emit.call")
local graph = require("gen.ir.graph")
local kernels = require("gen.emit.kernels")
local layout = require("gen.passes.layout")
local target = require("gen.ir.target")

local types = {} -- of each type, in order: texts, entries

local function emit(elem, B, T, H, D, site, sms, window)
  if not types[elem] then
    types[elem] = { texts = {}, entries = {} }
    types[#types + 1] = elem
  end
  local texts, entries = types[elem].texts, types[elem].entries
  local g = graph.new()
  g.target = target.cuda({ elem = elem, attention = "hopper" })
  g.target.sms = sms
  local qkv = g:tensor("qkv", { B * T, 3 * H * D }, { type = elem })
  local dy = g:tensor("dy", { B * T, H * D }, { type = elem })
  local attrs = { T = T, H = H, scale = 1 / math.sqrt(D), site = site, window = window }
  local y, lse = g:append("attention", { "y", "lse" }, { qkv }, attrs)
  g:append("attention_backward", { "dqkv" }, { dy, qkv, y, lse }, attrs)
  layout.run(g)
  local backward = g.nodes[2]
  local sizes = setmetatable({ sms = sms }, { __index = backward.dims })
  local workspace = backward.op.workspace(sizes, g.target, backward.attrs)
  g.nodes[2].workspace = { dims = { workspace } } -- exactly what the kernel declares
  local words = {}
  for i, node in ipairs(g.nodes) do
    local k = kernels.text(node, g.target)
    assert(k.path:match("attention_hopper%.cu$"), k.path)
    texts[#texts + 1] = k.text
    words[i] = ("[](struct gpu *gpu, struct step_state *state, uint32_t site, elem *y, float *lse, "
      .. "elem *qkv, elem *dqkv, elem *dy, float *workspace) {\n"
      .. "         (void)state, (void)site, (void)dqkv, (void)dy, (void)workspace;\n"
      .. "         %s;\n     }"):format(call.text(k, call.NAMES))
  end
  entries[#entries + 1] = ("    {%d, %d, %d, %d, %du, %d, %d, %d,\n     %s,\n     %s},"):format(B, T, H, D,
    site, sms, window or T, workspace, words[1], words[2])
end

for _, case in ipairs(arg) do
  local elem, size = case:match("^(%w+):"), {}
  for word in case:match(":(.*)"):gmatch("%d+") do size[#size + 1] = tonumber(word) end
  emit(elem, table.unpack(size))
end

print([[
#include "runtime/kernel/device.h"
#include "runtime/kernel/kernel.cuh"
#include "runtime/kernel/kernel_math.cuh"
#include "runtime/kernel/hopper.cuh"

template <class E> struct attention_case {
    using call = void(struct gpu *gpu, struct step_state *state, uint32_t site, E *y, float *lse,
                      E *qkv, E *dqkv, E *dy, float *workspace);
    int B, T, H, D;
    uint32_t site;
    int sms;          // that work is cut for
    int window;       // how many keys before its own a query sees
    size_t workspace; // floats
    call *forward, *backward;
};]])
local visits = {}
for i, elem in ipairs(types) do
  print(([=[
namespace in_%s {
typedef %s elem;
%s
[[maybe_unused]] static const struct attention_case<elem> cases[] = {
%s
};
}]=]):format(elem, elem, table.concat(types[elem].texts, "\n"), table.concat(types[elem].entries, "\n")))
  visits[i] = ("    for (const auto &one : in_%s::cases) {\n        visit(one);\n    }\n"):format(elem)
end
print(([[
template <class F> static void each_attention_case(F visit) {
%s}]]):format(table.concat(visits)))
