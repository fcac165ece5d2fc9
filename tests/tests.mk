# How the tests are built and run; included by the Makefile.
UNIT = $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))

$(BUILD)/tests/unit/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(SANITIZE) -MMD -MP $(LDFLAGS) -o $@ $< $(LIBRARY) $(LDLIBS) -lcmocka

unit: $(UNIT)
	@for t in $(UNIT); do $$t || exit 1; done
.PHONY: unit

# The lab: a private internet in namespaces (tests/lab), for hands, for the demo and for the stories.
LAB = tests/lab/enter.py

peers: build/peers/exim/complete
build/peers/exim/complete: tests/lab/peers.py
	$(PYTHON) tests/lab/peers.py fetch build/peers
	@touch build/peers/*/complete

lab: $(BUILD)/waxseal build/peers/exim/complete
	@$(LAB) $(PYTHON) tests/lab/shell.py

demo: $(BUILD)/waxseal
	@$(LAB) $(PYTHON) tests/lab/demo.py

system: $(BUILD)/waxseal build/peers/exim/complete
	@WAXSEAL=$(abspath $(BUILD)/waxseal) $(LAB) $(PYTHON) -m pytest -q -p no:cacheprovider tests/system
.PHONY: peers lab demo system
