#!/usr/bin/python3
"""powercut.py [--cuts N] [--seed S] [--binary PATH]: what the disk may hold after the power went.

A preloaded recorder (record.c) writes down each write, truncate and sync of the queue's database in
the order in which they returned, while clients hand in mail that is held.  For each cut point the
file is rebuilt: everything up to the last completed sync, plus a random subset of the 512-byte sectors
written since.  The product opens it: every message acknowledged before the cut is there and whole.
"""
import argparse
import hashlib
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from load import KIB, Load
from scene import HERE, RELAY, Scene
from services import wait_until
import relay as relay_module
from relay import USER

WRITE, SYNC, TRUNCATE, SYNCED_WRITE, ALLOCATE = 1, 2, 3, 4, 5
HEADER = struct.Struct("<QIIQQ")
SECTOR = 512
MESSAGES = 400
EXPORT_SUM = 4      # an exported file ends in the checksum of its content
MARK = b"X-Ledger-Id: "


class Change:
    """One recorded call."""

    def __init__(self, at, kind, offset, data):
        self.at, self.kind, self.offset, self.data = at, kind, offset, data

    def apply(self, image):
        """Does it to a bytearray that stands for the file."""
        if self.kind in (WRITE, SYNCED_WRITE):
            end = self.offset + len(self.data)
            if end > len(image):
                image.extend(bytes(end - len(image)))
            image[self.offset:end] = self.data
        elif self.kind == TRUNCATE:
            if self.offset < len(image):
                del image[self.offset:]
            else:
                image.extend(bytes(self.offset - len(image)))
        elif self.kind == ALLOCATE and self.offset > len(image):
            image.extend(bytes(self.offset - len(image)))

    def apply_torn(self, image, rng):
        """Does some of it, sector by sector, as a disk does that lost its power."""
        if self.kind in (TRUNCATE, ALLOCATE):
            if rng.random() < 0.5:
                self.apply(image)
            return
        for at in range(0, len(self.data), SECTOR):
            if rng.random() < 0.5:
                Change(0, WRITE, self.offset + at, self.data[at:at + SECTOR]).apply(image)


def read_log(path):
    changes = []
    with open(path, "rb") as f:
        while True:
            header = f.read(HEADER.size)
            if len(header) < HEADER.size:
                return changes
            at, kind, _, offset, length = HEADER.unpack(header)
            changes.append(Change(at / 1e9, kind, offset, f.read(length)))


def build_recorder(folder):
    library = f"{folder}/record.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-D_GNU_SOURCE", "-o", library, f"{HERE}/record.c", "-ldl"],
                   check=True)
    return library


def record(binary, seed):
    """Runs the load; gives the changes, and id -> (digest, time of the 250)."""
    folder = tempfile.mkdtemp(prefix="waxseal-powercut-")
    log = f"{folder}/changes"
    with open(log, "wb"):
        os.chmod(log, 0o666)    # the roles write it as their own user
    scene = Scene("powercut", binary, folder=folder, delivery="hold",
                  environment={"LD_PRELOAD": build_recorder(folder), "RECORD_LOG": log})
    try:
        scene.relay.start()
        load = Load(RELAY, f"{folder}/ledger.log", clients=10, seed=seed,
                    sizes=lambda rng: rng.choice((1, 4, 8, 20, 60, 300)) * KIB).start()
        wait_until(lambda: len(load.acknowledged) >= MESSAGES, 60, f"{MESSAGES} acknowledgements")
        load.stop()
        scene.relay.kill()
        assert not load.wrong, load.wrong
        return read_log(log), {n: (load.sent[n], at) for n, at in load.acknowledged.items()}
    finally:
        scene.close()


