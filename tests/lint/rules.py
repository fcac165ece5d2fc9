#!/usr/bin/python3
"""Do the tests exist that the rule tables name, and does every line of the checklists stand there, in order?

The checklists' lines are numbered; RULES says which numbers there are.  A page's table has a row for each of them:
what we do, and the test that shows it, or the reason why there is none.
"""
import os
import re
import sys

PAGES = {"docs/smtp.md": ("SRV",), "docs/delivery.md": ("CLI", "DSN", "MSG", "DNS"),
         "docs/policy.md": ("DANE", "STS"), "docs/socketmap.md": ("MAP",), "docs/dkim.md": ("DKIM",),
         "docs/reporting.md": ("RPT",)}
RULES = {
    "SRV": "1-14 20-36 40-52 60-70 80-88 95-101 110-117 120-124 130-132",
    "CLI": "1-18 20-26 30-42 50-62 70 80-86 90-95 100-109 115-117 120-127 130-135 140-141 150-152 160",
    "DSN": "1-9 15-22 30-32 40-46 50-54 60-68 70-72 80-85 90-91 95",
    "MSG": "1-4 10-16 20-24 30-32 35-36 40-43 50-59 65-67 75-78",
    "DANE": "1-6 10-17 20-27 30-37 40-44 50-54 60-68 70-78 80-91 95-99 110",
    "STS": "1-7 10-22 30-42 60-70 80-93 100-112 120-129 140-145 150-153 160-164 170 180-184",
    "MAP": "1-3 10-19 25-27 30-34 40-44 50-56 60-68 75-79 90",
    "RPT": "1-4 10-19 20-29 30-35 40-42 50-55 60-62 65-66 70-79 85-88 90-92 100-109 120",
    "DKIM": "1-7 10-11 15-21 25-30 35-40 45-51 55-56 70",
    "DNS": "1-8 10-17 20-28 30-34 40-54 60-63 70-75 80-82",
}
KINDS = ("dialogue", "unit", "system", "fault", "fuzz", "vectors")
PLACES = {
    "dialogue": ("tests/dialogue/smtpd-{}.smtp", "tests/dialogue/{}.smtp"),
    "unit": ("tests/unit/test_{}.c",),
    "system": ("tests/system/test_{}.py",),
    "fault": ("tests/fault/{}.py",),
    "fuzz": ("tests/fuzz/fuzz_{}.c",),
    "vectors": ("tests/vectors/{}.json",),
}


def named_tests(cell):
    """("unit", "access"), ...: a kind stands before the names of its tests."""
    kind = None
    for word in re.split(r"[,;\s]+", cell):
        if word in KINDS:
            kind = word
        elif kind and word:
            yield kind, word


def rows(lines):
    """(line's number, its three cells) of the rule tables."""
    for number, line in enumerate(lines, 1):
        cells = [c.strip() for c in line.strip().strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 3:
            yield number, cells


def rules_of(cell, prefix):
    """The numbers a row is about: it begins with "CLI-1", "CLI-1, CLI-4" or "CLI-1 to CLI-4"."""
    if not cell.startswith(f"{prefix}-"):
        return
    for first, last in re.findall(rf"{prefix}-(\d+)(?: to {prefix}-(\d+))?", cell):
        yield from range(int(first), int(last or first) + 1)


def demanded(prefix):
    for part in RULES.get(prefix, "").split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def missing_tests(lines):
    for number, cells in rows(lines):
        for kind, name in named_tests(cells[2]):
            if not any(os.path.exists(place.format(name)) for place in PLACES[kind]):
                yield number, f"there is no test {kind} {name}"


def misplaced(lines, prefix):
    last, seen = 0, set()
    for number, cells in rows(lines):
        rules = list(rules_of(cells[0], prefix))
        if rules and rules[0] < last:
            yield number, f"{prefix}-{rules[0]} stands behind {prefix}-{last}"
        last = rules[0] if rules else last
        seen.update(rules)
    for rule in sorted(set(demanded(prefix)) - seen):
        yield len(lines), f"{prefix}-{rule} has no row"


def main():
    fine = True
    for page, prefixes in PAGES.items():
        with open(page, encoding="utf-8") as f:
            lines = f.read().split("\n")
        found = list(missing_tests(lines))
        for prefix in prefixes:
            found += misplaced(lines, prefix)
        for number, fault in found:
            print(f"{page}:{number}: {fault}")
        fine = fine and not found
    return not fine


if __name__ == "__main__":
    sys.exit(main())
