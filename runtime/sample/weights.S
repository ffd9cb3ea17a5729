// weights.S: a safetensors file inside of a sampler (make sampler EMBED=1). WEIGHTS is its path. At a
// multiple of 64 each of its tensors is used where it lies.
    .section .rodata.sampler_weights, "a", %progbits
    .globl sampler_weights, sampler_weights_end
    .balign 64
sampler_weights:
    .incbin WEIGHTS
sampler_weights_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
