# Makefile: every command a person types; `make help` lists them.
#
# A command runs in two stages. Stage one turns the words CONFIG, SET, RUN and NAME into folders and
# calls the generator. Stage two is this file again with BUILD_NAME set: runtime/compile.mk, which reads
# the build.mk that the generator wrote and compiles.
#
#     build/HASH/BACKEND/    emitted text and its objects, which depend on baked keys alone
#     build/NAME/BACKEND/    defaults.c and the programs of one config (NAME: config-key@value…; env would take
#                            a '=' in a program's path for an assignment)
#     build/runtime/ISA/     the runtime's objects, once per instruction set; build/runtime/tools: those of
#                            prepare and other programs that need no config
#     build/runtime/cuda/    objects that drive a GPU
#     build/emulated/…       CUDA trainers for this machine's CPU (EMULATED=1): for tests
#     build/static/…         samplers as one static file each
#     build/wasm/…           samplers for pages
#     build/asan/…           the same folders again: built with ASan and UBSan (SANITIZE=1)
#     build/tsan/…           and with TSan (SANITIZE=thread)
#     build/werror-CC/…      and with warnings as errors (WERROR=1, tests/strict.sh)
#     out/NAME/              what a run writes; `make clean` keeps it

MAKEFLAGS += --no-print-directory --no-builtin-rules
MAKEOVERRIDES =
.SUFFIXES:
.DELETE_ON_ERROR:

# Variables of a person's environment that no command here should see. Numbers and sorting are the C locale's.
unexport LUA_INIT LUA_PATH LUA_CPATH LUA_INIT_5_4 LUA_PATH_5_4 LUA_CPATH_5_4 BASH_ENV ENV CDPATH CFLAGS
export LC_ALL := C

# Words count if they are typed after make, not if the environment happens to have one.
WORDS := CONFIG SET RUN NAME START SAMPLE SWEEP JOBS CONTINUE SHARD DONE DRY RUNS PROMPT BENCH PEERS GENERIC RECORD SCALE \
    OP MODEL URL SHA256 FORMAT TYPE KV TO FILE VERIFY EVAL STRIDE DATASET TEXT SHARDS TOKENIZER NEWLINES VAL ISA ARCH EMBED LIBRARY BOARD BACKEND SANITIZE WERROR EMULATED STATIC PROGRAMS TESTS SUITE CLANG BUILD \
    BUILD_NAME OUT UPDATE SEED RANKS MPI HOSTS NODES RATES V
$(foreach w,$(WORDS),$(if $(filter environment,$(origin $w)),$(eval undefine $w)))
Q := $(if $(V),,@)
# Text that goes to the shell as it is: make expands nothing in it.
start := $(if $(filter undefined,$(origin START)),,--start="$$START")
override START := $(value START)
override DATASET := $(value DATASET)
override MODEL := $(value MODEL)
override URL := $(value URL)
override SHA256 := $(value SHA256)
override FORMAT := $(value FORMAT)
override TYPE := $(value TYPE)
override KV := $(value KV)
override TO := $(value TO)
override BOARD := $(value BOARD)
override FILE := $(value FILE)
override TEXT := $(value TEXT)
override SHARDS := $(value SHARDS)
prompt := $(if $(filter undefined,$(origin PROMPT)),,--prompt="$$PROMPT")
override PROMPT := $(value PROMPT)
override TOKENIZER := $(value TOKENIZER)
override NEWLINES := $(value NEWLINES)
override VAL := $(value VAL)
override SWEEP := $(value SWEEP)
override JOBS := $(value JOBS)
override CONTINUE := $(value CONTINUE)
override SHARD := $(value SHARD)
override DONE := $(value DONE)
override RANKS := $(value RANKS)
override HOSTS := $(value HOSTS)
override NODES := $(value NODES)
override RATES := $(value RATES)
export START MODEL URL SHA256 FORMAT TYPE KV TO BOARD FILE DATASET TEXT SHARDS TOKENIZER NEWLINES VAL SWEEP JOBS CONTINUE SHARD DONE PROMPT RANKS HOSTS NODES RATES

ifeq ($(origin CC),default)
CC := gcc
endif
LUA := lua5.4 -E
GEN := $(LUA) gen/main.lua
TUNE := $(LUA) gen/tune.lua
CONFIG ?= shakespeare_char_cpu
BACKEND ?= cpu
BUILD ?= build
EVAL ?= val
PROGRAMS ?= train sample bench $(if $(filter cpu,$(BACKEND)),sample_bench gradcheck,tune)
cc_flags = -std=gnu11 -O3 -ffp-contract=off -pthread -D_FILE_OFFSET_BITS=64 -Wall -Wextra -I. -Ibuild/include $(ISA_FLAGS)
# Debugging information is lines, and gcc allocates registers for a function as a whole, not for each of its loops:
# otherwise a model takes gcc twice as long to compile, and runs no faster.
cc_flags += $(if $(SANITIZE),-O1 -g1 -fsanitize=$(if $(filter thread,$(SANITIZE)),thread,address$(comma)undefined) \
    -fno-sanitize-recover=all $(if $(findstring clang,$(CC)),,-fira-region=one))
comma := ,

ifndef BUILD_NAME
# ---- stage one: words to folders ----------------------------------------------------------------

# They are text: asked for as they were typed, before make expands anything in them.
define newline


endef
$(foreach w,CONFIG SET RUN NAME RUNS,$(if $(findstring $$,$(value $w)),$(error $w: no dollar signs))$(if \
    $(findstring $(newline),$(value $w)),$(error $w: one line is wanted)))
