-- machine: what isa=native and arch=native mean on this machine. Depends on schema.
local schema = require "gen.config.schema"

local machine = {}

-- nvcc's name for the architecture of a GPU of this compute capability, or "all" if it is unknown.
function machine.arch_of(capability)
  local major, minor = (capability or ""):match("^(%d+)%.(%d+)")
  if not major then return "all" end
  local name = ("sm_%s%s"):format(major, minor)
  for _, known in ipairs(schema.key("arch").values) do
    if known == name or known == name .. "a" then return known end
  end
  return "all"
end

function machine.arch()
  local pipe = io.popen("nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null", "r")
  local line = pipe and pipe:read("l")
  if pipe then pipe:close() end
  return machine.arch_of(line)
end

-- The instruction set of a machine for a type of products, from /proc/cpuinfo's text and `uname -m`.
function machine.isa_of(cpuinfo, uname, dtype)
  local flags = {}
  local text = "\n" .. cpuinfo
  for flag in (text:match("\nflags%s*:([^\n]*)") or text:match("\nFeatures%s*:([^\n]*)") or ""):gmatch("%S+") do
    flags[flag] = true
  end
  if uname == "aarch64" or uname == "arm64" then
    return dtype == "bfloat16" and flags.bf16 and "neon_bf16" or "neon"
  end
  if flags.avx512f and flags.avx512dq and flags.avx512bw and flags.avx512vl and flags.avx512cd then
    return dtype == "bfloat16" and flags.avx512_bf16 and "avx512_bf16" or "avx512"
  end
  return flags.avx2 and flags.fma and "avx2" or "generic"
end

function machine.isa(dtype)
  local file = io.open("/proc/cpuinfo", "r")
  local cpuinfo = file and file:read("a") or ""
  if file then file:close() end
  local pipe = io.popen("uname -m 2>/dev/null", "r")
  local uname = pipe and pipe:read("l") or ""
  if pipe then pipe:close() end
  return machine.isa_of(cpuinfo, uname, dtype)
end

return machine
