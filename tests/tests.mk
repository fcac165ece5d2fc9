# How the tests are built and run; included by the Makefile.
UNIT = $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))

# What tests share (tests/support): an archive, so that a test takes only what it uses.
SUPPORT_OBJECTS = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support/*.c))
SUPPORT         = $(BUILD)/tests/libsupport.a
$(SUPPORT): $(SUPPORT_OBJECTS)
	@rm -f $@
	$(call say,AR) ar rcs $@ $^
-include $(SUPPORT_OBJECTS:.o=.d)

$(BUILD)/tests/unit/%: tests/unit/%.c $(SUPPORT) $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) $(SANITIZE) -MMD -MP $(LDFLAGS) -o $@ $(filter %.c %.o,$^) $(SUPPORT) $(LIBRARY) $(LDLIBS) -lcmocka

# smtpd's sessions are tested on a rig with a fake queue client; linked in front of the library, and
# only for those who ask for it.
RIG = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support/smtpd/*.c))
$(addprefix $(BUILD)/tests/,unit/test_session unit/test_session_auth unit/test_session_model unit/test_hostile_clients unit/test_intake unit/test_entrance unit/test_smtpd_dialogue fuzz/fuzz_session): $(RIG)
-include $(RIG:.o=.d)

unit: $(UNIT)
	@status=0; for t in $(UNIT); do $$t || status=1; done; exit $$status
.PHONY: unit

# Known answers (tests/vectors/README.md): any folder of that schema, each area's sum on a line.
VECTORS        ?= tests/vectors
VECTOR_OBJECTS  = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/vectors/*.c))
$(BUILD)/tests/run_vectors: $(VECTOR_OBJECTS) $(SUPPORT) $(LIBRARY)
	$(call say,CC) $(CC) $(LDFLAGS) $(SANITIZE) -o $@ $^ $(LDLIBS)
-include $(VECTOR_OBJECTS:.o=.d)
vectors: $(BUILD)/tests/run_vectors   ## every known answer in VECTORS (tests/vectors) through the modules
	@$< $(VECTORS)
.PHONY: vectors

# Everything, as a newcomer runs it.  Each suite prints its own sum, run.py the sum of all.
test:                     ## all tests; the last line is "N passed, N failed"
	@packaging/install.sh build run try test
	@$(MAKE) --no-print-directory -s -j2 all peers $(UNIT)
	@$(PYTHON) tests/run.py $(foreach suite,$(SUITES),"$(suite)=$(MAKE) --no-print-directory -s $(suite)")
SUITES = system-1 system-2 unit fuzz powercut ledger storage hostile mutants vectors
.PHONY: test

# Fuzzing: each target runs from its seeds for FUZZ_SECONDS.
FUZZ         = $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BUILD   = build/fuzz
FUZZ_SECONDS ?= 3
fuzz:                     ## runs each fuzz target from its seeds for FUZZ_SECONDS (3)
	@packaging/install.sh build run try test
	@$(MAKE) --no-print-directory -s -j2 BUILD=$(FUZZ_BUILD) CC=clang OPTIMIZE="-O1 -g" HARDEN= \
	    SANITIZE="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all" fuzz-targets
	@tests/fuzz/run.sh $(FUZZ_BUILD) $(FUZZ_SECONDS) $(FUZZ)
fuzz-targets: $(FUZZ:%=$(BUILD)/tests/fuzz/%)
$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $(filter %.c %.o,$^) $(LIBRARY) $(LDLIBS)
.PHONY: fuzz fuzz-targets

# Unit tests once more under the sanitizers.
asan:                     ## unit tests and vectors under address and undefined-behaviour sanitizers
	@packaging/install.sh build run try test
	@$(MAKE) --no-print-directory -s BUILD=build/asan OPTIMIZE="-O1 -g -fno-omit-frame-pointer" HARDEN=-fPIE \
	    SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all" asan-suites
asan-suites: $(UNIT) $(BUILD)/tests/run_vectors   # built first: the suites run at the same time
	@$(PYTHON) tests/run.py "unit=$(MAKE) -s unit" "vectors=$(MAKE) -s vectors"
.PHONY: asan asan-suites

# The lab: a private internet in namespaces (tests/lab), for hands, for the demo and for the stories.
LAB = tests/lab/enter.py

PEERS = build/peers/exim/complete

peers: $(PEERS)
$(PEERS): tests/lab/peers.py
	@$(PYTHON) tests/lab/peers.py fetch build/peers
	@touch build/peers/*/complete

lab:                      ## a shell inside the lab, with the relay running
	@packaging/install.sh build run try test
	@$(MAKE) --no-print-directory -s all peers
	@$(LAB) $(PYTHON) tests/lab/shell.py

demo:                     ## the main job in the lab, narrated and checked (under 90 seconds)
	@packaging/install.sh build run try test
	@$(MAKE) --no-print-directory -s all
	@$(LAB) $(PYTHON) tests/lab/demo.py

system: $(BUILD)/waxseal $(PEERS)
	@WAXSEAL=$(abspath $(BUILD)/waxseal) $(LAB) $(PYTHON) -m pytest -q -p no:cacheprovider $(STORIES)
