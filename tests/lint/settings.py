#!/usr/bin/python3
"""settings.py BINARY: the settings table, the man page and the sample configuration say the same."""
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROFF = {r"\(dq": '"', r"\e": "\\", r"\&": ""}


def table(binary):
    listed = subprocess.run([binary, "check", "--list", "--json"], capture_output=True, check=True)
    return json.loads(listed.stdout)


def flat(text):
    return re.sub(r"\s+", " ", text)


def wrong_in_sample(rows, text):
    """Each setting once, in the table's order, at its default, its sentence in front of it."""
    names = [r["name"] for r in rows if not r["group"]]
    found = list(dict.fromkeys(re.findall(r"^#?([a-z-]+) = ", text, re.M)))
    if found != names:
        yield f"the settings are {found}, not {names}"
    words = flat(re.sub(r"^#[ ]?", " ", text, flags=re.M))
    for row in rows:
        if flat(row["sentence"]) not in words:
            yield f"{row['name']}: its sentence is missing"
        if row["range"] and not row["group"] and f"({row['range']})" not in words:
            yield f"{row['name']}: its range is missing"
        default = re.sub(r"\s", "", f"{row['name']} = {row['default']};")
        if not row["group"] and default not in re.sub(r"\s|#", "", text):
            yield f"{row['name']}: its default is missing"


def entries(text):
    """The man page's `.It Ic name` entries: name to text without roff."""
    for escape, plain in ROFF.items():
        text = text.replace(escape, plain)
    settings = text.partition(".Sh SETTINGS")[2].partition(".Sh FILES")[0]
    for part in settings.split(".It Ic ")[1:]:
        name, _, body = part.partition("\n")
        yield name, flat(re.sub(r"^\.[A-Z][a-z]( |$)", "", body, flags=re.M))


def wrong_in_page(rows, text):
    page = {}
    for name, body in entries(text):  # a listener's limit has the name of that of all
        page[name] = page.get(name, "") + body
    for name in sorted(set(page) ^ {r["name"] for r in rows}):
        yield f"{name}: only in one of page and table"
    for row in rows:
        body = page.get(row["name"], "")
        for what in ("sentence", "type", "range", "default"):
            if re.sub(r"[\s\"]", "", row[what]) not in re.sub(r"[\s\"]", "", body):
                yield f"{row['name']}: its {what} is missing or another"


def main():
    rows = table(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/waxseal")
    wrong = [f"etc/waxseal.conf: {w}"
             for w in wrong_in_sample(rows, (ROOT / "etc/waxseal.conf").read_text())]
    wrong += [f"docs/man/waxseal.conf.5: {w}"
              for w in wrong_in_page(rows, (ROOT / "docs/man/waxseal.conf.5").read_text())]
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


sys.exit(main())
