-- test_floor: floor.lua's head is the emitted trainer's: as many row blocks of logits, of as many rows, whatever
-- logits_rows is; and its memory.
local check = require("tests.gen.check")
local files = require("gen.base.files")

local folder = os.tmpname()
os.remove(folder)

local function output_of(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read("a")
  assert(pipe:close(), text)
  return text
end

-- The row blocks of the head's product: how many, and MB of each, in floor.lua's table; how many, and rows of each, in
-- the emitted text.
local function heads(words)
  local keys = "n_layer=1 n_head=1 n_embd=64 vocab_size=1000 lm_head_bias=false " .. words
  local config = folder .. ".lua"
  files.write(config, "return {}\n")
  local floor = output_of(("lua5.4 tests/bench/floor.lua %s %s"):format(config, keys))
  local blocks, megabytes = floor:match("\n| matmul logits | (%d+) | %S* | ([%d.]+) |")
  output_of(("lua5.4 gen/main.lua --backend cuda --build %s %s %s"):format(folder, config, keys))
  local emitted = output_of(("cat %s/*/cuda/train.cu"):format(folder))
  local rows, often = emitted:match("\n// matmul_(%d+)x64x1000, from %S+%.cu%.[%s/]+Called (%S+)")
  os.execute(("rm -r '%s' '%s'"):format(folder, config))
  return { blocks = tonumber(blocks), megabytes = tonumber(megabytes) },
    { blocks = often == "once" and 1 or tonumber(often), rows = tonumber(rows) }
end

for _, case in ipairs {
  { "batch_size=12 block_size=64", 768 }, -- less than the 8,192 of a GPU
  { "batch_size=16 block_size=512", 8192 },
  { "batch_size=32 block_size=512", 16384 }, -- dx of 16,384 rows is 128 tiles of 132: one wave, as with 8,192
  { "batch_size=12 block_size=64 logits_rows=256", 256 },
  { "batch_size=12 block_size=64 logits_rows=300", 256 }, -- the largest below it that divides 768
  { "batch_size=12 block_size=64 logits_rows=999", 768 },
  { "batch_size=1 block_size=61 logits_rows=16", 61 }, -- nothing does
} do
  local words, rows = case[1], case[2]
  check.test(words, function()
    local floor, emitted = heads(words)
    check.equal(emitted.rows, rows, "the trainer's rows")
    check.equal(floor.blocks, emitted.blocks, "blocks")
    local padded = (1000 + 127) // 128 * 128
    local bytes = 2 * (rows * (64 + padded) + 64 * padded) -- x, logits, the head's weight
    check.equal(floor.megabytes, tonumber(("%.1f"):format(bytes / 1e6)), "MB of a row block's product")
  end)
end

check.test("fewer rows take less memory", function()
  local function memory(words)
    local text = output_of("lua5.4 tests/bench/floor.lua configs/gpt2.lua batch_size=64 " .. words)
    return tonumber(text:match("activations (%d+%.%d)"))
  end
  -- 7,168 rows of 50,304 logits, two bytes each, are 0.72 GB.
  check.equal(memory("") - memory("logits_rows=1024") > 0.6, true)
end)

check.test("a norm of any kind", function()
  local function floor(words)
    return output_of("lua5.4 tests/bench/floor.lua " .. words .. " configs/gpt2.lua bias=true norm=rmsnorm")
  end
  local kernels = floor("")
  check.equal(kernels:match("\n| rmsnorm | (%d+) |"), "25")
  check.equal(kernels:match("\n| rmsnorm_backward | (%d+) |"), "24")
  check.equal(kernels:find("layernorm"), nil)
  -- Per layer qkv, attention out, fc and mlp out with their biases, and two scales; ln_f's scale; wte and wpe.
  local C = 768
  local layer = 4 * C * C + 4 * C + 8 * C * C + 5 * C + 2 * C
  check.equal(tonumber(floor("--sizes"):match('"params": *(%d+)')), 12 * layer + C + 50304 * C + 1024 * C)
end)

-- The parameters and nanoGPT's FLOP a token, as the emitted trainer states them.
check.test("the parts of models of today", function()
  for _, words in ipairs {
    "configs/llama_tiny.lua", "configs/speedrun_char.lua tensor_names=llama",
    "configs/llama_tiny.lua qk_norm=gain head_size=48 qkv_bias=true lm_head_bias=true",
    "configs/gpt2.lua n_layer=4 window=SL window_size=100 bias=true attn_bias=false qk_norm=gain activation=geglu",
    "configs/gpt2.lua n_layer=2 norm=rmsnorm norm_gain=false embd_norm=true pos=none n_kv_head=3 head_size=32",
  } do
    local sizes = output_of("lua5.4 tests/bench/floor.lua --sizes " .. words .. " vocab_size=1000")
    output_of(("lua5.4 gen/main.lua --backend cuda --build %s %s vocab_size=1000"):format(folder, words))
    local emitted = output_of(("cat %s/*/cuda/train.cu"):format(folder))
    os.execute(("rm -r '%s'"):format(folder))
    check.equal(sizes:match('"params": *(%d+)'), emitted:match("%.num_params = (%d+)"), words)
    check.equal(tonumber(sizes:match('"flop_per_token_nanogpt": *(%d+)')),
      tonumber(emitted:match("%.flops_per_token = (%d+)")), words)
  end
end)

check.test("Muon's products and what AdamW updates then", function()
  local function of(optimizer, kernel)
    local text = output_of("lua5.4 tests/bench/floor.lua configs/gpt2.lua optimizer=" .. optimizer)
    local calls, gigaflop, megabytes = text:match("\n| " .. kernel .. " | (%S+) | (%S*) | ([%d.]+) |")
    return calls, tonumber(gigaflop), tonumber(megabytes)
  end
  local C = 768
  local calls, gigaflop = of("muon", "muon 2304 x 768") -- five steps in each of 12 layers, in 40 micro-steps
  check.equal(calls, "2") -- 1.5
  -- Of the symmetric products two thirds, in three rows of blocks.
  check.equal(gigaflop, tonumber(("%.1f"):format((2 * C * C * 3 * C + 2 / 3 * (2 * C * C * 3 * C + 2 * C ^ 3)) / 1e9)))
  local _, _, all = of("adamw", "update")
  local _, _, rest = of("muon", "update")
  check.equal(math.abs(all - rest - 12 * 12 * C * C * 30 / 1e6) < 0.2, true)
end)

check.finish()
