-- attention: where each head of a run looks, for one prompt. The sampler writes the exact softmax weights, which stay
-- beside the page. The page has them as bytes, of which 255 is 1: for each row t the t + 1 weights of a causal head.
local programs = require("gen.report.programs")
local read = require("gen.report.read")
local text = require("gen.report.text")

local attention = {}

local MOST_JSON = 512 << 20
local MOST_WEIGHTS = 4 << 20 -- of one run in the page; with more, it has only each layer's mean over its heads

local ALPHABET = {}
for i = 1, 64 do
  ALPHABET[i - 1] = ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):sub(i, i)
end

local function base64(bytes)
  local out, n = {}, #bytes
  for i = 1, n, 3 do
    local a, b, c = bytes[i], bytes[i + 1], bytes[i + 2]
    local x = a << 16 | (b or 0) << 8 | (c or 0)
    out[#out + 1] = ALPHABET[x >> 18] .. ALPHABET[x >> 12 & 63] .. (b and ALPHABET[x >> 6 & 63] or "=") ..
      (c and ALPHABET[x & 63] or "=")
  end
  return table.concat(out)
end

local function byte_of(x)
  return math.tointeger(math.max(0, math.min(255, x * 255 + 0.5)) // 1)
end

-- Checks that a decoded file is as --attention writes it; returns what is wrong, or nil.
local function check(o)
  local layers, heads, count = read.whole(o, "n_layer", 1), read.whole(o, "n_head", 1), read.whole(o, "n_tokens", 1)
  if not (layers and heads and count) then return "n_layer, n_head and n_tokens are not all there" end
  if type(o.tokens) ~= "table" or #o.tokens ~= count then return "tokens are not n_tokens strings" end
  for _, token in ipairs(o.tokens) do if type(token) ~= "string" then return "a token is not a string" end end
  if type(o.attention) ~= "table" or #o.attention ~= layers then return "attention is not n_layer layers" end
  for _, layer in ipairs(o.attention) do
    if type(layer) ~= "table" or #layer ~= heads then return "a layer is not n_head heads" end
    for _, head in ipairs(layer) do
      if type(head) ~= "table" or #head ~= count then return "a head is not n_tokens rows" end
      for _, row in ipairs(head) do
        if type(row) ~= "table" or #row ~= count then return "a row is not n_tokens weights" end
        for _, x in ipairs(row) do
          if type(x) ~= "number" or not (x >= 0 and x <= 1.001) then return "a weight is not from 0 to 1" end
        end
      end
    end
  end
end

-- { layers, heads, tokens, weights, means }. weights and means are base64: all heads of layer 0, then of layer 1 …
function attention.pack(o)
  local weights, means = {}, {}
  local n = o.n_tokens
  local whole = o.n_layer * o.n_head * n * (n + 1) // 2 <= MOST_WEIGHTS
  for _, layer in ipairs(o.attention) do
    for _, head in ipairs(whole and layer or {}) do
      for t = 1, n do
        local row = head[t]
        for s = 1, t do weights[#weights + 1] = byte_of(row[s]) end
      end
    end
    for t = 1, n do
      for s = 1, t do
        local sum = 0
        for h = 1, o.n_head do sum = sum + layer[h][t][s] end
        means[#means + 1] = byte_of(sum / o.n_head)
      end
    end
  end
  local tokens = {}
  for i, token in ipairs(o.tokens) do tokens[i] = text.valid(token) end
  return { layers = o.n_layer, heads = o.n_head, tokens = tokens, weights = whole and base64(weights) or nil,
    means = base64(means) }
end

-- The run's attention, of its final weights or, until it has ended, of the best checkpoint. Writes the exact attention
-- weights to `path`. Returns nil, and notes why in the run, if there is none.
function attention.of(r, build, prompt, path)
  local final = r.has_state and (r.finished or not r.has_ckpt)
  if not final and not r.has_ckpt then return nil end
  local checkpoint = final and "state" or "ckpt"
  local sampler, problem = programs.find(r, build, "sample")
  local o
  if sampler then
    local _
    _, problem = programs.run(sampler, { ("--checkpoint=%s/%s.safetensors"):format(r.folder, checkpoint),
      "--attention=" .. path, prompt ~= "" and "--start=" .. prompt or nil })
    if not problem then
      o, problem = read.object(path, MOST_JSON)
      if problem then problem = "its file " .. problem end
      local wrong = o and check(o)
      if wrong then o, problem = nil, "its file: " .. wrong end
    end
  end
  if not o then
    r:note("no attention: %s", text.line(problem))
    return nil
  end
  local packed = attention.pack(o)
  packed.of = final and "final weights" or "best checkpoint"
  if not packed.weights then
    r:note("attention: too many heads and tokens for the page, which has each layer's mean over its heads")
  end
  return packed
end

return attention