$(if $(findstring ',$(CONFIG)$(SET)$(RUN)$(NAME)$(RUNS)),$(error CONFIG, SET, RUN, NAME, RUNS: no quotes))
$(if $(word 2,$(NAME)),$(error NAME=$(NAME): wanted one word))
space := $(subst ,, )
quoted = $(foreach w,$1,'$w')
quoted_whole = '$(subst ','\'',$1)'
# "--a=1 --b 2" to "-a=1 -b=2"
flags = $(subst $(space)=,=,$(foreach w,$1,$(if $(filter --%,$w),$(patsubst --%,-%,$w),=$w)))
joined = $(subst /,_,$(subst $(space),,$1))

config_files := $(foreach c,$(CONFIG),$(if $(filter %.lua,$c),$c,configs/$c.lua))
name_with = $(basename $(notdir $(firstword $(config_files))))$(call joined,$(patsubst %,-%,$1))
folder_with = $(subst =,@,$(name_with))
build_name := $(call folder_with,$(SET))
bin := $(BUILD)/$(build_name)/$(BACKEND)
run_flags := $(call flags,$(RUN))
# Whether a run is resumed is not part of its name: the same name finds the folder to resume.
naming_flags := $(filter-out $(addprefix -init_from=,auto resume scratch),$(run_flags))
run_name := $(call name_with,$(SET))$(call joined,$(filter-out -out_dir=%,$(naming_flags)))
run_flag = $(patsubst -$1=%,%,$(lastword $(filter -$1=%,$(run_flags))))
gen_words := $(call quoted,$(config_files) $(SET))
# A key of the trainer: from RUN, else from the config. With vocab_size=1 no data set is read.
of_config = $(GEN) --print $1 $(gen_words) vocab_size=1 2>/dev/null
key = $(or $(call run_flag,$1),$$($(call of_config,$1)))
# The run's folder, computed once: RUN's out_dir, NAME, SET's or the config's out_dir, or the name that the words make.
run_dir = $(eval run_dir := $$(or $$(call run_flag,out_dir),$$(addprefix out/,$$(NAME)),$$(shell \
    $$(call of_config,out_dir)),out/$$(run_name)))$(run_dir)
run_path = $(call quoted_whole,$(run_dir))
# Its best weights; a run too short to have any has only its state.
weights = $(run_path)/$$(if [ -e $(run_path)/ckpt.safetensors ]; then echo ckpt; else echo state; fi).safetensors
# The words again, for the line that says what to type next.
config_words = CONFIG=$(if $(word 2,$(CONFIG)),"$(CONFIG)",$(CONFIG))$(if $(filter-out cpu,$(BACKEND)), BACKEND=$(BACKEND))
build_words = $(config_words)$(if $(SET), SET="$(SET)")
run_words = $(if $(naming_flags), RUN="$(naming_flags:-%=--%)")$(if $(NAME), NAME=$(NAME))
words = $(build_words)$(run_words)
next = @printf 'next: %s\n' '$(strip $1)'
# make -n only prints a second stage's command: a build that is not generated yet has nothing to include.
dry := $(findstring n,$(firstword -$(MAKEFLAGS)))
recursive = $(if $(dry),,+)$(Q)
make := $(MAKE)
generate = $(Q)$(GEN) --backend $(BACKEND) --build $(BUILD) $(generate_also) $(gen_words)
build bench sampler-build page-build: generate_also = $(kind:%=--weights=%) $(of_ranks)
train: generate_also = $(of_ranks)
of_ranks = $(and $(RANKS),$(filter cpu,$(BACKEND)),--ranks)
jobs = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
compile = $(recursive)CONFIG_WORDS='$(config_words)' SET_WORDS='$(SET)' $(make) $(jobs) BUILD_NAME='$(build_name)' BUILD=$(BUILD) BACKEND=$(BACKEND) \
    CC='$(CC)' SANITIZE=$(SANITIZE) WERROR=$(WERROR) EMULATED=$(EMULATED) RANKS='$(RANKS)' MPI='$(MPI)' \
    PROGRAMS='$(PROGRAMS)' V=$(V)

.PHONY: help setup demo test same torture test-ranks test-op test-suite import export inspect train sample eval quantize build bench bench-generic bench-table bench-scale \
    bench-ranks bench-tokenizer bench-documents bench-page bench-report ir firmware sampler sampler-build page page-build amalgamation data unicode parity tokenizer-parity logs-parity \
    page-axe cute-parity hf-parity gguf-parity smollm2-parity vocabulary-parity nanogpt-parity hellaswag-parity golden format clean check-words check-name check-ranks check-weights check-run setup-check generate tune plan sweep report cuda-all gpu-kit \
    gpu-pass gpu-check gpu-bench gpu-rehearsal

# help reads this file: "#: " begins a section, "#> " is an example of the target below it, "## " says what that does,
# and "#= " is a word.
help: ## this list
	@echo 'make TARGET [WORD=value ...]'
	@awk '/^#: / { print substr($$0, 4) } /^#> / { example = substr($$0, 4) } \
	    /^[a-z-]+:.* ## / { name = text = $$0; sub(/:.*/, "", name); sub(/.* ## /, "", text); \
	        if (name != "help") printf "  %-16s  %s\n", name, text; \
	        if (example) printf "  %16s    %s\n", "", example; example = "" }' Makefile
	@echo 'words'
	@sed -n 's/^#= \([A-Z=0-9]*\) *\(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  %-11s%s\n", $$1, $$2 }'
#= CONFIG    a name in configs/, or the path of any .lua file; default shakespeare_char_cpu
#= SET       "key=value ..." over the config: any key; make import: n_head, activation of a file
#=           that does not say them
#= RUN       "--key=value ..." for the trainer: run keys
#= NAME      the run's folder in out/; else the config's name with -key=value of SET and RUN
#= START     the sampler's prompt, or FILE:path; make page: the prompt that is there at first
#= SAMPLE    "--temperature=0.5 ..." more flags for the sampler
#= BENCH     "--threads=2 --seconds=10 ..." flags for bench
#= PEERS=1   make bench: PyTorch in turns with our step and llama.cpp with our sampler, in virtual
#=           environments; with TYPE llama.cpp alone
#= GENERIC=1 make bench: the same model with its sizes not baked in, in turns with ours
#= RECORD=1  make bench: keep the figures in tests/bench/results
#= SCALE     make bench-scale: full for every size, continue for what a stopped run left
#= MODEL     make import: a folder as Hugging Face's, a .safetensors file in one or of nanoGPT's,
#=           a .gguf file, llm.c's .bin
#= URL       make import: the address of such a file, or of a repository at Hugging Face
#= SHA256    make import URL=: what the weights' file must have
#= FORMAT    make export: hf, gguf, llmc, safetensors or sampler
#= TYPE      make export: float32 by default, bfloat16, float16; of gguf q8_0, q4_0: of its numbers;
#=           make sampler, bench: float32 by default, bfloat16, q8_0, q4_0: of its weights;
#=           make page, bench-page: q8_0 by default
#= KV        make sampler, bench: float32 by default, bfloat16: of its keys and values
#= TO        make export: the file's or folder's path; default in the run's folder
#= FILE      make inspect: a model's file of any format, a folder as Hugging Face's, or a data
#=           set's
#= VERIFY=1  make inspect: check its hashes, and that its numbers are finite
#= EVAL      make eval: val by default, train, text, or hellaswag; make data: hellaswag
#= STRIDE    make eval: tokens from one window to the next; default block_size
#= DATASET   make data: the data set's name
#= TEXT      make data, eval, bench-tokenizer: the text's path, UTF-8; make data: or documents,
#=           a folder of texts, or a file or folder of JSON lines, .jsonl
#= SHARDS    make data: "path/*.bin ...", llm.c's token shards in place of TEXT; with TOKENIZER
#= TOKENIZER make data: char, gpt2, or the path of a tokenizer.json, .gguf, checkpoint or folder;
#=           default as before, at first char, for shakespeare gpt2; of SHARDS also ids:COUNT
#= NEWLINES  make data: lf reads CR LF and CR as LF, as nanoGPT's Python does; keep;
#=           default as before, at first keep
#= VAL       make data: the fraction of documents to validate with; default as before, at first
#=           0.0005, as nanoGPT's OpenWebText; those of SHARDS, if their names have no _val_
#= SWEEP     a name in configs/sweeps/, or the path of any .lua file
#= JOBS      make sweep: runs that train at a time; 2, or 1 with one core or a GPU
#=           make test: commands that run at a time; 2, or 1 with one core
#= CONTINUE  make sweep: runs that go on although halving has stopped them, as "exp03 exp07"
#= SHARD     make sweep: the part of its runs for this machine of several, as 2/4
#= DONE      make sweep: "copy1 copy2", folders of it whose finished runs are not trained here
#= DRY=1     make sweep: print the plan and stop
#= RUNS      make report: "out/a out/b* ...", folders of runs or sweeps, side by side
#= PROMPT    make report: the prompt of samples and attention; default the validation text's start
#= TESTS     make test, same, torture, test-suite: "word ...", only the tests whose line has one
#=           of the words
#= SEED      make torture, test-ranks: the seed of their random numbers; default the time
#= OP        make test-op: a file in tests/ops, as layernorm
#= SUITE     make test-suite: a suite of Debian's or Ubuntu's: bookworm, trixie, noble ...
#= CLANG     make test-suite: the version of clang there, as 19, if not the suite's own
#= ISA       make sampler: the instruction set; default generic
#= ARCH      make sampler: x86_64, aarch64 or riscv64; default this machine's
#= EMBED=1   make sampler: with the run's weights inside: one file, which needs no other
#= LIBRARY   make sampler: 1, a library for other programs in place of one; or its name
#= BOARD     make firmware: rp2350, stm32h743, esp32-s3, stm32f405, or qemu's mps2-an500 or
#=           netduinoplus2, whose program is built and can be run; default none: all are compared
#= BACKEND   cpu (default) or cuda
#= EMULATED=1 BACKEND=cuda: built for this machine's CPU; needs no GPU, and is for tests: it is slow
#= STATIC=1  one static file, a sampler; make sampler sets it
#= RANKS     make train: so many processes, on MPI or GPUs (runtime/ranks); make plan: so many GPUs
#= MPI       with RANKS: mpich; default Open MPI
#= HOSTS     with RANKS: a file of machines, one a line, as mpirun takes it
#= NODES     make plan: so many machines, which have as many of the GPUs each; default 1
#= RATES     make plan: "share=40 infiniband=25 ...", other rates than those of gen/ranks/rates.lua
#= OUT       gpu-pass, gpu-check, gpu-bench: where results go; default tests/bench/results
#= UPDATE=1  make same, cute-parity: rewrite the stored list, or maps; review the diff
#= SANITIZE=1 built with ASan and UBSan
#= WERROR=1  warnings are errors with the compilers that were tried
#= PROGRAMS  make build: "train sample ...", only these programs
#= BUILD     the folder for a config's builds; default build
#= CC        the C compiler: gcc (default) or clang
#= V=1       show every command

#: use

setup: ## install what building and running needs (apt-get)
	$(Q)gen/tools/setup.sh build

demo: setup build/prepare ## set up, get the text, generate, compile, train, sample: about a minute
	$(recursive)set -e; set=; code=0; \
	[ -f data/shakespeare_char/input.txt ] || gen/tools/setup.sh fetch || true; \
	why=$$(data/prepare.sh --if-missing shakespeare_char 2>&1) || code=$$?; \
	if [ $$code = 66 ] && gen/tools/setup.sh kjv && data/prepare.sh --if-missing kjv; then \
	    echo 'demo: Tiny Shakespeare could not be downloaded; training on the King James Bible'; \
	    set=dataset=kjv; \
	else echo "$$why"; [ $$code = 0 ] || exit $$code; fi; \
	$(make) train CONFIG=shakespeare_char_cpu SET="$$set" RUN=--init_from=scratch; \
	$(make) sample CONFIG=shakespeare_char_cpu SET="$$set" SAMPLE=--num_samples=1

# Words that cannot work end in one line, before anything runs.
check-words: setup-check
	$(if $(word 2,$(CONFIG)),@for c in '$(CONFIG)' 'configs/$(CONFIG).lua'; do [ ! -f "$$c" ] || { \
	    printf '%s\n' "$$c: a config's path has no spaces$(comma) which part one config from the next; rename it" >&2; exit 64; }; done)
	@for c in $(call quoted,$(config_files)); do [ -f "$$c" ] || { \
	    printf '%s\n' "$$c: no such config; there are: $(sort $(basename $(notdir $(wildcard configs/*.lua))))" >&2; \
	    exit 66; }; done
	@for w in $(call quoted,$(SET)); do case $$w in [a-z]*=?*) ;; \
	    *) printf '%s\n' "SET: '$$w' is not key=value, as in SET=\"n_layer=6 dropout=0.1\"" >&2; exit 64;; esac; done
	@case '$(BACKEND)' in cpu|cuda) ;; *) \
	    printf '%s\n' "BACKEND: '$(BACKEND)' is not known; there are: cpu, cuda" >&2; exit 64;; esac
	@[ '$(BACKEND)$(EMULATED)' != cuda ] || gen/tools/setup.sh --check cuda

