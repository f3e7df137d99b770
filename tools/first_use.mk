# first_use.mk: the goals of a first use, and any goal on a machine where a package is missing. PGXS and
# protoc-c must be there before make reads the rest of the Makefile, so tools/setup runs first, and
# then make starts again.

ifneq ($(FIRST_USE),)

.PHONY: $(sort $(MAKECMDGOALS) ready ready-to-run)
# one goal after the other; only the build inside `ready` is parallel
.NOTPARALLEL:

# check-long runs what tests the tests (tools/mutate, tools/branch_coverage), and longer versions of
# tests in check: 100,000 stories of the Raft simulator; random chaincode for some minutes, with
# another seed each time; then half an hour of calls that use each other's results; then clients of
# three and of five nodes, and half an hour of calls, while nodes are killed, frozen and cut off.
# LONG_SECONDS=60 makes these short. Each lists its options in its first lines.
LONG_CHECKS ?= tools/mutate test/long/own_writes test/long/cluster "test/long/cluster --orgs 5" test/long/faults

demo bench: ready-to-run
check check-long: ready
demo:
	@tools/demo
check:
	@tools/run_tests
check-long:
	@tools/branch_coverage
	@$(MAKE) --no-print-directory -s sim SIM_SEEDS=100000
	@FABRIC_FUZZ_SECONDS=420 FABRIC_FUZZ_SEED=random tools/run_tests t/167
	@for check in $(LONG_CHECKS); do $$check || exit 1; done
bench:
	@tools/bench/run
ready-to-run:
	@tools/setup run
	@tools/build
	@tools/install
ready:
	@tools/setup
	@tools/build
	@tools/install
$(filter-out $(FIRST_USE),$(MAKECMDGOALS)):
	@$(MAKE) --no-print-directory $@

else

.PHONY: $(BUILD_GOALS) packages
$(BUILD_GOALS): packages
	@$(MAKE) --no-print-directory $@
packages:
	@tools/setup build

endif
