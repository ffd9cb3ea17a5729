-- warps: shared by templates of several CUDA families: how a row is divided among warps and thread blocks, and
-- dropout's mask drawn by a warp for its vectors. Depends on nothing.
local warps = {}

-- A statement draws dropout's mask for one element. If each warp holds whole chunks of a row (`whole`), this is
-- replaced by a mask that the warp draws for all its vectors.
function warps.with_mask(statement, whole)
  return whole and (statement:gsub("dropout_mask%b()", "mask.v[i]")) or statement
end

-- A norm's forward pass holds a row in registers: of a warp, or of a whole thread block if it is wider than 2048. A
-- warp takes two rows at a time if they fit, so that both share one read of the weights. Returns the threads of a
-- thread block, the lanes of a row, and the rows at a time.
function warps.forward_cut(k)
  local vecs = (k.d.C + 7) // 8
  if k.d.C > 2048 then
    local threads = 32 * math.min(32, (vecs + 127) // 128)
    return threads, threads, 1
  end
  return 256, 32, vecs <= 128 and 2 or 1
end

-- A norm's backward pass: a group of warps shares a row, as many as its vectors fill. A multiprocessor holds up to 20
-- warps (96 registers for each thread), or 16 (128) if dropout's draws need registers, in two or more thread blocks. A
-- thread block has a contiguous range of rows and writes one partial sum for each of `sums` rows of C, if the op has a
-- workspace for them; the number of thread blocks is fixed. Returns warps of a group, vectors of a lane, groups of a
-- thread block, thread blocks of a multiprocessor, rows at a time, and thread blocks in all.
function warps.backward_cut(k, sums)
  local vecs = (k.d.C + 7) // 8
  local group = math.min(32, (vecs + 31) // 32)
  local per = (vecs + 32 * group - 1) // (32 * group)
  local most = k.epilogue_uses_dropout and 16 or 20
  local groups = math.max(1, most // 2 // group)
  local resident = math.max(1, math.min(3, most // (group * groups)))
  local roomy = group * groups * resident <= 16 and not k.epilogue_uses_dropout
  local at_once = per > 1 and 1 or roomy and 3 or 2
  local most_blocks = k.op.workspace and k.op.workspace(k.d) // (sums * k.d.C_LD) or (k.d.N + 3) // 4
  local blocks = math.min(resident * k.d.sms, most_blocks)
  return group, per, groups, resident, at_once, blocks
end

return warps