# The runtime's objects are shared by all BUILD folders; so is the header that they include.
generate: check-words $(if $(filter-out build,$(BUILD)),build/include/run_keys.h)
	$(generate)

# Otherwise this would only show after building: names in a file system have at most 255 bytes, and some files' names
# are longer than the run's.
check-name: check-words
	@printf '%s\n' $(run_path) | tr / '\n' | awk 'length($$0) > 240 { exit 1 }' || { \
	    echo "the run's folder would have a name of more than 240 bytes; NAME=... gives it a shorter one" >&2; exit 64; }

# Published weights that a config begins with, and which its head says how to get, are asked for before anything is made.
check-weights: check-words
	@$(if $(call run_flag,init_from),,file=$$($(call of_config,init_from)); \
	line=$$(sed -n 's/^-- *\(make import URL=.*\)/\1/p' $(call quoted,$(config_files)) | head -n 1); \
	[ -z "$$line" ] || [ -e "$$file" ] || { printf '%s: is not there; %s\n' "$$file" "$$line" >&2; exit 66; })

#> make data DATASET=mytext TEXT=path/to/file.txt TOKENIZER=gpt2
data: build/prepare build/hellaswag build/listing ## prepare a data set from your own text, or from documents
ifeq ($(EVAL),hellaswag)
	$(Q)data/prepare.sh --hellaswag "$$TEXT"
	$(call next,make eval CONFIG=... EVAL=hellaswag)
