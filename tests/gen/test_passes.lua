-- test_passes: each pass, graph text in and graph text out. A case is a file of tests/gen/passes/:
--
--     # what it shows
--     # passes: autodiff fuse
--     the graph that goes in
--     ====
--     the graph that comes out
--
--     lua5.4 tests/gen/test_passes.lua --update     writes what comes out now; review the diff
local check = require "tests.gen.check"
local files = require "gen.base.files"
local graph = require "gen.ir.graph"
local target = require "gen.ir.target"
local verify = require "gen.ir.verify"

local folder = "tests/gen/passes/"

-- settings: words such as target=cuda:bf16:65 (the type of activations, the vocabulary), recompute=gelu.
local function run(input, passes, settings)
  local g = graph.parse(input)
  local elem, vocab = settings:match("target=cuda:(%w+):(%d+)")
  g.target = elem and target.cuda({ elem = elem, vocab = tonumber(vocab) }) or target.cpu("avx2")
  g.recompute = settings:match("recompute=(%w+)")
  for _, node in ipairs(g.nodes) do
    node.layer = g.recompute and node.outputs[1] and node.outputs[1].layer
  end
  for _, tensor in pairs(g.tensors) do
    if tensor.kind == "value" and not tensor.dense then tensor.type = g:elem() end
  end
  verify.run(g, "build")
  local pass
  for name in passes:gmatch("%S+") do
    pass = require("gen.passes." .. name)
    pass.run(g)
    -- Without autodiff there are no gradients to verify.
    verify.run(g, passes:find("autodiff") and name or "build")
  end
  return g:text(pass.text)
end

local function case(path)
  local text = files.read(path)
  local comment, rest = "", text
  while rest:find("^#") do
    local line, after = rest:match("^(#[^\n]*\n)(.*)$")
    comment, rest = comment .. line, after
  end
  local input, wanted = rest:match("^(.-\n)====\n(.*)$")
  input = input or rest
  local got = run(input, assert(comment:match("# passes: ([%a ]+)\n"), path .. " names no passes"),
    comment:match("# settings: ([^\n]+)") or "")
  got = got:gsub("  @[%w_.]+", "") -- sites, which goldens show
  if arg[1] == "--update" then
    local file = assert(io.open(path, "wb"))
    file:write(comment, input, "====\n", got)
    file:close()
  end
  check.same_text(graph.parse(input):text():gsub("  @[%w_.]+", ""), input, "the graph that goes in")
  if arg[1] ~= "--update" then check.same_text(got, wanted or "", "the graph that comes out") end
end

local list = assert(io.popen("LC_ALL=C ls " .. folder))
for file in list:lines() do
  check.test(file, function() case(folder .. file) end)
end
list:close()
check.finish()
