-- name: the name of a tensor or a node, in parts, so that no code has to read a layer's number from text. Depends on
-- nothing.
--
--   prefix   added by passes: "d." for a gradient; "" for none
--   scope    the part of the model: "block.%s.", "transformer."; %s stands for the layer; "" for none
--   layer    the layer's number, or nil
--   word     its name there: "ln_1.y"
--   tail     ".sum" for a sum of gradients, which is of their family; else ""
--
-- What follows from the parts:
--
--   tostring(n)   "d.block.3.ln_1.y": its text, unique in a graph
--   n.family      "d.block.%s.ln_1.y": the same for all layers
--   n.short       "d.ln_1.y": its name in emitted C
--
-- "d." .. n has another prefix, and n .. ".y" a longer word. A plain string is a name without a scope.
local name = {}

local Name = {}
Name.__index = Name

local function make(prefix, scope, layer, word, tail)
  local family = prefix .. scope .. word
  return setmetatable({ prefix = prefix, scope = scope, layer = layer, word = word, tail = tail, family = family,
    short = prefix .. word .. tail, text = family:format(layer) .. tail }, Name)
end

function Name.__tostring(n) return n.text end

function Name.__concat(a, b)
  if type(a) == "string" then return make(a .. b.prefix, b.scope, b.layer, b.word, b.tail) end
  return make(a.prefix, a.scope, a.layer, a.word .. a.tail .. b, "")
end

-- The name of a tensor that is recomputed for the backward pass: "block.3.again.ln_1.y".
function Name.again(n)
  return make(n.prefix, n.scope, n.layer, "again." .. n.word, n.tail)
end

-- The name of the sum of `count` gradients with this name: "d.x.sum", "d.x.sum3".
function Name.sum(n, count)
  return make(n.prefix, n.scope, n.layer, n.word, count == 2 and ".sum" or ".sum" .. count)
end

-- The name without a suffix, if it ends with that.
function Name.without(n, suffix)
  local at = #n.word - #suffix
  if at < 1 or n.word:sub(at + 1) ~= suffix then return n end
  return make(n.prefix, n.scope, n.layer, n.word:sub(1, at), n.tail)
end

-- A name as it is given: itself, or a string.
function name.of(given)
  return type(given) == "string" and make("", "", nil, given, "") or given
end

function name.is(value) return getmetatable(value) == Name end

-- Names within a scope, and within a layer of it if one is given: within("block", 3)("ln_1.y") is block.3.ln_1.y.
function name.within(scope, layer)
  scope = scope .. (layer and ".%s." or ".")
  return function(word) return make("", scope, layer, word, "") end
end

-- Reads a name from a graph's text, by its convention: prefixes are "d." and "train."; the first number between dots is
-- the layer, and the text before it the scope; a sum ends with ".sum". Without a layer everything is the word.
function name.read(text)
  local head, tail = text:match("^(.+)(%.sum%d*)$")
  local prefix, rest = "", head or text
  while rest:find("^d%.") or rest:find("^train%.") do
    local own, more = rest:match("^(%l+%.)(.+)$")
    prefix, rest = prefix .. own, more
  end
  local scope, layer, word = rest:match("^(.-%.)(%d+)%.(.+)$")
  if not scope then return make(prefix, "", nil, rest, tail or "") end
  return make(prefix, scope .. "%s.", math.tointeger(tonumber(layer)), word, tail or "")
end

return name