else
	$(if $(and $(SHARDS),$(TEXT)),@echo 'SHARDS and TEXT: one of both is wanted' >&2; exit 64)
	$(Q)$(if $(SHARDS),data/prepare.sh --shards "$$DATASET" "$$SHARDS" "$$VAL" "$$TOKENIZER",\
	    data/prepare.sh "$$DATASET" "$$TEXT" "$$TOKENIZER" "$$NEWLINES" "$$VAL")
	$(call next,make train$(if $(filter shakespeare,$(DATASET)), CONFIG=grid_base,$(if \
	    $(filter-out shakespeare_char,$(DATASET)), SET="dataset=$(DATASET)")))
endif

#> make import MODEL=path/to/gpt2 NAME=gpt2-hf
import: setup-check build/import ## a published GPT-2 to a config and a checkpoint in out/NAME
	$(if $(MODEL)$(URL),,@echo 'MODEL is missing: make import MODEL=path/to/gpt2 NAME=gpt2-hf, or URL=address' >&2; exit 64)
	$(Q)[ -z "$$URL" ] || MODEL=$$(gen/import/fetch.sh "$$URL" '$(NAME)' "$$SHA256") || exit; \
	$(LUA) gen/import.lua --name='$(NAME)' $(patsubst %,--set=%,$(call quoted,$(SET))) -- "$$MODEL"

#> make export CONFIG=gpt2 NAME=mine FORMAT=safetensors TYPE=bfloat16
export: check-run build/export ## the run that the same words trained as a file of other tools
	$(Q)$(LUA) gen/export.lua --checkpoint=$(weights) --format="$$FORMAT" --type="$$TYPE" --to="$$TO"

#> make inspect FILE=out/mine/ckpt.safetensors VERIFY=1
inspect: build/inspect ## what a checkpoint, state, model or data set is
	$(if $(FILE),,@echo 'FILE is missing: make inspect FILE=path [VERIFY=1]' >&2; exit 64)
	@build/inspect --file="$$FILE" --verify='$(VERIFY)'

check-ranks:
	@case "$$RANKS" in ''|[1-9]|[1-9][0-9]|[1-9][0-9][0-9]) ;; \
	    *) printf '%s\n' "RANKS: '$$RANKS' is not a number of processes; give one, such as 2" >&2; exit 64;; esac
	@case '$(MPI)' in ''|mpich) ;; *) echo 'MPI: mpich, or leave it out for Open MPI' >&2; exit 64;; esac
	@[ -n "$$RANKS" ] || [ -z "$$HOSTS$(MPI)" ] || { \
	    echo 'HOSTS, MPI: of one process there is nothing to share out; give RANKS too' >&2; exit 64; }
	@[ -z "$$HOSTS" ] || [ -r "$$HOSTS" ] || { \
	    printf '%s\n' "HOSTS: $$HOSTS: cannot read it; give a file with a machine's name on each line" >&2; exit 66; }
	@[ -z "$$RANKS" ] || gen/tools/setup.sh $(or $(MPI),ranks)
	@[ '$(and $(RANKS),$(BACKEND))$(EMULATED)' != cuda ] || gen/tools/setup.sh --check nccl

#> make train CONFIG=shakespeare_char_cpu SET="n_layer=6" RUN="--max_iters=500"
train: check-ranks check-name check-weights build/prepare $(if $(RANKS),build/limits) ## train CONFIG; its data set is made first if it is missing
	$(Q)dataset=$(call key,dataset); folder=$(call key,data_dir); \
	[ -z "$$dataset" ] || data/prepare.sh --if-missing "$$dataset" "$$folder"
	$(generate)
	$(compile) $(if $(RANKS),PROGRAMS=train) programs
	@printf 'run: %s\n' $(run_path)
	$(Q)exec $(if $(RANKS),env MPI=$(MPI) runtime/ranks/start.sh $(RANKS) $(bin)-$(if $(filter cuda,$(BACKEND)),nccl,$(or $(MPI),mpi)),$(bin))/train --out_dir=$(run_path) $(call quoted,$(RUN))
	@[ ! -e $(weights) ] || printf 'next: %s\n' '$(strip make sample $(words))'

