# wings.mk: the runtime's objects and archives, which are found by folders: there is no list of files.
#
# These must be set when it is included:
#     runtime      the folder for objects
#     compile_c    a command that compiles, up to its "-c $<"
#     flags_file   a file that changes when the compiler's flags do, or nothing
#
# The wings, in order: each includes and calls only those before it (tests/runtime/test_wings.lua checks that), except for
# the few functions that emitted code calls, which kernel declares. The last two are not archives: gpu's objects replace
# some of model's, and each program has a main of its own.
wings := base kernel text files sample model ranks train gpu programs

# The sources of some wings.
wing_sources = $(wildcard $(1:%=runtime/%/*.c))
objects_of = $(patsubst runtime/%.c,$(runtime)/%.o,$1)
# A program is programs/NAME.c and, where it has more, programs/NAME/*.c.
program = $(call objects_of,$(filter-out %/example.c,$(wildcard runtime/programs/$1.c runtime/programs/$1/*.c)))
# The archives of the wings up to one of them, the last one first, which is the order that a linker needs.
reversed = $(if $1,$(call reversed,$(wordlist 2,$(words $1),$1)) $(firstword $1))
up_to = $(if $1,$(firstword $1) $(if $(filter $2,$(firstword $1)),,$(call up_to,$(wordlist 2,$(words $1),$1),$2)))
archives_to = $(patsubst %,$(runtime)/%.a,$(filter-out kernel,$(call reversed,$(call up_to,$(wings),$1))))

# For scripts that compile everything except what drives a GPU: make -sf runtime/wings.mk library-sources
.PHONY: library-sources
library-sources:
	@echo $(call wing_sources,$(filter-out gpu programs,$(wings)))

ifdef runtime
# An archive is also remade when files are added to or removed from its folder, so that it keeps no stale objects.
define archive
$(runtime)/$1.a: $(call objects_of,$(call wing_sources,$1)) runtime/$1
	@ar rcD $$@.$$$$$$$$ $$(filter %.o,$$^) && mv -f $$@.$$$$$$$$ $$@
endef
$(foreach wing,$(filter-out kernel gpu programs,$(wings)),$(eval $(call archive,$(wing))))

$(runtime)/%.o: runtime/%.c $(flags_file)
	@mkdir -p $(@D)
	$(compile_c) -MMD -MP -c $<

-include $(wildcard $(runtime)/*/*.d $(runtime)/*/*/*.d)
endif
