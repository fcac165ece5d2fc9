# waxseal, an outbound mail relay.  `make help` lists what can be made.

# The folders, from the bottom up; arrows between them only point down (docs/style.md section 1).
FOLDERS = lib/base lib/mail lib/io lib/ipc policy tlsrpt queue queue/deliver queue/sign smtpd smtpd/auth smtpd/pickup sendmail supervisor
PROTOS  = $(wildcard lib/ipc/*.proto queue/*.proto policy/*.proto tlsrpt/*.proto)

BUILD  ?= build
ifeq ($(origin CC),default)
CC      = gcc
endif
PYTHON ?= /usr/bin/python3
PREFIX ?= /usr/local
PKGS    = libevent libssl libcrypto libcares libcurl lmdb libconfig libprotobuf-c jansson libidn2 libidn libcrypt zlib libsodium
# Before the packages are there, there is nothing to ask.
pkgs    = $(shell command -v pkg-config >/dev/null && pkg-config $(1) $(PKGS) 2>/dev/null)
VERSION := $(shell cat VERSION)

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wvla -Wformat=2 -Wundef \
           -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wwrite-strings -Wswitch-enum \
           -Wimplicit-fallthrough
# CET is in every object; the start files of Debian 12's C library lack its mark, so the linker cannot
# put it on the whole.
HARDEN   = -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fcf-protection -fno-strict-overflow
OPTIMIZE = -O2 -g
CFLAGS   = -std=c17 -D_GNU_SOURCE -DWAXSEAL_VERSION='"$(VERSION)"' $(OPTIMIZE) $(HARDEN) $(WARNINGS) $(WERROR) -pthread
CPPFLAGS = -I. -I$(BUILD)/gen $(call pkgs,--cflags-only-I)
LDFLAGS  = -pie -Wl,-z,relro,-z,now -pthread
LDLIBS   = $(call pkgs,--libs) -lcrypt

SOURCES  = $(wildcard $(addsuffix /*.c,$(FOLDERS)))
GEN      = $(PROTOS:%.proto=$(BUILD)/gen/%.pb-c.c)
OBJECTS  = $(SOURCES:%.c=$(BUILD)/%.o) $(GEN:%.c=%.o)
# What unit tests and fuzz targets link with: all but the command line's main.
LIBRARY  = $(BUILD)/libwaxseal.a

# One short line a step; `make V=1` shows the commands.
say = $(if $(V),,@echo "$(1) $@";)

all: $(BUILD)/waxseal     ## builds build/waxseal

help:                     ## this list
	@awk -F'## ' '/^[a-z]+:.*## / { split($$1, t, ":"); printf "  make %-10s %s\n", t[1], $$2 }' $(MAKEFILE_LIST)

run:                      ## installs what is missing, builds, and starts a relay on 127.0.0.1:2525
	@packaging/install.sh build run try
	@$(MAKE) --no-print-directory -s all
	@packaging/run.sh $(BUILD)/waxseal

install: all              ## installs under $(DESTDIR)$(PREFIX), configuration in $(DESTDIR)/etc/waxseal
	install -D -m 755 $(BUILD)/waxseal $(DESTDIR)$(PREFIX)/sbin/waxseal
	ln -sf waxseal $(DESTDIR)$(PREFIX)/sbin/sendmail
	mkdir -p $(DESTDIR)$(PREFIX)/bin
	ln -sf ../sbin/waxseal $(DESTDIR)$(PREFIX)/bin/mailq
	ln -sf ../sbin/waxseal $(DESTDIR)$(PREFIX)/bin/newaliases
	install -D -m 644 docs/man/waxseal-sendmail.1 $(DESTDIR)$(PREFIX)/share/man/man1/waxseal-sendmail.1
	install -D -m 644 docs/man/waxseal.8 $(DESTDIR)$(PREFIX)/share/man/man8/waxseal.8
	install -D -m 644 docs/man/waxseal.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/waxseal.conf.5
	sed 's|/usr/sbin/|$(PREFIX)/sbin/|' etc/waxseal.service | \
	    install -D -m 644 /dev/stdin $(DESTDIR)/usr/lib/systemd/system/waxseal.service
	install -D -m 644 etc/waxseal.sysusers $(DESTDIR)/usr/lib/sysusers.d/waxseal.conf
	test -e $(DESTDIR)/etc/waxseal/waxseal.conf || \
	    install -D -m 644 etc/waxseal.conf $(DESTDIR)/etc/waxseal/waxseal.conf

clean:                    ## removes what was built
	rm -rf $(BUILD)

$(BUILD)/waxseal: $(BUILD)/supervisor/main.o $(LIBRARY)
	$(call say,LD) $(CC) $(LDFLAGS) $(SANITIZE) -o $@ $^ $(LDLIBS)

$(LIBRARY): $(filter-out $(BUILD)/supervisor/main.o,$(OBJECTS))
	@rm -f $@
	$(call say,AR) $(AR) rcs $@ $^

$(BUILD)/%.o: %.c | $(GEN)
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) $(SANITIZE) -MMD -MP -c -o $@ $<

$(BUILD)/gen/%.pb-c.o: $(BUILD)/gen/%.pb-c.c
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) -Wno-conversion $(SANITIZE) -MMD -MP -c -o $@ $<

$(BUILD)/gen/%.pb-c.c $(BUILD)/gen/%.pb-c.h: %.proto
	@mkdir -p $(BUILD)/gen
	$(call say,PROTOC) protoc-c --c_out=$(BUILD)/gen $<

generated: $(GEN)
.PHONY: all help run install clean generated
.SECONDARY:

-include $(OBJECTS:.o=.d)
include tests/tests.mk