# The same in two halves, each in a lab of its own, for `make test`.
HALF = $(patsubst %,tests/system/test_%.py,policy days routes queue policy_store peers transactions \
    sendmail dovecot edge extensions bounces sessions next_hops queue_commands trace attacks levels outage)
system-1:
	@$(MAKE) --no-print-directory -s system STORIES="$(HALF)"
system-2:
	@$(MAKE) --no-print-directory -s system STORIES="$(filter-out $(HALF),$(wildcard tests/system/test_*.py))"
STORIES = tests/system
.PHONY: peers lab demo system system-1 system-2

# How fast the role sign signs: the one program of the bench that is made of the relay's own parts.
$(BUILD)/tests/bench/sign: tests/bench/sign.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,CC) $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.c,$^) $(LIBRARY) $(LDLIBS)

# What can be found without running it.
LINTED = $(SOURCES) $(wildcard $(addsuffix /*.h,$(FOLDERS)))
lint:                     ## format, warnings, clang-tidy, cppcheck, arrows, settings, events and rules against their pages
	@packaging/install.sh build run try test
	@$(MAKE) --no-print-directory -s generated lint-all
lint-all:
	@echo "lint: format";   clang-format --dry-run -Werror $(LINTED)
	@echo "lint: arrows";   tests/lint/arrows.py $(BUILD)/gen
	@echo "lint: events";   tests/lint/events.py
	@echo "lint: rules";    tests/lint/rules.py
	@echo "lint: mutants";  /usr/bin/python3 tests/fault/mutants.py --rows
	@echo "lint: gcc";      $(MAKE) --no-print-directory -s -j2 all WERROR=-Werror BUILD=build/lint >/dev/null
	@echo "lint: clang";    $(MAKE) --no-print-directory -s -j2 all WERROR=-Werror BUILD=build/lint-clang CC=clang >/dev/null
	@echo "lint: hardening"; tests/lint/hardening.sh build/lint
	@echo "lint: settings"; tests/lint/settings.py build/lint/waxseal
	@echo "lint: man";      mandoc -Tlint -Wwarning docs/man/*.[158]
	@echo "lint: cppcheck"; cppcheck -q -j2 --std=c11 --enable=warning,portability,performance --inline-suppr \
	    --error-exitcode=1 --suppress=missingIncludeSystem -D__GNUC__ -I. $(SOURCES)
	@echo "lint: clang-tidy"; printf '%s\n' $(SOURCES) | xargs -P2 -I{} clang-tidy --quiet {} -- $(CPPFLAGS) \
	    -std=c17 -D_GNU_SOURCE -DWAXSEAL_VERSION='"$(VERSION)"' 2>/dev/null
.PHONY: lint lint-all

# Faults: kills, power cuts, failing and full disks, hostile clients.  Small counts here, the full ones in `make proof`.
MUTANTS = WAXSEAL=$(abspath $(BUILD)/waxseal) $(PYTHON) tests/fault/mutants.py
BACKLOG = tests/fault/enter.sh $(PYTHON) tests/bench/backlog.py
FAULT  = WAXSEAL=$(abspath $(BUILD)/waxseal) tests/fault/enter.sh $(PYTHON) tests/fault
ledger: $(BUILD)/waxseal
	@$(FAULT)/ledger.py --rounds 25
powercut: $(BUILD)/waxseal
	@$(FAULT)/powercut.py --cuts 300
storage: $(BUILD)/waxseal
	@$(FAULT)/storage_faults.py
hostile: $(BUILD)/waxseal
	@$(FAULT)/hostile.py
mutants: $(BUILD)/waxseal
	@$(MUTANTS)
proof:                    ## the fault tests and the byte-for-byte test at their full counts, and scanners
	@packaging/install.sh build run try test
	@$(MAKE) --no-print-directory -s all $(BUILD)/tests/unit/test_intake
	@$(BUILD)/tests/unit/test_intake 100000
	@$(FAULT)/ledger.py --rounds 200
	@$(FAULT)/powercut.py --cuts 1000
	@$(FAULT)/storage_faults.py --nth 1 2 3 5 8 13 21 34
	@$(FAULT)/hostile.py --connections 100000 --recipients 1000000
	@$(MAKE) --no-print-directory -s -C tests/bench
	@$(BACKLOG) fair $(BUILD)/waxseal --folder /var/tmp/waxseal-backlog
	@$(BACKLOG) fill $(BUILD)/waxseal --folder /var/tmp/waxseal-backlog
	@$(BACKLOG) run $(BUILD)/waxseal --folder /var/tmp/waxseal-backlog --silent 0
	@$(BACKLOG) run $(BUILD)/waxseal --folder /var/tmp/waxseal-backlog --silent 0 --cold
	@rm -rf /var/tmp/waxseal-backlog
	@tests/fault/enter.sh $(PYTHON) tests/bench/hosts.py $(BUILD)/waxseal limit
	@tests/fault/enter.sh $(PYTHON) tests/bench/hosts.py $(BUILD)/waxseal silent
	@$(MUTANTS) --all
	@$(MAKE) --no-print-directory -s system STORIES="-s tests/system/proof_scanners.py tests/system/proof_levels.py"
.PHONY: ledger powercut storage hostile mutants proof
