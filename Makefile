# pg_cdp: everything a person types.
#
#   make            build            make install     into the PostgreSQL of PG_CONFIG
#   make demo       see it work      make test        every suite
#   make bench      measure it       make check-deep  slow checks
#
# demo, test, bench and check-deep install what they need, work on a private copy
# of the server under build/, and touch no cluster but their own.

EXTENSION = pg_cdp
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" pg_cdp.control)
MODULE_big = pg_cdp
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c src/*/*/*.c)))
SQL_PARTS = $(sort $(wildcard sql/* sql/*/*.sql)) # the folders too: they tell that a part went away
RELEASED = $(patsubst sql/delta/%.sql,%,$(wildcard sql/delta/*--*.sql))

DATA_built = build/sql/pg_cdp--$(EXTVERSION).sql \
	$(patsubst %,build/sql/pg_cdp--%.sql,$(RELEASED))

PG_CPPFLAGS = -DCDP_VERSION='"$(EXTVERSION)"' -Isrc
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
SHLIB_LINK = -lcrypto -lroaring -lqrencode -lz -lcurl # OpenSSL: keyed digests and encryption; CRoaring: sets of customers; QR codes; PNG and gzip; HTTP
EXTRA_CLEAN = build/sql

PG_CONFIG ?= $(firstword $(wildcard /usr/lib/postgresql/*/bin/pg_config) pg_config)
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

# The commands of the project work before PGXS is installed; they install it.
.PHONY: demo test bench check-deep
demo: # DATA reaches the script in the environment, whatever characters the name has
	@bash tools/demo.sh
test:
	@bash tools/test.sh $(SUITE)
bench:
	@ROOM='$(ROOM)' bash tools/bench.sh
check-deep:
	@bash tools/check_deep.sh

ifneq ($(wildcard $(PGXS)),)
# Bitcode would only serve JIT inlining, which an extension of long C passes has no use for.
override with_llvm := no
include $(PGXS)

build/sql/pg_cdp--$(EXTVERSION).sql: $(SQL_PARTS) tools/build_sql.sh
	@mkdir -p $(@D)
	bash tools/build_sql.sh install > $@.tmp && mv $@.tmp $@

build/sql/pg_cdp--%.sql: $(SQL_PARTS) tools/build_sql.sh
	@mkdir -p $(@D)
	bash tools/build_sql.sh update $* > $@.tmp && mv $@.tmp $@

all: $(DATA_built)
$(OBJS): $(wildcard src/*.h src/*/*.h src/*/*/*.h) pg_cdp.control
else
.DEFAULT_GOAL := all
.PHONY: all install
all install:
	@echo "no PostgreSQL server headers found: run 'bash tools/install_packages.sh build', or name your pg_config with PG_CONFIG=..." >&2; exit 1
endif
