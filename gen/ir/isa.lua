-- isa: the properties of instruction sets: the width of a vector in floats, the register tile of
-- matmuls (rows x vectors, as many accumulators as fit in registers), and the compiler's flags. bf16: it multiplies
-- pairs of bfloat16 (runtime/kernel/bf16.h).
return {
  avx512 = { vec = 16, tile_rows = 8, tile_vecs = 3, flags = "-march=x86-64-v4" },
  avx512_bf16 = { vec = 16, tile_rows = 8, tile_vecs = 3, bf16 = true, flags = "-march=x86-64-v4 -mavx512bf16" },
  avx2 = { vec = 8, tile_rows = 6, tile_vecs = 2, flags = "-march=x86-64-v3" },
  neon = { vec = 4, tile_rows = 8, tile_vecs = 3, flags = "-march=armv8-a" },
  neon_bf16 = { vec = 4, tile_rows = 8, tile_vecs = 3, bf16 = true, flags = "-march=armv8.2-a+bf16" },
  generic = { vec = 4, tile_rows = 4, tile_vecs = 2, flags = "" },
}
