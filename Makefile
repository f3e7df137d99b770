# fabric: a Hyperledger Fabric ledger inside PostgreSQL
#
#   make            build fabric.so and fabric--1.0.sql
#   make install    install into the PostgreSQL of PG_CONFIG
#   make core       build src/core alone, with plain cc: it needs nothing of the server
#   make unit       run the unit tests of src/core
#
# On a new machine these four install missing packages, build and install first (tools/first_use.mk):
#
#   make demo        start a local network of three organizations, run the main job
#   make check       run every test
#   make check-long  run what takes too long for make check
#   make bench       measure the demo network

EXTENSION = fabric
MODULE_big = fabric
DATA_built = fabric--1.0.sql

# the extension script: all tables before all functions, all privileges at the end
SQL_FILES = $(addprefix src/sql/,roles.sql tables.sql channel.sql config.sql import.sql chaincode.sql shim.sql \
	statistics.sql order.sql identity.sql ca.sql gateway.sql node.sql message.sql ledger.sql view.sql \
	audit.sql snapshot.sql drop_guard.sql privileges.sql)

PROTOS = $(wildcard src/core/proto/*.proto)
PROTO_C = $(PROTOS:.proto=.pb-c.c)
CORE_C = $(sort $(wildcard src/core/*/*.c) $(PROTO_C))
SERVER_C = src/fabric.c $(wildcard src/server/*/*.c)
OBJS = $(CORE_C:.c=.o) $(SERVER_C:.c=.o)

WARNINGS = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -Wno-declaration-after-statement -Wno-cast-function-type \
	-Wno-clobbered
PG_CPPFLAGS = -Isrc -I$(shell $(PG_CONFIG) --includedir)
# PostgreSQL 15 does not define what a library with hidden symbols exports
PG_CPPFLAGS += '-DPGDLLEXPORT=__attribute__((visibility("default")))'
# a section for each function: the linker can tell tools/check_style.pl which are never called
PG_CFLAGS = -std=gnu11 $(WARNINGS) -fvisibility=hidden -ffunction-sections -fdata-sections -MMD -MP
SHLIB_LINK = -lpq -lprotobuf-c -lcrypto -lzstd -larchive
EXTRA_CLEAN = build $(PROTO_C) $(PROTOS:.proto=.pb-c.h) $(OBJS:.o=.d) results output_iso tmp_check

REGRESS = $(notdir $(basename $(sort $(wildcard sql/*.sql))))
ISOLATION = $(notdir $(basename $(sort $(wildcard specs/*.spec))))

PG_CONFIG ?= pg_config
export PG_CONFIG
override with_llvm = no

# what PGXS needs before it can be included: not one of the goals of a first use, no missing package
FIRST_USE = $(filter demo check check-long bench ready,$(MAKECMDGOALS))
BUILD_GOALS = $(filter-out clean distclean,$(or $(MAKECMDGOALS),all))
SETUP_FIRST = $(or $(FIRST_USE),$(if $(BUILD_GOALS),$(shell tools/setup --missing build)))

ifeq ($(SETUP_FIRST),)

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
include $(PGXS)
-include $(OBJS:.o=.d)

fabric--1.0.sql: $(SQL_FILES) Makefile
	cat $(SQL_FILES) >$@

# flags live in this file
$(OBJS): $(PROTO_C) Makefile
src/core/proto/%.pb-c.c src/core/proto/%.pb-c.h: src/core/proto/%.proto
	protoc-c --proto_path=src/core/proto --c_out=src/core/proto $<

include test/core.mk
include test/fuzz.mk
include test/valgrind.mk

ifeq ($(PGXS),)
clean distclean:
	rm -rf $(EXTRA_CLEAN) fabric.so $(DATA_built) $(OBJS)
endif

else
include tools/first_use.mk
endif
