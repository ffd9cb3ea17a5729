-- evaluations: what `make eval` has found of a run's weights, from the files eval-*.json beside them. Each says by a
-- hash which checkpoint it is of: as long as that one is there, its figures are columns of the table of runs.
local read = require("gen.report.read")
local text = require("gen.report.text")

local evaluations = {}

local MOST_JSON = 1 << 20
local MOST_TITLE = 30 -- characters of a text's name
-- A checkpoint begins with the length of its header, then the header with its hash.
local HEAD, HASH = 128, '^........{"__metadata__":{"xxh3":"(%x+)"'

local OF_TEXTS = {
  { key = "loss", title = "loss", kind = "loss" },
  { key = "perplexity", title = "perplexity", kind = "perplexity" },
  { key = "bits_per_byte", title = "bits/byte", kind = "loss" },
}
local OF_HELLASWAG = {
  { key = "accuracy", title = "accuracy", kind = "loss" },
  { key = "accuracy_sum", title = "by sum", kind = "loss" },
}
local FILES = {
  { name = "val", title = "whole val", figures = OF_TEXTS },
  { name = "train", title = "whole train", figures = OF_TEXTS },
  { name = "text", figures = OF_TEXTS }, -- its title is the text's name
  { name = "hellaswag", title = "HellaSwag", figures = OF_HELLASWAG },
}

-- What the figures of a result are of, as a title and in full; two results of the same are in one column. A run's own
-- context goes without saying, and so do windows that do not overlap.
local function subject(file, result, context)
  local title, full = file.title, file.title
  if not title then
    full = read.string(result, "text")
    title = full and text.cut(text.valid(full:match("([^/]+)/*$") or full), MOST_TITLE)
  end
  local stride, block_size = read.whole(result, "stride", 1), read.whole(result, "block_size", 1)
  local function add(format, number)
    title, full = title .. format:format(number), full .. format:format(number)
  end
  if title and context and block_size and block_size ~= context then add(", context %d", block_size) end
  if title and stride and stride ~= block_size then add(", stride %d", stride) end
  return title, full and text.valid(full)
end

-- Whether the checkpoint of a result is the one in the folder; if not, why.
local function is_of(folder, result)
  local checkpoint, hash = read.string(result, "checkpoint"), read.string(result, "checkpoint_xxh3")
  local name = checkpoint and checkpoint:match("([^/]+)$")
  if not hash or name ~= "ckpt.safetensors" and name ~= "state.safetensors" then
    return false, "does not say which weights it is of"
  end
  local head = read.beginning(folder .. "/" .. name, HEAD)
  if not head then return false, ("is of a %s that is not there any more"):format(name) end
  if head:match(HASH) ~= hash then return false, ("is of an earlier %s"):format(name) end
  return true
end

-- The figures of a run's folder, as { id, title, kind, hint, value }; `context` is the run's block_size, if that is
-- known; note(format, ...) is told what is not shown.
function evaluations.of(folder, context, note)
  local list = {}
  for _, file in ipairs(FILES) do
    local path = ("eval-%s.json"):format(file.name)
    if read.exists(folder .. "/" .. path) then
      local result, problem = read.object(folder .. "/" .. path, MOST_JSON)
      local title, full, current
      if result then
        current, problem = is_of(folder, result)
        title, full = subject(file, result, context)
      end
      if not current or not title then
        note("%s %s, so it is not shown: make eval writes it again", path, problem or "holds no result")
      else
        for _, figure in ipairs(file.figures) do
          list[#list + 1] = { id = ("eval %s %s"):format(full, figure.key), title = title .. ": " .. figure.title,
            kind = figure.kind, hint = ("make eval EVAL=%s: %s"):format(file.name, full),
            value = read.number(result, figure.key) }
        end
      end
    end
  end
  return list
end

return evaluations
