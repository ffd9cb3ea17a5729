# compile.mk: the second stage: compiles and links one config's programs. The Makefile, which describes the folders,
# includes it if BUILD_NAME is set.
#
# A program is linked from its own objects, those of the emitted code, and the archives of the wings.

include $(BUILD)/$(BUILD_NAME)/$(BACKEND)/build.mk
# Of make sampler: MACHINE, whose programs they are, if not this machine's.
other := $(if $(MACHINE),$(filter-out $(shell uname -m),$(MACHINE)))
# Of RANKS: what carries data between processes.
carrier := $(if $(RANKS),$(if $(filter cuda,$(BACKEND)),nccl,$(or $(MPI),mpi)))
variant := $(if $(EMULATED),/emulated)$(if $(SANITIZE),$(if $(filter thread,$(SANITIZE)),/tsan,/asan))$(if $(WERROR),/werror-$(CC))$(if $(STATIC),/static$(addprefix /,$(other)))$(if $(WASM),/wasm)$(if $(LIBRARY),/library)
model := $(BUILD)$(variant)/$(HASH)/$(BACKEND)
bin := $(BUILD)$(variant)/$(BUILD_NAME)/$(BACKEND)$(addprefix -,$(carrier))
runtime := build$(variant)/runtime/$(ISA)
ifdef STATIC
# One static file, with musl or, for another machine, its glibc, and a small one: no tables for unwinding, which nothing
# here reads, no rest of a page between code, constants and data, and nothing unrolled of the runtime but what is done for
# each weight or each token of the vocabulary.
# musl-gcc does not search /usr/include, where the two header libraries are.
override CC := $(if $(other),$(other)-linux-gnu-gcc,musl-gcc)
# Generic code gives the same bits everywhere: with NEON multiply-adds would be fused.
cc_flags += $(if $(filter generic,$(ISA)),$(if $(filter aarch64,$(other)),-U__ARM_NEON))
cc_flags += -Os -static -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -Ibuild/include/musl
$(model)/%.o $(patsubst %,$(runtime)/sample/%.o,choose slide small): cc_flags += -O3
$(runtime)/base/hash.o: cc_flags += -O2
static_link := -s -Wl,--gc-sections,--build-id=none -Wl,-z,noseparate-code,-z,norelro,-z,common-page-size=64
endif
ifdef WASM
# A sampler for a page, as WebAssembly with Debian's libc for it: one thread, and small. Its stack is that of a sampler's
# thread, and lies first, so that a text too deep for it traps.
override CC := clang
cc_flags := $(filter-out -pthread,$(cc_flags)) --target=wasm32-wasi -msimd128 -ffunction-sections -fdata-sections
wasm_link := -mexec-model=reactor -Wl,--gc-sections,-s,--stack-first,-z,stack-size=262144
$(runtime)/%.o: cc_flags += -Os
endif
ifdef LIBRARY
cc_flags += -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections
$(runtime)/programs/%.o $(runtime)/files/%.o $(runtime)/sample/open.o $(runtime)/base/json.o: cc_flags += -Os
endif
defaults := $(bin)/defaults.o
strict := $(if $(WERROR),tests/strict.sh )
into = runtime/into.sh $@ $(strict)
compile_c = $(if $(V),,@echo "  cc   $@";)$(into)$(CC) $(cc_flags)
link = $(if $(V),,@echo "  link $@";)$(into)$(CC) $(cc_flags)

flags_file := $(runtime)/flags
include runtime/wings.mk
library := $(call archives_to,train)

.PHONY: programs show-ir sampler page library FORCE
programs: $(addprefix $(bin)/,$(PROGRAMS))
	@[ -z "$$CONFIG_WORDS" ] || printf '%s\n%s\n' "$$CONFIG_WORDS" "$$SET_WORDS" >$(bin)/words
	@printf '%s\n' 'built: $(bin): $(PROGRAMS); from $(MODEL_DIR)'

