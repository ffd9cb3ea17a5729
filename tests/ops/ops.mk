# ops.mk: builds one instruction set's op harness from emit.lua's files; run.sh calls it.
#
#     make -f tests/ops/ops.mk BUILD=folder ISA=name ISA_FLAGS=... CHECK_LIBS=... [BENCH=1]
#
# Kernels are compiled without optimisation, which takes a third of the time and changes no result;
# references with it, since central differences run them often.
.SUFFIXES:
.DELETE_ON_ERROR:
CC := gcc
SANITIZE := -O0 -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS = -std=gnu11 -ffp-contract=off -pthread -Wall -Wextra -I. -I$(BUILD)/include
KERNELS = $(ISA_FLAGS) $(if $(BENCH),-O3,$(SANITIZE))
out := $(BUILD)/ops/$(ISA)$(if $(BENCH),-bench)
plain := $(BUILD)/ops/$(CC)
emitted := $(wildcard $(out)/*.c)
cuda := backend_cuda whole muon
parts := $(filter-out $(cuda),$(patsubst tests/ops/%.c,%,$(wildcard tests/ops/*.c)))
runtime := $(patsubst runtime/%.c,$(plain)/%.o,$(wildcard runtime/base/*.c runtime/model/*.c)) # the linker takes what is called

$(out)/harness: $(emitted:.c=.o) $(parts:%=$(plain)/%.o) $(plain)/runtime.a
	$(CC) $(CFLAGS) $(KERNELS) -o $@ $^ $(CHECK_LIBS) -lm

$(plain)/runtime.a: $(runtime)
	@rm -f $@ && ar rcD $@ $^

$(out)/%.o: $(out)/%.c $(wildcard runtime/*/*.h) tests/ops/harness.h
	$(CC) $(CFLAGS) $(KERNELS) -c -o $@ $<

$(plain)/%.o: tests/ops/%.c $(wildcard runtime/*/*.h) tests/ops/harness.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -O2 $(CHECK_CFLAGS) -c -o $@ $<

$(plain)/%.o: runtime/%.c $(wildcard runtime/*/*.h)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -O2 -c -o $@ $<