# If there is nothing to sample from, one line says so before anything is compiled.
check-run: generate
	@[ -e $(weights) ] || { printf '%s: no run is there; make train %s\n' $(run_path) '$(words)' >&2; exit 66; }

#> make sample CONFIG=shakespeare_char_cpu START="ROMEO:"
sample: $(if $(findstring --checkpoint,$(SAMPLE)),generate,check-run) ## text from the run that the same words trained
	$(compile) programs
	@printf 'checkpoint: %s\n' $(weights)
	$(Q)exec $(bin)/sample --checkpoint=$(weights) $(start) $(SAMPLE)
	$(call next,make sample $(words) SAMPLE="--temperature=0.5")

#> make eval CONFIG=shakespeare_char_cpu EVAL=text TEXT=path/to/file.txt
eval: PROGRAMS := eval
eval: check-run build/prepare ## loss, bits per byte, or HellaSwag of the run that the same words trained
	@case '$(EVAL)' in val|train|text|hellaswag) ;; *) \
	    printf '%s\n' "EVAL: '$(EVAL)' is not known; there are: val, train, text, hellaswag" >&2; exit 64;; esac
	@[ '$(EVAL)' != text ] || [ -n "$$TEXT" ] || { \
	    echo 'TEXT is missing: make eval EVAL=text TEXT=path/to/file.txt' >&2; exit 64; }
	$(compile) programs
	$(Q)dataset=$(call key,dataset); folder=$(call key,data_dir); \
	$(if $(filter text hellaswag,$(EVAL)),,data/prepare.sh --if-missing "$$dataset" "$$folder" || exit;) \
	exec $(bin)/eval --checkpoint=$(weights) $(if $(filter text,$(EVAL)),--text="$$TEXT",$(if $(filter \
	    hellaswag,$(EVAL)),--hellaswag="$${TEXT:-$${folder:-data}/hellaswag/hellaswag_val.bin}",--split='$(EVAL)' \
	    --dataset="$$dataset" --data_dir="$$folder")) $(if $(STRIDE),--stride='$(STRIDE)') \
	    --json=$(run_path)/eval-'$(EVAL)'.json

#> make quantize CONFIG=shakespeare_char_cpu
small_types := bfloat16 q8_0 q4_0
small_kinds := $(small_types) float32-kv_bfloat16
quantize: PROGRAMS := quantize $(small_kinds:%=quantize-%)
quantize: generate_also = $(small_kinds:%=--weights=%)
quantize: check-run build/prepare build/export ## what small weights cost the run that the same words trained
	$(compile) programs
	$(Q)dataset=$(call key,dataset); folder=$(call key,data_dir); \
	data/prepare.sh --if-missing "$$dataset" "$$folder" || exit; \
	exec gen/tools/quantize.sh $(bin) $(weights) $(run_path) "$$dataset" "$$folder" $(small_kinds)

#> make sweep SWEEP=grid32_quick
sweep: setup-check ## all runs of SWEEP, each shape compiled once; the same command resumes it
	$(if $(SET)$(RUN)$(NAME),$(error make sweep takes no SET, RUN, NAME: the sweep's file says what its runs set))
	@CC='$(CC)' exec setpriv --pdeathsig TERM gen/sweep/run.sh "$$SWEEP" --backend='$(BACKEND)' \
	    $(if $(JOBS),--jobs="$$JOBS") $(if $(CONTINUE),--continue="$$CONTINUE") \
	    $(if $(SHARD),--shard="$$SHARD") $(if $(DONE),--done="$$DONE") $(if $(DRY),--dry)

#> make report RUNS="out/a out/b"
report: $(if $(SWEEP)$(RUNS),setup-check,check-run) ## one HTML page of SWEEP, of RUNS, or of the run that the same words trained
	$(Q)gen/tools/setup.sh report
	$(if $(SWEEP)$(RUNS),,$(compile) programs)
	$(Q)$(LUA) gen/report.lua --build='$(BUILD)' $(prompt) $(if $(SWEEP),--sweep="$$SWEEP",$(if \
	    $(RUNS),$(call quoted,$(RUNS)),$(run_path)))

#> make build CONFIG=gpt2 BACKEND=cuda
build: generate ## generate and compile CONFIG, no run
	$(compile) programs
	$(call next,make train $(words))

#> make ir CONFIG=shakespeare_char_cpu
ir: generate ## the graph after each pass
	$(compile) show-ir
	$(call next,make build $(build_words))

#> make sampler CONFIG=shakespeare_char_cpu ISA=avx2 TYPE=q8_0
sampler: check-words ## CONFIG's sampler as one static file to ship; EMBED=1: with its weights inside
	@case "$$TYPE" in ''|float32|bfloat16|q8_0|q4_0) ;; \
	    *) printf "TYPE: '%s' is not known to a sampler; there are: float32, bfloat16, q8_0, q4_0\n" "$$TYPE" >&2; exit 64;; esac
	@case "$$KV" in ''|float32|bfloat16) ;; \
	    *) printf "KV: '%s' is not known to a sampler; there are: float32, bfloat16\n" "$$KV" >&2; exit 64;; esac
	@case '$(ARCH)' in ''|x86_64|aarch64|riscv64) ;; \
	    *) printf '%s\n' "ARCH: '$(ARCH)' is not known; there are: x86_64, aarch64, riscv64" >&2; exit 64;; esac
	@case '$(library)' in [0-9]*|*[!A-Za-z0-9_]*) \
	    printf '%s\n' "LIBRARY: '$(library)' is not a name in C; give one, as LIBRARY=tiny" >&2; exit 64;; esac
	@case '$(if $(library),$(ARCH)$(EMBED))' in ?*) echo "LIBRARY beside ARCH or EMBED: a library is of this machine, \
	and has no weights inside; leave them out" >&2; exit 64;; esac
	$(Q)gen/tools/setup.sh --check $(or $(sampler_machine),$(if $(library),build,musl))
	$(if $(EMBED)$(small_type),@[ -e $(weights) ] || { printf '%s: is not there; make train %s makes it\n' $(weights) '$(words)' >&2; exit 66; })
	$(if $(EMBED)$(small_type),$(recursive)$(make) build/export && mkdir -p '$(sampler_folder)' && rm -f $(sampler_weights) && \
	    $(LUA) gen/export.lua --checkpoint=$(weights) --format=sampler $(small_type:%=--type=%) --to=$(sampler_weights) $(gen_words) >/dev/null)
	$(recursive)$(make) sampler-build CONFIG='$(CONFIG)' SET='$(sampler_set)' BACKEND=$(BACKEND) BUILD=$(BUILD) \
	    ARCH=$(sampler_machine) EMBED=$(EMBED) TYPE=$(small_type) KV=$(KV) $(if $(library),LIBRARY=$(library) SANITIZE=$(SANITIZE) CC='$(CC)') \
	    WERROR=$(WERROR) V=$(V)
	@sampler='$(sampler_folder)/sampler$(kind:%=-%)$(if $(EMBED),-embedded)$(addprefix -,$(sampler_machine))'; \
	if [ '$(library)' ]; then printf 'next: read %s; its checkpoint: %s\n' \
	    '$(sampler_folder)/sampler_$(library)/sampler_$(library).h' $(if \
	    $(small_type),$(sampler_weights),"$$([ -e $(weights) ] && echo $(weights) || echo 'make train $(words) makes it')"); \
	elif [ '$(EMBED)' ]; then printf 'next: %s --start=...\n' "$$sampler"; \
	elif [ '$(small_type)' ]; then printf 'next: %s --checkpoint=%s\n' "$$sampler" $(sampler_weights); \
	elif [ -e $(weights) ]; then printf 'next: %s --checkpoint=%s\n' "$$sampler" $(weights); \
	else printf 'next: make train %s\n' '$(words)'; fi
