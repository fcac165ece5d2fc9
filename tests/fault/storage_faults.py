#!/usr/bin/python3
"""storage_faults.py [--nth N ...]: the disk fails, fills up, or the queue reaches its limit, under load.

In each case: no 250 for what is not on disk, no acknowledged message lost or altered, and service
goes on (or comes back with a new start) without a manual step in the store.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

from load import KIB, Load
from scene import RELAY, Scene, audit
from services import wait_until


def small(rng):
    return rng.choice((1, 2, 4, 8, 30)) * KIB


def large(rng):
    return rng.choice((4, 100, 400)) * KIB


def inject(pid, call, nth):
    """Makes the nth such call of the process from now on fail with EIO, once."""
    tracer = subprocess.Popen(["strace", "-f", "-q", "-p", str(pid), "-e", f"trace={call}", "-o", "/dev/null",
                               "-e", f"inject={call}:error=EIO:when={nth}"], stderr=subprocess.DEVNULL)
    wait_until(lambda: traced(pid), 10, "strace to attach")
    return tracer


def traced(pid):
    """True once strace is attached; also when the fault was so quick that the process has ended of it."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in f)
    except FileNotFoundError:
        return True


def books(scene, load, kills=()):
    """Brings the relay up with delivery on, lets the queue run empty and reads the books."""
    scene.relay.write(delivery="on")
    scene.relay.start()
    scene.wait_empty()
    return load.wrong + audit(load.acknowledged, load.sent, scene.received(), kills)


def failing_call(call, nth):
    """The nth sync, or write of the meta page, fails with EIO."""
    scene = Scene("fault", delivery="hold")
    try:
        scene.relay.start()
        load = Load(RELAY, f"{scene.folder}/ledger.log", clients=8, sizes=small).start()
        wait_until(lambda: len(load.acknowledged) > 50, 20, "50 acknowledgements")
        pid = scene.relay.role_pids("queue")[0]
        tracer = inject(pid, call, nth)
        wait_until(lambda: load.refused > 0, 30, f"the failing {call} to be felt", every=0.005)
        time.sleep(0.5)
        load.stop_soon()
        tracer.kill()
        tracer.wait()
        load.stop()
        felt = load.refused
        scene.relay.kill()
        wrong = books(scene, load)
        return wrong, f"{len(load.acknowledged)} acknowledged, {felt} refused"
    finally:
        scene.close()


def history_bytes(scene):
    return scene.relay.cli_json("status")["queue"]["history_bytes"]


def with_history(scene):
    """Some messages come and go first; what the queue knows of them is to give way to mail."""
    scene.relay.start()
    load = Load(RELAY, f"{scene.folder}/ledger0.log", clients=4, seed=3, sizes=small).start()
    wait_until(lambda: len(load.acknowledged) > 300, 30, "mail to come and go")
    load.stop()
    scene.wait_empty()
    before = history_bytes(scene)
    scene.relay.write(delivery="hold")
    scene.relay.reload()
    load = Load(RELAY, f"{scene.folder}/ledger1.log", clients=8, seed=4, sizes=large).start()
    wait_until(lambda: load.refused > 20, 60, "the queue to refuse mail", every=0.005)
    load.stop()
    after = history_bytes(scene)
    return [] if before > 0 and after == 0 else [f"history: {before} bytes before, {after} when mail is refused"]


def disk_full(first=None):
    """A file system of 64 MiB fills up: 452, delivery goes on, room comes back."""
    with tempfile.TemporaryDirectory(prefix="waxseal-full-") as place:
        os.chmod(place, 0o755)
        image, mount = f"{place}/image", f"{place}/disk"
        os.makedirs(mount)
        with open(image, "wb") as f:
            f.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, mount], check=True)
        scene = None
        try:
            os.chmod(mount, 0o755)
            os.makedirs(f"{mount}/state")
            subprocess.run(["chown", "nobody", f"{mount}/state"], check=True)
            scene = Scene("full", delivery="on" if first else "hold", **{"state-dir": f"{mount}/state"})
            if first:
                return first(scene), "the history went first"
            return fill_and_empty(scene)
        finally:
            if scene:
                scene.close()
            subprocess.run(["umount", "-l", mount], check=True)


def queue_limit():
    """The queue's limit is reached: 452 at MAIL, delivery goes on, room comes back."""
    scene = Scene("limit", delivery="hold", **{"queue-size-max": "64M"})
    try:
        return fill_and_empty(scene)
    finally:
        scene.close()


def fill_and_empty(scene):
    """Fills the queue until it refuses, then delivers from the full state, then fills it again."""
    scene.relay.start()
    load = Load(RELAY, f"{scene.folder}/ledger.log", clients=8, sizes=large).start()
    wait_until(lambda: load.refused > 20, 60, "the queue to refuse mail", every=0.005)
    load.stop()
    refused = sorted({text.split()[1] for text in load.refusals})
    wrong = [] if refused == ["4.3.1"] else [f"refused with {load.refusals[:3]}, not 452 4.3.1"]
    scene.relay.write(delivery="on")
    scene.relay.reload()                       # no new start: settling must work on a full store
    scene.wait_empty()
    after = Load(RELAY, f"{scene.folder}/ledger2.log", clients=4, seed=2, sizes=small).start()
    wait_until(lambda: len(after.acknowledged) > 20, 20, "mail to be taken again",
               lambda: f"{sorted(set(after.refusals))} {scene.relay.events()[-5:]}")
    after.stop()
    scene.wait_empty()
    acknowledged = {**load.acknowledged, **after.acknowledged}
    wrong += load.wrong + after.wrong + audit(acknowledged, {**load.sent, **after.sent}, scene.received(), ())
    return wrong, f"{len(acknowledged)} acknowledged, {load.refused} refused"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nth", type=int, nargs="*", default=[1, 2, 5])
    options = parser.parse_args()
    cases = [(f"fdatasync number {n} fails with EIO", lambda n=n: failing_call("fdatasync", n)) for n in options.nth]
    cases += [(f"meta write number {n} fails with EIO", lambda n=n: failing_call("pwrite64", n)) for n in options.nth]
    cases += [("the disk is full", disk_full), ("the disk is full, and there is history", lambda: disk_full(with_history)),
              ("the queue's limit is reached", queue_limit)]
    failed = 0
    for title, case in cases:
        wrong, summary = case()
        failed += bool(wrong)
        print(f"storage: {title}: {summary}: {'WRONG' if wrong else 'all kept'}", flush=True)
        for line in wrong[:10]:
            print(f"storage:   {line}", flush=True)
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
