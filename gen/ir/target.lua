-- target: the device that a graph is emitted for, as far as passes and kernels depend on it.
--
--   both   backend; elem: the type of activations ("bf16", "f16", "f32"); align: of tensors, in
--          floats
--   cpu    isa: the instruction set's sizes, from gen/ir/isa.lua; padded: rows of activations are padded;
--          specialise: false if kernels take their sizes as arguments; products: "f32", or "bf16" if a
--          trainer's products round their factors; scalar: a microcontroller, which has no vectors
--   cuda   sms: the number of multiprocessors among which work is divided; vocab, tf32, attention.
--          Rows of tensors are padded: target.width
local isas = require("gen.ir.isa")

local target = {}

local elem_of = { bfloat16 = "bf16", float16 = "f16", float32 = "f32" }
local bytes_of = { bf16 = 2, f16 = 2, f32 = 4, i32 = 4, bfloat16 = 2, q8_0 = 34 / 32, q4_0 = 18 / 32 }

-- The CPU, by the name of its instruction set. The sampler, which has few rows, does not pad them.
function target.cpu(isa_name, padded, specialise, products)
  return { backend = "cpu", elem = "f32", isa = isas[isa_name], align = 16, padded = padded,
    specialise = specialise, products = products or "f32" }
end

-- A CUDA device. options: elem, vocab (the size that is padded as the vocabulary), tf32, attention.
function target.cuda(options)
  return {
    backend = "cuda", elem = options.elem, vocab = options.vocab, tf32 = options.tf32 or false,
    attention = options.attention or "mma",
    sms = 132,  -- an H100's or H200's; the same for other devices, so that sums are the same
    align = 64, -- floats: 256 bytes, as cudaMalloc aligns
  }
end

-- The target of a checked config's trainer.
function target.of(c)
  if c.backend == "cpu" then return target.cpu(c.isa, true, c.specialise, elem_of[c.dtype]) end
  local C, V = c.n_embd, c.vocab_size
  -- The vocabulary is recognized by its size: one as large as another width is padded like that width.
  local shared = V == C or V == (c.n_head + 2 * c.kv_heads) * c.head_width or V == c.ff_width
  return target.cuda({ elem = elem_of[c.dtype], vocab = not shared and V or nil, tf32 = c.tf32,
    attention = c.attention })
end

-- Elements from one row of activations to the next, for rows of `size`. On the CPU an odd number of
-- cache lines: a product reads a few columns of many rows, and rows a power of two apart would share
-- few of the first-level cache's sets. On CUDA rounded up to 8, so that rows are 16-byte aligned in
-- every type, or to 128 for the vocabulary, so that the head's product has whole tiles.
function target.width(t, size)
  if t.backend == "cpu" then
    return t.padded and ((size + 15) // 16 | 1) * 16 or size
  end
  local to = size == t.vocab and 128 or 8
  return (size + to - 1) // to * to
end

-- Bytes of one element of a tensor.
function target.bytes(tensor)
  return bytes_of[tensor.type]
end

-- Elements of a tensor's row, and its number of rows, padding included. Statistics, workspaces and
-- ids have no padding, and neither have a CPU's parameters; on CUDA the number of a parameter's rows
-- is padded too if it is the vocabulary.
function target.padded(t, tensor)
  local dims = tensor.dims
  local width, rows = dims[#dims], 1
  for axis = 1, #dims - 1 do rows = rows * dims[axis] end
  local weight = tensor.kind == "param" or tensor.kind == "grad" or tensor.kind == "packed"
  if tensor.dense or t.backend == "cpu" and (weight or #dims < 2) then return width, rows end
  if weight and #dims == 2 and rows == t.vocab then rows = target.width(t, rows) end
  return target.width(t, width), rows
end

-- Floats of memory that a tensor takes, padding included.
function target.floats(t, tensor)
  local width, rows = target.padded(t, tensor)
  return (width * rows * bytes_of[tensor.type] + 3) // 4
end

return target