# A library's name: LIBRARY, or the config's and SET's, and its kind.
library = $(if $(filter 1,$(LIBRARY)),$(shell printf %s '$(build_name)$(kind:%=_%)' | tr -c A-Za-z0-9_ _),$(LIBRARY))
sampler_set = $(strip $(SET) isa=$(or $(ISA),generic))
sampler_folder = $(BUILD)/$(call folder_with,$(sampler_set))/$(BACKEND)
sampler_weights = '$(sampler_folder)/weights$(small_type:%=-%).safetensors'
# The type of a sampler's weights, if it is not the checkpoint's.
small_type = $(filter-out float32,$(TYPE))
# What kind of sampler it is by both, if it is not the one that each build has (gen/passes/small.lua).
kv = $(addprefix -kv_,$(filter-out float32,$(KV)))
kind = $(if $(small_type)$(kv),$(or $(small_type),float32)$(kv))
sampler_machine = $(filter-out $(shell uname -m),$(ARCH))
sampler-build: generate
	$(compile) SMALL=$(small_type) KIND=$(kind) $(if $(LIBRARY),LIBRARY=$(LIBRARY) library,STATIC=1 MACHINE=$(ARCH) EMBED=$(EMBED) sampler)

#> make page CONFIG=shakespeare_char_cpu START="ROMEO:"
page: override TYPE := $(or $(TYPE),q8_0)
page: check-words ## the same words' run as one HTML file that writes text in a browser
	@case "$$TYPE" in float32|bfloat16|q8_0|q4_0) ;; \
	    *) printf "TYPE: '%s' is not known to a sampler; there are: float32, bfloat16, q8_0, q4_0\n" "$$TYPE" >&2; exit 64;; esac
	@case "$$KV" in ''|float32|bfloat16) ;; \
	    *) printf "KV: '%s' is not known to a sampler; there are: float32, bfloat16\n" "$$KV" >&2; exit 64;; esac
	@[ -e $(weights) ] || { printf '%s: is not there; make train %s makes it\n' $(weights) '$(words)' >&2; exit 66; }
	$(Q)gen/tools/setup.sh page
	$(recursive)$(make) build/export && mkdir -p '$(sampler_folder)' && rm -f $(sampler_weights) && \
	    $(LUA) gen/export.lua --checkpoint=$(weights) --format=sampler $(small_type:%=--type=%) --to=$(sampler_weights) $(gen_words) >/dev/null
	$(recursive)$(make) page-build CONFIG='$(CONFIG)' SET='$(sampler_set)' BACKEND=$(BACKEND) BUILD=$(BUILD) TYPE=$(small_type) \
	    KV=$(KV) WERROR=$(WERROR) V=$(V)
	$(Q)$(LUA) gen/page.lua --wasm='$(BUILD)/wasm/$(call folder_with,$(sampler_set))/$(BACKEND)/page$(kind:%=-%).wasm' \
	    --weights=$(sampler_weights) --type=$(or $(kind),float32) --name=$(call quoted_whole,$(notdir $(run_dir))) --start="$$START" --to=$(run_path)/page.html
page-build: generate
	$(compile) WASM=1 KIND=$(kind) page

#> make firmware CONFIG=shakespeare_char_cpu BOARD=mps2-an500
firmware: check-words ## CONFIG's sampler as C for a microcontroller, with the run's weights inside
	@case "$$TYPE/$$KV" in /|q8_0/) ;; \
	    *) echo 'TYPE, KV: a microcontroller has weights in q8_0, and keys and values in float32; leave both out' >&2; exit 64;; esac
	@$(LUA) gen/firmware.lua --board="$$BOARD"
	@[ -e $(weights) ] || { printf '%s: is not there; make train %s makes it\n' $(weights) '$(words)' >&2; exit 66; }
	$(recursive)$(make) build/export
	$(Q)$(LUA) gen/firmware.lua --board="$$BOARD" --checkpoint=$(weights) --to='$(bin)/firmware' \
	    --command='make firmware $(words)' $(gen_words)

#> make amalgamation CONFIG=shakespeare_char_cpu
amalgamation: check-words ## CONFIG's trainer as one .c file that one cc line builds
	$(Q)$(LUA) gen/tools/amalgamate.lua --backend $(BACKEND) --build $(BUILD) $(gen_words)

#: measure

