# test_ops.mk: builds the op harness from emit.lua's files for CUDA (tests/ops/emit.lua); test_ops.sh calls it.
#
#     make -f tests/cuda/test_ops.mk OUT=folder [PROGRAM=path] [STAND_IN=1] [SANITIZE=1]
#     make -f tests/cuda/test_ops.mk OUT=folder [PROGRAM=path] STAND_IN=1 ARCH=sm_90a
#
# for the emulator, or, with ARCH, for a device by nvcc. OUT has the emitted files; PROGRAM is
# OUT/harness by default. STAND_IN takes tests/cuda/check instead of the Check library. Objects that
# do not depend on the emitted files are beside OUT.
.SUFFIXES:
.DELETE_ON_ERROR:
CC := gcc
CXX := g++
BUILD ?= build
PROGRAM ?= $(OUT)/harness
comma := ,
flags = -MMD -MP -I. -I$(BUILD)/include
c_flags = -std=gnu11 -O3 -ffp-contract=off -Wall -Wextra $(flags)
sources := $(filter-out tests/ops/backend_cpu.c,$(wildcard tests/ops/*.c))
runtime := $(wildcard runtime/base/*.c runtime/gpu/*.c) # of which the linker takes what is called

ifdef STAND_IN
check_flags := -Itests/cuda/check
check_libraries :=
sources += $(wildcard tests/cuda/check/*.c)
else
check_flags := $(shell pkg-config --cflags check)
check_libraries := $(shell pkg-config --libs check)
endif

ifdef ARCH
nvcc := $(or $(shell command -v nvcc),/usr/local/cuda/bin/nvcc)
c_flags += -I$(patsubst %/bin/,%,$(dir $(realpath $(nvcc))))/include
cu = $(nvcc) -std=c++17 -O3 -arch=$(ARCH) -Xcompiler -ffp-contract=off $(flags)
link = $(nvcc) -arch=$(ARCH)
libraries := -lcublasLt -lcuda
else
flags += -Itests/cuda/emulator $(if $(SANITIZE),-O1 -g -fsanitize=address$(comma)undefined \
    -fno-sanitize-recover=all)
cxx_flags = -std=c++17 -O2 -Wall -Wextra -Wno-unknown-pragmas $(flags)
cu = $(CXX) $(cxx_flags) -x c++
link = $(CXX) $(flags)
sources += tests/ops/emulated.cpp $(wildcard tests/cuda/emulator/*.cpp)
endif

host := $(dir $(OUT))host$(ARCH:%=-%)$(if $(SANITIZE),-asan)$(if $(STAND_IN),-stand-in)
emitted := $(patsubst %,%.o,$(wildcard $(OUT)/*.c $(OUT)/*.cu))
objects := $(sources:%=$(host)/%.o)
runtime_objects := $(runtime:%=$(host)/%.o)

$(PROGRAM): $(emitted) $(objects) $(host)/runtime.a
	$(link) -o $@ $^ $(check_libraries) $(libraries) -lm

$(host)/runtime.a: $(runtime_objects)
	@rm -f $@ && ar rcD $@ $^

$(OUT)/%.c.o: $(OUT)/%.c
	$(CC) $(c_flags) -c -o $@ $<

$(OUT)/%.cu.o: $(OUT)/%.cu
	$(cu) -c -o $@ $<

$(host)/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) $(c_flags) $(check_flags) -c -o $@ $<

$(host)/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(cxx_flags) -c -o $@ $<

# If a header was renamed, the objects that included it are remade.
%.h %.cuh: ;
-include $(wildcard $(OUT)/*.d) $(objects:.o=.d) $(runtime_objects:.o=.d)
