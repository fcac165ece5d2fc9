#!/usr/bin/python3
"""mutants.py: proves that the fault tests can fail.  Builds the product with one promise broken on purpose
and expects the test to say so: a build that answers before the commit, and one that syncs nothing.

The product has no switch for this: the sources are copied and one line is changed.
"""
import os
import re
import shutil
import subprocess
import sys

from powercut import powercut

ROOT = os.path.abspath(f"{os.path.dirname(__file__)}/../..")
FOLDERS = ("lib", "smtpd", "queue", "policy", "tlsrpt", "supervisor", "tests")

# name -> (file, pattern, what it becomes)
MUTANTS = {
    "answers before the commit": (
        "queue/streams.c", r"(    stream->committing = true;\n)",
        r"\1    if (stream->ended)\n        answer(stream, IPC__ACCEPT_OUTCOME__ACCEPTED);\n"),
    "syncs nothing": ("lib/io/kv.c", r"\bMDB_NOTLS\b", "(MDB_NOTLS | MDB_NOSYNC)"),
}


def build(name):
    """Copies the tree, breaks it, builds it; gives the binary."""
    file, pattern, becomes = MUTANTS[name]
    tree = f"{ROOT}/build/mutants/{name.replace(' ', '-')}"
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(tree)
    for folder in FOLDERS:
        shutil.copytree(f"{ROOT}/{folder}", f"{tree}/{folder}", ignore=shutil.ignore_patterns("__pycache__", "build"))
    for one in ("Makefile", "VERSION"):
        shutil.copy(f"{ROOT}/{one}", tree)
    with open(f"{tree}/{file}", encoding="utf-8") as f:
        text = f.read()
    broken, count = re.subn(pattern, becomes, text, flags=re.S)
    assert count >= 1, f"{name}: {file} has nothing like {pattern}: mend MUTANTS"
    with open(f"{tree}/{file}", "w", encoding="utf-8") as f:
        f.write(broken)
    built = [f"{ROOT}/build/{d}" for d in ("gen", *FOLDERS[:-1]) if os.path.isdir(f"{ROOT}/build/{d}")]
    os.makedirs(f"{tree}/build")
    subprocess.run(["cp", "-a", *built, f"{tree}/build/"], check=True)   # only what changed is compiled anew
    os.utime(f"{tree}/{file}")
    done = subprocess.run(["make", "-s", "-C", tree, "all"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return f"{tree}/build/waxseal"


def main():
    failed = 0
    for name in MUTANTS:
        wrong, summary = powercut(60, 7, build(name))
        print(f"mutant {name}: {summary}: {'caught: ' + wrong[0] if wrong else 'NOT CAUGHT'}", flush=True)
        failed += not wrong
    print(f"{len(MUTANTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
