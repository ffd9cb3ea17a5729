-- made_sweep: what the tests of sweeps share: sweeps from the text of their files, with folders in /tmp.
local cost = require("gen.sweep.cost")
local file = require("gen.sweep.file")
local files = require("gen.base.files")
local folders = require("gen.sweep.folders")
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

-- A checkpoint without tensors, which names its run.
function made_sweep.state_of(name)
  local header = ('{"__metadata__":{"of":"%s"}}'):format(name)
  header = header .. (" "):rep(-#header % 8)
  return string.pack("<I8", #header) .. header
end

-- The metrics.jsonl of a complete run.
function made_sweep.metrics_of(c)
  local lines = {}
  for i = 0, c.max_iters do
    if i % c.eval_interval == 0 then
      lines[#lines + 1] = ('{"iter":%d,"train_loss":2,"val_loss":%g,"ms":10}'):format(i, 4 - i / c.max_iters)
    end
    lines[#lines + 1] = ('{"iter":%d,"loss":1,"ms":10}'):format(i)
  end
  return table.concat(lines, "\n") .. "\n"
end

-- Makes the folders of a plan's runs, as if all were trained and done.
function made_sweep.train(p)
  folders.arrange(p, {}, function() end)
  for _, run in ipairs(p.runs) do
    files.write(run.folder .. "/metrics.jsonl", made_sweep.metrics_of(run.config))
    files.write(run.folder .. "/state.safetensors", made_sweep.state_of(run.name))
    files.write(run.folder .. "/ckpt.safetensors", made_sweep.state_of(run.name))
    files.write(run.folder .. "/run.json", ('{"name":"%s","run":{"out_dir":"out/sweeps/try/%s"}}'):format(run.name,
      run.name))
    files.write(run.folder .. "/status.json", '{"status":"done","code":0}\n')
  end
end

function made_sweep.remove() os.execute("rm -rf " .. made_sweep.root) end

return made_sweep
