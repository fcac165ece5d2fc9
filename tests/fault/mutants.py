#!/usr/bin/python3
"""mutants.py [--all | --rows] [WORDS]: proves that the tests can fail.  Breaks the product on purpose, one
promise at a time (mutations.py), and expects each test that is named there to say so.

--all: every row, after the tests they name have passed on the unbroken tree; else the quick rows, without their
stories.  --rows: breaks nothing, and only looks whether each row finds its place exactly once.  WORDS: only rows in whose name they stand.  The product has no switch for this: the sources are copied and
one place is changed.
"""
import argparse
import os
import shutil
import subprocess
import sys

from mutations import MUTATIONS

ROOT = os.path.abspath(f"{os.path.dirname(__file__)}/../..")
BUILD = os.path.dirname(os.environ.get("WAXSEAL", f"{ROOT}/build/waxseal"))
LEFT_OUT = shutil.ignore_patterns("__pycache__", "build", "run", ".git")
LAB = [f"{ROOT}/tests/lab/enter.py", sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
POWERCUT = [f"{ROOT}/tests/fault/enter.sh", sys.executable, f"{ROOT}/tests/fault/powercut.py", "--cuts", "60",
            "--seed", "7"]
VECTORS = "tests/run_vectors"


def program_of(test):
    """What has to be built for a test, below build/; "" for what needs the product alone."""
    kind, _, name = test.partition("/")
    return f"tests/unit/test_{name}" if kind == "unit" else VECTORS if kind == "vectors" else ""


def is_story(test):
    return test != "powercut" and not program_of(test)


class Tree:
    """A copy of the sources, with what was built from them, so that only a change is compiled anew."""

    def __init__(self, folder):
        self.folder, self.build = folder, f"{folder}/build"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
        os.makedirs(self.build)
        built = [f"{BUILD}/{name}" for name in ("gen", *os.listdir(ROOT)) if os.path.isdir(f"{BUILD}/{name}")]
        subprocess.run(["cp", "-a", *built, self.build], check=True)

    def swap(self, file, text, becomes):
        """Changes the one place of a file that has this text; gives what undoes it."""
        path = f"{self.folder}/{file}"
        with open(path, encoding="utf-8") as f:
            before = f.read()
        assert before.count(text) == 1, f"{file} has this {before.count(text)} times, mend mutations.py:\n{text}"
        self.write(path, before.replace(text, becomes))
        return lambda: self.write(path, before)

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def make(self, tests):
        programs = {f"build/{p}" for p in map(program_of, tests) if p}
        done = subprocess.run(["make", "-s", "-j2", "-C", self.folder, "BUILD=build", "all", *programs],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"make: {done.stderr[-2000:]}"

    def command(self, test):
        if test == "powercut":
            return POWERCUT
        if is_story(test):
            return [*LAB, f"{ROOT}/{test}"]
        program = program_of(test)
        return [f"build/{program}"] + (["tests/vectors"] if program == VECTORS else [])

    def passes(self, test):
        try:
            done = subprocess.run(self.command(test), cwd=self.folder, capture_output=True, text=True, check=False,
                                  errors="replace", env={**os.environ, "WAXSEAL": f"{self.build}/waxseal"}, timeout=300)
        except subprocess.TimeoutExpired:
            return False
        ran = done.returncode == 0 or program_of(test) or " failed" in done.stdout
        assert ran, f"{test} did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.returncode == 0


def blind_to(tree, mutation, tests):
    """Those of the tests that do not notice the mutation."""
    undo = tree.swap(mutation.file, mutation.text, mutation.becomes)
    try:
        tree.make(tests)
        return [test for test in tests if tree.passes(test)]
    finally:
        undo()


def judge(tree, mutation, tests):
    """What came of it, in words."""
    try:
        blind = blind_to(tree, mutation, tests)
    except AssertionError as why:
        return f"CANNOT BE TRIED: {why}"
    return f"NOT NOTICED by {', '.join(blind)}" if blind else f"noticed by {', '.join(tests)}"


def check_unbroken(tree, mutations):
    """A test that fails without any mutation says nothing of one."""
    tests = sorted({test for m in mutations for test in m.tests})
    tree.make(tests)
    for test in tests:
        if not tree.passes(test):
            sys.exit(f"{test} fails on the tree as it is")


def misplaced(mutation):
    """Why a row cannot be tried; "" when its text stands exactly once in its file."""
    path = f"{ROOT}/{mutation.file}"
    if not os.path.exists(path):
        return "there is no such file"
    with open(path, encoding="utf-8") as f:
        count = f.read().count(mutation.text)
    return "" if count == 1 else f"its text stands there {count} times"


def check_rows(mutations):
    wrong = [f"{m.file}: {m.name}: {why}" for m in mutations if (why := misplaced(m))]
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--rows", action="store_true")
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    if arguments.rows:
        return check_rows([m for m in MUTATIONS if " ".join(arguments.words) in m.name])
    chosen = [m for m in MUTATIONS if (arguments.all or m.quick) and " ".join(arguments.words) in m.name]
    tree = Tree(f"{ROOT}/build/mutants")
    if arguments.all:
        check_unbroken(tree, chosen)
    failed = 0
    for mutation in chosen:
        verdict = judge(tree, mutation, [t for t in mutation.tests if arguments.all or not is_story(t)])
        failed += not verdict.startswith("noticed")
        print(f"promise {mutation.promise}: {mutation.name}: {verdict}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
