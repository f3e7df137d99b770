# src/core alone: a static library with plain cc, and the programs that test it. No server header is in the include path.

CORE_CC ?= cc
CORE_BUILD ?= build/core
CORE_CFLAGS ?= -O2 -g
CORE_FLAGS = -std=gnu11 -Isrc -Itest -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -MMD -MP $(CORE_CFLAGS)
CORE_LIBS = -lprotobuf-c -lcrypto -lzstd -lpthread
CORE_OBJS = $(patsubst src/%.c,$(CORE_BUILD)/%.o,$(CORE_C))
CORE_LIB = $(CORE_BUILD)/libfabric_core.a
UNIT_TESTS = $(patsubst test/unit/%.c,$(CORE_BUILD)/unit/%,$(sort $(wildcard test/unit/test_*.c)))

.PHONY: core unit unit-sanitize sim soak mutate coverage
core: $(CORE_LIB)

$(CORE_LIB): $(CORE_OBJS)
	@rm -f $@
	@ar rcs $@ $^

$(CORE_OBJS): $(PROTO_C)
$(CORE_BUILD)/core/%.o: src/core/%.c
	@mkdir -p $(@D)
	$(CORE_CC) $(CORE_FLAGS) -c $< -o $@

$(CORE_BUILD)/unit/%: test/unit/%.c $(CORE_LIB)
	@mkdir -p $(@D)
	$(CORE_CC) $(CORE_FLAGS) $< $(CORE_LIB) $(CORE_LIBS) -o $@

# every unit test prints one line "NAME: N passed, N failed"
unit: $(UNIT_TESTS)
	@status=0; for t in $(UNIT_TESTS); do $$t || status=1; done; exit $$status

unit-sanitize:
	@$(MAKE) --no-print-directory unit CORE_BUILD=build/sanitize CORE_CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"

# bugs of tools/mutants in a copy of the sources, one at a time: each must be found by its test
mutate: core
	@tools/mutate

# the Raft simulator: random faults from seeds; one seed is replayed with "raft_sim --seed N --trace"
SIM_OBJS = $(patsubst test/sim/%.c,$(CORE_BUILD)/sim/%.o,$(wildcard test/sim/*.c))
SIM_SEEDS ?= 10000
sim: $(CORE_BUILD)/sim/raft_sim
	$< --seeds $(SIM_SEEDS)

# other seeds each time, until one fails or the user stops it
soak: $(CORE_BUILD)/sim/raft_sim
	@first=$$(date +%s)000000; while $< --first $$first --seeds 10000; do first=$$((first + 10000)); done; exit 1

# branches of core/raft that the unit tests and the simulator take
coverage:
	@tools/branch_coverage --list

$(SIM_OBJS): $(PROTO_C)
$(CORE_BUILD)/sim/%.o: test/sim/%.c
	@mkdir -p $(@D)
	$(CORE_CC) $(CORE_FLAGS) -c $< -o $@

$(CORE_BUILD)/sim/raft_sim: $(SIM_OBJS) $(CORE_LIB)
	$(CORE_CC) $(CORE_FLAGS) $(SIM_OBJS) $(CORE_LIB) $(CORE_LIBS) -o $@

-include $(SIM_OBJS:.o=.d)
-include $(CORE_OBJS:.o=.d) $(addsuffix .d,$(UNIT_TESTS))
