# test_ops.mk: the op harness from what tests/ops/emit.lua wrote for CUDA; test_ops.sh calls it.
#
#     make -f tests/cuda/test_ops.mk OUT=folder [SANITIZE=1] [STAND_IN=1]    for the emulator
#
# OUT holds the emitted files and gets the program, OUT/harness. STAND_IN takes tests/cuda/check
# instead of the Check library. What does not depend on the emitted files lies beside OUT.
.SUFFIXES:
.DELETE_ON_ERROR:
CC := gcc
CXX := g++
BUILD ?= build
comma := ,
FLAGS = -O2 $(if $(SANITIZE),-O1 -g -fsanitize=address$(comma)undefined -fno-sanitize-recover=all) \
    -Wall -Wextra -MMD -I. -I$(BUILD)/include -Itests/cuda/emulator
CFLAGS = -std=gnu11 -ffp-contract=off $(FLAGS)
CXXFLAGS = -std=c++17 -Wno-unknown-pragmas $(FLAGS)
ifdef STAND_IN
CHECK_CFLAGS := -Itests/cuda/check
CHECK_LIBS :=
else
CHECK_CFLAGS := $(shell pkg-config --cflags check)
CHECK_LIBS := $(shell pkg-config --libs check)
endif

host := $(dir $(OUT))host$(if $(SANITIZE),-asan)$(if $(STAND_IN),-stand-in)
emitted := $(patsubst %.c,%.o,$(wildcard $(OUT)/*.c)) $(patsubst %,%.o,$(wildcard $(OUT)/*.cu))
references := $(filter-out tests/ops/backend_cpu.c,$(wildcard tests/ops/*.c))
sources := $(references) tests/ops/emulated.cpp $(wildcard tests/cuda/emulator/*.cpp) \
    $(if $(STAND_IN),tests/cuda/check/check.c) runtime/rng.c runtime/log.c runtime/gpu.c \
    runtime/gemm.c
objects := $(sources:%=$(host)/%.o)

$(OUT)/harness: $(emitted) $(objects)
	$(CXX) $(FLAGS) -o $@ $^ $(CHECK_LIBS) -lm

$(OUT)/%.o: $(OUT)/%.c
	$(CC) $(CFLAGS) -c -o $@ $<

$(OUT)/%.cu.o: $(OUT)/%.cu
	$(CXX) $(CXXFLAGS) -x c++ -c -o $@ $<

$(host)/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CHECK_CFLAGS) -c -o $@ $<

$(host)/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -c -o $@ $<

-include $(wildcard $(OUT)/*.d) $(objects:.o=.d)
