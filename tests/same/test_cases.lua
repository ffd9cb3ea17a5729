-- test_cases: the cases of cases.lua reach everything: every op on both backends, every value of a key that changes the
-- emitted text. `make same` does not check what they do not reach.
local check = require "tests.gen.check"
local config = require "gen.config.load"
local op = require "gen.ir.op"
local pipeline = require "gen.passes.pipeline"
local schema = require "gen.config.schema"
local cases = require "tests.same.cases"

-- The checked configs of all cases on a backend.
local function configs(backend)
  local list = {}
  local path = os.tmpname()
  for _, case in ipairs(cases.list) do
    local text = cases.text(case, backend)
    if text then
      local file = assert(io.open(path, "w"))
      assert(file:write(text) and file:close())
      list[#list + 1] = config.load({ path }, { "isa=generic" }, { backend = backend })
    end
  end
  os.remove(path)
  return list
end

for _, backend in ipairs { "cpu", "cuda" } do
  local all = configs(backend)
  check.test("every op, " .. backend, function()
    local dumps = {}
    local function dump(_, text) dumps[#dumps + 1] = text end
    for _, c in ipairs(all) do
      pipeline.train(c, dump)
      pipeline.sample(c, dump)
    end
    local text, missing, stores = table.concat(dumps), {}, {}
    for _, definition in pairs(op.all()) do
      for _, name in pairs(definition.store_of or {}) do stores[name] = true end
    end
    for name, definition in pairs(op.all()) do
      -- Those with small weights are no part of a config: tests/ops/small has their bytes in plain C.
      -- Those that stand for an op and the product before it are a CPU's.
      local there = not definition.in_bytes and (backend == "cpu" or not stores[name])
      if there and not text:find("%f[%w_]" .. name .. "%f[^%w_]") then
        missing[#missing + 1] = name
      end
    end
    table.sort(missing)
    check.equal(table.concat(missing, " "), "", "ops that no case reaches")
  end)
end

check.test("every value of a key", function()
  local seen, missing = {}, {}
  for _, backend in ipairs { "cpu", "cuda" } do
    for _, c in ipairs(configs(backend)) do
      for _, key in ipairs(schema.baked_keys()) do seen[key.name .. "=" .. tostring(c[key.name])] = true end
    end
  end
  for _, key in ipairs(schema.baked_keys()) do
    -- Not a matter of cases: every run names an instruction set, and nothing here runs on a GPU.
    local values = key.type == "bool" and { "true", "false" } or key.name ~= "isa" and key.name ~= "arch" and key.values
    for _, value in ipairs(values or {}) do
      local text = key.name .. "=" .. value
      if not seen[text] then missing[#missing + 1] = text end
    end
  end
  check.equal(table.concat(missing, " "), "", "values that no case has")
end)

check.finish()
