-- weights: a sampler's file of weights (make sampler TYPE=q8_0) as C: an array of constants for each tensor, as words
-- of 32 bits, and a table of them in the order in which emitted code numbers them. Depends on nothing.
local dkjson = require("dkjson")

local weights = {}

local WORDS = 10 -- a line

-- The tensors of a safetensors file, name -> bytes, and its metadata.
function weights.read(path, text)
  local length = text and #text > 8 and string.unpack("<I8", text) or 0
  local header = length > 0 and length < #text and dkjson.decode(text:sub(9, 8 + length))
  if not header then error({ code = 65, message = path .. ": is no safetensors file" }) end
  local tensors, metadata = {}, header.__metadata__ or {}
  header.__metadata__ = nil
  for name, entry in pairs(header) do
    local from, to = entry.data_offsets[1], entry.data_offsets[2]
    tensors[name] = text:sub(9 + length + from, 8 + length + to)
  end
  return tensors, metadata
end

local function array(lines, name, bytes)
  assert(#bytes % 4 == 0)
  lines[#lines + 1] = ("static const uint32_t %s[%d] = {"):format(name, #bytes // 4)
  local format, words = ("0x%08x,"):rep(WORDS), "<" .. ("I4"):rep(WORDS)
  local at, last = 1, #bytes - 4 * WORDS + 1
  while at <= last do
    lines[#lines + 1] = format:format(string.unpack(words, bytes, at))
    at = at + 4 * WORDS
  end
  local rest = {}
  for place = at, #bytes, 4 do rest[#rest + 1] = ("0x%08x,"):format((string.unpack("<I4", bytes, place))) end
  lines[#lines + 1] = table.concat(rest) .. "};"
end

-- The text of sampler_weights.c. g: the planned graph, whose parameters have their numbers.
function weights.text(g, tensors, title)
  local lines, names, count = {
    ("// sampler_weights.c: the weights of %s,"):format(title),
    "// in words of a little-endian machine: matrices in blocks of q8_0, 32 bytes that share a scale in",
    "// float16, norms, biases and positions in float32.",
    "#include <stdint.h>",
    "",
    "extern const void *const sampler_core_weights[];",
    "",
  }, {}, 0
  for _, param in ipairs(g.params) do
    count = math.max(count, param.offset + 1)
    if not param.copy_of then
      local name = (param.pieces and param.pieces[1].name or param.called).text
      local bytes = tensors[name] or error(name .. " is not among the weights", 0)
      names[param.offset] = ("weight_%d"):format(param.offset)
      lines[#lines + 1] = ("// %s (%s)"):format(param.name, table.concat(param.dims, ", "))
      array(lines, names[param.offset], bytes)
    end
  end
  lines[#lines + 1] = ("\nconst void *const sampler_core_weights[%d] = {"):format(count)
  for i = 0, count - 1 do lines[#lines + 1] = ("    %s,"):format(names[i] or "0") end -- 0: a tied head
  lines[#lines + 1] = "};"
  return table.concat(lines, "\n") .. "\n"
end

return weights
