//// attention_hopper.cu: causal attention on Hopper (sm_90a), forward and backward, for heads of 64
//// and 128 columns in 16-bit elements. Mathematics, order of operands and dropout's bits are those
//// of attention.cu; matrix products are wgmma's, copies the copy engine's (TMA).
////
//// A block has three warp groups, which run different code:
////
////     loads      one thread copies tiles to a ring in shared memory, ahead of their use
////     works 0    computes 64 rows of the block's tile, in registers
////     works 1    computes the other 64
////
//// They synchronize by mbarriers alone: `full` counts bytes that arrive, `empty` counts warps that
//// no longer need them.
////
//// A block is launched with 168 registers a thread, 64,512 in all: the loading group gives up all
//// but 24, and the working groups take 240 each. One such block fills a multiprocessor, so blocks
//// are persistent: each computes one item after another, and loads run up to an item ahead.
////
//// Tensor maps describe a matrix (rows, columns) as (B, T, columns): a tile that reaches beyond a
//// sequence is padded with zeros, not with the next sequence, and stored without the padding. So
//// only the diagonal needs a mask.

//$ include("attention_hopper_forward.cu")
//$ include("attention_hopper_backward.cu")
