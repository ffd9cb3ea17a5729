-- rates: what is assumed of a GPU, an H200, and its links where nothing was measured. A table alone: it depends on
-- nothing.
return {
  peak = 989,      -- TFLOP/s of dense bfloat16, by the data sheet
  share = 50,      -- per cent of it that forward and backward passes reach, in nanoGPT's FLOP
  memory = 4.3,    -- TB/s
  gigabytes = 141, -- of memory
  nvlink = 450,    -- GB/s that a GPU sends to those of its node
  infiniband = 50, -- GB/s that it sends to other nodes: each GPU has a port of 400 Gbit/s
}
