-- made_sweep: what the tests of sweeps share: sweeps from the text of their files, with folders in /tmp.
local cost = require("gen.sweep.cost")
local file = require("gen.sweep.file")
local files = require("gen.base.files")
local plan = require("gen.sweep.plan")

local made_sweep = {}

made_sweep.root = os.tmpname()
os.remove(made_sweep.root)
os.execute("mkdir -p " .. made_sweep.root)

-- The sweep that a file with this text says.
function made_sweep.read(text)
  files.write(made_sweep.root .. "/try.lua", text)
  return file.read(made_sweep.root .. "/try.lua")
end

-- The plan of a sweep around notebook_small, from the text of its fields.
function made_sweep.plan(fields)
  local p = plan.make(made_sweep.read('return { base = "notebook_small", ' .. fields .. " }"), { backend = "cpu" })
  p.folder = made_sweep.root .. "/out"
  for _, run in ipairs(p.runs) do run.folder = p.folder .. "/" .. run.name end
  return p
end

-- The plan with what each run costs.
function made_sweep.measured(p)
  for _, shape in ipairs(p.shapes) do cost.measure_shape(shape) end
  for _, run in ipairs(p.runs) do
    run.first, run.last = run.from and run.from.config.max_iters + 1 or 0, run.config.max_iters
    run.flops, run.whole_flops = cost.flops(run, run.first, run.config.max_iters), cost.flops(run, 0,
      run.config.max_iters)
  end
  return p
end

function made_sweep.remove() os.execute("rm -rf " .. made_sweep.root) end

return made_sweep
