-- params: the parameters as tables of model.h: their addresses, initial values and counts. Depends on
-- literal of this room.
local graph = require("gen.ir.graph")
local literal = require("gen.emit.literal")
local target = require("gen.ir.target")

local params = {}

-- The parameters with layers folded: one entry for "transformer.h.%d.ln_1.weight".
function params.table(g, c)
  local entries, by_name = {}, {}
  for _, param in ipairs(g.params) do
    local name = param.family:format("%d")
    local entry = by_name[name]
    if not entry then
      local owner = param.copy_of or param
      entry = {
        name = name, layers = 1, offset = owner.host_offset, stride = 0, dims = param.dims,
        device_offset = owner.offset, device_stride = 0,
        device_pitch = target.width(g.target, param.dims[#param.dims]),
        copy = param.copy_of ~= nil, init = (owner.init or "zeros"):upper(),
        init_value = literal.float(owner.init_value or 0.0),
        uncounted = param.uncounted, decay = c.decay_params == "all" or #param.dims > 1, count = graph.count(param),
      }
      by_name[name] = entry
      entries[#entries + 1] = entry
    else
      if entry.layers == 1 then
        entry.stride = param.host_offset - entry.offset
        entry.device_stride = param.offset - entry.device_offset
      end
      entry.layers = entry.layers + 1
    end
  end
  return entries
end

-- The number of all parameters, and nanoGPT's count, without position embeddings.
function params.totals(entries)
  local all, nanogpt = 0, 0
  for _, entry in ipairs(entries) do
    if not entry.copy then
      all = all + entry.count * entry.layers
      if not entry.uncounted then nanogpt = nanogpt + entry.count * entry.layers end
    end
  end
  return all, nanogpt
end

return params
