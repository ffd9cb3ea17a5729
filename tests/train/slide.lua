-- slide.lua: a text of --slide=half beside a plain reference, which for each token takes what is then in the context
-- in anew, as a prompt. That is the same for a table of positions; and, but for rounding, with rotary or no positions
-- if the model has one layer, since a token's keys and values are then its own. test_slide.sh runs it, from the root:
--
--     lua5.4 tests/train/slide.lua SAMPLE CHECKPOINT FOLDER T MOST     MOST: how far log probabilities may be apart
package.path = "./?.lua;" .. package.path
local json = require("dkjson")

local sample, checkpoint, folder, T, most = arg[1], arg[2], arg[3], math.tointeger(arg[4]), tonumber(arg[5])
local PROMPT, TOKENS, PLACES = "Line 7 of", 130, 3

local function written(flags)
  local pipe = assert(io.popen(("%s %s --json --logprobs=%d --num_samples=1 %s 2>%s/log"):format(sample, checkpoint,
    PLACES, flags, folder)))
  local line = pipe:read("a")
  assert(pipe:close(), line)
  return assert(json.decode(line))
end

local function as_prompt(text)
  local file = assert(io.open(folder .. "/context", "w"))
  file:write(text)
  file:close()
  return ("--start=FILE:%s/context --max_new_tokens=1"):format(folder)
end

local text, begin, apart = PROMPT, 0, 0
local long = written(("--start='%s' --max_new_tokens=%d --slide=half --temperature=1"):format(PROMPT, TOKENS))
assert(#long.tokens == TOKENS and long.text ~= "")
for i, token in ipairs(long.tokens) do
  while #text - begin > T do begin = begin + T - T // 2 end
  local wanted = written(as_prompt(text:sub(begin + 1))).tokens[1]
  for k = 1, PLACES do
    local a, b = token.top_logprobs[k], wanted.top_logprobs[k]
    local off = math.abs(a.logprob - b.logprob)
    if off > most then
      error(("token %d, place %d: %s of %.9g, and by recomputing %s of %.9g"):format(i, k, a.token, a.logprob, b.token,
        b.logprob))
    end
    apart = math.max(apart, off)
  end
  text = text .. token.token
end
print(("%d tokens, log probabilities at most %.1e apart"):format(TOKENS, apart))
