#!/usr/bin/python3
"""ledger.py [--rounds N] [--seed S] [--binary PATH]: kills roles under load and reads the books.

A round: 20 clients send 1 KiB to 10 MiB; after at least 200 acknowledgements one role (or all)
is killed with -9 at a random moment within 2 s.  Promise: no acknowledged message is lost or
altered, a copy is doubled only where its final dot had left before a kill, service is back within
2 s without a manual step.  A round without a transaction in flight does not count.
"""
import argparse
import os
import random
import signal
import sys
import time

from load import Load
from scene import RELAY, Scene, audit
from services import kill, wait_until

ROLES = ("smtpd", "queue", "deliver", "policy", "tlsrpt", "all")
BACK_WITHIN = 2.0
ACKNOWLEDGED_BETWEEN = 200


def strike(scene, load, target):
    """Kills the target; gives the time, or None when no transaction was in flight."""
    pids = scene.relay.processes() if target == "all" else scene.relay.role_pids(target)
    assert pids, f"no process of {target}"
    if not load.in_flight:
        return None
    if target in ("smtpd", "deliver"):
        pids = [random.choice(pids)]
    for pid in pids:
        kill(pid, signal.SIGKILL)
    at = time.monotonic()
    if target == "all":
        scene.relay.process.wait(10)
        scene.relay.launch()    # as systemd would
    return at


def service_back(load, since):
    """Seconds until a message begun after the kill was acknowledged."""
    wait_until(lambda: load.newest > since, 30, "service to come back", every=0.01)
    return time.monotonic() - since


def play(scene, load, rounds, rng, say):
    """The rounds; gives the times of the kills and the slowest return."""
    kills, slow = [], []
    while len(kills) < rounds:
        before = len(load.acknowledged)
        wait_until(lambda: len(load.acknowledged) - before >= ACKNOWLEDGED_BETWEEN, 60,
                   f"{ACKNOWLEDGED_BETWEEN} acknowledgements", every=0.01)
        time.sleep(rng.uniform(0, 2))
        target = ROLES[len(kills) % len(ROLES)] if len(kills) < len(ROLES) else rng.choice(ROLES)
        at = strike(scene, load, target)
        if at is None:
            continue
        kills.append(at)
        back = service_back(load, at)
        say(f"round {len(kills)}: killed {target}, {len(load.acknowledged)} acknowledged, "
            f"service back after {back:.2f} s")
        if back > BACK_WITHIN:
            slow.append(f"round {len(kills)}: {target}: service back only after {back:.2f} s")
    return kills, slow


def ledger(rounds, seed, binary=None, say=print):
    """Plays it all; gives what is wrong and a summary."""
    rng = random.Random(seed)
    scene = Scene("ledger", binary)
    try:
        scene.relay.start()
        load = Load(RELAY, f"{scene.folder}/ledger.log", seed=seed).start()
        kills, wrong = play(scene, load, rounds, rng, say)
        load.stop()
        scene.wait_empty()
        received = scene.received()
        wrong += load.wrong + audit(load.acknowledged, load.sent, received, kills)
        doubled = sum(len(c) - 1 for c in received.values())
        return wrong, (f"{rounds} kills, {len(load.acknowledged)} acknowledged, {doubled} doubled with "
                       f"cause, {load.refused} refused or broken")
    finally:
        scene.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--binary", default=os.environ.get("WAXSEAL"))
    options = parser.parse_args()
    print(f"ledger: seed {options.seed}", flush=True)
    wrong, summary = ledger(options.rounds, options.seed, options.binary,
                            lambda line: print(f"ledger: {line}", flush=True))
    print(f"ledger: {summary}")
    for line in wrong[:20]:
        print(f"ledger: WRONG: {line}")
    print(f"{0 if wrong else 1} passed, {1 if wrong else 0} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