bench: PROGRAMS := $(if $(kind),$(kind:%=sample-%) $(kind:%=sample_bench-%),$(PROGRAMS))
#> make bench CONFIG=gpt2 BENCH="--threads=2" PEERS=1
bench: generate $(if $(and $(PEERS),$(filter cpu,$(BACKEND))),build/export) ## time CONFIG's step and each of its kernels; needs no data set
	$(compile) programs
	$(if $(kind),,$(Q)exec $(bin)/bench $(BENCH))
	$(if $(filter cpu,$(BACKEND)),$(Q)$(bin)/sample_bench$(kind:%=-%) $(filter-out --json% --serve,$(BENCH)))
	$(if $(PEERS),$(if $(kind),,$(Q)tests/bench/peers.sh $(bin)/bench $(BENCH)))
	$(if $(GENERIC),$(recursive)$(make) bench-generic CONFIG='$(CONFIG)' SET='$(SET)' BENCH='$(BENCH)' BACKEND=$(BACKEND) \
	    BUILD=$(BUILD) CC='$(CC)')
	$(if $(RECORD),$(Q)$(LUA) tests/bench/record.lua $(bin)/bench.json)
	$(if $(and $(PEERS),$(filter cpu,$(BACKEND))),$(Q)tests/bench/llama.sh $(bin)/sample_bench$(kind:%=-%) \
	    $(or $(small_type),float32) $(filter-out --json% --serve,$(BENCH)))
	$(call next,make train $(words))

bench-generic:
	$(recursive)$(make) build CONFIG='$(CONFIG)' SET='$(strip $(SET) specialise=false)' PROGRAMS=bench \
	    BACKEND=$(BACKEND) BUILD=$(BUILD) CC='$(CC)' | grep -v '^next: '
	$(Q)$(LUA) tests/bench/generic.lua $(bin)/bench \
	    '$(BUILD)/$(call folder_with,$(SET) specialise=false)/$(BACKEND)/bench' $(BENCH)

tune: PROGRAMS := $(if $(filter cpu,$(BACKEND)),tune,$(PROGRAMS))
#> make tune CONFIG=gpt2 BACKEND=cuda
tune: generate ## time tilings of CONFIG's products here, or cuBLASLt's algorithms
ifeq ($(BACKEND),cpu)
	$(Q)$(TUNE) --emit $(bin)/tune-kernels --build $(BUILD) $(gen_words)
	$(compile) programs
	$(Q)$(TUNE) --time $(bin)/tune --build $(BUILD) $(gen_words)
else
	$(compile) programs
	$(Q)exec $(bin)/tune
endif
	$(call next,make train $(words))

#> make plan CONFIG=gpt2_xl RANKS=64 NODES=8
plan: check-words ## on paper: memory of a rank, bytes it sends, a step's time, efficiency
	$(Q)$(LUA) gen/plan.lua --ranks="$$RANKS" --nodes="$$NODES" --rates="$$RATES" $(gen_words) $(call quoted,$(run_flags:-%=%))
	$(call next,make train $(words))

#> make bench-scale SET="isa=avx2"
bench-scale: setup-check build/include/run_keys.h ## time many sizes, look for cliffs
	$(if $(filter-out full continue,$(SCALE)),$(error SCALE=$(SCALE): wanted full, continue, or nothing))
	$(Q)$(LUA) tests/bench/scale.lua $(SCALE:%=--%) $(call quoted,$(SET))

#> make bench-tokenizer TEXT=path/to/file.txt
bench-tokenizer: setup-check build/tokenizer_bench ## time GPT-2's tokenizer on one core
	$(Q)build/tokenizer_bench data/gpt2 "$${TEXT:-data/shakespeare/input.txt}"

#> make bench-ranks CONFIG=gpt2 SET="batch_size=4 block_size=64" RANKS=2
bench-ranks: check-ranks ## time a step of RANKS processes beside one's, in turns: exchanges, efficiency
	@[ -n "$$RANKS" ] || { echo 'RANKS: how many are to be timed beside one? as in RANKS=2' >&2; exit 64; }
	$(recursive)$(make) build build/limits build/prepare CONFIG='$(CONFIG)' SET='$(SET)' PROGRAMS=train BUILD=$(BUILD) \
	    CC='$(CC)' RANKS= MPI= HOSTS= | grep -v '^next: '
	$(recursive)$(make) build CONFIG='$(CONFIG)' SET='$(SET)' PROGRAMS=train BUILD=$(BUILD) CC='$(CC)' RANKS=$(RANKS) \
	    MPI=$(MPI) | grep -v '^next: '
	$(Q)MPI=$(MPI) tests/bench/ranks.sh $(RANKS) $(bin)/train $(bin)-$(or $(MPI),mpi)/train $(BENCH)

#> make bench-documents TEXT=path/to/folder
bench-documents: setup-check build/prepare ## time make data of documents, all processors together
	$(Q)tests/bench/documents.sh "$$TEXT"

#> make bench-page CONFIG=shakespeare_char_cpu
bench-page: override TYPE := $(or $(TYPE),q8_0)
bench-page: check-words ## make page's page in a headless browser, in turns with the sampler on one thread
	$(Q)gen/tools/setup.sh --check browser
	$(recursive)for w in page 'sampler EMBED=1'; do $(make) $$w CONFIG='$(CONFIG)' SET='$(SET)' RUN='$(RUN)' NAME='$(NAME)' \
	    BUILD=$(BUILD) TYPE=$(TYPE) KV='$(KV)' || exit; done
	$(Q)tests/bench/page.sh $(run_path)/page.html '$(sampler_folder)/sampler$(kind:%=-%)-embedded'

bench-report: setup-check ## how long make report's page of 64 runs takes to open, in a headless browser
	$(Q)gen/tools/setup.sh --check report
	$(Q)gen/tools/setup.sh --check browser
	$(Q)$(LUA) tests/bench/report.lua

#> make gpu-pass OUT=results
gpu-pass: ## on a GPU, in ten minutes: is all of CUDA right there, and how fast?
	$(Q)tests/cuda/gpu/pass.sh "$(or $(OUT),tests/bench/results)"

#> make gpu-bench CONFIG=gpt2 OUT=results
gpu-bench: ## CONFIG's speed on a GPU, beside PyTorch's
	$(Q)tests/cuda/gpu/bench.sh '$(CONFIG)' "$(or $(OUT),tests/bench/results)"

#: maintain

