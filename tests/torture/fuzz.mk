# fuzz.mk: builds the fuzz targets, tests/torture/fuzz/NAME.c, with the runtime that they read with.
#
#     make -f tests/torture/fuzz.mk VARIANT=fuzz      build/torture/fuzz/NAME: clang, libFuzzer, ASan, UBSan
#     make -f tests/torture/fuzz.mk VARIANT=replay    …/replay/NAME: gcc, ASan, UBSan; replays packed files
#     make -f tests/torture/fuzz.mk VARIANT=m32       …/m32/NAME: the same with 32-bit pointers, by clang
#
# A line "// links: …/file.c" in a target adds files. It needs build/include/run_keys.h.
MAKEFLAGS += --no-print-directory --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
VARIANT ?= replay
out := build/torture/$(VARIANT)
comma := ,

# Without traced comparisons it is twice as fast, and the corpus has the words already.
fuzz_cc := clang -fsanitize-coverage=inline-8bit-counters,pc-table
fuzz_link := $(fuzz_cc) -fsanitize=fuzzer -fno-sanitize-coverage=trace-cmp,indirect-calls
replay_cc := gcc
replay_link := gcc
# clang's own libraries, as gcc's 32-bit ones conflict with cross compilers (gcc-multilib).
# asm/ lies where only 64-bit compilers look for it.
m32_cc := clang -m32 -msse2 -D_FILE_OFFSET_BITS=64 -idirafter /usr/include/x86_64-linux-gnu
m32_link := $(m32_cc) --rtlib=compiler-rt --unwindlib=none
m32_libraries := -l:libgcc_s.so.1
# What reads a few inputs once need not be fast.
cc_flags = -std=gnu11 $(if $(filter fuzz,$(VARIANT)),-O2 -g,-O1 -g1) -ffp-contract=off -pthread -Wall -Wextra -I. -I$(out)/include -Ibuild/include \
    -fsanitize=address$(comma)undefined -fno-sanitize-recover=all
wrapped := die warn exit malloc calloc realloc free mapped_open mapped_close

runtime := $(out)/runtime
flags_file :=
compile_c = @runtime/into.sh $@ $($(VARIANT)_cc) $(cc_flags)
targets := $(patsubst tests/torture/fuzz/%.c,%,$(wildcard tests/torture/fuzz/*.c))
support := $(out)/survive.o $(if $(filter fuzz,$(VARIANT)),,$(out)/replay.o)

all: $(targets:%=$(out)/%)
include runtime/wings.mk
library := $(call archives_to,train)

.PHONY: all
$(out)/%.o: tests/torture/fuzz/support/%.c $(wildcard tests/torture/fuzz/support/*.h)
	@mkdir -p $(@D)
	$(compile_c) -c $<

# tests/runtime/fake_model.c includes it.
$(out)/include/updates.h: tests/runtime/updates.lua templates/cpu/optimizer.c
	@mkdir -p $(@D)
	@lua5.4 -E $< $@ && touch $@

$(out)/%: tests/torture/fuzz/%.c $(support) $(library) $(out)/include/updates.h $(wildcard tests/torture/fuzz/support/*.h tests/runtime/*.c)
	@runtime/into.sh $@ $($(VARIANT)_link) $(cc_flags) $(wrapped:%=-Wl$(comma)--wrap=%) $< \
	    $$(sed -n '/^\/\/ links:/p' $< | grep -o '[a-z]*/[a-z_/]*\.c') $(support) $(library) $($(VARIANT)_libraries) -lm
