# tools.mk: programs that are independent of the config and stand on base, text and files only; the Makefile includes it
# in its first stage.
#
#     build/prepare    makes a data set
#     build/listing    makes a data set of llm.c's token shards
#     build/check      checks whether a run's files are whole, for a sweep
#     build/import     turns a published model into a checkpoint
#     build/export     writes a checkpoint as files of other tools
#     build/inspect    says what a file is
#     build/hellaswag  makes the file of HellaSwag's evaluation
#     build/limits     prints how many threads may run here and how much memory there is, for a sweep's plan
#     build/encode, build/tokenizer_bench    GPT-2's tokenizer, for make tokenizer-parity and bench-tokenizer
#     build/torture/poison   writes a number into a checkpoint, for make torture
#     build/torture/trace    stops a program at its system calls, for make torture
runtime := build/runtime/tools
flags_file :=
compile_c = $(Q)runtime/into.sh $@ $(CC) $(cc_flags)
include runtime/wings.mk
$(runtime)/files/keys.o: | build/include/run_keys.h

tools := prepare check limits import export inspect hellaswag listing
tool_parts := $(call archives_to,files)
$(foreach tool,$(tools),$(eval build/$(tool): $(call program,$(tool)) $(tool_parts)))
build/encode: tests/reference/encode.c $(tool_parts)
build/tokenizer_bench: tests/bench/tokenizer.c $(tool_parts)
build/torture/poison: tests/torture/poison.c $(tool_parts)
build/torture/trace: tests/torture/trace.c tests/torture/calls.c tests/torture/calls.h
$(addprefix build/,$(tools) encode tokenizer_bench torture/poison torture/trace):
	@mkdir -p $(@D)
	$(Q)runtime/into.sh $@ $(CC) $(cc_flags) $(filter-out %.h,$^) -lm
