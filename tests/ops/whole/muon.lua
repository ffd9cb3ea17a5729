-- muon: emits Muon's update on a device for tests/ops/muon.c: the same matrices with symmetric products computed in
-- rows of blocks, which are low enough here that small matrices have several, and whole.
local call = require("gen.emit.call")
local kernels = require("gen.emit.kernels")
local muon = require("gen.emit.muon")
local params = require("gen.emit.params")

-- Blocks of 64, 64 and 12 rows, tall, of several matrices of one shape; of 64 and 22, wide, of one; one of 20. A larger
-- one would take minutes with ASan.
local LEAST = 40
local MATRICES = { { 150, 140, 2 }, { 86, 103, 1 }, { 20, 33, 2 } } -- rows, columns, how many

local dtypes = { bf16 = "bfloat16", f16 = "float16", f32 = "float32" }

-- The table of parameters, as gen/emit/params.lua has it, and the floats of all.
local function table_of()
  local entries, floats = {}, 128 -- behind parameters of others
  for i, matrix in ipairs(MATRICES) do
    local rows, cols, layers = table.unpack(matrix)
    local pitch = (cols + 7) // 8 * 8
    local stride = (rows * pitch + 63) // 64 * 64
    entries[i] = { name = "h.%d." .. i, dims = { rows, cols }, layers = layers, device_pitch = pitch,
      device_offset = floats, device_stride = stride, offset = floats, stride = stride }
    floats = floats + layers * stride
  end
  return entries, floats
end

-- One way's kernels, in a namespace, and the function that runs them; adds its products to gemms.
local function way_text(name, t, entries, least, gemms)
  local list, lines = muon.device(entries, dtypes[t.elem], false, { dtype = t.elem }, least)
  local texts = {}
  for i, kernel in ipairs(list) do
    texts[i] = kernel.text
    for _, gemm in ipairs(kernel.gemms or {}) do gemms[#gemms + 1] = ("in_%s::%s"):format(name, gemm) end
  end
  return ('namespace in_%s {\n%s\nstatic void run(struct gpu *gpu) {\n%s\n}\n} // namespace\n\n' ..
    'extern "C" void %s(struct gpu *gpu) {\n    in_%s::run(gpu);\n}\n'):format(name, table.concat(texts, "\n"), lines,
    name, name)
end

-- The kernels' file, of which `head` is the beginning, and the case's; without kernels if they are not wanted.
return function(t, head, wanted)
  local title = "// Muon's update, emitted by tests/ops/whole/muon.lua.\n"
  local include = title .. '#include "tests/ops/backend_cuda.h"\n\n'
  if not wanted then return title, include .. "const struct muon_case muon_case;\n" end
  local entries, floats = table_of()
  local gemms, rows = {}, {}
  local norm = setmetatable({ name = "grad_norm", dtype = t.elem, sms = t.sms, state_floats = floats },
    { __index = params.range_fields({ { finish = floats, group = "matrices" } }) })
  local text = { title .. head, kernels.whole("cuda", "optimizer", "grad_norm", norm),
    ('extern "C" void muon_norm(struct gpu *gpu) {\n    %s;\n}\n'):format(call.whole_text("grad_norm")),
    "#define RUN(kernel, ...) kernel##_launch(gpu, ##__VA_ARGS__)\n",
    way_text("muon_blocks", t, entries, LEAST, gemms), way_text("muon_whole", t, entries, math.huge, gemms),
    'extern "C" {\nextern struct gemm *const muon_gemms[];',
    ("struct gemm *const muon_gemms[] = {\n    &%s,\n};\n}\n"):format(table.concat(gemms, ",\n    &")) }
  for _, entry in ipairs(entries) do
    for layer = 0, entry.layers - 1 do
      rows[#rows + 1] = ("    {%d, %d, %d, %d},"):format(entry.dims[1], entry.dims[2], entry.device_pitch,
        entry.device_offset + layer * entry.device_stride)
    end
  end
  return table.concat(text, "\n"), include .. table.concat({
    "extern struct gemm *const muon_gemms[];",
    "void muon_norm(struct gpu *gpu), muon_blocks(struct gpu *gpu), muon_whole(struct gpu *gpu);\n",
    "static const struct muon_matrix matrices[] = {", table.concat(rows, "\n"), "};",
    ("const struct muon_case muon_case = {matrices, %d, %d, %d, muon_gemms, %d, muon_norm, muon_blocks, muon_whole};")
      :format(#rows, floats, muon.device_floats(entries, dtypes[t.elem]), #gemms),
  }, "\n") .. "\n"
end
