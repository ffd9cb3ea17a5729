-- samples: text from a run's final weights and from its best checkpoint: same prompt, seed and settings for all.
-- A sweep leaves them in the run's folder; if they are missing, older than the checkpoint, or of another prompt, the
-- run's sampler makes them.
local files = require("gen.base.files")
local programs = require("gen.report.programs")
local read = require("gen.report.read")
local utf8_text = require("gen.report.text")

local samples = {}

samples.CHARACTERS = 300
samples.TOKENS = 300 -- a token is a character or more
samples.SEED = 1337
-- The weights' name, their checkpoint, and the file of the sample that a sweep writes.
samples.KINDS = {
  { "final", "state.safetensors", "sample-final.txt" },
  { "best", "ckpt.safetensors", "sample-best.txt" },
}

local MOST_TEXT = 1 << 20
local END = "\n---------------\n"

-- The sampler's flags, without --checkpoint. An empty prompt means the sampler's default.
function samples.flags(prompt)
  local flags = { "--num_samples=1", "--temperature=1", "--top_k=0", "--top_p=1", ("--seed=%d"):format(samples.SEED),
    ("--max_new_tokens=%d"):format(samples.TOKENS) }
  if prompt ~= "" then table.insert(flags, 1, "--start=" .. prompt) end
  return flags
end

-- What follows the prompt, up to 300 characters; nil if the text has another prompt.
local function continuation(text, prompt)
  if text:sub(1, #prompt) ~= prompt then return nil end
  text = text:sub(#prompt + 1)
  if text:sub(-#END) == END then text = text:sub(1, -#END - 1) end
  return utf8_text.cut(utf8_text.valid(text), samples.CHARACTERS)
end

-- Whether a file exists and is not older than another.
local function is_fresh(path, than)
  return os.execute(("[ -f %s ] && [ ! %s -nt %s ]"):format(files.quoted(path), files.quoted(than), files.quoted(path)))
    == true
end

-- { final = text, best = text } of a run; what is missing is noted in the run. Without a folder of builds only what a
-- sweep has left.
function samples.of(r, build, prompt)
  local found = {}
  if not r.has_state and not r.has_ckpt then return found end
  local sampler, problem
  if build then sampler, problem = programs.find(r, build, "sample") end
  for _, kind in ipairs(samples.KINDS) do
    local name, checkpoint, path = kind[1], r.folder .. "/" .. kind[2], r.folder .. "/" .. kind[3]
    local why
    if is_fresh(path, checkpoint) then
      local text = read.text(path, MOST_TEXT)
      found[name] = text and continuation(text, prompt)
    end
    if not build then
      why = nil
    elseif not found[name] and not read.exists(checkpoint) then
      why = ("no %s yet"):format(kind[2])
    elseif not found[name] and not sampler then
      why = problem
    elseif not found[name] then
      local words = samples.flags(prompt)
      table.insert(words, 1, "--checkpoint=" .. checkpoint)
      local text
      text, why = programs.run(sampler, words)
      found[name] = text and continuation(text, prompt)
      if text and not found[name] then why = "the sampler's text does not begin with the prompt" end
    end
    if why then r:note("no sample of the %s weights: %s", name, utf8_text.line(why)) end
  end
  return found
end

return samples