def exported(binary, folder):
    """id -> digest of every message that the product finds in a queue folder; None: it refuses it."""
    out = f"{folder}/export"
    done = subprocess.run([binary, "queue", "export", out, "--config", f"{folder}/waxseal.conf"],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        return None, done.stdout + done.stderr
    found = {}
    for base, _, files in os.walk(out):
        for name in files:
            with open(f"{base}/{name}", "rb") as f:
                text = f.read()[:-EXPORT_SUM]
            at = text.find(MARK)
            if at >= 0:
                found[text[at + len(MARK):text.find(b"\r\n", at)].decode()] = \
                    hashlib.sha256(text[at:]).hexdigest()
    return found, ""


class Cuts:
    """Rebuilds and checks one cut after the other, in the order of time."""

    def __init__(self, changes, acknowledged, binary, rng):
        self.changes, self.acknowledged, self.binary, self.rng = changes, acknowledged, binary, rng
        self.durable = bytearray()  # as of the last sync before self.at
        self.open = []              # changes since then, not synced
        self.at = 0
        shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.folder = tempfile.mkdtemp(prefix="waxseal-cut-", dir=shm)

    def advance(self, to):
        """Takes the changes before number `to` as done."""
        for change in self.changes[self.at:to]:
            if change.kind == SYNC:
                for earlier in self.open:
                    earlier.apply(self.durable)
                self.open = []
            elif change.kind == SYNCED_WRITE:
                change.apply(self.durable)
            else:
                self.open.append(change)
        self.at = to

    def check(self, cut):
        """The power goes before change number `cut` has returned; gives what is wrong."""
        self.advance(cut)
        image = bytearray(self.durable)
        for change in [*self.open, *self.changes[cut:cut + 1]]:
            if change.kind != SYNC:
                change.apply_torn(image, self.rng)
        due = {n: d for n, (d, at) in self.acknowledged.items() if at < self.changes[cut].at}
        if not due and not self.durable:
            return []
        self.lay_out(image)
        found, trouble = exported(self.binary, self.folder)
        if found is None:
            return [f"cut {cut}: the queue is refused: {trouble.strip()}"]
        wrong = [f"cut {cut}: acknowledged and lost: {n}" for n in due if n not in found]
        return wrong + [f"cut {cut}: altered: {n}" for n in due if found.get(n, due[n]) != due[n]]

    def lay_out(self, image):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(f"{self.folder}/state/queue")
        os.makedirs(f"{self.folder}/run")
        with open(f"{self.folder}/state/queue/data.mdb", "wb") as f:
            f.write(image)
        with open(f"{self.folder}/waxseal.conf", "w", encoding="utf-8") as f:
            f.write(f'state-dir = "{self.folder}/state";\nrun-dir = "{self.folder}/run";\nuser = "{USER}";\n')
        for path in (self.folder, f"{self.folder}/state", f"{self.folder}/state/queue",
                     f"{self.folder}/state/queue/data.mdb"):
            shutil.chown(path, USER)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def powercut(cuts, seed, binary):
    rng = random.Random(seed)
    changes, acknowledged = record(binary, seed)
    first = next((i for i, c in enumerate(changes) if c.at > min(at for _, at in acknowledged.values())), 1)
    points = sorted(rng.sample(range(first, len(changes)), min(cuts, len(changes) - first)))
    checker = Cuts(changes, acknowledged, binary, rng)
    wrong = []
    try:
        for point in points:
            wrong += checker.check(point)
            if len(wrong) > 20:
                break
    finally:
        checker.close()
    return wrong, (f"{len(points)} cuts in {len(changes)} changes, {len(acknowledged)} acknowledged, "
                   f"{sum(c.kind in (SYNC, SYNCED_WRITE) for c in changes)} syncs")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cuts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--binary", default=os.environ.get("WAXSEAL", relay_module.BINARY))
    options = parser.parse_args()
    print(f"powercut: seed {options.seed}", flush=True)
    wrong, summary = powercut(options.cuts, options.seed, os.path.abspath(options.binary))
    print(f"powercut: {summary}")
    for line in wrong[:20]:
        print(f"powercut: WRONG: {line}")
    print(f"{0 if wrong else 1} passed, {1 if wrong else 0} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
