# fabric: a Hyperledger Fabric ledger inside PostgreSQL
#
#   make demo    set up what is missing, build, start a local network of three organisations, run the main job
#   make check   set up what is missing, build, run every test
#   make         build fabric.so          make core    build src/core alone, with plain cc (the proof of the waterline)
#   make unit    the unit tests of core   make bench   figures of the demo network

EXTENSION = fabric
DATA = fabric--1.0.sql
MODULE_big = fabric

PROTOS = $(wildcard src/core/proto/*.proto)
PROTO_C = $(PROTOS:.proto=.pb-c.c)
CORE_C = $(sort $(wildcard src/core/*/*.c) $(PROTO_C))
SERVER_C = src/fabric.c $(wildcard src/server/*/*.c)
OBJS = $(CORE_C:.c=.o) $(SERVER_C:.c=.o)

WARNINGS = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	-Wno-declaration-after-statement -Wno-cast-function-type
PG_CPPFLAGS = -I$(CURDIR)/src -I$(shell $(PG_CONFIG) --includedir)
PG_CFLAGS = -std=gnu11 $(WARNINGS) -fvisibility=hidden -MMD -MP
SHLIB_LINK = -lpq -lprotobuf-c -lcrypto -lzstd
EXTRA_CLEAN = build $(PROTO_C) $(PROTOS:.proto=.pb-c.h) $(OBJS:.o=.d) results output_iso tmp_check

PG_CONFIG ?= pg_config
override with_llvm = no
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(PGXS),)
include $(PGXS)
endif
-include $(OBJS:.o=.d)

$(OBJS): $(PROTO_C)
src/core/proto/%.pb-c.c src/core/proto/%.pb-c.h: src/core/proto/%.proto
	protoc-c --proto_path=src/core/proto --c_out=src/core/proto $<

include test/core.mk
