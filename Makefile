# waxseal, an outbound mail relay.  `make help` lists what can be made.

# The folders, from the bottom up; arrows between them only point down (docs/style.md section 1).
FOLDERS = lib/base lib/mail lib/io lib/ipc policy tlsrpt queue queue/deliver smtpd supervisor
PROTOS  = $(wildcard lib/ipc/*.proto queue/*.proto policy/*.proto tlsrpt/*.proto)

BUILD  ?= build
CC     ?= gcc
PYTHON ?= /usr/bin/python3
PKGS    = libevent libevent_pthreads libssl libcrypto libcares libcurl lmdb libconfig libprotobuf-c jansson \
          zlib libidn2 libseccomp
VERSION := $(shell cat VERSION)

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wvla -Wformat=2 -Wundef \
           -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wwrite-strings -Wswitch-enum \
           -Wimplicit-fallthrough
HARDEN   = -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fcf-protection -fno-strict-overflow
OPTIMIZE = -O2 -g
CFLAGS   = -std=c17 -D_GNU_SOURCE -DWAXSEAL_VERSION='"$(VERSION)"' $(OPTIMIZE) $(HARDEN) $(WARNINGS) $(WERROR) -pthread
CPPFLAGS = -I. -I$(BUILD)/gen $(shell pkg-config --cflags-only-I $(PKGS))
LDFLAGS  = -pie -Wl,-z,relro,-z,now -pthread
LDLIBS   = $(shell pkg-config --libs $(PKGS)) -lcrypt

SOURCES  = $(wildcard $(addsuffix /*.c,$(FOLDERS)))
GEN      = $(PROTOS:%.proto=$(BUILD)/gen/%.pb-c.c)
OBJECTS  = $(SOURCES:%.c=$(BUILD)/%.o) $(GEN:%.c=%.o)
# What unit tests and fuzz targets link with: all but the command line's main.
LIBRARY  = $(BUILD)/libwaxseal.a

all: $(BUILD)/waxseal

$(BUILD)/waxseal: $(BUILD)/supervisor/main.o $(LIBRARY)
	$(CC) $(LDFLAGS) $(SANITIZE) -o $@ $^ $(LDLIBS)

$(LIBRARY): $(filter-out $(BUILD)/supervisor/main.o,$(OBJECTS))
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/%.o: %.c | generated
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SANITIZE) -MMD -MP -c -o $@ $<

$(BUILD)/gen/%.pb-c.o: $(BUILD)/gen/%.pb-c.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-conversion $(SANITIZE) -MMD -MP -c -o $@ $<

$(BUILD)/gen/%.pb-c.c: %.proto
	@mkdir -p $(BUILD)/gen
	protoc-c --c_out=$(BUILD)/gen $<

generated: $(GEN)
.PHONY: all generated

-include $(OBJECTS:.o=.d)
include tests/tests.mk
