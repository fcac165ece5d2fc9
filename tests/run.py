#!/usr/bin/python3
"""tests/run.py SUITE=COMMAND ...: runs the suites, two at a time, and sums up what passed and failed.

What a suite printed is shown when it has ended.  Reads the closing lines of cmocka and pytest and any "N passed, N failed".  A suite that fails without
saying a number counts as one failure; so does each skipped test.  The last line is the sum.
"""
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

SUITES_AT_A_TIME = 2
PASSED = re.compile(rb"^\[  PASSED  \] (\d+) test", re.M)
FAILED = re.compile(rb"^\[  FAILED  \] (?:\S+: )?(\d+) test", re.M)
SKIPPED = re.compile(rb"^\[  SKIPPED \] (?:\S+: )?(\d+) test|(\d+) skipped", re.M)
PLAIN = re.compile(rb"^(\d+) passed, (\d+) failed$", re.M)
PYTEST = re.compile(rb"^=*\s*(?:(\d+) failed,? ?)?(?:(\d+) passed)?.* in [\d.]+s", re.M)


def counts(output):
    """(passed, failed) as the output says."""
    passed = sum(int(n) for n in PASSED.findall(output))
    failed = sum(int(n) for n in FAILED.findall(output))
    failed += sum(int(a or b) for a, b in SKIPPED.findall(output))
    if passed or failed:
        return passed, failed
    plain = PLAIN.findall(output)
    if plain:
        return sum(int(p) for p, _ in plain), sum(int(f) for _, f in plain)
    pytest = [m for m in PYTEST.findall(output) if m[0] or m[1]]
    return (int(pytest[-1][1] or 0), int(pytest[-1][0] or 0)) if pytest else (0, 0)


def run(suite):
    """Runs a suite; gives its name, what it printed, its status and how long it took."""
    name, command = suite.split("=", 1)
    begin = time.monotonic()
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return name, done.stdout, done.returncode, time.monotonic() - begin


def show(name, output, status, seconds):
    """Shows what a suite printed, but for the tests that passed; gives (passed, failed)."""
    print(f"--- {name}", flush=True)
    for line in output.splitlines(keepends=True):
        if not re.match(rb"^\[(==========| RUN|       OK|  PASSED  )", line):
            sys.stdout.buffer.write(line)
    passed, failed = counts(output)
    if (status != 0 and failed == 0) or (status == 0 and passed + failed == 0):
        failed += 1
    print(f"--- {name}: {passed} passed, {failed} failed ({seconds:.0f} s)", flush=True)
    return passed, failed


def main():
    with ThreadPoolExecutor(SUITES_AT_A_TIME) as pool:
        running = [pool.submit(run, suite) for suite in sys.argv[1:]]
        total = [show(*ended.result()) for ended in as_completed(running)]
    passed, failed = sum(p for p, _ in total), sum(f for _, f in total)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
