#!/usr/bin/python3
"""events.py: the log events of the code and those of docs/logging.md are the same."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CALL = re.compile(r'log_(?:begin\([^,]+,\s*[^,]+|event\([^,]+|failure\([^,]+),\s*"([\w-]+)"')
ROW = re.compile(r"^\| `([\w-]+)` \|", re.M)


def main():
    said = {name for path in ROOT.glob("**/*.c") if path.parts[len(ROOT.parts)] not in ("tests", "build")
            for name in CALL.findall(path.read_text())}
    listed = set(ROW.findall((ROOT / "docs/logging.md").read_text()))
    wrong = [f"docs/logging.md lacks the event {name}" for name in sorted(said - listed)]
    wrong += [f"docs/logging.md has the event {name}, which nobody logs" for name in sorted(listed - said)]
    if wrong:
        print("\n".join(wrong))
    return 1 if wrong else 0


sys.exit(main())
