-- sampler: answers as a sampler does, for tests of the report: a text that depends on the flags alone, and attention
-- weights that are a causal softmax of made-up scores.
local flags = {}
for _, word in ipairs(arg) do
  local key, value = word:match("^%-%-([%w_]+)=(.*)$")
  if key then flags[key] = value else flags.checkpoint = word end
end

local start = flags.start or "\n"
if start:find("refuse", 1, true) then
  io.stderr:write("--start: line 1, character 1: 'r' is not in the vocabulary; leave it out\n")
  os.exit(64)
end

if flags.attention then
  local layers, heads, tokens = tonumber(flags.n_layer), tonumber(flags.n_head), {}
  for c in start:gmatch(utf8.charpattern) do tokens[#tokens + 1] = c end
  local function quoted(s)
    return '"' .. s:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
  end
  local names, ids, all = {}, {}, {}
  for i, t in ipairs(tokens) do names[i], ids[i] = quoted(t), tostring(utf8.codepoint(t) % 65) end
  for l = 1, layers do
    local layer = {}
    for h = 1, heads do
      local rows = {}
      for t = 1, #tokens do
        local row, sum = {}, 0
        for s = 1, #tokens do
          row[s] = s <= t and math.exp(3 * math.cos(l + h * s + (t - s) * 0.7) - (t - s) * 0.1 * h) or 0
          sum = sum + row[s]
        end
        for s = 1, #tokens do row[s] = ("%.9g"):format(row[s] / sum) end
        rows[t] = "[" .. table.concat(row, ",") .. "]"
      end
      layer[h] = "[" .. table.concat(rows, ",") .. "]"
    end
    all[l] = "[" .. table.concat(layer, ",") .. "]"
  end
  local file = assert(io.open(flags.attention, "w"))
  file:write(('{"prompt":%s,"ids":[%s],"tokens":[%s],'):format(quoted(start), table.concat(ids, ","),
    table.concat(names, ",")))
  file:write(('"n_layer":%d,"n_head":%d,"n_tokens":%d,"attention":[%s]}\n'):format(layers, heads, #tokens,
    table.concat(all, ",")))
  file:close()
  os.exit(0)
end

local words = { "the", "king", "of </script> <b>", "said", "\u{2028}", "&amp;", "thou", "art", "\n", "MARIUS:" }
local text = {}
local seed = #flags.checkpoint
for i = 1, 90 do
  seed = seed * 48271 % 2147483647
  text[i] = words[seed % #words + 1]
end
io.write(start, table.concat(text, " "), "\n---------------\n")
