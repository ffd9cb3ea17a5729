-- names: the name of a node's kernel: its op, its sizes and the ops fused into it. Nodes whose kernels
-- have the same name share one. Depends on nothing of this room.
local graph = require("gen.ir.graph")

local names = {}

-- The letters of a node's operands, each once, in the order in which they first appear.
local function letters_of(node)
  if node.op.named_by then return node.op.named_by end
  local list, seen = {}, {}
  for _, operands in ipairs({ node.op.inputs, node.op.outputs }) do
    for _, operand in ipairs(operands) do
      for _, letter in ipairs(operand.letters) do
        if not seen[letter] and #letter == 1 and node.dims[letter] then
          seen[letter] = true
          list[#list + 1] = letter
        end
      end
    end
  end
  return list
end

local function sizes_text(node)
  local sizes = {}
  for _, letter in ipairs(letters_of(node)) do sizes[#sizes + 1] = node.dims[letter] end
  return graph.shape_text(sizes)
end

-- The sizes in a kernel's name; "any" if it takes them as arguments.
function names.sizes(node, t)
  return t.specialise == false and "any" or sizes_text(node)
end

-- The words of a node's attributes, as parts of a name.
function names.words(node)
  local list = {}
  for i, word in ipairs(node.op.words and node.op.words(node.attrs) or {}) do list[i] = word:gsub("[^%w]", "_") end
  return list
end

-- The name of a node's kernel; a sampler's have "decode" in it, so that names in a program are unique.
function names.kernel(node, t, decode)
  local words = { node.op.name, names.sizes(node, t) }
  if decode and not node.op.decode_only then table.insert(words, 2, "decode") end
  for i, operand in ipairs(node.op.outputs) do
    if operand.in_name and node.outputs[i] then words[#words + 1] = operand[1] end
  end
  for i, operand in ipairs(node.op.outputs) do
    if operand.optional and not node.outputs[i] and not decode then words[#words + 1] = "no_" .. operand[1] end
  end
  for _, word in ipairs(names.words(node)) do words[#words + 1] = word end
  if (node.attrs.site or 0) ~= 0 and not node.op.expr then words[#words + 1] = "dropout" end
  if node.prologue then words[#words + 1] = "of" end
  for step in graph.steps(node) do
    words[#words + 1] = step.keep and "keep" or step.op.name
  end
  return table.concat(words, "_")
end

return names