#> make test TESTS="json tests/gen"
test: ## install what is missing and run every test that needs no GPU
	$(Q)gen/tools/setup.sh test
	$(Q)gen/tools/setup.sh 32-bits || echo 'make test: without them nothing is tested with 32-bit pointers'
	$(Q)MAKEFLAGS= MAKELEVEL= $(LUA) tests/run.lua $(TESTS)

#> make test-op OP=layernorm
test-op: setup-check ## one family of ops, for all that it is emitted for, in seconds
	@[ -f 'tests/ops/$(OP).lua' ] || { echo 'OP=$(OP): no tests/ops/$(OP).lua; there are: $(sort $(filter-out \
	    emit,$(basename $(notdir $(wildcard tests/ops/*.lua)))))' >&2; exit 66; }
	$(Q)FAMILIES='$(OP)' BUILD=build/test-op tests/ops/run.sh
	$(Q)FAMILIES='$(OP)' BUILD=build/test-op tests/cuda/test_ops.sh bf16 f32

#> make same
same: setup-check ## small models of all kinds: tensors, losses and samples as in a stored list
	$(Q)CC='$(CC)' MAKEFLAGS= MAKELEVEL= $(LUA) tests/same/same.lua $(if $(UPDATE),--update) $(TESTS)

test-ranks: setup-check ## ranks die at forty moments, a link is cut, Slurm: same bytes; ranks' memory
	$(Q)gen/tools/setup.sh ranks
	$(Q)CC='$(CC)' MAKEFLAGS= MAKELEVEL= tests/train/ranks.sh 40 $(SEED)
	$(Q)CC='$(CC)' MAKEFLAGS= MAKELEVEL= tests/train/hosts.sh || [ $$? = 77 ]
	$(Q)CC='$(CC)' MAKEFLAGS= MAKELEVEL= tests/train/ranks_memory.sh
	$(Q)CC='$(CC)' MAKEFLAGS= MAKELEVEL= tests/train/slurm.sh || [ $$? = 77 ]

#> make torture TESTS=trace
torture: setup-check ## break what is promised: kills, power cuts, failing calls, flipped bits; hours
	$(Q)gen/tools/setup.sh torture || true
	$(Q)CC='$(CC)' SEED='$(SEED)' MAKEFLAGS= MAKELEVEL= tests/torture/all.sh $(TESTS)

#> make test-suite SUITE=trixie
test-suite: ## demo and test on a bare Debian or Ubuntu; needs root and debootstrap
	$(Q)CLANG='$(CLANG)' tests/distributions.sh '$(SUITE)' 'make demo' 'make test TESTS="$(TESTS)"'

#> make golden
golden: ## rewrite the files that tests compare with; review the diff
	$(Q)$(LUA) tests/golden/test_golden.lua --update

format: ## clang-format on all C
	$(Q)gen/tools/format.sh

bench-table: setup-check ## the table of what bench recorded, into tests/bench/README.md
	$(Q)$(LUA) tests/bench/table.lua tests/bench/README.md

cuda-all: ## compile the shipped configs for sm_80 and sm_90a with nvcc; no GPU needed
	$(Q)tests/cuda/compile.sh $(filter-out eval_%,$(basename $(notdir $(wildcard configs/*.lua))))

gpu-kit: ## build all that gpu-pass, gpu-check, gpu-bench run, to carry it to a GPU
	$(Q)tests/cuda/gpu/kit.sh

#> make gpu-check OUT=results
gpu-check: ## the tests of the CUDA backend on a GPU
	$(Q)tests/cuda/gpu/check.sh "$(or $(OUT),tests/bench/results)"

gpu-rehearsal: ## gpu-pass on the emulator: with correct kernels, and with ten planted faults
	$(Q)tests/cuda/gpu/rehearse.sh all

parity: ## rebuild PyTorch's goldens, load our checkpoint there; Python and a network
	$(Q)tests/reference/parity.sh

tokenizer-parity: build/prepare build/encode ## GPT-2's tokenizer beside tiktoken; Python and a network
	$(Q)CC='$(CC)' tests/reference/tokenizer.sh

logs-parity: ## TensorBoard itself reads a run's event files; Python and a network
	$(Q)tests/reference/tensorboard.sh

page-axe: ## the report's pages by axe-core, at three widths; Python and a network
	$(Q)tests/report/axe.sh

hellaswag-parity: ## HellaSwag's file and choices beside PyTorch's; Python and a network
	$(Q)tests/reference/hellaswag.sh

hf-parity: ## an imported model beside transformers' own: losses, text; Python and a network
	$(Q)tests/reference/hf.sh

gguf-parity: ## GGUF files beside llama.cpp's: numbers, tokens, text; Python and a network
	$(Q)tests/reference/gguf.sh

smollm2-parity: ## SmolLM2-135M beside transformers and llama.cpp; Python and a network
	$(Q)tests/reference/smollm2.sh

#> make vocabulary-parity FILE="path/ggml-vocab-llama-bpe.gguf ..."
vocabulary-parity: build/encode ## ids of real vocabularies beside Hugging Face's; Python and a network
	$(Q)tests/reference/vocabularies.sh $$FILE

nanogpt-parity: ## nanoGPT's PyTorch files, imported, beside PyTorch: losses; Python and a network
	$(Q)tests/reference/nanogpt.sh

cute-parity: ## the emulator's maps beside CuTe's; Python, a network, CUDA's headers
	$(Q)UPDATE='$(UPDATE)' tests/reference/cute.sh

unicode: ## rewrite runtime/text/unicode.h, composition.h from Debian's package unicode-data
	$(Q)gen/tools/setup.sh unicode
	$(Q)$(LUA) gen/tools/unicode.lua

clean: ## remove what was built; out/ and data/ stay
	$(Q)find build -mindepth 1 -maxdepth 1 ! -name .gitignore -exec rm -rf {} +

include runtime/tools.mk
# Every run of the generator writes it; this is for programs that need no config.
build/include/run_keys.h: gen/config/keys.lua | setup-check
	$(Q)$(GEN) --keys && touch $@
setup-check:
	@gen/tools/setup.sh --check build

else
include runtime/compile.mk
endif
