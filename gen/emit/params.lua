-- params: the parameters as tables of model.h: their addresses, initial values, counts and groups. Depends
-- on literal of this room.
local graph = require("gen.ir.graph")
local literal = require("gen.emit.literal")
local target = require("gen.ir.target")

local params = {}

-- The tensors of checkpoints with layers folded: one entry for "transformer.h.%d.ln_1.weight". `joined` is true for
-- one whose rows follow those of the entry before it in one tensor in memory.
function params.table(g, c)
  local entries, by_name = {}, {}
  for _, stored in ipairs(g:stored()) do
    local name, param, dims = stored.name.family:format("%d"), stored.param, stored.dims
    local entry = by_name[name]
    local owner = param.copy_of or param
    local pitch = target.width(g.target, dims[#dims])
    local offset = owner.host_offset + stored.row * (dims[2] or 1)
    local device_offset = owner.offset + stored.row * (dims[2] and pitch or 1)
    if not entry then
      entry = {
        name = name, layers = 1, offset = offset, stride = 0, dims = dims,
        device_offset = device_offset, device_stride = 0, device_pitch = pitch, joined = stored.row > 0,
        copy = param.copy_of ~= nil, group = owner.group:upper(), init = (owner.init or "zeros"):upper(),
        init_value = literal.float(owner.init_value or 0.0),
        uncounted = param.uncounted, decay = c.decay_params == "all" or #dims > 1, count = graph.count(stored),
      }
      by_name[name] = entry
      entries[#entries + 1] = entry
    else
      if entry.layers == 1 then
        entry.stride = offset - entry.offset
        entry.device_stride = device_offset - entry.device_offset
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

-- The ranges of the device's parameters that are of one group, in order: { finish =, group = }, in floats.
function params.ranges(g)
  local own, ranges = {}, {}
  for _, param in ipairs(g.params) do
    if not param.copy_of then own[#own + 1] = param end
  end
  table.sort(own, function(a, b) return a.offset < b.offset end)
  for i, param in ipairs(own) do
    local last = ranges[#ranges]
    if not last or last.group ~= param.group then
      last = { group = param.group }
      ranges[#ranges + 1] = last
    end
    last.finish = own[i + 1] and own[i + 1].offset or g.sizes.params
  end
  return ranges
end

-- Fields of templates/cuda/optimizer.cu for ranges.
function params.range_fields(ranges)
  local ends, groups = {}, {}
  for i, range in ipairs(ranges) do
    ends[i], groups[i] = range.finish // 4, "GROUP_" .. range.group:upper()
  end
  return { ranges = #ranges, range_ends = table.concat(ends, ", "), range_groups = table.concat(groups, ", ") }
end

return params
