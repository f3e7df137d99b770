# The fuzzers: test/fuzz/fuzz_NAME.c with libFuzzer, over all of core, with address and undefined-behavior sanitizers.
#
#   make fuzz                       every fuzzer for FUZZ_SECONDS each; starts from test/fuzz/corpus/NAME
#   make fuzz FUZZ_SECONDS=3600     longer; new inputs are kept in build/fuzz/corpus/NAME
# A crash is in build/fuzz/crash-...: build/fuzz/fuzz_NAME FILE replays it.

FUZZ_CC ?= clang
FUZZ_SECONDS ?= 10
FUZZ_SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FUZZERS = $(patsubst test/fuzz/%.c,build/fuzz/%,$(sort $(wildcard test/fuzz/fuzz_*.c)))

.PHONY: fuzz fuzz-core
fuzz-core:
	@$(MAKE) --no-print-directory core CORE_BUILD=build/fuzz-core CORE_CC=$(FUZZ_CC) \
		CORE_CFLAGS="-O1 -g $(FUZZ_SANITIZE) -fsanitize=fuzzer-no-link -Wno-error"

build/fuzz/fuzz_%: test/fuzz/fuzz_%.c fuzz-core
	@mkdir -p $(@D)
	$(FUZZ_CC) -std=gnu11 -O1 -g -Isrc -Itest $(FUZZ_SANITIZE) -fsanitize=fuzzer $< build/fuzz-core/libfabric_core.a $(CORE_LIBS) -o $@

# each prints "NAME: 1 passed, 0 failed" or the crash and "NAME: 0 passed, 1 failed"
fuzz: $(FUZZERS)
	@status=0; for fuzzer in $(FUZZERS); do name=$${fuzzer##*/fuzz_}; \
		mkdir -p build/fuzz/corpus/$$name test/fuzz/corpus/$$name; \
		if $$fuzzer -max_total_time=$(FUZZ_SECONDS) -timeout=60 -rss_limit_mb=2048 -artifact_prefix=build/fuzz/crash-$$name- -verbosity=1 \
			build/fuzz/corpus/$$name test/fuzz/corpus/$$name >build/fuzz/$$name.log 2>&1; \
		then echo "fuzz $$name: 1 passed, 0 failed ($$(sed -n 's/.*Done \([0-9]*\) runs.*/\1/p' build/fuzz/$$name.log) runs)"; \
		else status=1; tail -n 60 build/fuzz/$$name.log; echo "fuzz $$name: 0 passed, 1 failed"; fi; done; exit $$status
