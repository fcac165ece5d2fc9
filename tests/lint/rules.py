#!/usr/bin/python3
"""Are the tests that docs/smtp.md names there, and is every line of its checklist in order?"""
import os
import re
import sys

PAGE = "docs/smtp.md"
KINDS = ("dialogue", "unit", "system", "fault", "fuzz")
PLACES = {
    "dialogue": ("tests/dialogue/smtpd-{}.smtp", "tests/dialogue/{}.smtp"),
    "unit": ("tests/unit/test_{}.c",),
    "system": ("tests/system/test_{}.py",),
    "fault": ("tests/fault/{}.py",),
    "fuzz": ("tests/fuzz/fuzz_{}.c",),
}


def named_tests(cell):
    """("unit", "access"), ...: a kind stands before the names of its tests."""
    kind = None
    for word in re.split(r"[,;\s]+", cell):
        if word in KINDS:
            kind = word
        elif kind and word:
            yield kind, word


def faults(lines):
    last = 0
    for number, line in enumerate(lines, 1):
        cells = [c.strip() for c in line.strip().strip("|").split(" | ")]
        if not line.startswith("| ") or len(cells) != 3:
            continue
        for kind, name in named_tests(cells[2]):
            if not any(os.path.exists(place.format(name)) for place in PLACES[kind]):
                yield number, f"there is no test {kind} {name}"
        rule = re.match(r"SRV-(\d+)", cells[0])
        if rule and int(rule[1]) < last:
            yield number, f"SRV-{rule[1]} stands behind SRV-{last}"
        last = int(rule[1]) if rule else last


def main():
    with open(PAGE, encoding="utf-8") as f:
        found = list(faults(f))
    for number, fault in found:
        print(f"{PAGE}:{number}: {fault}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