ifeq ($(BACKEND),cuda)
# nvcc compiles train.cu for the GPU, or, if EMULATED, a C++ compiler for the CPU with tests/cuda/emulator.
ifdef EMULATED
emulator := tests/cuda/emulator
device := $(runtime)/emulated
device_flags := -I$(emulator) -DGEMM_WORKSPACE_MIB=1
cxx := $(if $(filter clang,$(CC)),clang++,g++)
emulator_objects := $(patsubst $(emulator)/%.cpp,$(device)/%.o,$(wildcard $(emulator)/*.cpp))
device_libraries := -lstdc++
cxx_flags = -std=c++17 -O2 -Wall -Wextra -Wno-unknown-pragmas -I. -Ibuild/include $(device_flags) \
    $(if $(SANITIZE),-O1 -g1 -fsanitize=address$(comma)undefined)

$(device)/%.o: $(emulator)/%.cpp $(wildcard $(emulator)/*.h) $(flags_file)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  c++  $@";)$(into)$(cxx) $(cxx_flags) -c $<

$(model)/%.o: $(MODEL_DIR)/%.cu $(wildcard runtime/kernel/*.cuh runtime/kernel/*.h $(emulator)/*.h) $(flags_file)
	$(if $(V),,@echo "  c++  $@";)$(into)$(cxx) $(cxx_flags) -x c++ -c $<
$(model)/%.o: runtime/gpu/nccl/%.cu $(wildcard runtime/kernel/*.cuh runtime/kernel/*.h $(emulator)/*.h) $(flags_file)
	$(if $(V),,@echo "  c++  $@";)$(into)$(cxx) $(cxx_flags) -x c++ -c $<
# NCCL's calls go through MPI.
ifneq ($(carrier),)
device_flags += -I$(emulator)/nccl
ranks_links := mpicc
emulator_objects += $(device)/nccl.o
$(device)/nccl.o: $(emulator)/nccl/nccl.cpp $(wildcard $(emulator)/*.h $(emulator)/nccl/*.h) $(flags_file)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  c++  $@";)$(into)env OMPI_CXX=$(cxx) mpicxx $(cxx_flags) -c $<
endif
else
nvcc := $(or $(shell command -v nvcc),/usr/local/cuda/bin/nvcc)
cuda := $(patsubst %/bin/,%,$(dir $(realpath $(nvcc))))
device := build$(variant)/runtime/cuda
device_flags := -I$(cuda)/include
device_libraries := -L$(cuda)/lib64 -Wl,-rpath,$(cuda)/lib64 -lcublasLt -lcudart_static -lstdc++ -lpthread -ldl -lrt
nvcc_flags = -std=c++17 -O3 -Xcompiler -Wall,-Wextra -I. -Ibuild/include $(ARCH_FLAGS)

$(model)/train.o: $(MODEL_DIR)/train.cu $(wildcard runtime/kernel/*.cuh runtime/kernel/*.h) $(flags_file)
	$(if $(V),,@echo "  nvcc $@";)start=$$(date +%s); $(into)$(nvcc) $(nvcc_flags) -c $< && \
	    echo "        $$(($$(date +%s) - start)) s for $(ARCH)"
$(model)/sums.o: runtime/gpu/nccl/sums.cu $(wildcard runtime/kernel/*.cuh runtime/kernel/*.h) $(flags_file)
	$(if $(V),,@echo "  nvcc $@";)$(into)$(nvcc) $(nvcc_flags) -c $<
ifneq ($(carrier),)
# NCCL as beside the toolkit, as a system's package, or where NCCL_HOME says, as of PyPI's nvidia-nccl-cu13.
nccl := $(firstword $(wildcard $(NCCL_HOME:%=%/lib/libnccl.so.2) $(cuda)/lib64/libnccl.so.2 /usr/lib/*-linux-gnu/libnccl.so.2))
device_flags += $(NCCL_HOME:%=-I%/include)
device_libraries := $(nccl) $(if $(nccl),-Wl$(comma)-rpath$(comma)$(dir $(nccl))) $(device_libraries)
endif
endif

$(device)/%.o: runtime/%.c $(flags_file)
	@mkdir -p $(@D)
	$(compile_c) $(device_flags) -MMD -MP -c $<
-include $(wildcard $(device)/*/*.d $(device)/*/*/*.d)

on_device = $(patsubst $(runtime)/%,$(device)/%,$1)
device_objects := $(call on_device,$(call objects_of,$(call wing_sources,gpu))) $(emulator_objects)
endif

# Objects depend on this file, so that they are recompiled if the compiler or its flags change.
$(flags_file): FORCE
	@mkdir -p $(@D) $(model) $(bin)
	$(if $(STATIC),@mkdir -p build/include/musl && cp /usr/include/jsmn.h /usr/include/xxhash.h build/include/musl)
	@echo '$(CC) $(cc_flags)' | cmp -s - $@ || echo '$(CC) $(cc_flags)' > $@

# bench prints how it was compiled.
$(runtime)/programs/bench.o: runtime/programs/bench.c $(flags_file)
	@mkdir -p $(@D)
	$(compile_c) '-DBENCH_FLAGS="$(strip $(cc_flags))"' -MMD -MP -c $<

$(model)/%.o: $(MODEL_DIR)/%.c $(flags_file)
	$(compile_c) -MMD -MP -c $<

$(defaults): $(BUILD)/$(BUILD_NAME)/$(BACKEND)/defaults.c $(wildcard runtime/*/*.h) build/include/run_keys.h $(flags_file)
	$(compile_c) -c $<

# With RANKS these objects have what ranks/one.c has for one process: on CPUs MPI; on GPUs NCCL, with sums.cu's kernels.
ifneq ($(carrier),)
mpicc := env OMPI_CC='$(CC)' MPICH_CC='$(CC)' mpicc$(MPI:%=.%)
ifeq ($(carrier),nccl)
ranks := $(call on_device,$(patsubst runtime/%.c,$(runtime)/%.o,$(wildcard runtime/gpu/nccl/*.c))) $(model)/sums.o
else
mpi := $(runtime)/ranks/$(or $(MPI),mpi)
ranks := $(patsubst runtime/ranks/mpi/%.c,$(mpi)/%.o,$(wildcard runtime/ranks/mpi/*.c)) $(model)/buckets.o
$(mpi)/%.o: runtime/ranks/mpi/%.c $(flags_file)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  cc   $@";)$(into)$(mpicc) $(cc_flags) -MMD -MP -c $<
endif
endif
$(bin)/train: $(call program,train) $(model)/train.o $(model)/sample.o $(defaults) $(device_objects) $(ranks) $(library)
	$(if $(or $(filter-out nccl,$(carrier)),$(ranks_links)),$(if $(V),,@echo "  link $@";)$(into)$(mpicc) $(cc_flags),$(link)) $^ $(device_libraries) -lm

ifeq ($(BACKEND),cuda)
bench_parts := $(call on_device,$(call program,gpu_bench))
else
bench_parts := $(call program,bench)
endif
$(bin)/bench: $(bench_parts) $(model)/train.o $(defaults) $(device_objects) $(library)
	$(link) $^ $(device_libraries) -lm

ifeq ($(BACKEND),cuda)
$(bin)/tune: $(call on_device,$(call program,gpu_tune)) $(model)/train.o $(defaults) $(device_objects) $(library)
	$(link) $^ $(device_libraries) -lm
else
# One file for each product, with the kernels of all candidates (gen/tune.lua).
tune_kernels := $(BUILD)/$(BUILD_NAME)/$(BACKEND)/tune-kernels
-include $(tune_kernels)/shapes.mk
$(bin)/tune-kernels/%.o: $(tune_kernels)/%.c $(wildcard runtime/kernel/*.h) $(flags_file)
	@mkdir -p $(@D)
	$(compile_c) -c $<

$(bin)/tune: $(call program,tune) $(TUNE_SHAPES:%=$(bin)/tune-kernels/%.o) $(library)
	$(link) $^ -lm
endif

$(bin)/gradcheck: $(call program,gradcheck) $(model)/train.o $(defaults) $(library)
	$(link) $^ -lm

$(bin)/eval: $(call program,eval) $(model)/train.o $(defaults) $(device_objects) $(library)
	$(link) $^ $(device_libraries) -lm

$(bin)/sample: $(call program,sample) $(model)/sample.o $(library)
	$(link) $^ -lm

$(bin)/sample_bench: $(call program,sample_bench) $(model)/train.o $(model)/sample.o $(defaults) $(library)
	$(link) $^ -lm

$(bin)/quantize: $(call program,quantize) $(model)/sample.o $(defaults) $(library)
	$(link) $^ -lm

# The same with small weights, of the type in their names.
.PRECIOUS: $(model)/%.o
$(bin)/sample-%: $(call program,sample) $(model)/sample-%.o $(library)
	$(link) $^ -lm

$(bin)/quantize-%: $(call program,quantize) $(model)/sample-%.o $(defaults) $(library)
	$(link) $^ -lm

$(bin)/sample_bench-%: $(call program,sample_bench) $(model)/train.o $(model)/sample-%.o $(defaults) $(library)
	$(link) $^ -lm

-include $(wildcard $(model)/*.d)

# A test of a whole model, tests/train/test_X.c, is linked with that model.
$(bin)/test_%: tests/train/test_%.c $(model)/train.o $(model)/sample.o $(defaults) $(device_objects) $(library)
	$(link) $^ $(device_libraries) -lm

# A trainer that is watched or disturbed: tests/torture/X.c includes programs/train.c, and replaces the functions that
# its line "// wraps:" names.
$(bin)/torture_%: tests/torture/%.c $(model)/train.o $(model)/sample.o $(defaults) $(library) runtime/programs/train.c
	$(link) $$(sed -n 's|^// wraps:||p' $< | sed 's|[a-z_]\{1,\}|-Wl,--wrap=&|g') $(filter-out %/train.c,$^) -lm

build/include/updates.h: tests/runtime/updates.lua templates/cpu/optimizer.c
	@$(LUA) $< $@ && touch $@

# A unit test is linked with the runtime, with the files on its "// links:" line, and with pkg-config's
# libraries on its "// libraries:" line.
build$(variant)/tests/%: tests/%.c $(library) build/include/updates.h $(wildcard tests/runtime/* tests/ops/* runtime/*/*.h runtime/programs/*.c runtime/programs/*/*.[ch])
	@mkdir -p $(@D)
	$(link) $< $$(sed -n '/^\/\/ links:/p' $< | grep -o '[a-z]*/[a-z_/]*\.c') $(library) \
	    $$(pkg-config --cflags --libs check $$(sed -n 's|^// libraries:||p' $<)) -lm

# What a static sampler or a page of few tokens leaves out, and the objects that say so in the place of these.
few := $(if $(shell [ $(VOCAB_SIZE) -lt 65536 ] && echo yes),few_tokens) $(if $(shell [ $(VOCAB_SIZE) -lt 256 ] && echo yes),no_pairs)
left_out := $(if $(filter few_tokens,$(few)),normalize) $(if $(filter no_pairs,$(few)),bpe bpe_text pretokenize)
stand_ins := $(patsubst %,$(runtime)/programs/sampler/%.o,$(few))
ifdef STATIC
folder := $(BUILD)/$(BUILD_NAME)/$(BACKEND)
sampler := $(folder)/sampler$(addprefix -,$(KIND))$(if $(EMBED),-embedded)$(addprefix -,$(other))
weights := $(folder)/weights$(addprefix -,$(SMALL)).safetensors
weights_object := $(if $(EMBED),$(bin)/weights$(addprefix -,$(SMALL)).o)
sampler: $(sampler)
	@echo "built: $<, $$(stat -c %s $<) bytes; it needs no other file$(if $(EMBED),, but $(if $(SMALL),$(weights),a checkpoint))"
$(weights_object): runtime/sample/weights.S $(weights) $(flags_file)
	$(compile_c) -DWEIGHTS='"$(weights)"' -c $<
$(sampler): $(call program,sample) $(stand_ins) $(model)/sample$(addprefix -,$(KIND)).o $(weights_object) $(call archives_to,sample)
	$(link) $(static_link) $^ -lm
endif

ifdef WASM
# Of the runtime it links what page.c names.
page_parts = $(filter-out $(left_out:%=$(runtime)/text/%.o),$(call objects_of,$(shell sed -n 's|^// links:||p' runtime/programs/page.c)))
page: $(bin)/page$(addprefix -,$(KIND)).wasm
$(bin)/page$(addprefix -,$(KIND)).wasm: $(call program,page) $(page_parts) $(stand_ins) $(model)/sample$(addprefix -,$(KIND)).o
	$(link) $(wasm_link) $^ -lm
endif

ifdef LIBRARY
# The sampler as a library: one object of all parts, in which only the functions of its header are global and have the
# model's name in the place of NAME. Its calls of malloc and its like go through programs/library/trap.c.
folder := $(BUILD)$(if $(SANITIZE),$(variant))/$(BUILD_NAME)/$(BACKEND)/sampler_$(LIBRARY)
files := libsampler_$(LIBRARY).a libsampler_$(LIBRARY).so sampler_$(LIBRARY).h sampler_$(LIBRARY).pc example.c
library: $(files:%=$(folder)/%)
	@echo "built: $(folder): $(files)"
wrapped := malloc calloc realloc posix_memalign free
whole := $(bin)/sampler_$(LIBRARY).o
$(whole): $(call program,library) $(runtime)/programs/sample/prompt.o $(model)/sample$(addprefix -,$(KIND)).o \
    $(call archives_to,sample)
	@nm -g --defined-only $(call program,library) | sed -n 's/.* T \(NAME_.*\)/\1/p' >$@.public
	$(link) -r -nostdlib -Wl,--gc-sections $$(sed 's/^/-Wl,-u,/' $@.public) $(wrapped:%=-Wl,--wrap=%) $^
	@objcopy --keep-global-symbols=$@.public $(if $(SANITIZE),,--strip-unneeded) $@
	@objcopy $$(sed 's/NAME_\(.*\)/--redefine-sym NAME_\1=$(LIBRARY)_\1/' $@.public) $@
$(folder)/%.a: $(whole)
	@mkdir -p $(@D)
	@ar rcD $@.$$$$ $< && mv -f $@.$$$$ $@
$(folder)/%.so: $(whole)
	@mkdir -p $(@D)
	$(link) -shared -Wl,-soname,$(@F) $(if $(SANITIZE),,-s -Wl,-z,defs) $< -lm
of_model = $(folder)/$1: runtime/programs/library/$2 gen/tools/library.sh $(MODEL_DIR)/sample.c; \
    @mkdir -p $$(@D) && gen/tools/library.sh $(LIBRARY) $$< $(MODEL_DIR) $(SMALL) >$$@
$(foreach end,h pc,$(eval $(call of_model,sampler_$(LIBRARY).$(end),sampler_NAME.$(end))))
$(eval $(call of_model,example.c,example.c))
endif

show-ir:
	@ls $(MODEL_DIR)/ir/*.txt
