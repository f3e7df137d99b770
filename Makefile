# fabric: a Hyperledger Fabric ledger inside PostgreSQL
#
#   make demo    set up what is missing, build, install, start a local network of three organisations, run the main job
#   make check   set up what is missing, build, install, run every test
#   make bench   figures of the demo network
#   make check-long   what takes too long for make check: random chaincode for some minutes, with another seed each time, then half an hour of
#                     calls that use each other's results, and half an hour of calls while nodes are killed, frozen and cut off
#                     (LONG_SECONDS=60 makes these short)
#
#   make         build fabric.so          make core    build src/core alone, with plain cc (the proof of the waterline)
#   make unit    the unit tests of core   make install into the PostgreSQL of PG_CONFIG

EXTENSION = fabric
DATA = fabric--1.0.sql
MODULE_big = fabric

PROTOS = $(wildcard src/core/proto/*.proto)
PROTO_C = $(PROTOS:.proto=.pb-c.c)
CORE_C = $(sort $(wildcard src/core/*/*.c) $(PROTO_C))
SERVER_C = src/fabric.c $(wildcard src/server/*/*.c)
OBJS = $(CORE_C:.c=.o) $(SERVER_C:.c=.o)

WARNINGS = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	-Wno-declaration-after-statement -Wno-cast-function-type -Wno-clobbered
PG_CPPFLAGS = -Isrc -I$(shell $(PG_CONFIG) --includedir)
# PostgreSQL 15 leaves the definition of what a hidden-by-default library exports to us
PG_CPPFLAGS += '-DPGDLLEXPORT=__attribute__((visibility("default")))'
PG_CFLAGS = -std=gnu11 $(WARNINGS) -fvisibility=hidden -MMD -MP
SHLIB_LINK = -lpq -lprotobuf-c -lcrypto -lzstd -larchive
EXTRA_CLEAN = build $(PROTO_C) $(PROTOS:.proto=.pb-c.h) $(OBJS:.o=.d) results output_iso tmp_check

REGRESS = $(notdir $(basename $(sort $(wildcard sql/*.sql))))
ISOLATION = $(notdir $(basename $(sort $(wildcard specs/*.spec))))

PG_CONFIG ?= pg_config
override with_llvm = no

# PGXS and protoc-c must be there before make reads the rest. The goals of a first use, and any goal on a machine where a
# package is missing, go through tools/setup and then start make again.
FIRST_USE = demo check check-long bench ready

# what check-long runs beside tests of check; each tells its options in its first lines
LONG_CHECKS ?= test/long/own_writes test/long/faults
export PG_CONFIG

ifneq ($(filter $(FIRST_USE),$(MAKECMDGOALS)),)

.PHONY: $(sort $(MAKECMDGOALS) ready ready-to-run)
# the goals run one after the other; only the build inside `ready` is parallel
.NOTPARALLEL:
demo bench: ready-to-run
check check-long: ready
demo:
	@tools/demo
check:
	@tools/run_tests
check-long:
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

else ifneq ($(filter-out clean distclean,$(or $(MAKECMDGOALS),all)),)
ifneq ($(shell tools/setup --missing build),)

.PHONY: $(or $(MAKECMDGOALS),all) packages
$(or $(MAKECMDGOALS),all): packages
	@$(MAKE) --no-print-directory $@
packages:
	@tools/setup build

else
BUILD = yes
endif
else
BUILD = yes
endif

ifdef BUILD
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(PGXS),)
include $(PGXS)
else
clean distclean:
	rm -rf $(EXTRA_CLEAN) fabric.so $(OBJS)
endif
-include $(OBJS:.o=.d)

$(OBJS): $(PROTO_C)
src/core/proto/%.pb-c.c src/core/proto/%.pb-c.h: src/core/proto/%.proto
	protoc-c --proto_path=src/core/proto --c_out=src/core/proto $<

include test/core.mk
include test/fuzz.mk
include test/valgrind.mk
endif
